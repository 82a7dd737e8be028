"""Closed surfaces whose volume, area and genus are known on paper, for tests of mesh files and of printing."""

from __future__ import annotations

import numpy as np

from vesalius.image import Label
from vesalius.mesh.surface import Surface


def box(
    size_mm=(10.0, 10.0, 10.0), *, centre_mm=(0.0, 0.0, 0.0), name: str = "box", value: int = 1, colour=None
) -> Surface:
    """A box of twelve triangles."""
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], float) - 0.5
    faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]]
    faces += [[2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
    return Surface(corners * size_mm + centre_mm, np.array(faces), Label(name, value, colour))


def ball(
    radius_mm: float = 10.0, *, centre_mm=(0.0, 0.0, 0.0), steps: int = 48, name: str = "ball", value: int = 1
) -> Surface:
    """A sphere of meridians and parallels, its poles on z."""
    polar = np.linspace(0, np.pi, steps + 1)[1:-1]
    turn = np.linspace(0, 2 * np.pi, 2 * steps, endpoint=False)
    ring = np.stack(
        [
            np.outer(np.sin(polar), np.cos(turn)),
            np.outer(np.sin(polar), np.sin(turn)),
            np.outer(np.cos(polar), 1 + 0 * turn),
        ],
        axis=-1,
    ).reshape(-1, 3)
    vertices = np.concatenate([ring, [[0, 0, 1], [0, 0, -1]]]) * radius_mm + centre_mm
    rows, columns = np.meshgrid(np.arange(steps - 2), np.arange(2 * steps), indexing="ij")
    a = rows * 2 * steps + columns
    b = rows * 2 * steps + (columns + 1) % (2 * steps)
    c, d = a + 2 * steps, b + 2 * steps
    sides = np.concatenate([np.stack([a, c, d], -1).reshape(-1, 3), np.stack([a, d, b], -1).reshape(-1, 3)])
    first, after = np.arange(2 * steps), (np.arange(2 * steps) + 1) % (2 * steps)
    last = (steps - 2) * 2 * steps
    top = np.stack([np.full(2 * steps, len(ring)), first, after], -1)
    bottom = np.stack([np.full(2 * steps, len(ring) + 1), last + after, last + first], -1)
    return Surface(vertices, np.concatenate([sides, top, bottom]), Label(name, value))


def ring(major_mm: float = 20.0, minor_mm: float = 6.0, *, steps: int = 64, name: str = "ring") -> Surface:
    """A torus around z: genus 1."""
    u, v = np.meshgrid(*[np.arange(steps)] * 2, indexing="ij")
    a, b = 2 * np.pi * u / steps, 2 * np.pi * v / steps
    reach = major_mm + minor_mm * np.cos(b)
    vertices = np.stack([reach * np.cos(a), reach * np.sin(a), minor_mm * np.sin(b)], -1).reshape(-1, 3)
    p, q = u * steps + v, (u + 1) % steps * steps + v
    r, s = u * steps + (v + 1) % steps, (u + 1) % steps * steps + (v + 1) % steps
    faces = np.concatenate([np.stack([p, q, s], -1).reshape(-1, 3), np.stack([p, s, r], -1).reshape(-1, 3)])
    return Surface(vertices, faces, Label(name, 1))


def joined(*surfaces: Surface, name: str = "several") -> Surface:
    """Several closed surfaces as one."""
    before = np.cumsum([0, *(len(one.vertices) for one in surfaces)])
    faces = np.concatenate([one.faces + at for one, at in zip(surfaces, before, strict=False)])
    return Surface(np.concatenate([one.vertices for one in surfaces]), faces, Label(name, 1))


def flipped(surface: Surface) -> Surface:
    """The same, inside out."""
    return Surface(surface.vertices, surface.faces[:, ::-1].copy(), surface.label)
