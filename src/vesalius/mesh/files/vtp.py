"""VTP: VTK's XML polygonal data, binary and compressed; written, not read.

Source: the VTK file formats (docs.vtk.org, "XML file formats"); an array's blocks are zlib streams, with a header of
64-bit numbers: blocks, bytes of a block, bytes of the last (0 where it is full), and the compressed bytes of each.
The field ``SPACE`` is 3D Slicer's.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import quoteattr

import numpy as np
from numpy.typing import NDArray

from vesalius.mesh.files.content import Axes, colour_of, turned
from vesalius.mesh.files.measured import Column, measured
from vesalius.mesh.painted import Painted, surface_of
from vesalius.mesh.surface import Surface

_BLOCK = 1 << 20
_TYPES = {"f4": "Float32", "f8": "Float64", "i4": "Int32", "i8": "Int64", "u1": "UInt8", "u2": "UInt16", "i1": "Int8"}


class _Appended:
    """The data behind the XML, and the elements that point into it."""

    def __init__(self) -> None:
        self.data = bytearray()

    def array(self, name: str, values: NDArray[np.generic], *, more: str = "") -> str:
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        components = f' NumberOfComponents="{values.shape[1]}"' if values.ndim == 2 else ""
        element = (
            f'<DataArray type="{_TYPES[values.dtype.str[1:]]}" Name={quoteattr(name)}{components}{more}'
            f' format="appended" offset="{len(self.data)}"/>'
        )
        raw = little.tobytes()
        blocks = [zlib.compress(raw[at : at + _BLOCK], 6) for at in range(0, len(raw), _BLOCK)]
        head = [len(blocks), _BLOCK, len(raw) % _BLOCK, *map(len, blocks)]
        self.data += struct.pack(f"<{len(head)}Q", *head) + b"".join(blocks)
        return element


def encode(surfaces: Sequence[Surface | Painted], *, axes: Axes = "lps") -> bytes:
    """A VTP file of all the surfaces: each triangle has the value of its label and its colour.

    Values at vertices become arrays of the points, NaN where a surface has none, the first of them active; and the
    colours of their scale.

    Args:
        surfaces: In patient space.
        axes: Of the file; a field tells them.

    Example:
        >>> from vesalius.image import Label
        >>> one = Surface(np.eye(4)[:, :3], np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]), Label("a", 1))
        >>> encode([one])[:21]
        b'<?xml version="1.0"?>'
    """
    wholes = [surface_of(one) for one in surfaces]
    before = np.cumsum([0, *(len(surface.vertices) for surface in wholes)])
    points = np.concatenate([np.empty((0, 3)), *(turned(surface.vertices, axes) for surface in wholes)])
    shifted = [surface.faces.astype(np.int64) + at for surface, at in zip(wholes, before[:-1], strict=True)]
    faces = np.concatenate([np.empty((0, 3), np.int64), *shifted])
    counts = [len(surface.faces) for surface in wholes]
    values = np.repeat(np.array([surface.label.value for surface in wholes], np.uint16), counts)
    wheel = [colour_of(surface) for surface in wholes]
    colours = np.repeat(np.array(wheel, np.uint8).reshape(-1, 3), counts, axis=0)
    appended = _Appended()
    fields = [_text("SPACE", [axes.upper()]), _text("UNIT", ["mm"])]
    fields.append(_text("NAMES", [f"{surface.label.value} {surface.label.name}" for surface in wholes]))
    columns = measured(surfaces)
    if columns:
        fields.append(_text("VALUES", [f"{word} {column.told}" for word, column in columns.items()]))
    xml = [
        '<?xml version="1.0"?>',
        '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64"'
        ' compressor="vtkZLibDataCompressor">',
        "<PolyData>",
        "<FieldData>",
        *fields,
        "</FieldData>",
        f'<Piece NumberOfPoints="{len(points)}" NumberOfVerts="0" NumberOfLines="0" NumberOfStrips="0"'
        f' NumberOfPolys="{len(faces)}">',
        *_at_points(surfaces, columns, appended),
        '<CellData Scalars="label">',
        appended.array("label", values),
        appended.array("colour", colours),
        "</CellData>",
        "<Points>",
        appended.array("Points", points),
        "</Points>",
        "<Polys>",
        appended.array("connectivity", faces.reshape(-1)),
        appended.array("offsets", np.arange(3, 3 * len(faces) + 1, 3, dtype=np.int64)),
        "</Polys>",
        "</Piece>",
        "</PolyData>",
        '<AppendedData encoding="raw">',
        "_",
    ]
    return "\n".join(xml).encode() + bytes(appended.data) + b"\n</AppendedData>\n</VTKFile>\n"


def _at_points(surfaces: Sequence[Surface | Painted], columns: Mapping[str, Column], appended: _Appended) -> list[str]:
    """The arrays of the points; none where no surface has values."""
    if not columns:
        return []
    tones = [
        one.colours if isinstance(one, Painted) else np.tile(np.array(colour_of(one), np.uint8), (len(one.vertices), 1))
        for one in surfaces
    ]
    return [
        f'<PointData Scalars="{next(iter(columns))}">',
        *(appended.array(word, column.values) for word, column in columns.items()),
        appended.array("colour", np.concatenate(tones)),
        "</PointData>",
    ]


def _text(name: str, texts: Sequence[str]) -> str:
    """An array of strings: the bytes of each as numbers, a zero after each."""
    numbers = " ".join(str(byte) for text in texts for byte in (*text.encode(), 0))
    return f'<Array type="String" Name="{name}" NumberOfTuples="{len(texts)}" format="ascii">{numbers}</Array>'
