"""Registration: find the place in the moving image of every point of the fixed one, and say how well it worked."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError, VesaliusError, unknown_name
from vesalius.image import LabelMap, Volume
from vesalius.register.alignment import Alignment, Fitness, Kind, jacobian
from vesalius.register.apply import align
from vesalius.register.deformable import deform
from vesalius.register.levels import Level, content, levels
from vesalius.register.likeness import Measure, similarity
from vesalius.register.linear import best_start, cover, fit, improve

Start = Literal["search", "headers"]
"""Where to begin: with the best of many poses, or as the headers place the images."""

_LEAST_OVERLAP = 0.6
_SWELLING = 1.6  # of an affine map: the volume of one person's body part over another's


def register(
    moving: Volume,
    fixed: Volume,
    *,
    kind: Kind = "affine",
    measure: Measure = "mutual-information",
    start: Start | Alignment = "search",
    within: LabelMap | None = None,
    leave_out: LabelMap | None = None,
    seed: int = 0,
) -> Alignment:
    """Bring one image onto another's anatomy, from coarse to fine, in mm.

    A rigid map is found first, from many starts; then the affine one, then the deformation. Within one person a rigid
    map is right for the head and for bones; an affine one makes up for a scanner's scale; between persons, and for soft
    organs, a deformation is needed. A result that is worse than where the headers place the images is not given out.

    Args:
        moving: 2D or 3D, of one channel.
        fixed: Of as many dimensions, one channel; any grid.
        kind: ``"rigid"``, ``"affine"`` or ``"deformable"``.
        measure: ``"mutual-information"`` for images of any kind (T1 and FLAIR, CT and MR), ``"correlation"`` for those
            of one kind: of one sequence, with or without a lesion.
        start: ``"search"``: the best of some dozens of poses, up to 60° from the headers. ``"headers"``: trust them,
            as within one session of a scanner. Or a linear alignment to go on from.
        within: A label map in the fixed image's space: only its labelled voxels take part, for example a brain.
        leave_out: One whose labelled voxels do not: lesions, which the other image need not have.
        seed: Of the places at which the measure is taken.

    Returns:
        The alignment with its fitness. The same images and seed give the same alignment.

    Raises:
        GeometryError: The dimensions differ.
        DataError: An image has several channels or a single grey value, nothing is left to take part, or the images do
            not cover each other.
        VesaliusError: The kind, measure or start is unknown.
        MissingDependencyError: SimpleITK is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> x, y = np.meshgrid(np.arange(64.0), np.arange(64.0), indexing="ij")
        >>> blob = np.exp(-((x - 30) ** 2 + 2 * (y - 34) ** 2) / 200)[None]
        >>> fixed = Volume(blob, Grid.from_spacing((64, 64), (1.0, 1.0)))
        >>> moving = Volume(blob, Grid.from_spacing((64, 64), (1.0, 1.0), origin_mm=(7.0, -3.0)))
        >>> found = register(moving, fixed, kind="rigid", measure="correlation")
        >>> bool(np.abs(found.to_moving([30.0, 34.0]) - [37.0, 31.0]).max() < 0.1)
        True

    Source: the course (rigid, affine, deformable; coarse to fine; several starts) is that of ANTs and elastix: Avants
    et al., NeuroImage 54:2033 (2011), doi:10.1016/j.neuroimage.2010.09.025; Klein et al., IEEE TMI 29:196 (2010),
    doi:10.1109/TMI.2009.2035616.
    """
    _check(moving, fixed, kind, measure, start)
    course = list(levels(moving, fixed, within=within, leave_out=leave_out))
    if any(level.chosen is not None and not level.chosen.any() for level in course):
        raise DataError("what is left to take part is too small to be seen on a coarse level: draw it larger")
    matrix = _linear(course, kind, measure, start, seed)
    displacement = deform(course, matrix, fixed.grid) if kind == "deformable" else None
    found = Alignment(matrix, displacement)
    return replace(found, fitness=judge(course[-1], found, measure))


def judge(level: Level, found: Alignment, measure: Measure) -> Fitness:
    """Say how well an alignment fits on a level of both images."""
    n = level.fixed.grid.ndim
    before = fit(level, np.eye(n + 1), measure)
    covered = cover(level.moving, found, level.fixed.grid)
    there = content(level.fixed)
    if level.chosen is not None:
        there, covered = there & level.chosen, covered & level.chosen
    overlap = float((there & covered).sum()) / max(int(there.sum()), 1)
    moved = align(level.moving, found, level.fixed.grid)
    after = similarity(level.fixed.array[0][covered], moved.array[0][covered], measure)
    folded = 0.0
    if found.displacement is not None:
        folded = float((jacobian(found.displacement) <= 0).mean())
    growth = float(np.linalg.det(found.matrix))
    doubts = []
    if before is not None and after < before:
        doubts.append(f"the images fit worse than where their headers place them ({after:.3f} after {before:.3f})")
    if overlap < _LEAST_OVERLAP:
        doubts.append(f"only {overlap:.0%} of what the fixed image shows lies inside the moving one")
    if folded > 0:
        doubts.append(f"the deformation folds at {folded:.2%} of the voxels")
    if not 1 / _SWELLING < growth < _SWELLING:
        doubts.append(f"volumes change by a factor of {growth:.2f}, which anatomy seldom does: mirrored, or cut off?")
    return Fitness(measure, float("nan") if before is None else before, after, overlap, folded, tuple(doubts))


def _check(moving: Volume, fixed: Volume, kind: str, measure: str, start: Start | Alignment) -> None:
    for word, name, known in (("kind of registration", kind, Kind), ("measure", measure, Measure)):
        if name not in get_args(known):
            raise VesaliusError(unknown_name(word, name, get_args(known)))
    if isinstance(start, str) and start not in get_args(Start):
        raise VesaliusError(unknown_name("start", start, get_args(Start)))
    if moving.grid.ndim != fixed.grid.ndim:
        raise GeometryError(f"a {moving.grid.ndim}D image cannot be registered to one of {fixed.grid.ndim}D")
    if isinstance(start, Alignment) and (start.ndim != fixed.grid.ndim or start.displacement is not None):
        raise GeometryError("a registration goes on from a linear alignment of as many dimensions")
    for name, image in (("moving", moving), ("fixed", fixed)):
        if image.channels != 1:
            raise DataError(
                f"the {name} image has {image.channels} channels, and one is registered: choose it with "
                "vesalius.transform.grey(image, channel=...)"
            )
        if min(image.grid.shape) < 4:
            raise DataError(f"the {name} image has {image.grid.shape} voxels: registration needs 4 along each axis")


def _linear(
    course: list[Level], kind: Kind, measure: Measure, start: Start | Alignment, seed: int
) -> NDArray[np.float64]:
    """The linear map that fits best on the finest level: the headers', the rigid or the affine one."""
    first, finest = course[0], course[-1]
    poses = [np.eye(finest.fixed.grid.ndim + 1)]
    if isinstance(start, Alignment):
        poses.append(start.matrix)
    elif start == "search":
        poses.append(best_start(first, measure, seed))
    matrix = poses[-1]
    for level in course:
        matrix = improve(level, matrix, "rigid", measure, seed)
    poses.append(matrix)
    if kind != "rigid":
        for level in course[1:] or course:  # on the coarsest, shears have too little to hold on to
            matrix = improve(level, matrix, "affine", measure, seed)
        poses.append(matrix)
    fits = [fit(finest, pose, measure) for pose in poses]
    if all(value is None for value in fits):
        raise DataError("the images do not cover each other where they were brought: are both of the same region?")
    return max(zip(fits, poses, strict=True), key=lambda row: -1.0 if row[0] is None else row[0])[1]
