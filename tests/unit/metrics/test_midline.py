"""The plane that halves a brain, how far the midline is pushed, and in which quarter something lies."""

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.metrics.midline import midline_shift_mm, midplane, parts_of_brain
from vesalius.transform import reorient

BRAIN = Labels.of({"brain": 1})
SHAPE = (72, 84, 60)
GRID = Grid.from_spacing(SHAPE, (2.0, 2.0, 2.0), origin_mm=(-71.0, -83.0, -59.0))
X, Y, Z = (axis.astype(np.float64) for axis in np.moveaxis(GRID.to_points(np.argwhere(np.ones(SHAPE))), -1, 0))
X, Y, Z = (axis.reshape(SHAPE) for axis in (X, Y, Z))


def brain(*, tilt: float = 0.0, offset: float = 0.0) -> LabelMap:
    across = (X - offset - tilt * Y) / 60
    return LabelMap((across**2 + (Y / 78) ** 2 + (Z / 54) ** 2 < 1).astype(np.uint8), GRID, BRAIN)


def picture(pushed: np.ndarray | float = 0.0) -> Volume:
    """Ventricles and deep grey matter on both sides of a midline that lies ``pushed`` mm to the left."""
    x = X - pushed
    values = 500 - 300 * np.exp(-(((np.abs(x) - 7) / 3.5) ** 2)) * (np.abs(Y) < 34) * (np.abs(Z) < 16)
    values += 90 * ((np.abs(x) > 16) & (np.abs(x) < 27) & (np.abs(Y) < 18)) - 60 * np.cos(x / 9) * np.cos(Y / 13)
    noise = np.random.default_rng(3).normal(0, 12, SHAPE)
    inside = brain().array > 0
    return Volume(np.where(inside, values + noise, 0)[None].astype(np.float32), GRID)


@pytest.mark.parametrize(("tilt", "offset"), [(0.0, 0.0), (0.08, 5.0), (-0.05, -7.0)])
def test_the_plane_of_a_turned_brain(tilt: float, offset: float) -> None:
    found = midplane(brain(tilt=tilt, offset=offset))
    assert found.offset == pytest.approx(offset, abs=0.5)
    assert found.along_y == pytest.approx(tilt, abs=0.01)
    assert found.along_z == pytest.approx(0.0, abs=0.01)


def test_a_missing_part_of_a_side_does_not_tilt_it() -> None:
    cut = brain().array.copy()
    cut[50:, :20, :20] = 0
    found = midplane(LabelMap(cut, GRID, BRAIN))
    assert abs(found.offset) < 1
    assert abs(found.along_y) < 0.03


def test_a_brain_at_rest_has_no_shift() -> None:
    assert abs(midline_shift_mm(picture(), brain())) <= 2


@pytest.mark.parametrize("most_mm", [8.0, -8.0, 14.0])
def test_a_shift_that_is_known(most_mm: float) -> None:
    """Pushed most in the middle and not at all where the falx holds on, front and back."""
    found = midline_shift_mm(picture(most_mm * np.exp(-((Y / 30) ** 2))), brain())
    assert found == pytest.approx(most_mm, abs=3)


def test_orientation_in_memory_makes_no_difference() -> None:
    image, inside = picture(8.0 * np.exp(-((Y / 30) ** 2))), brain()
    turned = [reorient(one, "RAS") for one in (image, inside)]
    assert turned[0].grid.axis_codes == "RAS"
    assert midline_shift_mm(*turned) == midline_shift_mm(image, inside)


def test_a_tumour_that_is_excluded_does_not_count() -> None:
    ball = (X - 34) ** 2 + (Y + 4) ** 2 + Z**2 < 20**2
    image = picture()
    bright = Volume(np.where(ball, 2000, image.array[0])[None].astype(np.float32), GRID)
    excluded = LabelMap(ball.astype(np.uint8), GRID, Labels.of({"tumour": 1}))
    assert abs(midline_shift_mm(bright, brain(), excluded=excluded)) <= 2


@pytest.mark.parametrize(
    ("centre", "where"),
    [
        ((30, -40, 0), "left anterior"),
        ((30, 40, 0), "left posterior"),
        ((-30, -40, 0), "right anterior"),
        ((-30, 40, 0), "right posterior"),
    ],
)
def test_quarters(centre: tuple[float, float, float], where: str) -> None:
    """LPS: x grows to the patient's left, y to the back."""
    ball = sum((axis - c) ** 2 for axis, c in zip((X, Y, Z), centre, strict=True)) < 8**2
    assert parts_of_brain(LabelMap(ball.astype(np.uint8), GRID, Labels.of({"tumour": 1})), brain()) == {where: 1.0}


def test_what_crosses_the_middle_is_shared() -> None:
    slab = (np.abs(X) < 20) & (np.abs(Y + 40) < 10) & (np.abs(Z) < 10)
    found = parts_of_brain(LabelMap(slab.astype(np.uint8), GRID, Labels.of({"tumour": 1})), brain())
    assert found == {"left anterior": pytest.approx(0.5), "right anterior": pytest.approx(0.5)}


def test_nothing_lies_nowhere() -> None:
    nothing = LabelMap(np.zeros(SHAPE, np.uint8), GRID, Labels.of({"tumour": 1}))
    assert parts_of_brain(nothing, brain()) == {}
    with pytest.raises(DataError, match="too small"):
        midplane(nothing)


def test_grids_must_agree() -> None:
    other = brain()
    moved = LabelMap(other.array, Grid.from_spacing(SHAPE, (2.0, 2.0, 2.0)), BRAIN)
    with pytest.raises(GeometryError, match="one grid"):
        midline_shift_mm(picture(), moved)
    with pytest.raises(GeometryError, match="one grid"):
        parts_of_brain(moved, other)
    with pytest.raises(GeometryError, match="2D"):
        midplane(LabelMap(np.ones((4, 4), np.uint8), Grid.from_spacing((4, 4), (1.0, 1.0)), BRAIN))
