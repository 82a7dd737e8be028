"""Photographs of the retina: field of view and even illumination."""

from __future__ import annotations

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.image import Grid, Volume
from vesalius.transform import Step, preprocess
from vesalius.transform.fundus import field_of_view, fundus

SIZE = 120
ACROSS, DOWN = np.mgrid[:SIZE, :SIZE]
ROUND = np.hypot(ACROSS - 60, DOWN - 60) < 50


def photograph(light: np.ndarray, rng: np.random.Generator) -> Volume:
    """A round field with one dark vessel across, in some light."""
    picture = np.stack([0.6 * light, 0.35 * light, 0.15 * light])
    picture[:, :, 60:63] *= 0.75
    picture = np.where(ROUND, picture, 0) + rng.normal(0, 0.004, (3, SIZE, SIZE))
    return Volume((np.clip(picture, 0, 1) * 255).astype(np.uint8), Grid.from_spacing((SIZE, SIZE), (1.0, 1.0)))


def test_the_field_is_round_and_whole(rng: np.random.Generator) -> None:
    light = np.ones((SIZE, SIZE))
    light[55:65, 20:30] = 0.02  # as dark as the surround: a bleeding, not a hole
    found = field_of_view(photograph(light, rng)).array > 0
    assert (found != ROUND).mean() < 0.01


def test_a_photograph_without_surround_is_all_field() -> None:
    everywhere = Volume(np.full((3, 8, 9), 100, np.uint8), Grid.from_spacing((8, 9), (1.0, 1.0)))
    assert field_of_view(everywhere).counts() == {1: 72}
    black = everywhere.with_array(np.zeros((3, 8, 9), np.uint8))
    assert field_of_view(black).counts() == {1: 72}
    assert not fundus(black).array.any()


def test_uneven_light_is_taken_out_and_vessels_stay(rng: np.random.Generator) -> None:
    even, uneven = (fundus(photograph(light, rng)).array[1] for light in (np.ones((SIZE, SIZE)), 0.5 + ACROSS / SIZE))
    inside = np.hypot(ACROSS - 60, DOWN - 60) < 40
    vessel = inside & (DOWN >= 60) & (DOWN < 63)
    assert np.median(uneven[vessel]) < -3
    assert abs(np.median(uneven[inside & ~vessel])) < 0.3
    left, right = inside & (ACROSS < 50) & ~vessel, inside & (ACROSS > 70) & ~vessel
    assert abs(np.median(uneven[left]) - np.median(uneven[right])) < 0.3
    assert np.median(even[vessel]) < -3
    assert not uneven[~ROUND & (np.hypot(ACROSS - 60, DOWN - 60) > 52)].any()


def test_it_is_a_step_of_pipelines(rng: np.random.Generator) -> None:
    picture = photograph(np.ones((SIZE, SIZE)), rng)
    made = preprocess(picture, [Step("fundus", {"clip": 0.02})])
    assert np.array_equal(made.array, fundus(picture, clip=0.02).array)
    assert made.channels == 4
    assert made.array[3].min() >= 0
    assert made.array[3].max() <= 1


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8, 8)])
def test_what_is_no_photograph(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="2D with red, green and blue"):
        fundus(Volume(np.ones(shape), Grid.from_spacing(shape[1:], (1.0,) * (len(shape) - 1))))
