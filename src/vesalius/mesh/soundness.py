"""Whether a surface bounds a body: closed, manifold, oriented, and nowhere through itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.mesh.crossings import crossings
from vesalius.mesh.surface import Surface


@dataclass(frozen=True)
class Soundness:
    """What was counted in a surface; all numbers but the faces' are 0 in a sound one.

    Args:
        faces: How many triangles.
        open_edges: Edges with one face: holes.
        crowded_edges: Edges with more than two faces.
        turned_edges: Edges whose two faces run the same way along them: one of the two is inside out.
        pinched_vertices: Vertices at which several sheets touch.
        flat_faces: Triangles without an area.
        self_intersections: Pairs of triangles that cut each other; ``None`` where they were not looked for.
        is_inward: Whether the volume inside is negative.
        manifold3d: What the library of this name says, an independent proof: ``"NoError"`` or a reason; ``None`` where
            it is not installed.
    """

    faces: int
    open_edges: int
    crowded_edges: int
    turned_edges: int
    pinched_vertices: int
    flat_faces: int
    self_intersections: int | None
    is_inward: bool
    manifold3d: str | None = None

    @property
    def is_watertight(self) -> bool:
        """Every edge has two faces."""
        return not self.open_edges and not self.crowded_edges

    @property
    def is_manifold(self) -> bool:
        """Around every point, the surface looks like a disc."""
        return self.is_watertight and not self.pinched_vertices

    @property
    def is_oriented(self) -> bool:
        """All faces are counter-clockwise seen from outside."""
        return not self.turned_edges and not self.is_inward

    @property
    def is_sound(self) -> bool:
        """Watertight, manifold, oriented, without self-intersections, and manifold3d agrees where it was asked."""
        agreed = self.manifold3d in (None, "NoError")
        whole = self.is_manifold and self.is_oriented and not self.flat_faces
        return agreed and whole and self.self_intersections == 0


def check(surface: Surface, *, intersections: bool = True) -> Soundness:
    """Count what keeps a surface from bounding a body.

    Args:
        surface: The surface. One without faces has no defects.
        intersections: Whether to look for self-intersections, which takes longest.

    Returns:
        The counts, and manifold3d's word where that is installed (``pip install 'vesalius[mesh]'``).

    Example:
        >>> from vesalius.image import Label
        >>> corners = [[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]]
        >>> faces = np.asarray([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        >>> check(Surface(corners, faces, Label("tetrahedron", 1))).is_sound
        True
        >>> check(Surface(corners, faces[:3], Label("open", 1))).open_edges
        3
    """
    faces, vertices = surface.faces, surface.vertices
    edges = _Edges(faces)
    cut = len(crossings(vertices, faces)) if intersections else None
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    areas = np.square(np.cross(b - a, c - a)).sum(axis=1)
    return Soundness(
        faces=len(faces),
        open_edges=edges.open,
        crowded_edges=edges.crowded,
        turned_edges=edges.turned,
        pinched_vertices=edges.pinched(),
        flat_faces=int((areas == 0).sum()),
        self_intersections=cut,
        is_inward=surface.volume_ml < 0,
        manifold3d=_manifold3d(surface) if len(faces) else None,
    )


class _Edges:
    """The three sides of each face, sorted so that those of an edge lie together."""

    def __init__(self, faces: NDArray[np.int32]) -> None:
        self._faces = faces
        ends = np.stack([faces, np.roll(faces, -1, axis=1)], axis=2).reshape(-1, 2).astype(np.int64)
        size = int(faces.max(initial=0)) + 1
        keys = ends.min(axis=1) * size + ends.max(axis=1)
        self._order = np.argsort(keys, kind="stable")
        keys = keys[self._order]
        first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, np.int64)
        counts = np.diff(first, append=len(keys))
        self.open = int((counts == 1).sum())
        self.crowded = int((counts > 2).sum())
        self._pairs = np.stack([self._order[first[counts == 2]], self._order[first[counts == 2] + 1]], axis=1)
        forward = ends[:, 0] < ends[:, 1]
        self.turned = int((forward[self._pairs[:, 0]] == forward[self._pairs[:, 1]]).sum())

    def pinched(self) -> int:
        """Vertices whose faces fall into several fans."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        # Each corner of a face is joined to the same vertex's corner in the face across an edge.
        sides = self._pairs
        nexts = sides // 3 * 3 + (sides + 1) % 3
        vertices = self._faces.reshape(-1)
        same = vertices[sides[:, 0]] == vertices[sides[:, 1]]
        partner = np.where(
            same[:, None], np.stack([sides[:, 1], nexts[:, 1]], 1), np.stack([nexts[:, 1], sides[:, 1]], 1)
        )
        one, other = np.concatenate([sides[:, 0], nexts[:, 0]]), partner.T.reshape(-1)
        graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(len(vertices), len(vertices)))
        count, fans = connected_components(graph, directed=False)
        owner = np.zeros(count, np.int64)
        owner[fans] = vertices
        return int((np.bincount(owner, minlength=1) > 1).sum())


def _manifold3d(surface: Surface) -> str | None:
    try:
        import manifold3d
    except ImportError:
        return None
    # A copy: it takes no array that is read-only.
    mesh = manifold3d.Mesh64(surface.vertices.copy(), surface.faces.astype(np.uint64, order="C"))
    return str(manifold3d.Manifold(mesh).status().name)
