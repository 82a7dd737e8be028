"""Two scans of a patient compared: structures, surfaces, and how the tissue has grown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, unknown_name
from vesalius.image import LabelMap, Meta, Volume
from vesalius.mesh import Painted, Surface, extract
from vesalius.mesh.colours import ColourScale
from vesalius.register import Alignment, Fitness, align, jacobian, register
from vesalius.register.levels import content
from vesalius.studies.change.measuring import (
    Changed,
    changes_of,
    distances_mm,
    errors,
    moved_surface,
    receded,
    summary,
    volumes,
)
from vesalius.studies.change.placing import Placed, Scan, put, whole

LIMITS_MM = (1.0, 2.0, 5.0)
"""Beyond which shares of a surface are told."""

_THICKER = 1.5  # times, from which slices are of another thickness
_THICK = 3.0  # times as thick as pixels are wide
_CLIPPED = (0.1, 99.9)  # percentiles beyond which brightness says nothing
_SHOWN = 0.99  # of the distances lie within the scale of colours


@dataclass(frozen=True, eq=False)
class Growth:
    """How the tissue has grown, by a deformation that brings the second image onto the first.

    Args:
        factor: On the first scan's grid: by how much each place's volume has grown; 1 where it stayed.
        fitness: Of the deformation; ``fitness.folded`` is the share of places where it folds, and means nothing.
        shown: Where the first scan shows something rather than air, and the second one shows it too.
    """

    factor: Volume
    fitness: Fitness
    shown: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Change:
    """What became of a patient between two scans.

    Args:
        placed: The second scan in the first one's space.
        structures: What was compared.
        maps: What became of each voxel of them, by name: `vesalius.studies.change.measuring.CHANGES`.
        surfaces: Before and after in the first scan's space, by name, for structures that are in both.
        distances: The surfaces after, with the distance to those before at each vertex, all on one scale.
        growth: ``None`` where it was not asked for.
        doubts: What may be wrong with all this, a sentence each; none is a good sign and no proof.
    """

    placed: Placed
    structures: tuple[Changed, ...]
    maps: dict[str, LabelMap]
    surfaces: dict[str, tuple[Surface, Surface]]
    distances: tuple[Painted, ...]
    growth: Growth | None
    doubts: tuple[str, ...]


def compare(
    before: Scan,
    after: Scan,
    alignment: Alignment,
    *,
    names: Sequence[str] | None = None,
    growth: bool = False,
    limits_mm: Sequence[float] = LIMITS_MM,
    range_mm: float | None = None,
    seed: int = 0,
) -> Change:
    """Compare two scans of a patient.

    All is told in the first scan's space; sizes are those of each scan's own grid. Surfaces are moved, not resampled.

    Args:
        before: The first scan.
        after: The second scan.
        alignment: From the first scan's points to those of the second; linear: see `find_place`.
        names: Labels or regions; all labels when left out. One that is in neither scan is refused.
        growth: Find how the tissue has grown as well, by a deformation; needs both images, and minutes.
        limits_mm: Beyond which shares of the surface are told, mm.
        range_mm: What has the strongest colours, in and out; so that 99 of 100 distances are within when left out.
        seed: Of the deformation.

    Returns:
        The change; a structure that is in one scan only has appeared or vanished.

    Raises:
        DataError: Nothing is there to compare, a name is unknown to both scans, images are missing for the growth, or
            the scans do not cover each other.
        GeometryError: The alignment bends or mirrors.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> grid, x = Grid.from_spacing((24, 24, 24), (1.0, 1.0, 1.0)), np.indices((24, 24, 24)) - 12
        >>> balls = [(np.square(x).sum(axis=0) <= r * r).astype(np.uint8) for r in (6, 8)]
        >>> before, after = (Scan(LabelMap(ball, grid, Labels.of({"cyst": 1}))) for ball in balls)
        >>> (cyst,) = compare(before, after, Alignment(np.eye(4))).structures
        >>> cyst.verdict, round(cyst.moved.mean_mm), cyst.lost_ml
        ('grown', 2, 0.0)
    """
    chosen = _chosen(before, after, names)
    if growth and (before.image is None or after.image is None):
        raise DataError("how tissue has grown is found in images: name both, with --labels-before and --labels-after")
    if not all(mm > 0 for mm in limits_mm) or (range_mm is not None and not range_mm > 0):
        raise DataError("limits and the range of colours must be above 0 mm")
    placed = put(before, after, alignment)
    deformed = grown(before, after, alignment, seed=seed) if growth else None
    first = {surface.label.name: surface for surface in _surfaces(before, chosen)}
    second = {surface.label.name: surface for surface in _surfaces(after, chosen)}
    maps, structures, found = {}, [], {}
    measured: dict[str, NDArray[np.float64]] = {}
    grids = before.labels.grid, after.labels.grid
    for name in chosen:
        maps[name] = changes_of(before, placed, name)
        one = volumes(before, after, alignment, maps[name], name)
        if one.fate == "kept":
            pair = first[name], moved_surface(second[name], alignment)
            found[name], measured[name] = pair, distances_mm(*pair, *grids, alignment)
            explained = errors(pair[1], *grids, alignment)
            middle = pair[0].vertices[np.unique(pair[0].faces)].mean(axis=0)
            moved = summary(pair[1], measured[name], middle, explained, limits_mm)
            if moved is not None:
                moved = replace(moved, receded=receded(*pair, *grids, alignment, middle))
            one = replace(one, moved=moved)
        if deformed is not None and one.before_ml:
            inside = before.mask(name) & placed.seen
            mean = float(deformed.factor.array[0][inside].mean()) if inside.any() else None
            one = replace(one, growth=mean)
        structures.append(one)
    scale = _scale(list(measured.values()), range_mm)
    return Change(
        placed,
        tuple(structures),
        maps,
        found,
        tuple(Painted(found[name][1], far, "distance to before", "mm", scale) for name, far in measured.items()),
        deformed,
        (*placed.doubts, *_coarse(before, after), *_odd(structures), *_doubted(deformed)),
    )


def grown(before: Scan, after: Scan, alignment: Alignment, *, seed: int = 0) -> Growth:
    """Find by how much each place has grown: the Jacobian determinant of a deformation, the linear part included.

    A deformation is smooth: it finds growth within some voxels of where it is, of what has contrast, and rather too
    little than too much.

    Args:
        before: The first scan, with its image.
        after: The second scan, with its image.
        alignment: Linear, with which it begins.
        seed: Of the registration.

    Raises:
        DataError: An image has a single grey value.
        MissingDependencyError: SimpleITK is not installed.

    Source: Freeborough and Fox, J. Comput. Assist. Tomogr. 22:838 (1998), doi:10.1097/00004728-199809000-00031 (volume
    change as the Jacobian determinant of a deformation of one scan onto the other).
    """
    assert before.image is not None
    assert after.image is not None
    start = Alignment(alignment.matrix)
    found = register(after.image, before.image, kind="deformable", measure="correlation", start=start, seed=seed)
    assert found.displacement is not None
    assert found.fitness is not None
    factor = jacobian(found.displacement) * np.linalg.det(found.matrix)
    image = Volume(factor[None].astype(np.float32), before.image.grid, Meta(notes=("local growth factor; 1 is none",)))
    low, high = np.percentile(before.image.array[0], _CLIPPED)
    bright = content(before.image.with_array(np.clip(before.image.array, low, high)))
    return Growth(image, found.fitness, bright & (align(whole(after.labels.grid), found, before.image.grid).array > 0))


def _chosen(before: Scan, after: Scan, names: Sequence[str] | None) -> list[str]:
    present = list(dict.fromkeys([*before.present(), *after.present()]))
    if not present:
        raise DataError("there is nothing to compare: neither scan has a labelled voxel")
    if names is None:
        return present
    known = {**before.labels.labels.targets(), **after.labels.labels.targets()}
    for name in names:
        if name not in known:
            raise DataError(unknown_name("structure", name, known))
        if not (before.mask(name).any() or after.mask(name).any()):
            raise DataError(f"{name}: neither scan has a voxel of it")
    return list(dict.fromkeys(names))


def _surfaces(scan: Scan, names: Sequence[str]) -> list[Surface]:
    there = [name for name in names if scan.mask(name).any()]
    if not there:
        return []
    found = extract(scan.labels, only=there)
    return [found.of(name) for name in there]


def _scale(distances: Sequence[NDArray[np.float64]], range_mm: float | None) -> ColourScale:
    if range_mm is None:
        known = np.abs(np.concatenate([np.zeros(0), *distances]))
        known = known[np.isfinite(known)]
        most = float(np.quantile(known, _SHOWN)) if known.size else 1.0
        # Up to a number that can be read.
        step = 10.0 ** np.floor(np.log10(max(most, 0.1)))
        range_mm = float(np.ceil(max(most, 0.1) / step * 2 - 1e-9) * step / 2)
    return ColourScale(-range_mm, range_mm, "diverging")


def _coarse(before: Scan, after: Scan) -> list[str]:
    """What must be said of the resolution of both."""
    said = []
    pairs = [sorted(scan.labels.grid.spacing_mm) for scan in (before, after)]
    if max(a / b if a > b else b / a for a, b in zip(*pairs, strict=True)) > _THICKER:
        words = " and ".join(" x ".join(f"{mm:.3g}" for mm in scan.labels.grid.spacing_mm) for scan in (before, after))
        said.append(f"the scans differ in resolution ({words} mm): the finer one shows more, which is no change")
    for word, (fine, _, thick) in zip(("first", "second"), pairs, strict=True):
        if thick > _THICK * fine:
            said.append(
                f"the slices of the {word} scan are {thick:.3g} mm thick: between them its surface is interpolated, "
                "and may be off by half of that"
            )
    return said


def _odd(structures: Sequence[Changed]) -> list[str]:
    """What must be said of single structures."""
    said = []
    for one in structures:
        if one.fate == "kept" and not one.stable_ml:
            said.append(f"{one.name} does not overlap with itself: is the registration right, and is it the same one?")
        if one.unseen_ml > 0.01 * one.before_ml:
            said.append(f"{one.name}: {one.unseen_ml:.3g} ml of it lie beyond the second scan")
        if one.beyond_ml > 0.01 * one.after_ml:
            said.append(f"{one.name}: {one.beyond_ml:.3g} ml of it lie beyond the first scan")
        if one.fate == "kept" and (one.moved is None or one.moved.measured < 0.9):
            share = 0.0 if one.moved is None else one.moved.measured
            said.append(f"{one.name} is cut off by the end of a scan: {share:.0%} of its surface could be measured")
        if one.moved is not None and one.moved.is_within_error:
            sure = "" if one.verdict == "unchanged" else f", though as a whole it has {one.verdict}"
            said.append(
                f"{one.name}: no place of its surface has moved by more than the voxels' size explains "
                f"({one.moved.error_mm:.2g} mm){sure}"
            )
    return said


def _doubted(growth: Growth | None) -> list[str]:
    return [] if growth is None else [f"growth map: {doubt}" for doubt in growth.fitness.doubts]
