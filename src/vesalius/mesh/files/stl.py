"""STL: triangles without names, colours or units; millimetres by custom, which our header says.

Source: 3D Systems, StereoLithography Interface Specification, 1989: 80 bytes of header, the number of facets, and 50
bytes a facet.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError
from vesalius.mesh.files.content import Axes, made, named, said_space, turned, welded
from vesalius.mesh.surface import Surface

_FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_HEADER = 80
_VERTEX = re.compile(rb"\bvertex\s+(\S+)\s+(\S+)\s+(\S+)", re.IGNORECASE)


def encode(surfaces: Sequence[Surface], *, axes: Axes = "lps") -> bytes:
    """A binary STL of all the surfaces, one after the other.

    Numbers have 24 bits: a vertex moves by less than 0.00004 mm within half a metre of the origin. Triangles that this
    makes a line of are left out.

    Args:
        surfaces: In patient space. Shared faces of neighbours are written for each.
        axes: Of the file; the header tells them.

    Example:
        >>> from vesalius.image import Label
        >>> one = Surface(np.eye(4)[:, :3], np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]), Label("a", 1))
        >>> data = encode([one])
        >>> len(data), data[:25]
        (284, b'Vesalius STL, units mm, S')
    """
    return pack([turned(surface.vertices, axes)[surface.faces] for surface in surfaces], axes=axes)


def pack(corners: Sequence[NDArray[np.float64]], *, axes: Axes = "lps") -> bytes:
    """A binary STL of triangles, each a ``(F, 3, 3)`` array of corners that stand in the file's axes already."""
    # The header must not begin with "solid", by which readers know the text form.
    header = f"Vesalius STL, units mm, SPACE={axes.upper()}".encode("ascii").ljust(_HEADER)
    places = np.concatenate([part.astype("<f4") for part in corners]) if corners else np.empty((0, 3, 3), "<f4")
    places += np.float32(0)
    a, b, c = places[:, 0], places[:, 1], places[:, 2]
    kept = (a != b).any(1) & (b != c).any(1) & (c != a).any(1)
    places = places[kept]
    exact = places.astype(np.float64)
    normals = np.cross(exact[:, 1] - exact[:, 0], exact[:, 2] - exact[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    facets = np.zeros(len(places), _FACET)
    facets["normal"] = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
    facets["corners"] = places
    return header + struct.pack("<I", len(facets)) + facets.tobytes()


def decode(data: bytes, path: Path, *, axes: Axes | None = None) -> tuple[Surface, ...]:
    """Read an STL file, binary or text, as one surface called as the file; equal corners become one vertex.

    Args:
        data: The file.
        path: For the name.
        axes: Of a file that does not tell them; LPS when left out.

    Raises:
        FormatError: The file is cut off, or no STL.
    """
    count = struct.unpack_from("<I", data, _HEADER)[0] if len(data) >= _HEADER + 4 else -1
    expected = _HEADER + 4 + count * _FACET.itemsize
    if count >= 0 and len(data) == expected:
        corners = np.frombuffer(data, _FACET, count, _HEADER + 4)["corners"].reshape(-1, 3)
        head = data[:_HEADER]
    elif data[:5].lower() == b"solid" and b"facet" in data[:1024].lower():
        corners, head = _text(data), data[:1024].partition(b"\n")[0]
    elif 0 <= count and data[:5].lower() != b"solid":
        size = "shorter" if len(data) < expected else "longer"
        raise FormatError(f"an STL file of {count} facets has {expected} bytes; this is {size}, with {len(data)}")
    else:
        raise FormatError("not an STL file: too short for a header, and no text that begins with 'solid' and facets")
    places, which = welded(corners)
    found = said_space(head.decode("latin-1")) or axes or "lps"
    return (made(places, which.reshape(-1, 3), name=named(path), value=1, axes=found),)


def _text(data: bytes) -> NDArray[np.float64]:
    if b"endsolid" not in data[-1024:].lower():
        raise FormatError("the STL text is cut off: it has no endsolid")
    found = _VERTEX.findall(data)
    if not found or len(found) % 3:
        raise FormatError("the STL text does not have three vertices for each facet")
    try:
        return np.array(found).astype(np.float64).reshape(-1, 3)
    except ValueError:
        raise FormatError("the STL text has a vertex that is no number") from None
