"""DICOM files that attack their reader; docs/development/security.md says where the other cases are tried."""

import os
import signal
import struct
import threading
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from canaries import CANARIES
from dicoms import Maker
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    MediaStorageDirectoryStorage,
    MRImageStorage,
    RLELossless,
    UltrasoundImageStorage,
)

from vesalius.errors import FormatError, VesaliusError
from vesalius.image import LabelMap, Labels
from vesalius.io import read
from vesalius.io.dicom import apart, list_series, pixels, read_series
from vesalius.io.dicom.origin import read_origin
from vesalius.io.dicom.palette import apply_palette
from vesalius.io.dicom.segmentation import write_seg


def raw(tag: int, vr: bytes, value: bytes, *, length: int | None = None) -> bytes:
    """An element, explicit little endian, with whatever length it claims."""
    size = len(value) if length is None else length
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr
    long = vr in (b"OB", b"OW", b"UN", b"SQ", b"UT", b"UC")
    return head + (struct.pack("<HL", 0, size) if long else struct.pack("<H", size)) + value


def with_elements(path: Path, elements: bytes, *, before: bytes) -> Path:
    """Insert raw elements before the first place where some bytes of the data set stand."""
    data = path.read_bytes()
    at = data.index(before, 200)
    path.write_bytes(data[:at] + elements + data[at:])
    return path


# --- identifiers ------------------------------------------------------------------------------------------------------

HOSTILE_UIDS = ["../../x", "/etc/x", "1." * 40 + "1", "1.2\0.3", "..\\..\\x", "a\nb", "", "💥"]


@pytest.mark.parametrize("uid", HOSTILE_UIDS, ids=range(len(HOSTILE_UIDS)))
def test_identifiers_are_no_paths_and_are_not_told(dicom, ramp, uid):
    """A UID may hold anything: it is compared and hashed, never a part of a path or of a message."""
    slices = dicom.stack(ramp)
    for number, made in enumerate(slices):
        for keyword in ("SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
            setattr(made, keyword, "1.2.3")
        made.SOPInstanceUID = f"1.2.3.{number}"
        path = dicom.write(made, f"{number}.dcm")
        element = uid.encode("utf-8", "surrogateescape")
        element += b"\0" * (len(element) % 2)
        data = path.read_bytes()
        old = raw(0x0020000E, b"UI", b"1.2.3\0")
        assert data.count(old) == 1
        path.write_bytes(data.replace(old, raw(0x0020000E, b"UI", element)))
    before = {path: path.stat().st_size for path in dicom.folder.rglob("*")}
    (found,) = list_series(dicom.folder)
    assert len(found.key) == 8
    assert found.key.isalnum()
    assert read(dicom.folder).grid.shape == (6, 4, 5)
    shown = (uid or "nothing shown") if "\0" not in uid else "1.2"
    with pytest.raises(FormatError) as caught:
        read(dicom.folder, series="something else")
    assert shown not in str(caught.value)
    assert {path: path.stat().st_size for path in dicom.folder.rglob("*")} == before


def test_a_dicomdir_leads_nowhere(dicom, ramp, tmp_path_factory):
    """The files that a DICOMDIR names are never opened, be they outside the folder or in it."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    secret = Maker(elsewhere)
    secret.write(secret.image(ramp[0]), "SECRET")
    records = []
    with warnings.catch_warnings(action="ignore"):  # pydicom's, of names that may not be
        for name in (["..", elsewhere.name, "SECRET"], [str(elsewhere / "SECRET")], ["..\\..\\SECRET"]):
            record = Dataset()
            record.DirectoryRecordType, record.ReferencedFileID = "IMAGE", name
            records.append(record)
        directory = dicom.image(ramp[0], storage=MediaStorageDirectoryStorage, PixelData=None)
        directory.DirectoryRecordSequence = records
        dicom.write(directory, "DICOMDIR")
    with pytest.raises(FormatError, match="holds no DICOM image"):
        read(dicom.folder)
    with pytest.raises(FormatError, match="not a DICOM image file"):
        read(dicom.folder / "DICOMDIR")


# --- structure --------------------------------------------------------------------------------------------------------


def nested(depth: int, *, defined: bool) -> bytes:
    if not defined:
        begin = b"\x40\x00\x30\xa7SQ\0\0" + b"\xff" * 4 + b"\xfe\xff\x00\xe0" + b"\xff" * 4
        return begin * depth + (b"\xfe\xff\x0d\xe0" + bytes(4) + b"\xfe\xff\xdd\xe0" + bytes(4)) * depth
    inside = b""
    for _ in range(depth):
        inside = raw(0x0040A730, b"SQ", b"\xfe\xff\x00\xe0" + struct.pack("<L", len(inside)) + inside)
    return inside


@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("depth", [20, 300, 5000])
def test_deep_sequences_end_in_a_result_or_a_refusal(dicom, ramp, depth, defined):
    """In the image, and where the whole header is copied into an object derived from it."""
    path = dicom.write(dicom.image(ramp[0]))
    with_elements(path, nested(depth, defined=defined), before=b"\xe0\x7f\x10\x00OW")
    if depth > 20 and not defined:
        with pytest.raises(FormatError, match="nested too deeply"):
            read(path)
        return
    assert read(path).grid.shape == (6, 4, 1)
    try:
        origin = read_origin(path)
        labels = LabelMap(np.ones(origin.grid.shape, np.uint8), origin.grid, Labels.of({"a": 1}))
        write_seg(labels, dicom.folder / "seg.dcm", origin)
    except VesaliusError:
        assert not (dicom.folder / "seg.dcm").exists()


@pytest.mark.parametrize("preamble", [b"MZ\x90\0", b"\x7fELF\2\1\1", b"#!/bin/sh\nrm -rf ~\n"])
def test_a_program_in_the_preamble_is_not_carried_on(dicom, ramp, preamble):
    """CVE-2019-11687: the image is read, and no object that is made from it begins with the program."""
    path = dicom.write(dicom.image(ramp[0]))
    data = path.read_bytes()
    path.write_bytes(preamble.ljust(128, b"\xcc") + data[128:])
    np.testing.assert_array_equal(read(path).array[0, ..., 0], ramp[0].T - 1024)
    origin = read_origin(path)
    labels = LabelMap(np.ones(origin.grid.shape, np.uint8), origin.grid, Labels.of({"a": 1}))
    write_seg(labels, dicom.folder / "seg.dcm", origin)
    made = (dicom.folder / "seg.dcm").read_bytes()
    assert made[:132] == bytes(128) + b"DICM"
    assert preamble not in made


@pytest.mark.parametrize(
    ("rows", "result"), [(4, None), (0xFFFFFFFF, "Rows must be 1 to 1048576"), (60_000, "bytes, but")]
)
def test_rows_of_another_type(dicom, ramp, rows, result):
    path = dicom.write(dicom.image(ramp[0]))
    data = path.read_bytes()
    old = raw(0x00280010, b"US", struct.pack("<H", 4))
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, raw(0x00280010, b"UL", struct.pack("<L", rows))))
    if result is None:
        assert read(path).grid.shape == (6, 4, 1)
    else:
        with pytest.raises(FormatError, match=result):
            read(path)


@pytest.mark.parametrize(
    "elements",
    [
        raw(0x00091001, b"UN", b"never ends", length=0xFFFFFFFF),
        raw(0x00091001, b"OB", b"never ends", length=0xFFFFFFFF),
        raw(0x00081140, b"SQ", b"", length=0xFFFFFFFF),
        raw(0x00081140, b"SQ", b"\xfe\xff\x00\xe0\xff\xff\xff\xff", length=0xFFFFFFFF),
        raw(0x00081140, b"SQ", b"\xfe\xff\x00\xe0\xf0\xff\xff\xff", length=0xFFFFFFFF),
        raw(0x00089215, b"SQ", b"", length=0xFFFFFFF0),
        raw(0x00181000, b"LO", b"", length=0xFFF0),
        raw(0x00091001, b"UT", b"", length=0xFFFFFFF0),
        raw(0x00091001, b"ZZ", b"", length=0xFFF0),
        raw(0x00090010, b"LO", b"", length=0xFFFF),
    ],
    ids=range(10),
)
def test_lengths_that_are_undefined_or_lie(dicom, ramp, elements):
    """The element swallows what follows, or the file ends within it: a refusal, at once and in little memory."""
    path = with_elements(dicom.write(dicom.image(ramp[0])), elements, before=b"\x18\x00\x50\x00")
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("charset", ["ISO_IR 999", "\\ISO 2022 IR 87", "ISO 2022 IR 13\\x", "utf-7", "unicode_escape"])
def test_character_sets_that_are_none(dicom, ramp, charset):
    path = dicom.write(dicom.image(ramp[0], SpecificCharacterSet="ISO_IR 100", SeriesDescription="r\xe4mark \x1b$B0"))
    old = raw(0x00080005, b"CS", b"ISO_IR 100")
    new = charset.encode() + b" " * (len(charset) % 2)
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, raw(0x00080005, b"CS", new)))
    assert read(path).grid.shape == (6, 4, 1)
    list_series(path)


def test_an_unknown_class_is_an_image_only_with_pixels(dicom, ramp):
    made = dicom.image(ramp[0], SOPClassUID="1.2.3.4.5.6.7")
    assert read(dicom.write(made)).grid.shape == (6, 4, 1)
    for keyword in ("Rows", "PixelData"):
        del made[keyword]
    with pytest.raises(FormatError, match="an object of the kind that only its maker knows"):
        read(dicom.write(made))


def test_what_is_no_file_is_not_waited_for(tmp_path):
    """A named pipe beside the images, or in place of one, would hold up the reader for ever."""
    for name in ("pipe.dcm", "pipe.nii.gz"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(FormatError, match="neither a file nor a folder"):
            read(tmp_path / name)
    with pytest.raises(FormatError, match="holds no DICOM image"):
        read_series(tmp_path / "pipe.dcm")
    with pytest.raises(FormatError, match="holds no DICOM image"):
        read(tmp_path)


# --- pixels -----------------------------------------------------------------------------------------------------------


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
    """A frame of 8 x 8 whose tables make GDCM throw what nobody catches."""
    size = b"\xff\xc3\x00\x0b\x10\x00\x08\x00\x08\x01\x00\x11\x00"
    return b"\xff\xd8" + size + tables + b"\xff\xda\x00\x08\x01\x00\x00\x01\x00\x00" + bytes(40) + b"\xff\xd9"


DEADLY = lossless_jpeg(b"\xff\xc4\x00\x14\x00" + b"\xff" * 16 + b"\x00")


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGBaseline8Bit])
def test_a_frame_that_kills_its_decoder_is_refused(dicom, syntax):
    made = dicom.image(np.zeros((8, 8), np.uint16 if syntax == JPEGLosslessSV1 else np.uint8), storage=MRImageStorage)
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate([DEADLY])
    path = dicom.write(made)
    for _ in range(2):  # once more, with the process that was started after the first died
        with pytest.raises(FormatError, match="damaged"):
            read(path)


def test_a_sound_frame_after_a_deadly_one(shared_data, dicom):
    made = dicom.image(np.zeros((8, 8), np.uint16), storage=MRImageStorage)
    made.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    made.PixelData = encapsulate([DEADLY])
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
    made.PixelData = encapsulate([DEADLY])
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


def test_no_header_shows_its_patient(dicom, ramp):
    """What is printed of the reader's own values, in a debugger or a log, holds no one's name."""
    from vesalius.io.dicom.header import read_header

    path = dicom.write(dicom.image(ramp[0]))
    header = read_header(path)
    stack, _ = __import__("vesalius.io.dicom.series", fromlist=["find_stack"]).find_stack(path, None)
    shown = f"{header!r} {stack!r} {read_origin(path)!r} {list_series(path)!r}"
    assert dcmread(path).PatientName == CANARIES[0]
    assert not [word for word in CANARIES if word in shown]
    assert pixels.LARGEST_FRAME <= pixels.LARGEST_DECODED
