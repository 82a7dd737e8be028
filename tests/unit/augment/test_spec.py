"""Augmentation: validation, the recipe for a patch, the size of the window to read."""

import itertools
import math

import numpy as np
import pytest
from pydantic import TypeAdapter

from vesalius.augment import Augmentation, source_size
from vesalius.errors import PlanError


def test_json_round_trip_gives_an_equal_spec():
    spec = Augmentation.for_patch((64, 64, 8), mirror_axes=(1,))
    adapter = TypeAdapter(Augmentation)
    assert adapter.validate_json(adapter.dump_json(spec)) == spec


def test_json_with_a_bad_value_is_refused():
    adapter = TypeAdapter(Augmentation)
    with pytest.raises(ValueError, match="blur_p is a probability"):
        adapter.validate_json('{"blur_p": 1.5}')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_p": -0.1}, "noise_p is a probability"),
        ({"gamma_p": float("nan")}, "gamma_p is a probability"),
        ({"scale": (1.4, 0.7)}, "scale must be a range"),
        ({"scale": (0.1, 1.0)}, "scale must be within"),
        ({"scale": 1.0}, "scale must be a range"),
        ({"blur_sigma": (0.0, 1.0)}, "blur_sigma must be positive"),
        ({"blur_sigma": (1.0, 50.0)}, "at most 8"),
        ({"noise_std": (-1.0, 0.1)}, "must not be negative"),
        ({"low_resolution": (0.5, 1.5)}, "at most 1"),
        ({"rotation_degrees": ((-30, 30), (-30, 30))}, "3 ranges"),
        ({"rotation_degrees": ((-200, 30),) * 3}, "-180 to 180"),
        ({"mirror_axes": (0, 0)}, "mirror_axes"),
        ({"mirror_axes": (3,)}, "mirror_axes"),
        ({"through_plane": 3}, "through_plane"),
        ({"through_plane": 0}, "turns about that axis only"),
        ({"rotation_degrees": ((-9, 9),), "mirror_axes": (), "through_plane": 0}, "3D patch"),
    ],
)
def test_values_out_of_range_are_refused(change, message, without_shape_checks):
    with pytest.raises(PlanError, match=message):
        Augmentation(**change)


@pytest.mark.parametrize(
    ("patch", "degrees", "through_plane"),
    [
        ((64, 64), ((-180.0, 180.0),), None),
        ((96, 64), ((-180.0, 180.0),), None),
        ((97, 64), ((-15.0, 15.0),), None),
        ((40, 56, 40), ((-30.0, 30.0),) * 3, None),
        ((48, 16, 48), ((-30.0, 30.0),) * 3, None),
        ((49, 16, 49), ((0.0, 0.0), (-180.0, 180.0), (0.0, 0.0)), 1),
    ],
)
def test_the_recipe_follows_the_proportions_of_the_patch(patch, degrees, through_plane):
    spec = Augmentation.for_patch(patch)
    assert spec.rotation_degrees == degrees
    assert spec.through_plane == through_plane
    assert spec.ndim == len(patch)
    assert spec.mirror_axes == tuple(range(len(patch)))


@pytest.mark.parametrize("patch", [(8,), (8, 8, 8, 8), (8, 0), (8, 8.5)])
def test_a_patch_must_be_two_or_three_whole_numbers(patch, without_shape_checks):
    with pytest.raises(PlanError, match="patch_size"):
        Augmentation.for_patch(patch)


@pytest.mark.parametrize("degrees", [(-30.0, 30.0), (0.0, 10.0), (-180.0, 180.0), (-100.0, -95.0)])
def test_source_size_holds_the_patch_turned_by_any_angle_of_the_range(degrees):
    patch = (30, 50)
    spec = Augmentation(rotation_degrees=(degrees,), mirror_axes=(), scale=(0.5, 1.25))
    size = source_size(spec, patch, limit=10.0)
    worst = np.zeros(2)
    for degree in np.linspace(*degrees, 2001):
        cos, sin = abs(math.cos(math.radians(degree))), abs(math.sin(math.radians(degree)))
        worst = np.maximum(worst, [cos * 30 + sin * 50, sin * 30 + cos * 50])
    worst = np.maximum(worst, patch) * 1.25
    assert all(w <= n <= w + 1.01 for n, w in zip(size, worst, strict=True))


def test_source_size_keeps_to_its_limit_and_leaves_the_through_plane_axis():
    spec = Augmentation.for_patch((64, 64, 8))
    assert source_size(spec, (64, 64, 8)) == (96, 96, 8)
    assert source_size(spec, (64, 64, 8), limit=1.0) == (64, 64, 8)
    still = Augmentation(rotation_p=0.0, scale_p=0.0)
    assert all(source_size(still, p) == p for p in itertools.product((7, 8), repeat=3))


def test_source_size_refuses_another_number_of_axes_and_a_limit_below_one():
    with pytest.raises(PlanError, match="3 whole numbers"):
        source_size(Augmentation(), (8, 8))
    with pytest.raises(PlanError, match="limit"):
        source_size(Augmentation(), (8, 8, 8), limit=0.5)
