"""One picture of many structures: the nearest in front, and through some of them what lies behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vesalius.mesh.colours import ColourScale
from vesalius.mesh.rendering.bodies import Body, Scene
from vesalius.mesh.rendering.projection import Projection
from vesalius.mesh.rendering.raster import Facing, rasterise
from vesalius.mesh.rendering.shade import hollows, lit, reach_px

_BAND_PX = 1 << 23  # pixels that are drawn at once, besides those around: about 400 MiB


@dataclass(frozen=True, eq=False)
class _Layer:
    """The nearest wall of one structure, where there is any.

    Args:
        at: Flat indices of pixels.
        z: How far it is there.
        colours: ``(n, 3)``, 0 to 1, in the light.
        cut: Where it is the flat face of a cut.
    """

    at: NDArray[np.int64]
    z: NDArray[np.float32]
    colours: NDArray[np.float32]
    cut: NDArray[np.bool_]


def compose(
    scene: Scene, projection: Projection, *, samples: int = 2, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Draw all structures.

    Opaque structures hide each other by depth, pixel by pixel. Of one that can be seen through, the nearest wall is
    drawn: where several lie behind each other, each lets through what its opacity leaves, from back to front, whatever
    the order in which they are given. Where something was taken away of a closed structure, its cut face has its own
    colour without light or shadow.

    Args:
        scene: What is drawn.
        projection: Of the picture.
        samples: So many pixels are drawn for each one, in both directions, and averaged.
        out: Where to draw it; an array of its own if left out.

    Returns:
        ``(rows, columns, 4)``: red, green, blue times opacity, and opacity, 0 to 1.

    Source: T. Porter, T. Duff, Compositing digital images, SIGGRAPH 1984, doi:10.1145/800031.808606 (*over*, of colours
    as screens have them).
    """
    fine = projection.finer(samples)
    found = np.empty((projection.size[1], projection.size[0], 4), np.float32) if out is None else out
    placed = [fine.project(body.vertices) for body in scene.bodies]
    # Shadows reach across bands, and are computed for blocks: a band is drawn with what lies around it.
    reach = -(-reach_px(fine) // samples)
    for start, end in _bands(projection.size, samples, sum(body.opacity < 1 for body in scene.bodies)):
        first = max(0, start - reach) // 4 * 4
        last = min(projection.size[1], end + reach)
        part = replace(fine, offset=(0, first * samples))
        wanted = ((start - first) * samples, (end - first) * samples)
        kept = _drawn(scene, part, placed, (last - first) * samples, wanted)
        found[start:end] = sum(kept[row::samples, column::samples] for row, column in np.ndindex(samples, samples))
    found /= samples**2
    return found


def _bands(size: tuple[int, int], samples: int, layers: int) -> Iterator[tuple[int, int]]:
    columns, rows = size
    high = max(16, _BAND_PX // (columns * samples**2 * max(1, layers // 2))) // 4 * 4
    for start in range(0, rows, high):
        yield start, min(rows, start + high)


def _drawn(
    scene: Scene, part: Projection, placed: list[NDArray[np.float64]], rows: int, wanted: tuple[int, int]
) -> NDArray[np.float32]:
    """The wanted ones of some rows of the picture, ``(rows, columns, 4)``."""
    columns = part.size[0]
    picture = np.zeros((rows * columns, 4), np.float32)
    nearest = np.full(rows * columns, np.inf, np.float32)
    dull = np.zeros(rows * columns, bool)
    clear: list[tuple[_Layer, float]] = []
    for body, corners in zip(scene.bodies, placed, strict=True):
        # What can be seen through throws no shadow: of it, the rows around are not needed.
        span = wanted if body.opacity < 1 else (0, rows)
        layer = _layer(body, corners - (0, part.offset[1], 0), part, span, scene.scale)
        if layer is None:
            continue
        if body.opacity < 1:
            clear.append((layer, body.opacity))
            continue
        nearer = layer.z < nearest[layer.at]
        at = layer.at[nearer]
        nearest[at] = layer.z[nearer]
        picture[at, :3] = layer.colours[nearer]
        dull[at] = layer.cut[nearer]
    light = hollows(part.depth_mm(nearest).reshape(rows, columns), part).ravel()
    light[dull] = 1
    picture *= light[:, None]
    picture[:, 3] = np.isfinite(nearest)
    _lay_over(picture, nearest, clear)
    return picture.reshape(rows, columns, 4)[slice(*wanted)]


def _layer(
    body: Body,
    corners: NDArray[np.float64],
    part: Projection,
    span: tuple[int, int],
    scale: ColourScale | None,
) -> _Layer | None:
    """The nearest wall of a structure in a span of rows; ``None`` where it is not in the picture."""
    low = np.maximum(np.floor(corners[:, :2].min(axis=0)) - 1, (0, span[0])).astype(int)
    high = np.minimum(np.ceil(corners[:, :2].max(axis=0)) + 1, (part.size[0], span[1])).astype(int)
    if (high <= low).any():
        return None
    columns, rows = (high - low).tolist()
    moved = corners - (*low, 0)
    facing: Facing = "front" if body.is_closed else "both"
    coded = body.normals * np.float32(0.5) + np.float32(0.5)
    z, numbers = rasterise(moved, body.faces, coded, (rows, columns), facing=facing)
    cut = np.zeros((rows, columns), bool)
    if body.is_closed and body.planes:
        behind, _ = rasterise(moved, body.faces, coded, (rows, columns), facing="back")
        # Whoever sees an inner wall first looks through a cut: there is the cut's face.
        cut = behind < z
        r, c = np.nonzero(cut)
        x, y = c + 0.5 + low[0], r + 0.5 + low[1]
        met = np.max([part.met(x, y, plane.normal, plane.at_mm) for plane in body.planes], axis=0)
        cut[r, c] = met > 0  # else a rim that is seen edge-on
        z[cut] = met[met > 0]
    r, c = np.nonzero(np.isfinite(z))
    if not len(r):
        return None
    plain = np.array(body.colour, np.float32) / 255
    normals = numbers[r, c] * 2 - 1
    if not body.is_closed:  # the inside of an open surface is lit as its outside is
        away = normals @ part.camera.towards.astype(np.float32) < 0
        normals[away] *= -1
    colours: NDArray[np.float32] = np.broadcast_to(plain, (len(r), 3))
    if body.values is not None and scale is not None:
        colours = _painted(body, moved, part, z, scale)
    colours = lit(colours, normals, part.camera.axes, even=body.values is not None)
    flat = cut[r, c]
    colours[flat] = plain
    return _Layer((r + low[1]) * part.size[0] + c + low[0], z[r, c], colours, flat)


def _painted(
    body: Body, moved: NDArray[np.float64], part: Projection, z: NDArray[np.float32], scale: ColourScale
) -> NDArray[np.float32]:
    """The colours of values, at the pixels where there is something."""
    assert body.values is not None
    share = (body.values - scale.low) / (scale.high - scale.low)
    known = np.isfinite(share)
    # Without perspective, 1 / z is not what numbers are linear in: they are taken times z, and divided by it again.
    own = moved[:, 2] / part.farthest if not part.camera.perspective else np.ones(len(moved))
    numbers = np.stack([np.where(known, np.clip(share, 0, 1), 0) * own, known * own, own], axis=1)
    facing: Facing = "front" if body.is_closed else "both"
    _, found = rasterise(moved, body.faces, numbers.astype(np.float32), z.shape, facing=facing)
    at = found[np.isfinite(z)].astype(np.float64)
    lengths = np.maximum(at[:, 2], 1e-9)
    values = scale.low + at[:, 0] / lengths * (scale.high - scale.low)
    values[at[:, 1] / lengths < 1 - 1e-3] = np.nan
    return scale.colours(values).astype(np.float32) / np.float32(255)


def _lay_over(picture: NDArray[np.float32], nearest: NDArray[np.float32], clear: list[tuple[_Layer, float]]) -> None:
    """Draw what can be seen through over a picture, from back to front in each pixel."""
    fronts = [(layer, opacity, layer.z < nearest[layer.at]) for layer, opacity in clear]
    if not any(front.any() for _, _, front in fronts):
        return
    at = np.concatenate([layer.at[front] for layer, _, front in fronts])
    z = np.concatenate([layer.z[front] for layer, _, front in fronts])
    colours = np.concatenate([layer.colours[front] for layer, _, front in fronts])
    shares = np.concatenate([np.full(int(front.sum()), opacity, np.float32) for _, opacity, front in fronts])
    order = np.lexsort((-z, at))
    ordered = at[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    lengths = np.diff([*starts, len(ordered)])
    rank = np.arange(len(ordered)) - np.repeat(starts, lengths)
    for step in range(int(lengths.max())):
        these = order[rank == step]
        share = shares[these][:, None]
        over = np.column_stack([colours[these], np.ones(len(these), np.float32)])
        picture[at[these]] = share * over + (1 - share) * picture[at[these]]
