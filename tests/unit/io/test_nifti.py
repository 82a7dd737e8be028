"""NIfTI: scaling, shapes, codes and units, and headers that lie."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from vesalius.errors import FormatError, GeometryError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import read, read_labels, write

# Byte offsets of NIfTI-1's fields, from the standard.
DIM, DATATYPE, VOX_OFFSET, SLOPE, SROW, MAGIC = 40, 70, 108, 112, 280, 344

GRID = Grid.from_spacing((4, 5, 6), (1.0, 2.0, 3.0), origin_mm=(-10.0, 20.0, 30.0))


@pytest.fixture
def plain(tmp_path: Path, rng: np.random.Generator) -> Path:
    array = rng.integers(-1000, 1000, (1, 4, 5, 6)).astype(np.int16)
    write(Volume(array, GRID), tmp_path / "plain.nii")
    return tmp_path / "plain.nii"


def patched(path: Path, at: int, form: str, *values: Any, name: str = "case.nii") -> Path:
    data = bytearray(path.read_bytes())
    struct.pack_into("<" + form, data, at, *values)
    (path.parent / name).write_bytes(data)
    return path.parent / name


def array_of(path: Path) -> np.ndarray:
    return np.frombuffer(path.read_bytes()[352:], np.int16).reshape(6, 5, 4).T


# What a sound file means.


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("order", "<>")
def test_every_type_in_both_byte_orders(tmp_path: Path, dtype: str, order: str) -> None:
    stored = np.arange(24).astype(np.dtype(dtype).newbyteorder(order)).reshape(2, 3, 4)
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(stored.dtype)
    nib.save(nib.Nifti1Image(stored, np.eye(4), header), tmp_path / "a.nii")
    found = read(tmp_path / "a.nii")
    assert found.array.dtype == np.dtype(dtype)
    assert np.array_equal(found.array[0], stored)


def test_a_large_raw_file_is_mapped_not_copied(tmp_path: Path) -> None:
    array = np.zeros((1, 256, 256, 100), np.int16)
    write(Volume(array, Grid.from_spacing((256, 256, 100), (1, 1, 1))), tmp_path / "big.nii")
    tracemalloc.start()
    found = read(tmp_path / "big.nii")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < array.nbytes / 10
    assert not found.array.flags.writeable


def test_whole_scaling_keeps_integers(plain: Path) -> None:
    found = read(patched(plain, SLOPE, "ff", 2.0, -1024.0))
    assert found.array.dtype == np.int16
    assert np.array_equal(found.array[0], array_of(plain) * 2 - 1024)


def test_whole_scaling_widens_where_it_must(plain: Path) -> None:
    found = read(patched(plain, SLOPE, "ff", 1000.0, 0.0))
    assert found.array.dtype == np.int32
    assert np.array_equal(found.array[0], array_of(plain).astype(np.int64) * 1000)


def test_fractional_scaling_of_small_integers_is_float32(plain: Path) -> None:
    found = read(patched(plain, SLOPE, "ff", 0.1, 7.0))
    assert found.array.dtype == np.float32
    exact = array_of(plain).astype(np.float64) * np.float64(np.float32(0.1)) + 7
    assert np.array_equal(found.array[0], exact.astype(np.float32))


def test_fractional_scaling_of_large_integers_is_float64(tmp_path: Path) -> None:
    stored = np.array([2**30, 2**30 + 1, 0, 1], np.int32).reshape(2, 2, 1)
    image = nib.Nifti1Image(stored, np.eye(4))
    image.header.set_slope_inter(0.5, 0)
    nib.save(image, tmp_path / "a.nii")
    path = patched(tmp_path / "a.nii", SLOPE, "ff", 0.5, 0.0)
    found = read(path)
    assert found.array.dtype == np.float64
    assert np.array_equal(found.array[0], stored * 0.5)


@pytest.mark.parametrize(("slope", "intercept"), [(0.0, 5.0), (float("nan"), 0.0), (1.0, 0.0), (float("inf"), 1.0)])
def test_scaling_that_means_none(plain: Path, slope: float, intercept: float) -> None:
    assert np.array_equal(read(patched(plain, SLOPE, "ff", slope, intercept)).array[0], array_of(plain))


def test_gzip_is_known_by_its_content(plain: Path) -> None:
    (plain.parent / "packed.nii").write_bytes(gzip.compress(plain.read_bytes()))
    (plain.parent / "raw.nii.gz").write_bytes(plain.read_bytes())
    for name in ("packed.nii", "raw.nii.gz"):
        assert np.array_equal(read(plain.parent / name).array[0], array_of(plain))


def test_a_gzip_of_several_members(plain: Path) -> None:
    data = plain.read_bytes()
    members = [gzip.compress(data[at : at + 100]) for at in range(0, len(data), 100)]
    (plain.parent / "many.nii.gz").write_bytes(b"".join(members) + bytes(512))
    assert np.array_equal(read(plain.parent / "many.nii.gz").array[0], array_of(plain))


@pytest.mark.parametrize("named", ["pair.hdr", "pair.img"])
def test_a_pair_is_read_by_either_name(tmp_path: Path, named: str) -> None:
    image = Volume(np.arange(120, dtype=np.uint16).reshape(1, 4, 5, 6), GRID)
    write(image, tmp_path / named)
    assert {found.name for found in tmp_path.iterdir()} == {"pair.hdr", "pair.img"}
    found = read(tmp_path / named)
    assert np.array_equal(found.array, image.array)
    assert found.grid.is_close(GRID, tolerance_mm=1e-5)


def test_half_a_pair(tmp_path: Path) -> None:
    write(Volume(np.zeros((1, 4, 5, 6)), GRID), tmp_path / "pair.hdr")
    (tmp_path / "pair.img").rename(tmp_path / "lost")
    with pytest.raises(FormatError, match=r"pair\.hdr: the other half of the pair, pair\.img, is missing"):
        read(tmp_path / "pair.hdr")


@pytest.mark.parametrize(
    ("dim", "expected"),
    [
        ((2, 24, 5, 1, 1, 1, 1, 1), (1, 24, 5)),
        ((3, 24, 5, 1, 1, 1, 1, 1), (1, 24, 5, 1)),
        ((4, 4, 5, 6, 1, 1, 1, 1), (1, 4, 5, 6)),
        ((4, 4, 5, 2, 3, 1, 1, 1), (3, 4, 5, 2)),
        ((4, 4, 5, 1, 6, 1, 1, 1), (6, 4, 5, 1)),
        ((5, 4, 5, 2, 1, 3, 1, 1), (3, 4, 5, 2)),
        ((7, 4, 5, 2, 1, 1, 1, 3), (3, 4, 5, 2)),
    ],
)
def test_axes_beyond_space_are_channels(plain: Path, dim: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert read(patched(plain, DIM, "8h", *dim)).array.shape == expected


def test_two_axes_beyond_space_are_refused(plain: Path) -> None:
    with pytest.raises(FormatError, match=r"case\.nii: it has 2 axes beyond space"):
        read(patched(plain, DIM, "8h", 5, 4, 5, 1, 2, 3, 1, 1))


@pytest.mark.parametrize(("datatype", "samples"), [(128, 3), (2304, 4)])
def test_colours(tmp_path: Path, rng: np.random.Generator, datatype: int, samples: int) -> None:
    kind = np.dtype([(name, "u1") for name in "RGBA"[:samples]])
    stored = rng.integers(0, 256, (4, 5, 6, samples)).astype(np.uint8).view(kind)[..., 0]
    nib.save(nib.Nifti1Image(stored, np.eye(4)), tmp_path / "a.nii.gz")
    found = read(tmp_path / "a.nii.gz")
    assert int(nib.load(tmp_path / "a.nii.gz").header["datatype"]) == datatype
    assert found.meta.modality == "RGB"
    assert found.meta.notes == (("The alpha channel was dropped.",) if samples == 4 else ())
    for channel, name in enumerate("RGB"):
        assert np.array_equal(found.array[channel], stored[name])


def test_colours_are_written_as_colours(tmp_path: Path, rng: np.random.Generator) -> None:
    grid = Grid.from_spacing((7, 8), (1, 1))
    image = Volume(rng.integers(0, 256, (3, 7, 8)).astype(np.uint8), grid, Meta(modality="RGB"))
    write(image, tmp_path / "a.nii")
    assert nib.load(tmp_path / "a.nii").header.get_data_dtype() == np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    found = read(tmp_path / "a.nii")
    assert np.array_equal(found.array, image.array)
    assert found.grid == grid


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("shape", [(7, 8), (7, 8, 1), (7, 8, 9)])
def test_channels_and_dimension_survive(tmp_path: Path, shape: tuple[int, ...], channels: int) -> None:
    size = channels * int(np.prod(shape))
    image = Volume(np.arange(size, dtype=np.float64).reshape(channels, *shape), Grid(shape, np.eye(len(shape) + 1)))
    write(image, tmp_path / "a.nii.gz")
    found = read(tmp_path / "a.nii.gz")
    assert np.array_equal(found.array, image.array)
    assert found.grid == image.grid


def test_a_long_axis_is_written_as_nifti_2(tmp_path: Path) -> None:
    image = Volume(np.arange(40_000, dtype=np.uint16).reshape(1, 40_000, 1, 1), Grid((40_000, 1, 1), np.eye(4)))
    write(image, tmp_path / "a.nii")
    assert isinstance(nib.load(tmp_path / "a.nii"), nib.Nifti2Image)
    assert np.array_equal(read(tmp_path / "a.nii").array, image.array)


def test_an_array_in_c_order_and_in_file_order_make_the_same_file(tmp_path: Path, rng: np.random.Generator) -> None:
    array = rng.integers(0, 9, (2, 4, 5, 6)).astype(np.int16)
    write(Volume(array, GRID), tmp_path / "a.nii")
    write(Volume(np.asfortranarray(array), GRID), tmp_path / "b.nii")
    assert (tmp_path / "a.nii").read_bytes() == (tmp_path / "b.nii").read_bytes()


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".hdr"])
def test_label_names_survive(tmp_path: Path, suffix: str) -> None:
    labels = Labels.of({"liver ü": 1, "tumour": 3}, regions={"organ": (1, 3)}, ignore=255)
    array = np.zeros((4, 5, 6), np.int64)
    array[0], array[1], array[2] = 1, 3, 255
    write(LabelMap(array, GRID, labels), tmp_path / f"a{suffix}")
    found = read_labels(tmp_path / f"a{suffix}")
    assert found.labels == labels
    assert found.array.dtype == np.uint8
    assert np.array_equal(found.array, array)
    peer = nib.load(tmp_path / f"a{suffix}")
    assert np.array_equal(np.asanyarray(peer.dataobj), array)


# What cannot be.


@pytest.mark.parametrize(
    ("at", "form", "values", "error", "words"),
    [
        (MAGIC, "4s", (b"abc\0",), FormatError, "not a NIfTI file"),
        (MAGIC, "4s", (bytes(4),), FormatError, "ANALYZE"),
        (MAGIC, "4s", (b"ni1\0",), FormatError, r"\.hdr and \.img"),
        (0, "i", (349,), FormatError, "348 or 540"),
        (DATATYPE, "h", (32,), FormatError, "complex"),
        (DATATYPE, "h", (1792,), FormatError, "complex"),
        (DATATYPE, "h", (1536,), FormatError, "128-bit"),
        (DATATYPE, "h", (1,), FormatError, "1-bit"),
        (DATATYPE, "h", (999,), FormatError, "unknown"),
        (DIM, "h", (0,), FormatError, "shape"),
        (DIM, "h", (1,), FormatError, "shape"),
        (DIM, "h", (8,), FormatError, "shape"),
        (DIM + 2, "h", (0,), FormatError, "shape"),
        (DIM + 2, "h", (-4,), FormatError, "shape"),
        (VOX_OFFSET, "f", (float("nan"),), FormatError, "vox_offset"),
        (VOX_OFFSET, "f", (float("inf"),), FormatError, "vox_offset"),
        (VOX_OFFSET, "f", (-352.0,), FormatError, "vox_offset"),
        (VOX_OFFSET, "f", (0.0,), FormatError, "vox_offset"),
        (VOX_OFFSET, "f", (352.5,), FormatError, "vox_offset"),
        (VOX_OFFSET, "f", (1e9,), FormatError, "declares 240 bytes"),
        (SROW, "f", (float("nan"),), GeometryError, "NaN"),
        (SROW + 12, "f", (float("inf"),), GeometryError, "affine"),
        (SROW + 12, "f", (1e30,), GeometryError, "damaged header"),
        (SROW, "12f", (0.0,) * 12, GeometryError, "singular"),
        (SROW, "12f", (1.0,) * 12, GeometryError, "singular"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_headers_that_lie(
    plain: Path, at: int, form: str, values: tuple[Any, ...], error: type, words: str, packed: bool
) -> None:
    path = patched(plain, at, form, *values)
    if packed:
        (path.parent / "case.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
        path = path.parent / "case.nii.gz"
    with pytest.raises(error, match=words) as caught:
        read(path)
    assert path.name in str(caught.value)
    assert str(path.parent) not in str(caught.value)


@pytest.mark.parametrize("packed", [False, True])
def test_eighteen_gigabytes_declared_over_four_hundred_bytes(plain: Path, packed: bool) -> None:
    path = patched(plain, DIM, "8h", 3, 3000, 3000, 1000, 1, 1, 1, 1)
    data = path.read_bytes()[:400]
    path.write_bytes(gzip.compress(data) if packed else data)
    tracemalloc.start()
    with pytest.raises(FormatError, match=r"case\.nii: the header declares 18,000,000,000 bytes of voxels"):
        read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


def test_a_gzip_bomb_is_inflated_no_further_than_declared(plain: Path) -> None:
    bomb = gzip.compress(plain.read_bytes() + bytes(500_000_000), 1)
    path = plain.parent / "bomb.nii.gz"
    path.write_bytes(bomb)
    tracemalloc.start()
    found = read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.array_equal(found.array[0], array_of(plain))
    assert peak < 20_000_000


@pytest.mark.parametrize("keep", [0, 2, 100, 347, 350, 352, 500, -1])
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_cut_off(plain: Path, keep: int, packed: bool) -> None:
    data = plain.read_bytes()
    path = plain.parent / ("cut.nii.gz" if packed else "cut.nii")
    path.write_bytes(gzip.compress(data[:keep]) if packed else data[:keep])
    with pytest.raises(FormatError, match=path.name.replace(".", r"\.")):
        read(path)


@pytest.mark.parametrize("keep", [10, 100, 200])
def test_a_gzip_stream_that_is_cut_off(plain: Path, keep: int) -> None:
    path = plain.parent / "cut.nii.gz"
    path.write_bytes(gzip.compress(plain.read_bytes())[:keep])
    with pytest.raises(FormatError, match=r"cut\.nii\.gz"):
        read(path)


def test_a_gzip_stream_whose_checksum_is_wrong(plain: Path) -> None:
    data = bytearray(gzip.compress(plain.read_bytes()))
    data[-6] ^= 1
    (plain.parent / "bad.nii.gz").write_bytes(data)
    with pytest.raises(FormatError, match=r"bad\.nii\.gz: the gzip stream is damaged"):
        read(plain.parent / "bad.nii.gz")


def test_damaged_label_names_are_an_error(tmp_path: Path) -> None:
    write(LabelMap(np.ones((4, 5, 6), np.uint8), GRID, Labels.of({"liver": 1})), tmp_path / "a.nii")
    data = (tmp_path / "a.nii").read_bytes().replace(b'"value": 1', b'"value": x')
    (tmp_path / "a.nii").write_bytes(data)
    with pytest.raises(VesaliusError, match=r"a\.nii: the label names in the file are damaged"):
        read_labels(tmp_path / "a.nii")


def test_complex_and_long_doubles_cannot_be_written(tmp_path: Path) -> None:
    image = Volume(np.zeros((1, 4, 5, 6), np.float16), GRID)
    write(image, tmp_path / "half.nii")
    assert read(tmp_path / "half.nii").array.dtype == np.float32
    if np.dtype(np.longdouble).itemsize > 8:
        with pytest.raises(FormatError, match=r"cannot write long\.nii: NIfTI cannot hold"):
            write(Volume(np.zeros((1, 4, 5, 6), np.longdouble), GRID), tmp_path / "long.nii")
        assert not (tmp_path / "long.nii").exists()
