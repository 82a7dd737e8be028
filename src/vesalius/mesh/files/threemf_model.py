"""The model of a 3MF package as its elements come, and the surfaces that it builds."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError
from vesalius.mesh.files.content import Axes, composed, made, said_space
from vesalius.mesh.surface import Surface

MODEL = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
_IN_MM = {"micron": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "inch": 25.4, "foot": 304.8, "meter": 1000.0}
_DEEPEST = 16  # objects in objects
_MOST_SURFACES = 0xFFFF
_MOST_COPIES = 64  # of the vertices in the file, over all places where objects stand


@dataclass
class _Object:
    """An object: a mesh, or other objects in their places."""

    name: str
    value: str
    material: tuple[str, str] | None
    vertices: array[float] = field(default_factory=lambda: array("d"))
    faces: array[int] = field(default_factory=lambda: array("q"))
    parts: list[tuple[str, NDArray[np.float64]]] = field(default_factory=list)


class Model:
    """Takes the elements of a model one by one."""

    def __init__(self) -> None:
        self._scale_mm = 1.0
        self._objects: dict[str, _Object] = {}
        self._items: list[tuple[str, NDArray[np.float64]]] = []
        self._colours: dict[tuple[str, int], tuple[int, int, int]] = {}
        self._current: _Object | None = None
        self._group = ("", 0)
        self._metadata = False
        self._said = ""

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        space, _, kind = name.rpartition("}")
        if space != MODEL:
            return  # of an extension
        current = self._current
        try:
            if kind == "vertex" and current is not None:
                current.vertices.extend((float(attributes["x"]), float(attributes["y"]), float(attributes["z"])))
            elif kind == "triangle" and current is not None:
                current.faces.extend((int(attributes["v1"]), int(attributes["v2"]), int(attributes["v3"])))
            elif kind == "component" and current is not None:
                current.parts.append((attributes["objectid"], _matrix(attributes.get("transform"))))
            elif kind == "item":
                self._items.append((attributes["objectid"], _matrix(attributes.get("transform"))))
            elif kind == "object":
                self._object(attributes)
            elif kind == "base":
                self._colours[self._group] = _colour(attributes["displaycolor"])
                self._group = (self._group[0], self._group[1] + 1)
            elif kind == "basematerials":
                self._group = (attributes["id"], 0)
            elif kind == "model":
                self._scale_mm = _IN_MM[attributes.get("unit", "millimeter")]
            elif kind == "metadata":
                self._metadata = attributes.get("name") == "Description"
        except (KeyError, ValueError, OverflowError) as error:
            if isinstance(error, FormatError):  # which is a ValueError
                raise
            _refuse(kind)

    def end(self, name: str) -> None:
        """An element ends."""
        if name == f"{MODEL}}}object":
            self._current = None
        elif name == f"{MODEL}}}metadata":
            self._metadata = False

    def text(self, text: str) -> None:
        """The text between elements."""
        if self._metadata:
            self._said = (self._said + text)[:4096]

    def surfaces(self, axes: Axes | None) -> tuple[Surface, ...]:
        """What the model builds, each object in its place.

        Args:
            axes: Of a file that does not tell them.

        Raises:
            FormatError: Nothing is built, an object is missing or holds itself, or vertices or faces cannot be.
        """
        space = said_space(self._said) or axes or "lps"
        surfaces: list[Surface] = []
        points = 0
        allowed = _MOST_COPIES * sum(len(one.vertices) for one in self._objects.values())
        for number, matrix in self._items:
            waiting = [(number, composed(matrix, np.eye(4)), 0)]
            while waiting:
                number, matrix, depth = waiting.pop()
                one = self._objects.get(number)
                if one is None or depth > _DEEPEST:
                    raise FormatError("the model builds an object that is not there, or that holds itself")
                if len(one.parts) + len(waiting) + len(surfaces) > _MOST_SURFACES:
                    raise FormatError(f"the model builds more than {_MOST_SURFACES} objects")
                waiting += [(inner, composed(within, matrix), depth + 1) for inner, within in reversed(one.parts)]
                points += len(one.vertices)
                if points > allowed:
                    raise FormatError("the model builds its objects over and over: it is no print")
                if one.faces:
                    surfaces.append(self._surface(one, matrix, len(surfaces) + 1, space))
        if not surfaces:
            raise FormatError("the model builds nothing that has triangles")
        return tuple(surfaces)

    def _object(self, attributes: dict[str, str]) -> None:
        material = (attributes["pid"], attributes.get("pindex", "0")) if "pid" in attributes else None
        self._current = _Object(attributes.get("name", ""), attributes.get("partnumber", ""), material)
        if attributes["id"] in self._objects:
            raise FormatError("two objects of the model have one id")
        self._objects[attributes["id"]] = self._current

    def _surface(self, one: _Object, matrix: NDArray[np.float64], number: int, space: Axes) -> Surface:
        points = np.frombuffer(one.vertices, np.float64).reshape(-1, 3)
        points = (points @ matrix[:3, :3] + matrix[3, :3]) * self._scale_mm
        faces = np.frombuffer(one.faces, np.int64).reshape(-1, 3)
        if np.linalg.det(matrix[:3, :3]) < 0:
            faces = faces[:, ::-1]  # a mirror image is turned inside out
        colour = None
        if one.material is not None and one.material[1].isdecimal():
            colour = self._colours.get((one.material[0], int(one.material[1])))
        value = int(one.value) if one.value.isdecimal() and 1 <= int(one.value[:6]) <= 0xFFFF else number
        return made(points, faces, name=one.name or f"object {number}", value=value, axes=space, colour=colour)


def _matrix(text: str | None) -> NDArray[np.float64]:
    """A transform ``(4, 4)``, from the right of points that are rows. Source: 3MF core, 3.3 (ST_Matrix3D)."""
    matrix = np.eye(4)
    if text is None:
        return matrix
    numbers = np.array([float(word) for word in text.split()])
    if numbers.shape != (12,) or not np.isfinite(numbers).all():
        raise ValueError(text)
    matrix[:, :3] = numbers.reshape(4, 3)
    return matrix


def _colour(text: str) -> tuple[int, int, int]:
    if len(text) not in (7, 9) or text[0] != "#":
        raise ValueError(text)
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def _refuse(kind: str) -> NoReturn:
    raise FormatError(f"the model has an element '{kind}' without what it must have, or with a value that cannot be")
