import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from planted import plant, study_dates
from pydicom import dcmread

from vesalius.errors import DataError, PrivacyError
from vesalius.io.dicom.series import list_series, read_series
from vesalius.privacy.folder import REASONS, deidentify
from vesalius.privacy.profile import make_profile
from vesalius.privacy.pseudonyms import Pseudonyms

KEY = b"a key for the tests of folders"


@pytest.fixture(autouse=True)
def no_reading_of_text(monkeypatch):
    """OCR takes seconds; that text is found is tested in test_text.py and in the workflow."""
    monkeypatch.setattr(
        "vesalius.privacy.text.black_out", lambda frame, **_: (frame, np.zeros(frame.shape[:2], bool), True)
    )
    monkeypatch.setattr("vesalius.privacy.text.find_text", lambda frame: ())
    monkeypatch.setattr("vesalius.privacy.slices.find_text", lambda frame: ())


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(source: Path, out: Path, *options: str, key: bytes = KEY):
    return deidentify(source, out, profile=make_profile(options), key=key)


@pytest.mark.parametrize(
    "options", [("pixels",), ("pixels", "descriptors", "structured-content", "graphics", "device")]
)
def test_no_canary_survives(tmp_path, options):
    (tmp_path / "in").mkdir()
    planted = plant(tmp_path / "in")
    assert set(planted.found_in(tmp_path / "in")) == set(planted.places)  # the test can fail
    report = run(tmp_path / "in", tmp_path / "out", *options)
    assert len(report.written) == 7
    assert not report.quarantined
    assert planted.found_in(tmp_path / "out") == {}
    said = report.to_json() + repr(report)
    assert not any(text in said for text in planted.places)


def test_without_a_look_at_the_pixels_what_hides_there_is_held_back(tmp_path):
    (tmp_path / "in").mkdir()
    planted = plant(tmp_path / "in")
    report = run(tmp_path / "in", tmp_path / "out")
    assert planted.found_in(tmp_path / "out") == {}
    reasons = {doubt for one in report.quarantined for doubt in one.doubts}
    assert reasons == {
        "bytes that are no pixels stand behind them",
        "an overlay may lie in the bits beside its pixels, which nobody has looked at",
        "comments stand in its compressed frames",
    }


def test_twice_is_once_and_every_run_agrees(tmp_path):
    (tmp_path / "in").mkdir()
    plant(tmp_path / "in")
    options = ("pixels", "modified-dates", "descriptors")
    run(tmp_path / "in", tmp_path / "out", *options)
    run(tmp_path / "in", tmp_path / "again", *options)
    run(tmp_path / "out", tmp_path / "twice", *options)
    run(tmp_path / "in", tmp_path / "other", *options, key=b"another key, long enough")
    assert contents(tmp_path / "out") == contents(tmp_path / "again") == contents(tmp_path / "twice")
    assert not set(contents(tmp_path / "out")) & set(contents(tmp_path / "other"))


def test_intervals_and_references_stay(tmp_path):
    (tmp_path / "in").mkdir()
    plant(tmp_path / "in", studies=3)
    run(tmp_path / "in", tmp_path / "out", "pixels", "modified-dates")
    made = [dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
    dates = sorted({dataset.StudyDate for dataset in made})
    assert gaps(dates) == gaps(study_dates(3)) == [40, 40]
    assert not set(dates) & set(study_dates(3))
    assert len({dataset.PatientID for dataset in made}) == 1
    for dataset in made:
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        assert dataset.preamble == bytes(128)
        assert set(dataset.file_meta.dir()) <= {
            *("FileMetaInformationGroupLength", "FileMetaInformationVersion", "TransferSyntaxUID"),
            *("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "ImplementationClassUID"),
            "ImplementationVersionName",
        }


def gaps(dates: list[str]) -> list[int]:
    from datetime import date

    days = [date(int(day[:4]), int(day[4:6]), int(day[6:])).toordinal() for day in dates]
    return [int(gap) for gap in np.diff(days)]


def test_images_are_the_same_images(tmp_path, shared_data):
    source = shared_data / "lung_ct_rtstruct"
    report = run(source, tmp_path / "out", "modified-dates")
    assert len(report.written) > 50
    (before,), (after,) = list_series(source), list_series(tmp_path / "out")
    assert (before.shape, before.spacing_mm) == (after.shape, after.spacing_mm)
    old, new = read_series(source), read_series(tmp_path / "out")
    np.testing.assert_array_equal(old.array, new.array)
    np.testing.assert_array_equal(old.grid.affine, new.grid.affine)
    made = [dcmread(path, stop_before_pixels=True) for path in (tmp_path / "out").rglob("*.dcm")]
    images = {dataset.SOPInstanceUID for dataset in made if dataset.Modality == "CT"}
    (structures,) = (dataset for dataset in made if dataset.Modality == "RTSTRUCT")
    references = {element.value for element in structures.iterall() if element.keyword == "ReferencedSOPInstanceUID"}
    assert references & images == images


def test_what_is_doubtful_waits_with_its_reason(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    (source / "Jane Doering.pdf").write_bytes(b"%PDF of Jane")
    (source / "Jane.dcm").write_bytes(bytes(128) + b"DICM" + b"\x08\x00\x05\x00CS\xff\xffJane")
    (source / "link.dcm").symlink_to(source / "Jane.dcm")
    report = run(source, tmp_path / "out")
    assert not contents(tmp_path / "out")
    held = tmp_path / "out.quarantine"
    reasons = json.loads((held / REASONS).read_text())
    assert {Path(name).suffix for name in reasons} == {".pdf", ".dcm"}
    assert set(reasons) | {REASONS} == set(contents(held))
    assert not any("Jane" in name for name in contents(held))
    assert stat.S_IMODE(held.stat().st_mode) == 0o700
    assert report.left_out == {"a symbolic link, which is not followed": 1}
    assert "Jane" not in report.to_json()


def test_copies_are_written_once_and_others_of_the_same_uid_wait(tmp_path):
    (tmp_path / "in").mkdir()
    plant(tmp_path / "in")
    first = min(tmp_path.glob("in/*/*.dcm"))
    shutil.copy(first, tmp_path / "in" / "copy.dcm")
    other = dcmread(first)
    other.InstanceNumber = 999
    other.save_as(tmp_path / "in" / "other.dcm")
    report = run(tmp_path / "in", tmp_path / "out", "pixels")
    assert report.left_out["a copy of an object that was written already"] == 1
    assert [one.doubts for one in report.quarantined] == [("another object of other contents has the same UID",)]


def test_an_object_of_an_unknown_kind_and_an_encapsulated_document_wait(tmp_path):
    (tmp_path / "in").mkdir()
    plant(tmp_path / "in", studies=1)
    path = min(tmp_path.glob("in/*/*.dcm"))
    dataset = dcmread(path)
    shutil.rmtree(tmp_path / "in")
    (tmp_path / "in").mkdir()
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.3.12.2.1107.5.9.1"
    dataset.save_as(tmp_path / "in" / "private.dcm")
    (one,) = run(tmp_path / "in", tmp_path / "out", "pixels").quarantined
    assert "it is of a kind that the standard does not know: nobody can tell where names stand in it" in one.doubts


def test_links_lead_back(tmp_path):
    (tmp_path / "in").mkdir()
    planted = plant(tmp_path / "in")
    links = run(tmp_path / "in", tmp_path / "out", "pixels", "modified-dates").links
    (pseudonym,) = {path.relative_to(tmp_path / "out").parts[0] for path in (tmp_path / "out").rglob("*.dcm")}
    patient = links.find(pseudonym)
    assert planted.places[patient["PatientID"]] == "PatientID"
    assert patient["days"] == Pseudonyms(KEY).days(patient["PatientID"])
    for path in (tmp_path / "out").rglob("*.dcm"):
        assert planted.places[links.find(path.stem)["uid"]] == "SOPInstanceUID"
    (image,) = (tmp_path / "out").glob("*.nii.gz")
    assert (tmp_path / "in" / links.find(image.name)["file"]).is_file()


def test_folders_within_each_other_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(PrivacyError, match="apart"):
        run(tmp_path / "in", tmp_path / "in" / "out")
    with pytest.raises(PrivacyError, match="apart"):
        run(tmp_path / "in", tmp_path)
    with pytest.raises(DataError, match="no such"):
        run(tmp_path / "nothing", tmp_path / "out")
