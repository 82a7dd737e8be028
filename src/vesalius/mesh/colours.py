"""Colours for numbers: scales that are even to the eye, and that people without red or green tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vesalius.errors import DataError, unknown_name

ColourMap = Literal["diverging", "sequential"]
"""``"diverging"``: blue below the middle of the range, light grey in it, orange-red above; for what has a sign.
``"sequential"``: from dark violet over green to light yellow; for what has none."""

NOTHING = (120, 120, 120)
"""The colour of places without a value: darker than the middle of the diverging map, and on no map."""

_STEPS = 256
# Lightness, chroma and hue (degrees) of OKLab, between which the maps run; all of it lies within what screens show.
_DIVERGING = ((0.50, 0.155, 260.0), (0.93, 0.0, 260.0), (0.93, 0.0, 38.0), (0.50, 0.155, 38.0))
_SEQUENTIAL = ((0.26, 0.11, 300.0), (0.45, 0.10, 262.0), (0.60, 0.09, 205.0), (0.78, 0.14, 145.0), (0.95, 0.14, 107.0))
_TO_CONES = np.array([
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
])  # fmt: skip
_TO_LAB = np.array([
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
])  # fmt: skip


@dataclass(frozen=True)
class ColourScale:
    """Which colour a number has.

    Args:
        low: What has the first colour; smaller numbers have it too.
        high: What has the last; greater numbers have it too.
        colour_map: `ColourMap`. The middle of a diverging one is the middle of the range.

    Raises:
        DataError: The range is empty or not finite.
        DataError: There is no such map.

    Example:
        >>> scale = ColourScale(-2.0, 2.0, "diverging")
        >>> scale.colours([-2.0, 0.0, 5.0, float("nan")]).tolist()
        [[40, 95, 186], [232, 231, 231], [169, 56, 14], [120, 120, 120]]
    """

    low: float
    high: float
    colour_map: ColourMap

    def __post_init__(self) -> None:
        if self.colour_map not in get_args(ColourMap):
            raise DataError(unknown_name("colour map", self.colour_map, get_args(ColourMap)))
        if not (np.isfinite([self.low, self.high]).all() and self.low < self.high):
            raise DataError(f"a scale of colours runs from a lower to a higher number, not {self.low} to {self.high}")

    def colours(self, values: ArrayLike) -> NDArray[np.uint8]:
        """The colours of numbers.

        Args:
            values: Of any shape; NaN where there is none.

        Returns:
            ``(*shape, 3)``: RGB (sRGB), 0 to 255; `NOTHING` for NaN.
        """
        numbers = np.asarray(values, np.float64)
        share = np.clip((numbers - self.low) / (self.high - self.low), 0.0, 1.0)
        known = np.isfinite(share)
        row = np.rint(np.where(known, share, 0.0) * (_STEPS - 1)).astype(np.int64)
        found: NDArray[np.uint8] = np.where(known[..., None], _table(self.colour_map)[row], np.array(NOTHING, np.uint8))
        return found


def scale_for(values: ArrayLike) -> ColourScale:
    """A scale for values as they are: diverging around 0 where they have both signs, sequential where they have one.

    It runs to the value beyond which a hundredth of them lie, so that one outlier does not take the colours of all.

    Args:
        values: Of any shape; NaN is passed over.

    Returns:
        The scale; 0 to 1 where there are no values.

    Example:
        >>> scale_for([-1.0, 0.0, 4.0])
        ColourScale(low=-4.0, high=4.0, colour_map='diverging')
        >>> scale_for([7.0, 7.0])
        ColourScale(low=7.0, high=8.0, colour_map='sequential')
    """
    numbers = np.asarray(values, np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if not numbers.size:
        return ColourScale(0.0, 1.0, "sequential")
    # The next value that is there, so that a few values are all within.
    low, high = float(np.quantile(numbers, 0.01, method="lower")), float(np.quantile(numbers, 0.99, method="higher"))
    if numbers.min() < 0 < numbers.max():
        most = max(-low, high, float(np.abs(numbers).max()) * 1e-3)
        return ColourScale(-most, most, "diverging")
    return ColourScale(low, high if high > low else low + 1.0, "sequential")


@cache
def _table(colour_map: ColourMap) -> NDArray[np.uint8]:
    """The colours of a map ``(256, 3)``, equal steps apart to the eye.

    Source: OKLab: B. Ottosson, A perceptual color space for image processing, 2020; steps of equal length along a path
    as in P. Kovesi, Good Colour Maps, arXiv:1509.03700; that a diverging map meets in light grey: K. Moreland,
    Diverging Color Maps for Scientific Visualization, ISVC 2009, doi:10.1007/978-3-642-10520-3_9; blue and orange-red
    as the pair that people without red or green tell apart: Okabe and Ito, Color Universal Design (2008).
    """
    light, chroma, hue = np.array(_DIVERGING if colour_map == "diverging" else _SEQUENTIAL).T
    at, fine = np.linspace(0, 1, len(light)), np.linspace(0, 1, 8 * _STEPS + 1)
    light, chroma, angle = (np.interp(fine, at, one) for one in (light, chroma, np.radians(hue)))
    path = np.stack([light, chroma * np.cos(angle), chroma * np.sin(angle)], axis=1)
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    even = np.linspace(0, lengths[-1], _STEPS)
    lab = np.stack([np.interp(even, lengths, one) for one in path.T], axis=1)
    linear = (np.linalg.inv(_TO_LAB) @ lab.T) ** 3
    return on_screen((np.linalg.inv(_TO_CONES) @ linear).T)


def linear_light(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Colours of screens as amounts of light, 0 to 1, as glTF and renderers reckon. Source: IEC 61966-2-1 (sRGB).

    Args:
        colours: RGB, 0 to 255, of any shape.

    Example:
        >>> linear_light(np.uint8([0, 188, 255])).round(3).tolist()
        [0.0, 0.503, 1.0]
    """
    share = np.asarray(colours, np.float64) / 255
    found: NDArray[np.float64] = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return found


def on_screen(light: ArrayLike) -> NDArray[np.uint8]:
    """The way back from `linear_light`; amounts outside 0 to 1 are clipped.

    Example:
        >>> on_screen([0.0, 0.503, 1.0]).tolist()
        [0, 188, 255]
    """
    amount = np.clip(np.asarray(light, np.float64), 0.0, 1.0)
    bent = np.where(amount <= 0.0031308, amount * 12.92, 1.055 * amount ** (1 / 2.4) - 0.055)
    found: NDArray[np.uint8] = np.rint(bent * 255).astype(np.uint8)
    return found
