"""Pictures: modes, orientation of the axes, what was decided, and bombs."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vesalius.errors import FormatError
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import read, read_labels, write

ROWS, COLUMNS = 5, 7
GRID = Grid((COLUMNS, ROWS), np.eye(3))


def png(path: Path, depth: int, colour: int, rows: bytes, size: tuple[int, int] = (COLUMNS, ROWS)) -> Path:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_i_runs_right_and_j_down(tmp_path: Path, suffix: str) -> None:
    picture = np.zeros((ROWS, COLUMNS), np.uint8)
    picture[1, 4] = 200  # second row, fifth column
    Image.fromarray(picture).save(tmp_path / f"a{suffix}")
    found = read(tmp_path / f"a{suffix}")
    assert found.array.shape == (1, COLUMNS, ROWS)
    assert found.array[0, 4, 1] == 200
    assert found.grid == GRID
    assert found.meta == Meta(calibrated=False)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_colour(tmp_path: Path, rng: np.random.Generator, suffix: str) -> None:
    picture = rng.integers(0, 256, (ROWS, COLUMNS, 3)).astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / f"a{suffix}")
    found = read(tmp_path / f"a{suffix}")
    assert np.array_equal(found.array, picture.transpose(2, 1, 0))
    assert found.meta.modality == "RGB"
    write(found, tmp_path / f"b{suffix}")
    assert np.array_equal(np.asarray(Image.open(tmp_path / f"b{suffix}")), picture)


def test_sixteen_bits(tmp_path: Path, rng: np.random.Generator) -> None:
    picture = rng.integers(0, 65_536, (ROWS, COLUMNS)).astype(np.uint16)
    Image.fromarray(picture).save(tmp_path / "a.png")
    found = read(tmp_path / "a.png")
    assert found.array.dtype == np.uint16
    assert np.array_equal(found.array[0].T, picture)
    write(found, tmp_path / "b.png")
    assert np.array_equal(read(tmp_path / "b.png").array, found.array)


def test_one_bit_is_zero_and_one(tmp_path: Path) -> None:
    picture = np.eye(ROWS, COLUMNS, dtype=bool)
    Image.fromarray(picture).save(tmp_path / "a.png")
    found = read(tmp_path / "a.png")
    assert found.array.dtype == np.uint8
    assert np.array_equal(found.array[0].T, picture)
    assert read_labels(tmp_path / "a.png").labels.values == (1,)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_dropped_and_noted(tmp_path: Path, rng: np.random.Generator, mode: str) -> None:
    picture = rng.integers(0, 256, (ROWS, COLUMNS, len(mode))).astype(np.uint8)
    Image.fromarray(picture, mode=None).save(tmp_path / "a.png")
    found = read(tmp_path / "a.png")
    assert np.array_equal(found.array, picture[..., :-1].transpose(2, 1, 0))
    assert found.meta.notes == ("The alpha channel was dropped.",)


def test_a_palette_is_colours_for_images_and_indices_for_labels(tmp_path: Path) -> None:
    indices = (np.arange(ROWS * COLUMNS, dtype=np.uint8) % 3).reshape(ROWS, COLUMNS)
    picture = Image.fromarray(indices).convert("P")
    picture.putdata(indices.ravel().tolist())
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    picture.save(tmp_path / "a.png")
    found = read(tmp_path / "a.png")
    assert found.array.shape == (3, COLUMNS, ROWS)
    assert found.array[:, 1, 0].tolist() == [255, 0, 0]
    assert found.meta.notes == ("Palette entries became their colours.",)
    assert np.array_equal(read_labels(tmp_path / "a.png").array.T, indices)


def test_a_grey_palette_is_one_channel(tmp_path: Path) -> None:
    picture = Image.fromarray(np.full((ROWS, COLUMNS), 1, np.uint8)).convert("P")
    picture.putdata([1] * (ROWS * COLUMNS))
    picture.putpalette([0, 0, 0, 99, 99, 99])
    picture.save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").array.tolist() == [[[99] * ROWS] * COLUMNS]


def test_sixteen_bit_colour_is_noted(tmp_path: Path) -> None:
    rows = b"".join(b"\0" + bytes(range(COLUMNS * 6)) for _ in range(ROWS))
    found = read(png(tmp_path / "a.png", 16, 2, rows))
    assert found.array.dtype == np.uint8
    assert found.meta.notes == ("16-bit colour was read as 8 bits.",)


def test_jpeg(tmp_path: Path) -> None:
    smooth = np.add.outer(np.arange(64), np.arange(48)).astype(np.uint8)
    image = Volume(smooth[None], Grid(smooth.shape, np.eye(3)))
    write(image, tmp_path / "a.jpg")
    found = read(tmp_path / "a.jpg")
    assert found.array.shape == (1, 64, 48)
    assert np.abs(found.array.astype(int) - image.array).max() <= 3


def test_the_exif_orientation_is_noted(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((16, 24, 3), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    found = read(tmp_path / "a.jpg")
    assert found.array.shape == (3, 24, 16)
    assert found.meta.notes == ("EXIF orientation 6 was not applied; pixels are as stored.",)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg")
    found = read(tmp_path / "a.jpg")
    assert found.channels == 3
    assert found.meta.notes == ("CMYK was converted to RGB.",)


def test_the_content_says_the_format(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "a.bmp")
    (tmp_path / "a.bmp").rename(tmp_path / "a.png")
    assert read(tmp_path / "a.png").array.shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("suffix", "array"),
    [
        (".png", np.zeros((1, 7, 5), np.float32)),
        (".png", np.zeros((1, 7, 5), np.int16)),
        (".png", np.zeros((3, 7, 5), np.uint16)),
        (".png", np.zeros((2, 7, 5), np.uint8)),
        (".bmp", np.zeros((1, 7, 5), np.uint16)),
        (".jpg", np.zeros((1, 7, 5), np.uint16)),
    ],
)
def test_what_a_picture_cannot_hold(tmp_path: Path, suffix: str, array: np.ndarray) -> None:
    with pytest.raises(FormatError, match=rf"cannot write a\{suffix}: .* holds .*, not {len(array)} x {array.dtype}"):
        write(Volume(array, GRID), tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_volume_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="single picture"):
        write(Volume(np.zeros((1, 4, 5, 6), np.uint8), Grid((4, 5, 6), np.eye(4))), tmp_path / "a.png")


def test_labels_are_never_jpeg(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="JPEG changes values"):
        write(LabelMap(np.ones((7, 5), np.uint8), GRID, Labels.of({"a": 1})), tmp_path / "a.jpeg")


def test_labels_beyond_a_byte(tmp_path: Path) -> None:
    array = np.full((7, 5), 1000)
    write(LabelMap(array, GRID, Labels.of({"nucleus": 1000})), tmp_path / "a.png")
    assert np.array_equal(read_labels(tmp_path / "a.png").array, array)
    with pytest.raises(FormatError, match="BMP holds"):
        write(LabelMap(array, GRID, Labels.of({"nucleus": 1000})), tmp_path / "a.bmp")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_a_file_that_is_cut_off(tmp_path: Path, rng: np.random.Generator, suffix: str, part: float) -> None:
    Image.fromarray(rng.integers(0, 256, (64, 64)).astype(np.uint8)).save(tmp_path / f"a{suffix}")
    data = (tmp_path / f"a{suffix}").read_bytes()
    (tmp_path / f"a{suffix}").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(FormatError, match=rf"^a\{suffix}: "):
        read(tmp_path / f"a{suffix}")


def test_a_header_that_declares_gigabytes(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", 8, 2, bytes(100), size=(100_000, 100_000))
    tracemalloc.start()
    with pytest.raises(FormatError, match=r"a\.png: its header declares 100000 x 100000 pixels"):
        read(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


def test_a_large_picture_is_no_bomb(tmp_path: Path) -> None:
    Image.new("1", (20_000, 10_000)).save(tmp_path / "a.png")  # beyond Pillow's own limit
    assert read(tmp_path / "a.png").array.shape == (1, 20_000, 10_000)


@pytest.mark.parametrize("suffix", [".gif", ".ppm", ".pgm", ".pbm"])
def test_formats_that_are_only_read(tmp_path: Path, suffix: str) -> None:
    picture = np.zeros((ROWS, COLUMNS), np.uint8)
    picture[1, 4] = 255  # second row, fifth column
    image = Image.fromarray(picture)
    image = {".ppm": image.convert("RGB"), ".pbm": image.convert("1")}.get(suffix, image)
    image.save(tmp_path / f"a{suffix}")
    found = read(tmp_path / f"a{suffix}")
    assert found.array.shape == ((3 if suffix == ".ppm" else 1), COLUMNS, ROWS)
    assert np.argwhere(found.array[0]).tolist() == [[4, 1]]
    with pytest.raises(FormatError, match="only read"):
        write(found, tmp_path / f"b{suffix}")


def test_of_a_moving_gif_the_first_picture_is_read_and_said(tmp_path: Path) -> None:
    first, second = (Image.new("L", (COLUMNS, ROWS), grey) for grey in (10, 200))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    found = read(tmp_path / "a.gif")
    assert (found.array == 10).all()
    assert any("first was read" in note for note in found.meta.notes)


def test_a_gif_that_declares_more_than_it_holds(tmp_path: Path) -> None:
    Image.new("L", (4, 4)).save(tmp_path / "a.gif")
    data = bytearray((tmp_path / "a.gif").read_bytes())
    data[6:10] = struct.pack("<HH", 60_000, 60_000)
    (tmp_path / "a.gif").write_bytes(data)
    with pytest.raises(FormatError, match="declares 60000 x 60000"):
        read(tmp_path / "a.gif")
