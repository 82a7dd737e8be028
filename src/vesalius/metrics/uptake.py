"""How bright a structure is, in more than its mean: the IBSI's statistics and peaks, the metabolic volume of PET."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Volume
from vesalius.metrics.size import structures

_PEAK_MM = float(np.cbrt(3 / (4 * np.pi)) * 10)  # radius of a ball of 1 ml
PERCENTILES = (5, 10, 25, 50, 75, 90, 95)
"""Those that are told."""


@dataclass(frozen=True)
class Uptake:
    """The values of an image in a structure.

    With mean, minimum and maximum (`vesalius.image.Size`) these are all of the IBSI's intensity-based statistics and
    both of its peaks. What is not known is ``None``: everything of a structure without voxels, peaks in 2D, ratios
    whose denominator is 0.

    Args:
        name: Of the structure.
        percentiles: The values of `PERCENTILES`; the fourth is the median.
        variance: Mean squared distance from the mean.
        skewness: Third moment; 0 where values are symmetrical or all alike.
        kurtosis: Fourth moment less 3; 0 where values are all alike.
        range: Maximum less minimum.
        interquartile_range: 75th less 25th percentile.
        mean_absolute_deviation: Mean distance from the mean.
        robust_mean_absolute_deviation: Of the values from the 10th to the 90th percentile, from their own mean.
        median_absolute_deviation: Mean distance from the median.
        coefficient_of_variation: Standard deviation ÷ mean.
        quartile_coefficient_of_dispersion: Interquartile range ÷ sum of the 25th and the 75th percentile.
        energy: Sum of squares.
        root_mean_square: Root of the mean square.
        peak: The largest mean over a ball of 1 ml around a voxel of the structure; the ball may reach beyond it. The
            IBSI's global intensity peak; of a PET the SUVpeak.
        local_peak: That around its brightest voxel; the largest, where there are several.
        active_volume_ml: Of the voxels at least as bright as the threshold: in FDG-PET the metabolic tumour volume.
        active_mean: Their mean.
        glycolysis: Their mean x volume: total lesion glycolysis, in grams where the values are SUV.
        threshold: What counted as active.
    """

    name: str
    percentiles: tuple[float, ...] | None = None
    variance: float | None = None
    skewness: float | None = None
    kurtosis: float | None = None
    range: float | None = None
    interquartile_range: float | None = None
    mean_absolute_deviation: float | None = None
    robust_mean_absolute_deviation: float | None = None
    median_absolute_deviation: float | None = None
    coefficient_of_variation: float | None = None
    quartile_coefficient_of_dispersion: float | None = None
    energy: float | None = None
    root_mean_square: float | None = None
    peak: float | None = None
    local_peak: float | None = None
    active_volume_ml: float | None = None
    active_mean: float | None = None
    glycolysis: float | None = None
    threshold: float | None = None

    def row(self) -> dict[str, float | None]:
        """Its numbers by their names.

        Example:
            >>> Uptake("tumour", peak=4.5).row()["peak"]
            4.5
        """
        known = self.percentiles or (None,) * len(PERCENTILES)
        named = {"median" if p == 50 else f"percentile_{p}": v for p, v in zip(PERCENTILES, known, strict=True)}
        rest = [field.name for field in fields(self) if field.name not in ("name", "percentiles")]
        return {**named, **{name: getattr(self, name) for name in rest}}


def measure_uptake(
    labels: LabelMap, image: Volume, *, threshold: float = -np.inf, share_of_maximum: float | None = None
) -> tuple[Uptake, ...]:
    """Measure the values of an image in every label and region.

    Args:
        labels: 2D or 3D.
        image: On the same grid, of one channel. Turn a PET into SUV first (`vesalius.transform.suv`).
        threshold: What counts as active, in the image's unit; all of it when left out.
        share_of_maximum: Instead, at least this share of the structure's maximum, 0 … 1: 0.41 is usual.

    Raises:
        GeometryError: The image lies on another grid.
        DataError: It has several channels, a value in a structure is not finite, or the share is not 0 … 1.

    Example:
        >>> from vesalius.image import Labels
        >>> grid = Grid.from_spacing((9, 9, 9), (5.0, 5.0, 5.0))
        >>> array = np.zeros(grid.shape, int)
        >>> array[3:6, 3:6, 3:6] = 1
        >>> pet = np.where(array, 6.0, 1.0)
        >>> pet[4, 4, 4] = 10
        >>> (tumour,) = measure_uptake(LabelMap(array, grid, Labels.of({"tumour": 1})), Volume(pet[None], grid))
        >>> tumour.percentiles[3], round(tumour.peak, 3), round(tumour.active_volume_ml, 3), round(tumour.glycolysis, 2)
        (6.0, 6.571, 3.375, 20.75)

    Source: IBSI, families UHIW (intensity-based statistics) and 9ST6 (local intensity), arXiv:1612.07003, checked
    against the values of its digital phantom and of its CT phantom; SUVpeak, Wahl et al., J Nucl Med
    50:122S (2009), doi:10.2967/jnumed.108.057307; 41 %, Boellaard et al., Eur J Nucl Med Mol Imaging 42:328 (2015),
    doi:10.1007/s00259-014-2961-x.
    """
    if not image.grid.is_close(labels.grid, tolerance_mm=0.01):
        raise GeometryError("the image lies on another grid than the labels: resample it first")
    if image.channels != 1:
        raise DataError(f"the image has {image.channels} channels, and values are measured in one: choose it first")
    if share_of_maximum is not None and not 0 <= share_of_maximum <= 1:
        raise DataError(f"a share of the maximum must be 0 … 1, not {share_of_maximum}")
    values = image.array[0]
    found = []
    for name, _, box, mask in structures(labels):
        level = np.asarray(values[box][mask], np.float64)
        if not level.size:
            found.append(Uptake(name))
            continue
        if not np.isfinite(level).all():
            raise DataError(f"{name!r}: a value inside is not finite")
        least = threshold if share_of_maximum is None else share_of_maximum * float(level.max())
        active = level[level >= least]
        volume = active.size * labels.grid.voxel_volume_mm3 / 1000 if labels.grid.ndim == 3 else None
        mean = float(active.mean()) if active.size else None
        peaks = _balls(values, box, mask, labels.grid) if labels.grid.ndim == 3 else None
        found.append(
            Uptake(
                name,
                **_statistics(level),
                peak=None if peaks is None else float(peaks.max()),
                local_peak=None if peaks is None else float(peaks[level == level.max()].max()),
                active_volume_ml=volume,
                active_mean=mean,
                glycolysis=None if volume is None or mean is None else volume * mean,
                threshold=float(least) if np.isfinite(least) else None,
            )
        )
    return tuple(found)


def _statistics(level: NDArray[np.float64]) -> dict[str, Any]:
    """Those of the IBSI, by the names that `Uptake` has for them."""
    middle, sd = float(level.mean()), float(level.std())
    offset = level - middle
    flat = sd <= 1e-12 * max(1.0, float(np.abs(level).max()))
    percentiles = tuple(float(value) for value in np.percentile(level, PERCENTILES))
    _, tenth, lower, median, upper, ninetieth, _ = percentiles
    robust = level[(level >= tenth) & (level <= ninetieth)]
    return {
        "percentiles": percentiles,
        "variance": sd**2,
        "skewness": 0.0 if flat else float((offset**3).mean() / sd**3),
        "kurtosis": 0.0 if flat else float((offset**4).mean() / sd**4 - 3),
        "range": float(np.ptp(level)),
        "interquartile_range": upper - lower,
        "mean_absolute_deviation": float(np.abs(offset).mean()),
        # Of two values none lies between the percentiles.
        "robust_mean_absolute_deviation": float(np.abs(robust - robust.mean()).mean()) if robust.size else None,
        "median_absolute_deviation": float(np.abs(level - median).mean()),
        "coefficient_of_variation": sd / middle if middle else None,
        "quartile_coefficient_of_dispersion": (upper - lower) / (upper + lower) if upper + lower else None,
        "energy": float(level @ level),
        "root_mean_square": float(np.sqrt(level @ level / level.size)),
    }


def _balls(
    values: NDArray[np.generic], box: tuple[slice, ...], mask: NDArray[np.bool_], grid: Grid
) -> NDArray[np.float64]:
    """The mean over a ball around each voxel of the mask; of a ball that the image cuts, over what is there."""
    # How far a ball reaches along an axis of indices: on a sheared grid farther than its radius.
    reach = np.floor(_PEAK_MM * np.linalg.norm(np.linalg.inv(grid.affine[:3, :3]), axis=1) + 1e-9).astype(int)
    shifts = np.moveaxis(np.indices(2 * reach + 1), 0, -1) - reach
    ball = (np.linalg.norm(shifts @ grid.affine[:3, :3].T, axis=-1) <= _PEAK_MM + 1e-9).astype(np.float64)
    low = [max(s.start - r, 0) for s, r in zip(box, reach, strict=True)]
    high = [min(s.stop + r, n) for s, r, n in zip(box, reach, values.shape, strict=True)]
    near = np.asarray(values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], np.float64)
    known = np.isfinite(near)
    middle = float(near[known].mean())  # so that no large offset (air at -1000 HU) costs digits
    total = oaconvolve(np.where(known, near - middle, 0), ball, mode="same")
    count = oaconvolve(known.astype(np.float64), ball, mode="same")
    own = tuple(slice(s.start - a, s.stop - a) for s, a in zip(box, low, strict=True))
    means: NDArray[np.float64] = total[own][mask] / np.maximum(np.round(count[own][mask]), 1) + middle
    return means
