"""Pixel data that attack their reader and its decoders."""

import os
import signal
import struct
import threading
import tracemalloc

import numpy as np
import pytest
from dicoms import Maker
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    MRImageStorage,
    RLELossless,
    UltrasoundImageStorage,
)

from vesalius.errors import FormatError
from vesalius.io import read
from vesalius.io.dicom import apart
from vesalius.io.dicom.palette import apply_palette


def palette_picture(dicom: Maker, array: np.ndarray, **elements: object) -> Dataset:
    made = dicom.image(array, storage=UltrasoundImageStorage, Modality="US", PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        for keyword, value in elements.items():
            setattr(made, keyword.replace("Colour", colour), value)
    return made


def test_palette_indices_beyond_the_table(dicom):
    """Above 8 bits, too, where indices that wrap around would show other colours."""
    made = palette_picture(
        dicom,
        np.array([[0, 299, 300, 65_535]], np.uint16),
        ColourPaletteColorLookupTableDescriptor=[300, 0, 8],
        ColourPaletteColorLookupTableData=bytes(n // 2 for n in range(300)),
    )
    assert read(dicom.write(made)).array[0, :, 0].tolist() == [0, 149, 149, 149]


@pytest.mark.parametrize("entries", [5, 300, 0])
def test_a_palette_shorter_than_it_says(dicom, entries):
    made = palette_picture(
        dicom,
        np.zeros((2, 2), np.uint8),
        ColourPaletteColorLookupTableDescriptor=[entries, 0, 8],
        ColourPaletteColorLookupTableData=bytes(4),
    )
    with pytest.raises(FormatError, match=r"image\.dcm: its palette holds fewer entries than it declares"):
        read(dicom.write(made))


BOMBS = {
    # A long line, then segments that each repeat all before them: 2 to the 40th times 65,535 entries from 200 bytes.
    "doubling": [0, 1, 7, 1, 65_535, 9, *(word for n in range(2, 42) for word in (2, n, 0, 0))],
    "itself": [0, 1, 7, 2, 1, 6, 0],
    "nothing": [0, 1, 7, *(word for n in range(1, 60) for word in (2, n, 0, 0))],
    "long": [0, 1, 7, *([1, 65_535, 9] * 500)],
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_palette_that_grows_without_end(dicom, bomb):
    words = BOMBS[bomb]
    made = palette_picture(
        dicom,
        np.zeros((2, 2), np.uint8),
        ColourPaletteColorLookupTableDescriptor=[0, 0, 16],
        SegmentedColourPaletteColorLookupTableData=struct.pack(f"<{len(words)}H", *words),
    )
    path = dicom.write(made)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=r"image\.dcm: its palette"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("depth", [8, 16])
def test_segmented_palettes_expand_as_the_standard_says(little, depth):
    """PS3.3 C.7.9.2: three given, a line over two, and the first segment once more."""
    tables = Dataset()
    order = "<" if little else ">"
    # The first segment begins at byte 0: both halves of the offset are 0.
    words = [0, 3, 10, 20, 30, 1, 2, 40, 2, 1, *([0, 0] if depth == 16 else [0, 0, 0, 0])]
    scale = 256 if depth == 16 else 1
    words = [word * scale if n in (2, 3, 4, 7) else word for n, word in enumerate(words)]
    for colour in ("Red", "Green", "Blue"):
        setattr(tables, f"{colour}PaletteColorLookupTableDescriptor", [8, 0, depth])
        stored = struct.pack(f"{order}{len(words)}{'BH'[depth // 16]}", *words)
        setattr(tables, f"Segmented{colour}PaletteColorLookupTableData", stored)
    tables.set_original_encoding(False, little)
    coloured = apply_palette(np.arange(8, dtype=np.uint8), tables)
    assert coloured[:, 1].tolist() == [10, 20, 30, 35, 40, 10, 20, 30]


def test_an_indirect_segment_counts_its_offset_in_bytes():
    """The second segment of a palette of 16 bits begins at byte 6, its third word."""
    words = [0, 1, 0x0100, 0, 2, 0x0200, 0x0300, 2, 1, 6, 0]
    tables = Dataset()
    for colour in ("Red", "Green", "Blue"):
        setattr(tables, f"{colour}PaletteColorLookupTableDescriptor", [5, 0, 16])
        setattr(tables, f"Segmented{colour}PaletteColorLookupTableData", struct.pack("<11H", *words))
    tables.set_original_encoding(False, True)
    assert apply_palette(np.arange(5), tables)[:, 0].tolist() == [1, 2, 3, 2, 3]


def test_a_run_length_bomb(dicom):
    """64 KiB of runs that stand for 4 MiB, in a picture of 64 bytes: refused before it is decoded."""
    runs = bytes([0x81, 0]) * (1 << 15)
    made = dicom.image(np.zeros((8, 8), np.uint8), storage=MRImageStorage)
    made.file_meta.TransferSyntaxUID = RLELossless
    made.PixelData = encapsulate([struct.pack("<16L", 1, 64, *[0] * 14) + runs])
    with pytest.raises(FormatError, match="run-length coded frame of 65600 bytes cannot hold the 64"):
        read(dicom.write(made))
    made.Rows = made.Columns = 16_384
    made.PixelData = encapsulate([struct.pack("<16L", 1, 64, *[0] * 14) + runs[:2000]])
    with pytest.raises(FormatError, match="cannot hold the 268435456"):
        read(dicom.write(made))


def test_a_modality_table_shorter_than_it_says(dicom, ramp):
    table = Dataset()
    table.LUTDescriptor, table.ModalityLUTType, table.LUTData = [256, 0, 16], "US", struct.pack("<3H", 1, 2, 3)
    made = dicom.image(np.full((4, 4), 200, np.uint16), storage=MRImageStorage, ModalityLUTSequence=[table])
    with pytest.raises(FormatError, match=r"image\.dcm: a damaged DICOM file"):
        read(dicom.write(made))


def test_floating_point_pixels_in_an_image(dicom, ramp):
    made = dicom.image(ramp[0], PixelData=None)
    made.FloatPixelData = ramp[0].astype(np.float32).tobytes()
    made.BitsAllocated = 32
    with pytest.raises(FormatError, match="stores its pixels as floating point"):
        read(dicom.write(made))


def test_more_than_the_machine_can_hold(dicom, ramp, monkeypatch):
    monkeypatch.setattr("vesalius.io.dicom.values.refuse_unholdable", _too_much)
    with pytest.raises(FormatError, match=r"image\.dcm and its series: too much"):
        read(dicom.write(dicom.image(ramp[0])))


def _too_much(size: int) -> None:
    raise FormatError("too much")


def test_memory_that_is_refused(dicom, ramp, monkeypatch):
    path = dicom.write(dicom.image(ramp[0]))
    monkeypatch.setattr("vesalius.io.dicom.values.np.empty", _no_memory)
    with pytest.raises(FormatError, match=r"image\.dcm: its voxels do not fit in memory"):
        read(path)


def _no_memory(*_: object) -> None:
    raise MemoryError


# --- decoders that die ------------------------------------------------------------------------------------------------


def lossless_jpeg(tables: bytes) -> bytes:
    """A frame of 8 x 8 with these tables."""
    size = b"\xff\xc3\x00\x0b\x10\x00\x08\x00\x08\x01\x00\x11\x00"
    return b"\xff\xd8" + size + tables + b"\xff\xda\x00\x08\x01\x00\x00\x01\x00\x00" + bytes(40) + b"\xff\xd9"


DAMAGED = lossless_jpeg(b"\xff\xc4\x00\x14\x00" + b"\xff" * 16 + b"\x00")


def test_a_frame_that_kills_its_decoder_is_refused(dicom, monkeypatch):
    """Which frame does so changes with the decoder: here it dies before it has looked at any."""
    made = dicom.image(np.zeros((8, 8), np.uint16), storage=MRImageStorage)
    made.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    made.PixelData = encapsulate([DAMAGED])
    path = dicom.write(made)
    send, died = apart._send, []

    def deadly(stream: object, request: object, frame: bytes) -> None:
        running = apart._process._running
        running.kill()
        died.append(running.wait())
        send(stream, request, frame)

    with monkeypatch.context() as patched, pytest.raises(FormatError, match="the decoder died"):
        patched.setattr(apart, "_send", deadly)
        read(path)
    assert died == [-9]
    with pytest.raises(FormatError, match="the decoder refused the frame"):  # another process was started
        read(path)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGBaseline8Bit])
def test_a_frame_with_tables_that_cannot_be_is_refused(dicom, syntax):
    made = dicom.image(np.zeros((8, 8), np.uint16 if syntax == JPEGLosslessSV1 else np.uint8), storage=MRImageStorage)
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate([DAMAGED])
    path = dicom.write(made)
    for _ in range(2):
        with pytest.raises(FormatError, match="damaged"):
            read(path)


def test_a_sound_frame_after_a_deadly_one(shared_data, dicom):
    made = dicom.image(np.zeros((8, 8), np.uint16), storage=MRImageStorage)
    made.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    made.PixelData = encapsulate([DAMAGED])
    path = dicom.write(made)
    folder = shared_data / "dicom_oddities"
    before = read(folder / "mr_4slices_jpeglossless").array
    with pytest.raises(FormatError):
        read(path)
    np.testing.assert_array_equal(read(folder / "mr_4slices_jpeglossless").array, before)
    assert before.any()


def test_a_decoder_that_never_ends_is_stopped(dicom, monkeypatch):
    made = dicom.image(np.zeros((8, 8), np.uint16), storage=MRImageStorage)
    made.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    made.PixelData = encapsulate([DAMAGED])
    path = dicom.write(made)
    with pytest.raises(FormatError):
        read(path)  # starts the process anew next time
    monkeypatch.setattr(apart, "LONGEST_S", 0.2)
    started = apart._process._started
    monkeypatch.setattr(apart._process, "_started", lambda: _halted(started()))
    with pytest.raises(FormatError, match="died or did not come to an end"):
        read(path)


def _halted(process):
    os.kill(process.pid, signal.SIGSTOP)
    return process


def test_frames_are_decoded_apart_by_several_threads(shared_data):
    folder = shared_data / "dicom_oddities" / "mr_4slices_jpeglossless"
    reference = read(folder).array
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(read(folder).array)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for array in found:
        np.testing.assert_array_equal(array, reference)
