"""Smoothing of any mesh: low-pass filters that keep volumes, shared walls, how it hangs together, and free of cuts.

Source: G. Taubin, "A signal processing approach to fair surface design", SIGGRAPH 1995, doi 10.1145/218380.218473; the
windowed sinc: G. Taubin, T. Zhang, G. Golub, "Optimal surface smoothing as filter design", ECCV 1996, doi
10.1007/BFb0015544: the ideal low-pass filter as a sum of Chebyshev polynomials, with a Hamming window.
"""

from __future__ import annotations

from typing import Any, Literal, get_args, overload

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, unknown_name
from vesalius.mesh.crossings import crossings
from vesalius.mesh.shared import joined, parted
from vesalius.mesh.surface import Interfaces, Surface
from vesalius.mesh.volumes import Walls, sheets_of

Filter = Literal["taubin", "sinc"]

STEPS = 20
"""Of either filter, as VTK's windowed sinc has it."""

PASS_BAND = 0.1
"""Source: Taubin 1995, section 3.3: 0.01 to 0.1; VTK's windowed sinc: 0.1."""

_LAMBDA = 0.63
_ROUNDS = 12
_NEAR = 1e-6  # of a volume: near enough
_BACK = 24  # times at most that something steps back, before all is left as it was

Points = NDArray[np.float64]


@overload
def smooth(
    mesh: Interfaces, *, method: Filter = ..., steps: int = ..., pass_band: float = ..., constant_volume: bool = ...
) -> Interfaces: ...


@overload
def smooth(
    mesh: Surface, *, method: Filter = ..., steps: int = ..., pass_band: float = ..., constant_volume: bool = ...
) -> Surface: ...


def smooth(
    mesh: Interfaces | Surface,
    *,
    method: Filter = "taubin",
    steps: int = STEPS,
    pass_band: float = PASS_BAND,
    constant_volume: bool = True,
) -> Interfaces | Surface:
    """Smooth a mesh: that of a label map, or one that was read from a file.

    Vertices move, and nothing else changes: neighbours still share their walls. A vertex on a line where several
    structures meet moves with that line only; where such lines meet or end, and on the edge of a hole, it stays. Where
    triangles would come to cut each other, their vertices go only part of the way, or none. Triangles that cut each
    other from the beginning may go on to do so: `vesalius.mesh.repair` is for them.

    The volume of each closed piece of each structure is kept: the filters keep it nearly, and what is left is given
    back by the least shift of vertices along the normals. A structure of a few triangles keeps its volume and loses its
    shape; thin parts may vanish, unlike where `extract` smooths, which keeps each vertex within its voxels.

    Args:
        mesh: What is to be smoothed.
        method: ``"taubin"``: steps forward and back in turn. ``"sinc"``: a sharper division between what stays and what
            goes, in as many steps.
        steps: 0 to 1,000; of Taubin's, pairs of steps.
        pass_band: Up to which frequency the shape stays, 0.001 to 1, as a share of 2, the highest there is on a mesh:
            smaller is smoother.
        constant_volume: Whether volumes are kept; else they are what the filter leaves.

    Returns:
        The same mesh with other vertices.

    Raises:
        DataError: There is no such method, or a number is out of range.

    Example:
        >>> from vesalius.image import Grid, LabelMap, Labels
        >>> from vesalius.mesh import extract
        >>> cube = LabelMap(np.ones((9, 9, 9), np.uint8), Grid.from_spacing((9, 9, 9), (1, 1, 1)), Labels.of([1]))
        >>> before = extract(cube, smoothing_steps=0).of("label 1")
        >>> after = smooth(before)
        >>> round(after.volume_ml, 3), after.area_mm2 < 0.95 * before.area_mm2
        (0.729, True)
    """
    if method not in get_args(Filter):
        raise DataError(unknown_name("method of smoothing", method, get_args(Filter)))
    if not 0 <= steps <= 1000 or not 0.001 <= pass_band <= 1:
        raise DataError(f"steps must be 0 to 1000 and pass_band 0.001 to 1, not {steps} and {pass_band}")
    if isinstance(mesh, Interfaces):
        return _smoothed(mesh, method, steps, pass_band, constant=constant_volume)
    whole = _smoothed(joined([mesh]), method, steps, pass_band, constant=constant_volume)
    return parted(whole, [mesh])[0]


def _smoothed(mesh: Interfaces, method: Filter, steps: int, pass_band: float, *, constant: bool) -> Interfaces:
    if not steps or not len(mesh.faces):
        return mesh
    links, ends = _links(mesh)
    start: Points = mesh.vertices
    # About the middle, so that nothing cancels far from the origin.
    middle = (start.max(axis=0) + start.min(axis=0)) / 2
    run = _taubin if method == "taubin" else _sinc
    goal = run(links, start - middle, steps, pass_band) + middle
    walls = Walls(sheets_of(len(start), mesh.faces, mesh.sides), mesh.faces, mesh.sides)
    wanted = _wanted(walls, start - middle, ends) if constant else None
    return Interfaces(_uncut(mesh, start, goal, middle, walls, wanted), mesh.faces, mesh.sides, mesh.labels)


def _links(mesh: Interfaces) -> tuple[Any, NDArray[np.bool_]]:
    """The mean of each vertex's neighbours less itself, as a sparse matrix; and which vertices are on a hole's edge."""
    from scipy.sparse import coo_array, csr_array, diags_array

    faces, size = mesh.faces, len(mesh.vertices)
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    ends.sort(axis=1)
    keys, first, group, counts = np.unique(
        ends[:, 0] * size + ends[:, 1], return_index=True, return_inverse=True, return_counts=True
    )
    pair = np.sort(mesh.sides, axis=1).astype(np.int64)
    kinds = np.tile(pair[:, 0] * 65_536 + pair[:, 1], 3)
    joint = counts != 2
    joint[group[kinds != kinds[first][group]]] = True
    low, high = keys // size, keys % size
    lines = np.bincount(low[joint], minlength=size) + np.bincount(high[joint], minlength=size)
    open_ = np.zeros(size, np.bool_)
    open_[low[counts == 1]] = open_[high[counts == 1]] = True
    held = ((lines != 0) & (lines != 2)) | open_
    start, end = np.concatenate([low, high]), np.concatenate([high, low])
    used = ~held[start] & ((lines[start] == 0) | np.tile(joint, 2))
    made = csr_array(coo_array((np.ones(int(used.sum())), (start[used], end[used])), shape=(size, size)))
    degrees = np.diff(made.indptr)
    made.data /= np.repeat(np.maximum(degrees, 1), degrees)
    return made - diags_array((degrees > 0).astype(np.float64)), open_


def _taubin(links: Any, points: Points, steps: int, pass_band: float) -> Points:
    back = 1 / (pass_band - 1 / _LAMBDA)
    for _ in range(steps):
        points = points + _LAMBDA * (links @ points)
        points = points + back * (links @ points)
    return points


def _sinc(links: Any, points: Points, steps: int, pass_band: float) -> Points:
    """Chebyshev's recurrence in 1 + links, whose eigenvalues are -1 to 1; frequency 0 is at 1 and passes unchanged."""
    edge = float(np.arccos(1 - pass_band))
    order = np.arange(1, steps + 1)
    window = 0.54 + 0.46 * np.cos(np.pi * order / (steps + 1))
    weights = np.concatenate([[edge / np.pi], 2 * np.sin(order * edge) / (order * np.pi) * window])
    weights /= weights.sum()
    before, here = points, points + links @ points
    found: Points = weights[0] * before + weights[1] * here
    for weight in weights[2:]:
        before, here = here, 2 * (here + links @ here) - before
        found = found + weight * here
    return found


def _wanted(walls: Walls, points: Points, ends: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The volume of each piece; NaN of those with a hole, which have none."""
    volumes = walls.volumes(points)
    sheets = walls.sheets
    owner = np.concatenate([np.arange(len(sheets.main)), sheets.others // sheets.labels])
    volumes[sheets.pieces[ends[owner]]] = np.nan
    return volumes


def _kept(walls: Walls, points: Points, wanted: NDArray[np.float64] | None) -> Points:
    """Points shifted so that volumes are what they were."""
    if wanted is None:
        return points
    used = np.zeros(len(points), np.bool_)
    used[walls.faces] = True
    for _ in range(_ROUNDS):
        now = walls.volumes(points)
        # Few rounds do, but for meshes so coarse that they change much.
        goal = np.where(np.isnan(wanted), now, wanted)
        if (np.abs(now - goal) <= _NEAR * np.abs(goal)).all():
            break
        shift = walls.correction(points, goal)
        points = points + np.where(used[:, None], shift, 0.0)
    return points


def _uncut(
    mesh: Interfaces,
    start: Points,
    goal: Points,
    middle: Points,
    walls: Walls,
    wanted: NDArray[np.float64] | None,
) -> Points:
    """Where vertices end: at their goal, or as far on the way as triangles do not cut each other."""
    faces = mesh.faces
    known = _keys(crossings(start, faces), len(faces))
    share = np.ones(len(start))
    for turn in range(_BACK):
        ends = _kept(walls, start + share[:, None] * (goal - start) - middle, wanted) + middle
        if turn:
            # What was told to stay stays, whatever it takes to keep the volume.
            ends = np.where((share == 0)[:, None], start, ends)
        cut = crossings(ends, faces)
        cut = cut[~np.isin(_keys(cut, len(faces)), known)]
        if not len(cut):
            return ends
        bad = np.zeros(len(start), np.bool_)
        bad[faces[cut]] = True
        # Wider with each turn: what pushes them into each other may lie beside them.
        for _ in range(turn // 3):
            bad[faces[bad[faces].any(axis=1)]] = True
        share[bad] = share[bad] / 2 if turn < _BACK // 2 else 0.0
    return start


def _keys(pairs: NDArray[np.int32], size: int) -> NDArray[np.int64]:
    return pairs[:, 0].astype(np.int64) * size + pairs[:, 1]
