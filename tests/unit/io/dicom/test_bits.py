"""Frames of single bits: native, run-length encoded, deflated; whole and cut off."""

import struct
import zlib

import numpy as np
import pytest
from hospital import oblique_grid, phantom_hu, write_ct
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import UID, RLELossless

from vesalius.errors import FormatError
from vesalius.image import LabelMap, Labels
from vesalius.io.dicom import read_origin, read_seg, write_seg
from vesalius.io.dicom.bits import DEFLATED_FRAMES


@pytest.fixture(params=[(8, 8, 3), (7, 5, 4), (3, 3, 3), (1, 1, 2), (13, 9, 3)], ids=str)
def written(request, tmp_path, rng):
    """A SEG of a size that may or may not fill bytes, and its labels."""
    grid = oblique_grid(request.param)
    labels = LabelMap(rng.integers(0, 3, grid.shape).astype(np.uint8), grid, Labels.of([1, 2]))
    origin = read_origin(write_ct(tmp_path / "ct", grid, phantom_hu(labels)))
    write_seg(labels, tmp_path / "seg.dcm", origin)
    return labels, tmp_path / "seg.dcm"


def _frames(made) -> list[bytes]:
    """The frames, each beginning with a byte."""
    size = made.Rows * made.Columns
    bits = np.unpackbits(np.frombuffer(made.PixelData, np.uint8), bitorder="little")[: size * made.NumberOfFrames]
    return [np.packbits(frame, bitorder="little").tobytes() for frame in bits.reshape(-1, size)]


def _rle(frame: bytes) -> bytes:
    """Runs of two or more as runs, all else as literals."""
    made, at = bytearray(struct.pack("<16L", 1, 64, *[0] * 14)), 0
    while at < len(frame):
        run = 1
        while at + run < len(frame) and run < 128 and frame[at + run] == frame[at]:
            run += 1
        made += bytes([257 - run, frame[at]]) if run > 1 else bytes([0, frame[at]])
        at += run
    return bytes(made + b"\x80" * (len(made) % 2))


def _deflated(frame: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = packer.compress(frame) + packer.flush()
    return data + b"\0" * (len(data) % 2)


def _compressed(path, syntax: UID, encode, *, keep: slice = slice(None)):
    made = dcmread(path)
    made.PixelData = encapsulate([encode(frame) for frame in _frames(made)][keep])
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    made.file_meta.TransferSyntaxUID = RLELossless
    made.save_as(path, enforce_file_format=True)
    if syntax != RLELossless:  # pydicom writes no syntax that it does not know
        old, new = (
            struct.pack("<2sH", b"UI", len(uid)) + uid for uid in (f"{RLELossless}\0".encode(), f"{syntax}\0".encode())
        )
        data = path.read_bytes()
        (length,) = struct.unpack_from("<L", data, 140)
        path.write_bytes(data[:140] + struct.pack("<L", length + len(new) - len(old)) + data[144:].replace(old, new, 1))
    return path


def test_frames_need_not_begin_with_a_byte(written):
    labels, path = written
    np.testing.assert_array_equal(read_seg(path).array, labels.array)


@pytest.mark.parametrize(("syntax", "encode"), [(RLELossless, _rle), (DEFLATED_FRAMES, _deflated)])
def test_compressed_bits(written, syntax, encode):
    labels, path = written
    found = read_seg(_compressed(path, syntax, encode))
    np.testing.assert_array_equal(found.array, labels.array)


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (RLELossless, lambda frame: _rle(frame)[:64]),
        (RLELossless, lambda frame: b"\x02" + _rle(frame)[1:]),
        (RLELossless, lambda frame: b"\1\0"),
        (DEFLATED_FRAMES, lambda frame: b"no deflated stream"),
        (DEFLATED_FRAMES, lambda frame: _deflated(b"")),
    ],
)
def test_damaged_frames(written, syntax, encode):
    with pytest.raises(FormatError, match="compressed frame is damaged"):
        read_seg(_compressed(written[1], syntax, encode))


@pytest.mark.parametrize(("syntax", "encode"), [(RLELossless, _rle), (DEFLATED_FRAMES, _deflated)])
def test_missing_frames(written, syntax, encode):
    with pytest.raises(FormatError, match=r"cut off|damaged"):
        read_seg(_compressed(written[1], syntax, encode, keep=slice(-1)))


def test_a_bomb_stays_small(written):
    """What a frame inflates to beyond its size is never made."""
    labels, path = written
    found = read_seg(_compressed(path, DEFLATED_FRAMES, lambda frame: _deflated(frame + bytes(3_000_000))))
    np.testing.assert_array_equal(found.array, labels.array)
