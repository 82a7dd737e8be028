"""Compressed pixels, and files that lie or are cut off."""

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from vesalius.errors import FormatError, MissingDependencyError, VesaliusError
from vesalius.io.dicom import header, pixels, read_series
from vesalius.io.dicom.codestream import declared_size

ENCODERS = {RLELossless: "pydicom", JPEGLSLossless: "pyjpegls", JPEG2000Lossless: "pylibjpeg"}


def _compress(made, syntax):
    made.compress(syntax, encoding_plugin=ENCODERS[syntax], generate_instance_uid=False)
    return made


@pytest.mark.parametrize(
    ("syntax", "dtype"),
    [(syntax, dtype) for syntax in ENCODERS for dtype in (np.uint8, np.uint16)]
    # JPEG-LS knows no sign.
    + [(RLELossless, np.int16), (JPEG2000Lossless, np.int16)],
)
def test_lossless_compression_changes_nothing(dicom, rng, syntax, dtype):
    info = np.iinfo(dtype)
    array = rng.integers(info.min, info.max, (3, 64, 48), dtype, endpoint=True)
    slices = [_compress(made, syntax) for made in dicom.stack(array, storage=MRImageStorage)]
    volume = read_series(dicom.write_shuffled(slices))
    np.testing.assert_array_equal(volume.array[0], array.T)
    assert volume.array.dtype == dtype


@pytest.mark.parametrize("syntax", list(ENCODERS))
def test_compressed_frames_and_colours(dicom, rng, syntax):
    picture = rng.integers(0, 256, (64, 48, 3), np.uint8)
    made = _compress(dicom.image(picture, storage=SecondaryCaptureImageStorage), syntax)
    np.testing.assert_array_equal(read_series(dicom.write(made, "colour.dcm")).array, picture.transpose(2, 1, 0))
    frames = rng.integers(0, 4096, (4, 64, 48), np.uint16)
    made = dicom.enhanced(frames, [{"position": (0, 0, -k)} for k in range(4)])
    volume = read_series(dicom.write(_compress(made, syntax), "frames.dcm"))
    np.testing.assert_array_equal(volume.array[0], frames[::-1].T)


def test_rle_keeps_the_overlay_bits_out(dicom):
    array = np.array([[0x1001, 0xF002], [0x0003, 0x8FFF]], np.uint16)
    made = dicom.image(array, storage=MRImageStorage)
    _compress(made, RLELossless)
    made.BitsStored, made.HighBit = 12, 11
    assert read_series(dicom.write(made)).array[0, ..., 0].T.tolist() == [[1, 2], [3, 0xFFF]]


@pytest.mark.parametrize("sampling", [0, 1])
def test_baseline_jpeg_becomes_rgb(dicom, sampling):
    rows, columns = np.mgrid[:32, :48]
    picture = np.stack([rows * 8, columns * 5, 255 - rows * 4], -1).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=95, subsampling=sampling)
    made = dicom.image(picture, storage=SecondaryCaptureImageStorage)
    made.PhotometricInterpretation = "YBR_FULL_422" if sampling else "YBR_FULL"
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made.PixelData = encapsulate([stream.getvalue()])
    made["PixelData"].is_undefined_length = True
    volume = read_series(dicom.write(made))
    difference = volume.array.astype(int) - picture.transpose(2, 1, 0)
    assert np.abs(difference).mean() < 2


def test_deflated_files(dicom, ramp):
    made = dicom.image(ramp[0])
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = dicom.write(made)
    np.testing.assert_array_equal(read_series(path).array[0, ..., 0], ramp[0].T - 1024)


def test_a_deflate_bomb_is_not_inflated(dicom, ramp, monkeypatch):
    monkeypatch.setattr(header, "LARGEST_INFLATED", 1 << 20)
    made = dicom.image(np.zeros((1024, 1025), np.int16))
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    with pytest.raises(FormatError, match=r"image\.dcm: inflates to more than 1 MiB"):
        read_series(dicom.write(made))


def test_a_bomb_of_compressed_pixels_is_refused_before_decoding(dicom, ramp):
    made = _compress(dicom.image(np.zeros((64, 64), np.uint16), storage=MRImageStorage), JPEG2000Lossless)
    made.Rows = made.Columns = 20_000
    with pytest.raises(
        FormatError, match=r"the compressed frame is 64 x 64 x 1, the header declares 20000 x 20000 x 1"
    ):
        read_series(dicom.write(made))
    made.Rows = made.Columns = 60_000
    with pytest.raises(FormatError, match=r"a frame would decode to 6\.7 GiB; the limit is 1 GiB"):
        read_series(dicom.write(made))
    made.NumberOfFrames = 10
    with pytest.raises(FormatError, match="would decode to 67 GiB; the limit for a compressed file is 16 GiB"):
        read_series(dicom.write(made))


def test_a_stream_larger_than_its_header_is_refused(dicom):
    made = _compress(dicom.image(np.zeros((64, 64), np.uint16), storage=MRImageStorage), JPEG2000Lossless)
    made.Rows = made.Columns = 32
    with pytest.raises(FormatError, match="the compressed frame is 64 x 64 x 1"):
        read_series(dicom.write(made))


@pytest.mark.parametrize("syntax", list(ENCODERS))
@pytest.mark.parametrize("cut", [1, 20, 100])
def test_cut_off_compressed_pixels_are_refused(dicom, rng, syntax, cut):
    array = rng.integers(0, 4096, (64, 64), np.uint16)
    path = dicom.write(_compress(dicom.image(array, storage=MRImageStorage), syntax))
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(FormatError, match=r"cut off|damaged"):
        read_series(path)


def test_a_frame_cut_within_its_fragment_is_refused(dicom, rng):
    array = rng.integers(0, 4096, (64, 64), np.uint16)
    made = dicom.image(array, storage=MRImageStorage)
    _compress(made, JPEG2000Lossless)
    whole = next(generate_frames(made.PixelData, number_of_frames=1))
    made.PixelData = encapsulate([whole[: len(whole) // 2]])
    with pytest.raises(FormatError, match="ends before its end marker"):
        read_series(dicom.write(made))


def test_too_few_frames_are_refused(dicom, ramp):
    made = _compress(dicom.enhanced(ramp.astype(np.uint16), [{"position": (0, 0, k)} for k in range(5)]), RLELossless)
    stream = made.PixelData
    made.PixelData = encapsulate([stream[-100:]] * 3)
    with pytest.raises(FormatError, match=r"cut off|damaged"):
        read_series(dicom.write(made))


@pytest.mark.parametrize(
    "change", [{"Rows": 60_000, "Columns": 60_000}, {"NumberOfFrames": 1_000_000}, {"PixelData": b"12"}]
)
def test_headers_that_declare_more_than_there_is(dicom, ramp, change):
    with pytest.raises(FormatError, match=r"image\.dcm: the header declares .* bytes, but \d+ are there"):
        read_series(dicom.write(dicom.image(ramp[0], **change)))


def test_a_length_that_lies_is_refused(dicom, ramp):
    path = dicom.write(dicom.image(ramp[0], Rows=1000, Columns=1000))
    data = path.read_bytes()
    at = data.rindex(b"\xe0\x7f\x10\x00OW\0\0")
    path.write_bytes(data[: at + 8] + struct.pack("<L", 2_000_000) + data[at + 12 :])
    with pytest.raises(FormatError, match="2000000 bytes, but 60 are there"):
        read_series(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"BitsStored": 17}, "stores 17 bits in 16"),
        ({"Rows": 0}, "Rows must be 1 to"),
        ({"Columns": None}, "Columns must be 1 to"),
        ({"PixelData": None}, "holds no pixel data"),
        ({"ImagePositionPatient": [1, 2]}, "ImagePositionPatient must hold 3 finite numbers"),
        ({"BitsAllocated": 12, "BitsStored": 12}, "damaged DICOM file"),
    ],
)
def test_headers_that_make_no_sense(dicom, ramp, change, match):
    with pytest.raises(FormatError, match=match):
        read_series(dicom.write(dicom.image(ramp[0], **change)))


def test_video_is_refused(dicom, ramp):
    made = dicom.image(ramp[0])
    made.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.4.102")
    made.PixelData = encapsulate([b"1234"])
    with pytest.raises(FormatError, match="no decoder for MPEG-4"):
        read_series(dicom.write(made))


def test_a_decoder_that_is_not_installed_is_named(dicom, ramp, monkeypatch):
    made = _compress(dicom.image(np.zeros((64, 64), np.uint16), storage=MRImageStorage), JPEGLSLossless)
    monkeypatch.setitem(pixels._DECODERS, JPEGLSLossless, ("absent", "pyjpegls"))
    with pytest.raises(MissingDependencyError, match="needs a decoder: pip install pyjpegls"):
        read_series(dicom.write(made))


def test_no_decoder_is_under_the_gpl(dicom, rng):
    array = rng.integers(0, 255, (64, 48), np.uint8)
    for syntax in ENCODERS:
        read_series(dicom.write(_compress(dicom.image(array, storage=MRImageStorage), syntax), f"{syntax}.dcm"))
        (dicom.folder / f"{syntax}.dcm").unlink()
    assert "libjpeg" not in sys.modules


@pytest.mark.parametrize("preamble", [True, False])
@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"])
def test_files_without_preamble_or_meta(dicom, ramp, preamble, syntax):
    made = dicom.image(ramp[0])
    little = syntax != "1.2.840.10008.1.2.2"
    made.PixelData = ramp[0].astype("<i2" if little else ">i2").tobytes()
    made.file_meta.TransferSyntaxUID = UID(syntax)
    path = dicom.write(made, implicit_vr=syntax == "1.2.840.10008.1.2", little_endian=little)
    data = path.read_bytes()
    (length,) = struct.unpack("<L", data[140:144])
    path.write_bytes(data[132:] if preamble else data[144 + length :])
    np.testing.assert_array_equal(read_series(path).array[0, ..., 0], ramp[0].T - 1024)


def test_sequences_nested_300_deep(dicom, ramp):
    path = dicom.write(dicom.image(ramp[0]))
    data = path.read_bytes()
    (length,) = struct.unpack("<L", data[140:144])
    nest = (b"\x40\x00\x30\xa7SQ\0\0" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4) * 300
    nest += (b"\xfe\xff\x0d\xe0" + b"\0" * 4 + b"\xfe\xff\xdd\xe0" + b"\0" * 4) * 300
    path.write_bytes(data[: 144 + length] + nest + data[144 + length :])
    with pytest.raises(FormatError, match="nested too deeply"):
        read_series(path)


def test_a_file_cut_at_any_byte_never_raises_anything_else(dicom, rng):
    array = rng.integers(0, 4096, (32, 32), np.uint16)
    path = dicom.write(_compress(dicom.image(array, storage=MRImageStorage), JPEG2000Lossless))
    data = path.read_bytes()
    for length in range(0, len(data) - 1, 11):
        path.write_bytes(data[:length])
        with pytest.raises(FormatError):
            read_series(path)


def test_damaged_bytes_never_raise_anything_else(dicom, rng):
    array = rng.integers(0, 4096, (6, 6), np.uint16)
    path = dicom.write(dicom.image(array, storage=MRImageStorage))
    data = np.frombuffer(path.read_bytes(), np.uint8)
    outcomes = set()
    for _ in range(300):
        broken = data.copy()
        broken[rng.integers(128, len(data), 4)] = rng.integers(0, 256, 4)
        path.write_bytes(broken.tobytes())
        try:
            read_series(path)
            outcomes.add("read")
        except VesaliusError:  # and nothing else
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_an_odd_character_set_is_no_obstacle(dicom, ramp):
    path = dicom.write(dicom.image(ramp[0], SpecificCharacterSet="ISO_IR 100", SeriesDescription="secret rem\xe4rk"))
    path.write_bytes(path.read_bytes().replace(b"ISO_IR 100", b"ISO_IR 999"))
    assert read_series(path).grid.shape == (6, 4, 1)


def test_jpeg_sizes_are_read_behind_other_segments():
    comment = bytes.fromhex("fffe 0004 abcd")
    assert declared_size(b"\xff\xd8" + comment + bytes.fromhex("ff ffc0 0011 08 0003 0002 03")) == (3, 2, 3)
    for damaged in (b"", b"\xff\xd8\xff", b"\xff\xd8" + comment, b"\xff\xd8\0\0", zlib.compress(b"x")):
        assert declared_size(damaged) is None
