"""The second look: a network that says of each candidate whether it is a nodule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vesalius.augment import Augmentation
from vesalius.bundle import Bundle, Card
from vesalius.errors import BundleError, DataError
from vesalius.image import Case, Dataset, Grid, LabelMap, Labels, Record
from vesalius.metrics.froc import Finding
from vesalius.nets import CNNSpec
from vesalius.nets.cnn import CNN
from vesalius.plan import Budget, Loss, Optimisation, Plan, Reason
from vesalius.plan.device import find_device
from vesalius.plan.preparation import Preparation
from vesalius.predict import load_network
from vesalius.studies.lung_nodule.search import WINDOW_HU, Searched, cube
from vesalius.studies.study import Setting, fit_within
from vesalius.transform import Normalisation, normalise, resample
from vesalius.transform.blobs import Blob

LABELS = Labels.of({"nodule": 1}, ignore=2)
_LONG_S = 900.0  # a budget from which the finer and wider network gets enough steps
_BATCH = 16
_FULL_HU = 600.0  # strength of a ball of the whole window's contrast
_BALL_MM = 2.0  # around a point, in which its class is taught
_APART_MM = 6.0  # from the rim of all that readers marked is what is taught as no nodule
_MOST_SAID = 200  # candidates of others that are taught of a scan


def plan_classifier(budget: Budget) -> Plan:
    """The plan of the network that tells nodules from the rest.

    Args:
        budget: For its training.

    Example:
        >>> plan = plan_classifier(Budget(time_s=60))
        >>> plan.network.architecture, plan.spacing_mm, plan.network.patch
        ('cnn', (2.0, 2.0, 2.0), (14, 14, 14))
    """
    long = budget.time_s is not None and budget.time_s >= _LONG_S
    # Of either the window is some 30 mm wide, the largest nodule; two voxels of rim, so that the middle sees all of it.
    spacing, seen, features = (1.25, 24, (24, 48)) if long else (2.0, 14, (8, 16))
    patch = (seen + 2,) * 3
    first = 5 if long else 3
    network = CNNSpec(
        ndim=3,
        in_channels=1,
        out_channels=2,
        patch=(seen,) * 3,
        features=features,
        kernels=((first,) * 3, (3, 3, 3)),
        pools=((2, 2, 2), (2, 2, 2)),
        hidden=(2 * features[-1],),
        dropout=0.1,
    )
    mean, std = -700.0, 350.0
    why = {
        "spacing_mm": f"the network sees {spacing * seen:.0f} mm, the largest nodule, as finely as there is time for",
        "network": "a classifier of patches: LUNA16's second track (doi:10.1016/j.media.2017.06.015)",
        "normalisation": "HU mean the same in every scan: air to soft tissue",
    }
    return Plan(
        ndim=3,
        channels=("CT",),
        labels=LABELS,
        configuration="3d",
        calibrated=True,
        spacing_mm=(spacing,) * 3,
        preparation=Preparation(crop="none", interpolation="linear"),
        normalisation=(Normalisation("ct", mean=mean, std=std, lower=WINDOW_HU[0], upper=WINDOW_HU[1]),),
        patch_size=patch,
        batch_size=_BATCH,
        network=network,
        loss=Loss(kind="cross_entropy"),
        optimisation=Optimisation.for_optimiser("muon", float(budget.steps or 2000)),
        augmentation=Augmentation.for_patch(patch),
        foreground_fraction=0.5,
        budget=budget,
        reasons=tuple(Reason(name, text) for name, text in why.items()),
    )


def teach(searched: Sequence[Searched], out: Path, setting: Setting, *, share: float) -> Bundle:
    """Train the network on candidates: nodules, and what the first look took for some.

    The first look's false alarms are the hard cases; candidates of others (LUNA16's) come on top.

    Args:
        searched: Scans with findings.
        out: The bundle's folder.
        setting: Budget, device, seed.
        share: Of the budget.

    Raises:
        DataError: No scan has a nodule.
    """
    by_id = {one.scan.id: one for one in searched}
    plan = plan_classifier(setting.budget(share))
    if not any(not f.irrelevant for one in searched for f in one.scan.findings):
        raise DataError("no scan that is learnt from holds a nodule")

    def load(record: Record, _: Dataset) -> Case:
        one = by_id[record.id]
        image = resample(one.scan.read(), one.box.with_spacing(plan.spacing_mm), fill=-1000.0)
        return Case(record.id, image, taught(one, image.grid), record.patient, record.groups)

    records = tuple(
        Record(one.scan.id, (one.scan.path,), reference=one.lungs, patient=one.scan.patient) for one in searched
    )
    dataset = Dataset(records, LABELS, ("CT",), load, "lung-nodule")
    card = Card(
        name="nodule-candidates",
        description="of a candidate in CT of the chest: is it a nodule (asked of the voxel in its middle)",
        data=f"{len(records)} scans of LUNA16 or LIDC-IDRI, or of the synthetic sample",
        limits="It judges candidates of 3 to 30 mm that blob detection found; it segments nothing. Research only.",
    )
    return fit_within(setting, dataset, plan, out, card=card, validation=())


def taught(one: Searched, grid: Grid) -> LabelMap:
    """What is taught of a scan: small balls of nodule and of none; nobody looked at the rest.

    Args:
        one: The scan.
        grid: Where.
    """
    array = np.full(grid.shape, 2, np.uint8)
    relevant = [f for f in one.scan.findings if not f.irrelevant]
    wrong = [blob.centre_mm for blob in one.blobs]
    said = [mark.centre_mm for mark in one.scan.said if mark.kind == 0]
    if len(said) > _MOST_SAID:
        chosen = np.random.default_rng(0).choice(len(said), _MOST_SAID, replace=False)
        said = [said[int(n)] for n in np.sort(chosen)]
    for point in (*wrong, *said):
        if not _near(point, one.scan.findings):
            _paint(array, grid, point, 0)
    for finding in relevant:
        _paint(array, grid, finding.centre_mm, 1)
    return LabelMap(array, grid, LABELS)


def judge(one: Searched, bundle: Bundle, *, device: str = "auto") -> list[float]:
    """How likely each candidate of a scan is a nodule.

    Args:
        one: The scan.
        bundle: Of `teach`.
        device: Where to compute.

    Returns:
        0 to 1 for each of its blobs, in their order.

    Raises:
        BundleError: It is another bundle.
    """
    plan = bundle.plan
    if not isinstance(plan.network, CNNSpec) or plan.labels != LABELS:
        raise BundleError("this bundle does not judge candidates; give the results of an earlier run of this study")
    if not one.blobs:
        return []
    image = one.scan.read()
    network = load_network(plan.network, bundle.members[0], find_device(device))
    assert isinstance(network, CNN)
    patches = []
    for blob in one.blobs:
        side, step = plan.network.patch[0], plan.spacing_mm[0]
        grid = cube(blob.centre_mm, side, spacing_mm=step)
        patches.append(normalise(resample(image, grid, fill=-1000.0), plan.normalisation).array)
    with torch.inference_mode():
        batch = torch.from_numpy(np.stack(patches)).to(find_device(device))
        logits = torch.cat([network.classify(part) for part in batch.split(_BATCH)])
    return [float(chance) for chance in logits.float().softmax(dim=1)[:, 1].cpu()]


def confidence(blob: Blob, chance: float) -> float:
    """By what candidates are ranked: how likely the network finds one, times how much it stands out.

    A network of few steps says little, and the first look's order is not bad; one that has learnt enough says numbers
    that are so far apart that the factor decides among those it is sure of.

    Args:
        blob: The candidate.
        chance: Of `judge`.

    Returns:
        0 to 1.

    Example:
        >>> confidence(Blob((0.0, 0.0, 0.0), 6.0, 300.0), 0.5)
        0.25

    Source: ours; on the synthetic sample the product did better than either alone.
    """
    return chance * min(1.0, blob.strength / _FULL_HU)


def _near(point: Sequence[float], findings: Sequence[Finding]) -> bool:
    return any(np.linalg.norm(np.subtract(point, f.centre_mm)) < f.diameter_mm / 2 + _APART_MM for f in findings)


def _paint(array: NDArray[np.uint8], grid: Grid, point: Sequence[float], value: int) -> None:
    at = grid.to_index(point)
    reach = np.ceil(_BALL_MM / np.asarray(grid.spacing_mm)).astype(int) + 1
    low = np.maximum(np.floor(at).astype(int) - reach, 0)
    high = np.minimum(np.ceil(at).astype(int) + reach + 1, array.shape)
    if (high <= low).any():
        return
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    places = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij"), axis=-1)
    array[box][np.linalg.norm((places - at) * grid.spacing_mm, axis=-1) <= _BALL_MM] = value
