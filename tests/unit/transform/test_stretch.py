import numpy as np
import pytest

from vesalius.errors import GeometryError
from vesalius.image import Grid, Volume
from vesalius.transform import anchor, resample, stretch, stretched_grid

OBLIQUE = Grid.from_spacing(
    (6, 5, 4), (1.0, 2.0, 3.0), origin_mm=(4.0, -5.0, 6.0), direction=[[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, -1]]
)


def drawn(grid: Grid, *, channels: int = 1) -> Volume:
    return Volume(np.random.default_rng(0).normal(size=(channels, *grid.shape)), grid)


@pytest.mark.parametrize("shape", [(6, 5, 4), (12, 5, 1), (1, 9, 7)])
def test_the_outer_borders_stay_where_they_are(shape: tuple[int, ...]) -> None:
    made = stretched_grid(OBLIQUE, shape)
    assert made.shape == shape
    for ends in ((-0.5,) * 3, None):
        there = np.asarray(OBLIQUE.shape) - 0.5 if ends is None else np.asarray(ends)
        here = np.asarray(shape) - 0.5 if ends is None else np.asarray(ends)
        np.testing.assert_allclose(made.to_points(here), OBLIQUE.to_points(there), atol=1e-9)


def test_scores_on_a_stretched_grid_come_back_by_their_place_alone() -> None:
    grid = Grid.from_spacing((7, 9), (1.0, 1.0))
    ramp = Volume(np.arange(7.0)[None, :, None] + np.zeros((1, 7, 9)), grid)
    back = resample(stretch(ramp, (21, 9), interpolation="linear"), grid)
    np.testing.assert_allclose(back.array[0, 1:-1], ramp.array[0, 1:-1], atol=1e-5)


def test_nothing_to_do_is_the_same_volume() -> None:
    volume = drawn(OBLIQUE)
    assert stretch(volume, OBLIQUE.shape) is volume


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_makes_no_difference(order: str) -> None:
    volume = drawn(OBLIQUE, channels=2)
    turned = volume.with_array(np.asarray(volume.array, order=order))  # type: ignore[call-overload]
    np.testing.assert_allclose(stretch(turned, (9, 4, 6)).array, stretch(volume, (9, 4, 6)).array, atol=1e-6)


def test_a_spline_stays_in_the_range_of_the_image() -> None:
    edge = Volume(
        np.repeat([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], 2).reshape(1, 12, 1), Grid.from_spacing((12, 1), (1.0, 1.0))
    )
    made = stretch(edge, (37, 1)).array
    assert (made.min(), made.max()) == (0.0, 1.0)
    assert resample(edge, stretched_grid(edge.grid, (37, 1)), interpolation="cubic").array.max() > 1.01


def test_thick_slices_are_copied_each_in_its_own_range() -> None:
    volume = drawn(Grid.from_spacing((8, 8, 3), (1.0, 1.0, 9.0)))
    made = stretch(volume, (13, 11, 5), thick_axis=2).array[0]
    # Five slices of three: the places -0.2, 0.4, 1, 1.6 and 2.2 are nearest to these.
    for number, source in enumerate((0, 0, 1, 2, 2)):
        alone = Volume(volume.array[:, :, :, source], Grid.from_spacing((8, 8), (1.0, 1.0)))
        np.testing.assert_allclose(made[:, :, number], stretch(alone, (13, 11)).array[0], atol=1e-6)


def test_the_first_voxel_stays_where_it_is() -> None:
    volume = drawn(OBLIQUE)
    made = anchor(volume, (0.5, 2.0, 4.5), (11, 5, 3))
    assert made.grid.origin_mm == OBLIQUE.origin_mm
    np.testing.assert_allclose(made.array[:, ::2, :, ::2], volume.array[:, :, :, ::3], atol=1e-6)
    np.testing.assert_allclose(made.array[:, :, :, 2], made.array[:, :, :, 2].clip(volume.array.min()), atol=1e-6)


@pytest.mark.parametrize("shape", [(6, 5), (0, 5, 4), (6, 5, 4, 1)])
def test_shapes_that_cannot_be_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(GeometryError, match="cannot be stretched"):
        stretch(drawn(OBLIQUE), shape)
