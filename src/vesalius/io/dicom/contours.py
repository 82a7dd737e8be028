"""Read the contours of DICOM RT structure sets, of any maker, as label maps."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import RTStructureSetStorage

from vesalius.errors import DataError, FormatError, GeometryError, unknown_name
from vesalius.image import Code, Grid, Label, LabelMap
from vesalius.io.dicom.header import damage_is_a_format_error, read_header
from vesalius.io.dicom.layers import Layer, flatten
from vesalius.io.dicom.planes import Contour, draw
from vesalius.io.dicom.quiet import quiet

_CONTOUR_DATA = Tag(0x3006, 0x0050)
_CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR", "CLOSEDPLANAR"}
_OPEN = {"POINT", "OPEN_PLANAR", "OPEN_NONPLANAR"}
_LARGEST_NUMBER = 65_535
_FARTHEST_MM = 1e6  # from the origin of its space no patient lies a kilometre


@dataclass(frozen=True, eq=False)
class Structure:
    """A structure of a structure set as it is stored.

    Args:
        label: Its name, its number in the file as value, colour and code.
        contours: In mm.
    """

    label: Label
    contours: tuple[Contour, ...]


def read_rtstruct(
    path: str | os.PathLike[str],
    grid: Grid,
    *,
    structures: Sequence[str] | None = None,
    slab_mm: float | None = None,
) -> LabelMap:
    """Read an RT structure set onto a grid.

    A voxel belongs to a structure when its centre lies inside its contours. Contours in one plane are combined by the
    even-odd rule: a contour inside another is a hole, keyhole or not. Contours that are stored twice count once, unless
    their type says that they are to be combined by exclusive or. What encloses no centre, being thinner than a voxel or
    a point or an open line, has the voxels that it passes through, so that nothing vanishes. (On a grid that is oblique
    to the contours that holds for a structure as a whole, not for each of its contours.)

    Contours stand for a slab: what the file says it is, else the distance between neighbouring planes of contours. So a
    grid with thinner slices than the contours were drawn on is filled, too. The planes need not be slices of the grid,
    nor parallel to them.

    Structures may overlap, the values of a label map may not: each combination that occurs becomes a label of its own
    (``"liver + lesion"``), and a structure of several parts a region that joins them, as with `read_seg`.

    Args:
        path: The file.
        grid: Where to draw, 3D: that of the image series, for example. What lies outside is cut off.
        structures: Names of those wanted; all, when left out.
        slab_mm: The thickness that a contour stands for, where what the file says or suggests is wrong.

    Returns:
        The label map, with the structures' names, colours and codes. Values are the ROI numbers where those can be
        values. A structure that has no contours is a label without voxels.

    Raises:
        FormatError: The file is no structure set, or damaged.
        GeometryError: The grid is 2D, a closed contour is not planar, or no contour lies on the grid.
        DataError: There is no structure of a name, or the thickness is not positive.

    Source: DICOM PS3.3 C.8.8.6 (ROI Contour module).
    """
    where = Path(path)
    if grid.ndim != 3:
        raise GeometryError(f"{where.name}: contours lie in space, and cannot be drawn on a 2D grid")
    if slab_mm is not None and not (np.isfinite(slab_mm) and slab_mm > 0):
        raise DataError(f"slab_mm must be a positive thickness, not {slab_mm}")
    found = read_structures(where)
    wanted = _chosen(found, structures, where.name)
    all_contours = [[c for c in one.contours if c.closed] for one in found]
    layers = []
    for one in wanted:
        try:
            start, mask = draw(one.contours, grid, all_contours, slab_mm=slab_mm)
        except GeometryError as error:
            raise GeometryError(f"{where.name}: structure {one.label.value}: {error}") from None
        layers.append(Layer(one.label, start, mask))
    if any(one.contours for one in wanted) and not any(layer.mask.any() for layer in layers):
        raise GeometryError(
            f"{where.name}: no contour lies on the grid: it belongs to another image series, or the grid was cropped"
        )
    return flatten(layers, grid)


def read_structures(path: str | os.PathLike[str]) -> tuple[Structure, ...]:
    """Read the structures of a structure set with their contours in mm.

    Args:
        path: The file.

    Returns:
        In the order of the file. Names that occur twice are told apart by a number; a structure without a name is
        called after its number.

    Raises:
        FormatError: The file is no structure set, or damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        ...     read_structures(file.name)
        Traceback (most recent call last):
        vesalius.errors.FormatError: ...: is no RT structure set (RTSTRUCT)
    """
    where = Path(path)
    try:
        with quiet:
            header = read_header(where)  # refuses bombs
            if header is None or header.elements.SOPClassUID != RTStructureSetStorage:
                raise FormatError(f"{where.name}: is no RT structure set (RTSTRUCT)")
            with damage_is_a_format_error(where):
                return tuple(_structures(dcmread(where, force=True), where.name))
    except OSError as error:
        raise FormatError(f"{where.name}: the file cannot be read: {error.strerror}") from error


def _structures(dataset: Dataset, name: str) -> Iterable[Structure]:
    drawn = {int(item.ReferencedROINumber): item for item in dataset.get("ROIContourSequence") or ()}
    observed = {int(item.ReferencedROINumber): item for item in dataset.get("RTROIObservationsSequence") or ()}
    declared = list(dataset.get("StructureSetROISequence") or ())
    numbers = [int(item.ROINumber) for item in declared]
    if len(set(numbers)) != len(numbers):
        raise FormatError(f"{name}: two structures have the same number: damaged, or put together from several files")
    stray = sorted(set(drawn) - set(numbers))
    if stray:
        raise FormatError(f"{name}: {len(stray)} structures have contours and are not declared: damaged or incomplete")
    if not all(1 <= number <= _LARGEST_NUMBER for number in numbers):
        values = dict(zip(numbers, range(1, len(numbers) + 1), strict=True))
    else:
        values = {number: number for number in numbers}
    taken: set[str] = set()
    for item, number in zip(declared, numbers, strict=True):
        plain = str(item.get("ROIName") or "").strip() or f"structure {number}"
        called, count = plain, 2
        while called in taken:
            called, count = f"{plain} ({count})", count + 1
        taken.add(called)
        contours = drawn.get(number, Dataset())
        label = Label(called, values[number], _colour(contours), _code(observed.get(number)))
        yield Structure(label, tuple(_contours(contours, f"{name}: structure {number}")))


def _contours(item: Dataset, name: str) -> Iterable[Contour]:
    planes = (item.get("SourcePixelPlanesCharacteristicsSequence") or [Dataset()])[0]
    between = _positive(planes.get("SpacingBetweenSlices"))
    for number, contour in enumerate(item.get("ContourSequence") or (), start=1):
        kind = str(contour.get("ContourGeometricType") or "").strip().upper()
        points = _points(contour, f"{name}: contour {number}")
        if kind not in _CLOSED | _OPEN:
            raise FormatError(f"{name}: contour {number} is of a kind that DICOM does not know")
        if len(points):
            slab = _positive(contour.get("ContourSlabThickness")) or between  # the former is retired
            yield Contour(points, closed=kind in _CLOSED, exclusive=kind == "CLOSEDPLANAR_XOR", slab_mm=slab)


def _positive(value: object) -> float | None:
    """A length; none where it is missing, or 0, as those write it who do not know."""
    if value is None or not str(value).strip():
        return None
    number = float(str(value))
    return number if np.isfinite(number) and number > 0 else None


def _points(contour: Dataset, name: str) -> NDArray[np.float64]:
    """The points of a contour, mm, ``(n, 3)``."""
    if _CONTOUR_DATA not in contour:
        return np.empty((0, 3))
    # As bytes: pydicom would make an object of each of a million numbers.
    value: Any = contour.get_item(_CONTOUR_DATA)
    value = value.value
    if isinstance(value, bytes):
        parts = [part.strip(b" \0") for part in value.split(b"\\")] if value.strip(b" \0") else []
    else:
        parts = [str(part).encode() for part in (value or ())]
    try:
        numbers = np.array(parts, dtype="S").astype(np.float64) if parts else np.empty(0)
    except ValueError:
        raise FormatError(f"{name} holds something else than numbers") from None
    # Written so that NaN fails it too.
    if numbers.size % 3 or not (np.abs(numbers) < _FARTHEST_MM).all():
        raise FormatError(f"{name} must hold three finite numbers a point, in mm: it is cut off or damaged")
    return numbers.reshape(-1, 3)


def _colour(item: Dataset) -> tuple[int, int, int] | None:
    value = item.get("ROIDisplayColor")
    if value is None or isinstance(value, str) or len(value) != 3:
        return None
    red, green, blue = (min(max(int(part), 0), 255) for part in value)
    return red, green, blue


def _code(item: Dataset | None) -> Code | None:
    codes = (item.get("RTROIIdentificationCodeSequence") or ()) if item is not None else ()
    if not codes:
        return None
    value = codes[0].get("CodeValue") or codes[0].get("LongCodeValue") or ""
    scheme, meaning = (str(codes[0].get(key) or "") for key in ("CodingSchemeDesignator", "CodeMeaning"))
    return Code(scheme, str(value), meaning) if value else None


def _chosen(found: Sequence[Structure], names: Sequence[str] | None, file: str) -> list[Structure]:
    if names is None:
        return list(found)
    known = {one.label.name: one for one in found}
    for name in names:
        if name not in known:
            raise DataError(f"{file}: {unknown_name('structure', name, known)}")
    return [known[name] for name in names]
