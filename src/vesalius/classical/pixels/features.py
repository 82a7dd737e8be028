"""What a voxel's neighbourhood looks like, at several scales: edges, texture, shape. One number each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.pixels import texture
from vesalius.errors import DataError, VesaliusError, unknown_name
from vesalius.image import Grid, Volume
from vesalius.transform import coarse_axis

Family = Literal["intensity", "edge", "texture", "shape", "lbp", "gabor", "glcm"]
"""Kinds of features; see `Features`."""

FAMILIES: tuple[Family, ...] = get_args(Family)

Scaling = Literal["none", "z_score"]

Texture = Callable[[NDArray[Any], float, tuple[float, float]], NDArray[np.float32]]

_REACH = 4.0  # standard deviations at which a Gaussian is cut off, as SciPy does
_SLAB_BYTES = 256 << 20


@dataclass(frozen=True)
class Features:
    """Which numbers describe a voxel.

    Args:
        scales_mm: Standard deviations of the Gaussians, mm (pixels for a picture without a physical size), > 0, rising.
        families: ``"intensity"``: the value itself, and smoothed. ``"edge"``: gradient magnitude, Laplacian, difference
            of Gaussians. ``"texture"``: eigenvalues of the structure tensor, local standard deviation. ``"shape"``:
            eigenvalues of the Hessian. In the plane (across the coarse axis of a volume): ``"lbp"``: local binary
            pattern (rotation-invariant, uniform; its share of edges, spots and flats). ``"gabor"``: the largest and the
            mean energy over four directions. ``"glcm"``: contrast, homogeneity, energy and correlation of the grey
            level co-occurrence, over four directions.
        scaling: ``"z_score"`` brings each channel of each image to mean 0 and standard deviation 1 first, for values
            without a unit; ``"none"`` for those that mean the same in every image, such as HU.

    Raises:
        DataError: No scale, one that is not positive, or no family.
        VesaliusError: A family or scaling is unknown.

    Example:
        >>> Features((1.0, 2.0), ("edge",)).names(2, 1)[:3]
        ('gradient 1', 'laplacian 1', 'difference 1')

    Source: Berg et al., Nature Methods 16:1226 (2019), doi:10.1038/s41592-019-0582-9 (ilastik's pixel classification).
    """

    scales_mm: tuple[float, ...]
    families: tuple[Family, ...] = ("intensity", "edge", "texture", "shape")
    scaling: Scaling = "z_score"

    def __post_init__(self) -> None:
        object.__setattr__(self, "scales_mm", tuple(float(s) for s in self.scales_mm))
        object.__setattr__(self, "families", tuple(self.families))
        rising = all(a < b for a, b in zip(self.scales_mm, self.scales_mm[1:], strict=False))
        if not self.scales_mm or not rising or not all(0 < s < math.inf for s in self.scales_mm):
            raise DataError(f"scales_mm must be one or more rising, positive numbers, not {self.scales_mm}")
        for name in self.families:
            if name not in FAMILIES:
                raise VesaliusError(unknown_name("family of features", name, FAMILIES))
        if not self.families or len(set(self.families)) != len(self.families):
            raise DataError(f"name each family of features once, and at least one, not {self.families}")
        if self.scaling not in get_args(Scaling):
            raise VesaliusError(unknown_name("scaling", self.scaling, get_args(Scaling)))

    def names(self, ndim: int, channels: int) -> tuple[str, ...]:
        """What each feature is: ``"gradient 2"`` is the gradient magnitude at 2 mm.

        Of several channels, the number stands before it.
        """
        found = []
        for channel in range(channels):
            before = f"channel {channel}: " if channels > 1 else ""
            if "intensity" in self.families:
                found.append(f"{before}value")
            for scale in self.scales_mm:
                for family in self.families:
                    found += [f"{before}{name} {scale:g}" for name in _NAMES[family](ndim)]
        return tuple(found)


def feature_slabs(
    image: Volume, features: Features, *, slab_bytes: int = _SLAB_BYTES
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """The features of an image, piece by piece along its first axis, so that memory does not grow with its length.

    Each piece is computed with as much of its surroundings as the largest scale reaches, so that pieces say what the
    whole image would.

    Args:
        image: Of any channels.
        features: Which.
        slab_bytes: About how much memory the features of a piece take.

    Yields:
        ``(rows, values)``: which rows of the first axis, and ``(f, *slab)`` float32 in the order of `Features.names`.

    Example:
        >>> ramp = Volume(np.arange(12.0).reshape(1, 3, 4), Grid.from_spacing((3, 4), (1.0, 1.0)))
        >>> [(rows, values.shape) for rows, values in feature_slabs(ramp, Features((1.0,), ("edge",)))]
        [(slice(0, 3, None), (3, 3, 4))]
    """
    array = _scaled(image, features.scaling)
    count = len(features.names(image.grid.ndim, image.channels))
    row_bytes = 4 * count * math.prod(image.grid.shape[1:])
    rows = max(1, slab_bytes // row_bytes)
    sigmas = [_in_voxels(scale, image.grid) for scale in features.scales_mm]
    flat = _flat_axis(image.grid)
    reach = max(_halo(features, sigma[0]) for sigma in sigmas)
    limits = [(float(low), float(high)) for low, high in (np.percentile(c, (1, 99)) for c in array)]
    for start in range(0, image.grid.shape[0], rows):
        stop = min(start + rows, image.grid.shape[0])
        low, high = max(0, start - reach), min(image.grid.shape[0], stop + reach)
        made = np.empty((count, stop - start, *image.grid.shape[1:]), np.float32)
        inside = slice(start - low, stop - low)
        for number, one in enumerate(_features(array[:, low:high], features, sigmas, flat, limits)):
            made[number] = one[inside]
        yield slice(start, stop), made


def _features(
    array: NDArray[np.float32],
    features: Features,
    sigmas: Sequence[NDArray[np.float64]],
    flat: int | None,
    limits: Sequence[tuple[float, float]],
) -> Iterator[NDArray[Any]]:
    """In the order of `Features.names`."""
    for channel, ends in zip(array, limits, strict=True):
        if "intensity" in features.families:
            yield channel
        for sigma in sigmas:
            scale = _Scale(sigma, flat, ends)  # what several families want is made once
            for family in features.families:
                yield from _MADE[family](channel, scale)


@dataclass(frozen=True)
class _Scale:
    """A channel at one scale.

    Args:
        sigma: Width of the Gaussian on each axis, voxels.
        flat: The axis across which planes lie.
        limits: 1st and 99th percentile of the whole channel.
        filtered: What the Gaussian's derivatives have made so far of the channel, by the orders along its first axes.
    """

    sigma: NDArray[np.float64]
    flat: int | None
    limits: tuple[float, float]
    filtered: dict[tuple[int, ...], NDArray[Any]] = field(default_factory=dict)

    def derivative(self, values: NDArray[Any], *axes: int) -> NDArray[np.float32]:
        """The channel under a derivative of the Gaussian, in units of its width, so that scales can be compared.

        Args:
            values: The channel, the same each time.
            axes: Along which it is derived; smoothed alone where there are none.
        """
        orders = tuple(axes.count(axis) for axis in range(values.ndim))
        made: NDArray[np.float32] = self._along(values, orders)
        return made * np.float32(math.prod(float(self.sigma[axis]) for axis in axes)) if axes else made

    def _along(self, values: NDArray[Any], orders: tuple[int, ...]) -> NDArray[Any]:
        """Axis after axis, so that derivatives share the axes on which they are alike."""
        from scipy import ndimage

        if not orders:
            return values
        if orders not in self.filtered:
            before, axis = self._along(values, orders[:-1]), len(orders) - 1
            self.filtered[orders] = ndimage.gaussian_filter1d(
                before, self.sigma[axis], axis, orders[-1], mode="nearest", truncate=_REACH, output=np.float32
            )
        return self.filtered[orders]


def _scaled(image: Volume, scaling: Scaling) -> NDArray[np.float32]:
    array = image.array.astype(np.float32)
    if scaling == "none":
        return array
    axes = tuple(range(1, array.ndim))
    mean = array.mean(axis=axes, dtype=np.float64, keepdims=True)
    std = array.std(axis=axes, dtype=np.float64, keepdims=True)
    made: NDArray[np.float32] = ((array - mean) / np.where(std > 0, std, 1)).astype(np.float32)
    return made


def _in_voxels(scale_mm: float, grid: Grid) -> NDArray[np.float64]:
    return scale_mm / np.asarray(grid.spacing_mm)


def _flat_axis(grid: Grid) -> int | None:
    """The axis across which planes lie, for features that are of planes; none for pictures."""
    if grid.ndim == 2:
        return None
    coarse = coarse_axis(grid)
    return int(np.argmax(grid.spacing_mm)) if coarse is None else coarse


def _halo(features: Features, sigma: float) -> int:
    """How many rows away a voxel may be that still counts."""
    widest = 2.0 if {"texture", "glcm"} & set(features.families) else 1.6 if "edge" in features.families else 1.0
    # A smoothed product of derivatives reaches as far as both Gaussians together.
    return math.ceil(_REACH * sigma * (1 + widest)) + 6


def _smoothed(values: NDArray[Any], sigma: NDArray[np.float64]) -> NDArray[np.float32]:
    from scipy import ndimage

    made: NDArray[np.float32] = ndimage.gaussian_filter(
        values, sigma, mode="nearest", truncate=_REACH, output=np.float32
    )
    return made


def _intensity(values: NDArray[Any], scale: _Scale) -> Iterator[NDArray[Any]]:
    yield scale.derivative(values)


def _edge(values: NDArray[Any], scale: _Scale) -> Iterator[NDArray[Any]]:
    axes = range(values.ndim)
    yield np.sqrt(sum(scale.derivative(values, axis) ** 2 for axis in axes))
    yield sum((scale.derivative(values, axis, axis) for axis in axes), np.zeros((), np.float32))
    yield scale.derivative(values) - _smoothed(values, 1.6 * scale.sigma)  # Marr and Hildreth's ratio


def _texture(values: NDArray[Any], scale: _Scale) -> Iterator[NDArray[Any]]:
    slopes = [scale.derivative(values, axis) for axis in range(values.ndim)]
    yield from _eigenvalues(lambda a, b: _smoothed(slopes[a] * slopes[b], 2 * scale.sigma), values.ndim)
    mean = scale.derivative(values)
    yield np.sqrt(np.maximum(_smoothed(values * values, scale.sigma) - mean * mean, 0))


def _shape(values: NDArray[Any], scale: _Scale) -> Iterator[NDArray[Any]]:
    yield from _eigenvalues(lambda a, b: scale.derivative(values, a, b), values.ndim)


def _eigenvalues(entry: Callable[[int, int], NDArray[Any]], n: int) -> Iterator[NDArray[Any]]:
    """Of a symmetric matrix at every voxel, the largest first; each entry is asked for once."""
    half = {(a, b): entry(a, b) for a in range(n) for b in range(a, n)}
    rows = [[half[min(a, b), max(a, b)] for b in range(n)] for a in range(n)]
    found = np.linalg.eigvalsh(np.stack([np.stack(row, axis=-1) for row in rows], axis=-2))
    for k in reversed(range(n)):
        yield found[..., k]


def _planes(made: Texture, values: NDArray[Any], scale: _Scale) -> Iterator[NDArray[Any]]:
    """Features of planes, each ``(f, i, j)``, of a picture or of all planes of a volume."""
    if scale.flat is None:
        yield from made(values, float(scale.sigma.min()), scale.limits)
        return
    width = float(np.delete(scale.sigma, scale.flat).min())
    planes = [made(plane, width, scale.limits) for plane in np.moveaxis(values, scale.flat, 0)]
    yield from np.moveaxis(np.stack(planes, axis=1), 1, 1 + scale.flat)


def _ranks(name: str, ndim: int) -> list[str]:
    return [f"{name} {rank}" for rank in (("large", "small") if ndim == 2 else ("large", "middle", "small"))]


_NAMES: dict[Family, Callable[[int], list[str]]] = {
    "intensity": lambda _: ["smoothed"],
    "edge": lambda _: ["gradient", "laplacian", "difference"],
    "texture": lambda ndim: [*_ranks("structure", ndim), "deviation"],
    "shape": lambda ndim: _ranks("hessian", ndim),
    "lbp": lambda _: list(texture.LBP),
    "gabor": lambda _: list(texture.GABOR),
    "glcm": lambda _: list(texture.GLCM),
}
_MADE: dict[Family, Callable[[NDArray[Any], _Scale], Iterator[NDArray[Any]]]] = {
    "intensity": _intensity,
    "edge": _edge,
    "texture": _texture,
    "shape": _shape,
    "lbp": partial(_planes, texture.local_binary_pattern),
    "gabor": partial(_planes, texture.gabor),
    "glcm": partial(_planes, texture.cooccurrence),
}
