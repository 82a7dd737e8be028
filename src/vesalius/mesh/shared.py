"""Surfaces that were read from files, with the walls that they share found again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.image import Label, Labels
from vesalius.mesh.files.content import welded
from vesalius.mesh.surface import Interfaces, Surface


def joined(surfaces: Sequence[Surface]) -> Interfaces:
    """Put surfaces together: vertices at the same place become one, and faces that two have become their wall.

    Files hold each structure by itself. Neighbours that were extracted together have bit for bit the same vertices
    on their wall, also after they were written and read (but for `.glb`, whose places are rounded for each structure).

    Args:
        surfaces: Any; closed or not.

    Returns:
        Interfaces with the labels ``"1"``, ``"2"`` and so on in the order of the surfaces; `parted` takes them apart
        again. A face that three surfaces have, or two on the same side, stays with each of them.

    Raises:
        DataError: There are more than 65,535.

    Example:
        >>> corners = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9], [9, 9, 9.0]])
        >>> one = Surface(corners, [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], Label("one", 1))
        >>> other = Surface(corners[1:], [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], Label("other", 1))
        >>> made = joined([one, other])
        >>> len(made.vertices), len(made.faces), [s.label.name for s in parted(made, [one, other])]
        (5, 7, ['one', 'other'])
    """
    if len(surfaces) > np.iinfo(np.uint16).max:
        raise DataError(f"at most 65,535 surfaces are put together, not {len(surfaces)}")
    labels = Labels(tuple(Label(str(number), number) for number in range(1, len(surfaces) + 1)))
    points = [surface.vertices for surface in surfaces]
    starts = np.cumsum([0, *(len(part) for part in points)])
    places, number = welded(np.concatenate([np.zeros((0, 3)), *points]))
    vertices = np.asarray(places, np.float64)
    faces = np.concatenate(
        [np.zeros((0, 3), np.int32), *(number[s.faces + at] for s, at in zip(surfaces, starts, strict=False))]
    )
    owner = np.repeat(np.arange(1, len(surfaces) + 1, dtype=np.int32), [len(s.faces) for s in surfaces])
    # Faces of one surface that lost their area where its vertices fell together.
    whole = np.flatnonzero((faces != np.roll(faces, 1, axis=1)).all(axis=1))
    faces, owner = faces[whole], owner[whole]
    one, other = _walls(faces, owner)
    sides = np.stack([owner, np.zeros_like(owner)], axis=1)
    sides[one, 1] = owner[other]
    kept = np.ones(len(faces), np.bool_)
    kept[other] = False
    return Interfaces(vertices, faces[kept], sides[kept], labels)


def parted(interfaces: Interfaces, surfaces: Sequence[Surface]) -> tuple[Surface, ...]:
    """The surfaces of what `joined` made, with the labels that they had.

    Args:
        interfaces: With the labels of `joined`.
        surfaces: Those that were put together.
    """
    made = (interfaces.of(str(number)) for number in range(1, len(surfaces) + 1))
    return tuple(replace(one, label=surface.label) for one, surface in zip(made, surfaces, strict=True))


def _walls(faces: NDArray[np.int32], owner: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of faces of two surfaces with the same corners, seen from both sides."""
    if not len(faces):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    corners = np.sort(faces, axis=1)
    # Even or odd: whether the corners, put in order, turn the other way.
    first = np.argmin(faces, axis=1)
    rows = np.arange(len(faces))
    turned = faces[rows, (first + 1) % 3] > faces[rows, (first + 2) % 3]
    order = np.lexsort((turned, *corners.T[::-1]))
    same = (corners[order[1:]] == corners[order[:-1]]).all(axis=1)
    group = np.concatenate([[0], np.cumsum(~same)])
    counts = np.bincount(group)
    at = np.flatnonzero(same)
    one, other = order[at], order[at + 1]
    fits = (counts[group[at]] == 2) & (turned[one] != turned[other]) & (owner[one] != owner[other])
    return one[fits], other[fits]
