"""TIFF: axes, spacing from whoever tells it, compressions, and files that lie."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from vesalius.errors import FormatError
from vesalius.image import Grid, Meta, Volume
from vesalius.io import read, write

STACK = np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)  # (k, j, i)


def test_pages_are_slices(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="minisblack")
    found = read(tmp_path / "a.tif")
    assert np.array_equal(found.array[0], STACK.T)
    assert found.grid == Grid((6, 5, 4), np.eye(4))
    assert found.meta == Meta(calibrated=False)


def test_one_page_is_a_picture(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK[0])
    assert np.array_equal(read(tmp_path / "a.tif").array[0], STACK[0].T)


@pytest.mark.parametrize(
    ("unit", "scale"), [("um", 1e-3), ("micron", 1e-3), ("\\u00B5m", 1e-3), ("mm", 1.0), ("nm", 1e-6), ("cm", 10.0)]
)
def test_spacing_of_imagej(tmp_path: Path, unit: str, scale: float) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        STACK,
        imagej=True,
        resolution=(2.0, 4.0),
        metadata={"axes": "ZYX", "spacing": 3.0, "unit": unit},
    )
    found = read(tmp_path / "a.tif")
    assert found.grid.spacing_mm == pytest.approx((0.5 * scale, 0.25 * scale, 3 * scale))
    assert found.meta.calibrated


@pytest.mark.parametrize("metadata", [{"axes": "ZYX"}, {"axes": "ZYX", "unit": "pixel", "spacing": 2.0}])
def test_imagej_without_a_unit_is_not_calibrated(tmp_path: Path, metadata: dict[str, Any]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, resolution=(2.0, 4.0), metadata=metadata)
    found = read(tmp_path / "a.tif")
    assert found.grid.spacing_mm == (1.0, 1.0, 1.0)
    assert not found.meta.calibrated


def test_spacing_of_ome(tmp_path: Path) -> None:
    told = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25, "PhysicalSizeZ": 2}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, ome=True, metadata=told)
    found = read(tmp_path / "a.ome.tif")  # a size without unit is in µm: the schema's default
    assert found.grid.spacing_mm == pytest.approx((0.5e-3, 0.25e-3, 2e-3))


def test_resolution_in_centimetres_counts_and_in_inches_does_not(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], resolution=(20, 40), resolutionunit=3, metadata=None)
    assert read(tmp_path / "a.tif").grid.spacing_mm == (0.5, 0.25)
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], resolution=(72, 72), resolutionunit=2, metadata=None)
    assert not read(tmp_path / "a.tif").meta.calibrated


def test_colours_and_alpha(tmp_path: Path, rng: np.random.Generator) -> None:
    picture = rng.integers(0, 256, (5, 6, 4)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", picture[..., :3], photometric="rgb")
    assert np.array_equal(read(tmp_path / "a.tif").array, picture[..., :3].transpose(2, 1, 0))
    assert read(tmp_path / "a.tif").meta.modality == "RGB"
    tifffile.imwrite(tmp_path / "b.tif", picture, photometric="rgb", extrasamples=["unassalpha"])
    assert np.array_equal(read(tmp_path / "b.tif").array, picture[..., :3].transpose(2, 1, 0))
    assert read(tmp_path / "b.tif").meta.notes == ("The alpha channel was dropped.",)


@pytest.mark.parametrize("axes", ["ZCYX", "CZYX", "TZYX"])
def test_channels_or_time_beside_slices(tmp_path: Path, axes: str, rng: np.random.Generator) -> None:
    array = rng.integers(0, 99, (3, 4, 5, 6)).astype(np.uint8)
    told = {"axes": axes if axes == "ZCYX" else "TZYX" if axes[0] == "T" else "CZYX"}
    tifffile.imwrite(tmp_path / "a.tif", array, ome=True, metadata=told, photometric="minisblack")
    found = read(tmp_path / "a.tif")
    expected = array.transpose(1, 3, 2, 0) if axes == "ZCYX" else array.transpose(0, 3, 2, 1)
    assert np.array_equal(found.array, expected)


def test_channels_and_time_are_too_much(tmp_path: Path) -> None:
    array = np.zeros((2, 3, 5, 6), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", array, ome=True, metadata={"axes": "TCYX"}, photometric="minisblack")
    with pytest.raises(FormatError, match=r"a\.tif: its axes are TCYX"):
        read(tmp_path / "a.tif")


def test_white_is_zero(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, photometric="miniswhite")
    found = read(tmp_path / "a.tif")
    assert np.array_equal(found.array[0], (65_535 - STACK).T)
    assert found.meta.notes == ("Zero was white in the file; values were inverted.",)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_deflate", "tiff_adobe_deflate"])
def test_compressions(tmp_path: Path, compression: str) -> None:
    first, *others = (Image.fromarray(page) for page in STACK)
    first.save(tmp_path / "a.tif", compression=compression, save_all=True, append_images=others)
    assert np.array_equal(read(tmp_path / "a.tif").array[0], STACK.T)


def test_a_fax_page_is_zero_and_one(tmp_path: Path) -> None:
    picture = np.eye(5, 6, dtype=bool)
    Image.fromarray(picture).save(tmp_path / "a.tif", compression="group4")
    found = read(tmp_path / "a.tif")
    assert found.array.dtype == np.uint8
    assert np.array_equal(found.array[0].T, picture)


def test_several_images_are_noted(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(STACK[0])
        file.write(np.zeros((3, 3), np.uint8))
    found = read(tmp_path / "a.tif")
    assert np.array_equal(found.array[0], STACK[0].T)
    assert found.meta.notes == ("Of 2 images in the file the first was read.",)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 4)])
@pytest.mark.parametrize("modality", ["RGB", "OT"])
@pytest.mark.parametrize("calibrated", [True, False])
def test_what_we_write_comes_back(
    tmp_path: Path, rng: np.random.Generator, channels: int, shape: tuple[int, ...], modality: Any, calibrated: bool
) -> None:
    array = rng.integers(0, 256, (channels, *shape)).astype(np.uint8)
    spacing = (0.1, 1 / 3, 2.5)[: len(shape)] if calibrated else (1.0,) * len(shape)
    image = Volume(array, Grid.from_spacing(shape, spacing), Meta(modality, calibrated=calibrated))
    write(image, tmp_path / "a.tif")
    found = read(tmp_path / "a.tif")
    assert np.array_equal(found.array, array)
    assert found.grid == image.grid
    assert found.meta.calibrated == calibrated
    assert found.meta.modality == ("RGB" if modality == "RGB" and channels == 3 else "OT")


@pytest.mark.parametrize("spacing", [1e-12, 1e-7, 1e4, 1e9])
def test_spacings_beyond_the_resolution_tags(tmp_path: Path, spacing: float) -> None:
    image = Volume(np.zeros((1, 6, 5, 4)), Grid.from_spacing((6, 5, 4), (spacing,) * 3))
    write(image, tmp_path / "a.tif")
    assert read(tmp_path / "a.tif").grid == image.grid


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("part", [0.0, 0.05, 0.5, 0.95])
def test_a_file_that_is_cut_off(tmp_path: Path, rng: np.random.Generator, compression: str | None, part: float) -> None:
    noise = rng.integers(0, 65_535, (4, 50, 60)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", noise, compression=compression, photometric="minisblack")
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(FormatError, match=r"^a\.tif: "):
        read(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_header_that_declares_gigabytes(tmp_path: Path, compression: str | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], compression=compression, metadata=None, rowsperstrip=5)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        places = [file.pages[0].tags[name].valueoffset for name in ("ImageWidth", "ImageLength")]
    for place, size in zip(places, (6, 5), strict=True):
        assert struct.unpack_from("<H", data, place)[0] == size
        struct.pack_into("<H", data, place, 60_000)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(FormatError, match=r"a\.tif: the header declares 7,200,000,000 bytes"):
        read(tmp_path / "a.tif")


def test_pages_that_lead_in_a_circle(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK[0], metadata=None)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(FormatError, match="circle"):
        read(tmp_path / "a.tif")
