"""Points there and back, images on another grid, files, and what an alignment must be."""

import numpy as np
import pytest
from scipy import ndimage

from vesalius.errors import FormatError, GeometryError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.register import Alignment, align, jacobian, read_alignment, write_alignment

sitk = pytest.importorskip("SimpleITK")

TURN = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
GRID = Grid.from_spacing((20, 24, 16), (1.0, 1.5, 2.0), origin_mm=(5.0, -8.0, 3.0), direction=TURN)


def waves(grid: Grid = GRID, size_mm: float = 1.0) -> Volume:
    """A smooth displacement."""
    phase = np.indices(grid.shape) * (2 * np.pi / np.asarray(grid.shape).reshape(-1, *[1] * grid.ndim))
    return Volume((size_mm * np.sin(phase[::-1])).astype(np.float32), grid)


def affine() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = [[0.98, -0.17, 0.0], [0.17, 0.98, 0.1], [0.0, -0.1, 1.02]]
    matrix[:3, 3] = (3.0, -2.0, 1.0)
    return matrix


def test_the_inverse_leads_back():
    points = GRID.to_points(np.random.default_rng(0).uniform(4, 11, (50, 3)))
    linear = Alignment(affine())
    assert np.allclose(linear.inverse().to_moving(linear.to_moving(points)), points)
    bent = Alignment(affine(), waves())
    there = bent.to_moving(points)
    whole = Grid.from_spacing((60, 60, 60), (1.0, 1.0, 1.0), origin_mm=there.mean(axis=0) - 30)
    assert np.abs(bent.inverse(whole).to_moving(there) - points).max() < 0.1
    with pytest.raises(GeometryError, match="grid of the moving image"):
        bent.inverse()


def test_points_go_where_itk_takes_them(tmp_path):
    path = tmp_path / "map.tfm"
    bent = Alignment(affine(), waves())
    write_alignment(bent, path)
    itk = sitk.ReadTransform(str(path))
    points = GRID.to_points(np.random.default_rng(1).uniform(1, 12, (20, 3)))
    assert np.allclose([itk.TransformPoint(p.tolist()) for p in points], bent.to_moving(points), atol=1e-4)


@pytest.mark.parametrize("suffix", [".txt", ".tfm", ".h5"])
@pytest.mark.parametrize("displacement", [None, waves()], ids=["linear", "bent"])
def test_what_is_written_is_read(suffix, displacement, tmp_path):
    path = tmp_path / f"map{suffix}"
    write_alignment(Alignment(affine(), displacement), path)
    found = read_alignment(path)
    assert np.allclose(found.matrix, affine())
    if displacement is None:
        assert found.displacement is None
    else:
        assert found.displacement.grid.is_close(GRID)
        assert np.allclose(found.displacement.array, displacement.array, atol=1e-5)


def test_composites_of_itk_are_read(tmp_path):
    turn, shift = sitk.Euler3DTransform((1.0, 2.0, 3.0), 0.1, -0.2, 0.3), sitk.TranslationTransform(3, (4.0, 0.0, -1.0))
    both = sitk.CompositeTransform([turn, shift])
    sitk.WriteTransform(both, str(tmp_path / "both.txt"))
    found = read_alignment(tmp_path / "both.txt")
    assert np.allclose(found.to_moving([7.0, -5.0, 9.0]), both.TransformPoint((7.0, -5.0, 9.0)))


def test_the_map_of_the_data_set_is_read(shared_data):
    folder = shared_data / "ms_lesion_mr" / "longitudinal_raw_patient01"
    found = read_alignment(folder / "study1_T1W_intrastudy_to_FLAIR.txt")
    assert found.matrix[0, :3].tolist() == pytest.approx([1.00104, 0.00139983, -0.00448724], abs=1e-7)


def test_files_that_are_no_maps_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("no transform", encoding="utf-8")
    with pytest.raises(FormatError, match="not a transform file"):
        read_alignment(tmp_path / "a.txt")
    with pytest.raises(FormatError, match="no such file"):
        read_alignment(tmp_path / "b.txt")
    with pytest.raises(FormatError, match="end in"):
        write_alignment(Alignment(affine()), tmp_path / "a.mat")
    spline = sitk.BSplineTransform(3)
    sitk.WriteTransform(spline, str(tmp_path / "spline.tfm"))
    with pytest.raises(FormatError, match="neither linear nor a displacement"):
        read_alignment(tmp_path / "spline.tfm")


@pytest.mark.parametrize("displacement", [None, waves(size_mm=2.0)], ids=["linear", "bent"])
def test_images_are_aligned_as_itk_resamples_them(displacement, tmp_path):
    rng = np.random.default_rng(2)
    image = Volume(ndimage.gaussian_filter(rng.normal(size=(20, 24, 16)), 2)[None], GRID)
    target = Grid.from_spacing((15, 15, 15), (1.3, 1.3, 1.3), origin_mm=GRID.to_points([4, 4, 3]))
    found = align(image, Alignment(affine(), displacement), target, fill=-1)
    path = tmp_path / "map.tfm"
    write_alignment(Alignment(affine(), displacement), path)
    source = sitk.GetImageFromArray(image.array[0].T)
    source.SetSpacing(GRID.spacing_mm)
    source.SetOrigin(GRID.origin_mm)
    source.SetDirection(GRID.direction.ravel().tolist())
    frame = sitk.Image(target.shape, sitk.sitkFloat32)
    frame.SetSpacing(target.spacing_mm)
    frame.SetOrigin(target.origin_mm)
    wanted = sitk.GetArrayFromImage(sitk.Resample(source, frame, sitk.ReadTransform(str(path)), sitk.sitkLinear, -1)).T
    assert np.abs(found.array[0] - wanted).max() < 1e-5
    assert (wanted != -1).mean() > 0.2


def test_labels_stay_labels_and_no_deformation_is_no_change():
    drawn = np.random.default_rng(3).integers(0, 3, GRID.shape).astype(np.uint16) * 300
    labels = LabelMap(drawn, GRID, Labels.of({"a": 300, "b": 600}))
    still = Volume(np.zeros((3, *GRID.shape), np.float32), GRID)
    for alignment in (Alignment(np.eye(4)), Alignment(np.eye(4), still)):
        found = align(labels, alignment, GRID)
        assert np.array_equal(found.array, drawn)
        assert found.labels == labels.labels
    with pytest.raises(VesaliusError, match="deformed LabelMap"):
        align(labels, Alignment(np.eye(4), still), GRID, interpolation="label-wise")


def test_the_jacobian_tells_growth_and_folds():
    points = np.moveaxis(GRID.to_points(np.moveaxis(np.indices(GRID.shape), 0, -1)), -1, 0)
    growing = np.diag([0.1, 0.2, -0.5]) @ points.reshape(3, -1)
    assert np.allclose(jacobian(Volume(growing.reshape(3, *GRID.shape), GRID)), 1.1 * 1.2 * 0.5)
    mirrored = np.diag([-2.0, 0, 0]) @ points.reshape(3, -1)
    assert np.allclose(jacobian(Volume(mirrored.reshape(3, *GRID.shape), GRID)), -1)
    with pytest.raises(GeometryError, match="one point"):
        jacobian(Volume(np.zeros((2, 1, 4)), Grid.from_spacing((1, 4), (1.0, 1.0))))


def test_what_is_no_alignment_is_refused():
    for matrix, word in (
        (np.eye(5), "3x3 or 4x4"),
        (np.full((3, 3), np.nan), "finite"),
        (np.zeros((4, 4)), "affine"),
        (np.diag([1.0, 0.0, 1.0]), "invertible"),
    ):
        with pytest.raises(GeometryError, match=word):
            Alignment(matrix)
    with pytest.raises(GeometryError, match="2 channels"):
        Alignment(np.eye(3), waves())
    with pytest.raises(GeometryError, match="do not go together"):
        align(waves(), Alignment(np.eye(3)), GRID)
