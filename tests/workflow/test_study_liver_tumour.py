"""The study of liver tumours, from LiTS with its flaws to the report, and on to patients without references."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vesalius.studies.holdout
from vesalius.bundle import Bundle
from vesalius.cli import main
from vesalius.image import Volume
from vesalius.io import read, write
from vesalius.io.atomic import make_folder, write_text
from vesalius.studies.liver_tumour.sample import draw_abdomen, write_lits


@pytest.fixture
def small_networks(shrink: Callable[..., None]) -> None:
    shrink(vesalius.studies.holdout, patch_size=(40, 40, 24), batch_size=2, mirror_axes=())


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("small_networks", "quick_plans")
def test_the_whole_way_and_new_patients_without_references(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    write_lits(make_folder(data), cases=6, seed=1)
    argv = ["study", "liver-tumour", str(data), "-o", str(out), "--steps", "90", "--device", "cpu", "--json"]
    assert main(argv) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["repairs"] == [
        "volume-3: volume and segmentation were placed differently by their headers; that of the volume was taken",
        "volume-5: values below -1024 outside the field of view count as air",
    ]
    assert told["scores"]["liver Dice per case"] > 0.7
    assert {"tumour Dice per case", "tumour Dice global", "lesion recall", "tumour burden RMSE"} <= set(told["scores"])
    organ, tumour = (Bundle.load(out / "bundles" / name) for name in ("liver", "tumour"))
    assert (organ.plan.labels.names, tumour.plan.labels.names) == (("liver",), ("liver", "tumour"))

    held_out = [row["case"] for row in rows(out / "scores.csv")]
    assert len(held_out) == 2
    patients = {row["case"]: row for row in rows(out / "patients.csv")}
    lesions = rows(out / "lesions.csv")
    for case in held_out:
        assert 800 < float(patients[case]["liver_ml"]) < 3000
        mine = [row for row in lesions if row["case"] == case]
        assert int(patients[case]["lesions"]) == len(mine)
        assert sum(float(row["volume_ml"]) for row in mine) == pytest.approx(
            float(patients[case]["tumours_ml"]), abs=0.01 * (1 + len(mine))
        )
        assert all(float(row["long_axis_mm"]) >= float(row["short_axis_mm"]) for row in mine)
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("Scores on cases that were held out", "segments of Couinaud are not told", "volume-3: volume and"):
        assert words in page

    new, later = tmp_path / "new", tmp_path / "later"
    image, _, grid = draw_abdomen(np.random.default_rng(77))
    write(Volume(image[None], grid), make_folder(new) / "test-volume-0.nii")
    assert main(["study", "liver-tumour", str(new), "-o", str(later), "--trained", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == {}
    (row,) = rows(later / "patients.csv")
    assert 800 < float(row["liver_ml"]) < 3000
    assert read(later / "segmentations" / "test-volume-0.nii.gz").grid.is_close(grid, tolerance_mm=0.01)


@pytest.mark.usefixtures("small_networks", "quick_plans")
def test_the_decathlons_liver(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its labels are called liver and cancer; the values are the same."""
    data, out = tmp_path / "Task03_Liver", tmp_path / "out"
    training = []
    for number in range(3):
        image, labels, grid = draw_abdomen(np.random.default_rng(number))
        for folder, array in (("imagesTr", image), ("labelsTr", labels)):
            write(Volume(array[None], grid), make_folder(data / folder) / f"liver_{number}.nii.gz")
        training.append({"image": f"./imagesTr/liver_{number}.nii.gz", "label": f"./labelsTr/liver_{number}.nii.gz"})
    told = {
        "modality": {"0": "CT"}, "labels": {"0": "background", "1": "liver", "2": "cancer"},
        "numTraining": 3, "training": training, "test": [],
    }  # fmt: skip
    write_text(data / "dataset.json", json.dumps(told))
    assert main(["study", "liver-tumour", str(data), "-o", str(out), "--steps", "2", "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["repairs"] == []
    assert len(rows(out / "scores.csv")) == 1


def test_what_is_neither_is_refused(refused: Any, tmp_path: Path) -> None:
    for name in ("empty", "out"):
        (tmp_path / name).mkdir()
    message = refused("study", "liver-tumour", tmp_path / "empty", "-o", tmp_path / "out")
    assert "neither LiTS: volume-0.nii with segmentation-0.nii" in message


def test_trained_must_be_results_of_this_study(refused: Any, tmp_path: Path) -> None:
    for name in ("earlier", "out"):
        (tmp_path / name).mkdir()
    write_lits(make_folder(tmp_path / "data"), cases=1)
    message = refused(
        "study", "liver-tumour", tmp_path / "data", "-o", tmp_path / "out", "--trained", tmp_path / "earlier"
    )
    assert "not the results of this study" in message
