import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume, count_values

GRID = Grid.from_spacing((2, 3, 4), (1, 1, 1))


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 4, 3, 2), (0, 2, 3, 4), (1, 1, 2, 3, 4)])
def test_a_volume_fits_its_grid(shape: tuple[int, ...]) -> None:
    with pytest.raises(GeometryError, match="does not fit"):
        Volume(np.zeros(shape), GRID)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_voxels_that_are_no_numbers_are_counted(bad: float, dtype: type) -> None:
    array = np.zeros((1, 2, 3, 4), dtype)
    array[0, 1, 1, 1] = bad
    with pytest.raises(DataError, match="1 NaN or infinite voxels of 24"):
        Volume(array, GRID)


def test_large_but_finite_values_are_fine() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        Volume(np.full((1, 2, 3, 4), np.finfo(dtype).max, dtype), GRID)


def test_text_and_complex_numbers_are_no_image() -> None:
    for array in (np.zeros((1, 2, 3, 4), complex), np.full((1, 2, 3, 4), "x")):
        with pytest.raises(DataError, match="real numbers"):
            Volume(array, GRID)


def test_values_never_change() -> None:
    array = np.zeros((1, 2, 3, 4))
    volume = Volume(array, GRID)
    with pytest.raises(ValueError, match="read-only"):
        volume.array[0, 0, 0, 0] = 1
    array[0, 0, 0, 0] = 1  # not copied: whoever made the array still owns it
    assert volume.with_array(array + 1).array[0, 0, 0, 0] == 2


def test_labels_must_be_integers_and_declared() -> None:
    labels = Labels.of({"a": 1}, ignore=9)
    LabelMap(np.array([[[0, 1, 9, 0]] * 3] * 2), GRID, labels)
    LabelMap(np.zeros(GRID.shape, bool), GRID, labels)
    with pytest.raises(DataError, match="integers"):
        LabelMap(np.zeros(GRID.shape), GRID, labels)
    with pytest.raises(DataError, match="not declared: 2, 3"):
        LabelMap(np.array([[[0, 1, 2, 3]] * 3] * 2), GRID, labels)
    with pytest.raises(DataError, match="-1"):
        LabelMap(np.full(GRID.shape, -1), GRID, labels)
    with pytest.raises(GeometryError):
        LabelMap(np.zeros((2, 3), int), GRID, labels)


def test_regions_are_unions() -> None:
    labels = Labels.of({"core": 1, "rim": 2}, regions={"whole": (1, 2)})
    found = LabelMap(np.array([[[0, 1, 2, 0]] * 3] * 2), GRID, labels)
    assert found.binary("whole").sum() == 12
    assert found.binary("rim").sum() == 6
    assert found.counts() == {0: 12, 1: 6, 2: 6}
    with pytest.raises(DataError, match="did you mean 'core'"):
        found.binary("cor")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64])
def test_counting_agrees_with_numpy(dtype: type, rng: np.random.Generator) -> None:
    array = rng.integers(-5 if dtype != np.uint8 else 0, 100, (40, 50, 60)).astype(dtype)
    runs = np.sort(array, axis=None).reshape(array.shape)
    for view in (array, array[::-1, ::2], array.T, array[:0], array.astype(np.int64) * 10**9, runs, runs[:1, :1, :1]):
        values, counts = np.unique(view, return_counts=True)
        assert count_values(view) == dict(zip(values.tolist(), counts.tolist(), strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Labels.of({"a": 0}),
        lambda: Labels.of({"a": 70000}),
        lambda: Labels.of({"a": 1, "b": 1}),
        lambda: Labels.of({"": 1}),
        lambda: Labels.of({"a": 1}, regions={"a": (1,)}),
        lambda: Labels.of({"a": 1}, regions={"r": (2,)}),
        lambda: Labels.of({"a": 1}, regions={"r": ()}),
        lambda: Labels.of({"a": 1}, ignore=1),
    ],
)
def test_labels_that_contradict_themselves(wrong) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError):
        wrong()


def test_neighbouring_values_get_colours_that_differ() -> None:
    labels = Labels.of(range(1, 9))
    colours = [labels.colour(v) for v in labels.values]
    assert len(set(colours)) == 8
    assert labels.colour(99) == (255, 255, 255)
