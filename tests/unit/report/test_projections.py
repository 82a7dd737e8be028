import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.mesh.rendering import Camera
from vesalius.report.projections import (
    cropped_to,
    project_along,
    project_from,
    projection_panel,
    seen_window,
    turn_around,
)
from vesalius.report.scene import Scene, on_panel
from vesalius.transform import reorient

REDUCE = {"maximum": np.max, "minimum": np.min, "mean": np.mean}
CAMERAS = [(0, 0), (90, 0), (180, 0), (30, 0), (200, -35), (-75, 20), (0, 90), (45, 45), (130, -90)]


def noise(shape=(9, 8, 7), spacing=(1.0, 1.0, 1.0), dtype=np.int16) -> Scene:
    array = np.random.default_rng(4).integers(-900, 900, (1, *shape)).astype(dtype)
    return Scene(Volume(array, Grid.from_spacing(shape, spacing, origin_mm=(5.0, -3.0, 8.0)), Meta("CT", "HU")), (0, 1))


def turned_grid(shape=(40, 44, 21), spacing=(1.0, 1.2, 2.5)) -> Grid:
    """Oblique: about a slanted axis by 25 degrees."""
    axis = np.array([1.0, 2.0, 2.0]) / 3
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    turn = np.eye(3) + np.sin(0.44) * cross + (1 - np.cos(0.44)) * cross @ cross
    return Grid.from_spacing(shape, spacing, origin_mm=(3.0, 40.0, -70.0), direction=turn)


@pytest.mark.parametrize("kind", REDUCE)
@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32, bool])
def test_along_an_axis_it_is_numpys(kind, dtype):
    scene = noise(dtype=dtype)
    array, reduce = scene.volume.array[0].astype(np.float64), REDUCE[kind]
    np.testing.assert_allclose(project_along(scene, kind, "axial").values, reduce(array, axis=2))
    np.testing.assert_allclose(project_along(scene, kind, "coronal").values, reduce(array, axis=1)[:, ::-1])
    np.testing.assert_allclose(project_along(scene, kind, "sagittal").values, reduce(array, axis=0)[:, ::-1])


@pytest.mark.parametrize("kind", REDUCE)
def test_from_the_sides_it_is_the_same(kind):
    """Cubic voxels seen upright: nothing is interpolated, however the image is stored."""
    scene = noise()
    for codes in ("LPS", "RAS", "SAL"):
        stored = Scene(reorient(scene.volume, codes), (0, 1))
        for side, way in (
            ("anterior", "coronal"),
            ("left", "sagittal"),
            ("inferior", "axial"),
        ):
            expected = project_along(scene, kind, way)
            found = project_from(stored, kind, Camera.of(side))
            np.testing.assert_allclose(found.values, expected.values, atol=1e-3)
            np.testing.assert_allclose(found.grid.direction, expected.grid.direction, atol=1e-12)
        behind = project_from(stored, kind, Camera.of("posterior"))
        np.testing.assert_allclose(behind.values, project_along(scene, kind, "coronal").values[::-1], atol=1e-3)


@pytest.mark.parametrize(("azimuth", "elevation"), CAMERAS)
@pytest.mark.parametrize(
    "grid", [Grid.from_spacing((40, 44, 21), (1.0, 1.2, 2.5)), turned_grid()], ids=["upright", "turned"]
)
def test_a_bright_place_is_seen_where_it_lies(azimuth, elevation, grid):
    array = np.zeros(grid.shape, np.float32)
    array[6:9, 30:33, 15:18] = 1
    camera = Camera(azimuth, elevation)
    found = project_from(Scene(Volume(array[None], grid), (0, 1)), "maximum", camera)
    weights = np.nan_to_num(found.values)
    place = [float((weights * at).sum() / weights.sum()) + 0.5 for at in np.indices(weights.shape)]
    ((across, down),) = on_panel(found.grid, grid.to_points([[7.0, 31.0, 16.0]]))
    assert np.array(place) * found.grid.spacing_mm[:2] == pytest.approx((across, down), abs=0.5)
    # And by the camera's own account, from the middle of the image.
    centre = grid.to_points((np.asarray(grid.shape) - 1) / 2)
    away = grid.to_points((7.0, 31.0, 16.0)) - centre
    middle = np.asarray(weights.shape) / 2
    assert across - middle[0] * found.grid.spacing_mm[0] == pytest.approx(away @ camera.right, abs=0.01)
    assert down - middle[1] * found.grid.spacing_mm[1] == pytest.approx(-away @ camera.up, abs=0.01)


@pytest.mark.parametrize(("azimuth", "elevation"), CAMERAS)
def test_a_ball_is_a_disc_from_everywhere(azimuth, elevation):
    grid = turned_grid((60, 50, 30), (1.0, 1.2, 2.0))
    centre = grid.to_points((29.5, 24.5, 14.5))
    far = np.linalg.norm(grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1)) - centre, axis=-1)
    volume = Volume(np.clip(20 - far + 0.5, 0, 1)[None].astype(np.float32), grid)
    found = project_from(Scene(volume, (0, 1)), "maximum", Camera(azimuth, elevation))
    pixel = found.grid.spacing_mm[0] * found.grid.spacing_mm[1]
    assert np.nansum(found.values) * pixel == pytest.approx(np.pi * 400, rel=0.04)


@pytest.mark.parametrize(("azimuth", "elevation"), CAMERAS)
@pytest.mark.parametrize("kind", REDUCE)
def test_what_is_even_stays_even_and_nothing_shines_in_from_outside(kind, azimuth, elevation):
    scene = Scene(Volume(np.full((1, 12, 10, 8), -7.0, np.float32), turned_grid((12, 10, 8))), (0, 1))
    values = project_from(scene, kind, Camera(azimuth, elevation)).values
    np.testing.assert_allclose(values[np.isfinite(values)], -7.0, rtol=1e-5)
    assert np.isfinite(values).sum() > 50
    panel = projection_panel(scene, project_from(scene, kind, Camera(azimuth, elevation)))
    assert np.isfinite(panel.image).all()


def layered() -> Scene:
    """Plates across the front-back axis, 4 mm apart, each with its own value; labels 1 in front and 2 behind."""
    grid = Grid.from_spacing((10, 30, 12), (2.0, 1.0, 3.0), origin_mm=(0.0, 100.0, 0.0))
    array = np.zeros(grid.shape, np.int16)
    for number, at in enumerate(range(3, 30, 4)):
        array[:, at] = 100 * (number + 1)
    labels = np.zeros(grid.shape, np.uint8)
    labels[2:8, 3, 3:9], labels[2:8, 23, 3:9] = 1, 2
    drawn = LabelMap(labels, grid, Labels.of({"front": 1, "back": 2}))
    return Scene(Volume(array[None], grid), (0, 700), fill=drawn)


@pytest.mark.parametrize("slanted", [False, True])
@pytest.mark.parametrize(
    ("at_y", "slab_mm", "brightest"),
    [(103.0, 2.0, 100), (107.0, 7.9, 200), (107.0, 8.2, 300), (105.0, 1.0, 0), (105.0, 4.2, 200), (127.0, 60.0, 700)],
)
def test_a_slab_ends_where_it_should(slanted, at_y, slab_mm, brightest):
    scene, point = layered(), (9.0, at_y, 15.0)
    if slanted:
        found = project_from(scene, "maximum", Camera(), slab_mm=slab_mm, at_mm=point)
    else:
        found = project_along(scene, "maximum", "coronal", slab_mm=slab_mm, at_mm=point)
    inside = found.values[np.isfinite(found.values)]
    assert set(np.round(inside).tolist()) == {brightest}


def test_the_first_structure_is_seen():
    scene = layered()
    for side, value in (("anterior", 1), ("posterior", 2)):
        seen = project_from(scene, "maximum", Camera.of(side)).seen
        assert set(np.unique(seen).tolist()) == {0, value}
    assert set(np.unique(project_along(scene, "mean", "coronal").seen).tolist()) == {0, 1}
    assert (project_along(scene, "mean", "coronal").seen != 0).sum() == 36
    panel = projection_panel(scene, project_along(scene, "mean", "coronal"))
    assert panel.present == {1}
    assert panel.letters == ("R", "L", "S", "I")


def test_only_the_structure_counts():
    scene = cropped_to(layered(), (2,))
    assert scene.volume.grid.shape == (8, 3, 8)  # a voxel around it
    for found in (
        project_along(scene, "minimum", "coronal", within=(2,)),
        project_from(scene, "minimum", Camera(), within=(2,)),
    ):
        there = np.isfinite(found.values)
        np.testing.assert_allclose(found.values[there], 600)
        area = there.sum() * found.grid.spacing_mm[0] * found.grid.spacing_mm[1]
        assert area == pytest.approx(12 * 18, rel=0.15)
    with pytest.raises(DataError, match="no voxel"):
        cropped_to(layered(), (3,))
    with pytest.raises(DataError, match="there is none"):
        cropped_to(noise(), (1,))


def test_a_turn_has_pictures_of_one_size():
    scene = layered()
    frames = list(turn_around(scene, "maximum", Camera(10, 20), 5))
    assert len({frame.values.shape for frame in frames}) == 1
    assert [frame.name for frame in frames][:2] == [
        "maximum\nazimuth 10°, elevation 20°",
        "maximum\nazimuth 82°, elevation 20°",
    ]
    for frame, azimuth in zip(frames, (10, 82, 154), strict=False):
        alone = project_from(scene, "maximum", Camera(azimuth, 20))
        assert np.nanmax(frame.values) == pytest.approx(np.nanmax(alone.values), rel=0.02)
        assert np.isfinite(frame.values).sum() == pytest.approx(np.isfinite(alone.values).sum(), rel=0.06)
    with pytest.raises(DataError, match="two pictures or more"):
        next(turn_around(scene, "maximum", Camera(), 1))


def test_greys_fit_what_is_seen():
    found = project_along(layered(), "maximum", "coronal")
    assert seen_window([found]) == (700.0, 701.0)
    low, high = seen_window([project_along(layered(), "maximum", "axial")])
    assert (low, high) == (100.0, 700.0)


def test_what_cannot_be_projected():
    grid = Grid.from_spacing((4, 5), (1.0, 1.0))
    flat = Scene(Volume(np.zeros((1, 4, 5)), grid), (0, 1))
    cube = Grid.from_spacing((4, 5, 6), (1.0, 1.0, 1.0))
    colours = Scene(Volume(np.zeros((3, 4, 5, 6), np.uint8), cube, Meta("RGB")), (0, 1))
    tilted = cube.affine.copy()
    tilted[1, 2] = 0.3
    for scene, options, error, words in (
        (flat, {}, DataError, "flat picture"),
        (colours, {}, DataError, "choose a channel"),
        (noise(), {"slab_mm": 0.0}, DataError, "above 0 mm"),
        (noise(), {"slab_mm": 2.0, "at_mm": (0, 50, 0)}, GeometryError, "outside the image"),
    ):
        for project in (
            lambda scene=scene, **options: project_along(scene, "maximum", "coronal", **options),
            lambda scene=scene, **options: project_from(scene, "maximum", Camera(), **options),
        ):
            with pytest.raises(error, match=words):
                project(**options)
    with pytest.raises(DataError, match="median"):
        project_along(noise(), "median", "axial")
    with pytest.raises(GeometryError, match="tilted gantry"):
        project_along(Scene(Volume(np.zeros((1, 4, 5, 6)), Grid((4, 5, 6), tilted)), (0, 1)), "maximum", "axial")
