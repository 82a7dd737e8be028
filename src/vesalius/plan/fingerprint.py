"""What the data are like: the facts on which every rule of the plan rests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from vesalius.errors import DataError
from vesalius.image import Case, Dataset, Labels, Modality
from vesalius.transform import crop_to_content, reorient

_SAMPLES = 2_000_000  # foreground voxels kept for the intensity percentiles, over all cases


@dataclass(frozen=True)
class ChannelFacts:
    """Intensities of one channel over the data set.

    Args:
        name: Of the channel.
        modality: The kind of image, as declared by the files or the channel's name.
        mean, std, p00_5, p99_5: Over the foreground voxels of all cases (over all voxels where nothing is labelled).
        lowest, highest: Median over the cases of their extreme values.
    """

    name: str
    modality: Modality
    mean: float
    std: float
    p00_5: float
    p99_5: float
    lowest: float
    highest: float


@dataclass(frozen=True)
class Fingerprint:
    """The facts about a data set, after each case is turned to LPS and cropped to its content.

    Args:
        ndim: 2 or 3.
        cases, patients: How many.
        channels: Intensity facts of each channel.
        labels: What the references show.
        shapes: Of each case after the crop, voxels.
        spacings_mm: Of each case.
        content_fraction: Median over the cases of cropped by original size.
        label_ml: Median volume of each label over the cases in which it occurs, ml (in 2D: area, in 1000 mm² or
            1000 pixels).
        calibrated: Whether spacings are physical.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, "data set fingerprint".
    """

    ndim: int
    cases: int
    patients: int
    channels: tuple[ChannelFacts, ...]
    labels: Labels
    shapes: tuple[tuple[int, ...], ...]
    spacings_mm: tuple[tuple[float, ...], ...]
    content_fraction: float
    label_ml: tuple[tuple[str, float], ...]
    calibrated: bool

    @property
    def median_spacing_mm(self) -> tuple[float, ...]:
        """Median spacing of each axis, mm."""
        return tuple(float(s) for s in np.median(np.asarray(self.spacings_mm), axis=0))

    @property
    def median_shape(self) -> tuple[int, ...]:
        """Median number of voxels of each axis."""
        return tuple(round(float(s)) for s in np.median(np.asarray(self.shapes), axis=0))


def fingerprint(
    dataset: Dataset, *, progress: Callable[[int, int], None] | None = None, sample: int | None = None
) -> Fingerprint:
    """Gather the facts about a data set.

    Args:
        dataset: Cases with references.
        progress: Called with (done, total) after each case.
        sample: Look at no more than this many cases, evenly spread; at all of them when left out.

    Returns:
        The fingerprint. It depends on the cases alone, not on their order.

    Raises:
        DataError: There is no case with a reference, the references show one class only, or the cases differ in
            dimension or number of channels.

    Example:
        >>> fingerprint(Dataset((), None, ("image",), load=lambda record, dataset: None))
        Traceback (most recent call last):
        vesalius.errors.DataError: there is no case with a reference to learn from
    """
    records = dataset.with_reference()
    if len(records) == 0 or records.labels is None or len(records.labels) == 0:
        raise DataError("there is no case with a reference to learn from")
    chosen = sorted(records.ids)
    if sample is not None and sample < len(chosen):
        chosen = [chosen[round(i)] for i in np.linspace(0, len(chosen) - 1, sample)]
    looked = records.select(chosen)
    seen = [_look(case, 1 + _SAMPLES // len(looked)) for case in _counted(looked, progress)]
    if len(looked) == len(records) and len({value for s in seen for value in s.values}) < 2:
        raise DataError("the references show one class only, everywhere: there is nothing to tell apart")
    if len({len(s.shape) for s in seen}) > 1:
        raise DataError("the data set mixes 2D and 3D images; index them apart")
    if len({len(s.extremes) for s in seen}) > 1:
        raise DataError("the cases differ in their number of channels")
    names = dataset.channels
    if len(names) != len(seen[0].extremes):  # one file that holds several channels
        names = tuple(f"{names[0]} {c}" for c in range(len(seen[0].extremes)))
    channels = []
    for c, name in enumerate(names):
        values = np.concatenate([s.samples[c] for s in seen])
        low, high = np.percentile(values, (0.5, 99.5))
        extremes = np.median(np.asarray([s.extremes[c] for s in seen]), axis=0)
        channels.append(
            ChannelFacts(
                name=name,
                modality="CT" if name.strip().upper() == "CT" else seen[0].modality,
                mean=float(values.mean(dtype=np.float64)),
                std=float(values.std(dtype=np.float64)),
                p00_5=float(low),
                p99_5=float(high),
                lowest=float(extremes[0]),
                highest=float(extremes[1]),
            )
        )
    label_ml = []
    for label in records.labels.labels:
        volumes = [s.label_ml[label.value] for s in seen if label.value in s.label_ml]
        label_ml.append((label.name, float(np.median(volumes)) if volumes else 0.0))
    return Fingerprint(
        ndim=len(seen[0].shape),
        cases=len(records),
        patients=len(records.patients),
        channels=tuple(channels),
        labels=records.labels,
        shapes=tuple(s.shape for s in seen),
        spacings_mm=tuple(s.spacing_mm for s in seen),
        content_fraction=float(np.median([s.content_fraction for s in seen])),
        label_ml=tuple(label_ml),
        calibrated=all(s.calibrated for s in seen),
    )


@dataclass(frozen=True)
class _Look:
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    content_fraction: float
    samples: tuple[np.ndarray, ...]
    extremes: tuple[tuple[float, float], ...]
    values: frozenset[int]
    label_ml: dict[int, float]
    modality: Modality
    calibrated: bool


def _counted(dataset: Dataset, progress: Callable[[int, int], None] | None) -> Iterator[Case]:
    for done, case in enumerate(dataset, start=1):
        yield case
        if progress is not None:
            progress(done, len(dataset))


def _look(case: Case, samples: int) -> _Look:
    assert case.reference is not None
    image = reorient(case.image)
    content = crop_to_content(image)
    foreground = reorient(case.reference).array > 0
    where = np.flatnonzero(foreground) if foreground.any() else np.arange(foreground.size)
    if where.size > samples:
        # Spread evenly: every structure is met in proportion to its size, and the choice needs no random numbers.
        where = where[np.linspace(0, where.size - 1, samples).astype(np.int64)]
    flat = image.array.reshape(image.channels, -1)
    counts = case.reference.counts()
    return _Look(
        shape=content.grid.shape,
        spacing_mm=content.grid.spacing_mm,
        content_fraction=content.grid.size / image.grid.size,
        samples=tuple(flat[c, where].astype(np.float32) for c in range(image.channels)),
        extremes=tuple((float(ch.min()), float(ch.max())) for ch in image.array),
        values=frozenset(counts),
        label_ml={
            value: count * case.reference.grid.voxel_volume_mm3 / 1000 for value, count in counts.items() if value > 0
        },
        modality=case.image.meta.modality,
        calibrated=case.image.meta.calibrated,
    )
