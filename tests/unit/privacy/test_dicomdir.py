"""A DICOMDIR for what was de-identified: valid, complete, without a canary, the same each time."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from planted import plant
from pydicom.dataset import Dataset
from pydicom.fileset import FileSet

from vesalius.privacy.folder import deidentify
from vesalius.privacy.profile import make_profile

KEY = b"a key for the tests of media"


@pytest.fixture(autouse=True)
def no_reading_of_text(monkeypatch):
    monkeypatch.setattr(
        "vesalius.privacy.text.black_out", lambda frame, **_: (frame, np.zeros(frame.shape[:2], bool), True)
    )
    monkeypatch.setattr("vesalius.privacy.text.find_text", lambda frame: ())
    monkeypatch.setattr("vesalius.privacy.burnt.find_text", lambda frame: (), raising=False)


def run(source: Path, out: Path, *options: str):
    return deidentify(source, out, profile=make_profile(["pixels", *options]), key=KEY, directory=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def listed_in(folder: Path) -> dict[Path, Dataset]:
    """The objects that the DICOMDIR names, by their paths."""
    listed = FileSet(folder / "DICOMDIR")
    found = {Path(one.path): one.load() for one in listed}
    assert [dataset.SOPInstanceUID for dataset in found.values()] == [one.SOPInstanceUID for one in listed]
    listed._stage["t"].cleanup()
    return found


@pytest.mark.parametrize("options", [(), ("modified-dates",)])
def test_a_new_one_lists_what_is_there_and_holds_no_canary(tmp_path, options):
    (tmp_path / "in").mkdir()
    planted = plant(tmp_path / "in")
    report = run(tmp_path / "in", tmp_path / "out", *options)
    times = {text for text, place in planted.places.items() if options and place.startswith("TM")}
    assert set(planted.found_in(tmp_path / "out")) <= times
    images = listed_in(tmp_path / "out")
    assert len(images) == 5
    assert {path.relative_to(tmp_path / "out").as_posix() for path in images} <= {one.name for one in report.written}
    assert len({dataset.StudyInstanceUID for dataset in images.values()}) == 2
    for path, dataset in images.items():
        assert all(len(part) <= 8 and part.isupper() for part in path.relative_to(tmp_path / "out").parts)
        assert dataset.PatientIdentityRemoved == "YES"
    assert contents(tmp_path / "out").keys() >= {"DICOMDIR", "PT000000/ST000000/SE000000/IM000000"}
    assert not list((tmp_path / "out").rglob(".part*"))
    if shutil.which("dciodvfy"):
        said = subprocess.run(["dciodvfy", tmp_path / "out" / "DICOMDIR"], capture_output=True, text=True, check=False)
        assert not [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]


def test_files_keep_every_bit_and_runs_agree(tmp_path):
    (tmp_path / "in").mkdir()
    plant(tmp_path / "in")
    deidentify(tmp_path / "in", tmp_path / "plain", profile=make_profile(["pixels"]), key=KEY)
    run(tmp_path / "in", tmp_path / "out")
    plain = sorted(path.read_bytes() for path in (tmp_path / "plain").rglob("*.dcm"))
    assert sorted(path.read_bytes() for path in (tmp_path / "out").rglob("IM*")) == plain
    before = contents(tmp_path / "out")
    run(tmp_path / "in", tmp_path / "out")  # again into the same folder
    assert contents(tmp_path / "out") == before
    run(tmp_path / "out", tmp_path / "twice")
    assert contents(tmp_path / "twice") == before


def test_a_study_that_comes_later_joins(tmp_path):
    for name in ("in", "later"):
        (tmp_path / name).mkdir()
        plant(tmp_path / name)
    for path in sorted((tmp_path / "in").rglob("*.dcm"))[:3]:
        path.unlink()
    run(tmp_path / "in", tmp_path / "out")
    assert len(listed_in(tmp_path / "out")) == 2
    run(tmp_path / "later", tmp_path / "out")
    images = listed_in(tmp_path / "out")
    assert len(images) == 5
    assert set((tmp_path / "out").rglob("IM*")) == set(images)
