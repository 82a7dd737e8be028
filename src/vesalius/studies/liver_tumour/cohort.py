"""The cases of LiTS, or of the Decathlon's liver, as a study wants them: the flaws of their headers mended or told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, VesaliusError
from vesalius.image import Case, Dataset, Grid, LabelMap, Labels, Record, Volume
from vesalius.io import read, read_labels
from vesalius.io.layouts import decathlon, lits
from vesalius.transform import body_mask, reorient, respace

AIR_HU = -1000.0
OFFSET_HU = 1024
"""What is added to HU to store them without a sign. Source: DICOM's usual rescale intercept of -1024."""

_RANGE_HU = (-1024, 3071)  # of twelve bits; what is below is padding outside the field of view
_LIVER_HU = (-20.0, 300.0)  # steatosis to a bright arterial phase
_BODY_HU = (-150.0, 300.0)  # of all that is denser than lung, fat included
_BONE_HU = 300.0
_LUNG_HU = -600.0
_LEAST_LUNG_ML = 100.0  # bowel gas is less
_CLEAR = 3.0  # times as much lung at one end as at the other
_ASIDE_MM = 10.0  # how far from the middle of the body the liver lies, and the spine behind it, at least
_CHECK_MM = 6.0  # spacing for looking at the whole
_MIRROR, _STORED, _PLACE = "mirrored", "offset", "placed by"  # keys of what was mended, in a record's groups
_AXES = "xyz"
_LUNG = Labels.of({"lung": 1})
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Cohort:
    """Cases that can be used.

    Args:
        dataset: With the labels "liver" and "tumour"; some may have no reference.
        repairs: What was put right or left out, one sentence each.
    """

    dataset: Dataset
    repairs: tuple[str, ...]


def open_cohort(folder: Path, *, note: Callable[[str], None] = lambda _: None) -> Cohort:
    """Find, read and check every case.

    Args:
        folder: Of LiTS or of the Decathlon's Task03_Liver.
        note: Told how far it is.

    Returns:
        The cases. What is amiss with a header is mended where it is clear how, and else the case is left out.

    Raises:
        DataError: The folder is neither of both, or no case can be used.
    """
    if lits.recognise(folder):
        found = lits.scan(folder)
    elif decathlon.recognise(folder):
        found = decathlon.scan(folder)
    else:
        raise DataError(
            f"{folder.name}: neither {lits.LOOKS_FOR} nor the Decathlon's Task03_Liver: {decathlon.LOOKS_FOR}"
        )
    repairs = [f"{one.id}: left out: {one.reason}" for one in found.left_out[:_SHOWN]]
    if len(found.left_out) > _SHOWN:
        repairs.append(f"{len(found.left_out) - _SHOWN} more files were not used")
    records, padded = [], []
    for number, record in enumerate(found.records):
        if number % 25 == 0 and number:
            note(f"checked {number} of {len(found.records)} cases")
        try:
            mended, told, below = _examine(record)
        except VesaliusError as error:
            repairs.append(f"{record.id}: left out: {error}")
            continue
        records.append(mended)
        padded += [record.id] if below else []
        repairs += [f"{record.id}: {one}" for one in told]
    if padded:
        repairs.append(f"{', '.join(padded[:_SHOWN])}: values below -1024 outside the field of view count as air")
    if not records:
        raise DataError("no case can be used: " + "; ".join(repairs[:_SHOWN]))
    return Cohort(Dataset(tuple(records), lits.LABELS, ("CT",), load_mended, "lits"), tuple(repairs))


def load_mended(record: Record, dataset: Dataset) -> Case:  # noqa: ARG001
    """Read a case and mend what `open_cohort` found.

    Raises:
        VesaliusError: A file cannot be read.
    """
    image, reference = _read(record)
    grid = image.grid if record.groups.get(_PLACE) != "segmentation" or reference is None else reference.grid
    signs = [-1.0 if axis in record.groups.get(_MIRROR, "") else 1.0 for axis in _AXES]
    grid = Grid(grid.shape, np.diag([*signs, 1.0]) @ grid.affine)
    values = image.array.astype(np.int32) if image.array.dtype.kind in "iu" else image.array
    values = np.clip(values - int(record.groups.get(_STORED, "0")), *_RANGE_HU).astype(np.int16)
    made = Volume(values, grid, replace(image.meta, modality="CT", unit="HU"))
    drawn = None if reference is None else LabelMap(reference.array, grid, lits.LABELS)
    return Case(record.id, made, drawn, record.patient)


def _read(record: Record) -> tuple[Volume, LabelMap | None]:
    image = read(record.images[0])
    if image.grid.ndim != 3 or image.channels != 1:
        raise DataError(f"{record.images[0].name}: it must be a volume of one channel")
    return image, None if record.reference is None else read_labels(record.reference, lits.LABELS)


def _examine(record: Record) -> tuple[Record, list[str], bool]:
    """The record with what must be mended, what was found, and whether there is padding."""
    image, reference = _read(record)
    told = list(image.meta.notes)
    groups: dict[str, str] = {}
    lost = _has_no_place(image.grid)
    if reference is not None:
        if reference.grid.shape != image.grid.shape:
            raise DataError(f"its volume has {image.grid.shape} voxels and its segmentation {reference.grid.shape}")
        if not image.grid.is_close(reference.grid, tolerance_mm=0.1):
            if lost and not _has_no_place(reference.grid):
                groups[_PLACE], lost = "segmentation", False
            told.append(
                f"volume and segmentation were placed differently by their headers; that of the "
                f"{groups.get(_PLACE, 'volume')} was taken"
            )
    if lost:
        raise DataError("its header has no spacing (an identity), so that nothing in it has a size in mm")
    offset, below = _stored_with(image, reference)
    if offset:
        groups[_STORED] = str(offset)
        told.append(f"its values were stored {offset} above HU, which was taken off")
    case = load_mended(replace(record, groups=groups), Dataset((), lits.LABELS, ("CT",), load_mended))
    wrong = _turned(case.image, case.reference)
    if wrong:
        groups[_MIRROR] = wrong
        told.append(f"its header mirrors {', '.join(wrong)}: {_why(wrong)}; it was turned back")
    return replace(record, groups=groups), told, below


def _has_no_place(grid: Grid) -> bool:
    """Whether a header says nothing: voxels of 1 x 1 x 1 mm along the axes.

    Source: so in 20 cases of LiTS, 28 to 47: github.com/PatrickChrist/LITS-CHALLENGE/issues/14.
    """
    return bool(np.allclose(np.abs(grid.affine[:3, :3]), np.eye(3), rtol=0, atol=1e-4))


def _stored_with(image: Volume, reference: LabelMap | None) -> tuple[int, bool]:
    """By how much the values lie above HU, and whether there is padding below air."""
    values = image.array[0]
    some = values.reshape(-1)[:: max(1, values.size // 500_000)].astype(np.float64)
    liver = values[reference.array > 0] if reference is not None else np.empty(0)
    if liver.size:
        middle = float(np.median(liver))
    else:  # soft tissue is the commonest thing above the half-way between air and water
        low = max(float(np.percentile(some, 1)), AIR_HU)
        tissue = some[some > low + 700]
        middle = float(np.median(tissue)) if tissue.size else float(some.max())
    below = bool(values.min() < _RANGE_HU[0])
    least, most = _LIVER_HU if liver.size else _BODY_HU
    if least <= middle <= most:
        return 0, below
    if least <= middle - OFFSET_HU <= most:
        return OFFSET_HU, False
    raise DataError(
        f"its {'liver' if liver.size else 'soft tissue'} has a median of {middle:.0f}, and {least:.0f} to {most:.0f} "
        "HU can be: are these HU?"
    )


def _turned(image: Volume, reference: LabelMap | None) -> str:
    """The axes along which a patient is mirrored: the liver must be on the right, the spine behind, lungs above."""
    spacing = [max(_CHECK_MM, s) for s in image.grid.spacing_mm]
    small = respace(image, spacing)
    within = body_mask(small).array == 1
    values = small.array[0]
    middle = _centre(small.grid, within)
    wrong = ""
    if middle is None:
        return wrong
    if reference is not None:
        liver = _centre(reference.grid, reference.array > 0)
        wrong += "x" if liver is not None and liver[0] - middle[0] > _ASIDE_MM else ""
    bone = _centre(small.grid, within & (values > _BONE_HU))
    wrong += "y" if bone is not None and middle[1] - bone[1] > _ASIDE_MM else ""
    lung = reorient(LabelMap((within & (values < _LUNG_HU)).astype(np.uint8), small.grid, _LUNG))
    per_slice = lung.array.sum(axis=(0, 1)) * lung.grid.voxel_volume_mm3 / 1000
    thirds = [float(part.sum()) for part in np.array_split(per_slice, 3)]
    return wrong + ("z" if thirds[0] > max(_LEAST_LUNG_ML, _CLEAR * thirds[2]) else "")


def _centre(grid: Grid, mask: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    places = np.argwhere(mask)
    return np.asarray(grid.to_points(places.mean(axis=0))) if len(places) else None


def _why(wrong: str) -> str:
    reasons = {"x": "the liver lay on the left", "y": "the spine lay in front", "z": "the lungs lay below"}
    return " and ".join(reasons[axis] for axis in wrong)
