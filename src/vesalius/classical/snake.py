"""Parametric active contours (snakes): a closed line that moves until its energies are in balance.

The energy of a contour is

- *elasticity*: what it costs to be long; it shrinks the contour and spaces it evenly,
- *rigidity*: what it costs to bend; it smooths the contour,
- *image force*: edges draw the contour,
- *balloon*: a pressure that blows it up, or lets it collapse when negative.

Snakes are made for one object of one piece, near which the contour starts. In 3D each slice has a snake of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.channel import only_channel
from vesalius.classical.extra import needed
from vesalius.classical.gradients import slopes, smoothed, steepness
from vesalius.classical.start import starting_region, unlike
from vesalius.errors import DataError
from vesalius.image import LabelMap, Labels, Volume
from vesalius.transform import label_components

_STEP = 0.5  # of a force of 1 pixel: whole pixels would leap over an edge and back
_ROUND = 10  # steps between new points: to place them anew shrinks the contour a little
_STEADY = 0.05  # pixels across itself in a round: less is rest
_SOFT = 0.05  # of the strongest flow: what is weaker fades, so that its noise does not pull
_COARSEST = 32  # pixels of a side: smaller pictures are solved without a coarser one
_LEAST, _MOST = 6, 20_000  # points of a contour


def snake(
    image: Volume,
    *,
    seeds: LabelMap | None = None,
    centre_mm: tuple[float, ...] | None = None,
    radius_mm: float | None = None,
    elasticity: float = 0.1,
    rigidity: float = 0.5,
    image_force: float = 1.0,
    balloon: float = 0.0,
    sigma_mm: float = 2.0,
    iterations: int = 1000,
    axis: int = 2,
) -> LabelMap:
    """Let a contour move to the edges near it: a snake in the field of the smoothed image's edges.

    It is drawn from as far away as ``sigma_mm`` reaches. `gradient_vector_flow` draws from further, and into hollows.

    Args:
        image: One channel, 2D or 3D.
        seeds: The region that the contour bounds at first, filled: one name, of one piece in each slice.
        centre_mm: Instead of seeds, the centre of a circle (a ball in 3D), mm, LPS.
        radius_mm: Its radius, mm, > 0.
        elasticity: Weight of being long, ≥ 0.
        rigidity: Weight of bending, ≥ 0.
        image_force: Weight of the edges, ≥ 0; the strongest pull is 1, half a pixel a step.
        balloon: Pressure, outwards when positive; 1 is half a pixel a step. Less than ``image_force``, or it bursts.
        sigma_mm: Width of the Gaussian that smooths the image first, mm, ≥ 0.
        iterations: The most steps, ≥ 1; it stops when the contour rests.
        axis: In 3D: the axis across the slices, 0, 1 or 2.

    Returns:
        What the contours enclose, under the name of the seeds (``object`` for a circle). It is empty when a contour
        has collapsed.

    Raises:
        DataError: There is no start, or more than one name or piece; the image is of one grey value or has several
            channels; a number is out of range.
        GeometryError: The seeds lie on another grid.
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> i, j = np.indices((40, 40)) - 20
        >>> image = Volume((i**2 + j**2 <= 100)[None] * 1.0, Grid.from_spacing((40, 40), (1.0, 1.0)))
        >>> found = snake(image, centre_mm=(21.0, 19.0), radius_mm=13.0, sigma_mm=2.0)
        >>> 280 < found.counts()[1] < 350
        True

    Source: Kass, Witkin, Terzopoulos, Int J Computer Vision 1, 1988, doi:10.1007/BF00133570 (equations 17 and 18);
    balloon: Cohen, CVGIP: Image Understanding 53, 1991, doi:10.1016/1049-9660(91)90028-N.
    """
    energies = _Energies(elasticity, rigidity, image_force, balloon)
    return _grown(image, (seeds, centre_mm, radius_mm), energies, sigma_mm, iterations, axis, None)


def gradient_vector_flow(
    image: Volume,
    *,
    seeds: LabelMap | None = None,
    centre_mm: tuple[float, ...] | None = None,
    radius_mm: float | None = None,
    elasticity: float = 0.1,
    rigidity: float = 0.5,
    image_force: float = 1.0,
    balloon: float = 0.0,
    diffusion: float = 0.2,
    sigma_mm: float = 1.0,
    iterations: int = 1000,
    axis: int = 2,
) -> LabelMap:
    """Let a contour move to edges in a field that has been spread from them: a snake in gradient vector flow.

    Args:
        image: One channel, 2D or 3D.
        seeds: The region that the contour bounds at first, filled: one name, of one piece in each slice.
        centre_mm: Instead of seeds, the centre of a circle (a ball in 3D), mm, LPS.
        radius_mm: Its radius, mm, > 0.
        elasticity: Weight of being long, ≥ 0.
        rigidity: Weight of bending, ≥ 0.
        image_force: Weight of the edges, ≥ 0; where the flow is not faint the pull is 1, half a pixel a step.
        balloon: Pressure, outwards when positive; 1 is half a pixel a step. Less than ``image_force``, or it bursts.
        diffusion: How smooth the field is, > 0: large over noise. Xu and Prince's μ, for slopes of at most 1.
        sigma_mm: Width of the Gaussian that smooths the image first, mm, ≥ 0.
        iterations: The most steps, ≥ 1; it stops when the contour rests.
        axis: In 3D: the axis across the slices, 0, 1 or 2.

    Returns:
        What the contours enclose, under the name of the seeds (``object`` for a circle). It is empty when a contour
        has collapsed.

    Raises:
        DataError: There is no start, or more than one name or piece; the image is of one grey value or has several
            channels; a number is out of range.
        GeometryError: The seeds lie on another grid.
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> i, j = np.indices((40, 40)) - 20
        >>> image = Volume((i**2 + j**2 <= 100)[None] * 1.0, Grid.from_spacing((40, 40), (1.0, 1.0)))
        >>> found = gradient_vector_flow(image, centre_mm=(20.0, 20.0), radius_mm=3.0)
        >>> 280 < found.counts()[1] < 350
        True

    Source: Xu, Prince, IEEE Trans. Image Processing 7, 1998, doi:10.1109/83.661186 (equation 12), solved for its steady
    state at once.
    """
    energies = _Energies(elasticity, rigidity, image_force, balloon)
    if not (math.isfinite(diffusion) and diffusion > 0):
        raise DataError(f"the diffusion must be more than 0, not {diffusion}")
    return _grown(image, (seeds, centre_mm, radius_mm), energies, sigma_mm, iterations, axis, diffusion)


def vector_flow(
    edges: NDArray[np.float64], spacing_mm: Sequence[float], diffusion: float, *, weight: float | None = None
) -> NDArray[np.float64]:
    """Spread the gradient of an edge map to where it has none.

    Args:
        edges: ``(i, j)``, the edge map, large on edges.
        spacing_mm: Of both axes.
        diffusion: The weight of smoothness, > 0, by the largest squared slope and the square of the lesser spacing.
        weight: The same, outright; for the same picture in other sizes.

    Returns:
        ``(2, i, j)``, the field ``v`` for which ``diffusion ∇²v = |∇f|² (v - ∇f)``.

    Source: Xu, Prince, IEEE Trans. Image Processing 7, 1998, doi:10.1109/83.661186, equation 12.
    """
    from scipy import sparse
    from scipy.sparse.linalg import cg

    gradient = slopes(edges, spacing_mm)
    size = np.einsum("aij,aij->ij", gradient, gradient).ravel()
    weight = diffusion * float(size.max()) * min(spacing_mm) ** 2 if weight is None else weight
    # Laplacians of chains whose ends reflect; together that of the picture.
    parts = []
    for n, spacing in zip(edges.shape, spacing_mm, strict=True):
        middle = np.full(n, 2.0)
        middle[0] -= 1.0
        middle[-1] -= 1.0
        chain = sparse.diags_array([-np.ones(n - 1), middle, -np.ones(n - 1)], offsets=[-1, 0, 1])
        parts.append(chain / spacing**2)
    flat = sparse.kron(parts[0], sparse.eye_array(edges.shape[1])) + sparse.kron(
        sparse.eye_array(edges.shape[0]), parts[1]
    )
    system = (weight * flat + sparse.diags_array(size)).tocsr()
    inverse = sparse.diags_array(1.0 / np.maximum(system.diagonal(), 1e-300))
    first = _coarsely(edges, spacing_mm, diffusion, weight) if min(edges.shape) >= _COARSEST else gradient
    made = [
        cg(system, size * part.ravel(), guess.ravel(), rtol=1e-3, maxiter=1000, M=inverse)[0].reshape(edges.shape)
        for part, guess in zip(gradient, first, strict=True)
    ]
    return np.stack(made)


def _coarsely(
    edges: NDArray[np.float64], spacing_mm: Sequence[float], diffusion: float, weight: float
) -> NDArray[np.float64]:
    """The flow of the picture at half its size, brought back: what is far from edges settles there in few steps."""
    even = np.pad(edges, [(0, n % 2) for n in edges.shape], mode="edge")
    half = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4.0
    flow = vector_flow(half, [2.0 * s for s in spacing_mm], diffusion, weight=weight)
    return flow.repeat(2, axis=1).repeat(2, axis=2)[:, : edges.shape[0], : edges.shape[1]]


@dataclass(frozen=True)
class _Energies:
    """The weights of a contour's energies."""

    elasticity: float
    rigidity: float
    image_force: float
    balloon: float

    def __post_init__(self) -> None:
        weights = (self.elasticity, self.rigidity, self.image_force)
        if not (np.isfinite([*weights, self.balloon]).all() and min(weights) >= 0):
            raise DataError(
                "elasticity, rigidity and image_force must be at least 0 and the balloon finite, not "
                f"{', '.join(str(w) for w in weights)} and {self.balloon}"
            )


def _grown(
    image: Volume,
    start: tuple[LabelMap | None, tuple[float, ...] | None, float | None],
    energies: _Energies,
    sigma_mm: float,
    iterations: int,
    axis: int,
    diffusion: float | None,
) -> LabelMap:
    """A snake in each slice that the start touches, in the field of the edges or, with ``diffusion``, their flow."""
    region, name = starting_region(image.grid, *start)
    if iterations < 1 or axis not in (0, 1, 2):
        raise DataError(f"a snake needs at least 1 iteration and an axis of 0, 1 or 2, not {iterations} and {axis}")
    values = unlike(np.asarray(only_channel(image), np.float64))
    flat = image.grid.ndim == 2
    spacing_mm = tuple(s for a, s in enumerate(image.grid.spacing_mm) if flat or a != axis)
    array = np.zeros(image.grid.shape, np.uint8)
    # Views with the slices first, so that what is drawn on a slice is drawn on the array.
    pictures, regions, drawn = (a[None] if flat else np.moveaxis(a, axis, 0) for a in (values, region, array))
    for picture, inside, target in zip(pictures, regions, drawn, strict=True):
        if inside.any():
            field = _field(picture, spacing_mm, sigma_mm, diffusion)
            contour = _moved(_outline(inside), field, spacing_mm, energies, iterations)
            if contour is not None:
                target[needed("skimage.draw").polygon2mask(target.shape, contour)] = 1
    return LabelMap(array, image.grid, Labels.of({name: 1}))


def _field(
    picture: NDArray[np.float64], spacing_mm: tuple[float, ...], sigma_mm: float, diffusion: float | None
) -> NDArray[np.float64]:
    """The force of the image, ``(2, i, j)``; its length is 1 at most, whatever the contrast."""
    edges = steepness(slopes(smoothed(picture, spacing_mm, sigma_mm), spacing_mm))
    if float(edges.max()) <= 1e-9:
        return np.zeros((2, *picture.shape))
    edges /= edges.max()
    if diffusion is None:
        field = slopes(edges, spacing_mm)
        return field / max(float(steepness(field).max()), 1e-12)
    field = vector_flow(edges, spacing_mm, diffusion)
    size = steepness(field)
    # Direction counts, not strength: far from an edge the flow is weak, and right.
    return field / (size + _SOFT * max(float(np.quantile(size, 0.99)), 1e-12))


def _outline(inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The outer contour of a region of one piece, ``(n, 2)`` in indices."""
    pieces, sizes = label_components(inside)
    if len(sizes) > 1:
        raise DataError(f"a snake starts from one piece in each slice, and the seeds have {len(sizes)} in one")
    found = needed("skimage.measure").find_contours(np.pad(pieces, 1).astype(np.float64), 0.5, fully_connected="high")
    contour: NDArray[np.float64] = max(found, key=len)[:-1] - 1.0
    return contour


def _moved(
    contour: NDArray[np.float64],
    field: NDArray[np.float64],
    spacing_mm: tuple[float, ...],
    energies: _Energies,
    iterations: int,
) -> NDArray[np.float64] | None:
    """Move a contour, ``(n, 2)`` in indices, until it rests; nothing when it has collapsed."""
    from scipy.ndimage import map_coordinates

    pixel = min(spacing_mm)
    scale = np.asarray(spacing_mm) / pixel  # lengths are in pixels of the lesser spacing
    last = (np.asarray(field.shape[1:]) - 0.5) * scale
    at = contour * scale
    for done in range(0, iterations, _ROUND):
        at = _evenly(at)
        if len(at) < _LEAST or abs(_area(at)) < 1.0:
            return None
        before, outward = at, _outward(at)
        waves = 2.0 - 2.0 * np.cos(2.0 * np.pi * np.arange(len(at)) / len(at))
        # Evenly spaced, the matrix of the internal energies is circulant, and its inverse is a product of waves.
        stiff = 1.0 + _STEP * (energies.elasticity * waves + energies.rigidity * waves**2)
        for _ in range(min(_ROUND, iterations - done)):
            force = np.stack([map_coordinates(part, (at / scale).T, order=1, mode="nearest") for part in field], 1)
            force = energies.image_force * force + energies.balloon * _outward(at)
            at = np.fft.ifft(np.fft.fft(at + _STEP * force, axis=0) / stiff[:, None], axis=0).real
            at = np.clip(at, -0.5 * scale, last)
        # What slides along the contour changes nothing.
        if float(np.abs(((at - before) * outward).sum(axis=1)).max()) < _STEADY:
            break
    return at / scale


def _evenly(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The closed contour with points one pixel apart."""
    closed = np.concatenate((at, at[:1]))
    along = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))))
    count = min(max(round(float(along[-1])), 1), _MOST)
    places = np.arange(count) * (along[-1] / count)
    return np.stack([np.interp(places, along, coordinate) for coordinate in closed.T], axis=1)


def _area(at: NDArray[np.float64]) -> float:
    """The area within, positive when the contour runs counter-clockwise."""
    after = np.roll(at, -1, axis=0)
    return float((at[:, 0] * after[:, 1] - after[:, 0] * at[:, 1]).sum()) / 2.0


def _outward(at: NDArray[np.float64]) -> NDArray[np.float64]:
    """The unit normals that point out of the contour."""
    along = np.roll(at, -1, axis=0) - np.roll(at, 1, axis=0)
    normal = np.stack((along[:, 1], -along[:, 0]), axis=1) * (1.0 if _area(at) > 0 else -1.0)
    made: NDArray[np.float64] = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    return made
