"""Deformable registration: many small smooth steps, each laid over those before, so that space never folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vesalius.image import Grid, Volume
from vesalius.register.alignment import jacobian
from vesalius.register.levels import Level
from vesalius.transform import resample

_WINDOW = 5  # voxels along each edge of the neighbourhood whose correlation is made large
_STEP = 0.4  # of a voxel: as far as a point moves in one step at most; below a half, a smooth step cannot fold
_SIGMA, _TOTAL_SIGMA = 2.0, 0.5  # voxels, of the Gaussians that each step and the sum of steps are smoothed with
_ROUNDS = 60
_PATIENCE = 8  # rounds within which the correlation must grow by
_GAIN = 2e-3
_LEAST_GROWTH, _MENDINGS = 0.1, 20  # of a voxel's volume; how often a field that falls below is smoothed there
_FLAT = 1e-5  # of the image's variance: a neighbourhood with less has no shape

Field = NDArray[np.float32]
"""A displacement ``(n, *shape)`` along the axes of a grid, in voxels."""


def deform(course: Sequence[Level], matrix: NDArray[np.float64], grid: Grid) -> Volume:
    """Bend the fixed image's space until the moving image, brought there by a matrix, fits everywhere.

    The squared correlation of small neighbourhoods is made large: it bears other contrasts, too, as long as brightness
    goes together in each neighbourhood.

    Args:
        course: Both images, the coarsest level first.
        matrix: From fixed to moving points, mm.
        grid: Of the fixed image.

    Returns:
        The displacement, mm, on the fixed image's grid; it comes before the matrix.

    Source: the greedy scheme and the force are those of Avants et al., Medical Image Analysis 12:26 (2008),
    doi:10.1016/j.media.2007.06.004 (section 2.3); diffeomorphic by composition of small steps: Christensen, Rabbitt and
    Miller, IEEE TIP 5:1435 (1996), doi:10.1109/83.536892. Window and smoothing are those of ANTs and greedy in round
    numbers.
    """
    total = Volume(np.zeros((grid.ndim, *course[0].fixed.grid.shape), np.float32), course[0].fixed.grid)
    for number, level in enumerate(course):
        # Every level has half as many rounds as the one before, which is eight times as small.
        field = _follow(level, matrix, _in_voxels(total, level.fixed.grid), max(10, _ROUNDS >> max(0, number - 1)))
        total = _in_mm(_unfolded(field), level.fixed.grid)
    return _in_mm(_in_voxels(total, grid), grid)


def _follow(level: Level, matrix: NDArray[np.float64], field: Field, rounds: int) -> Field:
    grid, fixed, moving = level.fixed.grid, level.fixed.array[0], level.moving.array[0]
    n = grid.ndim
    spacing = np.asarray(grid.spacing_mm, np.float32)
    finest = float(spacing.min())
    sigma = [_SIGMA * finest / s for s in grid.spacing_mm]
    gentle = [_TOTAL_SIGMA * finest / s for s in grid.spacing_mm]
    to_moving = np.linalg.inv(level.moving.grid.affine) @ matrix @ grid.affine
    home = np.indices(grid.shape, dtype=np.float32)
    weight = None if level.chosen is None else level.chosen.astype(np.float32)
    best, kept, since = -1.0, field, 0
    for _ in range(rounds):
        at = home + field
        index = np.tensordot(to_moving[:n, :n].astype(np.float32), at, 1)
        index += to_moving[:n, n].astype(np.float32).reshape(-1, *[1] * n)
        warped = ndimage.map_coordinates(moving, index, order=1, mode="nearest", prefilter=False)
        alike, pull = _force(fixed, warped, weight)
        since += 1
        if alike > best + _GAIN:
            best, kept, since = alike, field, 0
        elif since >= _PATIENCE:
            break
        # Uphill in mm: an axis of thick slices changes less for each of its voxels.
        step = np.stack([_smooth(pull * g, sigma) for g in np.gradient(warped)]) / (spacing**2).reshape(-1, *[1] * n)
        length = float(np.sqrt(((step * spacing.reshape(-1, *[1] * n)) ** 2).sum(axis=0)).max())
        if length == 0:
            break
        step *= _STEP * finest / length
        field = np.stack([_smooth(c, gentle) for c in _after(field, step)])
    return kept


def _force(
    fixed: NDArray[np.float32], warped: NDArray[np.float32], weight: NDArray[np.float32] | None
) -> tuple[float, NDArray[np.float32]]:
    """The mean squared correlation of neighbourhoods, and its slope with the warped image's brightness."""

    def mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = ndimage.uniform_filter(values, _WINDOW, mode="nearest")
        return found

    one, other = fixed - fixed.mean(), warped - warped.mean()
    here, there = mean(one), mean(other)
    own, foreign, both = mean(one * one) - here**2, mean(other * other) - there**2, mean(one * other) - here * there
    flat = (own < _FLAT * one.var()) | (foreign < _FLAT * other.var())
    own, foreign = np.where(flat, 1, own), np.where(flat, 1, foreign)
    both = np.where(flat, 0, both)
    pull = 2 * both / (own * foreign) * ((one - here) - both / foreign * (other - there))
    alike = both**2 / (own * foreign)
    if weight is not None:
        pull, alike = pull * weight, alike * weight
    counted = ~flat if weight is None else ~flat & (weight > 0)
    return float(alike[counted].mean()) if counted.any() else 0.0, pull.astype(np.float32)


def _after(field: Field, step: Field) -> Field:
    """The field that goes by the step first, and from there on by the field."""
    at = np.indices(field.shape[1:], dtype=np.float32) + step
    moved = [ndimage.map_coordinates(c, at, order=1, mode="nearest", prefilter=False) for c in field]
    return np.stack(moved) + step


def _unfolded(field: Field) -> Field:
    """The field, smoothed where it was about to fold: small steps add up, and rims have only half a neighbourhood."""
    for _ in range(_MENDINGS):
        growth = jacobian(Volume(field, Grid(field.shape[1:], np.eye(len(field) + 1))))
        tight = ndimage.binary_dilation(growth < _LEAST_GROWTH, iterations=3)
        if not tight.any():
            break
        blend = ndimage.gaussian_filter(tight.astype(np.float32), 1.5)
        blend /= max(float(blend.max()), 1e-6)
        field = np.stack([c + blend * (_smooth(c, [_SIGMA] * c.ndim) - c) for c in field])
    return field


def _smooth(values: NDArray[np.float32], sigma: Sequence[float]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = ndimage.gaussian_filter(values, sigma, mode="constant", truncate=3.0)
    return found


def _in_voxels(displacement: Volume, grid: Grid) -> Field:
    """The displacement on a grid that has the same axes, in its voxels."""
    to_index = np.linalg.inv(grid.affine[:-1, :-1]).astype(np.float32)
    return np.tensordot(to_index, resample(displacement, grid).array.astype(np.float32), 1)


def _in_mm(field: Field, grid: Grid) -> Volume:
    return Volume(np.tensordot(grid.affine[:-1, :-1].astype(np.float32), field, 1), grid)
