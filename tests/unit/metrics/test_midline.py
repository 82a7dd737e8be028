"""The plane that halves a brain, how far the midline is pushed, and in which quarter something lies."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.metrics.midline import midline_shift_mm, parts_of_brain
from vesalius.metrics.midplane import midplane
from vesalius.transform import reorient, resample

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
def test_the_plane_of_a_sheared_brain(tilt: float, offset: float) -> None:
    found = midplane(brain(tilt=tilt, offset=offset))
    assert found.offset == pytest.approx(offset, abs=0.5)
    assert found.along_y == pytest.approx(tilt, abs=0.01)
    assert found.along_z == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("angles", [(0, 0, 9), (4, 7, -6), (0, -8, 0)])
def test_the_plane_of_a_turned_head(angles: tuple[float, float, float]) -> None:
    """By the outline alone it is too little for one axis and the wrong way for the other; with the image it is right.

    The normal of the plane was (1, 0, 0), and is the first column of the turn.
    """
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    inside, image = (resample(one, GRID) for one in turned(turn, brain(), picture(6.0 * np.exp(-((Y / 30) ** 2)))))
    found = midplane(inside, image)
    normal = np.array([1.0, -found.along_y, -found.along_z])
    degrees = np.degrees(np.arccos(normal @ turn[:, 0] / np.linalg.norm(normal)))
    assert degrees < 1.0
    assert abs(found.offset) < 0.7


def turned(turn: np.ndarray, *images: Any) -> list[Any]:
    """The same images in a scanner in which the head lies askew."""
    pose = np.eye(4)
    pose[:3, :3] = turn
    return [replace(one, grid=Grid(GRID.shape, pose @ GRID.affine)) for one in images]


def test_a_missing_part_of_a_side_does_not_tilt_it() -> None:
    cut = brain().array.copy()
    cut[50:, :20, :20] = 0
    found = midplane(LabelMap(cut, GRID, BRAIN))
    assert abs(found.offset) < 1
    assert abs(found.along_y) < 0.03


def test_a_brain_at_rest_has_no_shift() -> None:
    assert abs(midline_shift_mm(picture(), brain())) < 0.5


@pytest.mark.parametrize("most_mm", [2.0, -2.0, 5.0, -5.0, 8.0, 10.0, -10.0, 14.0])
def test_a_shift_that_is_known(most_mm: float) -> None:
    """Pushed most in the middle and not at all where the falx holds on, front and back."""
    found = midline_shift_mm(picture(most_mm * np.exp(-((Y / 30) ** 2))), brain())
    assert found == pytest.approx(most_mm, abs=0.5)


@pytest.mark.parametrize("most_mm", [2.0, -5.0, 10.0])
@pytest.mark.parametrize(
    ("angles", "spacing_mm"), [((0, 0, 9), None), ((4, 7, -6), None), ((0, 5, 0), (1.0, 1.0, 5.0))]
)
def test_a_shift_in_a_head_that_lies_askew(
    most_mm: float, angles: tuple[float, float, float], spacing_mm: tuple[float, float, float] | None
) -> None:
    """The head is turned in the scanner, and sliced thickly; what it shows is the same."""
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    image, inside = turned(turn, picture(most_mm * np.exp(-((Y / 30) ** 2))), brain())
    frame = GRID if spacing_mm is None else GRID.with_spacing(spacing_mm)
    found = midline_shift_mm(resample(image, frame), resample(inside, frame))
    assert found == pytest.approx(most_mm, abs=1.0)


def test_what_lies_across_the_middle_leaves_nothing_to_tell() -> None:
    wide = (np.abs(X) < 40) & (np.abs(Y) < 50)
    excluded = LabelMap(wide.astype(np.uint8), GRID, Labels.of({"tumour": 1}))
    assert np.isnan(midline_shift_mm(picture(8.0), brain(), excluded=excluded))


def test_orientation_in_memory_makes_no_difference() -> None:
    image, inside = picture(8.0 * np.exp(-((Y / 30) ** 2))), brain()
    flipped = [reorient(one, "RAS") for one in (image, inside)]
    assert flipped[0].grid.axis_codes == "RAS"
    assert midline_shift_mm(*flipped) == pytest.approx(midline_shift_mm(image, inside), abs=1e-3)


def test_a_tumour_that_is_excluded_does_not_count() -> None:
    ball = (X - 34) ** 2 + (Y + 4) ** 2 + Z**2 < 20**2
    image = picture()
    bright = Volume(np.where(ball, 2000, image.array[0])[None].astype(np.float32), GRID)
    excluded = LabelMap(ball.astype(np.uint8), GRID, Labels.of({"tumour": 1}))
    assert abs(midline_shift_mm(bright, brain(), excluded=excluded)) < 0.5


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
