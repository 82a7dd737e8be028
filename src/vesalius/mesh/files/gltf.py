"""GLB: glTF in one file, for the web and for augmented reality; metres, Y up, as glTF asks.

The root node turns the patient's millimetres to glTF's metres: ``(x, y, z)`` of LPS becomes ``(x, z, -y) / 1000``, so
that the patient stands upright and looks at the viewer. Below it, coordinates are the patient's. Vertices are numbers
of 16 bits on one lattice for all structures, so that what neighbours share stays shared.

Source: Khronos Group, glTF 2.0 Specification (ISO/IEC 12113:2022), KHR_mesh_quantization, KHR_draco_mesh_compression.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError, MissingDependencyError, unknown_name
from vesalius.mesh.colours import linear_light
from vesalius.mesh.files.content import colour_of
from vesalius.mesh.files.measured import measured, told_of
from vesalius.mesh.painted import Painted, surface_of
from vesalius.mesh.surface import Surface

Compression = Literal["none", "quantised", "draco"]
"""``"quantised"``: 16 bits a coordinate, which every viewer reads. ``"draco"``: smaller by far, for viewers that have
Draco's decoder. ``"none"``: 32 bits."""

WORLD = np.array([[1e-3, 0, 0, 0], [0, 0, 1e-3, 0], [0, -1e-3, 0, 0], [0, 0, 0, 1]])
"""From a point in the patient (LPS, mm) to glTF: metres, +Y is up, the front looks along +Z. Source: glTF 3.4."""

_COMPRESSIONS = ("none", "quantised", "draco")
_STEPS = 65_535
_NO_VALUE = -float(2**100)  # exact in 32 bits
_ARRAY, _ELEMENTS = 34_962, 34_963  # targets of buffer views
_BYTE, _USHORT, _UINT, _FLOAT = 5120, 5123, 5125, 5126


class _Buffer:
    """The binary chunk as it grows, and what points into it."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, raw: bytes, **more: Any) -> int:
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(raw), **more})
        self.data += raw + b"\0" * (-len(raw) % 4)
        return len(self.views) - 1

    def accessor(self, **told: Any) -> int:
        self.accessors.append(told)
        return len(self.accessors) - 1


def encode(
    surfaces: Sequence[Surface | Painted],
    *,
    opacity: Mapping[str, float] | None = None,
    compression: Compression = "quantised",
) -> bytes:
    """A GLB file of the surfaces, a node and a material each.

    Values at vertices become an attribute of a name like ``_DISTANCE_MM`` (32 bits, whatever the compression) and
    ``COLOR_0``; ``extras`` of the node tell the name as it is, the unit, the scale, and the number that stands for no
    value, since glTF has no NaN.

    Args:
        surfaces: In patient space, none of them empty.
        opacity: By the structure's name, 0 to 1.
        compression: Of the coordinates.

    Raises:
        FormatError: There is no such compression, a surface is empty, or values are to be compressed with Draco, which
            orders vertices anew.
        MissingDependencyError: DracoPy is not installed.

    Example:
        >>> from vesalius.image import Label
        >>> one = Surface(np.eye(4)[:, :3], np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]), Label("a", 1))
        >>> encode([one])[:4]
        b'glTF'
    """
    if compression not in _COMPRESSIONS:
        raise FormatError(unknown_name("compression", compression, _COMPRESSIONS))
    if not surfaces or any(surface.is_empty for surface in surfaces):
        raise FormatError("glTF has no empty meshes: leave empty structures out")
    if compression == "draco" and any(isinstance(one, Painted) for one in surfaces):
        raise FormatError("Draco orders vertices anew, and values would be lost: write them quantised or with none")
    columns = measured(surfaces)
    words = {(column.name, column.unit): f"_{word.upper()}" for word, column in columns.items()}
    used = np.concatenate([surface_of(one).bounds_mm for one in surfaces])
    origin, extent = used.min(axis=0), float(max(np.ptp(used, axis=0).max(), 1e-6))
    buffer, nodes, meshes, materials = _Buffer(), [], [], []
    for place, one in enumerate(surfaces):
        surface = surface_of(one)
        extras: dict[str, Any] = {"label": surface.label.value}
        node: dict[str, Any] = {"name": surface.label.name, "mesh": place, "extras": extras}
        if compression == "quantised":
            primitive = _quantised(surface, buffer, origin, extent)
            # Steps of the lattice as they are: some readers pass over that numbers are normalised.
            node |= {"translation": origin.tolist(), "scale": [extent / _STEPS] * 3}
        elif compression == "draco":
            primitive = _draco(surface, buffer, origin, extent)
        else:
            primitive = _plain(surface, buffer)
        if isinstance(one, Painted):
            word = words[one.name, one.unit]
            primitive["attributes"] |= _valued(one, word, buffer)
            told = {"attribute": word, **told_of(one.name, one.unit, one.scale), "nothing": _NO_VALUE}
            extras |= {"colour": list(colour_of(surface)), "values": told}
        nodes.append(node)
        meshes.append({"name": surface.label.name, "primitives": [{**primitive, "material": place, "mode": 4}]})
        materials.append(_material(one, (opacity or {}).get(surface.label.name, 1.0)))
    frame = {"frame": "LPS", "unit": "mm", "to_glTF": WORLD.tolist()}
    root = {
        "name": "patient (LPS, mm)",
        "matrix": WORLD.T.reshape(-1).tolist(),
        "children": list(range(len(nodes))),
        "extras": frame,
    }
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "Vesalius", "extras": frame},
        "scene": 0,
        "scenes": [{"nodes": [len(nodes)]}],
        "nodes": [*nodes, root],
        "meshes": meshes,
        "materials": materials,
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    extension = {"quantised": "KHR_mesh_quantization", "draco": "KHR_draco_mesh_compression"}.get(compression)
    if extension is not None:
        document["extensionsUsed"] = document["extensionsRequired"] = [extension]
    return _packed(document, bytes(buffer.data))


def _packed(document: Mapping[str, Any], binary: bytes) -> bytes:
    """Source: glTF 4.4 (binary glTF layout)."""
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    if total > 0xFFFFFFFF:
        raise FormatError("the GLB file would be larger than the 4 GiB that the format allows: simplify the surfaces")
    head = struct.pack("<4sII", b"glTF", 2, total)
    return b"".join(
        [head, struct.pack("<I4s", len(text), b"JSON"), text, struct.pack("<I4s", len(binary), b"BIN\0"), binary]
    )


def _material(surface: Surface | Painted, opacity: float) -> dict[str, Any]:
    # Colours of vertices are multiplied by that of the material.
    plain = (255, 255, 255) if isinstance(surface, Painted) else colour_of(surface)
    linear = linear_light(np.array(plain, np.uint8))  # colours of screens are bent, glTF's factors are not
    made: dict[str, Any] = {
        "name": surface.label.name,
        "pbrMetallicRoughness": {
            "baseColorFactor": [*linear.round(6).tolist(), round(float(opacity), 6)],
            "metallicFactor": 0,
            "roughnessFactor": 0.6,
        },
    }
    if opacity < 1:
        made |= {"alphaMode": "BLEND", "doubleSided": True}
    return made


def normals(surface: Surface) -> NDArray[np.float64]:
    """Unit normals at the vertices: those of the faces around, weighted by their areas.

    Args:
        surface: Any. Where the faces cancel out, or there are none, the normal is +z.

    Returns:
        ``(V, 3)``.
    """
    a, b, c = (surface.vertices[surface.faces[:, corner]] for corner in range(3))
    crosses = np.cross(b - a, c - a)
    summed = np.zeros_like(surface.vertices)
    for axis in range(3):
        for corner in range(3):
            summed[:, axis] += np.bincount(surface.faces[:, corner], crosses[:, axis], minlength=len(summed))
    lengths = np.linalg.norm(summed, axis=1, keepdims=True)
    up = np.broadcast_to((0.0, 0.0, 1.0), summed.shape).copy()
    np.divide(summed, lengths, out=up, where=lengths > 0)
    return up


def _indices(faces: NDArray[np.integer[Any]], vertices: int, buffer: _Buffer) -> int:
    # The greatest number of each type marks a restart, and is not allowed.
    small = vertices < 0xFFFF
    view = buffer.view(faces.astype("<u2" if small else "<u4").tobytes(), target=_ELEMENTS)
    kind = _USHORT if small else _UINT
    return buffer.accessor(bufferView=view, componentType=kind, count=int(faces.size), type="SCALAR")


def _quantised(surface: Surface, buffer: _Buffer, origin: NDArray[np.float64], extent: float) -> dict[str, Any]:
    places = np.zeros((len(surface.vertices), 4), "<u2")  # padded: rows begin at multiples of four bytes
    places[:, :3] = np.rint((surface.vertices - origin) * (_STEPS / extent)).clip(0, _STEPS)
    turns = np.zeros((len(surface.vertices), 4), np.int8)
    turns[:, :3] = np.rint(normals(surface) * 127)
    position = buffer.accessor(
        bufferView=buffer.view(places.tobytes(), byteStride=8, target=_ARRAY),
        componentType=_USHORT,
        count=len(places),
        type="VEC3",
        min=places[:, :3].min(axis=0).tolist(),
        max=places[:, :3].max(axis=0).tolist(),
    )
    normal = buffer.accessor(
        bufferView=buffer.view(turns.tobytes(), byteStride=4, target=_ARRAY),
        componentType=_BYTE,
        normalized=True,
        count=len(turns),
        type="VEC3",
    )
    return {
        "attributes": {"POSITION": position, "NORMAL": normal},
        "indices": _indices(surface.faces, len(places), buffer),
    }


def _plain(surface: Surface, buffer: _Buffer) -> dict[str, Any]:
    places = surface.vertices.astype("<f4")
    position = buffer.accessor(
        bufferView=buffer.view(places.tobytes(), target=_ARRAY),
        componentType=_FLOAT,
        count=len(places),
        type="VEC3",
        min=places.min(axis=0).tolist(),
        max=places.max(axis=0).tolist(),
    )
    turns = normals(surface).astype("<f4")
    normal = buffer.accessor(
        bufferView=buffer.view(turns.tobytes(), target=_ARRAY), componentType=_FLOAT, count=len(turns), type="VEC3"
    )
    return {
        "attributes": {"POSITION": position, "NORMAL": normal},
        "indices": _indices(surface.faces, len(places), buffer),
    }


def _valued(one: Painted, word: str, buffer: _Buffer) -> dict[str, int]:
    """The attributes of values and of their colours."""
    values = np.where(np.isnan(one.values), _NO_VALUE, one.values).astype("<f4")
    tones = np.zeros((len(values), 4), "<u2")  # padded, and finer than screens, since light is not bent
    tones[:, :3] = np.rint(linear_light(one.colours) * _STEPS)
    told = {"count": len(values)}
    view = buffer.view(values.tobytes(), target=_ARRAY)
    least = {"min": [float(values.min())], "max": [float(values.max())]}
    colour = buffer.view(tones.tobytes(), byteStride=8, target=_ARRAY)
    return {
        word: buffer.accessor(bufferView=view, componentType=_FLOAT, type="SCALAR", **told, **least),
        "COLOR_0": buffer.accessor(bufferView=colour, componentType=_USHORT, normalized=True, type="VEC3", **told),
    }


def draco() -> Any:
    """The package that knows Draco.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import DracoPy
    except ImportError as error:
        raise MissingDependencyError(
            "Draco's compression needs DracoPy: pip install 'vesalius[mesh]', or write with compression 'quantised'"
        ) from error
    return DracoPy


def _draco(surface: Surface, buffer: _Buffer, origin: NDArray[np.float64], extent: float) -> dict[str, Any]:
    raw = draco().encode(
        surface.vertices,
        surface.faces.astype(np.uint32),
        quantization_bits=16,
        quantization_range=extent,
        quantization_origin=origin,
        compression_level=7,
        normals=normals(surface),
        normal_quantization_bits=8,
    )
    found = draco().decode(raw)
    ids = {one["attribute_type"]: one["unique_id"] for one in found.attributes}
    places = np.asarray(found.points, np.float32)
    position = buffer.accessor(
        componentType=_FLOAT,
        count=len(places),
        type="VEC3",
        min=places.min(axis=0).tolist(),
        max=places.max(axis=0).tolist(),
    )
    normal = buffer.accessor(componentType=_FLOAT, count=len(places), type="VEC3")
    indices = buffer.accessor(componentType=_UINT, count=int(np.asarray(found.faces).size), type="SCALAR")
    told = {"bufferView": buffer.view(raw), "attributes": {"POSITION": ids[0], "NORMAL": ids[1]}}
    return {
        "attributes": {"POSITION": position, "NORMAL": normal},
        "indices": indices,
        "extensions": {"KHR_draco_mesh_compression": told},
    }
