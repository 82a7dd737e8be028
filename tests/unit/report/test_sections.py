import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, Label, LabelMap, Labels, Meta, Volume
from vesalius.mesh import Surface
from vesalius.report.scene import Scene
from vesalius.report.sections import (
    centre_mm,
    largest_slice,
    montage,
    slanted_panel,
    slice_near,
    slice_panel,
    three_planes,
)
from vesalius.transform import reorient

SPOT = Labels.of({"spot": 1})


def spotted(shape=(20, 24, 28), spacing=(1.0, 2.0, 3.0), spot=(2, 3, 25), *, origin=(-10.0, 5.0, 30.0)) -> Scene:
    """One bright, labelled voxel: at the right, in front, near the head."""
    grid = Grid.from_spacing(shape, spacing, origin_mm=origin)
    array = np.zeros(shape, np.uint8)
    array[spot] = 1
    return Scene(Volume(array[None] * np.float32(9), grid, Meta("MR")), (0, 9), fill=LabelMap(array, grid, SPOT))


def ball(radius_mm, grid, centre_mm) -> Volume:
    far = np.linalg.norm(grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1)) - np.asarray(centre_mm), axis=-1)
    return Volume(np.clip(radius_mm - far + 0.5, 0, 1)[None].astype(np.float32), grid, Meta("MR"))


def place(panel) -> tuple[float, float]:
    """Row and column of the labelled pixel."""
    ((row, column),) = np.argwhere(panel.fill)
    return int(row), int(column)


@pytest.mark.parametrize("codes", ["LPS", "RAS", "SAL", "PIR"])
def test_the_patients_right_is_on_the_left_however_the_image_is_stored(codes):
    scene = spotted()
    scene = Scene(reorient(scene.volume, codes), (0, 9), fill=reorient(scene.fill, codes))
    axial, coronal, sagittal = (slice_panel(scene, *a) for a in (("axial", 25), ("coronal", 3), ("sagittal", 2)))
    assert [place(panel) for panel in (axial, coronal, sagittal)] == [(3, 2), (28 - 1 - 25, 2), (28 - 1 - 25, 3)]
    assert [panel.image[place(panel)] for panel in (axial, coronal, sagittal)] == [1, 1, 1]
    assert axial.letters == ("R", "L", "A", "P")
    assert coronal.letters == ("R", "L", "S", "I")
    assert sagittal.letters == ("A", "P", "S", "I")
    assert axial.name == "axial 26/28\nz = 105.0 mm"
    assert coronal.name == "coronal 4/24\ny = 11.0 mm"
    assert sagittal.name == "sagittal 3/20\nx = -8.0 mm"
    assert axial.size_mm == (20.0, 48.0)
    assert coronal.size_mm == (20.0, 84.0)
    assert sagittal.size_mm == (48.0, 84.0)


def test_the_other_convention_mirrors_what_has_sides():
    from dataclasses import replace

    scene = replace(spotted(), convention="neurological")
    axial, coronal, sagittal = (slice_panel(scene, *a) for a in (("axial", 25), ("coronal", 3), ("sagittal", 2)))
    assert [place(panel) for panel in (axial, coronal, sagittal)] == [(3, 17), (2, 17), (2, 3)]
    assert [panel.letters[:2] for panel in (axial, coronal, sagittal)] == [("L", "R"), ("L", "R"), ("A", "P")]
    assert axial.name.startswith("axial 26/28")  # the number does not depend on it
    slanted = slanted_panel(scene, (0, 20, 60), (0, 0.1, 1))
    assert slanted.letters == ("L", "R", "A", "P")


def test_hair_lines_cross_in_the_point():
    scene = spotted()
    point = scene.volume.grid.to_points((2, 3, 25))
    for panel in three_planes(scene, point):
        row, column = place(panel)
        expected = ((column + 0.5) * panel.spacing[1], (row + 0.5) * panel.spacing[0])
        assert panel.cross == pytest.approx(expected)
    with pytest.raises(GeometryError, match=r"outside the image.*z 30\.0 to 111\.0"):
        three_planes(scene, (0, 0, 200))


def test_places_are_told_and_found_in_millimetres():
    grid = spotted().volume.grid
    assert slice_near(grid, "axial", 105.0) == 25
    assert slice_near(grid, "axial", 104.0) == 25
    assert slice_near(grid, "sagittal", -10.4) == 0
    for at_mm in (28.0, 113.0):
        with pytest.raises(GeometryError, match=r"slices lie at 30\.0 to 111\.0 mm"):
            slice_near(grid, "axial", at_mm)
    with pytest.raises(DataError, match="slices 1 to 28, not 29"):
        slice_panel(spotted(), "axial", 28)


def test_structures_are_found():
    scene = spotted()
    array = np.zeros(scene.volume.grid.shape, np.uint8)
    array[5:8, 6:9, 10:20] = 1
    array[4:9, 5:10, 12] = 2
    labels = LabelMap(array, scene.volume.grid, Labels.of({"rod": 1, "disc": 2}))
    scene = Scene(scene.volume, (0, 9), hidden=labels)
    assert largest_slice(scene, "axial", (2,)) == 12
    np.testing.assert_allclose(scene.volume.grid.to_index(centre_mm(scene, (2,))), (6, 7, 12))
    numbers = [int(panel.name.split()[1].split("/")[0]) - 1 for panel in montage(scene, "axial", 4, values=(1, 2))]
    assert numbers == [10, 13, 16, 19]
    with pytest.raises(DataError, match="no voxel of the structure"):
        centre_mm(scene, (3,))
    with pytest.raises(DataError, match="there is none"):
        largest_slice(Scene(scene.volume, (0, 9)), "axial", (1,))


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, [14]), (4, [3, 10, 17, 24]), (28, list(range(28))), (99, list(range(28)))],
)
def test_a_montage_has_slices_at_even_distances(count, expected):
    panels = montage(spotted(), "axial", count)
    found = [int(panel.name.split()[1].split("/")[0]) - 1 for panel in panels]
    assert len(found) == len(expected)
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 1
    assert len(set(np.diff(found))) <= 1
    with pytest.raises(DataError, match="one slice or more"):
        montage(spotted(), "axial", 0)


@pytest.mark.parametrize("normal", [(0, 0, 1), (1, 1, 1), (0.2, -0.9, 0.4), (-1, 0.3, 0.1)])
@pytest.mark.parametrize("away_mm", [0.0, 12.0])
def test_a_slanted_plane_cuts_a_ball_in_a_circle(normal, away_mm):
    grid = Grid.from_spacing((60, 60, 30), (1.0, 1.0, 2.0), origin_mm=(-30, -30, -30))
    unit = np.asarray(normal) / np.linalg.norm(normal)
    panel = slanted_panel(Scene(ball(20.0, grid, (0, 0, 0)), (0, 1)), unit * away_mm, normal)
    radius = np.sqrt(20.0**2 - away_mm**2)
    assert panel.spacing == pytest.approx((1.0, 1.0))
    assert panel.image.sum() == pytest.approx(np.pi * radius**2, rel=0.03)
    rows, columns = np.nonzero(panel.image > 0.5)
    for places in (rows, columns):
        assert np.ptp(places) + 1 == pytest.approx(2 * radius, abs=1.6)


def test_a_plane_along_an_axis_is_its_slice():
    rng = np.random.default_rng(3)
    volume = Volume(rng.random((1, 9, 8, 7)).astype(np.float32), Grid.from_spacing((9, 8, 7), (2.0, 2.0, 2.0)))
    scene = Scene(volume, (0, 1))
    for way, normal, index in (("axial", (0, 0, 1), 3), ("coronal", (0, -1, 0), 5), ("sagittal", (3, 0, 0), 2)):
        upright = slice_panel(scene, way, index)
        slanted = slanted_panel(scene, np.full(3, 2.0) * index, normal)
        np.testing.assert_allclose(slanted.image, upright.image, atol=1e-6)
        assert slanted.letters == upright.letters


def test_a_slanted_plane_is_named_by_more_letters():
    panel = slanted_panel(spotted(), (0, 20, 60), (1, 0, 1))
    assert panel.letters == ("A", "P", "SR", "IL")  # the nearest of the planes is the sagittal one


def test_planes_that_cannot_be_drawn():
    for point, normal, words in (
        ((0, 0, 500), (0, 0, 1), "misses"),
        ((0, 20, 60), (0, 0, 0), "not all of them 0"),
        ((0, np.nan, 60), (0, 0, 1), "finite"),
    ):
        with pytest.raises(GeometryError, match=words):
            slanted_panel(spotted(), point, normal)


def test_a_tilted_gantry_does_not_make_balls_slanted():
    """Slices 2 mm apart, each 0.7 mm further to the back: stored without the shift, a ball would be a slanted egg."""
    affine = np.eye(4)
    affine[:3, :3] = [[1, 0, 0], [0, 1, 0.7], [0, 0, 2.0]]
    affine[:3, 3] = (-30, -45, -30)
    volume = ball(18.0, Grid((60, 70, 30), affine), (0, 0, 0))
    scene = Scene(volume, (0, 1))
    for way, index in (("axial", 15), ("sagittal", 30)):
        panel = slice_panel(scene, way, index)
        y, x = np.nonzero(panel.image > 0.5)
        wide, high = (np.ptp(x) + 1) * panel.spacing[1], (np.ptp(y) + 1) * panel.spacing[0]
        assert (wide, high) == pytest.approx((36, 36), abs=3)
        lean = np.cov(x * panel.spacing[1], y * panel.spacing[0])
        assert abs(lean[0, 1]) < 0.05 * lean[0, 0]


def test_a_surface_is_cut_where_it_lies():
    corners = np.array([[i, j, k] for i in (-8.0, 2.0) for j in (11.0, 21.0) for k in (61.5, 71.5)])
    faces = [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]]
    faces += [[2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
    cube = Surface(corners, np.array(faces), Label("cube", 1, (0, 255, 0)))
    scene = spotted()
    scene = Scene(scene.volume, (0, 9), surfaces=(cube,))
    (line,) = slice_panel(scene, "axial", 12).lines  # z = 66; the panel begins at x = -10.5, y = 4
    assert (line.name, line.colour) == ("cube", (0.0, 1.0, 0.0))
    np.testing.assert_allclose(line.points_mm.min(axis=0), (2.5, 7.0))
    np.testing.assert_allclose(line.points_mm.max(axis=0), (12.5, 17.0))
    (line,) = slice_panel(scene, "coronal", 5).lines  # the panel begins at x = -10.5, z = 112.5
    np.testing.assert_allclose(line.points_mm.min(axis=0), (2.5, 41.0))
    np.testing.assert_allclose(line.points_mm.max(axis=0), (12.5, 51.0))
    assert slice_panel(scene, "axial", 5).lines == ()
    flat = Volume(np.zeros((1, 4, 4)), Grid.from_spacing((4, 4), (1, 1)))
    with pytest.raises(GeometryError, match="flat picture"):
        Scene(flat, (0, 1), surfaces=(cube,))


def test_what_has_no_place_in_a_patient_has_no_letters():
    scene = spotted()
    stack = Volume(scene.volume.array, scene.volume.grid, Meta("OT", calibrated=False))
    panel = slice_panel(Scene(stack, (0, 9)), "axial", 3)
    assert panel.letters == ("", "", "", "")
    assert panel.name == "axial 4/28"
