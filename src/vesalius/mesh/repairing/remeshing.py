"""A surface made anew from what it winds around, where nothing gentler makes it sound."""

from __future__ import annotations

import numpy as np

from vesalius.errors import DataError
from vesalius.image import LabelMap, Labels, Volume
from vesalius.mesh.extract import extract
from vesalius.mesh.printing.inside import around, inside, samples
from vesalius.mesh.surface import Surface

_STEPS = 200  # along the diagonal
_NEAR = 2.5  # steps from the surface, within which distances matter


def remeshed(surface: Surface, *, step_mm: float | None = None) -> tuple[Surface, float]:
    """Make a surface anew: that of all points around which it winds once or more, found between points of a grid.

    Edges become as round as the step is long, and what is thinner than a step may vanish.

    Args:
        surface: Closed; its triangles may cut each other.
        step_mm: Of the grid; a 200th of the diagonal when left out.

    Returns:
        The surface, and how far a vertex of it lies from the old one at most, mm; a sixth of a step too much or less.

    Raises:
        DataError: It winds around no point of the grid, or the step is too fine.
    """
    from scipy.spatial import cKDTree

    low, high = (np.asarray(bound) for bound in surface.bounds_mm)
    step = step_mm or float(np.linalg.norm(high - low)) / _STEPS
    grid = around(surface, step)
    within = inside(surface, grid)
    if not within.any():
        raise DataError(f"{surface.label.name} encloses nothing: it is flat, inside out, or thinner than {step:.2g} mm")
    # Far from the surface only the side matters.
    away = np.full(grid.shape, _NEAR * step, np.float32).reshape(-1)
    near = np.flatnonzero(_beside(within))
    points = grid.to_points(np.stack(np.unravel_index(near, grid.shape), axis=1))
    tree = cKDTree(samples(surface, step / 4))
    away[near] = np.minimum(tree.query(points, distance_upper_bound=4 * step)[0], _NEAR * step)
    depth = np.where(within, away.reshape(grid.shape), -away.reshape(grid.shape))
    likely = (0.5 + depth / (2.2 * _NEAR * step)).astype(np.float32)
    labels = LabelMap(within.astype(np.uint8), grid, Labels.of({"inside": 1}))
    found = extract(
        labels, probabilities=Volume(np.stack([1 - likely, likely]), grid), smoothing_steps=0, slices="keep"
    ).of("inside")
    made = Surface(found.vertices, found.faces, surface.label)
    return made, float(tree.query(made.vertices)[0].max())


def _beside(within: np.ndarray) -> np.ndarray:
    """Points within two steps of where inside and outside meet."""
    from scipy.ndimage import binary_dilation, binary_erosion

    found: np.ndarray = binary_dilation(within, iterations=2) & ~binary_erosion(within, iterations=2)
    return found
