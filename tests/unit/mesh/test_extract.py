"""Surfaces of shapes whose volume, area and handles are known on paper, and of random labels, where all is proven."""

from math import pi

import numpy as np
import pytest
import trimesh

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.mesh import check, extract, simplify
from vesalius.mesh.crossings import crossings
from vesalius.mesh.slices import between_slices


def shape(depth, half_mm, spacing_mm):
    """A label map and probabilities of what is deeper than 0 mm; off the lattice's points."""
    counts = [int(h / s) + 3 for h, s in zip(half_mm, spacing_mm, strict=True)]
    offsets = (0.13, 0.31, 0.2)
    axes = [(np.arange(-n, n + 1) + o) * s for n, o, s in zip(counts, offsets, spacing_mm, strict=True)]
    deep = depth(*np.meshgrid(*axes, indexing="ij"))
    grid = Grid.from_spacing(deep.shape, spacing_mm, origin_mm=(-40, 7, 100))
    likely = 1 / (1 + np.exp(-deep / (1.5 * max(spacing_mm))))
    probabilities = Volume(np.stack([1 - likely, likely]).astype(np.float32), grid)
    return LabelMap(deep > 0, grid, Labels.of({"shape": 1})), probabilities


def sphere(radius):
    return lambda x, y, z: radius - np.sqrt(x**2 + y**2 + z**2)


def torus(ring, tube):
    return lambda x, y, z: tube - np.hypot(np.hypot(x, y) - ring, z)


def ellipsoid(a, b, c):
    return lambda x, y, z: (1 - np.sqrt((x / a) ** 2 + (y / b) ** 2 + (z / c) ** 2)) * min(a, b, c)


def ellipsoid_area(a, b, c):
    # By quadrature over the sphere, which is exact enough at this number of points.
    u, v = np.meshgrid((np.arange(2000) + 0.5) / 2000 * pi, (np.arange(2000) + 0.5) / 2000 * 2 * pi, indexing="ij")
    s, k = np.sin(u), np.cos(u)
    part = s * np.sqrt((b * c * s * np.cos(v)) ** 2 + (a * c * s * np.sin(v)) ** 2 + (a * b * k) ** 2)
    return float(part.mean() * 2 * pi**2)


SHAPES = {
    "sphere": (sphere(15), (15, 15, 15), 4 / 3 * pi * 15**3, 4 * pi * 15**2, 0),
    "torus": (torus(20, 10), (30, 30, 10), 2 * pi**2 * 20 * 100, 4 * pi**2 * 200, 1),
    "ellipsoid": (ellipsoid(20, 14, 12), (20, 14, 12), 4 / 3 * pi * 3360, ellipsoid_area(20, 14, 12), 0),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (0.8, 0.8, 1.5)])
@pytest.mark.parametrize("source", ["probabilities", "labels"])
def test_volume_and_area_are_within_a_hundredth_and_handles_are_right(name, spacing_mm, source):
    depth, half, volume, area, handles = SHAPES[name]
    labels, probabilities = shape(depth, half, spacing_mm)

    surface = extract(labels, probabilities=probabilities if source == "probabilities" else None).of("shape")

    assert surface.volume_ml * 1000 == pytest.approx(volume, rel=0.01)
    assert surface.area_mm2 == pytest.approx(area, rel=0.01)
    assert (surface.genus, surface.pieces) == (handles, 1)
    assert check(surface).is_sound


def shares(radius, spacing_mm, centre):
    """What share of each voxel lies in a ball: exact along the last axis, by nine lines a voxel across it."""
    counts = [int(np.ceil(2 * radius / s)) + 6 for s in spacing_mm]
    fine = [
        (np.arange(3 * n) + 0.5) / 3 * s - n * s / 2 - c for n, s, c in zip(counts, spacing_mm, centre, strict=True)
    ]
    x, y = np.meshgrid(fine[0], fine[1], indexing="ij")
    half = np.sqrt(np.maximum(radius**2 - x**2 - y**2, 0))[..., None]
    low = np.arange(counts[2]) * spacing_mm[2] - counts[2] * spacing_mm[2] / 2 - centre[2]
    inside = np.maximum(np.minimum(low + spacing_mm[2], half) - np.maximum(low, -half), 0) / spacing_mm[2]
    return inside.reshape(counts[0], 3, counts[1], 3, counts[2]).mean(axis=(1, 3))


@pytest.mark.parametrize("radius", [10, 15])
@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (0.8, 0.8, 1.5), (0.8, 0.8, 2.5), (1, 1, 3)])
def test_shares_of_voxels_give_volume_and_area_within_a_hundredth_in_thick_slices_too(radius, spacing_mm, rng):
    centre = rng.uniform(-0.5, 0.5, 3) * spacing_mm
    part = shares(radius, spacing_mm, centre)
    grid = Grid.from_spacing(part.shape, spacing_mm)
    labels = LabelMap(part >= 0.5, grid, Labels.of({"ball": 1}))

    ball = extract(labels, probabilities=Volume(np.stack([1 - part, part]).astype(np.float32), grid)).of("ball")

    assert part.sum() * grid.voxel_volume_mm3 == pytest.approx(4 / 3 * pi * radius**3, rel=0.003)
    assert ball.volume_ml * 1000 == pytest.approx(4 / 3 * pi * radius**3, rel=0.01)
    assert ball.area_mm2 == pytest.approx(4 * pi * radius**2, rel=0.01)
    assert (ball.genus, ball.pieces) == (0, 1)


@pytest.mark.parametrize("spacing_mm", [(1, 1, 1), (0.7, 0.9, 1.3)])
def test_smoothing_keeps_the_volume_of_the_voxels(spacing_mm):
    labels, _ = shape(torus(12, 4), (16, 16, 4), spacing_mm)
    voxels = labels.counts()[1] * labels.grid.voxel_volume_mm3 / 1000

    for steps in (0, 5, 40):
        assert extract(labels, smoothing_steps=steps).of("shape").volume_ml == pytest.approx(voxels, rel=0.005)


def test_without_smoothing_the_surface_is_the_voxels():
    array = np.zeros((7, 8, 9), np.uint8)
    array[2:5, 1:6, 3:7] = 1
    grid = Grid.from_spacing(array.shape, (0.5, 1, 2), origin_mm=(5, 6, 7))

    cube = extract(LabelMap(array, grid, Labels.of([1])), smoothing_steps=0, slices="keep").of("label 1")

    assert cube.volume_ml * 1000 == pytest.approx(60)
    assert cube.area_mm2 == pytest.approx(2 * (3 * 0.5 * 5 + 5 * 4 * 2 + 3 * 0.5 * 8))
    np.testing.assert_allclose(cube.bounds_mm, [(5.75, 6.5, 12), (7.25, 11.5, 20)])


def test_a_cube_that_is_shifted_by_a_fraction_of_a_voxel_is_found_there():
    axis = np.arange(30)
    for shift in (0.0, 0.3, 0.45):
        depth = np.minimum(axis - 7.5 - shift, 22.5 + shift - axis)
        deep = np.minimum.reduce(np.meshgrid(*[depth] * 3, indexing="ij"))
        likely = np.clip(0.5 + deep / 4, 0, 1).astype(np.float32)
        grid = Grid.from_spacing(deep.shape, (1, 1, 1))
        labels = LabelMap(likely > 0.5, grid, Labels.of([1]))
        cube = extract(labels, probabilities=Volume(np.stack([1 - likely, likely]), grid)).of("label 1")
        flat = np.median(cube.vertices[cube.vertices[:, 0] > 22, 0])
        assert flat == pytest.approx(22.5 + shift, abs=0.02)  # edges are rounded a little, and volume is kept
        assert cube.volume_ml == pytest.approx(3.375, rel=0.01)


@pytest.mark.parametrize("steps", [0, 40])
def test_random_labels_have_sound_surfaces_that_fit_each_other(rng, steps):
    array = rng.integers(0, 5, (7, 8, 9)).astype(np.uint8)
    names = Labels.of([1, 2, 3, 4], regions={"pair": (1, 3), "all": (1, 2, 3, 4)})
    affine = Grid.from_spacing(array.shape, (1, 0.7, 1.2)).affine.copy()
    affine[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0] @ affine[:3, :3] * (-1) ** steps
    labels = LabelMap(array, Grid(array.shape, affine), names)

    made = extract(labels, smoothing_steps=steps)

    assert len(crossings(made.vertices, made.faces)) == 0
    for name in (*names.names, "pair", "all"):
        surface = made.of(name)
        assert check(surface).is_sound, name
        mesh = trimesh.Trimesh(surface.vertices, surface.faces)  # it joins vertices that lie in one place
        assert mesh.is_watertight
        assert mesh.is_winding_consistent
        assert mesh.volume / 1000 == pytest.approx(surface.volume_ml)
    parts = sum(made.of(name).volume_ml for name in names.names)
    assert parts == pytest.approx(made.of("all").volume_ml, rel=1e-9)  # no gap, no overlap


@pytest.mark.parametrize("steps", [0, 40])
def test_neighbours_share_every_vertex_of_their_wall(steps):
    labels, _ = shape(sphere(9), (9, 9, 9), (1, 1, 1))
    array = labels.array.astype(np.uint8)
    array[: array.shape[0] // 2] *= 2
    made = extract(LabelMap(array, labels.grid, Labels.of({"right": 1, "left": 2})), smoothing_steps=steps)

    wall = (made.sides > 0).all(axis=1)
    corners = made.vertices[np.unique(made.faces[wall])]
    for name in ("right", "left"):
        own = {tuple(point) for point in made.of(name).vertices}
        assert {tuple(point) for point in corners} <= own
    assert wall.sum() > 300


def test_single_voxels_and_many_islands_stay_what_they_are(rng):
    array = np.zeros((44, 44, 44), np.uint8)
    array[1:44:2, 1:44:2, 1:44:2] = 1  # 22³ = 10,648 voxels that touch nowhere
    islands = extract(LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 1)), Labels.of([1]))).of("label 1")

    assert (islands.pieces, islands.genus) == (10_648, 0)
    assert islands.volume_ml == pytest.approx(10.648)


@pytest.mark.parametrize("step", [(1, 1, 0), (1, -1, 0), (1, 1, 1), (1, 1, -1)])
def test_voxels_that_touch_at_an_edge_or_a_corner_are_joined_along_the_long_diagonal_only(step):
    array = np.zeros((5, 5, 5), np.uint8)
    array[2, 2, 2] = array[tuple(np.add((2, 2, 2), step))] = 1
    two = extract(LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 1)), Labels.of([1]))).of("label 1")

    assert two.pieces == (1 if min(step) >= 0 else 2)
    assert check(two).is_sound


def test_thin_walls_are_kept():
    array = np.zeros((20, 20, 20), np.uint8)
    array[10, 2:18, 2:18] = 1
    wall = extract(LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 1)), Labels.of([1]))).of("label 1")

    assert wall.volume_ml == pytest.approx(0.256, rel=0.005)
    assert wall.pieces == 1


def test_what_the_border_cuts_is_closed_there_and_flat():
    labels, _ = shape(sphere(10), (10, 10, 10), (1, 1, 1))
    half = labels.array[: labels.array.shape[0] // 2]
    cut = extract(LabelMap(half, Grid.from_spacing(half.shape, (1, 1, 1)), Labels.of([1]))).of("label 1")

    end = half.shape[0] - 0.5
    cap = cut.vertices[cut.vertices[:, 0] > end - 0.4]
    np.testing.assert_allclose(cap[:, 0], end, atol=1e-9)
    assert cut.bounds_mm[1][0] == pytest.approx(end, abs=1e-9)
    assert check(cut).is_sound


@pytest.mark.parametrize("shape_", [(1, 1, 1), (4, 1, 3)])
def test_a_full_image_is_a_box(shape_):
    full = LabelMap(np.ones(shape_, np.uint8), Grid.from_spacing(shape_, (1, 2, 3)), Labels.of([1]))
    box = extract(full, slices="keep").of("label 1")

    assert box.volume_ml * 1000 == pytest.approx(np.prod(shape_) * 6)
    assert check(box).is_sound


def test_empty_labels_have_no_faces_and_what_nobody_looked_at_is_background():
    grid = Grid.from_spacing((4, 4, 4), (1, 1, 1))
    empty = extract(LabelMap(np.zeros((4, 4, 4), np.uint8), grid, Labels.of([1])))
    assert empty.surfaces() == ()
    assert simplify(empty, max_error_mm=1).of("label 1").is_empty

    array = np.zeros((4, 4, 4), np.uint8)
    array[1, 1, 1], array[2, 2:, :] = 1, 255
    ignored = extract(LabelMap(array, grid, Labels.of([1], ignore=255)))
    assert ignored.of("label 1").volume_ml == pytest.approx(0.001)


def test_probabilities_that_contradict_the_labels_do_no_harm(rng):
    array = rng.integers(0, 3, (6, 6, 6)).astype(np.uint8)
    grid = Grid.from_spacing(array.shape, (1, 1, 1))
    noise = Volume(rng.uniform(size=(3, 6, 6, 6)).astype(np.float32), grid)
    made = extract(LabelMap(array, grid, Labels.of([1, 2])), probabilities=noise)

    assert all(check(surface).is_sound for surface in made.surfaces())


def test_what_cannot_be_is_refused():
    flat = LabelMap(np.ones((3, 3), np.uint8), Grid.from_spacing((3, 3), (1, 1)), Labels.of([1]))
    with pytest.raises(DataError, match="3D"):
        extract(flat)
    grid = Grid.from_spacing((3, 3, 3), (1, 1, 1))
    labels = LabelMap(np.ones((3, 3, 3), np.uint8), grid, Labels.of([1]))
    with pytest.raises(DataError, match="0 to 1000"):
        extract(labels, smoothing_steps=-1)
    with pytest.raises(DataError, match="2 channels"):
        extract(labels, probabilities=Volume(np.ones((3, 3, 3, 3)), grid))
    with pytest.raises(GeometryError, match="another grid"):
        extract(labels, probabilities=Volume(np.ones((2, 3, 3, 3)), grid.flip([0])))


def test_between_thick_slices_a_slanted_rod_runs_straight():
    array = np.zeros((40, 20, 5), np.uint8)
    for k in range(5):
        array[4 + 4 * k : 12 + 4 * k, 6:14, k] = 1
    thick = LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 6)), Labels.of({"rod": 1}))

    fine = between_slices(thick)

    assert fine.grid.shape == (40, 20, 30)
    np.testing.assert_allclose(fine.grid.to_points((0, 0, -0.5)), thick.grid.to_points((0, 0, -0.5)))
    middles = [np.flatnonzero(fine.array[:, 10, k]).mean() for k in range(3, 27)]
    slope = np.polyfit(np.arange(3, 27), middles, 1)[0]
    assert slope == pytest.approx(4 / 6, abs=0.02)
    assert np.diff(middles).max() <= 1.5  # the slices themselves: 4
    assert fine.counts()[1] / 6 == pytest.approx(thick.counts()[1], rel=0.1)


def test_between_thick_slices_neighbours_stay_neighbours():
    array = np.ones((24, 24, 4), np.uint8)
    for k in range(4):
        array[4 + 4 * k :, :, k] = 2
    thick = LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 4)), Labels.of([1, 2]))

    fine = between_slices(thick).array

    assert (fine > 0).all()
    assert (np.diff(fine.astype(int), axis=0) >= 0).all()
    assert len({int((fine[:, 0, k] == 1).sum()) for k in range(fine.shape[2])}) > 4
    assert between_slices(LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 1.9)), thick.labels)).array is not fine
