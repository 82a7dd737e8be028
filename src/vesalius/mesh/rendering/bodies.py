"""Surfaces made ready to be drawn: normals, colours, what is taken away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, unknown_name
from vesalius.mesh.colours import ColourScale
from vesalius.mesh.files.content import colour_of
from vesalius.mesh.painted import Painted, surface_of
from vesalius.mesh.rendering.clip import Clip, Plane, clipped, plane_of
from vesalius.mesh.surface import Surface

_SHARP = 0.72  # cosine of an angle, 44°: more than this between a face and its corner's normal, and it is an edge


@dataclass(frozen=True, eq=False)
class Body:
    """A structure, ready to be drawn.

    Args:
        name: Of the structure.
        colour: RGB, 0 to 255.
        opacity: 0 (not drawn) to 1.
        vertices: ``(V, 3)``, mm, LPS.
        faces: ``(F, 3)``.
        normals: ``(V, 3)``, of length 1.
        values: ``(V,)``, numbers that are shown in place of the colour; NaN where there are none.
        is_closed: Whether it was a closed surface before anything was taken away.
        planes: By which it was cut.
    """

    name: str
    colour: tuple[int, int, int]
    opacity: float
    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    normals: NDArray[np.float32]
    values: NDArray[np.float64] | None
    is_closed: bool
    planes: tuple[Plane, ...]


@dataclass(frozen=True, eq=False)
class Scene:
    """What is drawn, from wherever one looks.

    Args:
        bodies: At least one; all have faces.
        scale: Of the colours of values, if any structure has them.
        title: What the values are.
    """

    bodies: tuple[Body, ...]
    scale: ColourScale | None = None
    title: str = ""

    @property
    def points_mm(self) -> NDArray[np.float64]:
        """``(n, 3)``: where there is something."""
        return np.concatenate([body.vertices for body in self.bodies])


def arrange(
    surfaces: Sequence[Surface | Painted],
    *,
    opacity: Mapping[str, float] | None = None,
    clips: Sequence[Clip] = (),
    whole: Iterable[str] = (),
) -> Scene:
    """Make surfaces ready to be drawn.

    Args:
        surfaces: Of structures, with values at their vertices or without. Empty ones are passed over.
        opacity: By the structure's name, 0 to 1.
        clips: What is taken away.
        whole: Names of structures of which nothing is taken away.

    Raises:
        DataError: There is nothing to draw, a name is unknown, an opacity is not between 0 and 1, or structures have
            values of different kinds, which have no common scale.
    """
    names = [surface.label.name for surface in surfaces]
    for name, share in (opacity or {}).items():
        if name not in names:
            raise DataError(unknown_name("structure", name, names))
        if not 0 <= share <= 1:
            raise DataError(f"the opacity of {name} must be between 0 and 1, not {share:g}")
    kept_whole = frozenset(whole)
    for name in sorted(kept_whole):
        if name not in names:
            raise DataError(unknown_name("structure", name, names))
    shown = [one for one in surfaces if not one.is_empty and (opacity or {}).get(one.label.name, 1.0) > 0]
    if not shown:
        raise DataError("there is nothing to draw: every structure is empty or has an opacity of 0")
    scale, title = _common_scale(shown)
    bounds = np.array([surface_of(one).bounds_mm for one in shown])
    low, high = bounds[:, 0].min(axis=0), bounds[:, 1].max(axis=0)
    planes = tuple(plane_of(clip, low, high) for clip in clips)
    bodies = [
        _body(one, (opacity or {}).get(one.label.name, 1.0), planes=() if one.label.name in kept_whole else planes)
        for one in shown
    ]
    left = tuple(body for body in bodies if len(body.faces))
    if not left:
        raise DataError("there is nothing to draw: all of it is taken away by --clip")
    return Scene(left, scale, title)


def _common_scale(shown: Sequence[Surface | Painted]) -> tuple[ColourScale | None, str]:
    painted = [one for one in shown if isinstance(one, Painted)]
    if not painted:
        return None, ""
    if len({one.title for one in painted}) > 1:
        raise DataError("structures have values of different kinds: draw them one by one")
    scales = [one.scale for one in painted]
    if len({scale.colour_map for scale in scales}) > 1:  # of one sign here, of both there
        most = max(max(abs(scale.low), abs(scale.high)) for scale in scales)
        return ColourScale(-most, most, "diverging"), painted[0].title
    low, high = min(scale.low for scale in scales), max(scale.high for scale in scales)
    return ColourScale(low, high, scales[0].colour_map), painted[0].title


def _body(one: Surface | Painted, opacity: float, *, planes: tuple[Plane, ...]) -> Body:
    surface = surface_of(one)
    vertices, faces, normals, origin = _smoothed(surface.vertices, surface.faces)
    values = one.values[origin] if isinstance(one, Painted) else None
    closed = is_closed(surface.faces)
    numbers = normals.astype(np.float64)
    if values is not None:
        numbers = np.column_stack([numbers, values])
    for plane in planes:
        vertices, faces, numbers = clipped(vertices, faces, numbers, plane)
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    renumbered = (np.cumsum(used) - 1).astype(np.int32)
    numbers = numbers[used]
    return Body(
        name=surface.label.name,
        colour=colour_of(surface),
        opacity=opacity,
        vertices=vertices[used],
        faces=renumbered[faces],
        normals=numbers[:, :3].astype(np.float32),
        values=None if values is None else numbers[:, 3],
        is_closed=closed,
        planes=planes,
    )


def _smoothed(
    vertices: NDArray[np.float64], faces: NDArray[np.int32]
) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]]:
    """Normals at vertices, which are doubled where the surface has an edge; and which vertex each was.

    Source: normals as the mean of those of the faces around, by area: H. Gouraud, Continuous shading of curved
    surfaces, IEEE Transactions on Computers C-20, 1971.
    """
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    flat = np.cross(b - a, c - a)  # twice the area long
    normals = np.stack(
        [
            sum(np.bincount(faces[:, corner], flat[:, axis], minlength=len(vertices)) for corner in range(3))
            for axis in range(3)
        ],
        axis=1,
    )
    normals, flat = _unit(normals), _unit(flat)
    origin = np.arange(len(vertices))
    sharp = np.einsum("fcx,fx->fc", normals[faces], flat) < _SHARP
    if sharp.any():
        which, corner = np.nonzero(sharp)
        corners = faces.copy()
        corners[which, corner] = len(vertices) + np.arange(len(which))
        origin = np.concatenate([origin, faces[which, corner]])
        normals, faces = np.concatenate([normals, flat[which]]), corners
    return vertices[origin], faces, normals.astype(np.float32), origin


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit


def is_closed(faces: NDArray[np.int32]) -> bool:
    """Whether each edge is passed as often one way as the other: there is an inside."""
    size = int(faces.max()) + 1
    starts, ends = faces.astype(np.int64).ravel(), np.roll(faces.astype(np.int64), -1, axis=1).ravel()
    there, back = np.sort(starts * size + ends), np.sort(ends * size + starts)
    return bool((there == back).all())
