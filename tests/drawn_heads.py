"""A head that is drawn, with the places of its parts."""

from __future__ import annotations

import numpy as np

from vesalius.image import Grid, Meta, Volume

GRID = Grid.from_spacing((70, 84, 84), (3.0, 3.0, 3.0), origin_mm=(-104.0, -126.0, -140.0))


def ellipsoid(points: np.ndarray, middle: tuple[float, ...], half: tuple[float, ...]) -> np.ndarray:
    return (((points - middle) / half) ** 2).sum(axis=-1) < 1


def parts(grid: Grid = GRID) -> dict[str, np.ndarray]:
    """A head that is drawn in patient space: x to the left, y to the back, z up, the brain's middle at the origin."""
    points = grid.to_points(np.stack(np.indices(grid.shape), axis=-1).reshape(-1, 3)).reshape(*grid.shape, 3)
    x, y, z = np.moveaxis(points, -1, 0)
    cerebrum = ellipsoid(points, (0, 0, 10), (66, 82, 52)) & (z > np.where(y < -38, -14, -42))
    behind = ellipsoid(points, (0, 40, -30), (52, 40, 38))
    brain = cerebrum | behind
    skull = (ellipsoid(points, (0, 0, 8), (73, 90, 61)) | ellipsoid(points, (0, 40, -30), (60, 47, 45))) & ~brain
    scalp = ellipsoid(points, (0, 0, 6), (79, 97, 70))
    neck = (np.hypot(x, y - 25) < 58) & (z < -20)
    jaw = ellipsoid(points, (0, -45, -75), (58, 52, 62))
    nose = ellipsoid(points, (0, -98, -55), (15, 22, 22))
    eyes = ellipsoid(points, (32, -82, -36), (12, 12, 12)) | ellipsoid(points, (-32, -82, -36), (12, 12, 12))
    head = scalp | neck | jaw | nose
    return {"head": head, "brain": brain, "skull": skull & head, "nose": nose, "eyes": eyes & head}


def phantom(modality: str = "MR", *, grid: Grid = GRID) -> Volume:
    drawn = parts(grid)
    values = {"MR": (3.0, 150.0, 8.0, 100.0), "CT": (-1000.0, 55.0, 900.0, 35.0)}[modality]
    if modality == "CT":
        values = (-1000.0, 90.0, 900.0, 35.0)
    array = np.full(grid.shape, values[0])
    array[drawn["head"]] = values[1]
    array[drawn["skull"]] = values[2]
    array[drawn["brain"]] = values[3]
    array += np.random.default_rng(4).normal(0, 2, grid.shape)
    return Volume(np.round(array[None]).astype(np.int16), grid, Meta("CT" if modality == "CT" else "MR"))
