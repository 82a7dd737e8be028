"""Read GLB files: the triangles of every node, turned from glTF's axes to the patient's.

Source: Khronos Group, glTF 2.0 Specification (ISO/IEC 12113:2022), KHR_mesh_quantization, KHR_draco_mesh_compression.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError
from vesalius.mesh.colours import on_screen
from vesalius.mesh.files.content import Axes, composed, made, named
from vesalius.mesh.files.gltf import WORLD, draco
from vesalius.mesh.files.measured import repainted
from vesalius.mesh.painted import Painted
from vesalius.mesh.surface import Surface

_Values = dict[str, tuple[NDArray[np.float64], dict[str, Any]]]

_KNOWN = frozenset({"KHR_mesh_quantization", "KHR_draco_mesh_compression", "KHR_materials_unlit"})
_TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_SIZES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
_DEEPEST = 64  # nodes in nodes
_MOST_SURFACES = 0xFFFF
_TRIANGLES = 4  # mode of a primitive
_MOST_DRACO = 1 << 28  # numbers that one primitive may unfold to
_DRACO_HEADROOM = 1 << 11  # a byte of Draco's best case is some tens of vertices


def decode(data: bytes, path: Path, *, axes: Axes | None = None) -> tuple[Surface, ...]:
    """Read a GLB file; all that it needs must be in it.

    Args:
        data: The file.
        path: For the name of what has none.
        axes: Not allowed: glTF has axes of its own.

    Returns:
        A surface for each node that has triangles, in patient space.

    Raises:
        FormatError: It is no GLB, cut off, refers to other files or to what is not there, or needs an extension that
            is not known.
        MissingDependencyError: It is compressed with Draco, and DracoPy is not installed.
    """
    if axes is not None:
        raise FormatError("glTF has axes of its own: leave them out")
    return tuple(surface for surface, _ in _parts(data, path))


def decode_painted(data: bytes, path: Path) -> tuple[Painted, ...]:
    """Read the surfaces of a GLB file that have values at their vertices, one for each kind of values.

    Args:
        data: The file.
        path: For the name of what has none.

    Raises:
        FormatError: As for `decode`, or the values are damaged.
        MissingDependencyError: As for `decode`.
    """
    return tuple(
        repainted(surface, values, told, word)
        for surface, found in _parts(data, path)
        for word, (values, told) in found.items()
    )


def _parts(data: bytes, path: Path) -> list[tuple[Surface, _Values]]:
    document, binary = _chunks(data)
    missing = set(_list(document, "extensionsRequired")) - _KNOWN
    if missing:
        raise FormatError(f"the GLB file needs {', '.join(sorted(map(str, missing)))[:200]}, which is not known here")
    try:
        return _Scene(document, binary).parts(named(path))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            "the GLB file is damaged: it refers to something that is not there, or of another kind"
        ) from (error)


def _chunks(data: bytes) -> tuple[dict[str, Any], bytes]:
    if len(data) < 20 or data[:4] != b"glTF":
        raise FormatError("not a GLB file: it does not begin with 'glTF'")
    version, total, length, kind = struct.unpack_from("<III4s", data, 4)
    if version != 2 or total != len(data) or kind != b"JSON" or 20 + length > total:
        raise FormatError("the GLB file is cut off, or of another version than 2")
    try:
        document = json.loads(data[20 : 20 + length])
    except (ValueError, RecursionError) as error:
        raise FormatError("the JSON of the GLB file is damaged") from error
    if not isinstance(document, dict):
        raise FormatError("the JSON of the GLB file is damaged")
    at = 20 + length
    if at + 8 > total:
        return document, b""
    length, kind = struct.unpack_from("<I4s", data, at)
    if kind != b"BIN\0" or at + 8 + length > total:
        raise FormatError("the GLB file is cut off")
    return document, data[at + 8 : at + 8 + length]


def _list(document: dict[str, Any], name: str) -> list[Any]:
    found = document.get(name, [])
    return found if isinstance(found, list) else []


class _Scene:
    def __init__(self, document: dict[str, Any], binary: bytes) -> None:
        self.document, self.binary = document, binary
        if any("uri" in one for one in _list(document, "buffers")):
            raise FormatError("the GLB file keeps its data in other files, which are not read")

    def parts(self, name: str) -> list[tuple[Surface, _Values]]:
        scenes = _list(self.document, "scenes")
        nodes = self.document["nodes"]
        roots = scenes[self.document.get("scene", 0)]["nodes"] if scenes else range(len(nodes))
        back = np.linalg.inv(WORLD)
        found: list[tuple[Surface, _Values]] = []
        waiting = [(at, back, 0) for at in reversed(roots)]
        seen: set[int] = set()
        while waiting:
            at, matrix, depth = waiting.pop()
            if at in seen or not 0 <= at < len(nodes) or depth > _DEEPEST:
                raise FormatError("the nodes of the GLB file are no tree")
            seen.add(at)
            node = nodes[at]
            matrix = composed(matrix, _placed(node))
            waiting += [(child, matrix, depth + 1) for child in reversed(node.get("children", []))]
            if "mesh" not in node:
                continue
            for primitive in self.document["meshes"][node["mesh"]]["primitives"]:
                if primitive.get("mode", _TRIANGLES) == _TRIANGLES:
                    surface = self._surface(primitive, node, matrix, len(found) + 1, name)
                    found.append((surface, self._values(primitive, node, len(surface.vertices))))
                if len(found) > _MOST_SURFACES:
                    raise FormatError(f"the GLB file has more than {_MOST_SURFACES} surfaces")
        if not found:
            raise FormatError("the GLB file has no triangles")
        return found

    def _values(self, primitive: dict[str, Any], node: dict[str, Any], count: int) -> _Values:
        """The numbers at the vertices, by the word of their attribute, and what is told of them."""
        extras = node.get("extras")
        told = extras.get("values") if isinstance(extras, dict) else None
        found: _Values = {}
        for word, at in primitive["attributes"].items():
            if not word.startswith("_") or self.document["accessors"][at]["type"] != "SCALAR":
                continue
            values = self._array(at).astype(np.float64)
            if len(values) != count:
                raise FormatError("the GLB file has not as many values as vertices")
            mine = told if isinstance(told, dict) and told.get("attribute") == word else {}
            values[values == mine.get("nothing")] = np.nan
            found[word] = (values, mine)
        return found

    def _surface(
        self, primitive: dict[str, Any], node: dict[str, Any], matrix: NDArray[np.float64], number: int, name: str
    ) -> Surface:
        folded = primitive.get("extensions", {}).get("KHR_draco_mesh_compression")
        if folded is not None:
            points, faces = self._unfolded(folded, primitive)
        else:
            points = self._array(primitive["attributes"]["POSITION"])
            if "indices" in primitive:
                faces = self._array(primitive["indices"]).astype(np.int64)
            else:
                faces = np.arange(len(points))
        if points.ndim != 2 or points.shape[1] != 3 or faces.size % 3:
            raise FormatError("the GLB file has triangles that are incomplete")
        points = points @ matrix[:3, :3].T + matrix[:3, 3]
        faces = faces.reshape(-1, 3)
        if np.linalg.det(matrix[:3, :3]) < 0:
            faces = faces[:, ::-1]
        extras = node.get("extras")
        value = extras.get("label") if isinstance(extras, dict) else None
        known = isinstance(value, int) and 1 <= value <= 0xFFFF
        return made(
            points,
            faces,
            name=str(node.get("name") or f"{name} {number}"),
            value=value if known and value is not None else number,
            colour=_told_colour(extras) or self._colour(primitive),
        )

    def _view(self, at: int) -> tuple[int, int, int]:
        view = self.document["bufferViews"][at]
        start, length = int(view.get("byteOffset", 0)), int(view["byteLength"])
        if view.get("buffer", 0) != 0 or start < 0 or length < 0 or start + length > len(self.binary):
            raise FormatError("the GLB file is cut off: a view reaches beyond its data")
        return start, length, int(view.get("byteStride", 0))

    def _array(self, at: int) -> NDArray[Any]:
        told = self.document["accessors"][at]
        if "sparse" in told or "bufferView" not in told:
            raise FormatError("the GLB file has sparse or empty accessors, which are not read")
        dtype, size, count = np.dtype(_TYPES[told["componentType"]]), _SIZES[told["type"]], int(told["count"])
        start, length, stride = self._view(told["bufferView"])
        offset, row = int(told.get("byteOffset", 0)), dtype.itemsize * size
        stride = stride or row
        if count < 1 or offset < 0 or stride < row or offset + (count - 1) * stride + row > length:
            raise FormatError("the GLB file is cut off: an accessor reaches beyond its view")
        values: NDArray[Any] = np.ndarray((count, size), dtype, self.binary, start + offset, (stride, dtype.itemsize))
        if told.get("normalized"):
            values = np.maximum(values / np.iinfo(dtype).max, -1.0)
        return values if size > 1 else values[:, 0]

    def _unfolded(self, folded: dict[str, Any], primitive: dict[str, Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        start, length, _ = self._view(folded["bufferView"])
        told = [self.document["accessors"][primitive["attributes"]["POSITION"]]["count"]]
        told.append(self.document["accessors"][primitive["indices"]]["count"])
        if not all(0 < int(count) <= min(_MOST_DRACO, length * _DRACO_HEADROOM) for count in told):
            raise FormatError("the GLB file tells counts that its data cannot hold")
        decoder = draco()
        try:
            found = decoder.decode(self.binary[start : start + length])
        except Exception as error:  # what DracoPy raises has no common root
            raise FormatError("the Draco data of the GLB file is damaged") from error
        points, faces = np.asarray(found.points, np.float64), np.asarray(found.faces, np.int64)
        if [len(points), faces.size] != told:
            raise FormatError("the GLB file tells other counts than its Draco data has")
        return points, faces

    def _colour(self, primitive: dict[str, Any]) -> tuple[int, int, int] | None:
        if "material" not in primitive:
            return None
        material = self.document["materials"][primitive["material"]]
        factor = material.get("pbrMetallicRoughness", {}).get("baseColorFactor")
        if factor is None:
            return None
        red, green, blue = on_screen(factor[:3]).tolist()
        return red, green, blue


def _told_colour(extras: Any) -> tuple[int, int, int] | None:
    """The structure's own colour, where its vertices have those of values."""
    told = extras.get("colour") if isinstance(extras, dict) else None
    if not isinstance(told, list) or len(told) != 3 or not all(isinstance(c, int) and 0 <= c <= 255 for c in told):
        return None
    return told[0], told[1], told[2]


def _placed(node: dict[str, Any]) -> NDArray[np.float64]:
    """The transform of a node, from its own space to that above. Source: glTF 3.5.3."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    matrix = np.eye(4)
    x, y, z, w = (float(part) for part in node.get("rotation", (0, 0, 0, 1)))
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix[:3, :3] = turn * np.asarray(node.get("scale", (1, 1, 1)), np.float64)
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix
