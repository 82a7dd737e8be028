"""The streamed argmax is the plain one, and painting while resampling is painting after it."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from vesalius.errors import GeometryError
from vesalius.image import Grid, Volume
from vesalius.transform import resample, resample_argmax, resample_painted


def scores(rng: np.random.Generator, classes: int, shape: tuple[int, ...], smooth: float) -> np.ndarray:
    noise = rng.normal(size=(classes, *shape))
    return (ndimage.gaussian_filter(noise, (0, *[smooth] * len(shape))) * 30).astype(np.float32)


def plain(array: np.ndarray, source: Grid, target: Grid, **options: object) -> np.ndarray:
    return np.argmax(resample(Volume(array, source), target, **options).array, axis=0)


@pytest.mark.parametrize("classes", [1, 2, 3, 17])
@pytest.mark.parametrize("spacing", [(0.61, 0.47, 0.83), (1.0, 1.0, 1.0), (1.7, 2.0, 1.2)])
def test_equals_the_plain_way(classes: int, spacing: tuple[float, ...], rng: np.random.Generator) -> None:
    source = Grid.from_spacing((40, 35, 30), (1.0, 1.0, 1.0))
    array = scores(rng, classes, source.shape, 3.0)
    target = source.with_spacing(spacing).permute((2, 0, 1)).flip((1,))
    made = resample_argmax(array, source, target)
    assert made.dtype == np.uint8
    assert np.array_equal(made, plain(array, source, target))


@pytest.mark.parametrize("smooth", [0.0, 2.0])
def test_equals_the_plain_way_on_probabilities_with_ties(smooth: float, rng: np.random.Generator) -> None:
    source = Grid.from_spacing((20, 24), (1.0, 1.0))
    array = np.rint(scores(rng, 5, source.shape, smooth) / 10)
    target = source.with_spacing((0.25, 0.5))
    assert np.array_equal(resample_argmax(array, source, target), plain(array, source, target))


def test_a_class_that_leads_nowhere_on_the_coarse_grid_may_win_between() -> None:
    source = Grid.from_spacing((2, 1), (1.0, 1.0))
    array = np.array([[[9.0], [0.0]], [[5.0], [5.0]], [[0.0], [9.0]]])
    target = Grid.from_spacing((5, 1), (0.25, 1.0))
    assert resample_argmax(array, source, target).ravel().tolist() == [0, 0, 1, 2, 2]


def test_outside_the_extent_is_class_0(rng: np.random.Generator) -> None:
    source = Grid.from_spacing((6, 6), (1.0, 1.0))
    array = np.stack([np.zeros((6, 6)), np.ones((6, 6))])
    made = resample_argmax(array, source, source.crop((-3, 2), (9, 9)))
    assert made[3:, :4].all()
    assert made.sum() == 24


def test_turned_grids(rng: np.random.Generator) -> None:
    source = Grid.from_spacing((30, 30, 20), (1.0, 1.0, 1.5))
    array = scores(rng, 4, source.shape, 2.0)
    turn = [[np.cos(0.5), -np.sin(0.5), 0], [np.sin(0.5), np.cos(0.5), 0], [0, 0, 1]]
    target = Grid.from_spacing((40, 40, 30), (0.7, 0.7, 1.0), direction=turn, origin_mm=(10.0, -4.0, 0.0))
    made = resample_argmax(array, source, target)
    # Outside, all classes are filled alike, and the lowest of them wins.
    assert np.array_equal(made, plain(array, source, target))
    assert len(np.unique(made)) == 4


def test_through_plane(rng: np.random.Generator) -> None:
    source = Grid.from_spacing((20, 20, 6), (1.0, 1.0, 5.0))
    array = scores(rng, 3, source.shape, 1.0)
    target = source.with_spacing((0.5, 0.5, 1.25))
    made = resample_argmax(array, source, target, through_plane="nearest")
    assert np.array_equal(made, plain(array, source, target, through_plane="nearest"))
    assert np.array_equal(made[..., 0], made[..., 1])


def test_half_precision_and_many_classes(rng: np.random.Generator) -> None:
    source = Grid.from_spacing((5, 6), (1.0, 1.0))
    array = rng.normal(size=(300, 5, 6)).astype(np.float16)
    made = resample_argmax(array, source, source.with_spacing((0.5, 0.5)))
    assert made.dtype == np.uint16
    assert np.array_equal(made, plain(array, source, source.with_spacing((0.5, 0.5))))


def test_memory_does_not_grow_with_the_number_of_classes(rng: np.random.Generator) -> None:
    source = Grid.from_spacing((32, 32, 32), (1.0, 1.0, 1.0))
    target = source.with_spacing((0.25, 0.25, 0.25))

    def peak(classes: int) -> int:
        array = rng.normal(size=(classes, *source.shape)).astype(np.float32)
        tracemalloc.start()
        resample_argmax(array, source, target)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    few, many = peak(2), peak(24)
    assert many < few * 1.5
    assert many < 10 * target.size  # the answer is one byte a voxel; float32 scores would be 4 * 24


@pytest.mark.parametrize("shape", [(4, 5), (2, 4, 6), (0, 4, 5)])
def test_scores_that_do_not_fit(shape: tuple[int, ...]) -> None:
    grid = Grid.from_spacing((4, 5), (1.0, 1.0))
    with pytest.raises(GeometryError, match="do not fit"):
        resample_argmax(np.zeros(shape), grid, grid)


# --- regions that are painted -----------------------------------------------------------------------------------------


def painted(array: np.ndarray, source: Grid, target: Grid, **options: object) -> np.ndarray:
    """All scores resampled, then painted one over the other."""
    found = np.zeros(target.shape, np.uint16)
    for number, score in enumerate(resample(Volume(array, source), target, **options).array, start=1):
        found[score > 0] = number
    return found


@pytest.mark.parametrize("regions", [1, 2, 3, 17])
@pytest.mark.parametrize("spacing", [(0.61, 0.47, 0.83), (1.0, 1.0, 1.0), (1.7, 2.0, 1.2)])
def test_painting_equals_the_plain_way(regions: int, spacing: tuple[float, ...], rng: np.random.Generator) -> None:
    source = Grid.from_spacing((40, 35, 30), (1.0, 1.0, 1.0))
    array = scores(rng, regions, source.shape, 3.0) - 1
    target = source.with_spacing(spacing).permute((2, 0, 1)).flip((1,))
    made = resample_painted(array, source, target)
    assert made.dtype == np.uint8
    assert np.array_equal(made, painted(array, source, target))
    assert set(np.unique(made)) == set(range(regions + 1))


def test_painting_on_turned_grids_and_outside(rng: np.random.Generator) -> None:
    source = Grid.from_spacing((30, 30, 20), (1.0, 1.0, 1.5))
    array = scores(rng, 3, source.shape, 2.0)
    array[0] = np.abs(array[0]) + 0.1  # on everywhere in the source
    turn = [[np.cos(0.5), -np.sin(0.5), 0], [np.sin(0.5), np.cos(0.5), 0], [0, 0, 1]]
    target = Grid.from_spacing((40, 40, 30), (0.7, 0.7, 1.0), direction=turn, origin_mm=(10.0, -4.0, 0.0))
    made = resample_painted(array, source, target)
    assert np.array_equal(made, painted(array, source, target))
    assert len(np.unique(made)) == 4
    framed = resample_painted(array, source, source.crop((-2, 0, 0), (34, 30, 20)))
    assert not framed[:2].any()
    assert not framed[-2:].any()
    assert framed[2:-2].all()


def test_painting_through_plane(rng: np.random.Generator) -> None:
    source = Grid.from_spacing((20, 20, 6), (1.0, 1.0, 5.0))
    array = scores(rng, 3, source.shape, 1.0)
    target = source.with_spacing((0.5, 0.5, 1.25))
    made = resample_painted(array, source, target, through_plane="nearest")
    assert np.array_equal(made, painted(array, source, target, through_plane="nearest"))


def test_a_score_of_nothing_is_off_and_a_later_region_lies_on_top() -> None:
    grid = Grid.from_spacing((4, 1), (1.0, 1.0))
    array = np.array([[[0.0], [1.0], [1.0], [-1.0]], [[0.0], [0.0], [1e-30], [2.0]]])
    assert resample_painted(array, grid, grid).ravel().tolist() == [0, 1, 2, 2]
    assert resample_painted(array[::-1], grid, grid).ravel().tolist() == [0, 2, 2, 1]


def test_memory_does_not_grow_with_the_number_of_regions(rng: np.random.Generator) -> None:
    source = Grid.from_spacing((32, 32, 32), (1.0, 1.0, 1.0))
    target = source.with_spacing((0.25, 0.25, 0.25))

    def peak(regions: int) -> int:
        array = rng.normal(size=(regions, *source.shape)).astype(np.float32)
        tracemalloc.start()
        resample_painted(array, source, target)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    few, many = peak(2), peak(24)
    assert many < few * 1.5
    assert many < 10 * target.size


def test_regions_that_do_not_fit() -> None:
    grid = Grid.from_spacing((4, 5), (1.0, 1.0))
    with pytest.raises(GeometryError, match=r"do not fit \(1 to 65535 regions"):
        resample_painted(np.zeros((2, 4, 6)), grid, grid)
