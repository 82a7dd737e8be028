"""A series is handed on whole or waits whole; its text goes, its gaps never come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from vesalius.privacy import text
from vesalius.privacy.folder import deidentify
from vesalius.privacy.ocr import Piece
from vesalius.privacy.profile import make_profile
from vesalius.privacy.series import TOGETHER

KEY = b"a key for the tests of series"
ROWS, COLUMNS = 128, 160


def stamp() -> np.ndarray:
    picture = Image.new("L", (COLUMNS, ROWS))
    ImageDraw.Draw(picture).text((10, 8), "KANARIE PIET", fill=255, font=ImageFont.load_default(16))
    return np.array(picture) > 127


def pixels(number: int) -> np.ndarray:
    y, x = np.mgrid[:ROWS, :COLUMNS]
    body = ((x - 80) / 60) ** 2 + ((y - 70) / 50) ** 2 < 1
    noise = np.random.default_rng(number).normal(0, 8, (ROWS, COLUMNS))
    return np.clip(np.where(body, 1050, 20) + noise, 0, 4000).astype(np.uint16)


def series(folder: Path, *, slices: int = 6, stamped: tuple[int, ...] = (), of: str | None = None) -> str:
    """Files in another order than that of space; returns the series' UID."""
    folder.mkdir(exist_ok=True)
    study, uid = "1.2.826.0.1.3680043.2.4747.1", of or str(generate_uid())
    for number in range(slices):
        made = Dataset()
        made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, generate_uid()
        made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = study, uid, uid
        made.PatientName, made.PatientID, made.Modality = "Doering^Jane", "MRN-4711", "CT"
        made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 3.0 * number]
        made.PixelSpacing, made.SliceThickness, made.InstanceNumber = [1, 1], 3, number + 1
        made.Rows, made.Columns, made.SamplesPerPixel = ROWS, COLUMNS, 1
        made.PhotometricInterpretation, made.PixelRepresentation = "MONOCHROME2", 0
        made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
        values = pixels(number)
        if number in stamped:
            values[stamp()] = 4000
        made.PixelData = values.tobytes()
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.save_as(folder / f"{uid}-{(number * 5) % slices}.dcm", enforce_file_format=True)
    return uid


def run(source: Path, out: Path, *options: str):
    return deidentify(source, out, profile=make_profile(options), key=KEY)


def test_text_goes_from_its_slices_and_the_others_keep_every_bit(tmp_path):
    pytest.importorskip("rapidocr", reason="RapidOCR is not installed")
    series(tmp_path / "in", stamped=(1, 4))
    report = run(tmp_path / "in", tmp_path / "out", "pixels")
    assert not report.quarantined
    made = sorted((dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")), key=lambda one: one.InstanceNumber)
    assert len(made) == len(report.written) == 6
    blacked = [one.name for one in report.written if "blacked out burnt-in text in 1 of 1 frames" in one.actions]
    assert {Path(name).stem for name in blacked} == {made[1].SOPInstanceUID, made[4].SOPInstanceUID}
    for number, dataset in enumerate(made):
        assert dataset.BurnedInAnnotation == "NO"
        after, before = dataset.pixel_array, pixels(number)
        changed = after != before
        assert changed.any() == (number in (1, 4))
        assert not changed[40:].any()
        if number in (1, 4):
            assert (after[stamp()] == before.min()).all()
    again = run(tmp_path / "out", tmp_path / "twice", "pixels")
    assert {path.name: path.read_bytes() for path in (tmp_path / "twice").rglob("*.dcm")} == {
        path.name: path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm")
    }
    assert len(again.written) == 6


@pytest.fixture
def one_doubt(monkeypatch):
    """A word that can hardly be read, in whatever slice is the brightest at a corner."""
    word = Piece(((20, 60), (70, 60), (70, 74), (20, 74)), 0.45, 8)
    monkeypatch.setattr(text, "find_text", lambda frame: (word,) if frame[0, 0] > 3000 else ())
    monkeypatch.setattr("vesalius.privacy.slices.find_text", lambda picture: ())


@pytest.mark.usefixtures("one_doubt")
def test_one_doubtful_slice_holds_its_series_and_no_other(tmp_path):
    series(tmp_path / "in")
    sure = series(tmp_path / "in")
    path = min(path for path in (tmp_path / "in").glob("*.dcm") if not path.name.startswith(sure))
    dataset = dcmread(path)
    values = dataset.pixel_array.copy()
    values[0, 0] = 3500
    dataset.PixelData = values.tobytes()
    dataset.save_as(path)
    report = run(tmp_path / "in", tmp_path / "out", "pixels")
    assert len(report.written) == 6
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 6
    doubts = sorted(one.doubts for one in report.quarantined)
    assert doubts == [(TOGETHER,)] * 5 + [("text in its pixels could not be read with certainty or came back",)]
    assert not list((tmp_path / "out").glob(".part*"))


def test_a_slice_that_is_doubtful_for_another_reason_leaves_no_gap(tmp_path):
    series(tmp_path / "in")
    path = min((tmp_path / "in").glob("*.dcm"))
    dataset = dcmread(path)
    dataset.PixelData += b"bytes that are no pixels"
    dataset.save_as(path)
    report = run(tmp_path / "in", tmp_path / "out")
    assert not report.written
    assert len(report.quarantined) == 6
    assert not list((tmp_path / "out").rglob("*.dcm"))


@pytest.mark.usefixtures("one_doubt")
def test_few_slices_are_pictures_of_their_own(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        text, "black_out", lambda frame, **_: seen.append(1) or (frame, np.zeros(frame.shape, bool), True)
    )
    series(tmp_path / "in", slices=3)
    path = min((tmp_path / "in").glob("*.dcm"))
    dataset = dcmread(path)
    values = dataset.pixel_array.copy()
    values[0, 0] = 3500
    dataset.PixelData = values.tobytes()
    dataset.save_as(path)
    assert len(run(tmp_path / "in", tmp_path / "out", "pixels").written) == 3
    assert len(seen) == 1


def test_a_stack_in_one_object_is_judged_together(monkeypatch):
    word = Piece(((20, 60), (70, 60), (70, 74), (20, 74)), 0.75, 2)
    monkeypatch.setattr(
        "vesalius.privacy.slices.find_text",
        lambda picture: (word,) if picture.shape == (ROWS, COLUMNS) and picture[0, 0] > 3000 else (),
    )
    frames = np.stack([pixels(number) for number in range(6)])
    frames[3, 0, 0] = 3500
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.Modality, made.NumberOfFrames, made.Rows, made.Columns = "MR", 6, ROWS, COLUMNS
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated = made.BitsStored = 16
    made.HighBit, made.PixelData = 15, frames.tobytes()
    _, found = text.clean_pixels(made)
    assert found.sure
    assert found.actions == (text.PASSED_OVER,)
