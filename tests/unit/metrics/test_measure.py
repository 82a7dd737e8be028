import tracemalloc

import numpy as np
import pytest

from vesalius.image import Grid, LabelMap, Labels
from vesalius.metrics.measure import measure
from vesalius.metrics.surface import hausdorff, surface_dice

GRID = Grid.from_spacing((14, 12, 10), (1.0, 2.0, 3.0))


def test_one_measurement_serves_all_tolerances():
    drawn, said = np.zeros((2, *GRID.shape), np.uint8)
    drawn[2:6, 3:8, 2:8], said[4:8, 3:8, 2:8] = 1, 1
    labels = Labels.of({"x": 1})
    surfaces = measure(LabelMap(said, GRID, labels), LabelMap(drawn, GRID, labels)).surfaces["x"]
    shares = [surface_dice(surfaces, tolerance_mm) for tolerance_mm in (0.0, 1.0, 2.0)]
    assert shares[0] < shares[1] < shares[2] == 1.0


def test_targets_do_not_disturb_one_another(rng):
    # All at once, or each label in maps of its own: the same counts and distances.
    drawn, said = rng.integers(0, 4, (2, *GRID.shape)).astype(np.uint8)
    labels = Labels.of({"a": 1, "b": 2, "c": 3}, regions={"ab": (1, 2)})
    found = measure(LabelMap(said, GRID, labels), LabelMap(drawn, GRID, labels))
    for name, values in (("a", (1,)), ("b", (2,)), ("c", (3,)), ("ab", (1, 2))):
        pair = [LabelMap(np.isin(a, values).astype(np.uint8), GRID, Labels.of({"x": 1})) for a in (said, drawn)]
        alone = measure(*pair)
        assert found.counts[name] == alone.counts["x"]
        assert hausdorff(found.surfaces[name]) == pytest.approx(hausdorff(alone.surfaces["x"]))
        assert surface_dice(found.surfaces[name], 1.0) == pytest.approx(surface_dice(alone.surfaces["x"], 1.0))
        for cut, whole in zip(found.masks(name), alone.masks("x"), strict=True):
            np.testing.assert_array_equal(cut, whole)


def test_large_values_are_renumbered(rng):
    drawn, said = rng.integers(0, 3, (2, *GRID.shape))
    small, large = Labels.of({"a": 1, "b": 2}, ignore=3), Labels.of({"a": 300, "b": 70}, ignore=400)
    drawn[0] = 3
    names = np.array([0, 300, 70, 400])
    one = measure(LabelMap(said, GRID, small), LabelMap(drawn, GRID, small))
    other = measure(LabelMap(names[said], GRID, large), LabelMap(names[drawn], GRID, large))
    for name in ("a", "b"):
        assert one.counts[name] == other.counts[name]
        assert hausdorff(one.surfaces[name]) == hausdorff(other.surfaces[name])


def test_ignored_voxels_just_beside_a_target_are_seen():
    # The prediction goes one voxel less far, but only where the reference's surface touches what nobody looked at.
    labels = Labels.of({"x": 1}, ignore=9)
    drawn = np.zeros(GRID.shape, np.uint8)
    drawn[3:8, 3:8, 3:8], drawn[8:] = 1, 9
    said = drawn.copy()
    said[7:] = 0
    found = measure(LabelMap(said, GRID, labels), LabelMap(drawn, GRID, labels)).surfaces["x"]
    sides = found.reference_sizes.sum(), found.prediction_sizes.sum()
    assert sides[0] > 0
    beside = np.zeros(GRID.shape, np.uint8)
    beside[3:8, 3:8, 3:8] = 1
    plain = measure(*[LabelMap(beside, GRID, Labels.of({"x": 1}))] * 2).surfaces["x"]
    assert sides[0] < plain.reference_sizes.sum()  # the face that touches ignored voxels is not counted


def test_the_inputs_are_left_alone(rng):
    labels = Labels.of({"x": 1}, ignore=2)
    drawn, said = rng.integers(0, 3, (2, *GRID.shape)).astype(np.uint8)
    before = drawn.copy(), said.copy()
    measure(LabelMap(said, GRID, labels), LabelMap(drawn, GRID, labels)).counts["x"]
    np.testing.assert_array_equal(drawn, before[0])
    np.testing.assert_array_equal(said, before[1])


def test_threads_give_the_same(rng, monkeypatch):
    drawn, said = rng.integers(0, 3, (2, *GRID.shape)).astype(np.uint8)
    labels = Labels.of({"a": 1, "b": 2})
    pair = LabelMap(said, GRID, labels), LabelMap(drawn, GRID, labels)
    one = measure(*pair).surfaces
    monkeypatch.setattr("vesalius.metrics.measure._SMALL", 0)
    many = measure(*pair).surfaces
    for name in one:
        np.testing.assert_array_equal(one[name].reference_sizes, many[name].reference_sizes)
        np.testing.assert_array_equal(one[name].prediction_distances, many[name].prediction_distances)


@pytest.mark.parametrize("cores", [1, 8])
def test_memory_stays_below_four_times_the_input(monkeypatch, cores):
    monkeypatch.setattr("vesalius.metrics.threads.available_cores", lambda: cores)
    shape = (320, 320, 160)
    x, y, z = np.ogrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j, -1 : 1 : shape[2] * 1j]
    drawn = ((x**2 + y**2 + z**2 < 0.8) * (1 + (np.floor(4 * x) + 4 * np.floor(4 * y)) % 40)).astype(np.uint8)
    said = np.roll(drawn, 2, 1)
    grid, labels = Grid.from_spacing(shape, (0.8, 0.8, 2.0)), Labels.of(range(1, 41))
    pair = LabelMap(said, grid, labels), LabelMap(drawn, grid, labels)
    tracemalloc.start()
    try:
        found = measure(*pair)
        assert len(found.counts) == len(found.surfaces) == 40
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * (drawn.nbytes + said.nbytes)
