"""Small synthetic data sets with an answer that is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vesalius.bundle import Bundle, Card
from vesalius.image import Case, Dataset, Grid, LabelMap, Labels, Meta, Record, Volume
from vesalius.io import write
from vesalius.io.atomic import make_folder
from vesalius.nets import NetworkSpec, UNetSpec, build
from vesalius.plan import Budget, ChannelFacts, Fingerprint, Plan, fingerprint, make_plan

LABELS = Labels.of({"ball": 1, "core": 2})


def ball_case(number: int, *, shape: tuple[int, ...] = (24, 28, 20), spacing: tuple[float, ...] | None = None) -> Case:
    """A bright ball with a brighter core in noise, at a place that the number decides."""
    rng = np.random.default_rng(number)
    grid = Grid.from_spacing(shape, spacing or (1.0,) * len(shape))
    axes = np.meshgrid(*[np.arange(n) * s for n, s in zip(shape, grid.spacing_mm, strict=True)], indexing="ij")
    extent = np.asarray(shape) * grid.spacing_mm
    centre = extent * rng.uniform(0.4, 0.6, len(shape))
    distance = np.sqrt(sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True)))
    radius = 0.3 * float(extent.min())
    classes = (distance < radius).astype(np.uint8) + (distance < radius / 2)
    image = classes * 100.0 + rng.normal(300, 15, shape)
    calibrated = len(shape) == 3
    return Case(
        f"case{number}",
        Volume(image[None].astype(np.float32), grid, Meta(modality="MR", calibrated=calibrated)),
        LabelMap(classes.astype(np.uint8), grid, LABELS),
        f"patient{number // 2}",
    )


def ball_dataset(cases: int = 6, **how: object) -> Dataset:
    """Cases of `ball_case`; two belong to one patient."""
    records = tuple(Record(f"case{n}", (), reference=Path("drawn"), patient=f"patient{n // 2}") for n in range(cases))
    return Dataset(
        records,
        LABELS,
        ("T1",),
        load=lambda record, dataset: ball_case(int(record.id.removeprefix("case")), **how),  # type: ignore[arg-type]
    )


CHANNEL = ChannelFacts("T1", "MR", mean=100, std=20, p00_5=40, p99_5=180, lowest=0, highest=255)
FACTS = Fingerprint(
    ndim=3,
    cases=3,
    patients=3,
    channels=(CHANNEL,),
    labels=Labels.of({"a": 1}),
    shapes=((200, 220, 12), (210, 210, 10), (220, 200, 11)),
    spacings_mm=((1.0, 1.0, 5.0), (1.2, 1.2, 8.0), (1.1, 1.1, 10.0)),
    content_fraction=1.0,
    label_ml=(("a", 10.0),),
    calibrated=True,
)


def dataset_of(cases: Iterable[Case], channels: tuple[str, ...] = ("T1",)) -> Dataset:
    """A data set of cases that are there already; each is a patient of its own."""
    known = {case.id: case for case in cases}
    records = tuple(Record(name, (), reference=Path("drawn")) for name in known)
    return Dataset(records, LABELS, channels, load=lambda record, dataset: known[record.id])


def write_cases(folder: Path, cases: Iterable[Case], *, ending: str = ".nii.gz") -> Path:
    """Write cases as ``images/`` beside ``labels/``; returns the folder."""
    for case in cases:
        assert case.reference is not None
        for place, thing in (("images", case.image), ("labels", case.reference)):
            write(thing, make_folder(folder / place) / f"{case.id}{ending}")
    return folder


def untrained_bundle(dataset: Dataset, *, patch_size: tuple[int, ...], seed: int = 1) -> Bundle:
    """A small U-Net with drawn weights: it says the same of the same image, and shows all labels somewhere."""
    plan = make_plan(fingerprint(dataset), Budget(steps=10), step_seconds=lambda *_: 0.01)
    network = UNetSpec.plain(
        ndim=plan.ndim, in_channels=len(plan.channels), out_channels=len(plan.labels) + 1, features=(8, 16, 16)
    )
    plan = replace(plan, network=network, patch_size=patch_size, batch_size=2)
    return drawn_bundle(plan, seed=seed)


def drawn_bundle(plan: Plan, *, seed: int = 1, members: int = 1, name: str = "untrained") -> Bundle:
    """A plan's network with drawn weights, the members with different ones."""
    drawn = tuple(drawn_weights(plan.network, seed=seed + 100 * n) for n in range(members))
    return Bundle(plan, drawn, card=Card(name=name))


def drawn_weights(network: NetworkSpec, *, seed: int = 1) -> dict[str, np.ndarray]:
    """Weights of a network, the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {name: tensor.numpy() for name, tensor in build(network).state_dict().items()}


def for_regions(plan: Plan) -> Plan:
    """The plan with a sigmoid for each of two regions: the whole ball, and its core on top."""
    labels = Labels.of({"ball": 1, "core": 2}, regions={"whole": (1, 2)})
    return replace(plan, labels=labels, regions=True, network=replace(plan.network, out_channels=2))


def as_cascade(plan: Plan) -> Plan:
    """The plan as the fine stage of a cascade whose coarse stage finds the same labels."""
    seen = len(plan.channels) + len(plan.labels)
    return replace(
        plan,
        configuration="3d_cascade",
        coarse_labels=len(plan.labels),
        network=replace(plan.network, in_channels=seen),
    )
