"""Colours of numbers: even to the eye, told apart by everyone, the middle of a signed scale at nought."""

from typing import get_args

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.mesh.colours import NOTHING, ColourMap, ColourScale, linear_light, on_screen, scale_for

# Source: G. M. Machado et al., IEEE TVCG 15:1291 (2009), doi:10.1109/TVCG.2009.113, table of severity 1.0.
BLINDNESS = {
    "without red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "without green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def lab(colours: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b* under D65, from its own definition: another space than the maps were made in."""
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = linear_light(colours) @ np.transpose(to_xyz) / (0.95047, 1.0, 1.08883)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def colours_along(colour_map: ColourMap, count: int = 33) -> np.ndarray:
    return ColourScale(0.0, 1.0, colour_map).colours(np.linspace(0, 1, count))


@pytest.mark.parametrize("colour_map", get_args(ColourMap))
def test_steps_are_even_to_the_eye(colour_map: ColourMap) -> None:
    steps = np.linalg.norm(np.diff(lab(colours_along(colour_map)), axis=0), axis=1)
    assert steps.min() > 0.5 * np.median(steps)
    assert steps.max() < 2 * np.median(steps)


def test_lightness_tells_the_order() -> None:
    assert (np.diff(lab(colours_along("sequential"))[:, 0]) > 0.5).all()
    both = lab(colours_along("diverging"))[:, 0]
    assert (np.diff(both[:17]) > 0.5).all()
    assert (np.diff(both[16:]) < -0.5).all()
    assert np.abs(both - both[::-1]).max() < 6  # neither side looks like more


@pytest.mark.parametrize("kind", BLINDNESS)
def test_signs_are_told_apart_without_red_or_green(kind: str) -> None:
    seen = on_screen(linear_light(colours_along("diverging")) @ np.transpose(BLINDNESS[kind]))
    apart = np.linalg.norm(lab(seen) - lab(seen)[::-1], axis=1)
    assert (apart[:12] > 20).all()  # two colours 2.3 apart are just told from each other
    assert (apart[:4] > 55).all()


def test_the_middle_is_grey_and_what_lies_beyond_has_the_last_colour() -> None:
    scale = ColourScale(-3.0, 3.0, "diverging")
    red, green, blue = scale.colours(0.0).tolist()
    assert max(red, green, blue) - min(red, green, blue) <= 2
    assert (scale.colours([-99.0, 99.0]) == scale.colours([-3.0, 3.0])).all()
    assert scale.colours([[1.0], [2.0]]).shape == (2, 1, 3)
    assert scale.colours(float("nan")).tolist() == list(NOTHING)


def test_sign_decides_the_map_and_an_outlier_does_not_take_the_range() -> None:
    values = np.concatenate([np.linspace(-1, 2, 1000), [500.0]])
    scale = scale_for(values)
    assert scale.colour_map == "diverging"
    assert scale.low == -scale.high
    assert 1.9 < scale.high < 2.01
    assert scale_for([2.0, 3.0, float("nan")]) == ColourScale(2.0, 3.0, "sequential")
    assert scale_for([float("nan")]) == ColourScale(0.0, 1.0, "sequential")
    assert scale_for([-1e-9, *[0.0] * 500, 1e-9]).high > 0


def test_light_goes_there_and_back() -> None:
    every = np.arange(256, dtype=np.uint8)
    assert (on_screen(linear_light(every)) == every).all()


@pytest.mark.parametrize(("low", "high"), [(1.0, 1.0), (2.0, 1.0), (0.0, float("inf")), (float("nan"), 1.0)])
def test_a_range_that_is_none_is_refused(low: float, high: float) -> None:
    with pytest.raises(DataError, match="lower to a higher"):
        ColourScale(low, high, "sequential")


def test_a_map_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match="jet"):
        ColourScale(0.0, 1.0, "jet")  # type: ignore[arg-type]
