"""Chan and Vese's active contours without edges: two regions, each of one grey, with a short boundary."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.gradients import otsu_of
from vesalius.classical.start import starting_region, unlike
from vesalius.errors import DataError, VesaliusError, unknown_name
from vesalius.image import LabelMap, Labels, Volume

Inside = Literal["bright", "dark"]
"""Which region is the object, when nothing was drawn."""

_SETTLED = 1e-4  # of the voxels changing sides: the means are what they will be
_ROUNDS = 10  # of new means: they settle in a few


def chan_vese(
    image: Volume,
    *,
    length_weight_mm: float = 0.5,
    inside: Inside = "bright",
    seeds: LabelMap | None = None,
    centre_mm: tuple[float, ...] | None = None,
    radius_mm: float | None = None,
    iterations: int = 200,
) -> LabelMap:
    """Part the image into two regions of nearly one value each, with a boundary as short as may be.

    It needs no edges and no start, and removes specks as the boundary gets dear. For given means it finds the best of
    all boundaries, not only one near a start; a start only gives the first means, and says which region is meant.

    Args:
        image: 2D or 3D, of any number of channels, which count alike once each is scaled to 0 … 1.
        length_weight_mm: What a mm of boundary costs in 2D (a mm² in 3D): as much as this many mm² (mm³) on the wrong
            side, where right and wrong differ by all of the contrast between the two means; ≥ 0. A round speck goes
            when its radius is less than twice this in 2D, three times in 3D.
        inside: Which region is labelled when there is no start.
        seeds: A region to start from: one name. The region that is most like it is labelled.
        centre_mm: Instead of seeds, the centre of a ball (a circle in 2D), mm, LPS.
        radius_mm: Its radius, mm, > 0.
        iterations: Steps between new means, ≥ 1.

    Returns:
        The region, under the name of the seeds, or ``object``.

    Raises:
        DataError: The image is of one value, the start leaves no inside or no outside, or a number is out of range.
        VesaliusError: ``inside`` is unknown.
        GeometryError: The seeds lie on another grid.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.zeros((1, 12, 12))
        >>> array[0, 3:9, 3:9] = 1
        >>> array[0, 1, 1] = 1  # a speck
        >>> chan_vese(Volume(array, Grid.from_spacing((12, 12), (1.0, 1.0)))).array.sum() <= 36
        np.True_

    Source: Chan, Vese, IEEE Trans. Image Processing 10, 2001, doi:10.1109/83.902291; several channels: Chan, Sandberg,
    Vese, Journal of Visual Communication and Image Representation 11, 2000. As a convex problem: Chan, Esedoglu,
    Nikolova, SIAM J Appl Math 66, 2006, doi:10.1137/040615286; solved by Chambolle, Pock, J Math Imaging Vision 40,
    2011, doi:10.1007/s10851-010-0251-1, algorithm 1.
    """
    if inside not in get_args(Inside):
        raise VesaliusError(unknown_name("inside", inside, get_args(Inside)))
    if not (math.isfinite(length_weight_mm) and length_weight_mm >= 0) or iterations < 1:
        raise DataError(
            f"length_weight_mm must be at least 0 and iterations at least 1, not {length_weight_mm} and {iterations}"
        )
    values = _scaled(image)
    name = "object"
    drawn = seeds is not None or centre_mm is not None or radius_mm is not None
    if drawn:
        region, name = starting_region(image.grid, seeds, centre_mm, radius_mm)
        if region.all():
            raise DataError("the start is all of the image: leave some of it outside")
    else:
        region = values[0] > otsu_of(values[0]) if np.ptp(values[0]) > 0 else values.sum(axis=0) > values.sum(0).mean()
    # Which of both is meant: what was drawn, or the bright one.
    u = region.astype(np.float32)
    spacing_mm = np.asarray(image.grid.spacing_mm)
    state = np.zeros((image.grid.ndim, *image.grid.shape), np.float32)
    found = region
    for _ in range(_ROUNDS):
        means = [values[:, part].mean(axis=1) for part in (found, ~found)]
        force = _force(values, means[0], means[1])
        u, state = _best(u, state, force, length_weight_mm, spacing_mm, iterations)
        fresh = u > 0.5
        if not fresh.any() or fresh.all():
            raise DataError(
                "one region has swallowed the other: the boundary is too dear, or the start is like the rest of the "
                "image; lower length_weight_mm or start elsewhere"
            )
        settled = int((fresh != found).sum()) <= _SETTLED * fresh.size
        found = fresh
        if settled:
            break
    bright = values[0][found].mean() >= values[0][~found].mean()
    if not drawn and bright != (inside == "bright"):
        found = ~found
    return LabelMap(found, image.grid, Labels.of({name: 1}))


def _scaled(image: Volume) -> NDArray[np.float32]:
    """Each channel from 0 to 1; flat ones become 0."""
    values = image.array.astype(np.float32)
    unlike(np.asarray([np.ptp(values, axis=tuple(range(1, values.ndim))).max(), 0.0]))
    for channel in values:
        channel -= channel.min()
        channel /= max(float(channel.max()), 1e-12)
    return values


def _force(values: NDArray[np.float32], inner: NDArray[np.float32], outer: NDArray[np.float32]) -> NDArray[np.float32]:
    """What it costs a voxel to be inside rather than outside, -1 to 1 between the means."""
    made = np.zeros(values.shape[1:], np.float32)
    for channel, a, b in zip(values, inner, outer, strict=True):
        made += (channel - a) ** 2 - (channel - b) ** 2
    contrast = float(((inner - outer) ** 2).sum())
    return made / np.float32(max(contrast, 1e-12))


def _best(
    u: NDArray[np.float32],
    dual: NDArray[np.float32],
    force: NDArray[np.float32],
    weight: float,
    spacing_mm: NDArray[np.float64],
    iterations: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The u from 0 to 1 of least ``weight ∫|∇u| + ∫ force u``, by primal and dual steps."""
    least = float(spacing_mm.min())
    scale = np.float32(1.0) * (least / spacing_mm).astype(np.float32)
    weight = weight / least  # in units of the least spacing, in which the gradient's norm is at most 2 √axes
    step = np.float32(0.95 / math.sqrt(4.0 * float((scale**2).sum())))
    ahead = u.copy()
    for n in range(iterations):
        for axis, factor in enumerate(scale):
            part = np.moveaxis(dual[axis], axis, 0)
            part[:-1] += step * factor * np.diff(np.moveaxis(ahead, axis, 0), axis=0)
        # Back to where its length is at most the weight, all axes together.
        size = np.sqrt(np.einsum("a...,a...->...", dual, dual))
        dual *= np.float32(weight) / np.maximum(size, np.float32(max(weight, 1e-12)))
        inward = np.zeros_like(u)
        for axis, factor in enumerate(scale):
            part, target = np.moveaxis(dual[axis], axis, 0), np.moveaxis(inward, axis, 0)
            target[:-1] += factor * part[:-1]
            target[1:] -= factor * part[:-1]
        fresh = np.clip(u + step * (inward - force), 0.0, 1.0)
        ahead = 2 * fresh - u
        if n % 20 == 19 and float(np.abs(fresh - u).max()) < 1e-3:
            return fresh, dual
        u = fresh
    return u, dual
