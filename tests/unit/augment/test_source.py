"""The size of the window to read."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from vesalius.augment import Augmentation, source_size
from vesalius.errors import PlanError


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


def test_source_size_holds_displacements():
    still = Augmentation(rotation_p=0.0, scale_p=0.0, elastic_displacement=(0.0, 0.4), elastic_control_points=7)
    assert source_size(still, (80, 40, 20)) == (80, 40, 20)
    bent = replace(still, elastic_p=0.1)
    assert source_size(bent, (80, 40, 20)) == (96, 48, 24)  # 0.4 of a quarter of the length, on both sides
    flat = replace(Augmentation.for_patch((80, 80, 8)), rotation_p=0.0, scale_p=0.0, elastic_p=0.1)
    assert source_size(flat, (80, 80, 8)) == (96, 96, 8)
    assert source_size(replace(bent, scale_p=0.1, scale=(1.0, 1.1)), (80, 40, 20)) == (106, 53, 27)
