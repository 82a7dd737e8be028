"""Text burnt into pixels: found in every encoding, blacked out, and nothing else touched."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

pytest.importorskip("rapidocr", reason="RapidOCR is not installed")

from vesalius.privacy.ocr import black_out, find_text
from vesalius.privacy.text import clean_pixels

NAME = "KANARIE^PIET 19620305"


def letters(rows: int, columns: int, *, at: tuple[int, int] = (20, 20), size: int = 16) -> np.ndarray:
    picture = Image.new("L", (columns, rows))
    ImageDraw.Draw(picture).text(at, NAME, fill=255, font=ImageFont.load_default(size))
    return np.array(picture) > 127


def anatomy(rows: int = 192, columns: int = 256) -> np.ndarray:
    """Ellipses of soft tissue with a little noise, 0 to 1000."""
    y, x = np.mgrid[:rows, :columns]
    head = ((x - columns / 2) / (0.4 * columns)) ** 2 + ((y - rows / 2) / (0.45 * rows)) ** 2
    noise = np.random.default_rng(3).normal(0, 15, (rows, columns))
    return np.clip(np.where(head < 1, 600 - 300 * head, 20) + noise, 0, 1000)


def image(pixels: np.ndarray, *, frames: int = 1, signed: bool = False, photometric: str | None = None) -> Dataset:
    """Pixels (frames?, rows, columns, samples?) as an uncompressed image."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    samples = 3 if pixels.shape[-1] == 3 else 1
    made.Rows, made.Columns = pixels.shape[-3:-1] if samples == 3 else pixels.shape[-2:]
    made.SamplesPerPixel = samples
    made.PhotometricInterpretation = photometric or ("RGB" if samples == 3 else "MONOCHROME2")
    if samples == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = pixels.dtype.itemsize * 8
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(signed)
    if frames > 1:
        made.NumberOfFrames = frames
    made.BurnedInAnnotation = "YES"
    made.PixelData = pixels.tobytes() + bytes(pixels.nbytes % 2)
    made["PixelData"].VR = "OW" if made.BitsAllocated > 8 else "OB"
    return made


def stamped(dtype: str = "uint16", value: int = 1000) -> tuple[Dataset, np.ndarray, np.ndarray]:
    there = letters(192, 256)
    pixels = anatomy().astype(dtype)
    pixels[there] = value
    return image(pixels, signed=dtype.startswith("i")), pixels, there


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEGLSLossless,
    ],
)
def test_text_goes_and_the_rest_stays(syntax: str):
    dataset, pixels, there = stamped()
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = pixels.astype(">u2").tobytes()
    elif syntax not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        dataset.compress(syntax, generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = syntax
    before = dataset.PixelData

    made, found = clean_pixels(dataset)

    assert found.sure
    assert found.actions == ("blacked out burnt-in text in 1 of 1 frames",)
    assert made.BurnedInAnnotation == "NO"
    assert (dataset.PixelData, dataset.BurnedInAnnotation, dataset.file_meta.TransferSyntaxUID) == (
        before,
        "YES",
        syntax,
    )
    cleaned = made.pixel_array
    assert find_text(cleaned) == ()
    assert (cleaned[there] == pixels.min()).all()
    around = np.zeros_like(there)
    around[8:50, :256] = True
    assert np.array_equal(cleaned[~around], pixels[~around])
    again, nothing = clean_pixels(made)
    assert nothing.actions == ()
    assert again.PixelData == made.PixelData
    held = io.BytesIO()
    made.save_as(held, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=syntax != ExplicitVRBigEndian)


@pytest.mark.parametrize("value", [40_000, 700])
def test_text_far_brighter_and_hardly_brighter_than_the_anatomy(value: int):
    dataset, _, there = stamped("uint16", value)
    made, found = clean_pixels(dataset)
    assert found.sure
    assert (made.pixel_array[there] == 0).all()


def test_an_image_without_text_keeps_its_bytes():
    dataset = image(anatomy().astype(np.int16), signed=True)
    dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
    made, found = clean_pixels(dataset)
    assert found.actions == found.doubts == ()
    assert made.PixelData == dataset.PixelData
    assert made.BurnedInAnnotation == "NO"


def test_the_sense_of_the_values_says_what_is_black():
    there = letters(192, 256)
    pixels = 1000 - anatomy().astype(np.uint16)
    pixels[there] = 0
    dataset = image(pixels, photometric="MONOCHROME1")
    made, found = clean_pixels(dataset)
    assert found.sure
    assert (made.pixel_array[there] == pixels.max()).all()


def test_colours_and_palettes():
    there = letters(192, 256)
    grey = (anatomy() / 4).astype(np.uint8)
    colour = np.stack([grey, grey // 2, grey // 3], axis=-1)
    colour[there] = (255, 230, 0)
    made, found = clean_pixels(image(colour))
    assert found.sure
    assert (made.pixel_array[there] == 0).all()

    indices = grey.copy()
    indices[there] = 205
    dataset = image(indices, photometric="PALETTE COLOR")
    table = np.roll(np.arange(256, dtype=np.uint16) << 8, 206)  # index 206 is black, 205 the brightest
    for name in ("Red", "Green", "Blue"):
        setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(dataset, f"{name}PaletteColorLookupTableData", table.tobytes())
    made, found = clean_pixels(dataset)
    assert found.sure
    assert (made.pixel_array[there] == 206).all()


def test_every_frame_is_looked_at():
    frames = np.stack([(anatomy() / 4).astype(np.uint8)] * 3)
    frames[1][letters(192, 256)] = 255
    made, found = clean_pixels(image(frames, frames=3))
    assert found.actions == ("blacked out burnt-in text in 1 of 3 frames",)
    cleaned = made.pixel_array
    assert np.array_equal(cleaned[[0, 2]], frames[[0, 2]])
    assert find_text(cleaned[1]) == ()


def test_what_hides_beside_the_pixels_goes():
    pixels = anatomy().astype(np.uint16)
    dataset = image(pixels | (letters(192, 256).astype(np.uint16) << 15))
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.PixelData = dataset.PixelData + NAME.encode() + b" "
    dataset.IconImageSequence = [image((anatomy() / 4).astype(np.uint8))]
    made, found = clean_pixels(dataset)
    assert found.sure
    assert found.actions == (
        "removed the icon of the image",
        "removed bytes behind the pixels",
        "cleared the bits beside the stored ones",
    )
    assert made.PixelData == pixels.tobytes()


def test_signs_beside_the_stored_bits_stay():
    pixels = (anatomy() - 500).astype(np.int16)
    dataset = image(pixels, signed=True)
    dataset.BitsStored, dataset.HighBit = 12, 11
    made, found = clean_pixels(dataset)
    assert found.actions == ()
    assert made.PixelData == pixels.tobytes()


def test_comments_in_jpeg_frames_go_and_its_pixels_stay():
    held = io.BytesIO()
    Image.fromarray((anatomy() / 4).astype(np.uint8)).save(held, "JPEG", comment=NAME)
    dataset = image(np.zeros((192, 256), np.uint8))
    dataset.PixelData = encapsulate([held.getvalue() + bytes(held.tell() % 2)])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    made, found = clean_pixels(dataset)
    assert found.sure
    assert found.actions == ("removed comments from the JPEG frames",)
    assert NAME.encode() not in made.PixelData
    assert np.array_equal(made.pixel_array, dataset.pixel_array)
    assert len(list(generate_frames(made.PixelData, number_of_frames=1))) == 1


@pytest.mark.parametrize("kind", ["document", "no syntax", "cut off", "video", "two bits"])
def test_what_nobody_can_look_at_is_for_a_person(kind: str):
    dataset = image(anatomy().astype(np.uint16))
    if kind == "document":
        dataset.EncapsulatedDocument = b"%PDF"
    elif kind == "no syntax":
        del dataset.file_meta
    elif kind == "cut off":
        dataset.PixelData = dataset.PixelData[:-100]
    elif kind == "video":
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    else:
        dataset.BitsAllocated = 2
    made, found = clean_pixels(dataset)
    assert not found.sure
    assert made.BurnedInAnnotation == "YES"


def test_a_doubtful_piece_makes_the_picture_doubtful(monkeypatch: pytest.MonkeyPatch):
    from vesalius.privacy import ocr

    monkeypatch.setattr(ocr, "SURE", 1.1)
    picture = (anatomy() / 4).astype(np.uint8)
    picture[letters(192, 256)] = 255
    _, where, certain = black_out(picture)
    assert where.any()
    assert not certain


def test_real_ultrasound_loses_its_text(shared_data: Path):
    dataset = pydicom.dcmread(shared_data / "dicom_oddities" / "single_files" / "US1_J2KR.dcm")
    before = dataset.pixel_array
    assert len(find_text(before)) > 10
    made, _ = clean_pixels(dataset)
    after = made.pixel_array
    assert find_text(after) == ()
    changed = (after != before).any(axis=-1)
    assert changed.mean() < 0.15


def test_real_slices_without_text_are_left_alone(shared_data: Path):
    for name in ("ct_3slice_with_seg/ct/01.dcm", "mr_4slices_jpegls/IM-0001-0002-0001.dcm"):
        dataset = pydicom.dcmread(shared_data / "dicom_oddities" / name)
        made, found = clean_pixels(dataset)
        assert found.sure
        assert "blacked out" not in repr(found)
        assert np.array_equal(made.pixel_array, dataset.pixel_array)
