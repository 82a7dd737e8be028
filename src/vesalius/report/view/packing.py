"""Surfaces as the bytes that a page holds: small, and exact to a few thousandths of a millimetre.

All structures share one lattice of 65,535 steps along the longest side of the scene, so that what neighbours share
stays shared. What `pack` writes, ``surfaces.js`` reads.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.mesh import Surface
from vesalius.mesh.painted import Painted, surface_of
from vesalius.mesh.surface import compacted

STEPS = 65_535
NONE = 0
"""Stands for a value that is not there; those that are there run from 1 to 65,535."""


@dataclass(frozen=True, eq=False)
class Packed:
    """Surfaces as bytes.

    Args:
        data: Compressed (zlib); after that, for each structure one after the other: its triangles, its vertices, and
            its values if it has any, as `pack` describes them.
        origin_mm: Where the lattice begins, LPS.
        step_mm: Between its points.
        parts: Of each structure: how many ``vertices`` and ``faces`` there are, and ``low`` and ``high``, the least and
            the greatest value, where it has values.
    """

    data: bytes
    origin_mm: tuple[float, float, float]
    step_mm: float
    parts: tuple[dict[str, Any], ...]

    @property
    def error_mm(self) -> float:
        """How far a coordinate is at most from where it was."""
        return self.step_mm / 2


def pack(surfaces: Sequence[Surface | Painted]) -> Packed:
    """Write surfaces as bytes; equal surfaces make equal bytes.

    Triangles begin with their smallest vertex and are sorted; of each, three numbers of 7 bits a byte (LEB128): how far
    its first vertex is from that of the triangle before, and the other two from the first. Vertices are differences
    to the one before, for x, y and z after each other, with the sign in the lowest bit (zigzag), all low bytes before
    all high ones. Values are numbers of 16 bits between the least and the greatest, little-endian.

    Args:
        surfaces: Of structures, none of them empty.

    Example:
        >>> from vesalius.image import Label
        >>> one = Surface(np.eye(4)[:, :3] * 9, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]), Label("a", 1))
        >>> found = pack([one])
        >>> found.parts, round(found.error_mm, 6)
        (({'vertices': 4, 'faces': 4},), 6.9e-05)
    """
    bounds = np.array([surface_of(one).bounds_mm for one in surfaces])
    origin = bounds[:, 0].min(axis=0)
    step = float(max((bounds[:, 1].max(axis=0) - origin).max(), 1e-6)) / STEPS
    raw, parts = bytearray(), []
    for one in surfaces:
        surface = surface_of(one)
        points, faces = compacted(surface.vertices, surface.faces)
        raw += _triangles(faces) + _points(np.rint((points - origin) / step).astype(np.int64))
        part: dict[str, Any] = {"vertices": len(points), "faces": len(faces)}
        if isinstance(one, Painted):
            used = np.unique(surface.faces)
            words, part["low"], part["high"] = _values(one.values[used])
            raw += words
        parts.append(part)
    x, y, z = origin.tolist()
    # Level 9 of zlib is half a second for a million triangles.
    return Packed(zlib.compress(bytes(raw), 9), (x, y, z), step, tuple(parts))


def _triangles(faces: NDArray[np.int32]) -> bytes:
    first = faces.argmin(axis=1)
    a, b, c = (faces[np.arange(len(faces)), (first + corner) % 3].astype(np.int64) for corner in range(3))
    order = np.lexsort((c, b, a))
    a, b, c = a[order], b[order], c[order]
    return _leb128(np.stack([np.diff(a, prepend=0), b - a, c - a], axis=1).ravel())


def _leb128(numbers: NDArray[np.int64]) -> bytes:
    """Numbers as bytes with 7 bits each, the lowest first; the eighth bit says that more follow.

    Source: DWARF Debugging Information Format, version 5, 7.6.
    """
    most = max(int(numbers.max()).bit_length() + 6, 7) // 7
    septets = (numbers[:, None] >> (7 * np.arange(most))).astype(np.int64)
    present = septets > 0
    present[:, 0] = True
    follows = np.zeros_like(present)
    follows[:, :-1] = present[:, 1:]
    written: NDArray[np.uint8] = ((septets & 0x7F) | (follows << 7)).astype(np.uint8)
    return written[present].tobytes()


def _points(lattice: NDArray[np.int64]) -> bytes:
    # Modulo 65,536: a difference fits 16 bits whichever way it goes.
    steps = np.diff(lattice, axis=0, prepend=0).astype(np.int16).astype(np.int64)
    zigzag = ((steps << 1) ^ (steps >> 63)).T
    return (zigzag & 0xFF).astype(np.uint8).tobytes() + (zigzag >> 8).astype(np.uint8).tobytes()


def _values(values: NDArray[np.float64]) -> tuple[bytes, float, float]:
    known = np.isfinite(values)
    low, high = (float(values[known].min()), float(values[known].max())) if known.any() else (0.0, 0.0)
    share = (np.where(known, values, low) - low) / (high - low) if high > low else np.zeros(len(values))
    words = np.where(known, 1 + np.rint(share * (STEPS - 1)), NONE).astype("<u2")
    return words.tobytes(), low, high
