"""Geometry agrees with SimpleITK and nibabel, in every format that has any, both ways, to 1e-4 mm at all corners."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vesalius.image import Grid, Volume
from vesalius.io import read, read_labels, write

TOLERANCE_MM = 1e-4
FORMATS_3D = [".nii", ".nii.gz", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd"]
FORMATS_2D = [".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"]
# ITK's NIfTI reader refuses shear, and 2D NIfTI pictures are always read with a coupled in-plane matrix only.
SHEARED = [".nrrd", ".nhdr", ".mha", ".mhd"]


def turned(degrees: tuple[float, float, float]) -> NDArray[np.float64]:
    return Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()


def grids_3d() -> dict[str, Grid]:
    shape, spacing, origin = (7, 6, 5), (0.7, 1.3, 4.5), (-123.4, 56.7, -890.1)

    def of(direction: NDArray[np.float64]) -> Grid:
        return Grid.from_spacing(shape, spacing, origin_mm=origin, direction=direction)

    grids = {"plain": of(np.eye(3)), "oblique": of(turned((20, -35, 50))), "half turn": of(turned((180, 0, 0)))}
    for signs in product((1, -1), repeat=3):
        grids[f"flipped {signs}"] = of(np.diag(signs).astype(float))
    for order in ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)):
        grids[f"permuted {order}"] = of(np.eye(3)[:, order])
    grids["oblique, flipped, permuted"] = of(turned((170, 80, -100))[:, (2, 0, 1)] * [1, -1, 1])
    return grids


def grids_2d() -> dict[str, Grid]:
    angle = np.deg2rad(33)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shape, spacing, origin = (7, 6), (0.5, 2.5), (-12.5, 30.25)
    directions = {"plain": np.eye(2), "oblique": turn, "flipped": turn @ np.diag([1, -1]), "permuted": np.eye(2)[::-1]}
    return {name: Grid.from_spacing(shape, spacing, origin_mm=origin, direction=d) for name, d in directions.items()}


def sheared() -> Grid:
    affine = grids_3d()["oblique"].affine.copy()
    affine[:3, 2] += 0.4 * affine[:3, 1]  # a gantry tilt
    return Grid((7, 6, 5), affine)


GRIDS_3D, GRIDS_2D = grids_3d(), grids_2d()


def volume_on(grid: Grid) -> Volume:
    return Volume(np.arange(grid.size, dtype=np.int16).reshape(1, *grid.shape), grid)


def itk_grid(image: sitk.Image) -> Grid:
    n = image.GetDimension()
    return Grid.from_spacing(
        image.GetSize(),
        image.GetSpacing(),
        origin_mm=image.GetOrigin(),
        direction=np.reshape(image.GetDirection(), (n, n)),
    )


def itk_image(volume: Volume) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(volume.array[0].T))
    image.SetSpacing(volume.grid.spacing_mm)
    image.SetOrigin(volume.grid.origin_mm)
    image.SetDirection(volume.grid.direction.flatten().tolist())
    return image


def nibabel_grid(image: nib.Nifti1Image) -> Grid:
    return Grid(image.shape[:3], np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine)


def assert_same_place(found: Grid, expected: Grid) -> None:
    assert found.shape == expected.shape
    assert found.corner_distance_mm(expected) < TOLERANCE_MM


@pytest.mark.parametrize("suffix", FORMATS_3D)
@pytest.mark.parametrize("name", GRIDS_3D)
def test_simpleitk_reads_what_we_write_3d(tmp_path: Path, name: str, suffix: str) -> None:
    ours = volume_on(GRIDS_3D[name])
    write(ours, tmp_path / f"a{suffix}")
    theirs = sitk.ReadImage(str(tmp_path / f"a{suffix}"))
    assert_same_place(itk_grid(theirs), ours.grid)
    assert np.array_equal(sitk.GetArrayFromImage(theirs).T, ours.array[0])


@pytest.mark.parametrize("suffix", FORMATS_3D)
@pytest.mark.parametrize("name", GRIDS_3D)
def test_we_read_what_simpleitk_writes_3d(tmp_path: Path, name: str, suffix: str) -> None:
    expected = volume_on(GRIDS_3D[name])
    sitk.WriteImage(itk_image(expected), str(tmp_path / f"a{suffix}"))
    ours = read(tmp_path / f"a{suffix}")
    assert_same_place(ours.grid, expected.grid)
    assert np.array_equal(ours.array, expected.array)
    assert ours.array.dtype == np.int16
    assert ours.meta.notes == ()


@pytest.mark.parametrize("suffix", FORMATS_2D)
@pytest.mark.parametrize("name", GRIDS_2D)
def test_simpleitk_and_we_agree_in_2d(tmp_path: Path, name: str, suffix: str) -> None:
    expected = volume_on(GRIDS_2D[name])
    write(expected, tmp_path / f"ours{suffix}")
    theirs = sitk.ReadImage(str(tmp_path / f"ours{suffix}"))
    assert_same_place(itk_grid(theirs), expected.grid)
    assert np.array_equal(sitk.GetArrayFromImage(theirs).T, expected.array[0])
    sitk.WriteImage(itk_image(expected), str(tmp_path / f"theirs{suffix}"))
    ours = read(tmp_path / f"theirs{suffix}")
    assert_same_place(ours.grid, expected.grid)
    assert np.array_equal(ours.array, expected.array)


@pytest.mark.parametrize("suffix", SHEARED)
def test_shear_survives_where_itk_can_hold_it(tmp_path: Path, suffix: str) -> None:
    expected = volume_on(sheared())
    write(expected, tmp_path / f"ours{suffix}")
    assert_same_place(itk_grid(sitk.ReadImage(str(tmp_path / f"ours{suffix}"))), expected.grid)
    sitk.WriteImage(itk_image(expected), str(tmp_path / f"theirs{suffix}"))
    assert_same_place(read(tmp_path / f"theirs{suffix}").grid, expected.grid)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".hdr"])
@pytest.mark.parametrize("name", [*GRIDS_3D, "sheared"])
def test_nibabel_reads_what_we_write(tmp_path: Path, name: str, suffix: str) -> None:
    ours = volume_on(sheared() if name == "sheared" else GRIDS_3D[name])
    write(ours, tmp_path / f"a{suffix}")
    theirs = nib.load(tmp_path / f"a{suffix}")
    assert_same_place(nibabel_grid(theirs), ours.grid)
    assert np.array_equal(np.asanyarray(theirs.dataobj), ours.array[0])
    if name != "sheared":  # the qform says the same, for readers that know only it
        assert_same_place(Grid(ours.grid.shape, np.diag([-1, -1, 1, 1]) @ theirs.get_qform()), ours.grid)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("codes", [(1, 1), (1, 0), (0, 1)])
@pytest.mark.parametrize("name", [*GRIDS_3D, "sheared"])
def test_we_read_what_nibabel_writes(tmp_path: Path, name: str, codes: tuple[int, int], kind: type) -> None:
    sform, qform = codes
    if name == "sheared" and not sform:
        pytest.skip("a quaternion cannot hold shear")
    expected = volume_on(sheared() if name == "sheared" else GRIDS_3D[name])
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ expected.grid.affine
    theirs = kind(expected.array[0], affine)
    theirs.set_sform(affine, code=sform)
    theirs.set_qform(affine, code=qform, strip_shears=True)
    theirs.header.set_xyzt_units("mm")
    nib.save(theirs, tmp_path / "a.nii.gz")
    ours = read(tmp_path / "a.nii.gz")
    assert_same_place(ours.grid, expected.grid)
    assert np.array_equal(ours.array, expected.array)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_vectors_of_simpleitk_are_channels(tmp_path: Path, suffix: str, rng: np.random.Generator) -> None:
    grid = GRIDS_3D["oblique"]
    array = rng.random((3, *grid.shape), dtype=np.float32)
    theirs = sitk.GetImageFromArray(np.ascontiguousarray(array.T), isVector=True)
    theirs.CopyInformation(itk_image(volume_on(grid)))
    sitk.WriteImage(theirs, str(tmp_path / f"a{suffix}"))
    ours = read(tmp_path / f"a{suffix}")
    assert_same_place(ours.grid, grid)
    assert np.array_equal(ours.array, array)
    write(ours, tmp_path / f"b{suffix}")
    back = sitk.ReadImage(str(tmp_path / f"b{suffix}"))
    assert_same_place(itk_grid(back), grid)
    assert np.array_equal(sitk.GetArrayFromImage(back).T, array)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_four_dimensional_images_of_simpleitk_are_channels(tmp_path: Path, suffix: str) -> None:
    array = np.arange(2 * 3 * 4 * 5, dtype=np.int64).reshape(2, 3, 4, 5)
    theirs = sitk.GetImageFromArray(array.transpose(0, 3, 2, 1), isVector=False)
    theirs.SetSpacing((1.0, 2.0, 3.0, 0.5))
    theirs.SetOrigin((7.0, 8.0, 9.0, 0.0))
    sitk.WriteImage(theirs, str(tmp_path / f"a{suffix}"))
    ours = read(tmp_path / f"a{suffix}")
    assert_same_place(ours.grid, Grid.from_spacing((3, 4, 5), (1, 2, 3), origin_mm=(7, 8, 9)))
    assert np.array_equal(ours.array, array)


def test_four_dimensional_nifti_of_nibabel(tmp_path: Path, rng: np.random.Generator) -> None:
    array = rng.integers(0, 100, (4, 5, 6, 3)).astype(np.int16)
    nib.save(nib.Nifti1Image(array, np.diag([-2.0, -2.0, 3.0, 1.0])), tmp_path / "a.nii.gz")
    ours = read(tmp_path / "a.nii.gz")
    assert np.array_equal(ours.array, np.moveaxis(array, -1, 0))
    write(ours, tmp_path / "b.nii.gz")
    assert np.array_equal(np.asanyarray(nib.load(tmp_path / "b.nii.gz").dataobj), array)


def test_tiff_spacing_agrees_with_simpleitk(tmp_path: Path) -> None:
    ours = volume_on(Grid.from_spacing((7, 6, 5), (0.25, 0.5, 3.0)))
    write(ours, tmp_path / "a.tif")
    theirs = sitk.ReadImage(str(tmp_path / "a.tif"))
    assert theirs.GetSize() == (7, 6, 5)
    assert theirs.GetSpacing()[:2] == pytest.approx((0.25, 0.5), abs=1e-6)
    assert np.array_equal(sitk.GetArrayFromImage(theirs).T, ours.array[0])


def test_every_real_nifti_file_agrees(shared_data: Path) -> None:
    files = sorted(shared_data.rglob("*.nii.gz"))
    assert len(files) > 400
    spacing_lost = 0
    for file in files:
        ours = read(file)
        theirs = sitk.ReadImage(str(file))
        assert itk_grid(theirs).corner_distance_mm(ours.grid) < TOLERANCE_MM, file.name
        peer = nib.load(file)
        if any("sform has no spacing" in note for note in ours.meta.notes):
            spacing_lost += 1  # here nibabel believes the sform's identity scale, and ITK the pixdim
            assert ours.grid.spacing_mm == pytest.approx(peer.header["pixdim"][1:4], rel=1e-6)
        else:
            assert nibabel_grid(peer).corner_distance_mm(ours.grid) < TOLERANCE_MM, file.name
            assert ours.meta.notes == (), file.name
        assert np.allclose(ours.array[0], np.asanyarray(peer.dataobj), rtol=1e-6), file.name
    assert spacing_lost == len(list(shared_data.glob("acdc_cine_mr/*/*.nii.gz")))


def test_every_real_nrrd_file_agrees(shared_data: Path) -> None:
    files = sorted(shared_data.rglob("*.nrrd"))
    assert files
    for file in files:
        ours = read_labels(file)
        theirs = sitk.ReadImage(str(file))
        assert itk_grid(theirs).corner_distance_mm(ours.grid) < TOLERANCE_MM, file.name
        assert np.array_equal(sitk.GetArrayFromImage(theirs).T, ours.array), file.name
