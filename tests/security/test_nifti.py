"""NIfTI files that attack their reader, or tell more than the image."""

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from canaries import BIRTH_DATE, CANARIES, ID, NAME

from vesalius.cli import main
from vesalius.errors import FormatError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import FORMATS, read, read_labels, write

GRID = Grid.from_spacing((4, 5, 6), (1, 1, 3))
OFFSET = 108  # of vox_offset


def extension(code: int, text: bytes, *, size: int | None = None) -> bytes:
    whole = -(-(8 + len(text)) // 16) * 16
    return struct.pack("=ii", whole if size is None else size, code) + text.ljust(whole - 8, b"\0")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    write(Volume(np.arange(120, dtype=np.int16).reshape(1, 4, 5, 6), GRID), tmp_path / "plain.nii")
    return tmp_path / "plain.nii"


def with_extensions(plain: Path, *extensions: bytes) -> Path:
    data = plain.read_bytes()
    held = b"".join(extensions)
    head = bytearray(data[:348])
    struct.pack_into("=f", head, OFFSET, 352 + len(held))
    plain.write_bytes(bytes(head) + b"\1\0\0\0" + held + data[352:])
    return plain


def with_patient(plain: Path) -> Path:
    """A patient in each place where a header holds free text, and in an extension of each kind."""
    data = bytearray(plain.read_bytes())
    for at, size, text in (
        (4, 10, ID),
        (14, 18, NAME),
        (148, 80, f"{NAME} {BIRTH_DATE}"),
        (228, 24, NAME),
        (328, 16, ID),
    ):
        data[at : at + size] = text.encode()[:size].ljust(size, b"\0")
    plain.write_bytes(data)
    texts = (f"<name>{NAME}</name>".encode(), f'{{"PatientID": "{ID}"}}'.encode(), BIRTH_DATE.encode())
    return with_extensions(plain, *(extension(code, text) for code in (0, 2, 4, 6, 44) for text in texts))


@pytest.mark.parametrize(
    "suffix", [suffix for suffix in FORMATS if suffix in (".nii", ".nii.gz", ".hdr", ".nrrd", ".mha")]
)
def test_what_hides_in_a_header_is_not_carried_on(plain, tmp_path, suffix, capsys):
    """Free text and extensions stay in the file: neither shown, nor written into the next one."""
    volume = read(with_patient(plain))
    np.testing.assert_array_equal(volume.array[0].ravel(), np.arange(120))
    assert not [word for word in CANARIES if word in repr(volume) or word in repr(volume.meta)]
    write(volume, tmp_path / f"next{suffix}")
    for path in tmp_path.glob("next*"):
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        assert not [word for word in CANARIES if word.encode() in data]
    assert main(["show", str(plain)]) == 0
    told = capsys.readouterr()
    assert not [word for word in CANARIES if word in told.out + told.err]


@pytest.mark.parametrize("size", [0, -16, 8, 15, 17, 1 << 20, 0x7FFFFFFF, -0x80000000])
def test_extensions_whose_length_lies(plain, size):
    """No loop, and no text beyond the extension is taken for the labels' names."""
    named = b"vesalius labels 1\n{}"
    path = with_extensions(plain, extension(6, b"x" * 40, size=size), extension(6, named))
    tracemalloc.start()
    try:
        if size == 17:  # the next one is then read from the middle of a text, and ends there
            read(path)
        else:
            np.testing.assert_array_equal(read(path).array[0].ravel(), np.arange(120))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "names",
    [
        b"[" * 100_000,
        b'{"labels": [{"name": "' + NAME.encode() + b'", "value": "x"}]}',
        b'{"labels": ' + b"[1," * 50_000,
        b'{"labels": [], "regions": [], "ignore": ' + b"9" * 5000 + b"}",
        b"\xff\xfe\xfd",
    ],
    ids=["deep", "patient", "unfinished", "digits", "bytes"],
)
def test_names_of_labels_that_attack(plain, names):
    with pytest.raises(FormatError, match="the label names in the file are damaged") as caught:
        read_labels(with_extensions(plain, extension(6, b"vesalius labels 1\n" + names)))
    assert NAME not in str(caught.value)


def test_more_extensions_than_any_file_has(plain):
    """Of a million the first mebibyte is looked at."""
    path = with_extensions(plain, extension(4, b"x") * 200_000)
    np.testing.assert_array_equal(read(path).array[0].ravel(), np.arange(120))


@pytest.mark.parametrize("version", [1, 2])
def test_sizes_whose_product_overflows(tmp_path, version):
    """Seven axes of the largest size that their type holds: 2 to the 441st voxels in NIfTI-2."""
    largest = 2**15 - 1 if version == 1 else 2**63 - 1
    label = LabelMap(np.zeros(GRID.shape, np.uint8), GRID, Labels.of({"a": 1}))
    write(label, tmp_path / "a.nii")
    data = bytearray((tmp_path / "a.nii").read_bytes())
    if version == 1:
        struct.pack_into("=8h", data, 40, 4, *[largest] * 4, 1, 1, 1)
    else:
        head = bytearray(540)
        struct.pack_into("=i8shh8q", head, 0, 540, b"n+2\0\r\n\x1a\n", 2, 8, 4, *[largest] * 4, 1, 1, 1)
        struct.pack_into("=8d", head, 104, 1, 1, 1, 1, 1, 1, 1, 1)
        struct.pack_into("=q", head, 168, 544)
        data = head + bytes(64)
    for name, held in (("a.nii", bytes(data)), ("a.nii.gz", gzip.compress(bytes(data)))):
        (tmp_path / name).write_bytes(held)
        with pytest.raises((FormatError, GeometryError), match=r"declares .* bytes of voxels|axes must have 1 to"):
            read(tmp_path / name)


def test_members_without_content_behind_one_another(plain):
    """A gzip of a hundred thousand empty members: read to its end, and no image."""
    path = plain.with_name("members.nii.gz")
    path.write_bytes(gzip.compress(b"") * 100_000 + gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(read(path).array[0].ravel(), np.arange(120))
    path.write_bytes(gzip.compress(b"") * 100_000)
    with pytest.raises(FormatError):
        read(path)


def test_a_pair_whose_halves_are_each_other(tmp_path):
    """Links in a circle, and an image that is its own header."""
    (tmp_path / "a.hdr").symlink_to(tmp_path / "a.img")
    (tmp_path / "a.img").symlink_to(tmp_path / "a.hdr")
    with pytest.raises(FormatError):
        read(tmp_path / "a.hdr")
