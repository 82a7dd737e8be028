"""Take away what lies on one side of a plane, to look inside."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, unknown_name
from vesalius.mesh.rendering.camera import VIEWS, View

_NORMALS = {
    "left": (1.0, 0.0, 0.0),
    "right": (-1.0, 0.0, 0.0),
    "posterior": (0.0, 1.0, 0.0),
    "anterior": (0.0, -1.0, 0.0),
    "superior": (0.0, 0.0, 1.0),
    "inferior": (0.0, 0.0, -1.0),
}


@dataclass(frozen=True)
class Clip:
    """What is taken away.

    Args:
        side: Of the patient, for example ``"anterior"`` for what is in front.
        share: Of the way through all structures, from this side, more than 0 and less than 1.

    Raises:
        DataError: There is no such side, or the share leaves everything or nothing.
    """

    side: View
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.side not in _NORMALS:
            raise DataError(unknown_name("side to take away", self.side, VIEWS))
        if not (math.isfinite(self.share) and 0 < self.share < 1):
            raise DataError(f"the share taken away must be more than 0 and less than 1, not {self.share:g}")


@dataclass(frozen=True, eq=False)
class Plane:
    """Points whose product with the normal is more than ``at_mm`` are taken away.

    Args:
        normal: ``(3,)``, of length 1, LPS.
        at_mm: Where it crosses the normal.
    """

    normal: NDArray[np.float64]
    at_mm: float


def plane_of(clip: Clip, low_mm: NDArray[np.float64], high_mm: NDArray[np.float64]) -> Plane:
    """The plane of a clip, among structures that reach from one corner of a box to the other.

    Args:
        clip: What is taken away.
        low_mm: ``(3,)``, the least coordinates, LPS.
        high_mm: ``(3,)``, the greatest.

    Example:
        >>> plane = plane_of(Clip("anterior", 0.25), np.zeros(3), np.array([10.0, 20.0, 30.0]))
        >>> plane.normal.tolist(), plane.at_mm
        ([0.0, -1.0, 0.0], -5.0)
    """
    normal = np.array(_NORMALS[clip.side]) + 0.0
    ends = sorted((float(normal @ low_mm), float(normal @ high_mm)))
    return Plane(normal, ends[1] - clip.share * (ends[1] - ends[0]))


def clipped(
    vertices: NDArray[np.float64], faces: NDArray[np.int32], attributes: NDArray[np.float64], plane: Plane
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64]]:
    """The part of a surface that a plane leaves, open where it was cut.

    Args:
        vertices: ``(V, 3)``, mm, LPS.
        faces: ``(F, 3)``.
        attributes: ``(V, n)``, numbers at vertices, interpolated along edges that are cut.
        plane: What is taken away.

    Returns:
        Vertices (with those that no face has any more), faces and attributes of what is left. Faces keep their side.

    Example:
        >>> corners = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0]])
        >>> plane = Plane(np.array([1.0, 0, 0]), 1.0)
        >>> left, faces, numbers = clipped(corners, np.array([[0, 1, 2]], np.int32), corners[:, :1], plane)
        >>> len(faces), float(left[faces][..., 0].max()), float(numbers[faces].max())
        (2, 1.0, 1.0)
    """
    above = vertices @ plane.normal - plane.at_mm
    kept = above <= 0
    count = kept[faces].sum(axis=1)
    made, fresh_vertices, fresh_attributes = [faces[count == 3]], [vertices], [attributes]
    total = len(vertices)
    for inside in (1, 2):
        crossing = faces[count == inside]
        if not len(crossing):
            continue
        # Turned so that the corner that is alone on its side comes first.
        alone = np.argmax(kept[crossing] == (inside == 1), axis=1)
        a, b, c = (crossing[np.arange(len(crossing)), (alone + step) % 3] for step in range(3))
        ends = []
        for other in (b, c):
            share = (above[a] / (above[a] - above[other]))[:, None]
            fresh_vertices.append(vertices[a] + share * (vertices[other] - vertices[a]))
            fresh_attributes.append(attributes[a] + share * (attributes[other] - attributes[a]))
            ends.append(np.arange(total, total + len(a), dtype=np.int32))
            total += len(a)
        ab, ac = ends
        corners = [(a, ab, ac)] if inside == 1 else [(ab, b, c), (ab, c, ac)]
        made += [np.stack(three, axis=1) for three in corners]
    return np.concatenate(fresh_vertices), np.concatenate(made).astype(np.int32), np.concatenate(fresh_attributes)
