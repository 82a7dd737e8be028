"""Broken surfaces made sound: holes, edges with many faces, faces turned round, triangles that cut each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.mesh.crossings import crossings
from vesalius.mesh.repairing.fans import oriented, split
from vesalius.mesh.repairing.holes import MOST_EDGES, fill
from vesalius.mesh.repairing.welding import apart, unflattened, unrepeated, welded
from vesalius.mesh.repairing.winding import winding
from vesalius.mesh.soundness import check
from vesalius.mesh.surface import Surface, compacted

LARGEST_HOLE_MM = 20.0
"""Larger holes are hardly damage: the image's border cut the structure, or half of it is missing."""

_FEW = 0.05  # of the faces: where more cut each other, what is around them says little
_LOST = 0.03  # of the volume: closing the holes that taking them out leaves must not cost more
_TURNS = 5

Points = NDArray[np.float64]
Faces = NDArray[np.int32]
Resolved = Literal["none", "patched", "united", "remeshed"]


@dataclass(frozen=True, eq=False)
class Repaired:
    """A surface that is sound, and what it took.

    Args:
        surface: The surface.
        welded: Vertices that became one with another, at the same place or nearly.
        removed_faces: Faces without an area, or that stood there twice.
        split_vertices: Vertices that were added, since sheets touched at a point or an edge.
        turned_faces: Faces that looked the wrong way.
        filled_holes: How many were closed.
        largest_hole_mm: The longest way across one of them.
        removed_pieces: Pieces that lay within another one.
        resolved: What was done about triangles that cut each other: ``"none"``, there were none; ``"patched"``, they
            were taken out and the holes closed; ``"united"``, bodies that overlapped became one; ``"remeshed"``, the
            whole surface was made anew. The most drastic of what was done.
        error_mm: How far a vertex of the new surface lies from the old one at most; 0 unless it was remeshed.
    """

    surface: Surface
    welded: int
    removed_faces: int
    split_vertices: int
    turned_faces: int
    filled_holes: int
    largest_hole_mm: float
    removed_pieces: int
    resolved: Resolved = "none"
    error_mm: float = 0.0

    @property
    def is_changed(self) -> bool:
        """Whether anything had to be done."""
        counts = self.welded, self.removed_faces, self.split_vertices, self.turned_faces, self.filled_holes
        return any(counts) or bool(self.removed_pieces) or self.resolved != "none"


def repair(
    surface: Surface,
    *,
    largest_hole_mm: float = LARGEST_HOLE_MM,
    weld_mm: float = 1e-3,
    step_mm: float | None = None,
) -> Repaired:
    """Make a sound surface of a broken one, with as little change as can be.

    In this order: vertices at the same place become one, on the edges of holes also those nearly there; faces without
    an area and those that stand there twice go; where sheets touch at an edge or a vertex, bodies are parted, by a
    hundredth of an edge; faces of a piece are turned alike, and outwards; holes are closed with the triangles of least
    area; pieces that lie within another, and are no cavity of it, go. Where triangles cut each other after that, they
    are taken out with those around them and the holes closed; bodies that overlap become one (with manifold3d); and as
    the last resort the whole surface is made anew from what it winds around, on a grid.

    A surface that is sound comes back as it is.

    Args:
        surface: Of one structure, as it was read.
        largest_hole_mm: Holes farther across are refused: closing them would be a guess.
        weld_mm: How near vertices on the edges of holes are to become one.
        step_mm: Of the grid of the last resort; a 200th of the surface's diagonal when left out.

    Returns:
        The surface, proven sound by `check`, and what was done.

    Raises:
        DataError: It is empty or has only one side, a hole is larger than allowed, it encloses nothing, or it is not
            sound whatever was done.

    Example:
        >>> from vesalius.image import Label
        >>> corners = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9.0]])
        >>> made = repair(Surface(corners, [[0, 2, 1], [0, 3, 1], [1, 2, 3]], Label("open, one face turned", 1)))
        >>> made.filled_holes, made.turned_faces, round(made.surface.volume_ml, 4)
        (1, 1, 0.1215)
    """
    if surface.is_empty:
        raise DataError(f"{surface.label.name} is empty: there is nothing to repair")
    if not largest_hole_mm >= 0 or not weld_mm >= 0 or (step_mm is not None and not step_mm > 0):
        raise DataError("the largest hole and the distance of welding are 0 mm or more, and a step is more than 0 mm")
    if check(surface).is_sound:
        return Repaired(surface, 0, 0, 0, 0, 0, 0.0, 0)
    made = _parted(_closed(surface, largest_hole_mm, weld_mm), largest_hole_mm, weld_mm)
    cut = crossings(made.surface.vertices, made.surface.faces)
    if len(cut):
        made = _uncut(made, cut, largest_hole_mm, weld_mm, step_mm)
    _refuse(made.surface)
    return made


def _refuse(surface: Surface) -> None:
    found = check(surface)
    if surface.is_empty or not found.is_sound:
        raise DataError(
            f"{surface.label.name} cannot be made sound: {found.open_edges} edges have one face, {found.crowded_edges} "
            f"more than two, {found.pinched_vertices} vertices are pinched, {found.self_intersections} pairs of "
            "triangles cut each other; make it anew from the label map, with `vesalius mesh`"
        )


def _closed(surface: Surface, largest_hole_mm: float, weld_mm: float) -> Repaired:
    """All but triangles that cut each other."""
    vertices, faces, joined = welded(surface.vertices, surface.faces, weld_mm)
    faces, repeated = unrepeated(faces)
    vertices, faces, flat = unflattened(vertices, faces)
    if not len(faces):
        raise DataError(f"{surface.label.name} encloses nothing: its faces have no area, or lie on each other")
    before = len(vertices)
    vertices, faces = split(vertices, faces)
    faces, _, turned = oriented(faces)
    holes = fill(vertices, faces, largest_mm=largest_hole_mm)
    if holes.left and holes.largest_left_mm <= largest_hole_mm:
        raise DataError(
            f"{surface.label.name} has a hole {holes.largest_left_mm:.1f} mm across that cannot be closed: more than "
            f"{MOST_EDGES:,} edges lie around it, or every way to close it uses an edge that is there already"
        )
    if holes.left:
        raise DataError(
            f"{surface.label.name} has a hole {holes.largest_left_mm:.1f} mm across: closing it would be a guess; "
            f"allow it with a largest hole of {np.ceil(holes.largest_left_mm):.0f} mm, if that is meant"
        )
    added = len(vertices) - before
    vertices, faces, slivers = unflattened(vertices, holes.faces)
    vertices, faces = split(vertices, faces)
    faces, piece, again = oriented(faces)
    faces, outwards, within = _outwards(vertices, faces, piece)
    vertices, faces = compacted(vertices, faces)
    made = Surface(vertices, faces, surface.label)
    count = int(turned.sum() + again.sum() + outwards)
    gone = repeated + flat + slivers
    return Repaired(made, joined, gone, added, count, holes.count, holes.largest_mm, within)


def _parted(made: Repaired, largest_hole_mm: float, weld_mm: float) -> Repaired:
    """Bodies that share a wall as one, and a hair between those that touch at an edge or a vertex."""
    surface = made.surface
    if len(np.unique(surface.vertices, axis=0)) == len(surface.vertices):
        return made
    _, piece, _ = oriented(surface.faces)
    whole = _union(surface, piece) if piece.max(initial=0) else None
    if whole is not None and len(whole.faces) != len(surface.faces):
        again = _closed(whole, largest_hole_mm, weld_mm)
        made, surface = replace(made, resolved="united"), again.surface
    return replace(made, surface=replace(surface, vertices=apart(surface.vertices, surface.faces)))


def _outwards(vertices: Points, faces: Faces, piece: NDArray[np.int32]) -> tuple[Faces, int, int]:
    """Pieces turned outwards, cavities left inwards, what lies within another piece left out; faces, turned, gone."""
    count = int(piece.max(initial=-1)) + 1
    order = np.argsort(piece, kind="stable")
    bounds = np.searchsorted(piece[order], np.arange(count + 1))
    own = [faces[order[bounds[k] : bounds[k + 1]]] for k in range(count)]
    low = np.stack([vertices[part].min(axis=(0, 1)) for part in own])
    high = np.stack([vertices[part].max(axis=(0, 1)) for part in own])
    inward = _volumes(vertices, faces, piece, count) < 0
    turned = np.zeros(len(faces), np.bool_)
    kept = np.ones(len(faces), np.bool_)
    alive = np.zeros(count, np.bool_)
    gone = 0
    # The large ones first: what holds others is larger than they are.
    for number in np.argsort(-np.square(high - low).sum(axis=1), kind="stable").tolist():
        at = vertices[own[number][0]].mean(axis=0)
        around = np.flatnonzero(alive & (low <= low[number]).all(axis=1) & (high >= high[number]).all(axis=1))
        depth = round(sum(winding(vertices, own[other], at) for other in around.tolist()))
        which = order[bounds[number] : bounds[number + 1]]
        if depth >= 1 and not inward[number]:
            kept[which] = False
            gone += 1
            continue
        # In the open it looks outwards; within something, what looks inwards is a cavity.
        if inward[number] and depth < 1:
            own[number] = own[number][:, ::-1]
            turned[which] = True
        alive[number] = True
    faces = np.where(turned[:, None], faces[:, ::-1], faces)
    return faces[kept], int(turned.sum()), gone


def _volumes(vertices: Points, faces: Faces, piece: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """Of each piece, mm³."""
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    a, b, c = (vertices[faces[:, k]] - middle for k in range(3))
    parts: NDArray[np.float64] = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6
    return np.bincount(piece, parts, count).astype(np.float64)


def _uncut(
    made: Repaired, cut: NDArray[np.int32], largest_hole_mm: float, weld_mm: float, step_mm: float | None
) -> Repaired:
    """Something against triangles that cut each other, the gentlest that helps."""
    faces = made.surface.faces
    _, piece, _ = oriented(faces)
    alike = piece[cut[:, 0]] == piece[cut[:, 1]]
    if alike.all() and len(np.unique(cut)) <= _FEW * len(faces):
        patched = _patched(made, cut, largest_hole_mm, weld_mm)
        if patched is not None:
            return patched
    if not alike.any():
        united = _union(made.surface, piece)
        if united is not None and check(united).is_sound:
            return replace(made, surface=united, resolved="united")
    from vesalius.mesh.repairing.remeshing import remeshed

    surface, error_mm = remeshed(made.surface, step_mm=step_mm)
    return replace(made, surface=surface, resolved="remeshed", error_mm=error_mm)


def _patched(made: Repaired, cut: NDArray[np.int32], largest_hole_mm: float, weld_mm: float) -> Repaired | None:
    """Without the triangles that cut each other, and each time with more of those around them."""
    surface = made.surface
    for turn in range(_TURNS):
        bad = np.zeros(len(surface.faces), np.bool_)
        bad[cut] = True
        for _ in range(turn + 1):
            near = np.zeros(len(surface.vertices), np.bool_)
            near[surface.faces[bad]] = True
            bad |= near[surface.faces].any(axis=1)
        left = Surface(surface.vertices, surface.faces[~bad], surface.label)
        if left.is_empty:
            return None
        try:
            again = _parted(_closed(left, max(largest_hole_mm, LARGEST_HOLE_MM), weld_mm), largest_hole_mm, weld_mm)
        except DataError:
            return None
        cut = crossings(again.surface.vertices, again.surface.faces)
        if not len(cut):
            if abs(again.surface.volume_ml - made.surface.volume_ml) > _LOST * abs(made.surface.volume_ml):
                return None
            return replace(
                made,
                surface=again.surface,
                filled_holes=made.filled_holes + again.filled_holes,
                largest_hole_mm=max(made.largest_hole_mm, again.largest_hole_mm),
                resolved="patched" if made.resolved == "none" else made.resolved,
            )
        surface = again.surface
    return None


def _union(surface: Surface, piece: NDArray[np.int32]) -> Surface | None:
    """All bodies as one, less the cavities; ``None`` without manifold3d, or where a piece is no solid to it."""
    from vesalius.errors import MissingDependencyError
    from vesalius.mesh.printing.solid import manifold, solid_of, surface_of

    try:
        package = manifold()
        solids, cavities = [], []
        for number in np.unique(piece):
            part = Surface(*compacted(surface.vertices, surface.faces[piece == number]), surface.label)
            if part.volume_ml < 0:
                cavities.append(solid_of(Surface(part.vertices, part.faces[:, ::-1], part.label)))
            else:
                solids.append(solid_of(part))
        whole = package.Manifold.batch_boolean(solids, package.OpType.Add)
        if cavities:
            whole = whole - package.Manifold.batch_boolean(cavities, package.OpType.Add)
    except (MissingDependencyError, DataError):
        return None
    return surface_of(whole, surface.label)
