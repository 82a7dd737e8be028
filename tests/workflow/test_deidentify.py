"""The whole way of de-identification by the command line: canaries everywhere, read back by a byte search and OCR."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from planted import plant
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from vesalius.cli import main

pytest.importorskip("rapidocr", reason="burnt-in text is found by rapidocr, which is not installed")


def secret(path: Path, text: str) -> str:
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def burnt(path: Path, text: str) -> None:
    picture = Image.new("L", (320, 160), 40)
    ImageDraw.Draw(picture).text((20, 60), text, fill=230, font=ImageFont.load_default(26))
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Doering^Jane", "4711", "OT"
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 160, 320, 1
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = np.asarray(picture).tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)


def test_no_canary_survives_a_byte_search_or_ocr(tmp_path, capsys):
    from vesalius.privacy.ocr import find_text

    (tmp_path / "in").mkdir()
    planted = plant(tmp_path / "in", studies=1)
    burnt(tmp_path / "in" / "secondary.dcm", "CANARY BURNT 4711")
    assert find_text(dcmread(tmp_path / "in" / "secondary.dcm").pixel_array)
    key = secret(tmp_path / "key", "a secret of enough letters")
    arguments = ["deidentify", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--key", key]
    assert main([*arguments, "--keep", "modified-dates", "--json"]) == 0
    said = capsys.readouterr()
    counts = json.loads(said.out)
    assert counts["written"] + counts["quarantined"] == 6
    times = {text for text, place in planted.places.items() if place.startswith("TM")}  # times of day stay
    assert set(planted.found_in(tmp_path / "out")) <= times
    reports = said.out + said.err + (tmp_path / "out.report.json").read_text()
    assert not any(text in reports for text in planted.places if text not in times)
    images = [dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
    assert any(image.Modality == "OT" for image in images)
    for image in images:
        assert find_text(image.pixel_array) == ()


@pytest.mark.tells_patients("whoever holds the key of the links may know")
def test_authorised_people_find_the_patient_again(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    burnt(tmp_path / "in" / "one.dcm", "")
    key, links_key = (secret(tmp_path / name, f"secret of the {name} file") for name in ("key", "links-key"))
    links = ["--links", str(tmp_path / "links"), "--links-key", links_key]
    out = tmp_path / "out"
    assert main(["deidentify", str(tmp_path / "in"), "-o", str(out), "--key", key, "--skip-pixels", *links]) == 0
    assert not list(out.rglob("*.dcm"))  # a secondary capture at whose pixels nobody looked
    assert main(["deidentify", str(tmp_path / "in"), "-o", str(out), "--key", key, *links]) == 0
    (made,) = out.rglob("*.dcm")
    capsys.readouterr()
    pseudonym = made.relative_to(out).parts[0]
    assert main(["deidentify", "--reveal", pseudonym, *links, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["PatientID"], found["PatientName"]) == ("4711", "Doering^Jane")
    wrong = secret(tmp_path / "wrong", "another secret of enough letters")
    assert main(["deidentify", "--reveal", pseudonym, *links[:3], wrong]) == 1
    assert "Doering" not in capsys.readouterr().err


def test_keys_are_drawn_kept_private_and_never_replaced(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    arguments = ["deidentify", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--skip-pixels"]
    key = tmp_path / "key"
    assert main([*arguments, "--new-key", str(key)]) == 0
    assert key.stat().st_mode & 0o077 == 0
    assert main([*arguments, "--new-key", str(key)]) == 1
    assert main([*arguments, "--key", str(key)]) == 0
    key.chmod(0o644)
    assert main([*arguments, "--key", str(key)]) == 1
    assert "others may read it" in capsys.readouterr().err
    assert main([*arguments, "--key", secret(tmp_path / "short", "short")]) == 1
    assert main([*arguments, "--key", str(key), "--keep", "date"]) == 1


def test_the_built_in_model_keeps_the_brain_of_a_real_head(shared_data, tmp_path, capsys):
    """A series of thick slices: what the model calls brain keeps every value, and without it the model is not asked."""
    from vesalius.bundle import Bundle, built_in
    from vesalius.io import read
    from vesalius.predict import segment

    source = shared_data / "brain_mr_dicom" / "PGBM-003" / "11-T1post-18670"
    key = secret(tmp_path / "key", "a secret of enough letters")
    common = ["--key", key, "--clean", "faces", "--skip-pixels", "--keep", "uids", "--json"]
    assert main(["deidentify", str(source), "-o", str(tmp_path / "out"), *common]) == 0
    assert json.loads(capsys.readouterr().out)["quarantined"] == 0
    report = json.loads((tmp_path / "out.report.json").read_text())
    assert {one["actions"][-1] for one in report["written"]} == {"kept the brain that a segmenter found in it"}
    before, after = read(source), read(tmp_path / "out")
    brain = segment(before, Bundle.load(built_in()["brain"])).labels.array > 0
    assert 1e6 < brain.sum() * before.grid.voxel_volume_mm3 < 2e6
    np.testing.assert_array_equal(before.array[0][brain], after.array[0][brain])
    gone = (before.array != after.array)[0]
    assert gone.sum() * before.grid.voxel_volume_mm3 > 60_000

    assert main(["deidentify", str(source), "-o", str(tmp_path / "plain"), *common, "--no-brain-mask"]) == 0
    report = json.loads((tmp_path / "plain.report.json").read_text())
    assert {one["actions"][-1] for one in report["written"]} == {"took the face off the head"}
