"""Anisotropic diffusion: smooth inside regions, not across their edges."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, VesaliusError, unknown_name
from vesalius.image import Volume
from vesalius.transform.boxes import Box, each_box, halo, per_channel, positive
from vesalius.transform.denoise import noise_level

Conduction = Literal["exponential", "quadratic"]
"""How conduction falls with the gradient: ``exp(-(g/k)²)`` keeps strong edges, ``1 / (1 + (g/k)²)`` wide regions."""

_EDGE = 2.5  # times the noise: benchmarks/README.md; differences of neighbours have √2 times its deviation
_SAFETY = 0.9  # of the largest step at which the explicit scheme stays stable


def anisotropic_diffusion(
    volume: Volume,
    *,
    iterations: int = 3,
    contrast: float | None = None,
    conduction: Conduction = "exponential",
    step_mm2: float | None = None,
) -> Volume:
    """Let values diffuse between neighbours, the less the more they differ: noise goes, edges stay.

    Fluxes are per mm, so that thick slices exchange less. Nothing flows over the image's border: the mean stays.

    Args:
        volume: 2D or 3D; each channel by itself.
        iterations: Steps of time, ≥ 0.
        contrast: The difference between neighbours at the finest spacing, in the image's unit, above which there is an
            edge, > 0. Left out, 2.5 times the noise (see `vesalius.transform.denoise.noise_level`).
        conduction: ``"exponential"`` or ``"quadratic"``.
        step_mm2: A step of time, mm², > 0. Left out, 0.9 times the longest that is stable, ``1 / (2 Σ 1/spacing²)``.
            Without edges, n steps are a Gaussian of variance ``2 n step_mm2``.

    Returns:
        The image as float32.

    Raises:
        DataError: A setting is out of range, or the step too long to be stable.
        VesaliusError: The conduction is unknown.

    Example:
        >>> from vesalius.image import Grid
        >>> array = np.array([[[0, 2, 0, 100, 102, 100]]], np.float32)
        >>> made = anisotropic_diffusion(Volume(array, Grid.from_spacing((1, 6), (1.0, 1.0))), contrast=10).array[0, 0]
        >>> [round(float(x)) for x in made]
        [1, 1, 1, 101, 101, 101]

    Source: Perona and Malik, IEEE PAMI 12(7), 1990, doi:10.1109/34.56205, equations 7 to 11, with differences by the
    spacing; the bound of the step is that of the explicit scheme of the heat equation (von Neumann).
    """
    if conduction not in get_args(Conduction):
        raise VesaliusError(unknown_name("conduction", conduction, get_args(Conduction)))
    if iterations < 0:
        raise DataError(f"iterations must be 0 or more, not {iterations}")
    if contrast is not None:
        positive(contrast=contrast)
    longest = 1.0 / (2.0 * sum(1.0 / s**2 for s in volume.grid.spacing_mm))
    step = _SAFETY * longest if step_mm2 is None else step_mm2
    positive(step_mm2=step)
    if step > longest * (1 + 1e-9):
        raise DataError(f"step_mm2={step:g} is too long to be stable at this spacing: at most {longest:.3g}")
    finest = min(volume.grid.spacing_mm)

    def work(array: NDArray[Any], spacing: tuple[float, ...]) -> NDArray[Any]:
        values = array.astype(np.float32)
        edge = _EDGE * noise_level(values) if contrast is None else contrast
        if edge == 0:
            return values
        made = np.empty_like(values)
        for _ in range(iterations):
            source = halo(values, [1] * values.ndim)

            def diffuse(box: Box, source: NDArray[np.float32] = source, made: NDArray[np.float32] = made) -> None:
                made[box] = _diffused(source, box, spacing, edge / finest, step, conduction)

            each_box(values.shape, diffuse)
            values, made = made, values
        return values

    return per_channel(volume, work)


def _diffused(
    source: NDArray[np.float32],
    box: Box,
    spacing: tuple[float, ...],
    edge_by_mm: float,
    step: float,
    conduction: Conduction,
) -> NDArray[np.float32]:
    inner = tuple(slice(s.start + 1, s.stop + 1) for s in box)
    made = source[inner].copy()
    for axis, mm in enumerate(spacing):
        # One difference more than voxels: both faces of each, those between two voxels of the box worked out once.
        wide = (*inner[:axis], slice(inner[axis].start - 1, inner[axis].stop + 1), *inner[axis + 1 :])
        flux = np.diff(source[wide], axis=axis)
        flux *= np.float32(1 / mm)
        steep = flux * np.float32(1 / edge_by_mm)
        steep *= steep
        if conduction == "exponential":
            np.negative(steep, out=steep)
            np.exp(steep, out=steep)
            flux *= steep
        else:
            steep += 1
            flux /= steep
        change = np.diff(flux, axis=axis)
        change *= np.float32(step / mm)
        made += change
    return made
