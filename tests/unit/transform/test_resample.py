"""Resampling: borders, types, refusals and the ways in which the work is cut up."""

import sys

import numpy as np
import pytest
from scipy import ndimage

from vesalius.errors import DataError, GeometryError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.transform import coarse_axis, resample, respace, sampling

INTERPOLATIONS = ["linear", "cubic", "nearest"]
LINE = Grid.from_spacing((4, 1), (2.0, 1.0))


def line(dtype: type = np.float64) -> Volume:
    return Volume(np.array([0, 10, 20, 40], dtype).reshape(1, 4, 1), LINE)


def at(x_mm: list[float]) -> Grid:
    """A grid of points one after another on the line; their distance must be even."""
    step = x_mm[1] - x_mm[0]
    return Grid.from_spacing((len(x_mm), 1), (step, 1.0), origin_mm=(x_mm[0], 0.0))


def turned(grid: Grid, angle: float) -> Grid:
    """The grid turned about its middle in the plane of its first two axes."""
    turn = np.eye(grid.ndim)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    centre = grid.to_points((np.asarray(grid.shape) - 1) / 2)
    other = Grid.from_spacing(grid.shape, grid.spacing_mm, direction=turn)
    return Grid.from_spacing(
        grid.shape,
        grid.spacing_mm,
        direction=turn,
        origin_mm=centre - other.to_points((np.asarray(grid.shape) - 1) / 2),
    )


@pytest.mark.parametrize(
    ("interpolation", "expected"),
    [
        # The centres are at 0, 2, 4, 6 mm, so the extent is -1 … 7 mm; -1 and 7 themselves belong to it.
        ("linear", [-5, 0, 0, 5, 10, 15, 20, 30, 40, 40, -5]),
        ("nearest", [-5, 0, 0, 10, 10, 20, 20, 40, 40, 40, -5]),
    ],
)
def test_values_between_samples_in_the_rim_and_outside(interpolation: str, expected: list[float]) -> None:
    made = resample(line(), at([float(x) for x in range(-2, 9)]), interpolation=interpolation, fill=-5)
    assert made.array.ravel().tolist() == expected


def test_the_cubic_passes_through_the_samples_and_its_rim_is_flat() -> None:
    made = resample(line(), at([float(x) for x in range(-2, 9)]), interpolation="cubic", fill=-5).array.ravel()
    np.testing.assert_allclose(made[[2, 4, 6, 8]], [0, 10, 20, 40], atol=1e-5)
    np.testing.assert_allclose(made[[0, 1, 9, 10]], [-5, 0, 40, -5], atol=1e-5)
    between = ndimage.map_coordinates([0.0, 10.0, 20.0, 40.0], [[0.5, 1.5, 2.5]], order=3, mode="mirror")
    np.testing.assert_allclose(made[[3, 5, 7]], between, atol=1e-5)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_grids_that_do_not_overlap(interpolation: str, angle: float) -> None:
    grid = Grid.from_spacing((6, 7, 8), (1.0, 1.0, 2.0))
    volume = Volume(np.ones((2, 6, 7, 8), np.float32), grid)
    far = turned(grid.crop((100, 0, 0), (9, 10, 11)), angle)
    made = resample(volume, far, interpolation=interpolation, fill=-3.5)
    assert made.array.shape == (2, 9, 10, 11)
    assert (made.array == -3.5).all()


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_types(interpolation: str, dtype: type, angle: float, rng: np.random.Generator) -> None:
    grid = Grid.from_spacing((9, 8, 7), (1.0, 1.0, 1.0))
    array = rng.integers(0, 2 if dtype is np.bool_ else 100, (1, 9, 8, 7)).astype(dtype)
    made = resample(Volume(array, grid), turned(grid, angle).with_spacing((0.7, 0.8, 0.9)), interpolation=interpolation)
    assert made.array.dtype == (dtype if interpolation == "nearest" else np.float32)
    # float64 arithmetic in scipy is the yardstick for every type.
    wide = resample(Volume(array.astype(np.float64), grid), made.grid, interpolation=interpolation)
    np.testing.assert_allclose(made.array.astype(np.float64), wide.array, atol=1e-4)
    assert made.array.std() > 0


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 5, 6), (5, 1, 6), (5, 6, 1), (2, 2, 2), (1, 1), (1, 7), (7, 1), (3, 2)]
)
@pytest.mark.parametrize("angle", [0.0, 0.2])
def test_axes_of_one_voxel(interpolation: str, shape: tuple[int, ...], angle: float) -> None:
    grid = Grid.from_spacing(shape, (1.0,) * len(shape))
    finer = turned(grid.with_spacing((0.5,) * len(shape)), angle)
    made = resample(Volume(np.full((1, *shape), 7.0), grid), finer, interpolation=interpolation, fill=7.0)
    assert made.array.shape[1:] == finer.shape
    np.testing.assert_allclose(made.array, 7.0, rtol=1e-5)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_the_layout_in_memory_changes_nothing(order: str, interpolation: str, rng: np.random.Generator) -> None:
    array = rng.normal(size=(2, 11, 12, 13)).astype(np.float32)
    grid = Grid.from_spacing((11, 12, 13), (1.0, 2.0, 3.0))
    finer = grid.with_spacing((0.8, 1.1, 2.9))
    expected = resample(Volume(array, grid), finer, interpolation=interpolation).array
    strange = np.asarray(array, order=order)[:, ::-1].copy(order="K")[:, ::-1]
    made = resample(Volume(strange, grid), finer, interpolation=interpolation).array
    np.testing.assert_allclose(made, expected, atol=1e-5)


def test_the_result_lies_in_memory_like_the_source() -> None:
    array = np.zeros((1, 30, 20, 10), np.float32).transpose(0, 3, 2, 1).copy().transpose(0, 3, 2, 1)
    made = resample(
        Volume(array, Grid.from_spacing((30, 20, 10), (1.0, 1.0, 1.0))), Grid.from_spacing((9, 8, 7), (2.0,) * 3)
    )
    assert made.array[0].flags.f_contiguous


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_tiles_and_threads_change_nothing(
    interpolation: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = Grid.from_spacing((70, 75, 80), (1.0, 1.0, 1.0))
    volume = Volume(rng.normal(size=(1, *grid.shape)).astype(np.float32), grid)
    finer = grid.crop((-2, 3, 5), (72, 70, 80)).with_spacing((0.9, 0.83, 0.77))
    whole = resample(volume, finer, interpolation=interpolation, fill=9)
    # The module is hidden behind the function of its name.
    monkeypatch.setattr(sys.modules["vesalius.transform.resample"], "_VALUE_TILE", (16, 1))
    monkeypatch.setattr(sampling, "cores", lambda: 3)
    cut = resample(volume, finer, interpolation=interpolation, fill=9)
    np.testing.assert_allclose(cut.array, whole.array, atol=1e-5)


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "cores", lambda: 2)

    def broken(_: object) -> None:
        raise RuntimeError("out of order")

    with pytest.raises(RuntimeError, match="out of order"):
        sampling.each_tile(iter(["tile"] * 5), broken, 1 << 20)  # type: ignore[list-item]


def test_antialias_averages_what_a_coarser_grid_would_skip() -> None:
    stripes = np.tile([0.0, 1.0], 60).reshape(1, 120, 1)
    volume = Volume(stripes, Grid.from_spacing((120, 1), (1.0, 1.0)))
    coarse = Grid.from_spacing((30, 1), (4.0, 1.0), origin_mm=(1.0, 0.0))
    assert resample(volume, coarse).array.max() == 1.0
    smooth = resample(volume, coarse, antialias=True).array.ravel()
    np.testing.assert_allclose(smooth[2:-2], 0.5, atol=1e-4)
    # Where the grid is not coarser there is nothing to smooth.
    fine = volume.grid.with_spacing((0.5, 1.0))
    assert np.array_equal(resample(volume, fine, antialias=True).array, resample(volume, fine).array)


def test_antialias_on_a_turned_grid() -> None:
    grid = Grid.from_spacing((60, 60), (1.0, 1.0))
    board = Volume((np.indices(grid.shape).sum(axis=0) % 2)[None].astype(np.float32), grid)
    coarse = turned(grid, 0.3).with_spacing((4.0, 4.0)).crop((4, 4), (7, 7))
    rough, smooth = resample(board, coarse), resample(board, coarse, antialias=True)
    assert rough.array.std() > 0.1
    np.testing.assert_allclose(smooth.array, 0.5, atol=1e-3)


def test_antialias_is_refused_where_values_must_stay() -> None:
    with pytest.raises(VesaliusError, match="antialias"):
        resample(line(), LINE, interpolation="nearest", antialias=True)
    with pytest.raises(VesaliusError, match="antialias"):
        resample(labelled(), LINE, antialias=True)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("shape", "spacing", "axis"),
    [
        ((9, 9, 9), (1.0, 1.0, 3.1), 2),
        ((9, 9, 9), (5.0, 0.8, 0.8), 0),
        ((9, 9, 9), (1.0, 1.0, 3.0), None),
        ((9, 9, 9), (0.3, 1.25, 1.25), None),
        ((9, 9), (1.0, 10.0), None),
    ],
)
def test_the_coarse_axis(shape: tuple[int, ...], spacing: tuple[float, ...], axis: int | None) -> None:
    assert coarse_axis(Grid.from_spacing(shape, spacing)) == axis


def test_through_the_plane_the_nearest_slice_is_taken(rng: np.random.Generator) -> None:
    grid = Grid.from_spacing((8, 9, 4), (1.0, 1.0, 6.0))
    volume = Volume(rng.normal(size=(1, 8, 9, 4)).astype(np.float32), grid)
    made = respace(volume, (0.5, 0.5, 2.0))
    assert made.grid.shape == (16, 18, 12)
    for slice_ in range(12):
        plane = Volume(volume.array[..., slice_ // 3], Grid.from_spacing((8, 9), (1.0, 1.0)))
        expected = respace(plane, (0.5, 0.5)).array
        np.testing.assert_allclose(made.array[..., slice_], expected, atol=1e-6)
    mixed = respace(volume, (0.5, 0.5, 2.0), through_plane=None)
    assert not np.allclose(mixed.array, made.array)


def test_through_plane_follows_the_axis_when_grids_are_permuted(rng: np.random.Generator) -> None:
    grid = Grid.from_spacing((8, 9, 4), (1.0, 1.0, 6.0))
    volume = Volume(rng.normal(size=(1, 8, 9, 4)).astype(np.float32), grid)
    finer = grid.with_spacing((0.9, 0.7, 2.0))
    straight = resample(volume, finer, through_plane="nearest")
    other = resample(volume, finer.permute((2, 0, 1)).flip((0, 1)), through_plane="nearest")
    np.testing.assert_allclose(other.array[0, ::-1, ::-1], straight.array[0].transpose(2, 0, 1), atol=1e-6)


def test_the_coarse_axis_of_the_target_counts_when_the_source_has_none() -> None:
    grid = Grid.from_spacing((4, 4, 12), (1.0, 1.0, 1.0))
    volume = Volume(np.broadcast_to(np.arange(12.0) ** 2, (1, 4, 4, 12)), grid)
    made = respace(volume, (1.0, 1.0, 4.0))
    # The middles of the thick slices lie between two thin ones; a tie goes to the higher.
    assert made.array[0, 0, 0].tolist() == [4.0, 36.0, 100.0]


def test_through_plane_makes_no_difference_to_isotropic_images() -> None:
    volume = Volume(np.random.default_rng(1).normal(size=(1, 6, 6, 6)), Grid.from_spacing((6, 6, 6), (1.0,) * 3))
    assert np.array_equal(respace(volume, (0.7,) * 3).array, respace(volume, (0.7,) * 3, through_plane=None).array)


def test_through_plane_between_turned_grids_is_refused() -> None:
    grid = Grid.from_spacing((8, 9, 4), (1.0, 1.0, 6.0))
    with pytest.raises(GeometryError, match="parallel"):
        resample(Volume(np.zeros((1, 8, 9, 4)), grid), turned(grid, 0.3), through_plane="nearest")


def labelled() -> LabelMap:
    return LabelMap(np.array([[0], [3], [3], [7]], np.uint8), LINE, Labels.of({"a": 3, "b": 7}, ignore=255))


@pytest.mark.parametrize("interpolation", ["nearest", "label-wise"])
def test_labels_between_voxels_and_outside(interpolation: str) -> None:
    made = resample(labelled(), at([-1.5, 0.3, 2.1, 3.9, 5.7, 7.5]), interpolation=interpolation, fill=255)
    assert made.array.ravel().tolist() == [255, 0, 3, 3, 7, 255]
    assert made.array.dtype == np.uint8
    assert made.labels is not None


def test_at_a_tie_label_wise_takes_the_lowest_label() -> None:
    made = resample(labelled(), at([1.0, 3.0, 5.0]), interpolation="label-wise")
    assert made.array.ravel().tolist() == [0, 3, 3]


def test_label_wise_is_smoother_than_nearest() -> None:
    grid = Grid.from_spacing((2, 2), (1.0, 1.0))
    corner = LabelMap(np.array([[1, 0], [0, 0]], np.uint8), grid, Labels.of([1]))
    fine = grid.with_spacing((0.125, 0.125))
    smooth, blocky = resample(corner, fine, interpolation="label-wise"), resample(corner, fine)
    assert blocky.counts()[1] == 64
    assert 0 < smooth.counts()[1] < 64


@pytest.mark.parametrize("interpolation", ["nearest", "label-wise"])
def test_labels_on_a_turned_grid(interpolation: str) -> None:
    grid = Grid.from_spacing((20, 20, 8), (1.0, 1.0, 2.0))
    array = np.zeros(grid.shape, np.int32)
    array[4:15, 5:16, 2:6] = 70
    array[9:, 9:, :4] = 300
    labelmap = LabelMap(array, grid, Labels.of([70, 300]))
    made = resample(labelmap, turned(grid, 0.4), interpolation=interpolation)
    back = resample(made, grid, interpolation=interpolation)
    assert made.array.dtype == np.int32
    assert set(made.counts()) == {0, 70, 300}
    for value in (70, 300):
        both = ((back.array == value) & (array == value)).sum()
        assert 2 * both / ((back.array == value).sum() + (array == value).sum()) > 0.85


def test_label_round_trip_through_half_the_spacing() -> None:
    grid = Grid.from_spacing((12, 13, 14), (1.0, 1.0, 1.0))
    array = np.random.default_rng(3).integers(0, 4, grid.shape).astype(np.uint8)
    labelmap = LabelMap(array, grid, Labels.of([1, 2, 3]))
    assert np.array_equal(resample(resample(labelmap, grid.with_spacing((0.5,) * 3)), grid).array, array)
    thirds = grid.with_spacing((1 / 3,) * 3)
    fine = resample(labelmap, thirds, interpolation="label-wise")
    assert np.array_equal(resample(fine, grid).array, array)


def test_what_is_not_the_array_stays() -> None:
    volume = Volume(np.zeros((1, 4, 1), np.int16), LINE, Meta("CT", "HU", notes=("as read",)))
    made = resample(volume, at([0.0, 1.0]))
    assert made.meta == volume.meta
    assert made.grid == at([0.0, 1.0])


def test_nearest_fill_must_fit_the_type() -> None:
    volume = Volume(np.zeros((1, 4, 1), np.uint8), LINE)
    with pytest.raises(DataError, match="cannot hold"):
        resample(volume, LINE, interpolation="nearest", fill=-1024)
    assert resample(volume, at([100.0, 101.0]), fill=-1024).array.max() == -1024


def test_label_fill_must_be_declared() -> None:
    with pytest.raises(DataError, match="not a declared label"):
        resample(labelled(), LINE, fill=4)


def test_interpolations_that_do_not_exist() -> None:
    with pytest.raises(VesaliusError, match="did you mean 'linear'"):
        resample(line(), LINE, interpolation="liner")  # type: ignore[call-overload]
    with pytest.raises(VesaliusError, match="of a LabelMap 'linear'"):
        resample(labelled(), LINE, interpolation="linear")  # type: ignore[call-overload]
    with pytest.raises(VesaliusError, match="of a Volume 'label-wise'"):
        resample(line(), LINE, through_plane="label-wise")  # type: ignore[call-overload]


def test_dimensions_must_agree() -> None:
    with pytest.raises(GeometryError, match="2 dimensions"):
        resample(line(), Grid.from_spacing((4, 1, 1), (1.0, 1.0, 1.0)))
