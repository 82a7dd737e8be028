"""The study of lung nodules from the command line: LUNA16's layout to report, then new scans without references."""

import csv
import json

import pytest
from chests import COARSE_MM, small_chest, write_lidc

from vesalius.cli import main
from vesalius.io import read_labels
from vesalius.io.points import read_marks
from vesalius.studies.lung_nodule.sample import write_luna16


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    work = tmp_path_factory.mktemp("lung-nodule")
    data, out = work / "data", work / "out"
    data.mkdir()
    write_luna16(data, scans=3, subsets=2, spacings_mm=(COARSE_MM,), seed=1)
    cut = next((data / "subset0").glob("*.raw"))
    cut.write_bytes(cut.read_bytes()[:1000])  # one scan is cut off
    return work, data, out


def test_from_the_official_layout_to_a_report_and_to_new_scans(done, capsys):
    work, data, out = done
    assert main(["study", "lung-nodule", str(data), "-o", str(out), "--steps", "6", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["scores"]["sensitivity_of_candidates"] >= 0.75
    assert said["scores"]["cpm"] >= 0.3, "six steps teach little, and the first look's order is not bad"
    assert any("left out" in repair for repair in said["repairs"]), "the scan that is cut off"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Finding nodules, by LUNA16" in page
    assert "left out" in page
    marks = read_marks(out / "candidates.csv")
    assert (out / "candidates.csv").read_text().splitlines()[0] == "seriesuid,coordX,coordY,coordZ,probability"
    held_out = {path.stem for path in (data / "subset1").glob("*.mhd")}
    assert {mark.series for mark in marks} == held_out
    (bundle,) = (out / "bundles").iterdir()
    assert (bundle / "bundle.json").is_file()

    # New scans: a file, nothing learnt, nothing scored.
    new = next((data / "subset1").glob("*.mhd"))
    again = work / "new"
    assert main(["study", "lung-nodule", str(new), "--trained", str(out), "-o", str(again), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["scores"] == {}
    found = json.loads((again / "findings.json").read_text())["findings"]
    with (again / "findings.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(found)
    labels = read_labels(again / "nodules" / f"{new.stem}.nii.gz")
    assert len(labels.labels) == len(found)
    for row in found:
        at = tuple(round(float(n)) for n in labels.grid.to_index([row["x_mm"], row["y_mm"], row["z_mm"]]))
        assert labels.array[at] in (0, row["nodule"])
        assert row["lung_rads_size"] in ("2", "3", "4A", "4B")


def test_results_of_another_study_are_no_networks(done, tmp_path, capsys):
    _, data, _ = done
    (tmp_path / "other").mkdir()
    argv = ["study", "lung-nodule", str(data), "--trained", str(tmp_path / "other"), "-o", str(tmp_path / "out")]
    assert main(argv) == 1
    assert "nodule-candidates" in capsys.readouterr().err


def test_masks_of_readers_teach_shapes(tmp_path, capsys):
    """LIDC-IDRI: two patients, four readers; a second network draws the nodules."""
    data = tmp_path / "LIDC-IDRI"
    write_lidc(data, [small_chest(3), small_chest(4)])
    out = tmp_path / "out"
    assert main(["study", "lung-nodule", str(data), "-o", str(out), "--steps", "3", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["scores"]["sensitivity_of_candidates"] == 1.0
    assert {path.name for path in (out / "bundles").iterdir()} == {"nodule-candidates", "nodule-shapes"}
