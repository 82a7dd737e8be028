"""PLY: vertices and faces with colours, for each face the value of its label, and for each vertex what was measured.

Source: G. Turk, The PLY Polygon File Format, 1994. ``SPACE=`` in a comment is 3D Slicer's.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError
from vesalius.mesh.files.content import Axes, colour_of, made, named, said_space, split_polygons, turned
from vesalius.mesh.files.measured import NO_VALUES, measured, repainted
from vesalius.mesh.painted import Painted, surface_of
from vesalius.mesh.surface import Surface

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}
_LONGEST_HEADER = 1 << 16
_LABEL, _COLOUR, _VALUES = "label ", "colour ", "values "  # words that comments begin with


@dataclass(frozen=True)
class _Property:
    name: str
    kind: str
    counted_by: str | None = None  # of a list: the type of its length


@dataclass
class _Element:
    name: str
    count: int
    properties: list[_Property]


def encode(surfaces: Sequence[Surface | Painted], *, axes: Axes = "lps") -> bytes:
    """A PLY file of all the surfaces, binary, little endian.

    Values at vertices become a property of the vertices, of a name of one word, and their colours; comments tell the
    name as it is, the unit and the scale. A vertex of a surface without these values has NaN.

    Args:
        surfaces: In patient space.
        axes: Of the file; a comment tells them.

    Example:
        >>> from vesalius.image import Label
        >>> one = Surface(np.eye(4)[:, :3], np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]), Label("a", 1))
        >>> encode([one]).splitlines()[4]
        b'comment label 1 a'
    """
    columns = measured(surfaces)
    _refuse_twice(surfaces)
    vertex = np.dtype([("place", "<f4", 3), ("colour", "u1", 3), *((word, "<f4") for word in columns)])
    face = np.dtype([("count", "u1"), ("corners", "<i4", 3), ("label", "<u2")])
    wholes = [surface_of(one) for one in surfaces]
    vertices = np.zeros(sum(len(surface.vertices) for surface in wholes), vertex)
    faces = np.zeros(sum(len(surface.faces) for surface in wholes), face)
    faces["count"] = 3
    at = row = 0
    for one, surface in zip(surfaces, wholes, strict=True):
        here = slice(at, at + len(surface.vertices))
        rows = slice(row, row + len(surface.faces))
        vertices["place"][here] = turned(surface.vertices, axes)
        vertices["colour"][here] = one.colours if isinstance(one, Painted) else colour_of(surface)
        faces["corners"][rows] = surface.faces + at
        faces["label"][rows] = surface.label.value
        at, row = here.stop, rows.stop
    for word, column in columns.items():
        vertices[word] = column.values
    names = [f"comment {_LABEL}{surface.label.value} {' '.join(surface.label.name.split())}" for surface in wholes]
    names += [f"comment {_VALUES}{word} {column.told}" for word, column in columns.items()]
    if columns:  # the vertices do not tell the colours of structures then
        tones = {surface.label.value: colour_of(surface) for surface in wholes}
        names += [f"comment {_COLOUR}{value} {' '.join(map(str, tone))}" for value, tone in tones.items()]
    head = [
        "ply",
        "format binary_little_endian 1.0",
        "comment made by Vesalius, units mm",
        f"comment SPACE={axes.upper()}",
        *names,
        f"element vertex {len(vertices)}",
        *(f"property float {name}" for name in "xyz"),
        *(f"property uchar {name}" for name in ("red", "green", "blue")),
        *(f"property float {word}" for word in columns),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "property ushort label",
        "end_header",
    ]
    return ("\n".join(head) + "\n").encode() + vertices.tobytes() + faces.tobytes()


def _refuse_twice(surfaces: Sequence[Surface | Painted]) -> None:
    values = [one.label.value for one in surfaces]
    twice = [one for one in surfaces if isinstance(one, Painted) and values.count(one.label.value) > 1]
    if twice:
        raise FormatError(
            f"{twice[0].label.name} is there twice, and PLY tells surfaces by their label: write two files"
        )


def decode(data: bytes, path: Path, *, axes: Axes | None = None) -> tuple[Surface, ...]:
    """Read a PLY file, binary or text; faces with a label become a surface for each label.

    Args:
        data: The file.
        path: For the name of what has none.
        axes: Of a file that does not tell them; LPS when left out.

    Raises:
        FormatError: The file is cut off, no PLY, or without vertices and faces.
    """
    return tuple(surface for surface, _ in _parts(data, path, axes))


def decode_painted(data: bytes, path: Path) -> tuple[Painted, ...]:
    """Read the surfaces of a PLY file that have values: one for each kind of values.

    In files of others every property of the vertices that is neither place, direction nor colour is a kind of values.

    Args:
        data: The file.
        path: For the name of what has none.

    Raises:
        FormatError: As for `decode`, or the values are damaged.
    """
    told = {}
    for comment in _header(data)[2]:
        word, _, text = comment.removeprefix(_VALUES).partition(" ")
        if comment.startswith(_VALUES):
            with contextlib.suppress(ValueError, RecursionError):
                told[word] = json.loads(text)
    return tuple(
        repainted(surface, values, told.get(word), word)
        for surface, found in _parts(data, path, None)
        for word, values in found.items()
        if not np.isnan(values).all()
    )


def _parts(data: bytes, path: Path, axes: Axes | None) -> Iterator[tuple[Surface, Mapping[str, NDArray[np.float64]]]]:
    """Every surface, and the values at its vertices by what the file calls them."""
    order, elements, comments, start = _header(data)
    body = _Text(data[start:]) if order == "=" else _Binary(data, start, order)
    found: dict[str, dict[str, Any]] = {}
    for element in elements:
        found[element.name] = body.rows(element)
        if {"vertex", "face"} <= found.keys():
            break
    vertices, faces = found.get("vertex", {}), found.get("face", {})
    corners = faces.get("vertex_indices", faces.get("vertex_index"))
    if not {"x", "y", "z"} <= vertices.keys() or not isinstance(corners, tuple):
        raise FormatError("a PLY file of a surface has vertices with x, y and z, and faces with vertex_indices")
    places = np.stack([np.asarray(vertices[name], np.float64) for name in "xyz"], axis=1)
    rgb = ("red", "green", "blue")
    colours = [vertices[name] for name in rgb] if {*rgb} <= {*vertices} else None
    values = {
        word: np.asarray(column, np.float64)
        for word, column in vertices.items()
        if word not in NO_VALUES and not isinstance(column, tuple)
    }
    counts, indices = corners
    if len(indices) and not (0 <= indices.min() and indices.max() < len(places)):
        raise FormatError("a face names a vertex that is not there")
    triangles = split_polygons(indices, counts)
    labels = np.asarray(faces.get("label", np.ones(len(counts))), np.int64)
    labels = np.repeat(labels, np.maximum(counts - 2, 0))
    space = said_space(" ".join(comments)) or axes or "lps"
    names, tones = _by_label(comments, _LABEL), _by_label(comments, _COLOUR)
    for value in np.unique(labels).tolist() or [1]:
        if not 1 <= value <= 0xFFFF:
            raise FormatError(f"a face has the label {value}; labels are 1 to 65535")
        mine = triangles[labels == value]
        used, which = np.unique(mine, return_inverse=True)
        colour = None
        if value in tones:
            colour = tuple(int(part) if part.isdecimal() else -1 for part in tones[value].split())
        elif colours is not None and len(used):
            colour = tuple(int(part[used[0]]) for part in colours)
        name = names.get(value) or (named(path) if "label" not in faces else f"label {value}")
        surface = made(places[used], which, name=name, value=value, axes=space, colour=_rgb(colour))
        yield surface, {word: column[used] for word, column in values.items()}


def _rgb(colour: tuple[int, ...] | None) -> tuple[int, int, int] | None:
    if colour is None or len(colour) != 3 or not all(0 <= c <= 255 for c in colour):
        return None
    return colour[0], colour[1], colour[2]


def _by_label(comments: Sequence[str], word: str) -> dict[int, str]:
    """What comments that begin with a word tell of each label."""
    found = {}
    for comment in comments:
        value, _, told = comment.removeprefix(word).partition(" ")
        if comment.startswith(word) and value.isdecimal() and told:
            found[int(value)] = told
    return found


def _header(data: bytes) -> tuple[str, list[_Element], list[str], int]:
    end = data.find(b"end_header", 0, _LONGEST_HEADER)
    stop = data.find(b"\n", end) + 1
    if not data.startswith(b"ply") or end < 0 or not stop:
        raise FormatError("not a PLY file: it does not begin with 'ply', or its header has no end")
    order, elements, comments = "", [], []
    for line in data[:end].decode("utf-8", "replace").splitlines()[1:]:
        words = line.split()
        match words:
            case ["format", name, _] if name in _ORDERS:
                order = _ORDERS[name]
            case ["comment" | "obj_info", *_]:
                comments.append(line.strip().partition(" ")[2])
            case ["element", name, count] if count.isdecimal():
                elements.append(_Element(name, int(count), []))
            case ["property", "list", counted, kind, name] if elements and {counted, kind} <= _TYPES.keys():
                elements[-1].properties.append(_Property(name, _TYPES[kind], _TYPES[counted]))
            case ["property", kind, name] if elements and kind in _TYPES:
                elements[-1].properties.append(_Property(name, _TYPES[kind]))
            case []:
                pass
            case _:
                raise FormatError("the header of the PLY file has a line that is none of PLY's")
    if not order:
        raise FormatError("the header of the PLY file does not tell its format")
    for element in elements:
        # Every row takes a byte: a count beyond the file is refused before anything is made for it.
        if element.count > len(data) or not element.properties:
            raise FormatError(f"the PLY file says that it has {element.count} of {element.name}, and is cut off")
    return order, elements, comments, stop


class _Binary:
    """The rows of elements, one after the other."""

    def __init__(self, data: bytes, at: int, order: str) -> None:
        self.data, self.at, self.order = data, at, order

    def rows(self, element: _Element) -> dict[str, Any]:
        lists = [one for one in element.properties if one.counted_by is not None]
        # Nearly always all lists of a file are of one length; only then rows are alike, and are read at once.
        lengths = self._lengths_of_first(element) if lists and element.count else {}
        kinds: list[Any] = []
        for number, one in enumerate(element.properties):
            if one.counted_by is not None:
                kinds.append((f"n{number}", self.order + one.counted_by))
                kinds.append((f"v{number}", self.order + one.kind, (lengths.get(number, 0),)))
            else:
                kinds.append((f"v{number}", self.order + one.kind))
        dtype = np.dtype(kinds)
        end = self.at + element.count * dtype.itemsize
        if not lists and end > len(self.data):
            raise FormatError("the PLY file is cut off")
        if end <= len(self.data):
            table = np.frombuffer(self.data, dtype, element.count, self.at)
            alike = all((table[f"n{at}"] == length).all() for at, length in lengths.items())
            if alike:
                self.at = end
                found: dict[str, Any] = {}
                for number, one in enumerate(element.properties):
                    values = table[f"v{number}"]
                    if one.counted_by is None:
                        found[one.name] = values
                    else:
                        counts = np.full(element.count, lengths.get(number, 0), np.int64)
                        found[one.name] = (counts, values.reshape(-1).astype(np.int64))
                return found
        return self._one_by_one(element)

    def _value(self, kind: str) -> Any:
        dtype = np.dtype(self.order + kind)
        if self.at + dtype.itemsize > len(self.data):
            raise FormatError("the PLY file is cut off")
        value = np.frombuffer(self.data, dtype, 1, self.at)[0]
        self.at += dtype.itemsize
        return value

    def _length(self, kind: str, of: str) -> int:
        length = int(self._value(kind))
        if length < 0 or self.at + length * np.dtype(of).itemsize > len(self.data):
            raise FormatError("the PLY file is cut off, or a list in it is longer than the file")
        return length

    def _lengths_of_first(self, element: _Element) -> dict[int, int]:
        before, found = self.at, {}
        for number, one in enumerate(element.properties):
            if one.counted_by is None:
                self._value(one.kind)
            else:
                found[number] = self._length(one.counted_by, one.kind)
                self.at += found[number] * np.dtype(one.kind).itemsize
        self.at = before
        return found

    def _one_by_one(self, element: _Element) -> dict[str, Any]:
        columns: dict[str, Any] = {one.name: ([], []) if one.counted_by else [] for one in element.properties}
        for _ in range(element.count):
            for one in element.properties:
                if one.counted_by is None:
                    columns[one.name].append(self._value(one.kind))
                    continue
                length = self._length(one.counted_by, one.kind)
                values = np.frombuffer(self.data, self.order + one.kind, length, self.at)
                self.at += values.nbytes
                columns[one.name][0].append(length)
                columns[one.name][1].extend(values.tolist())
        return _arrays(columns)


class _Text:
    """The same of a text file: numbers, a row a line."""

    def __init__(self, data: bytes) -> None:
        self.lines = iter(data.decode("ascii", "replace").splitlines())

    def rows(self, element: _Element) -> dict[str, Any]:
        columns: dict[str, Any] = {one.name: ([], []) if one.counted_by else [] for one in element.properties}
        try:
            for _ in range(element.count):
                words = iter(next(self.lines).split())
                for one in element.properties:
                    if one.counted_by is None:
                        columns[one.name].append(float(next(words)))
                        continue
                    length = int(next(words))
                    columns[one.name][0].append(length)
                    columns[one.name][1].extend(int(next(words)) for _ in range(length))
        except (StopIteration, ValueError):
            raise FormatError("the PLY file is cut off, or has something that is no number") from None
        return _arrays(columns)


def _arrays(columns: dict[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(np.asarray(part, np.int64) for part in column) if isinstance(column, tuple) else np.asarray(column)
        for name, column in columns.items()
    }
