"""What synthetic anatomy is made of: smooth noise, ellipsoids, tissues turned into pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]


def smooth_noise(random: np.random.Generator, shape: Sequence[int], sigma: float | Sequence[float]) -> Field:
    """Noise whose neighbours are alike: mean 0, standard deviation 1.

    Args:
        random: Where it comes from.
        shape: Of the result.
        sigma: How far neighbours are alike, voxels, for each axis or for all.

    Example:
        >>> found = smooth_noise(np.random.default_rng(0), (20, 20, 20), 2.0)
        >>> abs(round(float(found.mean()), 3)), round(float(found.std()), 3)
        (0.0, 1.0)
    """
    drawn = ndimage.gaussian_filter(random.standard_normal(tuple(shape), np.float32), sigma, mode="wrap")
    return np.asarray((drawn - drawn.mean()) / max(float(drawn.std()), 1e-9), np.float32)


def radius(points: Sequence[Field], centre: Sequence[float], axes: Sequence[float]) -> Field:
    """How far points lie from a centre in units of an ellipsoid's half axes: 1 on its surface.

    Example:
        >>> at = [np.array([3.0], np.float32), np.array([0.0], np.float32)]
        >>> radius(at, (1.0, 0.0), (2.0, 5.0)).tolist()
        [1.0]
    """
    squares = (((p - c) / a) ** 2 for p, c, a in zip(points, centre, axes, strict=True))
    return np.asarray(np.sqrt(sum(squares)), np.float32)


def paint(
    tissues: NDArray[np.integer],
    values: Sequence[float],
    random: np.random.Generator,
    *,
    blur: float | Sequence[float],
    noise: float,
    uneven: float = 0.0,
) -> Field:
    """Turn tissues into a picture: their values, blurred as by voxels that hold two of them, uneven, with noise.

    Args:
        tissues: Numbers from 0.
        values: Of each tissue.
        random: Where noise comes from.
        blur: Standard deviation, voxels.
        noise: Standard deviation, in units of the values.
        uneven: By which share the brightness drifts over the picture, standard deviation.

    Example:
        >>> flat = paint(np.ones((8, 8, 8), int), (0.0, 5.0), np.random.default_rng(0), blur=1.0, noise=0.0)
        >>> round(float(flat.mean()), 3)
        5.0
    """
    made = ndimage.gaussian_filter(np.asarray(values, np.float32)[tissues], blur, mode="nearest")
    if uneven:
        made *= 1 + uneven * smooth_noise(random, tissues.shape, [n / 5 for n in tissues.shape])
    return np.asarray(made + noise * random.standard_normal(tissues.shape, np.float32), np.float32)
