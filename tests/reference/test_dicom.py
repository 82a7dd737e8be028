"""DICOM series agree with SimpleITK (GDCM), and the awkward ones are read right or refused for the right reason."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from vesalius.errors import FormatError, GeometryError
from vesalius.image import Grid
from vesalius.io.dicom import list_series, read_series

SINGLE = {  # file: shape, dtype, lowest and highest value
    "693_J2KR": ((1, 512, 512, 1), np.int16, -3024, 1468),
    "693_UNCR": ((1, 512, 512, 1), np.int16, -3024, 1468),
    "JPGLosslessP14SV1_1s_1f_8b": ((1, 1024, 768), np.uint8, 0, 255),
    "OBXXXX1A_rle_2frame": ((6, 800, 600), np.uint8, 0, 255),
    "RG3_J2KI": ((1, 1760, 1760), np.uint16, 0, 1023),
    "US1_J2KI": ((3, 640, 480), np.uint8, 0, 255),
    "US1_J2KR": ((3, 640, 480), np.uint8, 0, 255),
    "bad_sequence": ((1, 512, 512, 1), np.int16, -1011, 1243),
    "eCT_Supplemental": ((1, 512, 512, 2), np.int16, -1024, 172),
    "explicit_VR-UN": ((1, 512, 512, 1), np.int16, -1024, 1186),
    "emri_small": ((10, 64, 64), np.uint16, 0, 467),
    "emri_small_RLE": ((10, 64, 64), np.uint16, 0, 467),
    "emri_small_big_endian": ((10, 64, 64), np.uint16, 0, 467),
    "emri_small_jpeg_2k_lossless": ((10, 64, 64), np.uint16, 0, 467),
    "emri_small_jpeg_ls_lossless": ((10, 64, 64), np.uint16, 0, 467),
}
REFUSED = {
    "emri_small_jpeg_2k_lossless_too_short": "the file is cut off",
    "liver_deflate": "is a segmentation",
    "liver_rle": "is a segmentation",
    "liver_nonbyte_aligned_rle": "is a segmentation",
    "parametric_map_float": "is a parametric map",
}


@pytest.fixture
def oddities(shared_data: Path) -> Path:
    """The folder of awkward DICOM."""
    folder = shared_data / "dicom_oddities"
    if not folder.is_dir():
        pytest.skip("dicom_oddities is not here")
    return folder


def _itk(folder: Path, uid: str = "") -> tuple[np.ndarray, Grid]:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder), uid))
    image = reader.Execute()
    direction = np.reshape(image.GetDirection(), (3, 3))
    grid = Grid.from_spacing(image.GetSize(), image.GetSpacing(), origin_mm=image.GetOrigin(), direction=direction)
    return sitk.GetArrayFromImage(image).T, grid


@pytest.mark.parametrize(
    "path",
    [
        "lung_ct_rtstruct/ct",
        "dicom_oddities/ct_3slice_with_seg/ct",
        "dicom_oddities/mr_hitachi",
        "dicom_oddities/mr_non_square_pixels",
        "dicom_oddities/mr_two_slices",
        "dicom_oddities/mr_4slices_uncompressed",
        "dicom_oddities/mr_4slices_rle",
        "dicom_oddities/mr_4slices_j2k",
        "dicom_oddities/mr_4slices_jpegls",
        "dicom_oddities/mr_4slices_jpeglossless",
    ],
)
def test_real_series_agree_with_simpleitk(shared_data, path):
    volume = read_series(shared_data / path)
    array, grid = _itk(shared_data / path)
    assert volume.grid.corner_distance_mm(grid) < 1e-4
    np.testing.assert_allclose(volume.array[0], array, rtol=1e-6)


def test_every_series_of_a_study_agrees_with_simpleitk(shared_data):
    study = shared_data / "brain_mr_dicom"
    found = list_series(study)
    assert [(series.number, series.description, series.images) for series in found] == [
        (11, "T1post", 22),
        (26401, "T1pre_reg", 22),
        (36468, "FLAIR_reg", 22),
        (37870, "T2_reg", 22),
        (None, "HippoCrop", 40),
    ]
    with pytest.raises(FormatError, match="several image series"):
        read_series(study)
    by_shape = {}
    for series, folder in zip(found, ("11-T1post", "26401", "36468", "37830", "11_HCrop"), strict=True):
        (folder,) = (study / "PGBM-003").glob(f"{folder}*")
        volume = read_series(study, series=series.key)
        array, grid = _itk(folder)
        assert volume.grid.corner_distance_mm(grid) < 1e-4
        np.testing.assert_array_equal(volume.array[0], array)
        by_shape.setdefault(volume.grid.shape, []).append(volume.grid)
    # The four registered series lie on one grid, and none of them is straight.
    first, *others = by_shape[280, 320, 22]
    assert all(first.is_close(other) for other in others)
    assert not np.allclose(first.direction, np.eye(3), atol=0.1)


@pytest.mark.parametrize("name", list(SINGLE))
def test_single_files(oddities, name):
    shape, dtype, low, high = SINGLE[name]
    volume = read_series(oddities / "single_files" / f"{name}.dcm")
    assert (volume.array.shape, volume.array.dtype) == (shape, dtype)
    assert (volume.array.min(), volume.array.max()) == (low, high)


@pytest.mark.parametrize(
    "name", ["693_UNCR", "693_J2KR", "bad_sequence", "explicit_VR-UN", "JPGLosslessP14SV1_1s_1f_8b"]
)
def test_single_files_agree_with_simpleitk(oddities, name):
    path = oddities / "single_files" / f"{name}.dcm"
    image = sitk.ReadImage(str(path))
    volume = read_series(path)
    array = sitk.GetArrayFromImage(image).T
    np.testing.assert_array_equal(volume.array[0] if volume.grid.ndim == 3 else volume.array.transpose(1, 2, 0), array)
    if volume.grid.ndim == 3:
        np.testing.assert_allclose(volume.grid.origin_mm, image.GetOrigin(), atol=1e-6)
        np.testing.assert_allclose(volume.grid.direction, np.reshape(image.GetDirection(), (3, 3)), atol=1e-6)
        np.testing.assert_allclose(volume.grid.spacing_mm[:2], image.GetSpacing()[:2], atol=1e-6)


@pytest.mark.parametrize("name", ["US1_J2KR", "OBXXXX1A_rle_2frame"])
def test_colours_agree_with_simpleitk(oddities, name):
    path = oddities / "single_files" / f"{name}.dcm"
    array = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    frames = array.reshape(-1, *array.shape[-3:])
    expected = frames.transpose(0, 3, 2, 1).reshape(-1, *frames.shape[2:0:-1])
    if expected.dtype == np.uint16:
        expected = expected >> 8
    np.testing.assert_array_equal(read_series(path).array, expected)


def test_an_inverted_radiograph(oddities):
    path = oddities / "single_files" / "RG3_J2KI.dcm"
    volume = read_series(path)
    # ITK turns MONOCHROME1 around as well, within the 10 stored bits.
    np.testing.assert_array_equal(volume.array[0], sitk.GetArrayFromImage(sitk.ReadImage(str(path))).squeeze().T)


@pytest.mark.parametrize("name", list(REFUSED))
def test_single_files_that_are_refused(oddities, name):
    with pytest.raises(FormatError, match=f"{name}.dcm: .*{REFUSED[name]}"):
        read_series(oddities / "single_files" / f"{name}.dcm")


def test_one_image_in_four_transfer_syntaxes(oddities):
    first, *others = (read_series(oddities / f"mr_4slices_{name}") for name in ("rle", "jpegls", "jpeglossless", "j2k"))
    for other in others:
        assert other.grid == first.grid
        np.testing.assert_array_equal(other.array, first.array)
    # The uncompressed slices of the set hold other noise, in the same place.
    assert read_series(oddities / "mr_4slices_uncompressed").grid == first.grid


def test_one_multi_frame_image_in_five_transfer_syntaxes(oddities):
    names = (
        "emri_small",
        "emri_small_RLE",
        "emri_small_big_endian",
        "emri_small_jpeg_2k_lossless",
        "emri_small_jpeg_ls_lossless",
    )
    first, *others = (read_series(oddities / "single_files" / f"{name}.dcm").array for name in names)
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_a_copy_in_another_encoding_is_the_same_image(oddities):
    plain, compressed = (read_series(oddities / "single_files" / f"693_{kind}.dcm") for kind in ("UNCR", "J2KR"))
    assert "1 further copies of the same images are left aside" in plain.meta.notes
    np.testing.assert_array_equal(plain.array, compressed.array)


def test_a_tilted_gantry(oddities):
    grid = read_series(oddities / "ct_gantry_tilt").grid
    assert not grid.is_orthogonal
    np.testing.assert_allclose(grid.affine[:3, 2], [0, 0, 5], atol=1e-9)
    np.testing.assert_allclose(
        grid.to_points([0, 0, 3]), [-106.791015625, -256.61886606561, -46.951915066986], atol=1e-9
    )
    np.testing.assert_allclose(grid.direction[:, 1], [0, 0.970295726276, -0.2419218955997], atol=1e-9)


def test_a_missing_slice(oddities):
    with pytest.raises(
        GeometryError, match="1 slice missing: the spacing is 5 mm, but nothing lies between 10 and 20 mm"
    ):
        read_series(oddities / "ct_missing_slice")


def test_mixed_orientations_can_be_chosen(oddities):
    folder = oddities / "mr_mixed_orientation"
    parts = list_series(folder)
    assert len(parts) == 2
    with pytest.raises(FormatError, match="several image series"):
        read_series(folder)
    for part, spacing in zip(parts, [(0.32, 0.32, 3.3), (0.5556, 0.5556, 4.4)], strict=True):
        assert read_series(folder, series=part.key).grid.spacing_mm == pytest.approx(spacing, abs=1e-4)


def test_a_single_slice(oddities):
    volume = read_series(oddities / "mr_single_slice")
    assert volume.grid.shape == (256, 256, 1)
    assert "unknown thickness" in volume.meta.notes[0]


def test_enhanced_mr(oddities):
    philips = read_series(oddities / "mr_enhanced_philips")
    np.testing.assert_allclose(philips.grid.spacing_mm, (1, 1, 1.2), atol=1e-5)
    assert philips.grid.axis_codes == "PIR"
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(oddities / "mr_enhanced_philips" / "IM-0001-0170-0001.dcm"))).T
    np.testing.assert_allclose(philips.array[0], stored, rtol=1e-5)
    lowfield = read_series(oddities / "mr_enhanced_lowfield")
    assert lowfield.grid.spacing_mm == pytest.approx((1.59, 1.61, 5))
    assert lowfield.grid.origin_mm == (0, 0, -175)


def test_enhanced_ct_sorts_its_frames(oddities):
    path = oddities / "single_files" / "eCT_Supplemental.dcm"
    grid = read_series(path).grid
    # The normal points to the feet, so that the second frame in the file, nearer to the head, comes first.
    assert grid.origin_mm == (99.5, -301.5, -149)
    np.testing.assert_allclose(grid.affine[:3, 2], [0, 0, -10])


def test_segmentations_beside_the_images(oddities):
    volume = read_series(oddities / "ct_3slice_with_seg")
    assert volume.grid.shape == (512, 512, 3)
    assert "left aside in the folder: 2 x a segmentation (SEG)" in volume.meta.notes
    label = sitk.ReadImage(str(oddities / "ct_3slice_with_seg" / "liver_seg.nrrd"))
    # The masks of this set lie on the grid of the images.
    np.testing.assert_allclose(volume.grid.spacing_mm, label.GetSpacing(), atol=1e-4)


@pytest.mark.parametrize("seed", range(8))
def test_any_orientation_agrees_with_simpleitk(tmp_path, seed):
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    if seed < 4:  # straight and permuted; the others are oblique
        turn = np.eye(3)[rng.permutation(3)] * rng.choice([-1, 1], 3)
    across, down = turn[:, 0], turn[:, 1]
    row_mm, column_mm, gap = rng.uniform(0.3, 3, 3).round(4)
    origin = rng.uniform(-200, 200, 3)
    array = rng.integers(0, 4000, (7, 5, 9), np.uint16)
    series = generate_uid()
    for k, name in enumerate(rng.permutation(7)):
        made = Dataset()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, generate_uid()
        made.StudyInstanceUID = made.SeriesInstanceUID = series
        made.Modality, made.InstanceNumber = "CT", int(name)
        made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = 5, 9, 1, "MONOCHROME2"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
        made.RescaleSlope, made.RescaleIntercept = 1, -1024
        made.PixelSpacing = [row_mm, column_mm]
        made.ImageOrientationPatient = [float(f"{x:.12g}") for x in (*across, *down)]
        place = origin + k * gap * np.cross(across, down)
        made.ImagePositionPatient = [float(f"{x:.12g}") for x in place]
        made.PixelData = array[k].tobytes()
        made.save_as(tmp_path / f"{name}.dcm", enforce_file_format=True)
    volume = read_series(tmp_path)
    expected, grid = _itk(tmp_path)
    assert volume.grid.corner_distance_mm(grid) < 1e-4
    np.testing.assert_array_equal(volume.array[0], expected)
