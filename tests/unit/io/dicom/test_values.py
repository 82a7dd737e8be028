"""From stored bits to numbers: rescaling, signs, overlays, inversion, colours."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
)

from vesalius.errors import FormatError
from vesalius.io.dicom import read_series


def test_ct_stays_int16_in_hounsfield_units(dicom, ramp):
    volume = read_series(dicom.write_shuffled(dicom.stack(ramp.astype(np.uint16))))
    assert volume.array.dtype == np.int16
    assert volume.meta.modality == "CT"
    assert volume.meta.unit == "HU"
    np.testing.assert_array_equal(volume.array[0], ramp.T.astype(int) - 1024)


def test_values_too_large_for_int16_get_int32(dicom):
    pixels = np.array([[0, 65535]], np.uint16)
    volume = read_series(dicom.write(dicom.image(pixels)))
    assert volume.array.dtype == np.int32
    assert volume.array.ravel().tolist() == [-1024, 64511]


def test_each_slice_has_its_own_slope(dicom, ramp):
    slices = dicom.stack(ramp, storage=PositronEmissionTomographyImageStorage, Modality="PT", Units="BQML")
    for k, made in enumerate(slices):
        made.PixelSpacing, made.RescaleSlope, made.RescaleIntercept = [1, 1], 0.5 + k, 0
    volume = read_series(dicom.write_shuffled(slices))
    assert volume.array.dtype == np.float32
    assert (volume.meta.modality, volume.meta.unit) == ("PT", "Bq/ml")
    np.testing.assert_allclose(volume.array[0], (ramp * (0.5 + np.arange(5))[:, None, None]).T)


def test_each_slice_has_its_own_whole_intercept(dicom, ramp):
    slices = dicom.stack(ramp)
    for k, made in enumerate(slices):
        made.RescaleIntercept = -1000 * k
    volume = read_series(dicom.write_shuffled(slices))
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array[0], (ramp - 1000 * np.arange(5)[:, None, None]).T)


def test_an_intercept_beside_slices_without_one(dicom):
    # Only the sums decide on the type: 60000 stays, while the other slice moves.
    array = np.array([[[60000, 1]], [[5, 6]]], np.uint16)
    slices = dicom.stack(array)
    slices[0].RescaleIntercept = 0
    volume = read_series(dicom.write_shuffled(slices))
    assert volume.array.dtype == np.int32
    assert volume.array[0].T.ravel().tolist() == [60000, 1, -1019, -1018]


def test_ct_of_unspecified_rescale_type_has_no_unit(dicom, ramp):
    assert read_series(dicom.write(dicom.image(ramp[0], RescaleType="US"))).meta.unit == ""


def test_overlay_bits_are_removed_and_the_sign_is_kept(dicom):
    # 12 bits stored, overlays in the 4 bits above: 0x800 is -2048, 0xFFF is -1.
    pixels = np.array([[0x0800, 0xF800, 0x07FF, 0xA7FF, 0x0FFF, 0x3FFF]], np.uint16)
    bits = {"BitsStored": 12, "HighBit": 11}
    signed = dicom.image(pixels, storage=MRImageStorage, PixelRepresentation=1, **bits)
    assert read_series(dicom.write(signed)).array.ravel().tolist() == [-2048, -2048, 2047, 2047, -1, -1]
    unsigned = dicom.image(pixels, storage=MRImageStorage, **bits)
    assert read_series(dicom.write(unsigned)).array.ravel().tolist() == [2048, 2048, 2047, 2047, 4095, 4095]


def test_stored_bits_may_lie_high(dicom):
    pixels = np.array([[0xFFF0, 0x8001, 0x7FFF]], np.uint16)
    made = dicom.image(pixels, storage=MRImageStorage, BitsStored=12, HighBit=15, PixelRepresentation=1)
    assert read_series(dicom.write(made)).array.ravel().tolist() == [-1, -2048, 2047]


def test_monochrome1_is_inverted_within_its_stored_bits(dicom):
    pixels = np.array([[0, 1023, 10]], np.uint16)
    made = dicom.image(
        pixels,
        storage=DigitalXRayImageStorageForPresentation,
        Modality="DX",
        BitsStored=10,
        HighBit=9,
        PhotometricInterpretation="MONOCHROME1",
    )
    volume = read_series(dicom.write(made))
    assert volume.array.ravel().tolist() == [1023, 0, 1013]
    assert volume.meta.modality == "XR"
    assert "inverted" in volume.meta.notes[-1]


def test_signed_monochrome1_is_inverted_about_minus_one_half(dicom):
    pixels = np.array([[-32768, 32767, 0]], np.int16)
    made = dicom.image(pixels, storage=MRImageStorage, PhotometricInterpretation="MONOCHROME1")
    assert read_series(dicom.write(made)).array.ravel().tolist() == [32767, -32768, -1]


def test_hounsfield_units_are_never_inverted(dicom, ramp):
    volume = read_series(dicom.write(dicom.image(ramp[0], PhotometricInterpretation="MONOCHROME1")))
    np.testing.assert_array_equal(volume.array[0, ..., 0], ramp[0].T - 1024)
    assert "not inverted, since the values are in HU" in volume.meta.notes[-1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32])
def test_every_integer_type_comes_back(dicom, rng, dtype):
    info = np.iinfo(dtype)
    pixels = rng.integers(info.min, info.max, (5, 3), dtype, endpoint=True)
    volume = read_series(dicom.write(dicom.image(pixels, storage=MRImageStorage)))
    assert volume.array.dtype == dtype
    np.testing.assert_array_equal(volume.array[0, ..., 0], pixels.T)


def test_large_integers_with_a_slope_get_double_precision(dicom):
    pixels = np.array([[2**31 - 1, 2**31 - 2]], np.int32)
    volume = read_series(dicom.write(dicom.image(pixels, storage=MRImageStorage, RescaleSlope=0.5, RescaleIntercept=0)))
    assert volume.array.dtype == np.float64
    assert volume.array.ravel().tolist() == [2.0**30 - 0.5, 2.0**30 - 1]


def test_bits_are_unpacked(dicom):
    picture = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 1]], np.uint8)
    made = dicom.image(picture, storage=SecondaryCaptureImageStorage, BitsAllocated=1, BitsStored=1, HighBit=0)
    made.PixelData = np.packbits(picture.ravel(), bitorder="little").tobytes()
    np.testing.assert_array_equal(read_series(dicom.write(made)).array[0], picture.T)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_byte_orders_and_implicit_vr(dicom, ramp, syntax):
    made = dicom.image(ramp[1])
    made.file_meta.TransferSyntaxUID = syntax
    little = syntax.is_little_endian
    made.PixelData = ramp[1].astype("<i2" if little else ">i2").tobytes()
    volume = read_series(dicom.write(made, implicit_vr=syntax.is_implicit_VR, little_endian=little))
    np.testing.assert_array_equal(volume.array[0, ..., 0], ramp[1].T - 1024)
    assert volume.array.dtype.isnative


def test_a_modality_table_is_applied(dicom):
    made = dicom.image(np.array([[0, 1, 2, 9]], np.uint8), storage=MRImageStorage)
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [3, 0, 16])
    table.ModalityLUTType = "US"
    table.add_new("LUTData", "OW", np.array([100, 70, 20], "<u2").tobytes())
    made.ModalityLUTSequence = [table]
    volume = read_series(dicom.write(made))
    assert volume.array.dtype == np.float32
    assert volume.array.ravel().tolist() == [100, 70, 20, 20]


@pytest.mark.parametrize(("slope", "match"), [(0, "slope of 0"), ("1e300", "lead beyond what float32 can hold")])
def test_impossible_slopes_are_refused(dicom, ramp, slope, match):
    with pytest.raises(FormatError, match=match):
        read_series(dicom.write(dicom.image(ramp[0], RescaleSlope=slope)))


@pytest.fixture
def picture(rng):
    return rng.integers(0, 256, (4, 6, 3), np.uint8)


def test_rgb_is_three_channels(dicom, picture):
    volume = read_series(dicom.write(dicom.image(picture, storage=SecondaryCaptureImageStorage)))
    np.testing.assert_array_equal(volume.array, picture.transpose(2, 1, 0))
    assert volume.meta.modality == "RGB"
    assert not volume.meta.calibrated
    assert volume.grid.ndim == 2


def test_colours_may_be_stored_by_plane(dicom, picture):
    made = dicom.image(picture, storage=SecondaryCaptureImageStorage, PlanarConfiguration=1)
    made.PixelData = np.ascontiguousarray(picture.transpose(2, 0, 1)).tobytes()
    np.testing.assert_array_equal(read_series(dicom.write(made)).array, picture.transpose(2, 1, 0))


def test_ybr_becomes_rgb(dicom):
    # Y, Cb, Cr of pure red and of grey (PS3.3 C.7.6.3.1.2, rounded).
    pixels = np.array([[[76, 85, 255], [100, 128, 128]]], np.uint8)
    made = dicom.image(pixels, storage=UltrasoundImageStorage, Modality="US", PhotometricInterpretation="YBR_FULL")
    volume = read_series(dicom.write(made))
    np.testing.assert_allclose(volume.array[:, 0, 0], [255, 0, 0], atol=1)
    np.testing.assert_allclose(volume.array[:, 1, 0], [100, 100, 100], atol=1)
    assert volume.meta.modality == "US"


@pytest.mark.parametrize("implicit", [False, True])
def test_a_palette_becomes_rgb(dicom, implicit):
    made = dicom.image(np.array([[0, 1], [2, 200]], np.uint8), storage=UltrasoundImageStorage, Modality="US")
    made.PhotometricInterpretation = "PALETTE COLOR"
    for place, colour in enumerate(("Red", "Green", "Blue")):
        entries = np.array([0, 0x1000, 0xFF00], np.uint16) >> (4 * place)
        setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [3, 0, 16])
        setattr(made, f"{colour}PaletteColorLookupTableData", entries.tobytes())
    if implicit:
        made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    volume = read_series(dicom.write(made, implicit_vr=implicit, little_endian=True))
    assert volume.array.dtype == np.uint8
    red, green, blue = (volume.array[colour].T.tolist() for colour in range(3))
    assert red == [[0, 0x10], [0xFF, 0xFF]]  # an index beyond the palette takes its last entry
    assert green == [[0, 1], [0x0F, 0x0F]]
    assert blue == [[0, 0], [0, 0]]


def test_a_palette_that_is_missing_is_an_error(dicom):
    made = dicom.image(np.zeros((2, 2), np.uint8), storage=CTImageStorage, PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(FormatError, match="its colours come from a palette, but it holds none"):
        read_series(dicom.write(made))


@pytest.mark.parametrize("claim", ["RGB", "YBR_PARTIAL_420", "NONSENSE"])
def test_a_photometric_interpretation_that_cannot_be_is_an_error(dicom, ramp, claim):
    with pytest.raises(FormatError, match="do not go with its photometric interpretation"):
        read_series(dicom.write(dicom.image(ramp[0], PhotometricInterpretation=claim)))
