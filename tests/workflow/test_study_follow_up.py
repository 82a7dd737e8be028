"""The study of lesions over time: every fate of the sample is found, and what is amiss is told."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from vesalius.cli import main
from vesalius.image import LabelMap, Volume
from vesalius.io import read, read_labels, write
from vesalius.studies.follow_up.sample import COURSES, write_sample

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
