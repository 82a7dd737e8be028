"""The readings of LIDC-IDRI: what up to four readers drew in a CT of the chest, one XML file beside the DICOM series.

Nodules of 3 mm and more are outlined slice by slice, smaller ones and what is no nodule are single points. Outlines run
through the first pixels outside the nodule.

Source: McNitt-Gray et al., Academic Radiology 14(12), 2007, doi:10.1016/j.acra.2007.07.021; Armato et al., Medical
Physics 38(2), 2011, doi:10.1118/1.3528204; the names of the elements from the data set's own files.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.io import xml
from vesalius.io.dicom.filling import fill

ROOT = "LidcReadMessage"
NODULE = Labels.of({"nodule": 1})

_LARGEST_BYTES = 64 << 20
_DEEPEST = 32  # elements in elements; the files have 6
_OFF_SLICE = 0.4  # of a slice's distance, at most, from the slice that a contour names
_UNMEASURED_MM = 10.0  # of a point that stands for something small or for no nodule


@dataclass(frozen=True, eq=False)
class Contour:
    """An outline in one slice.

    Args:
        z_mm: Height of the slice, as in its header.
        pixels: ``(n, 2)``, column and row of the pixels that the outline runs through, from 0; one alone is a point.
        inclusion: Whether it holds nodule; otherwise it is cut out of one.
    """

    z_mm: float
    pixels: NDArray[np.int32]
    inclusion: bool


@dataclass(frozen=True)
class Reading:
    """What one reader said.

    Args:
        nodules: Of 3 mm and more, each with its outlines.
        points: Nodules below 3 mm and what is no nodule, a contour of one pixel each.
    """

    nodules: tuple[tuple[Contour, ...], ...]
    points: tuple[Contour, ...]


@dataclass(frozen=True)
class Seen:
    """A nodule that readers agree on, or something that need not be found.

    Args:
        centre_mm: LPS.
        diameter_mm: Of a ball of the same volume; 10 where nobody measured it.
    """

    centre_mm: tuple[float, float, float]
    diameter_mm: float


def read_readings(path: str | os.PathLike[str]) -> tuple[Reading, ...]:
    """Read what the readers drew.

    Args:
        path: The XML file. One that declares a document type or entities is refused: they can make a small file
            huge, or name other files.

    Returns:
        One reading for each reader, in the file's order.

    Raises:
        FormatError: It cannot be read, or is not such a file.
    """
    where = Path(path)
    root = _parse(where)
    if _name(root) != ROOT:
        raise FormatError(f"{where.name}: not a reading of LIDC-IDRI: its first element is not {ROOT}")
    try:
        return tuple(_reading(session) for session in root if _name(session) == "readingSession")
    except ValueError as error:
        raise FormatError(f"{where.name}: a reading lacks an element or holds no number where one must be") from error


def read(path: Path) -> LabelMap:
    """The nodules that at least half of the readers drew, voxel by voxel, on the grid of the series beside the file.

    Raises:
        FormatError: The file or the series cannot be read, or they do not belong together.
    """
    return consensus(read_readings(path), _grid_beside(path), name=path.name)


def consensus(readings: tuple[Reading, ...], grid: Grid, *, name: str = "the reading", share: float = 0.5) -> LabelMap:
    """Where at least a share of the readers saw nodule.

    Args:
        readings: At least one.
        grid: Of the series, as `vesalius.io.read` gives it: columns, rows, slices.
        name: Of the file, for messages.
        share: Of all readers, above 0 to 1; half is the usual consensus.

    Returns:
        The label ``nodule``.

    Raises:
        FormatError: An outline lies in no slice or outside of the image.

    Example:
        >>> ring = np.array([[2, 2], [3, 2], [4, 2], [4, 3], [4, 4], [3, 4], [2, 4], [2, 3]], np.int32)
        >>> drawn = Reading(((Contour(0.0, ring, True),),), ())
        >>> found = consensus((drawn, Reading((), ())), Grid.from_spacing((8, 8, 3), (1.0, 1.0, 2.0)))
        >>> np.argwhere(found.array).tolist()
        [[3, 3, 0]]

    Source: the consensus at 50 %: Armato et al. 2011 report the readers' variability; half of the readers is what
    pylidc's ``consensus`` takes by default (of those who drew the nodule; here of all who read the scan).
    """
    votes = np.zeros(grid.shape, np.uint8)
    for reading in readings:
        votes += _drawn(reading, grid, name)
    return LabelMap(votes >= max(1, math.ceil(share * len(readings))), grid, NODULE)


def consensus_nodules(path: str | os.PathLike[str]) -> tuple[tuple[Seen, ...], tuple[Seen, ...]]:
    """The nodules of a scan as places and sizes.

    Args:
        path: The XML file, beside its series.

    Returns:
        ``(nodules, ignored)``: those that half of the readers agree on; and what need not be found: nodules of fewer
        readers, those below 3 mm, and what readers marked as no nodule.

    Raises:
        FormatError: As `read`.
    """
    from scipy import ndimage

    where = Path(path)
    readings = read_readings(where)
    grid = _grid_beside(where)
    agreed = consensus(readings, grid, name=where.name).array > 0
    anyone = consensus(readings, grid, name=where.name, share=1e-6).array > 0
    pieces, count = ndimage.label(anyone, np.ones((3, 3, 3)))
    nodules: list[Seen] = []
    ignored: list[Seen] = []
    for number in range(1, count + 1):
        whole = pieces == number
        both = whole & agreed
        (nodules if both.any() else ignored).append(_seen(both if both.any() else whole, grid))
    for reading in readings:
        for point in reading.points:
            x, y, z = (float(c) for c in grid.to_points((*point.pixels[0], _slice(point, grid, where.name))))
            ignored.append(Seen((x, y, z), _UNMEASURED_MM))
    return tuple(nodules), tuple(ignored)


def _seen(mask: NDArray[np.bool_], grid: Grid) -> Seen:
    x, y, z = (float(c) for c in grid.to_points(np.argwhere(mask).mean(axis=0)))
    return Seen((x, y, z), (6 * float(mask.sum()) * grid.voxel_volume_mm3 / math.pi) ** (1 / 3))


def _drawn(reading: Reading, grid: Grid, name: str) -> NDArray[np.bool_]:
    """What one reader drew: all that outlines enclose, without the pixels that they run through."""
    found = np.zeros(grid.shape, np.bool_)
    for nodule in reading.nodules:
        for contour in sorted(nodule, key=lambda one: not one.inclusion):  # holes after what they are cut out of
            if (contour.pixels < 0).any() or (contour.pixels >= grid.shape[:2]).any():
                raise FormatError(f"{name}: an outline lies outside of the image beside it")
            plane = np.zeros(grid.shape[:2], np.bool_)
            fill(contour.pixels.astype(np.float64), plane)
            plane[tuple(contour.pixels.T)] = False
            level = _slice(contour, grid, name)
            if contour.inclusion:
                found[:, :, level] |= plane
            else:
                found[:, :, level] &= ~plane
    return found


def _slice(contour: Contour, grid: Grid, name: str) -> int:
    at = float(grid.to_index((*grid.origin_mm[:2], contour.z_mm))[2])
    level = round(at)
    if abs(at - level) > _OFF_SLICE or not 0 <= level < grid.shape[2]:
        raise FormatError(f"{name}: an outline lies in no slice of the series beside it")
    return level


def _grid_beside(path: Path) -> Grid:
    from vesalius.io.dicom import read_series

    grid = read_series(path.parent).grid
    if grid.ndim != 3:
        raise FormatError(f"{path.name}: the series beside it is no CT of several slices")
    return grid


def _reading(session: Element) -> Reading:
    nodules: list[tuple[Contour, ...]] = []
    points: list[Contour] = []
    for part in session:
        if _name(part) == "unblindedReadNodule":
            contours = tuple(_contour(roi) for roi in part if _name(roi) == "roi")
            # A nodule below 3 mm is one pixel; larger ones may have such a pixel as their first or last slice.
            if len(contours) == 1 and len(contours[0].pixels) == 1:
                points.append(contours[0])
            elif contours:
                nodules.append(contours)
        elif _name(part) == "nonNodule":
            (edge,) = (child for child in part if _name(child) == "locus")
            points.append(Contour(float(_text(part, "imageZposition")), _pixels([edge]), True))
    return Reading(tuple(nodules), tuple(points))


def _contour(roi: Element) -> Contour:
    inclusion = _text(roi, "inclusion").upper()
    if inclusion not in ("TRUE", "FALSE"):
        raise ValueError(inclusion)
    edges = [child for child in roi if _name(child) == "edgeMap"]
    return Contour(float(_text(roi, "imageZposition")), _pixels(edges), inclusion == "TRUE")


def _pixels(edges: list[Element]) -> NDArray[np.int32]:
    if not edges:
        raise ValueError("no edgeMap")
    return np.array([[int(_text(edge, "xCoord")), int(_text(edge, "yCoord"))] for edge in edges], np.int32)


def _text(element: Element, name: str) -> str:
    found = next((child for child in element if _name(child) == name), None)
    if found is None or found.text is None:
        raise ValueError(name)
    return found.text.strip()


def _name(element: Element) -> str:
    """Without the namespace, of which the files have several."""
    return str(element.tag).rpartition("}")[2]


def _parse(path: Path) -> Element:
    """A tree of elements, by expat with document types and entities refused."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise FormatError(f"{path.name}: larger than a reading of LIDC-IDRI can be")
        data = path.read_bytes()
    except OSError as error:
        raise FormatError(f"{path.name}: the file cannot be read: {error.strerror}") from error
    builder = TreeBuilder()
    try:
        xml.parse(
            data,
            start=builder.start,
            end=builder.end,
            text=builder.data,
            what="a reading of LIDC-IDRI",
            deepest=_DEEPEST,
        )
        return builder.close()
    except (ParseError, AssertionError) as error:
        raise FormatError(f"{path.name}: not XML, or cut off") from error
    except FormatError as error:
        raise FormatError(f"{path.name}: {error}") from error
