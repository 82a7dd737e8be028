"""MetaImage: fields and their synonyms, compression, detached voxels, and headers that lie."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from vesalius.errors import FormatError, GeometryError
from vesalius.image import Grid, Volume
from vesalius.io import read, write

ARRAY = np.arange(24, dtype="<i2").reshape(2, 3, 4)  # (i, j, k)
HEADER = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "0 1 0 -1 0 0 0 0 1",
    "Offset": "10 20 30",
    "ElementSpacing": "1 2 3",
    "DimSize": "2 3 4",
    "ElementType": "MET_SHORT",
}


def meta(path: Path, data: bytes = ARRAY.tobytes(order="F"), drop: tuple[str, ...] = (), **changes: str) -> Path:
    fields = {**HEADER, **changes}
    file = fields.pop("ElementDataFile", "LOCAL")
    lines = [f"{name} = {value}\n" for name, value in fields.items() if name not in drop]
    path.write_bytes("".join([*lines, f"ElementDataFile = {file}\n"]).encode() + data)
    return path


def test_the_matrix_lists_the_axes_one_after_the_other(tmp_path: Path) -> None:
    found = read(meta(tmp_path / "a.mha"))
    assert np.array_equal(found.array[0], ARRAY)
    assert np.array_equal(found.grid.affine, [[0, -2, 0, 10], [1, 0, 0, 20], [0, 0, 3, 30], [0, 0, 0, 1]])


@pytest.mark.parametrize("origin", ["Offset", "Origin", "Position"])
@pytest.mark.parametrize("matrix", ["TransformMatrix", "Rotation", "Orientation"])
def test_synonyms(tmp_path: Path, origin: str, matrix: str) -> None:
    fields = {origin: HEADER["Offset"], matrix: HEADER["TransformMatrix"]}
    found = read(meta(tmp_path / "a.mha", drop=tuple({"Offset", "TransformMatrix"} - set(fields)), **fields))
    assert found.grid == read(meta(tmp_path / "b.mha")).grid


def test_without_a_place(tmp_path: Path) -> None:
    found = read(meta(tmp_path / "a.mha", drop=("Offset", "TransformMatrix", "ElementSpacing")))
    assert found.grid == Grid((2, 3, 4), np.eye(4))
    assert not found.meta.calibrated


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("MET_CHAR", "i1"), ("MET_UCHAR", "u1"), ("MET_SHORT", "i2"), ("MET_USHORT", "u2"), ("MET_INT", "i4"),
        ("MET_UINT", "u4"), ("MET_LONG", "i4"), ("MET_ULONG", "u4"), ("MET_LONG_LONG", "i8"),
        ("MET_ULONG_LONG", "u8"), ("MET_FLOAT", "f4"), ("MET_DOUBLE", "f8"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("order", "<>")
def test_types_and_byte_orders(tmp_path: Path, name: str, dtype: str, order: str) -> None:
    data = ARRAY.astype(order + dtype).tobytes(order="F")
    path = meta(tmp_path / "a.mha", data, ElementType=name, BinaryDataByteOrderMSB=str(order == ">"))
    found = read(path)
    assert found.array.dtype == np.dtype(dtype)
    assert np.array_equal(found.array[0], ARRAY)


@pytest.mark.parametrize("compress", [zlib.compress, gzip.compress])
def test_compression(tmp_path: Path, compress) -> None:
    path = meta(tmp_path / "a.mha", compress(ARRAY.tobytes(order="F")), CompressedData="True")
    assert np.array_equal(read(path).array[0], ARRAY)


@pytest.mark.parametrize(("size", "before"), [("5", b"12345"), ("-1", b"whatever")])
def test_header_size(tmp_path: Path, size: str, before: bytes) -> None:
    (tmp_path / "a.raw").write_bytes(before + ARRAY.tobytes(order="F"))
    path = meta(tmp_path / "a.mhd", b"", ElementDataFile="a.raw", HeaderSize=size)
    assert np.array_equal(read(path).array[0], ARRAY)


def test_voxels_that_look_like_a_header(tmp_path: Path) -> None:
    data = b"\nElementDataFile = x\nNDims = 9\n".ljust(48, b"!")
    assert read(meta(tmp_path / "a.mha", data)).array.tobytes(order="A") == data


@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
@pytest.mark.parametrize("compressed", [True, False])
def test_simpleitk_compressed_or_not(tmp_path: Path, suffix: str, compressed: bool) -> None:
    image = sitk.GetImageFromArray(ARRAY.T)
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"), compressed)
    assert np.array_equal(read(tmp_path / f"a{suffix}").array[0], ARRAY)


def test_numbers_are_written_exactly(tmp_path: Path) -> None:
    grid = Grid.from_spacing((2, 3, 4), (0.1, 1 / 3, 1e-4), origin_mm=(-1 / 7, 1e6 / 3, 0.2))
    write(Volume(ARRAY[None], grid), tmp_path / "a.mha")
    assert read(tmp_path / "a.mha").grid == grid


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"NDims": "x"}, FormatError, "NDims is missing or does not hold 1 numbers"),
        ({"NDims": "5"}, FormatError, "5 axes"),
        ({"DimSize": "2 3"}, FormatError, "DimSize is missing or does not hold 3 numbers"),
        ({"DimSize": "2 3 0"}, FormatError, "shape"),
        ({"DimSize": "2 3 5"}, FormatError, "declares 60 bytes of voxels, but the file holds 48"),
        ({"DimSize": "30000 30000 30000"}, FormatError, "declares 54,000,000,000,000 bytes"),
        ({"DimSize": "30000 30000 10", "CompressedData": "True"}, FormatError, "holds at most"),
        ({"ElementNumberOfChannels": "0"}, FormatError, "shape"),
        ({"ElementNumberOfChannels": "1000000000"}, FormatError, "declares"),
        ({"ElementType": "MET_OTHER"}, FormatError, "ElementType 'MET_OTHER' cannot be read"),
        ({"BinaryData": "False"}, FormatError, "text"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 0 nan"}, GeometryError, "NaN"),
        ({"TransformMatrix": "1 0 0 0 1 0 0 0 0"}, GeometryError, "singular"),
        ({"TransformMatrix": "1 0 0"}, FormatError, "TransformMatrix"),
        ({"ElementSpacing": "1 2 inf"}, GeometryError, "affine"),
        ({"ElementSpacing": "0 1 1"}, GeometryError, "singular"),
        ({"Offset": "1 2 1e300"}, GeometryError, "damaged header"),
        ({"HeaderSize": "-7"}, FormatError, "HeaderSize"),
        ({"ElementDataFile": "../a.raw"}, FormatError, "outside its own folder"),
        ({"ElementDataFile": "/etc/hostname"}, FormatError, "outside its own folder"),
        ({"ElementDataFile": "lost.raw"}, FormatError, r"lost\.raw is missing"),
        ({"ElementDataFile": "LIST"}, FormatError, "several files"),
        ({"CompressedData": "True"}, FormatError, "(damaged|cut off)"),
    ],
)
def test_headers_that_lie(tmp_path: Path, changes: dict[str, str], error: type, words: str) -> None:
    with pytest.raises(error, match=rf"^a\.mha: .*{words}"):
        read(meta(tmp_path / "a.mha", **changes))


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_a_file_that_is_cut_off(tmp_path: Path, keep: int) -> None:
    path = meta(tmp_path / "a.mha")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FormatError, match=r"^a\.mha: "):
        read(path)


def test_a_fourth_axis_that_moves_points(tmp_path: Path) -> None:
    path = meta(
        tmp_path / "a.mha",
        NDims="4",
        DimSize="2 3 2 2",
        TransformMatrix="1 0 0 0 0 1 0 0 0 0 1 0 0.5 0 0 1",
        Offset="0 0 0 0",
        ElementSpacing="1 1 1 1",
    )
    with pytest.raises(GeometryError, match="fourth axis moves points"):
        read(path)
