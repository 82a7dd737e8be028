"""Thresholds of the whole image: answers from paper, and images that have none."""

import itertools

import numpy as np
import pytest

from vesalius.classical import find
from vesalius.classical.histogram import Histogram, one_threshold, several_thresholds
from vesalius.classical.threshold import entropy, hysteresis, multi_otsu, otsu, threshold
from vesalius.errors import DataError, GeometryError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume

FOUND = ("otsu", "li", "triangle", "yen", "isodata", "entropy")


def volume(array, *, meta=None, spacing=None):
    array = np.asarray(array)
    return Volume(array[None], Grid.from_spacing(array.shape, spacing or (1.0,) * array.ndim), meta or Meta())


def test_fixed_bounds_are_labelled_themselves():
    image = volume([[1, 2, 3], [4, 5, 6]])
    assert threshold(image, above=3).array.tolist() == [[0, 0, 1], [1, 1, 1]]
    assert threshold(image, below=2).array.tolist() == [[1, 1, 0], [0, 0, 0]]
    assert threshold(image, above=2, below=4).array.tolist() == [[0, 1, 1], [1, 0, 0]]
    assert threshold(image, above=9).counts() == {0: 6}


@pytest.mark.parametrize(
    ("tissue", "labelled"),
    [
        ("emphysema", [-1000]),
        ("lung", [-1000, -800]),
        ("fat", [-100]),
        ("muscle", [50, 140]),
        ("calcium", [140, 500]),
        ("bone", [500]),
    ],
)
def test_tissues_of_ct(tissue, labelled):
    values = np.array([[-1000, -800, -300, -100, 50, 140, 500]], np.int16)
    found = threshold(volume(values, meta=Meta("CT", "HU")), tissue=tissue)
    assert values[found.array == 1].tolist() == labelled
    assert found.labels.names == (tissue,)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "needs above, below or both"),
        ({"above": 2, "below": 1}, "must not exceed"),
        ({"above": 2, "tissue": "bone"}, "not both"),
        ({"tissue": "bones"}, "did you mean 'bone'"),
    ],
)
def test_bounds_that_are_refused(arguments, words):
    with pytest.raises(VesaliusError, match=words):
        threshold(volume([[1, 2]]), **arguments)


@pytest.mark.parametrize("meta", [Meta("MR"), Meta("CT", "g/ml")])
def test_tissues_are_those_of_ct_only(meta):
    with pytest.raises(DataError, match="give above and below"):
        threshold(volume([[1, 2]], meta=meta), tissue="fat")


@pytest.mark.parametrize("name", ["otsu", "li", "isodata"])
@pytest.mark.parametrize("shape", [(24, 30), (10, 12, 14)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_two_classes_far_apart_are_parted(name, shape, dtype, rng):
    bright = rng.random(shape) < 0.3
    image = volume((rng.uniform(30, 50, shape) + 100 * bright).astype(dtype))
    found = find(name)(image).array
    if dtype == np.float32 and name == "otsu":  # any value of the gap does, and the last bin of the dark class is taken
        assert (found[bright] == 1).all()
        assert (found != bright).mean() < 0.1
        return
    np.testing.assert_array_equal(found, bright)
    np.testing.assert_array_equal(find(name)(image, dark=True).array, ~bright)


@pytest.mark.parametrize("name", ["triangle", "yen", "entropy"])
@pytest.mark.parametrize("shape", [(24, 30), (10, 12, 14)])
def test_few_bright_voxels_on_dark_ground(name, shape, rng):
    array = np.minimum(rng.geometric(0.5, shape), 9).astype(np.uint8)  # one peak, with a tail
    bright = rng.random(shape) < 0.03
    array[bright] = rng.integers(100, 200, int(bright.sum()))
    found = find(name)(volume(array)).array
    assert found[bright].mean() > 0.9
    assert found[~bright].mean() < 0.1


@pytest.mark.parametrize("name", FOUND)
@pytest.mark.parametrize("array", [np.full((4, 4), 7, np.uint8), np.zeros((3, 4, 3), np.float32)], ids=str)
def test_one_grey_value_has_no_classes(name, array):
    for dark in (False, True):
        assert find(name)(volume(array), dark=dark).counts() == {0: array.size}


@pytest.mark.parametrize("name", [*FOUND, "multi-otsu"])
def test_a_mask_says_where(name, rng):
    array = rng.integers(0, 20, (6, 8)).astype(np.int16)
    array[:, 4:] += 200
    array[0] = 30_000  # outside the mask: it would draw every threshold up
    mask = LabelMap(np.ones((6, 8), np.uint8), volume(array).grid, Labels.of({"body": 1}))
    inside = mask.array.copy()
    inside[0] = 0
    mask = LabelMap(inside, mask.grid, mask.labels)
    arguments = {"classes": 2} if name == "multi-otsu" else {}
    found = find(name)(volume(array), mask=mask, **arguments).array
    assert (found[0] == 0).all()
    whole = find(name)(volume(array[1:]), **arguments).array
    np.testing.assert_array_equal(found[1:], whole + 1 if name == "multi-otsu" else whole)
    empty = LabelMap(inside * 0, mask.grid, mask.labels)
    with pytest.raises(DataError, match="the mask is empty"):
        find(name)(volume(array), mask=empty)
    with pytest.raises(GeometryError, match="mask"):
        find(name)(volume(array[1:]), mask=mask)


@pytest.mark.parametrize("name", [*FOUND, "multi-otsu", "hysteresis", "niblack", "adaptive-gaussian"])
def test_several_channels_are_refused(name):
    image = Volume(np.zeros((3, 4, 4)), Grid.from_spacing((4, 4), (1.0, 1.0)))
    arguments = {"low": 1.0, "high": 2.0} if name == "hysteresis" else {}
    with pytest.raises(DataError, match="one channel, and the image has 3"):
        find(name)(image, **arguments)


def test_the_entropy_is_greatest_by_its_definition(rng):
    values = np.concatenate([rng.normal(20, 4, 500), rng.normal(60, 9, 120)]).astype(np.int16)

    def score(cut):
        total = 0.0
        for part in (values[values <= cut], values[values > cut]):
            share = np.unique(part, return_counts=True)[1] / part.size
            total -= float((share * np.log(share)).sum())
        return total

    best = max(range(int(values.min()), int(values.max())), key=score)
    assert one_threshold(values, "entropy") == best


def test_several_classes_by_trying_all_cuts(rng):
    values = np.concatenate([rng.normal(m, 3, 60) for m in (10, 25, 50, 60)]).round().astype(np.int16)

    def within(cuts):
        edges = [-1000, *cuts, 1000]
        parts = [values[(values > a) & (values <= b)] for a, b in itertools.pairwise(edges)]
        return sum(float(((p - p.mean()) ** 2).sum()) if p.size else np.inf for p in parts)

    for classes in (2, 3, 4):
        best = min(itertools.combinations(np.unique(values)[:-1], classes - 1), key=within)
        assert several_thresholds(values, classes).tolist() == list(best)
    assert several_thresholds(values, 2)[0] == one_threshold(values, "otsu")


def test_many_different_values_are_joined(rng):
    values = np.concatenate([rng.integers(0, 20_000, 30_000), rng.integers(40_000, 60_000, 30_000)]).astype(np.uint16)
    (cut,) = several_thresholds(values, 2)
    assert 19_900 <= cut < 40_000


def test_classes_have_names_and_there_are_enough_values():
    image = volume([[0, 0, 5, 5, 9, 9]])
    found = multi_otsu(image)
    assert found.array.tolist() == [[0, 0, 1, 1, 2, 2]]
    assert found.labels.names == ("class 2", "class 3")
    assert multi_otsu(image, names=("grey", "white")).labels.names == ("grey", "white")
    for arguments, words in [
        ({"names": ("grey",)}, "2 classes to name, and 1"),
        ({"classes": 4}, "4 classes need at least as many different values, and there are 3"),
        ({"classes": 1}, "2 to 255"),
    ]:
        with pytest.raises(DataError, match=words):
            multi_otsu(image, **arguments)
    with pytest.raises(DataError, match="ask for more bins"):
        multi_otsu(volume([[0.0, 1e-6, 1.0]]), bins=10)


def test_hysteresis_keeps_what_hangs_together():
    image = volume([[1, 2, 3, 2, 1, 2], [1, 1, 1, 1, 3, 1]])
    assert hysteresis(image, low=1, high=2).array.tolist() == [[0, 1, 1, 1, 0, 0], [0, 0, 0, 0, 1, 0]]
    wide = hysteresis(image, low=1, high=2, connectivity=2)
    assert wide.array.tolist() == [[0, 1, 1, 1, 0, 1], [0, 0, 0, 0, 1, 0]]
    assert hysteresis(image, low=1, high=5).counts() == {0: 12}
    with pytest.raises(DataError, match="must not exceed"):
        hysteresis(image, low=3, high=2)
    with pytest.raises(GeometryError, match="connectivity"):
        hysteresis(image, low=1, high=2, connectivity=3)


def test_hysteresis_of_thousands_of_pieces():
    array = np.zeros((200, 200))
    array[::2, ::2] = 1  # ten thousand
    array[:100, ::4] *= 2
    found = hysteresis(volume(array), low=0.5, high=1.5)
    assert found.counts()[1] == (array == 2).sum() == 2500


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bins", [2, 10, 256, 1000])
def test_histograms_are_numpys_to_the_last_count(bins, dtype, rng):
    values = rng.normal(size=20_000)
    edges = np.linspace(values[0], values[1], 257)
    for some in (
        values,
        values * 1e-30 + 1e-31,
        values + 1e4,  # hardly more digits than bins
        np.rint(values * 100),
        np.clip(values, -0.5, 0.5),
        edges[rng.integers(0, 257, 20_000)],  # nothing but edges
        np.exp(9 * values),
    ):
        counts, _ = np.histogram(some.astype(dtype), bins=bins)
        np.testing.assert_array_equal(Histogram.of(some.astype(dtype), bins=bins).counts, counts)


def test_histograms(rng):
    whole = Histogram.of(np.array([-3, -3, 0], np.int8))
    assert whole.counts.tolist() == [2, 0, 0, 1]
    assert whole.centres.tolist() == [-3, -2, -1, 0]
    near = np.float32(1e6) + np.arange(3, dtype=np.float32) / 8  # fewer numbers between them than edges
    assert Histogram.of(near, bins=256).counts.sum() == 3
    wide = Histogram.of(np.array([0, 1 << 40]), bins=4)  # as whole numbers it would not fit into memory
    assert wide.counts.tolist() == [1, 0, 0, 1]
    with pytest.raises(DataError, match="at least 2 bins"):
        otsu(volume(rng.random((4, 4))), bins=1)
    for name in ("otsu", "li"):
        assert one_threshold(np.array([0, 1, 2, 1 << 40, 1 << 40]), name) < 1 << 40
        assert 0 <= one_threshold(np.array([0, 0, 0, 1], bool), name) < 1
        assert 0 <= one_threshold(np.array([0, 0, 0.5, 1], np.float16), name) < 1
    assert one_threshold(np.array([0] * 9 + [1, 1, 2, 3, 1 << 40]), "triangle") < 1 << 40
    assert one_threshold(np.array([-30_000, -29_999, 30_000, 29_999], np.int16), "li") < 29_999
    with pytest.raises(VesaliusError, match="criterion"):
        one_threshold(np.zeros(3), "otzu")
    assert entropy(volume([[1, 2, 9, 9]])).array.tolist() == [[0, 0, 1, 1]]
