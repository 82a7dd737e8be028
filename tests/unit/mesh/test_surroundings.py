"""A structure that is asked for alone has the surface that it has among all."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import read_labels
from vesalius.mesh import check, extract
from vesalius.mesh.surroundings import surroundings

GRID_MM = (1.0, 1.0, 1.5)


@pytest.fixture(scope="module")
def organs() -> LabelMap:
    """A long body in three parts, the last of which touches the second only, and a ball that touches nothing."""
    x, y, z = np.meshgrid(np.arange(110), np.arange(24), np.arange(24), indexing="ij")
    inside = np.hypot(y - 11.5, z - 11.5) < 8 + 1.5 * np.sin(x / 6)
    array = np.where(inside & (x > 3) & (x < 80), np.where(x < 20, 1, np.where(x + y < 66, 2, 3)), 0).astype(np.uint8)
    array[(x - 95) ** 2 + (y - 11) ** 2 + (z - 11) ** 2 < 60] = 4
    names = Labels.of({"first": 1, "second": 2, "third": 3, "ball": 4}, regions={"pair": (1, 2)})
    return LabelMap(array, Grid.from_spacing(array.shape, GRID_MM), names)


@pytest.mark.parametrize("steps", [0, 60])
def test_what_touches_nothing_beyond_is_the_same_to_the_last_bit_that_matters(organs, steps):
    whole = extract(organs, smoothing_steps=steps)
    ball = extract(organs, only=["ball"], smoothing_steps=steps).of("ball")

    np.testing.assert_allclose(ball.vertices, whole.of("ball").vertices, atol=1e-6)
    np.testing.assert_array_equal(ball.faces, whole.of("ball").faces)


def test_without_smoothing_all_are_the_same_and_with_probabilities_too(organs):
    random = np.random.default_rng(3)
    likely = np.stack([np.where(organs.array == v, 3.0, random.uniform(0, 1, organs.grid.shape)) for v in range(5)])
    likely = Volume((likely / likely.sum(axis=0)).astype(np.float32), organs.grid)
    for name in ("first", "second", "third", "pair"):
        for given in (None, likely):
            one = extract(organs, only=[name], smoothing_steps=0, probabilities=given).of(name)
            other = extract(organs, smoothing_steps=0, probabilities=given).of(name)
            np.testing.assert_allclose(one.vertices, other.vertices, atol=1e-6)
            np.testing.assert_array_equal(one.faces, other.faces)


@pytest.mark.parametrize("name", ["first", "third", "pair"])
def test_what_hangs_together_with_more_differs_by_less_than_a_twentieth_of_a_voxel_nearly_everywhere(organs, name):
    part, _ = surroundings(organs, [name])
    assert part.grid.shape[0] < 80  # something is cut
    one, other = extract(organs, only=[name]).of(name), extract(organs).of(name)

    assert check(one).is_sound
    assert one.volume_ml == pytest.approx(other.volume_ml, rel=1e-3)
    assert len(one.vertices) == len(other.vertices)
    assert (one.genus, one.pieces) == (other.genus, other.pieces)
    away = cKDTree(other.vertices / GRID_MM).query(one.vertices / GRID_MM)[0]
    assert np.percentile(away, 99) < 0.05
    assert away.max() < 1


def test_several_keep_the_wall_between_them_and_others_are_background(organs):
    made = extract(organs, only=["first", "second"])

    assert sorted(np.unique(made.sides)) == [0, 1, 2]
    assert [surface.label.name for surface in made.surfaces()] == ["first", "second"]
    parts = made.of("first").volume_ml + made.of("second").volume_ml
    assert parts == pytest.approx(made.of("pair").volume_ml, rel=1e-9)


def test_an_empty_structure_has_no_faces_and_an_unknown_one_is_refused(organs):
    names = Labels.of({"first": 1, "second": 2, "third": 3, "ball": 4, "none": 5})
    labels = LabelMap(organs.array, organs.grid, names)
    assert extract(labels, only=["none"], smoothing_steps=1).of("none").is_empty
    with pytest.raises(DataError, match="fourth"):
        extract(labels, only=["fourth"])


def test_a_structure_of_a_real_brain_differs_as_little(shared_data):
    labels = read_labels(shared_data / "synthseg_labelmaps" / "training_seg_01.nii.gz")
    # Around the deep structures, most of which touch each other.
    start, shape = (100, 90, 90), (64, 56, 48)
    box = tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))
    labels = LabelMap(labels.array[box], labels.grid.crop(start, shape), labels.labels)
    counts = labels.counts()
    (name,) = [one.name for one in labels.labels.labels if 600 < counts.get(one.value, 0) < 3000][:1]
    assert np.less(surroundings(labels, [name])[0].grid.shape, shape).any()
    one, other = extract(labels, only=[name]).of(name), extract(labels).of(name)

    away = cKDTree(other.vertices).query(one.vertices)[0]
    assert np.percentile(away, 99) < 0.05
    assert away.max() < 1
