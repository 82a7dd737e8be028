"""Text burnt into pictures and volumes: blacked out, everything else as it was, the uncertain for a person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw, ImageFont

pytest.importorskip("rapidocr", reason="RapidOCR is not installed")

from vesalius.image import Grid, Meta, Volume
from vesalius.io import read, write
from vesalius.privacy import burnt
from vesalius.privacy.burnt import clean_burnt
from vesalius.privacy.files import clean_file
from vesalius.privacy.folder import deidentify
from vesalius.privacy.ocr import find_text
from vesalius.privacy.profile import make_profile

KEY = b"a key for the tests of pictures"
NAME = "KANARIE PIET 1962"
ROWS, COLUMNS = 96, 240


def letters(*, at: tuple[int, int] = (12, 30)) -> np.ndarray:
    picture = Image.new("L", (COLUMNS, ROWS))
    ImageDraw.Draw(picture).text(at, NAME, fill=255, font=ImageFont.load_default(20))
    return np.array(picture) > 127


def anatomy() -> np.ndarray:
    """Soft shades, 20 to 180."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    noise = np.random.default_rng(3).normal(0, 2, (ROWS, COLUMNS))
    return np.clip(100 + 60 * np.sin(x / 30) * np.cos(y / 25) + noise, 20, 180).astype(np.uint8)


THERE = letters()
NEAR = np.zeros((ROWS, COLUMNS), bool)
NEAR[20:70] = True  # the line of text, with its margins


def drawn(mode: str) -> Image.Image:
    grey = anatomy()
    grey[THERE] = 250
    if mode == "1":
        return Image.fromarray(np.where(THERE, 255, 0).astype(np.uint8)).convert("1", dither=Image.Dither.NONE)
    if mode == "I;16":
        return Image.fromarray(grey.astype(np.uint16) * 200)
    if mode == "P":
        made = Image.fromarray(grey // 2)
        made = Image.frombytes("P", made.size, made.tobytes())
        made.putpalette([value for shade in range(128) for value in (2 * shade, 2 * shade, shade)])
        return made
    colour = np.stack([grey, grey // 2, np.where(THERE, 0, grey // 3)], axis=-1).astype(np.uint8)
    if mode == "RGB":
        return Image.fromarray(colour)
    if mode == "RGBA":  # what alpha hides is there all the same
        return Image.fromarray(np.dstack([colour, np.where(NEAR, 0, 255).astype(np.uint8)]))
    if mode == "LA":  # only alpha is drawn like letters
        return Image.fromarray(np.dstack([anatomy(), np.where(THERE, 255, 0).astype(np.uint8)]))
    return Image.fromarray(grey)


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "I;16", "1", "RGBA", "LA"])
def test_png_loses_its_text_and_keeps_every_other_value(tmp_path: Path, mode: str):
    picture = drawn(mode)
    picture.save(tmp_path / "a.png", dpi=(300, 300))
    found = clean_burnt(tmp_path / "a.png")
    assert found.actions == ("blacked out burnt-in text in the picture",), found
    made = Image.open(tmp_path / "a.png")
    before, after = np.asarray(picture), np.asarray(made)
    assert made.mode == picture.mode
    assert np.array_equal(before[~NEAR], after[~NEAR])
    assert "dpi" in made.info  # what stands beside the pixels stays
    channels = {"RGBA": range(3), "LA": (1,)}.get(mode, (None,))
    for channel in channels:
        shown = np.asarray(made.convert("RGB")) if channel is None or mode == "P" else after[..., channel]
        assert find_text(shown) == ()
    if mode == "LA":
        assert (after[THERE][:, 1] == 255).all()
    assert clean_burnt(tmp_path / "a.png").actions == ()


def test_a_picture_without_text_keeps_every_bit(tmp_path: Path):
    for name in ("a.png", "a.jpg", "a.bmp"):
        Image.fromarray(anatomy()).save(tmp_path / name)
        before = (tmp_path / name).read_bytes()
        assert clean_burnt(tmp_path / name) == burnt.Findings()
        assert (tmp_path / name).read_bytes() == before


def test_a_jpeg_becomes_a_png_of_its_decoded_pixels(tmp_path: Path):
    source = tmp_path / "in"
    source.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    drawn("RGB").save(source / "Jane Doe.jpg", quality=90, exif=exif)
    decoded = np.asarray(Image.open(source / "Jane Doe.jpg"))
    Image.fromarray(anatomy()).save(source / "Jane Doe.png")  # would have its name
    report = deidentify(source, tmp_path / "out", profile=make_profile(["pixels"]), key=KEY)
    assert not report.quarantined
    (said,) = (one for one in report.written if len(one.actions) > 1)
    assert "stored its decoded pixels as PNG" in said.actions[-1]
    assert len(report.written) == len(list((tmp_path / "out").iterdir())) == 2
    made = Image.open(tmp_path / "out" / said.name)
    assert made.format == "PNG"
    assert made.getexif()[0x0112] == 6
    after = np.asarray(made)
    assert np.array_equal(after[~NEAR], decoded[~NEAR])
    assert find_text(after) == ()
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    deidentify(tmp_path / "out", tmp_path / "twice", profile=make_profile(["pixels"]), key=KEY)
    assert {path.name: path.read_bytes() for path in (tmp_path / "twice").iterdir()} == before


def test_every_page_of_a_tiff_is_looked_at(tmp_path: Path):
    pages = np.stack([anatomy().astype(np.uint16) * 100] * 3)
    pages[1][THERE] = 30000
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
    (tmp_path / "out").mkdir()
    assert clean_file(tmp_path / "a.tif", tmp_path / "out", name="b").sure
    found = clean_burnt(tmp_path / "out" / "b.tif")
    assert found.actions == ("blacked out burnt-in text in 1 of 3 planes",)
    made = read(tmp_path / "out" / "b.tif").array[0].T
    assert np.array_equal(made[[0, 2]].transpose(0, 1, 2), pages[[0, 2]])
    assert np.array_equal(made[1][~NEAR], pages[1][~NEAR])
    assert find_text(made[1]) == ()


@pytest.mark.parametrize("suffix", [".nii.gz", ".hdr", ".nrrd", ".mha"])
def test_a_stack_of_captures_loses_its_text(tmp_path: Path, suffix: str):
    stack = np.stack([anatomy().T.astype(np.int16)] * 6, axis=-1)
    stack[..., 2][THERE.T] = 900
    write(Volume(stack[None], Grid.from_spacing(stack.shape, (0.5, 0.5, 0.5))), tmp_path / f"a{suffix}")
    (tmp_path / "out").mkdir()
    clean_file(tmp_path / f"a{suffix}", tmp_path / "out", name="b")
    found = clean_burnt(tmp_path / "out" / f"b{suffix}")
    assert found.actions == ("blacked out burnt-in text in 1 of 6 planes",)
    made = read(tmp_path / "out" / f"b{suffix}").array[0]
    assert np.array_equal(made[..., [0, 1, 3, 4, 5]], stack[..., [0, 1, 3, 4, 5]])
    assert np.array_equal(made[..., 2].T[~NEAR], stack[..., 2].T[~NEAR])
    assert find_text(made[..., 2].T) == ()


def test_slices_along_another_axis_and_in_colour(tmp_path: Path):
    stack = np.stack([anatomy().T.astype(np.float32)] * 5, axis=0)  # slices of 4 mm along the first axis
    stack[3][THERE.T] = 255
    write(Volume(stack[None], Grid.from_spacing(stack.shape, (4, 0.5, 0.5))), tmp_path / "a.nii")
    assert clean_burnt(tmp_path / "a.nii").actions == ("blacked out burnt-in text in 1 of 5 planes",)
    made = read(tmp_path / "a.nii").array[0]
    assert find_text(made[3].T) == ()
    assert np.array_equal(made[3].T[~NEAR], stack[3].T[~NEAR])

    colour = np.moveaxis(np.asarray(drawn("RGB")), 1, 0)[..., None, :]
    volume = Volume(np.moveaxis(colour, -1, 0), Grid.from_spacing(colour.shape[:3], (1, 1, 1)), Meta("RGB"))
    write(volume, tmp_path / "b.nii.gz")
    assert clean_burnt(tmp_path / "b.nii.gz").actions == ("blacked out burnt-in text in 1 of 1 planes",)
    after = read(tmp_path / "b.nii.gz").array[..., 0].transpose(2, 1, 0)
    assert find_text(after) == ()
    assert np.array_equal(after[~NEAR], np.asarray(drawn("RGB"))[~NEAR])


def test_what_is_uncertain_goes_to_the_quarantine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(burnt, "black_out", lambda frame, **_: (frame, np.zeros(frame.shape[:2], bool), False))
    source = tmp_path / "in"
    source.mkdir()
    for name, mode in (("a.png", "L"), ("b.jpg", "RGB"), ("c.bmp", "L")):
        drawn(mode).save(source / name)
    Image.fromarray(np.dstack([anatomy()] * 4), mode=None).convert("CMYK").save(source / "d.jpg")
    tifffile.imwrite(source / "e.tif", anatomy())
    report = deidentify(source, tmp_path / "out", profile=make_profile(["pixels"]), key=KEY)
    assert not report.written
    assert len(report.quarantined) == 5
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
