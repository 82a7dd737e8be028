"""The study of the retina, from photographs in their official form to the report."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vesalius.studies.retina
from vesalius.cli import main
from vesalius.studies.retina.sample import write_sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("retina")
    write_sample(folder, seed=1)
    return folder


@pytest.fixture
def small_networks(shrink: Callable[..., None]) -> None:
    shrink(vesalius.studies.retina, patch_size=(128, 128), batch_size=4)


@pytest.mark.usefixtures("small_networks", "quick_plans")
def test_vessels_are_learnt_scored_beside_the_second_reader_and_found_in_new_photographs(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    argv = ["study", "retina", str(sample / "DRIVE"), "-o", str(out), "--steps", "80", "--device", "cpu", "--json"]
    assert main(argv) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert scores["DRIVE: vessels, Dice"] > 0.5
    assert scores["DRIVE: vessels, AUC"] > 0.9
    assert 0.5 < scores["DRIVE: vessels, second reader's Dice"] < 1
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "DRIVE: vessels" in page
    assert page.count("<img") >= 3
    assert sorted(path.name for path in (out / "held-out" / "DRIVE").iterdir()) == [
        "01_test.png", "02_test.png", "03_test.png",
    ]  # fmt: skip
    with Image.open(out / "held-out" / "DRIVE" / "01_test.png") as drawn:
        assert drawn.size == (565, 584), "on the photograph's own pixels"

    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(sample / "DRIVE" / "test" / "images" / "01_test.tif", new)
    argv = ["study", "retina", str(new), "--trained", str(out), "-o", str(tmp_path / "found"), "--device", "cpu"]
    assert main(argv) == 0
    with (tmp_path / "found" / "findings.csv").open() as file:
        (found,) = csv.DictReader(file)
    assert found["what"] == "vessels"
    assert 0.3 < float(found["share of the field, %"]) < 15
    again = np.asarray(Image.open(tmp_path / "found" / "vessels-drive" / "01_test.png"))
    assert np.array_equal(again, np.asarray(Image.open(out / "held-out" / "DRIVE" / "01_test.png")))


@pytest.mark.usefixtures("small_networks", "quick_plans")
def test_lesions_are_scored_by_kind(sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "IDRiD"
    shutil.copytree(sample / "A. Segmentation", data / "A. Segmentation")
    for part in ("a. Training Set", "b. Testing Set"):  # two less
        photographs = sorted((data / "A. Segmentation" / "1. Original Images" / part).iterdir())
        photographs[-1].unlink()
    argv = ["study", "retina", str(data), "-o", str(tmp_path / "out"), "--steps", "80", "--device", "cpu", "--json"]
    assert main(argv) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert set(scores) == {
        f"IDRiD: {name}"
        for name in (
            "hard exudates, AUPR", "soft exudates, AUPR", "haemorrhages, AUPR", "microaneurysms, AUPR", "mean AUPR",
        )
    }  # fmt: skip
    # Chance is the lesion's share of the pixels: less than 0.01.
    assert scores["IDRiD: hard exudates, AUPR"] > 0.3
    assert scores["IDRiD: haemorrhages, AUPR"] > 0.3


def test_what_is_amiss_is_said(sample: Path, tmp_path: Path, refused: Any) -> None:
    lonely = tmp_path / "DRIVE"
    shutil.copytree(sample / "DRIVE" / "test", lonely / "test")
    (lonely / "test" / "images" / "03_test.tif").unlink()
    assert "too few" in refused("study", "retina", lonely, "-o", tmp_path / "a", "--steps", "1", "--device", "cpu")
    other = tmp_path / "other"
    other.mkdir()
    (other / "photo.png").write_bytes(b"")
    said = refused("study", "retina", other, "-o", tmp_path / "a", "--device", "cpu")
    assert "none of the public sets" in said
    assert "Image_01L_1stHO.png" in said
    assert "bundles" in refused("study", "retina", other, "--trained", other, "-o", tmp_path / "a")
