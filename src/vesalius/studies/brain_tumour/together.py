"""Sequences of a case that do not lie on one another are brought together, or it is said why they cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vesalius.errors import DataError
from vesalius.image import Grid, Volume
from vesalius.io import read, read_labels, write
from vesalius.io.atomic import make_folder
from vesalius.io.layouts.load import TOLERANCE_MM
from vesalius.register import Alignment, Start, align, register, similarity
from vesalius.studies.brain_tumour.checks import as_brain, brain_of, shifts_mm, without_background
from vesalius.transform import respace

_FIXED = "T1CE"  # the one of highest resolution as a rule, and the one on which an enhancing tumour is drawn
_COARSE_MM = 2.0  # a head is rigid: finer voxels cost eight times as much and change the pose by a tenth of a mm
_FARTHEST_MM = 60.0
_MOST_DEGREES = 30.0
"""A head in a coil cannot move farther between two sequences of one session. Source: our own rule of thumb."""
_STIRRED_MM = 2.0  # from which on a move must have made the images more alike
_LEAST_GAIN = 0.02  # of what mutual information has above 1, which stands for nothing alike
_LEAST_SHARED = 0.9
"""Dice of the two brains after the move: both were stripped of the same skull. Source: our own; 0.999 in BraTS 2013
between sequences of a patient, 0.78 to 0.90 between two patients brought onto each other."""
_LEAST_TOLD = 1.04
"""Mutual information inside both brains. Source: our own, T1CE and FLAIR of BraTS 2013 and T1 and FLAIR of
`ms_lesion_mr` at 2 mm: 1.08 to 1.12 within a patient, 1.005 to 1.012 between two, 1.003 with noise."""


@dataclass(frozen=True, eq=False)
class _Sequence:
    name: str
    path: Path
    image: Volume

    @property
    def middle(self) -> NDArray[np.float64]:
        """Of its brain, mm."""
        return np.asarray(self.image.grid.to_points(np.argwhere(brain_of(self.image))).mean(axis=0))


def bring_together(
    images: Mapping[str, Path], reference: Path | None, folder: Path
) -> tuple[dict[str, Path], tuple[str, ...]]:
    """Register a case's sequences rigidly to one of them, those that lie on other grids or elsewhere.

    The tumour stays as it was drawn: the sequence that does not move is one on whose grid the reference lies, and of
    those one that most of the others agree with; T1 with contrast agent where it is among them, else the one of the
    finest voxels.

    Args:
        images: The file of each sequence, stripped of the skull.
        reference: The tumour, if somebody drew it.
        folder: Where the sequences go that were moved, as ``NAME.nii.gz``.

    Returns:
        The files that lie on each other, and a sentence for each sequence that was moved: by how much.

    Raises:
        DataError: It cannot be told on which sequence the tumour was drawn, or a registration is not to be trusted.
        VesaliusError: A file cannot be read or written.
        MissingDependencyError: SimpleITK is not installed.

    Source: rigid registration by mutual information is how the sets of BraTS themselves are made: Bakas et al.,
    Scientific Data 4:170117 (2017), doi:10.1038/sdata.2017.117.
    """
    sequences = [_Sequence(name, path, without_background(read(path))) for name, path in images.items()]
    for one in sequences:
        if one.image.grid.ndim != 3 or one.image.channels != 1 or not brain_of(one.image).any():
            raise DataError(f"its {one.name} is no volume of one channel that shows a brain")
    fixed = _fixed(sequences, None if reference is None else read_labels(reference).grid)
    found, told = dict(images), []
    for moving in sequences:
        if _lie_together(fixed, moving):
            continue
        alignment, was = _trusted(fixed, moving)
        moved = align(moving.image, alignment, fixed.image.grid)
        found[moving.name] = make_folder(folder) / f"{moving.name}.nii.gz"
        write(moved, found[moving.name])
        told.append(f"its {moving.name} was brought onto its {fixed.name}: {was}")
    return found, tuple(told)


def _lie_together(one: _Sequence, other: _Sequence) -> bool:
    if one is other or not _same_grid(one.image.grid, other.image.grid):
        return one is other
    both = Volume(np.concatenate([one.image.array, other.image.array]), one.image.grid)
    return not shifts_mm(both, (one.name, other.name))


def _same_grid(one: Grid, other: Grid) -> bool:
    return one.is_close(other, tolerance_mm=TOLERANCE_MM)


def _fixed(sequences: list[_Sequence], drawn_on: Grid | None) -> _Sequence:
    able = [one for one in sequences if drawn_on is None or _same_grid(one.image.grid, drawn_on)]
    if not able:
        raise DataError("its reference lies on the grid of none of its sequences: on which was it drawn?")
    friends = {one.name: sum(_lie_together(one, other) for other in able) for one in able}
    most = max(friends.values())
    if drawn_on is not None and len(able) > 1 and 2 * most <= len(able):
        names = ", ".join(one.name for one in able)
        raise DataError(f"its {names} lie apart on one grid, and it cannot be told on which the tumour was drawn")
    agreeing = [one for one in able if friends[one.name] == most]
    return min(agreeing, key=lambda one: (one.name != _FIXED, one.image.grid.voxel_volume_mm3))


def _trusted(fixed: _Sequence, moving: _Sequence) -> tuple[Alignment, str]:
    """An alignment nothing speaks against, and what it does in words.

    Raises:
        DataError: Something does speak against it, whether the headers were believed or every pose was tried.
    """
    one, other = (respace(sequence.image, _coarse(sequence.image.grid), antialias=True) for sequence in (moving, fixed))
    doubts: list[str] = []
    # The sequences of a session lie nearly right by their headers; where they do not, all poses are tried.
    starts: tuple[Start, ...] = ("headers", "search")
    for start in starts:
        alignment = register(one, other, kind="rigid", start=start)
        doubts, was = _doubts(fixed, moving, alignment, other, align(one, alignment, other.grid))
        if not doubts:
            return alignment, was
    raise DataError(
        f"its {moving.name} could not be brought onto its {fixed.name}: {'; '.join(doubts)}. Look at both, and use "
        "vesalius register"
    )


def _doubts(
    fixed: _Sequence, moving: _Sequence, alignment: Alignment, one: Volume, other: Volume
) -> tuple[list[str], str]:
    """What speaks against an alignment, of which both are shown on a coarse grid; and what it does in words."""
    fitness = alignment.fitness
    assert fitness is not None
    middle = fixed.middle
    moved_mm = float(np.linalg.norm(alignment.to_moving(middle) - middle))
    turned = float(np.degrees(Rotation.from_matrix(alignment.matrix[:3, :3]).magnitude()))
    was = f"moved by {moved_mm:.1f} mm and turned by {turned:.1f}°, mutual information {fitness.after:.3f}"
    gain = ""
    if np.isfinite(fitness.before):
        gain = f" after {fitness.before:.3f}"
    doubts = list(fitness.doubts)
    if moved_mm > _FARTHEST_MM or turned > _MOST_DEGREES:
        doubts.append(
            f"it would be moved by {moved_mm:.0f} mm and turned by {turned:.0f}°, which no head in a coil does"
        )
    rose = not np.isfinite(fitness.before) or fitness.after - 1 >= (1 + _LEAST_GAIN) * (fitness.before - 1)
    if moved_mm > _STIRRED_MM and not rose:
        doubts.append(f"mutual information hardly rises ({fitness.after:.3f}{gain})")
    # By other measures than the one that was made large: the same brain covers itself, and inside of it one sequence
    # tells of the other.
    there = respace(as_brain(fixed.image), one.grid.spacing_mm).array != 0
    covered = align(as_brain(moving.image), alignment, one.grid).array != 0
    shared = 2 * float((there & covered).sum()) / max(float(there.sum() + covered.sum()), 1.0)
    if shared < _LEAST_SHARED:
        doubts.append(f"the brains of both cover each other only to {shared:.0%}")
    told = similarity(one.array[0][there & covered], other.array[0][there & covered])
    if told < _LEAST_TOLD:
        doubts.append(f"inside the brain one tells next to nothing of the other ({told:.3f}): are they of one patient?")
    return doubts, was + gain


def _coarse(grid: Grid) -> list[float]:
    return [max(_COARSE_MM, mm) for mm in grid.spacing_mm]
