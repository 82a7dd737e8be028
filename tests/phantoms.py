"""Small synthetic data sets with an answer that is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vesalius.image import Case, Dataset, Grid, LabelMap, Labels, Meta, Record, Volume
from vesalius.plan import ChannelFacts, Fingerprint

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
