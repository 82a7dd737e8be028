"""Rigid and affine registration: starts weighed on the coarsest level, the best followed down to the finest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.register.alignment import Alignment
from vesalius.register.apply import align
from vesalius.register.itk import linear, matrix_of, needed, to_itk
from vesalius.register.levels import Level, content
from vesalius.register.likeness import Measure, similarity

_TURNS_DEG = (-50.0, -25.0, 25.0, 50.0)  # tried about each axis: the nearest is at most half a step away
_FOLLOWED = 5  # starts that are improved on the coarsest level
_SHARED = 0.25  # least share of the fixed content that a start must cover to be weighed
_SAMPLES = 50_000  # places at which the measure is taken on a fine level
_ROUNDS = 100
_STEPS = {"rigid": 1.0, "affine": 0.5}  # the first step, in spacings; shears run away with larger ones
_FLATTEST = 0.1  # least volume that is left by an improvement
_COVERED = Labels.of({"covered": 1})
_WORK_UNITS = 1  # sums of several threads are added in the order in which they end: results would not repeat


def starts(level: Level) -> Iterator[NDArray[np.float64]]:
    """Poses to begin with: as the headers say, centres on centres, masses on masses; each as it is and turned."""
    n = level.fixed.grid.ndim
    mass = _mass(level.fixed)
    pairs = [(mass, mass), (_middle(level.fixed.grid), _middle(level.moving.grid)), (mass, _mass(level.moving))]
    for turn, (about, goal) in product(_turns(n), pairs):
        matrix = np.eye(n + 1)
        matrix[:n, :n] = turn
        matrix[:n, n] = goal - turn @ about
        yield matrix


def best_start(level: Level, measure: Measure, seed: int) -> NDArray[np.float64]:
    """The best rigid pose on the coarsest level: all `starts` are weighed, and the best of them improved.

    Raises:
        DataError: In none of them do the images cover each other.
    """
    weighed = [(fit(level, matrix, measure), number, matrix) for number, matrix in enumerate(starts(level))]
    hopeful = sorted((row for row in weighed if row[0] is not None), key=lambda row: (-row[0], row[1]))  # type: ignore[operator]
    if not hopeful:
        raise DataError("the images do not cover each other, however they are turned: are both of the same region?")
    improved = []
    for value, number, matrix in hopeful[:_FOLLOWED]:
        better = improve(level, matrix, "rigid", measure, seed)
        improved.append((fit(level, better, measure) or 0.0, -number, better))
        improved.append((value or 0.0, -number, matrix))
    return max(improved, key=lambda row: row[:2])[2]


def fit(level: Level, matrix: NDArray[np.float64], measure: Measure) -> float | None:
    """The measure of a pose on a level; ``None`` if too little of the fixed content is covered to tell."""
    covered = cover(level.moving, Alignment(matrix), level.fixed.grid)
    there = content(level.fixed)
    if level.chosen is not None:
        there, covered = there & level.chosen, covered & level.chosen
    if (there & covered).sum() < _SHARED * max(int(there.sum()), 1):
        return None
    moved = align(level.moving, Alignment(matrix), level.fixed.grid)
    return similarity(level.fixed.array[0][covered], moved.array[0][covered], measure)


def cover(moving: Volume, alignment: Alignment, grid: Grid) -> NDArray[np.bool_]:
    """Which points of a grid the moving image covers."""
    one = LabelMap(np.ones(moving.grid.shape, np.uint8), moving.grid, _COVERED)
    found: NDArray[np.bool_] = align(one, alignment, grid).array > 0
    return found


def improve(
    level: Level, matrix: NDArray[np.float64], kind: Literal["rigid", "affine"], measure: Measure, seed: int
) -> NDArray[np.float64]:
    """Follow the measure uphill from a pose.

    Returns:
        The better matrix; the same where the measure cannot be followed, because the images have parted.

    Source: Mattes et al., IEEE TMI 22:120 (2003), doi:10.1109/TMI.2003.809072, as SimpleITK's
    ``ImageRegistrationMethod``; regular-step gradient descent with its steps in mm.
    """
    sitk = needed()
    n = level.fixed.grid.ndim
    moved: Any
    if kind == "rigid":
        moved = sitk.Euler3DTransform() if n == 3 else sitk.Euler2DTransform()
    else:
        moved = sitk.AffineTransform(n)
    # Space as the optimiser sees it has the content's middle at 0 and its radius as unit: there a step in any parameter
    # moves the content alike, and no scales need be guessed.
    centre, radius = _spread(level)
    scale = np.diag([1 / radius] * n + [1.0])
    scale[:n, n] = -centre / radius
    back = np.linalg.inv(scale)
    task = method(level, measure, seed)
    first = _STEPS[kind] * level.spacing_mm / radius
    task.SetOptimizerAsRegularStepGradientDescent(
        learningRate=first,
        minStep=first / 200,
        numberOfIterations=_ROUNDS,
        relaxationFactor=0.5,
        gradientMagnitudeTolerance=1e-8,
    )
    task.SetMovingInitialTransform(linear(scale @ matrix @ back))
    task.SetInitialTransform(moved, inPlace=True)
    sides = (Grid(side.grid.shape, scale @ side.grid.affine) for side in (level.fixed, level.moving))
    if level.chosen is not None:
        task.SetMetricFixedMask(
            to_itk(level.chosen.astype(np.uint8), Grid(level.chosen.shape, scale @ level.fixed.grid.affine))
        )
    try:
        task.Execute(
            *(to_itk(side.array[0], grid) for side, grid in zip((level.fixed, level.moving), sides, strict=True))
        )
    except RuntimeError:
        return matrix
    better: NDArray[np.float64] = matrix @ back @ matrix_of(moved) @ scale
    # A map that flattens or mirrors space has run away.
    return better if np.isfinite(better).all() and np.linalg.det(better) > _FLATTEST * np.linalg.det(matrix) else matrix


def method(level: Level, measure: Measure, seed: int) -> Any:
    """SimpleITK's registration with our measure: where it is taken, by which seed, in which order."""
    sitk = needed()
    task = sitk.ImageRegistrationMethod()
    if measure == "correlation":
        task.SetMetricAsCorrelation()
    else:
        task.SetMetricAsMattesMutualInformation(numberOfHistogramBins=32)
    task.SetMetricSamplingStrategy(task.RANDOM)
    # Its seed 0 means the time of day.
    task.SetMetricSamplingPercentage(min(1.0, _SAMPLES / level.fixed.grid.size), seed + 1)
    task.SetInterpolator(sitk.sitkLinear)
    task.MetricUseMovingImageGradientFilterOff()
    task.MetricUseFixedImageGradientFilterOff()
    task.SetNumberOfWorkUnits(_WORK_UNITS)
    return task


def _turns(ndim: int) -> Sequence[NDArray[np.float64]]:
    """No turn, and those about each axis."""
    if ndim == 2:
        angles = np.deg2rad((0.0, *_TURNS_DEG, 90.0, -90.0, 180.0))
        return [np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in angles]
    found = [np.eye(3)]
    for axis, angle in product("xyz", _TURNS_DEG):
        found.append(Rotation.from_euler(axis, angle, degrees=True).as_matrix())
    return found


def _middle(grid: Grid) -> NDArray[np.float64]:
    return grid.to_points((np.asarray(grid.shape) - 1) / 2)


def _spread(level: Level) -> tuple[NDArray[np.float64], float]:
    """The middle of the fixed image's content, and its standard deviation along an axis, mm."""
    there = content(level.fixed)
    if level.chosen is not None and (there & level.chosen).any():
        there = there & level.chosen
    points = level.fixed.grid.to_points(np.argwhere(there))
    return points.mean(axis=0), float(points.std(axis=0).mean()) or 1.0


def _mass(volume: Volume) -> NDArray[np.float64]:
    """The centre of mass, of the brightness above the darkest."""
    weight = volume.array[0] - volume.array[0].min()
    index = [
        float((weight.sum(axis=tuple(b for b in range(weight.ndim) if b != a)) * np.arange(n)).sum() / weight.sum())
        for a, n in enumerate(weight.shape)
    ]
    return volume.grid.to_points(index)
