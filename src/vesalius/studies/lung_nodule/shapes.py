"""A network that draws nodules at 1 mm, learnt where readers drew them (LIDC-IDRI)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vesalius.augment import Augmentation
from vesalius.bundle import Bundle, Card
from vesalius.errors import DataError
from vesalius.image import Case, Dataset, LabelMap, Labels, Record
from vesalius.io import read_labels
from vesalius.plan import Budget, Optimisation, Plan, Reason
from vesalius.plan.candidates import Task, network_sizes
from vesalius.plan.preparation import Preparation
from vesalius.studies.lung_nodule.search import WINDOW_HU, Searched
from vesalius.studies.study import Setting, fit_within
from vesalius.transform import Normalisation, resample

NODULE = Labels.of({"nodule": 1})
_PATCH = (48, 48, 48)
_SMALL_PATCH = (32, 32, 32)
_LONG_S = 900.0


def plan_shapes(budget: Budget) -> Plan:
    """The plan of a U-Net that segments the nodules of a cube of 1 mm voxels.

    Args:
        budget: For its training.

    Example:
        >>> plan_shapes(Budget(steps=10)).spacing_mm
        (1.0, 1.0, 1.0)
    """
    long = budget.time_s is not None and budget.time_s >= _LONG_S
    patch = _PATCH if long else _SMALL_PATCH
    sizes = network_sizes("unet", Task(1, 2, patch, (1.0, 1.0, 1.0)))
    words, network = sizes[0] if long else sizes[-1]
    return Plan(
        ndim=3,
        channels=("CT",),
        labels=NODULE,
        configuration="3d",
        calibrated=True,
        spacing_mm=(1.0, 1.0, 1.0),
        preparation=Preparation(crop="none", interpolation="linear"),
        normalisation=(Normalisation("ct", mean=-700.0, std=350.0, lower=WINDOW_HU[0], upper=WINDOW_HU[1]),),
        patch_size=patch,
        batch_size=4 if long else 2,
        network=network,
        optimisation=Optimisation.for_optimiser("muon", float(budget.steps or 1000)),
        augmentation=Augmentation.for_patch(patch),
        foreground_fraction=0.8,
        budget=budget,
        reasons=(Reason("network", words), Reason("foreground_fraction", "nodules fill a thousandth of a lung")),
    )


def teach_shapes(searched: Sequence[Searched], out: Path, setting: Setting, *, share: float) -> Bundle:
    """Train it on the lungs of scans with masks.

    Args:
        searched: Scans; those without masks are not learnt from.
        out: The bundle's folder.
        setting: Budget, device, seed.
        share: Of the budget.

    Raises:
        DataError: No scan has masks.
    """
    by_id = {one.scan.id: one for one in searched if one.scan.reference is not None}
    if not by_id:
        raise DataError("no scan that is learnt from has masks")

    def load(record: Record, _: Dataset) -> Case:
        one = by_id[record.id]
        grid = one.box.with_spacing((1.0, 1.0, 1.0))
        assert record.reference is not None
        drawn = resample(read_labels(record.reference), grid, interpolation="label-wise")
        image = resample(one.scan.read(), grid, fill=-1000.0)
        return Case(record.id, image, LabelMap(drawn.array.astype(np.uint8), grid, NODULE), record.patient)

    records = tuple(
        Record(one.scan.id, (one.scan.path,), one.scan.reference, one.scan.patient) for one in by_id.values()
    )
    card = Card(
        name="nodule-shapes",
        description="the shape of a nodule in a cube of CT around it, 1 mm",
        data=f"{len(records)} scans of LIDC-IDRI, consensus of half of the readers, or of a synthetic sample",
        limits="For cubes around nodules of 3 to 30 mm; elsewhere it draws what is none. Research only.",
    )
    dataset = Dataset(records, NODULE, ("CT",), load, "lung-nodule")
    return fit_within(setting, dataset, plan_shapes(setting.budget(share)), out, card=card, validation=())
