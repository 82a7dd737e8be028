"""Patients over time: dates become days, and files find their places."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import MRImageStorage

from vesalius.cli import main
from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import write
from vesalius.io.layouts import index
from vesalius.io.layouts.visits import find_patients

GRID = Grid.from_spacing((6, 6, 4), (1.0, 1.0, 2.0))


def visit(folder, *names, seed=0):
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        if "lesion" in name or "seg" in name:
            drawn = np.zeros(GRID.shape, np.uint8)
            drawn[2:4, 2:4, 1:3] = 1
            write(LabelMap(drawn, GRID, Labels.of({"lesion": 1})), folder / name)
        else:
            noise = np.random.default_rng((seed, number)).normal(size=(1, *GRID.shape)).astype(np.float32)
            write(Volume(noise, GRID), folder / name)


def test_dates_become_days_in_order(tmp_path):
    visit(tmp_path / "p" / "2024-03-01", "flair.nii.gz", "lesions.nii.gz")
    visit(tmp_path / "p" / "20240131", "flair.nii.gz", "flair_seg.nii.gz", "T1.nii.gz")
    visit(tmp_path / "p" / "notes", "flair.nii.gz")
    ((patient,), left_out) = find_patients(tmp_path)
    assert (patient.id, [v.day for v in patient.visits]) == ("p", [0, 30])
    assert [sorted(v.images) for v in patient.visits] == [["flair", "t1"], ["flair"]]
    assert [v.lesions.name for v in patient.visits] == ["flair_seg.nii.gz", "lesions.nii.gz"]
    assert left_out == ()
    assert find_patients(tmp_path / "p")[0][0].id == "p"  # a single patient's own folder


def test_folders_of_slices_are_images(tmp_path):
    (tmp_path / "p" / "2024-03-01" / "FLAIR").mkdir(parents=True)
    ((patient,), _) = find_patients(tmp_path)
    assert patient.visits[0].images == {"flair": tmp_path / "p" / "2024-03-01" / "FLAIR"}


def test_several_drawings_are_not_guessed(tmp_path):
    visit(tmp_path / "p" / "2024-03-01", "flair.nii.gz", "a_seg.nii.gz", "b_seg.nii.gz")
    visit(tmp_path / "p" / "2024-04-01", "flair.nii.gz", "lesions.nii.gz", "brain_tissue_seg.nii.gz")
    ((patient,), left_out) = find_patients(tmp_path)
    assert patient.visits[0].lesions is None
    assert patient.visits[1].lesions.name == "lesions.nii.gz"
    assert [(one.id, "2 files could be" in one.reason) for one in left_out] == [("p, time point 1", True)]


def test_what_has_no_time_points_is_refused(tmp_path):
    (tmp_path / "p" / "2024-13-01").mkdir(parents=True)  # no such month
    with pytest.raises(DataError, match="no time points"):
        find_patients(tmp_path)
    (tmp_path / "p" / "2024-12-01").mkdir()
    with pytest.raises(DataError, match="has an image"):
        find_patients(tmp_path)
    (tmp_path / "p" / "20241201").mkdir()
    with pytest.raises(DataError, match="of the same day") as told:
        find_patients(tmp_path)
    assert "2024" not in str(told.value)


def test_index_reads_time_points_as_cases(tmp_path):
    for number, (patient, date) in enumerate((("p", "2024-03-01"), ("p", "2024-05-01"), ("q", "2024-03-01"))):
        visit(tmp_path / patient / date, "flair.nii.gz", "lesions.nii.gz", seed=number)
    dataset = index(tmp_path)
    assert (dataset.layout, dataset.ids, dataset.channels) == ("visits", ("p_1", "p_2", "q_1"), ("flair",))
    assert dataset.patients == ("p", "q")
    assert dataset[0].reference.counts()[1] == 8


@pytest.fixture
def scanned(dicom, ramp):
    """Write a series of a study, with or without a date."""

    def scan(patient, study, name, date, *, uid=None, **elements):
        # A study has one UID, whatever its series.
        uid = uid or f"1.2.826.0.1.3680043.10.{abs(hash((patient, study))) % 10**9}"
        other = (ramp + int(date or 0) % 7).astype(ramp.dtype)  # no study shows what another does
        slices = dicom.stack(other, storage=MRImageStorage, StudyDate=date, StudyInstanceUID=uid, **elements)
        for number, made in enumerate(slices):
            made.PatientID = patient
            dicom.write(made, f"data/{patient}/{study}/{name}/{number}.dcm")
        return dicom.folder / "data"

    return scan


def test_the_dates_of_dicom_studies_become_days(scanned):
    for patient in ("p", "q"):
        scanned(patient, "b9", "FLAIR", "20240131")
        data = scanned(patient, "a1", "FLAIR", "20240301")
    scanned("p", "a1", "T1", "20240301")
    patients, left_out = find_patients(data)
    assert [one.id for one in patients] == ["p", "q"]
    assert [visit.day for visit in patients[0].visits] == [0, 30]
    assert [set(visit.images) for visit in patients[0].visits] == [{"flair"}, {"flair", "t1"}]
    assert patients[0].visits[0].images["flair"] == data / "p" / "b9" / "FLAIR"
    assert left_out == ()
    ((alone,), _) = find_patients(data / "p")  # a single patient's own folder
    assert [visit.day for visit in alone.visits] == [0, 30]


def test_index_puts_dicom_studies_in_order_when_asked_to(scanned, capsys):
    """Another order than that of the folders' names; the note says how to ask; nobody tells a date."""
    scanned("p", "b9", "FLAIR", "20240131")
    data = scanned("p", "a1", "FLAIR", "20240301")
    guessed = index(data)
    assert guessed.layout == "images"
    assert [
        note for note in guessed.notes if "visits puts them in the order" in note and note.startswith("of a patient")
    ]
    assert main(["index", str(data), "--layout", "visits"]) == 0
    said = capsys.readouterr().out
    assert "order: p: b9, a1" in said
    assert "2024" not in said + " ".join(guessed.notes)
    assert main(["index", str(data), "--layout", "visits", "--json"]) == 0
    cases = json.loads(capsys.readouterr().out)["cases"]
    assert [(case["id"], Path(case["images"][0]).parent.name) for case in cases] == [("p_1", "b9"), ("p_2", "a1")]


def test_studies_without_dates_have_no_order(scanned):
    scanned("p", "b9", "FLAIR", "20240131")
    data = scanned("p", "a1", "FLAIR", None)
    assert not [note for note in index(data).notes if "visits" in note]
    with pytest.raises(DataError, match="1 of 2 studies have no study date"):
        index(data, "visits")


def test_series_under_pseudonyms_are_known_by_their_modality(scanned):
    scanned("p", "V5IQ", "K3AA", "20240131")
    data = scanned("p", "ZZ7H", "B8QT", "20240301")
    ((patient,), _) = find_patients(data)
    assert [set(visit.images) for visit in patient.visits] == [{"mr"}, {"mr"}]


@pytest.mark.parametrize("date", [None, "", "19000101"])
def test_a_study_without_a_date_is_an_error_that_says_what_to_do(scanned, date):
    scanned("p", "one", "FLAIR", "20240131")
    data = scanned("p", "two", "FLAIR", date)
    with pytest.raises(DataError, match=r"1 of 2 studies have no study date .* PATIENT/2024-03-18/SERIES") as told:
        find_patients(data)
    assert "0131" not in str(told.value)


def test_studies_of_one_day_and_days_of_one_folder(scanned):
    scanned("p", "one", "FLAIR", "20240131")
    data = scanned("p", "two", "FLAIR", "20240131")
    with pytest.raises(DataError, match=r"^patient 1 of 1, .* of the same day by their DICOM headers"):
        find_patients(data)  # the folder's name may be the patient's
    scanned("p", "two", "T1", "20240201")
    with pytest.raises(DataError, match="the series of one time point are of different days"):
        find_patients(data)


def test_headers_count_where_folders_are_named_by_other_dates(scanned):
    """Shifted dates keep the intervals: then nothing is said. Others are not as far apart: that is told."""
    scanned("p", "2024-01-01", "FLAIR", "20190131")
    data = scanned("p", "2024-01-31", "FLAIR", "20190302")
    ((patient,), left_out) = find_patients(data)
    assert ([visit.day for visit in patient.visits], left_out) == ([0, 30], ())
    scanned("p", "2024-01-31", "FLAIR", "20190312")
    ((patient,), (odd,)) = find_patients(data)
    assert [visit.day for visit in patient.visits] == [0, 40]
    assert "the headers count" in odd.reason
    scanned("p", "2024-01-31", "FLAIR", None)  # not all of them have a date: the names count
    ((patient,), left_out) = find_patients(data)
    assert ([visit.day for visit in patient.visits], left_out) == ([0, 30], ())
