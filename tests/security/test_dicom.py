"""DICOM files that attack their reader; docs/development/security.md says where the other cases are tried."""

import os
import struct
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from canaries import CANARIES
from dicoms import Maker
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    MediaStorageDirectoryStorage,
)

from vesalius.errors import FormatError, VesaliusError
from vesalius.image import LabelMap, Labels
from vesalius.io import read
from vesalius.io.dicom import list_series, pixels, read_series
from vesalius.io.dicom.origin import read_origin
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
