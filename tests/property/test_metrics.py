"""What must hold for every pair of masks."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from vesalius.image import Grid, LabelMap, Labels
from vesalius.metrics import evaluate

PROFILE = settings(deadline=None, max_examples=60)  # machines differ; values must not
LABELS = Labels.of({"a": 1, "b": 2}, regions={"either": (1, 2)})


@st.composite
def pairs(draw):
    shape = draw(array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=7))
    spacing = [draw(st.sampled_from([0.5, 1.0, 1.4, 3.0])) for _ in shape]
    grid = Grid.from_spacing(shape, spacing)
    values = st.integers(0, 2)
    return [LabelMap(draw(arrays(np.uint8, shape, elements=values)), grid, LABELS) for _ in range(2)]


def scored(prediction, reference):
    return evaluate(prediction, reference).values


@PROFILE
@given(pairs())
def test_ranges_and_relations(pair):
    for row in scored(*pair).values():
        for name in ("accuracy", "sensitivity", "specificity", "precision", "dice", "iou", "surface_dice"):
            assert 0 <= row[name] <= 1
        assert row["dice"] == pytest.approx(2 * row["iou"] / (1 + row["iou"]))
        assert 0 <= row["assd"] <= row["hausdorff"] * (1 + 1e-12)
        assert row["hd95"] <= row["hausdorff"]


@PROFILE
@given(pairs())
def test_a_map_agrees_with_itself(pair):
    for row in scored(pair[0], pair[0]).values():
        assert row["dice"] == row["surface_dice"] == 1
        assert row["hausdorff"] == row["assd"] == row["relative_volume_difference"] == 0


@PROFILE
@given(pairs())
def test_swapping_the_sides(pair):
    one, other = scored(*pair), scored(*reversed(pair))
    for target, row in one.items():
        for name in ("accuracy", "dice", "iou", "surface_dice", "hausdorff", "hd95", "assd"):
            assert row[name] == pytest.approx(other[target][name], rel=1e-12)
        assert row["precision"] == other[target]["sensitivity"]


@PROFILE
@given(pairs(), st.data())
def test_flips_and_permutations_change_nothing(pair, data):
    grid = pair[0].grid
    axes = data.draw(st.permutations(range(grid.ndim)))
    flipped = data.draw(st.sets(st.sampled_from(range(grid.ndim))))
    other = Grid.from_spacing([grid.shape[a] for a in axes], [grid.spacing_mm[a] for a in axes])
    turned = [LabelMap(np.flip(one.array.transpose(axes), tuple(flipped)), other, LABELS) for one in pair]
    before, after = scored(*pair), scored(*turned)
    for target, row in before.items():
        assert after[target] == pytest.approx(row, rel=1e-9, nan_ok=True)


@PROFILE
@given(pairs(), st.integers(1, 3))
def test_more_background_changes_only_what_counts_background(pair, margin):
    assume(all(one.array.any() for one in pair))
    shape = tuple(n + 2 * margin for n in pair[0].grid.shape)
    grid = pair[0].grid.crop((-margin,) * len(shape), shape)
    padded = [LabelMap(np.pad(one.array, margin), grid, LABELS) for one in pair]
    before, after = scored(*pair), scored(*padded)
    diagonal = math.hypot(*np.multiply(pair[0].grid.shape, pair[0].grid.spacing_mm))
    for target, row in before.items():
        for name in ("dice", "iou", "sensitivity", "precision", "surface_dice"):
            assert after[target][name] == pytest.approx(row[name], rel=1e-12)
        if row["hausdorff"] < 0.999 * diagonal:  # neither side is empty, which would score the diagonal
            assert after[target]["assd"] == pytest.approx(row["assd"])
            assert after[target]["hd95"] == pytest.approx(row["hd95"])


@PROFILE
@given(pairs())
def test_wider_tolerance_never_lowers_the_surface_dice(pair):
    values = [evaluate(*pair, tolerance_mm=t).values["either"]["surface_dice"] for t in (0.0, 0.7, 1.4, 3.0, 50.0)]
    assert values == sorted(values)
    assert values[-1] in (0.0, 1.0)
