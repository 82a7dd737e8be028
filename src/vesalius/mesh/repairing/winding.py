"""How often surfaces wind around points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1 << 20


def winding(vertices: NDArray[np.float64], faces: NDArray[np.int32], point: NDArray[np.float64]) -> float:
    """How often closed triangles wind around a point: 1 inside, 0 outside, -1 inside of what is inside out.

    Args:
        vertices: ``(V, 3)``.
        faces: ``(F, 3)``; those of a surface with holes give a fraction.
        point: ``(3,)``; not on the surface.

    Source: A. van Oosterom, J. Strackee, "The solid angle of a plane triangle", IEEE Trans. Biomed. Eng. 30 (1983) 125,
        doi 10.1109/TBME.1983.325207; their sum over 4π.

    Example:
        >>> corners = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9.0]])
        >>> faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
        >>> [round(abs(winding(corners, faces, np.array(at))), 6) for at in ([1.0, 1, 1], [9.0, 9, 9])]
        [1.0, 0.0]
    """
    total = 0.0
    for start in range(0, len(faces), _AT_ONCE):
        a, b, c = (vertices[faces[start : start + _AT_ONCE, k]] - point for k in range(3))
        la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
        top = np.einsum("ij,ij->i", a, np.cross(b, c))
        ab, bc, ca = (np.einsum("ij,ij->i", x, y) for x, y in ((a, b), (b, c), (c, a)))
        total += float(np.arctan2(top, la * lb * lc + ab * lc + bc * la + ca * lb).sum()) / (2 * np.pi)
    return total
