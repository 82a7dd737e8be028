"""The study of lesions over time: every fate of the sample is found, and what is amiss is told."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from vesalius.bundle import Card
from vesalius.cli import main
from vesalius.image import LabelMap, Volume
from vesalius.io import read, read_labels, write
from vesalius.io.dicom import write_series
from vesalius.io.layouts import index
from vesalius.plan import Budget, fingerprint, make_plan
from vesalius.studies.follow_up.sample import COURSES, write_sample
from vesalius.transform import resample, respace

pytest.importorskip("SimpleITK")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_sample_tells_every_fate(tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["study", "follow-up", "--sample", "-o", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["scores"] == {
        "patients": 2,
        "lesions": 7,
        "new": 1,
        "gone": 1,
        "grown": 4,
        "shrunk": 4,
        "unchanged": 2,
        "time points with an alert": 2,
    }
    assert said["repairs"] == []
    lesions = rows(out / "lesions.csv")
    assert {row["event"] for row in lesions} == {"", "split", "merged"}
    grown = [row for row in lesions if row["verdict"] == "grown"]
    assert all(0 < float(row["doubling_days"]) < 205 for row in grown)
    # Balls of 6, 8 and 10 mm: the volumes are those of the formula, within four standard errors.
    course = next(
        c for c in _courses(lesions, "patient-1") if float(c[0]["volume_ml"]) < 1 and float(c[2]["volume_ml"]) > 4
    )
    for row, radius in zip(course, (6, 8, 10), strict=True):
        wanted = 4 / 3 * np.pi * radius**3 / 1000
        assert abs(float(row["volume_ml"]) - wanted) < 4 * float(row["error_ml"])
    points = rows(out / "time-points.csv")
    assert [row["response_by_volume"] for row in points] == ["", "progressive", "progressive", "", "stable", "partial"]
    assert "new" in points[2]["alerts"]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Alert at time point 3" in page
    assert not any(date in page for date in ("2024-01-10", "2024-04-11", "20240802"))
    # Lesions of the last time point lie where they were drawn, though the head had moved.
    grid = read(out / "aligned" / "patient-1" / "1.nii.gz").grid
    found = read_labels(out / "aligned" / "patient-1" / "3-lesions.nii.gz").array > 0
    at = grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1))
    drawn = np.any([np.linalg.norm(at - ball[:3], axis=-1) < ball[3] for ball in COURSES["patient-1"][2]], axis=0)
    assert 2 * (found & drawn).sum() / (found.sum() + drawn.sum()) > 0.8


def _courses(lesions: list[dict[str, str]], patient: str) -> list[list[dict[str, str]]]:
    mine = [row for row in lesions if row["patient"] == patient]
    return [[row for row in mine if row["lesion"] == name] for name in dict.fromkeys(row["lesion"] for row in mine)]


@pytest.fixture
def sample(tmp_path) -> Path:
    write_sample(tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "patient-2")
    shutil.rmtree(tmp_path / "data" / "patient-1" / "2024-08-02")
    return tmp_path / "data"


def study(data: Path, out: Path, *more: str) -> int:
    return main(["study", "follow-up", str(data), "-o", str(out), "--json", *more])


def test_what_is_left_out_is_told(sample, tmp_path, capsys):
    (sample / "patient-1" / "2024-09-01").mkdir()
    (sample / "patient-9" / "20240301").mkdir(parents=True)
    shutil.copy(sample / "patient-1" / "2024-01-10" / "flair.nii.gz", sample / "patient-9" / "20240301")
    # A speck.
    path = sample / "patient-1" / "2024-04-11" / "lesions.nii.gz"
    lesions = read_labels(path)
    drawn = lesions.array.copy()
    drawn[36, 44, 12] = 1
    write(LabelMap(drawn, lesions.grid, lesions.labels), path)
    assert study(sample, tmp_path / "out") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["repairs"] == [
        "patient-1, time point 3: it has no image",
        "patient-1, time point 2: 1 pieces of fewer than 3 voxels were left out",
        "patient-9: a single time point has no course, and was left out",
    ]
    assert said["scores"]["gone"] == 1


def test_no_lesions_at_either_time_are_a_course_too(sample, tmp_path, capsys):
    for path in sample.rglob("lesions.nii.gz"):
        lesions = read_labels(path)
        write(LabelMap(lesions.array * 0, lesions.grid, lesions.labels), path)
    assert study(sample, tmp_path / "out") == 0
    assert json.loads(capsys.readouterr().out)["scores"]["lesions"] == 0
    assert "not evaluable" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_bad_data_are_refused(sample, tmp_path, refused):
    place = sample / "patient-1" / "2024-04-11"
    out = tmp_path / "out"
    out.mkdir()
    shutil.move(place / "lesions.nii.gz", tmp_path / "kept.nii.gz")
    assert "there are no lesions" in refused("study", "follow-up", sample, "-o", out)
    assert "one bundle" in refused("study", "follow-up", sample, "-o", out, "--trained", tmp_path / "earlier")
    lesions = read_labels(tmp_path / "kept.nii.gz")
    write(
        LabelMap(lesions.array[1:], lesions.grid.crop((1, 0, 0), (71, 88, 60)), lesions.labels),
        place / "lesions.nii.gz",
    )
    assert "lie on different grids" in refused("study", "follow-up", sample, "-o", out)
    (place / "flair.nii.gz").write_bytes((place / "flair.nii.gz").read_bytes()[:5000])
    message = refused("study", "follow-up", sample, "-o", out)
    assert "patient-1, time point 2" in message
    assert "2024" not in message
    (place / "flair.nii.gz").rename(place / "t1.nii.gz")
    assert "no image in common" in refused("study", "follow-up", sample, "-o", out)
    (sample / "patient-1" / "20240411").mkdir()
    assert "of the same day" in refused("study", "follow-up", sample, "-o", out)
    assert "no time points" in refused("study", "follow-up", tmp_path / "nowhere", "-o", out)


def test_an_image_that_shows_nothing_is_refused(sample, tmp_path, capsys):
    place = sample / "patient-1" / "2024-04-11"
    image = read(place / "flair.nii.gz")
    flat = Volume(np.full_like(image.array, 7), image.grid, image.meta)
    write(flat, place / "flair.nii.gz")
    assert study(sample, tmp_path / "out") == 1
    assert "single grey value" in capsys.readouterr().err


def coarsen(folder: Path) -> None:
    """Voxels of 4 mm, with which a small network is quick."""
    for path in folder.rglob("lesions.nii.gz"):
        beside = path.with_name("flair.nii.gz")
        write(respace(read_labels(path), (4.0, 4.0, 4.0)), path)
        write(respace(read(beside), (4.0, 4.0, 4.0), antialias=True), beside)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a study that trained a segmenter of lesions: one small network, on heads of the sample."""
    from vesalius.train import fit

    place = tmp_path_factory.mktemp("trained")
    write_sample(place / "data", seed=11)
    coarsen(place / "data")
    dataset = index(place / "data")
    plan = make_plan(fingerprint(dataset), Budget(time_s=None, steps=150, device="cpu"))
    few = {"features": (8, 16, 32), "encoder_blocks": (1, 1, 1), "decoder_blocks": (1, 1)}
    network = replace(plan.network, **few, strides=plan.network.strides[:3], kernels=plan.network.kernels[:3])
    plan = replace(plan, network=network, patch_size=(24, 24, 24), batch_size=2, mirror_axes=())
    out = place / "out" / "bundles" / "lesions"
    fit(dataset, plan, out, device="cpu", card=Card(name="lesions"), validation=())
    return place / "out"


def test_new_time_points_without_lesions_from_the_scanner_and_de_identified(trained, tmp_path, capsys):
    """DICOM studies, dates shifted by de-identification, pseudonyms for names; lesions by an earlier run's network."""
    write_sample(tmp_path / "heads", seed=3)
    coarsen(tmp_path / "heads")
    for date in ("2024-01-10", "2024-04-11"):
        image = read(tmp_path / "heads" / "patient-1" / date / "flair.nii.gz")
        folder = tmp_path / "scans" / "Doering_Jane" / f"study of {date}" / "FLAIR"
        folder.parent.mkdir(parents=True)
        image = image.with_array(np.clip(image.array, 0, 4000).astype(np.int16))
        write_series(replace(image, meta=replace(image.meta, modality="MR")), folder)
        study = generate_uid()
        for path in folder.glob("*.dcm"):
            made = dcmread(path)
            made.StudyDate, made.PatientID, made.StudyInstanceUID = date.replace("-", ""), "4711", study
            made.save_as(path)
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_text("a secret of enough letters")
    common = ["--key", str(tmp_path / "key"), "--skip-pixels", "--json"]
    scans, shared = str(tmp_path / "scans"), tmp_path / "shared"
    assert main(["deidentify", scans, "-o", str(shared), "--keep", "modified-dates", *common]) == 0
    assert json.loads(capsys.readouterr().out)["quarantined"] == 0
    assert study_of_lesions(shared, tmp_path / "out", trained) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["repairs"] == []
    assert said["scores"]["patients"] == 1
    assert said["scores"]["grown"] >= 1
    assert [row["day"] for row in rows(tmp_path / "out" / "time-points.csv")] == ["0", "92"]
    # Five balls, of 0.5 to 1.4 ml, are drawn at first.
    drawn = read_labels(tmp_path / "heads" / "patient-1" / "2024-01-10" / "lesions.nii.gz").array > 0
    (aligned,) = (tmp_path / "out" / "aligned").iterdir()
    found = read_labels(aligned / "1-lesions.nii.gz")
    truth = LabelMap(drawn.astype(np.uint8), image.grid, found.labels)
    there = resample(truth, found.grid).array > 0
    assert 2 * (there & (found.array > 0)).sum() / (there.sum() + (found.array > 0).sum()) > 0.6
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "segmented by lesions" in page

    assert main(["deidentify", scans, "-o", str(tmp_path / "dateless"), *common]) == 0
    capsys.readouterr()
    assert study_of_lesions(tmp_path / "dateless", tmp_path / "none", trained) == 1
    assert "2 of 2 studies have no study date" in capsys.readouterr().err


def study_of_lesions(data: Path, out: Path, trained: Path) -> int:
    return study(data, out, "--trained", str(trained), "--device", "cpu")
