"""Texture of planes: local binary patterns, Gabor energies, grey level co-occurrence, at every pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.extra import needed

Limits = tuple[float, float]

LBP = ("lbp flat", "lbp edge", "lbp spot")
GABOR = ("gabor largest", "gabor mean")
GLCM = ("glcm contrast", "glcm homogeneity", "glcm energy", "glcm correlation")

_POINTS = 8
_DIRECTIONS = 4
_LEVELS = 8
_FINE = 10_000  # steps between the limits
_STEPS = ((0, 1), (1, 1), (1, 0), (1, -1))  # to the right, down right, down, down left


def local_binary_pattern(plane: NDArray[Any], sigma: float, limits: Limits) -> NDArray[np.float32]:
    """Around each pixel, how much of the neighbourhood is flat, an edge, or a spot, by local binary patterns.

    Args:
        plane: The values.
        sigma: Width of the neighbourhood, pixels: patterns have this radius (at least 1), and are counted with a
            Gaussian of it.
        limits: Between these, values that differ by less than a ten-thousandth are equal.

    Returns:
        Shares of pixels whose uniform pattern has 0 to 2 or 7 to 8 (flat or corner), 3 to 5 (edge), and whose pattern
        is not uniform (spot). A plane of one value is all flat.

    Source: Ojala et al., IEEE TPAMI 24:971 (2002), doi:10.1109/TPAMI.2002.1017623; scikit-image's
    ``local_binary_pattern(method="uniform")``.
    """
    from scipy import ndimage

    radius = max(1.0, sigma)
    # Whole numbers, so that rounding does not decide which of two equal values is the larger.
    codes = needed("skimage.feature").local_binary_pattern(_whole(plane, limits), _POINTS, radius, method="uniform")
    edge, spot = (codes >= 3) & (codes <= 6), codes == _POINTS + 1
    shares = (~edge & ~spot, edge, spot)
    return np.stack([ndimage.gaussian_filter(s.astype(np.float32), max(sigma, 1.0), mode="nearest") for s in shares])


def gabor(plane: NDArray[Any], sigma: float, _limits: Limits) -> NDArray[np.float32]:
    """How much of a wave there is around each pixel: the largest energy over four directions, and their mean.

    Args:
        plane: The values.
        sigma: Of the filter's Gaussian, pixels; the wave is ``2 * sigma`` long, at least 3 pixels.

    Source: Jain and Farrokhnia, Pattern Recognition 24:1167 (1991), doi:10.1016/0031-3203(91)90143-S.
    """
    from scipy.signal import fftconvolve

    length = max(3.0, 2 * sigma)
    width = length / 2
    reach = math.ceil(3 * width)
    i, j = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    weight = np.exp(-(i**2 + j**2) / (2 * width**2))
    padded = np.pad(np.asarray(plane, np.float64), reach, mode="edge")
    energies = []
    for direction in range(_DIRECTIONS):
        angle = math.pi * direction / _DIRECTIONS
        wave = np.exp(2j * math.pi / length * (i * math.sin(angle) + j * math.cos(angle)))
        # Without the part that answers to a constant, so that brightness does not count.
        kernel = weight * (wave - (weight * wave).sum() / weight.sum())
        kernel /= weight.sum()
        energies.append(np.abs(fftconvolve(padded, kernel, mode="valid")).astype(np.float32))
    return np.stack([np.max(energies, axis=0), np.mean(energies, axis=0)])


def cooccurrence(plane: NDArray[Any], sigma: float, limits: Limits) -> NDArray[np.float32]:
    """Haralick's texture around each pixel: contrast, homogeneity, energy and correlation of grey level pairs.

    Values are brought to eight levels between two limits. Pairs of neighbours in four
    directions, in both orders, are counted around each pixel with a Gaussian of ``2 * sigma`` pixels.

    Args:
        plane: The values.
        sigma: Scale, pixels.
        limits: The values where the lowest level begins and the highest ends.

    Returns:
        In the order of `GLCM`. Where all pairs are of one level: contrast 0, homogeneity, energy and correlation 1.

    Source: Haralick et al., IEEE TSMC 3:610 (1973), doi:10.1109/TSMC.1973.4309314, in the definitions of
    scikit-image's ``graycoprops``.
    """
    from scipy import ndimage

    low, high = limits
    scaled = (np.asarray(plane, np.float64) - low) / max(high - low, 1e-12) * _LEVELS
    levels = np.clip(scaled, 0, _LEVELS - 1).astype(np.int8)
    width = max(1.0, 2 * sigma)

    def around(values: NDArray[Any]) -> NDArray[np.float32]:
        made: NDArray[np.float32] = ndimage.gaussian_filter(values.astype(np.float32), width, mode="nearest")
        return made

    padded = np.pad(levels, 1, mode="edge").astype(np.float32)
    here = levels.astype(np.float32)
    rows, columns = levels.shape
    there = [padded[1 + i : 1 + i + rows, 1 + j : 1 + j + columns] for i, j in _STEPS]
    gap = [(here - other) ** 2 for other in there]
    contrast = around(np.mean(gap, axis=0))
    homogeneity = around(np.mean([1 / (1 + g) for g in gap], axis=0))
    # Counted in both orders, both partners have the same mean and variance.
    mean = around(np.mean([(here + other) / 2 for other in there], axis=0))
    square = around(np.mean([(here**2 + other**2) / 2 for other in there], axis=0))
    product = around(np.mean([here * other for other in there], axis=0))
    variance = square - mean**2
    correlation = np.where(variance > 1e-6, (product - mean**2) / np.maximum(variance, 1e-6), 1)
    energy = np.zeros_like(contrast)
    for a in range(_LEVELS):
        for b in range(a, _LEVELS):
            pairs = [
                ((here == a) & (o == b)) * np.float32(0.5) + ((here == b) & (o == a)) * np.float32(0.5) for o in there
            ]
            share = around(np.mean(pairs, axis=0))
            energy += share**2 * (1 if a == b else 2)
    return np.stack([contrast, homogeneity, np.sqrt(energy), np.clip(correlation, -1, 1)]).astype(np.float32)


def _whole(plane: NDArray[Any], limits: Limits) -> NDArray[np.int32]:
    low, high = limits
    scaled = (np.asarray(plane, np.float64) - low) / max(high - low, 1e-12) * _FINE
    return np.rint(np.clip(scaled, -10 * _FINE, 10 * _FINE)).astype(np.int32)
