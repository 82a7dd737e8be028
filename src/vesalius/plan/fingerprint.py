"""What the data are like: the facts on which every rule of the plan rests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from vesalius.errors import DataError
from vesalius.image import Case, Dataset, LabelMap, Labels, Modality
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
        label_share: Share of the voxels that somebody looked at that show each label, over all cases.
        label_thickness_mm: Median thickness of each label over the cases in which it occurs: twice its volume by its
            surface, which is how thick a plate is, half of how thick a tube is and a third of a ball's diameter.
            Small lesions, thin vessels and thin layers have little of it.
        calibrated: Whether spacings are physical.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, "data set fingerprint"; the thickness is ours.
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
    label_share: tuple[tuple[str, float], ...] = ()
    label_thickness_mm: tuple[tuple[str, float], ...] = ()

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
    names_and_values = [(label.name, label.value) for label in records.labels.labels]
    looked_at = sum(s.looked_at for s in seen)
    return Fingerprint(
        ndim=len(seen[0].shape),
        cases=len(records),
        patients=len(records.patients),
        channels=tuple(channels),
        labels=records.labels,
        shapes=tuple(s.shape for s in seen),
        spacings_mm=tuple(s.spacing_mm for s in seen),
        content_fraction=float(np.median([s.content_fraction for s in seen])),
        label_ml=tuple((name, _median(s.label_ml.get(value) for s in seen)) for name, value in names_and_values),
        calibrated=all(s.calibrated for s in seen),
        label_share=tuple(
            (name, sum(s.voxels.get(value, 0) for s in seen) / max(1, looked_at)) for name, value in names_and_values
        ),
        label_thickness_mm=tuple(
            (name, _median(s.thickness_mm.get(value) for s in seen)) for name, value in names_and_values
        ),
    )


@dataclass(frozen=True)
class _Look:
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    content_fraction: float
    samples: tuple[np.ndarray, ...]
    extremes: tuple[tuple[float, float], ...]
    values: frozenset[int]
    voxels: dict[int, int]
    looked_at: int
    label_ml: dict[int, float]
    thickness_mm: dict[int, float]
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
    reference = reorient(case.reference)
    ignore = case.reference.labels.ignore
    foreground = (reference.array > 0) & (reference.array != ignore) if ignore is not None else reference.array > 0
    where = np.flatnonzero(foreground) if foreground.any() else np.arange(foreground.size)
    if where.size > samples:
        # Spread evenly: every structure is met in proportion to its size, and the choice needs no random numbers.
        where = where[np.linspace(0, where.size - 1, samples).astype(np.int64)]
    flat = image.array.reshape(image.channels, -1)
    counts = {value: count for value, count in reference.counts().items() if value != ignore}
    voxels = {value: count for value, count in counts.items() if value > 0}
    voxel_mm3 = reference.grid.voxel_volume_mm3
    surfaces = _surfaces_mm2(reference)
    return _Look(
        shape=content.grid.shape,
        spacing_mm=content.grid.spacing_mm,
        content_fraction=content.grid.size / image.grid.size,
        samples=tuple(flat[c, where].astype(np.float32) for c in range(image.channels)),
        extremes=tuple((float(ch.min()), float(ch.max())) for ch in image.array),
        values=frozenset(counts),
        voxels=voxels,
        looked_at=sum(counts.values()),
        label_ml={value: count * voxel_mm3 / 1000 for value, count in voxels.items()},
        thickness_mm={v: 2 * n * voxel_mm3 / surfaces[v] for v, n in voxels.items() if surfaces.get(v)},
        modality=case.image.meta.modality,
        calibrated=case.image.meta.calibrated,
    )


def _surfaces_mm2(reference: LabelMap) -> dict[int, float]:
    """The area of each value's voxel faces that touch another value inside the image (in 2D: the length of edges)."""
    found: dict[int, float] = {}
    spacing = reference.grid.spacing_mm
    for axis in range(reference.array.ndim):
        area = float(np.prod([s for other, s in enumerate(spacing) if other != axis]))
        along = np.moveaxis(reference.array, axis, 0)
        here, there = along[:-1], along[1:]
        differ = here != there
        for side in (here[differ], there[differ]):
            for value, faces in zip(*np.unique(side, return_counts=True), strict=True):
                found[int(value)] = found.get(int(value), 0.0) + area * int(faces)
    return found


def _median(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else 0.0
