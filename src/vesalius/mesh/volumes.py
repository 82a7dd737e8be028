"""The volumes of the pieces of structures that share walls, and the least shift of vertices that restores them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.mesh.net import Net, corner_labels

_FORGIVEN = 1e-9  # of the system's largest number, added: a lesion and the cavity it fills say the same thing twice


@dataclass(frozen=True, eq=False)
class Sheets:
    """Which closed piece of which structure a vertex bounds. A vertex may bound several structures, each by one piece.

    Args:
        main: ``(V,)``: one of the labels at each vertex.
        others: Rising numbers ``vertex * labels + label`` of all further pairs.
        labels: The number that all labels are below.
        pieces: ``(V + others,)``: the piece of each pair.
        count: How many pieces there are.
    """

    main: NDArray[np.integer]
    others: NDArray[np.int64]
    labels: int
    pieces: NDArray[np.int32]
    count: int

    def pairs(self, vertices: NDArray[np.int32], labels: NDArray[np.int32]) -> NDArray[np.int64]:
        """The numbers of pairs of a vertex and a label at it."""
        found = vertices.astype(np.int64)
        beside = np.flatnonzero(self.main[vertices] != labels)
        found[beside] = len(self.main) + np.searchsorted(self.others, found[beside] * self.labels + labels[beside])
        return found

    def at(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The vertices of the pieces that are chosen, ``(count,)``; some may stand there twice."""
        pairs = np.flatnonzero(chosen[self.pieces])
        further = pairs[pairs >= len(self.main)] - len(self.main)
        return np.concatenate([pairs[pairs < len(self.main)], self.others[further] // self.labels])


def sheets(net: Net, faces: NDArray[np.int32], sides: NDArray[np.int32]) -> Sheets:
    """Find the pieces of each structure's surface.

    Args:
        net: The net.
        faces: ``(F, 3)``, its triangles; vertices from ``net.size`` on were added, and never come first.
        sides: ``(F, 2)``, the labels on both sides.
    """
    corners = corner_labels(net.array, net.cells)
    top = np.iinfo(corners.dtype).max
    main = np.where(corners == 0, top, corners).min(axis=0)[net.owners]
    return _sheets(main, int(net.array.max(initial=0)) + 1, faces, sides)


def sheets_of(size: int, faces: NDArray[np.int32], sides: NDArray[np.int32]) -> Sheets:
    """Find the pieces of surfaces that come from no net.

    Args:
        size: How many vertices there are.
        faces: ``(F, 3)``.
        sides: ``(F, 2)``, the labels on both sides.
    """
    top = np.iinfo(np.int32).max
    main = np.full(size, top, np.int32)
    for side in (0, 1):
        told = np.where(sides[:, side] == 0, top, sides[:, side])
        for k in range(3):
            np.minimum.at(main, faces[:, k], told)
    return _sheets(main, int(sides.max(initial=0)) + 1, faces, sides)


def _sheets(main: NDArray[np.integer], labels: int, faces: NDArray[np.int32], sides: NDArray[np.int32]) -> Sheets:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    further, links = [], []
    for side in (0, 1):
        shown = np.flatnonzero(sides[:, side])
        for k in range(3):
            at = faces[shown, k]
            real = at < len(main)
            at, label = at[real], sides[shown[real], side]
            beside = main[at] != label
            further.append(np.unique(at[beside].astype(np.int64) * labels + label[beside]))
    made = Sheets(main, np.unique(np.concatenate(further)), labels, np.zeros(0, np.int32), 0)
    for side in (0, 1):
        shown = np.flatnonzero(sides[:, side])
        first = made.pairs(faces[shown, 0], sides[shown, side])
        for k in (1, 2):
            real = faces[shown, k] < len(main)
            links.append(np.stack([first[real], made.pairs(faces[shown[real], k], sides[shown[real], side])]))
    one, other = np.concatenate(links, axis=1)
    size = len(main) + len(made.others)
    graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(size, size))
    count, pieces = connected_components(graph, directed=False)
    return Sheets(main, made.others, labels, pieces.astype(np.int32), int(count))


@dataclass(frozen=True, eq=False)
class Walls:
    """Triangles and the pieces on their two sides, for sums over pieces.

    Args:
        sheets: The pieces.
        faces: ``(F, 3)``.
        sides: ``(F, 2)``.
    """

    sheets: Sheets
    faces: NDArray[np.int32]
    sides: NDArray[np.int32]

    def volumes(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """The volume within each piece, negative for the walls of cavities; in the unit of the points, cubed."""
        a, b, c = (points[self.faces[:, k]] for k in range(3))
        parts = np.einsum("ij,ij->i", a, np.cross(b, c)) / 6
        total = np.zeros(self.sheets.count)
        for side, sign in ((0, 1.0), (1, -1.0)):
            shown = np.flatnonzero(self.sides[:, side])
            at = self.sheets.pieces[self.sheets.pairs(self.faces[shown, 0], self.sides[shown, side])]
            total += sign * np.bincount(at, parts[shown], self.sheets.count)
        return total

    def correction(self, points: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
        """The smallest shift of the vertices, ``(V, 3)``, that gives each piece the volume that is wanted.

        Source: one step of Newton's method with as many equations as pieces, the solution of least squares:
        ``d = Gᵀ (G Gᵀ)⁻¹ (wanted - volume)``, where G holds the gradients of the volumes.
        """
        from scipy.sparse import coo_array, diags_array
        from scipy.sparse.linalg import spsolve

        sheets, size = self.sheets, len(self.sheets.main)
        slopes = self._slopes(points)
        owner = np.concatenate([np.arange(size), sheets.others // sheets.labels])
        crowded = np.zeros(size, np.bool_)
        crowded[owner[size:]] = True
        shared = np.flatnonzero(crowded[owner])
        alone = np.square(slopes).sum(axis=1)
        alone[shared] = 0
        system: Any = diags_array(np.bincount(sheets.pieces, alone, sheets.count))
        for axis in range(3):
            rows = coo_array(
                (slopes[shared, axis], (sheets.pieces[shared], owner[shared])), shape=(sheets.count, size)
            ).tocsr()
            system = system + rows @ rows.T
        system = system + diags_array(np.full(sheets.count, _FORGIVEN * max(float(system.diagonal().max()), 1e-30)))
        strength = spsolve(system.tocsc(), wanted - self.volumes(points)).reshape(-1)
        shift = slopes * strength[sheets.pieces][:, None]
        total: NDArray[np.float64] = shift[:size]
        for axis in range(3):
            total[:, axis] += np.bincount(owner[size:], shift[size:, axis], size)
        return total

    def _slopes(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """How the volume of the piece of each pair grows with its vertex, ``(pairs, 3)``."""
        sheets, size = self.sheets, len(self.sheets.main)
        a, b, c = (points[self.faces[:, k]] for k in range(3))
        # A third of twice the area of each triangle, halved; the sum around a vertex of a closed surface is its slope.
        thirds = np.cross(b - a, c - a) / 6
        slopes = np.zeros((len(sheets.pieces), 3))
        for side, sign in ((0, 1.0), (1, -1.0)):
            shown = np.flatnonzero(self.sides[:, side])
            for k in range(3):
                real = shown[self.faces[shown, k] < size]
                at = sheets.pairs(self.faces[real, k], self.sides[real, side])
                for axis in range(3):
                    slopes[:, axis] += sign * np.bincount(at, thirds[real, axis], len(slopes))
        return slopes
