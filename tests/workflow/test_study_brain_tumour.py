"""The study of brain tumours, from BraTS in its official forms to the report, and on to patients without a sequence."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vesalius.studies.holdout
from vesalius.bundle import Bundle
from vesalius.cli import main
from vesalius.image import Volume
from vesalius.io import read, read_labels, write
from vesalius.studies.brain_tumour.sample import write_brats
from vesalius.transform import respace

FOUR = ["T1", "T1CE", "T2", "FLAIR"]


@pytest.fixture
def small_networks(shrink: Callable[..., None]) -> None:
    shrink(vesalius.studies.holdout, patch_size=(32, 40, 32), batch_size=2, mirror_axes=())


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("brats")
    write_brats(folder, cases=6, seed=1)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.usefixtures("small_networks", "quick_plans")
def test_the_whole_way_and_new_patients_without_references(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(sample, data)
    (data / "BraTS20_Training_006" / "BraTS20_Training_006_t2.nii.gz").unlink()
    argv = ["study", "brain-tumour", str(data), "-o", str(out), "--steps", "150", "--device", "cpu", "--json"]
    assert main(argv) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["repairs"] == ["BraTS20_Training_006: its T2 is missing: not learnt from, segmented without it"]
    assert told["scores"]["whole tumour, Dice"] > 0.5
    assert set(told["scores"]) >= {
        f"{region}, {score}"
        for region in ("whole tumour", "tumour core", "enhancing tumour")
        for score in ("Dice", "HD95, mm", "lesion-wise Dice", "lesion-wise HD95, mm")
    }
    bundle = Bundle.load(out / "bundles" / "tumour")
    assert bundle.plan.regions
    assert [output.name for output in bundle.plan.outputs] == ["whole tumour", "tumour core", "enhancing tumour"]
    assert bundle.plan.augmentation.channel_dropout_p > 0

    held_out = {row["case"] for row in rows(out / "scores.csv")}
    assert len(held_out) == 2, "a third of five"
    findings = rows(out / "findings.csv")
    assert {row["case"] for row in findings} == held_out | {"BraTS20_Training_006"}
    for row in findings:
        number = int(row["case"][-3:])
        side = "left" if number % 2 else "right"
        assert row["where"].startswith(side), "odd ones are drawn on the left"
        assert float(row["whole_tumour_ml"]) == pytest.approx(
            sum(float(row[f"{name}_ml"]) for name in ("necrotic_core", "oedema", "enhancing_tumour")), abs=0.2
        )
        found = read_labels(out / "segmentations" / f"{row['case']}.nii.gz", bundle.plan.labels)
        ml = sum(n for value, n in found.counts().items() if value) * found.grid.voxel_volume_mm3 / 1000
        assert float(row["whole_tumour_ml"]) == pytest.approx(ml, abs=0.06)
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in ("Scores on cases that were held out", "Is there a tumour?", "Cases without a sequence", "its T2 is"):
        assert words in page
    assert page.count("<img") >= 3

    new, later = tmp_path / "new", tmp_path / "later"
    write_brats(new, cases=2, seed=7, form="2023")
    for path in new.rglob("*-seg.nii.gz"):
        path.unlink()
    for ending in ("t1n", "t2w"):
        (new / "BraTS-GLI-00002-000" / f"BraTS-GLI-00002-000-{ending}.nii.gz").unlink()
    assert main(["study", "brain-tumour", str(new), "-o", str(later), "--trained", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == {}
    after = {row["case"]: row for row in rows(later / "findings.csv")}
    assert after["BraTS-GLI-00001-000"]["sequences"].split() == FOUR
    assert after["BraTS-GLI-00002-000"]["sequences"].split() == ["T1CE", "FLAIR"]
    assert after["BraTS-GLI-00001-000"]["where"].startswith("left")
    assert (later / "segmentations" / "BraTS-GLI-00002-000.nii.gz").is_file()


@pytest.mark.usefixtures("small_networks", "quick_plans")
def test_mixed_conventions_and_exchanged_sequences(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels of 2023 in one case: brought to the others'. T2 and FLAIR exchanged in another: left out."""
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(sample, data)
    seg = data / "BraTS20_Training_001" / "BraTS20_Training_001_seg.nii.gz"
    drawn = read(seg)
    write(Volume(np.where(drawn.array == 4, 3, drawn.array).astype(np.uint8), drawn.grid), seg)
    one, other = (data / "BraTS20_Training_002" / f"BraTS20_Training_002_{name}.nii.gz" for name in ("t2", "flair"))
    swap = one.with_name("x.nii.gz")
    one.rename(swap)
    other.rename(one)
    swap.rename(other)
    argv = ["study", "brain-tumour", str(data), "-o", str(out), "--steps", "2", "--device", "cpu", "--json"]
    assert main(argv) == 0
    repairs = json.loads(capsys.readouterr().out)["repairs"]
    assert repairs[0] == "label conventions are mixed (1/2/3 in 1 cases, 1/2/4 in 4 cases): all were brought to 1/2/4"
    assert repairs[1].startswith("BraTS20_Training_002: left out: its sequences seem to be exchanged: ")
    assert "T2 looks like FLAIR" in repairs[1]
    assert "FLAIR looks like T2" in repairs[1]
    assert len(repairs) == 2


@pytest.mark.usefixtures("small_networks", "quick_plans")
def test_sequences_that_lie_apart_are_brought_together(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Shifted on the same grid, on another grid, and of another patient: the first two are learnt from, too."""
    pytest.importorskip("SimpleITK")
    data, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(sample, data)
    names = [data / f"BraTS20_Training_{n:03d}" / f"BraTS20_Training_{n:03d}" for n in range(1, 7)]
    shifted, thick, lone = (Path(f"{names[n]}_{word}.nii.gz") for n, word in ((0, "t2"), (1, "flair"), (4, "t1")))
    before = read(shifted)
    write(Volume(np.roll(before.array, (3, -3), axis=(2, 3)), before.grid), shifted)
    other = read(thick)
    write(respace(other.with_array(other.array.astype(np.float32)), (3.0, 3.0, 6.0)), thick)
    strange = read(Path(f"{names[3]}_t1.nii.gz"))
    noise = np.random.default_rng(1).integers(200, 900, strange.array.shape)
    write(
        Volume(
            np.where(strange.array, noise, 0)[:, :, :, 1:].astype(np.int16), strange.grid.crop((0, 0, 1), (50, 62, 43))
        ),
        lone,
    )
    Path(f"{names[4]}_t2.nii.gz").unlink()  # and this one lacks a sequence as well
    argv = ["study", "brain-tumour", str(data), "-o", str(out), "--steps", "2", "--device", "cpu", "--json"]
    assert main(argv) == 0
    repairs = json.loads(capsys.readouterr().out)["repairs"]
    assert [words.split(" (")[0].split(": moved")[0] for words in repairs[:3]] == [
        "BraTS20_Training_005: its T2 is missing: not learnt from, segmented without it",
        "BraTS20_Training_001: its T2 was brought onto its T1CE",
        "BraTS20_Training_002: its FLAIR was brought onto its T1CE",
    ]
    assert "moved by 12." in repairs[1]
    assert repairs[3].startswith("BraTS20_Training_005: left out: its T1 could not be brought onto its T1CE: ")
    assert len(repairs) == 4
    back = read(out / "registered" / "BraTS20_Training_001" / "T2.nii.gz").array
    assert np.corrcoef(back.ravel(), before.array.ravel())[0, 1] > 0.99
    assert Bundle.load(out / "bundles" / "tumour").provenance["training_cases"] >= 3
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "its T2 was brought onto its T1CE: moved by 12." in page


def test_what_is_no_brats_is_refused(refused: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "out").mkdir()
    message = refused("study", "brain-tumour", tmp_path / "empty", "-o", tmp_path / "out")
    assert "no case of BraTS; the study looks for BraTS: a folder for each patient" in message


def test_one_patient_is_not_enough(refused: Any, sample: Path, tmp_path: Path) -> None:
    shutil.copytree(sample / "BraTS20_Training_001", tmp_path / "data" / "BraTS20_Training_001")
    (tmp_path / "out").mkdir()
    message = refused("study", "brain-tumour", tmp_path / "data", "-o", tmp_path / "out")
    assert "a study needs at least two patients with references" in message


def test_trained_must_be_results_of_this_study(refused: Any, sample: Path, tmp_path: Path) -> None:
    for name in ("earlier", "out"):
        (tmp_path / name).mkdir()
    message = refused("study", "brain-tumour", sample, "-o", tmp_path / "out", "--trained", tmp_path / "earlier")
    assert "tumour" in message
