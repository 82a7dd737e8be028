"""The IBSI's morphological features against its own values, PyRadiomics' and closed forms."""

import json
from pathlib import Path

import numpy as np
import pytest
from ibsi import phantom
from scipy.spatial.distance import pdist

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid
from vesalius.io import read_labels
from vesalius.io.dicom import read_origin
from vesalius.metrics.shape import measure_shapes, shape_of
from vesalius.metrics.size import axes_mm, border_points
from vesalius.metrics.surfels import shares_inside

FIXTURES = Path(__file__).parents[2] / "fixtures" / "pyradiomics"
CASES = ("brain1", "brain2", "breast1", "lung1", "lung2")

# Value and tolerance. Source: the tables of arXiv:1612.07003 v11, chapter 3.1 (Zwanenburg et al., Radiology 2020);
# those of the smallest ellipsoid have no consensus.
CONSENSUS = {
    "mesh_volume_ml": (0.556, 0.004),
    "surface_area_mm2": (388, 3),
    "surface_to_volume_per_mm": (0.698, 0.004),
    "compactness_1": (0.0411, 0.0003),
    "compactness_2": (0.599, 0.004),
    "spherical_disproportion": (1.19, 0.01),
    "sphericity": (0.843, 0.005),
    "asphericity": (0.186, 0.001),
    "centre_of_mass_shift_mm": (0.672, 0.004),
    "longest_diameter_mm": (13.1, 0.1),
    "major_axis_mm": (11.4, 0.1),
    "minor_axis_mm": (9.31, 0.06),
    "least_axis_mm": (8.54, 0.05),
    "elongation": (0.816, 0.005),
    "flatness": (0.749, 0.005),
    "volume_density_box": (0.869, 0.005),
    "area_density_box": (0.866, 0.005),
    "volume_density_smallest_box": (0.869, 0.005),
    "area_density_smallest_box": (0.866, 0.005),
    "volume_density_ellipsoid": (1.17, 0.01),
    "area_density_ellipsoid": (1.36, 0.01),
    "volume_density_hull": (0.961, 0.006),
    "area_density_hull": (1.03, 0.01),
    "integrated_intensity": (1.2e3, 10),
    "moran_i": (0.0397, 0.0003),
    "geary_c": (0.974, 0.006),
}

CONFIGURATION_A = {
    "mesh_volume_ml": (358, 5),
    "surface_area_mm2": (3.57e4, 300),
    "surface_to_volume_per_mm": (0.0996, 0.0005),
    "compactness_1": (0.03, 0.0001),
    "compactness_2": (0.319, 0.001),
    "spherical_disproportion": (1.46, 0.01),
    "sphericity": (0.683, 0.001),
    "asphericity": (0.463, 0.002),
    "longest_diameter_mm": (125, 1),
    "major_axis_mm": (92.7, 0.4),
    "minor_axis_mm": (81.5, 0.4),
    "least_axis_mm": (70.1, 0.3),
    "elongation": (0.879, 0.001),
    "flatness": (0.756, 0.001),
    "volume_density_box": (0.486, 0.003),
    "area_density_box": (0.725, 0.003),
    "volume_density_ellipsoid": (1.29, 0.01),
    "area_density_ellipsoid": (1.71, 0.01),
    "volume_density_hull": (0.827, 0.001),
    "area_density_hull": (1.18, 0.01),
}


def ball(grid, centre, radii, turn=None):
    offset = grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1)) - centre
    return np.sum((offset @ (np.eye(3) if turn is None else turn) / radii) ** 2, axis=-1) < 1


def turned(seed):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]


def test_the_phantom_of_the_ibsi():
    levels, grid = phantom()
    shape = shape_of(levels > 0, grid, levels)
    assert (levels > 0).sum() * grid.voxel_volume_mm3 == pytest.approx(592)  # volume by voxels, YEKZ
    for name, (value, tolerance) in CONSENSUS.items():
        assert getattr(shape, name) == pytest.approx(value, abs=tolerance), name
    codes = {quantity.concept.value: quantity for quantity in shape.quantities()}
    assert len(codes) == len(CONSENSUS) + 3
    assert (codes["KLMA"].unit, codes["RNU0"].unit, codes["L0JK"].concept.scheme) == ("mm", "cm3", "IBSI")


def test_the_ct_phantom_of_the_ibsi(shared_data):
    """Configuration A, without interpolation. Source: the same tables; the patient is that of its radiomics phantom."""
    place = shared_data / "lung_ct_rtstruct"
    origin = read_origin(place / "ct")
    labels = read_labels(next((place / "rtstruct").iterdir()), grid=origin.grid)
    (shape,) = measure_shapes(labels).values()
    assert labels.counts()[1] * labels.grid.voxel_volume_mm3 == pytest.approx(3.59e5, abs=5e3)
    for name, (value, tolerance) in CONFIGURATION_A.items():
        assert getattr(shape, name) == pytest.approx(value, abs=tolerance), name


@pytest.mark.parametrize("case", CASES)
def test_the_published_values_of_pyradiomics(case):
    """Diameter and axes exactly; the mesh within 0.12 %: a few patterns of its table are cut into other triangles."""
    with np.load(FIXTURES / "masks.npz") as masks:
        mask, spacing = masks[case], masks[f"{case}_spacing_mm"]
    told = json.loads((FIXTURES / "shape.json").read_text(encoding="utf-8"))[case]
    shape = shape_of(mask, Grid.from_spacing(mask.shape, spacing))
    sample = np.sqrt(1 - 1 / mask.sum())  # the IBSI divides a variance by n - 1 and PyRadiomics by n
    exact = {"Maximum3DDiameter": shape.longest_diameter_mm, "Elongation": shape.elongation, "Flatness": shape.flatness}
    for name in ("Major", "Minor", "Least"):
        exact[f"{name}AxisLength"] = getattr(shape, f"{name.lower()}_axis_mm") * sample
    for name, value in exact.items():
        assert value == pytest.approx(told[name], rel=1e-10), name
    mesh = {
        "MeshVolume": shape.mesh_volume_ml * 1000,
        "SurfaceArea": shape.surface_area_mm2,
        "SurfaceVolumeRatio": shape.surface_to_volume_per_mm,
        "Sphericity": shape.sphericity,
    }
    for name, value in mesh.items():
        assert value == pytest.approx(told[name], rel=1e-10 if case in ("breast1", "lung1") else 1.2e-3), name


@pytest.mark.parametrize("case", CASES)
def test_the_published_volumes_and_diameters_in_planes_of_pyradiomics(case):
    """The rest of its features. Its diameters are those between vertices of its mesh in one plane across an axis: the
    points of our border, those half-way between slices too. `axes_mm` has those of one piece in one slice.
    """
    with np.load(FIXTURES / "masks.npz") as masks:
        mask, spacing = masks[case], masks[f"{case}_spacing_mm"]
    told = json.loads((FIXTURES / "shape.json").read_text(encoding="utf-8"))[case]
    assert mask.sum() * np.prod(spacing) == pytest.approx(told["VoxelVolume"], rel=1e-12)
    places = border_points(mask)
    for axis, name in enumerate(("Row", "Column", "Slice")):
        found = 0.0
        for at in np.unique(places[:, axis]):
            points = np.delete(places[places[:, axis] == at] * spacing, axis, axis=1)
            found = max(found, pdist(points).max(initial=0))
        assert found == pytest.approx(told[f"Maximum2DDiameter{name}"], rel=1e-10), name
    long, _ = axes_mm(mask, Grid.from_spacing(mask.shape, spacing))
    if case in ("brain2", "breast1", "lung2"):  # where one slice holds it, in one piece
        assert long == pytest.approx(told["Maximum2DDiameterSlice"], rel=1e-10)
    else:
        assert long < told["Maximum2DDiameterSlice"]


def test_the_cells_of_a_pattern_and_of_its_opposite_fill_a_voxel():
    shares = shares_inside()
    np.testing.assert_allclose(shares + shares[::-1], 1)
    corners = np.array([code.bit_count() for code in range(256)])
    np.testing.assert_allclose(shares[corners == 1], 1 / 48)  # the tip of a corner
    assert all(shares[corners == few].max() <= shares[corners == few + 3].min() for few in range(6))


def test_the_mesh_is_that_of_scikit_image():
    from skimage.measure import marching_cubes, mesh_surface_area

    grid = Grid.from_spacing((30, 26, 20), (0.7, 1.0, 1.6))
    mask = ball(grid, grid.to_points((14.4, 12.7, 9.2)), (8.0, 10.0, 12.0), turned(3))
    vertices, faces, _, _ = marching_cubes(np.pad(mask, 1).astype(float), 0.5, spacing=grid.spacing_mm)
    corners = vertices[faces].astype(float)
    volume = abs(np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum()) / 6
    shape = shape_of(mask, grid)
    assert shape.mesh_volume_ml * 1000 == pytest.approx(volume, rel=1e-3)
    assert shape.surface_area_mm2 == pytest.approx(mesh_surface_area(vertices, faces), rel=2e-3)


@pytest.mark.parametrize("seed", [0, 1])
def test_an_ellipsoid_on_an_oblique_grid_of_thick_slices(seed):
    grid = Grid.from_spacing((64, 72, 30), (0.8, 0.7, 1.9), direction=turned(seed), origin_mm=(5, -90, 200))
    centre = grid.to_points((31.3, 36.1, 14.6))
    radii, turn = np.array([20.0, 15.0, 11.0]), turned(seed + 7)
    shape = shape_of(ball(grid, centre, radii, turn), grid)
    assert shape.mesh_volume_ml == pytest.approx(4 / 3 * np.pi * np.prod(radii) / 1000, rel=0.01)
    assert (shape.longest_diameter_mm, shape.shortest_diameter_mm) == pytest.approx((40, 22), abs=1.9)  # a slice
    axes = np.array([shape.major_axis_mm, shape.minor_axis_mm, shape.least_axis_mm])
    np.testing.assert_allclose(axes, 4 * radii / np.sqrt(5), rtol=0.01)
    np.testing.assert_allclose(shape.centre_mm, centre, atol=0.05)
    for found, known in zip(shape.principal_axes, turn.T, strict=True):
        assert abs(found @ known) == pytest.approx(1, abs=0.002)
    # What is put around the edges of slices is larger than what is put around a smooth body.
    assert 0.86 < shape.volume_density_smallest_ellipsoid < 1
    assert np.pi / 6 - 0.06 < shape.volume_density_smallest_box < np.pi / 6
    assert 0.91 < shape.volume_density_hull < 1
    assert 0.80 < shape.sphericity < 0.94  # 0.94 by Thomsen's formula; steps make a mesh rougher


def test_how_an_image_is_stored_makes_no_difference():
    levels, grid = phantom()
    one = shape_of(levels > 0, grid, levels)
    other = shape_of(
        (levels > 0).transpose(2, 0, 1)[::-1], grid.permute((2, 0, 1)).flip((0,)), levels.transpose(2, 0, 1)[::-1]
    )
    for name, value in one.row().items():
        assert other.row()[name] == pytest.approx(value, rel=2e-3), name
    np.testing.assert_allclose(other.centre_mm, one.centre_mm)


def test_single_voxels_and_sheets():
    grid = Grid.from_spacing((9, 9, 9), (1.0, 2.0, 3.0))
    voxel = shape_of(np.ones((1, 1, 1), bool), grid, np.full((1, 1, 1), 7.0))
    assert voxel.mesh_volume_ml == pytest.approx(0.001)  # an octahedron with the voxel's axes
    assert (voxel.longest_diameter_mm, voxel.major_axis_mm, voxel.elongation, voxel.moran_i) == (3.0, 0.0, None, None)
    assert voxel.centre_of_mass_shift_mm == 0
    sheet = shape_of(np.ones((5, 4, 1), bool), grid)
    assert (sheet.volume_density_ellipsoid, sheet.flatness, sheet.integrated_intensity) == (None, 0.0, None)
    assert sheet.shortest_diameter_mm == pytest.approx(3.0)


def test_what_has_no_shape():
    grid = Grid.from_spacing((3, 3, 3), (1, 1, 1))
    full = np.ones((3, 3, 3), bool)
    with pytest.raises(DataError, match="no voxel"):
        shape_of(~full, grid)
    with pytest.raises(GeometryError, match="2D"):
        shape_of(full[0], Grid.from_spacing((3, 3), (1, 1)))
    with pytest.raises(DataError, match="finite"):
        shape_of(full, grid, np.full((3, 3, 3), np.nan))
    with pytest.raises(DataError, match="the mask is"):
        shape_of(full, grid, np.zeros((3, 3)))
