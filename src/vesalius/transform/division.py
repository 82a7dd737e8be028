"""How an organ is to be divided, as a JSON file says it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError, GeometryError
from vesalius.image import Label, LabelMap, Labels
from vesalius.transform.partition import COUINAUD, COUINAUD_CODES, Plane, partition, plane_through

_KINDS = "point_mm and normal, or points_mm and towards, or labels and towards"


def divide(labels: LabelMap, path: str | os.PathLike[str]) -> LabelMap:
    """Divide a structure by the planes that a JSON file names.

    The file holds ``organ``, the label or region that is divided; ``planes``, each with a name and either ``point_mm``
    and ``normal``, or ``points_mm`` (landmarks) and ``towards``, or ``labels`` (structures that the plane is laid
    through, such as a vein) and ``towards``; and ``parts``: ``"couinaud"``, or for each part the signs of the planes
    that matter for it, or the labels that it is. With ``"couinaud"`` there may be ``caudate``, signs of planes or a
    list of labels: segment I, which is taken out first. Points are LPS, mm; ``towards`` is the positive side: left,
    right, front, back, head or feet.

    Args:
        labels: 3D.
        path: The file.

    Returns:
        As of `vesalius.transform.partition.partition`; each part is called ``organ: part``, and Couinaud's have codes.

    Raises:
        FormatError: The file cannot be read, or does not hold this.
        GeometryError: A plane cannot be laid.
        DataError: A name is unknown.

    Example:
        >>> import tempfile
        >>> from vesalius.image import Grid
        >>> grid = Grid.from_spacing((6, 2, 2), (1.0, 1.0, 1.0))
        >>> labels = LabelMap(np.ones(grid.shape, int), grid, Labels.of({"liver": 1}))
        >>> text = '{"organ": "liver", "planes": {"middle": {"point_mm": [2, 0, 0], "normal": [1, 0, 0]}}}'
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "planes.json"
        ...     _ = path.write_text(text)
        ...     divide(labels, path).labels.names
        ('liver: +middle', 'liver: -middle')
    """
    where = Path(path)
    try:
        told = json.loads(where.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(f"{where.name}: is no JSON file that can be read") from error
    if not isinstance(told, dict) or not isinstance(told.get("organ"), str) or not isinstance(told.get("planes"), dict):
        raise FormatError(f"{where.name}: must hold organ (a name) and planes (by name)")
    segments = told.get("parts") == "couinaud"
    parts = told.get("parts") if not segments else COUINAUD
    if "caudate" in told:
        if not segments:
            raise FormatError(f"{where.name}: caudate goes with parts: couinaud; name other parts in parts")
        parts = {"I": told["caudate"], **COUINAUD}
    if not (parts is None or (isinstance(parts, Mapping) and all(_is_part(one) for one in parts.values()))):
        raise FormatError(
            f"{where.name}: parts must be couinaud, or for a part (and caudate) the signs of planes or a list of labels"
        )
    planes = {name: _plane(where.name, name, one, labels) for name, one in told["planes"].items()}
    made = partition(labels, told["organ"], planes, parts=parts)
    codes = COUINAUD_CODES if segments else {}
    named = [Label(f"{told['organ']}: {one.name}", one.value, code=codes.get(one.name)) for one in made.labels.labels]
    return LabelMap(made.array, made.grid, Labels(tuple(named)))


def _is_part(told: Any) -> bool:
    return isinstance(told, Mapping) or (isinstance(told, list) and all(isinstance(one, str) for one in told))


def _plane(file: str, name: str, told: Any, labels: LabelMap) -> Plane:
    """A plane as the file says it."""
    keys = set(told) if isinstance(told, Mapping) else set()
    if keys == {"point_mm", "normal"}:
        point, normal = _numbers(file, name, told["point_mm"]), _numbers(file, name, told["normal"])
        if point.shape != (3,) or normal.shape != (3,):
            raise FormatError(f"{file}: plane {name!r}: a point and a normal have three numbers")
        return Plane((point[0], point[1], point[2]), (normal[0], normal[1], normal[2]))
    if keys == {"points_mm", "towards"}:
        points = _numbers(file, name, told["points_mm"])
        if points.ndim != 2 or points.shape[1] != 3:
            raise FormatError(f"{file}: plane {name!r}: each landmark has three numbers")
    elif keys == {"labels", "towards"} and isinstance(told["labels"], list):
        members = [value for one in told["labels"] for value in labels.labels.members(str(one))]
        points = labels.grid.to_points(np.argwhere(np.isin(labels.array, members)))
    else:
        raise FormatError(f"{file}: plane {name!r} must hold {_KINDS}")
    try:
        return plane_through(points, towards=str(told["towards"]))
    except GeometryError as error:
        raise GeometryError(f"{file}: plane {name!r}: {error}") from error


def _numbers(file: str, name: str, told: Any) -> NDArray[np.float64]:
    try:
        found: NDArray[np.float64] = np.asarray(told, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{file}: plane {name!r}: points and normals are lists of numbers") from error
    return found
