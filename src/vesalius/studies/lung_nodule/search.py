"""The first look at a scan: its lungs, and everything in them that may be a nodule."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vesalius.classical.lungs import LUNGS, lung_fields
from vesalius.errors import DataError, FormatError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import read_labels, write
from vesalius.io.atomic import make_folder, write_text
from vesalius.studies.lung_nodule.scans import Scan
from vesalius.transform import label_components, resample
from vesalius.transform.blobs import Blob, find_blobs
from vesalius.transform.morphology import dilated, eroded

MOST = 80
"""Candidates of a scan that are looked at again."""
WINDOW_HU = (-1000.0, 200.0)
_LUNG_HU = -860.0
_LEAST_HU = 20.0  # strength of a blob: noise of a low dose stays below
_CUBIC_MM = (1.0, 1.5)
_SOLID_HU = -300.0
_MASS_MM = 10.0  # radius of a ball that fits into a mass
_MARGIN_MM = 5.0


@dataclass(frozen=True, eq=False)
class Searched:
    """What the first look found.

    Args:
        scan: Which.
        lungs: Where the lungs' label map is.
        box: The part of the scan's grid around the lungs.
        blobs: What may be a nodule, strongest first.
        masses: What is larger than the network sees, as `find_masses` finds it.
    """

    scan: Scan
    lungs: Path
    box: Grid
    blobs: tuple[Blob, ...]
    masses: tuple[Blob, ...] = ()

    def fields(self) -> LabelMap:
        """The lungs of the scan."""
        return read_labels(self.lungs, LUNGS)


def search(scan: Scan, work: Path) -> Searched:
    """Find the lungs of a scan, and the candidates in them; what was found before is taken up.

    Args:
        scan: Which.
        work: Folder for what is found.

    Returns:
        What was found. The label map of the lungs is written to ``work/lungs``.

    Raises:
        VesaliusError: The scan cannot be read.
        DataError: It shows no lung.
    """
    lungs = make_folder(work / "lungs") / f"{scan.id}.nii.gz"
    table = make_folder(work / "candidates") / f"{scan.id}.json"
    if not (lungs.is_file() and table.is_file()):
        image = scan.read()
        fields = lung_fields(image)
        if not np.isin(fields.array, (1, 2)).any():
            raise DataError(f"{scan.id}: no lung is seen in this scan")
        box = lung_box(fields)
        small, inside = cubic(image, fields, box)
        seen = small.with_array(np.clip(small.array, *WINDOW_HU))
        blobs = find_blobs(seen, inside, least=_LEAST_HU, most=MOST, background=_LUNG_HU)
        masses = tuple(blob for blob, _ in find_masses(small, inside))
        write(fields, lungs)
        found = {
            "box": {"shape": box.shape, "affine": box.affine.tolist()},
            "blobs": [asdict(blob) for blob in blobs],
            "masses": [asdict(blob) for blob in masses],
        }
        write_text(table, json.dumps(found))
    try:
        known = json.loads(table.read_text(encoding="utf-8"))
        box = Grid(tuple(known["box"]["shape"]), np.array(known["box"]["affine"], np.float64))
        blobs, masses = (tuple(_blob(raw) for raw in known[kind]) for kind in ("blobs", "masses"))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise FormatError(f"{table.name}: not the candidates of a scan; remove it and go on with --resume") from error
    return Searched(scan, lungs, box, blobs, masses)


def lung_box(fields: LabelMap, *, margin_mm: float = 20.0) -> Grid:
    """The part of a scan's grid around the lungs.

    Args:
        fields: Of `lung_fields`, with a lung.
        margin_mm: Around the lungs.
    """
    places = np.argwhere(np.isin(fields.array, (1, 2)))
    rim = np.ceil(margin_mm / np.array(fields.grid.spacing_mm)).astype(int)
    low = np.maximum(places.min(axis=0) - rim, 0)
    high = np.minimum(places.max(axis=0) + rim + 1, fields.grid.shape)
    return fields.grid.crop([int(n) for n in low], [int(n) for n in high - low])


def cubic(image: Volume, fields: LabelMap, box: Grid) -> tuple[Volume, LabelMap]:
    """A part of a scan with cubic voxels, and the lungs in it, without airways.

    Args:
        image: The scan.
        fields: Of `lung_fields`.
        box: Which part.

    Returns:
        ``(image, lungs)`` on one grid, of 1 mm, or as fine as the scan where that is coarser, up to 1.5 mm; the lungs
        are label 1.
    """
    grid = box.with_spacing((float(np.clip(min(box.spacing_mm), *_CUBIC_MM)),) * 3)
    lungs = LabelMap(np.isin(fields.array, (1, 2)).astype(np.uint8), fields.grid, Labels.of({"lungs": 1}))
    return resample(image, grid, fill=-1000.0), resample(lungs, grid, interpolation="label-wise")


def find_masses(image: Volume, lungs: LabelMap) -> list[tuple[Blob, LabelMap]]:
    """Solid pieces in the lungs that a ball of 2 cm fits into: larger than what the network judges.

    Args:
        image: Of `cubic`.
        lungs: Of `cubic`.

    Returns:
        Each with its shape on the image's grid; largest first.
    """
    coarse = image.grid.with_spacing((2.5,) * 3)
    values = resample(image, coarse, antialias=True).array[0]
    inside = resample(lungs, coarse, interpolation="label-wise").array > 0
    solid = ndimage.binary_fill_holes(inside & (values > _SOLID_HU))
    cores, sizes = label_components(eroded(solid, coarse.spacing_mm, _MASS_MM), connectivity=1)
    found = []
    for number in np.argsort(-sizes) + 1:
        shape = dilated(cores == number, coarse.spacing_mm, _MASS_MM + _MARGIN_MM) & solid
        pieces, sizes_ = label_components(shape, connectivity=1)
        shape = pieces == 1 + int(sizes_.argmax())
        label = LabelMap(shape.astype(np.uint8), coarse, Labels.of({"mass": 1}))
        found.append((_as_blob(shape, coarse), resample(label, image.grid, interpolation="label-wise")))
    return found


def _as_blob(shape: NDArray[np.bool_], grid: Grid) -> Blob:
    # The deepest place is inside the mass, whatever its form; the middle of a crescent is not.
    depth = ndimage.distance_transform_edt(shape, sampling=grid.spacing_mm)
    deep = np.argwhere(depth > 0.8 * depth.max())
    at = deep[np.linalg.norm(deep - np.argwhere(shape).mean(axis=0), axis=1).argmin()]
    x, y, z = (float(v) for v in grid.to_points(at))
    volume = float(shape.sum()) * grid.voxel_volume_mm3
    return Blob((x, y, z), (6 * volume / np.pi) ** (1 / 3), float(depth.max()))


def cube(centre_mm: Sequence[float], side: int, *, spacing_mm: float = 1.0) -> Grid:
    """A cube of voxels around a point, which is the centre of voxel ``side // 2``, as of a dense classifier's patch.

    Args:
        centre_mm: LPS.
        side: Voxels on each axis.
        spacing_mm: Of them.

    Example:
        >>> cube((0.0, 0.0, 10.0), 4, spacing_mm=2.0).origin_mm
        (-4.0, -4.0, 6.0)
    """
    origin = [float(c) - side // 2 * spacing_mm for c in centre_mm]
    return Grid.from_spacing((side,) * 3, (spacing_mm,) * 3, origin_mm=origin)


def check_places(searched: Sequence[Searched]) -> None:
    """Refuse annotations that lie in no lung: those of another frame (voxels, RAS, axes swapped).

    Args:
        searched: Some scans with findings.

    Raises:
        DataError: Most points lie outside the lungs, and the message says which other reading would put them inside.
    """
    inside: dict[str, int] = {}
    total = 0
    for one in searched:
        fields = one.fields()
        near = dilated(np.isin(fields.array, (1, 2)), fields.grid.spacing_mm, _MARGIN_MM)
        for finding in one.scan.findings:
            if finding.irrelevant:
                continue
            total += 1
            for name, point in _readings(finding.centre_mm, fields.grid).items():
                at = np.round(fields.grid.to_index(point)).astype(int)
                if (at >= 0).all() and (at < near.shape).all() and near[tuple(at)]:
                    inside[name] = inside.get(name, 0) + 1
    right = inside.pop("", 0)
    if not total or right >= total / 2:
        return
    best = max(inside, key=lambda name: inside[name], default="")
    hint = f"; read as {best}, {inside[best]} would" if best and inside[best] > max(right, total / 2) else ""
    raise DataError(
        f"annotations: of {total} nodules only {right} lie in a lung{hint}. The points must be world coordinates in "
        "mm, LPS as in the headers of MetaImage; bring them there and start again"
    )


def _readings(point: Sequence[float], grid: Grid) -> dict[str, NDArray[np.float64]]:
    """Where a point would lie if its numbers meant something else; "" is what they should mean."""
    x, y, z = point
    return {
        "": np.array([x, y, z]),
        "RAS (x and y turned round)": np.array([-x, -y, z]),
        "z, y, x": np.array([z, y, x]),
        "voxel indices": grid.to_points((x, y, z)),
        "voxel indices k, j, i": grid.to_points((z, y, x)),
    }


def _blob(raw: Mapping[str, Any]) -> Blob:
    x, y, z = (float(c) for c in raw["centre_mm"])
    return Blob((x, y, z), float(raw["diameter_mm"]), float(raw["strength"]))
