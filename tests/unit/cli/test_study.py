"""``vesalius study``: the arguments reach the study, and what it found is told."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

import vesalius.studies
from vesalius.cli import main
from vesalius.studies.study import Outcome, Setting


class _Stones:
    """A study that only writes down what it was given."""

    TITLE = "Gallstones"
    DATA = "none"

    def __init__(self) -> None:
        self.seen: list[tuple[Path, Setting]] = []

    def write_sample(self, folder: Path, *, seed: int = 0) -> None:
        (folder / "stones.csv").write_text(str(seed))

    def run(self, data: Path, out: Path, setting: Setting) -> Outcome:
        self.seen.append((data, setting))
        return Outcome(out / "report.html", {"stones": 0.5}, ("one stone was left out",))


@pytest.fixture
def stones(monkeypatch: pytest.MonkeyPatch) -> _Stones:
    study = _Stones()
    monkeypatch.setitem(vesalius.studies.STUDIES, "gallstones", "finds stones")
    monkeypatch.setattr(
        vesalius.studies, "import_module", lambda name: study if "gallstones" in name else SimpleNamespace()
    )
    return study


def test_a_study_is_told_what_was_asked(stones: _Stones, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["study", "gallstones", str(tmp_path), "-o", str(tmp_path / "out"), "--budget", "2m", "--seed", "3"]
    assert main([*argv, "--trained", "earlier", "--device", "cpu"]) == 0
    data, setting = stones.seen[0]
    assert data == tmp_path
    assert (setting.budget_s, setting.seed, setting.device, setting.trained) == (120, 3, "cpu", Path("earlier"))
    said = capsys.readouterr()
    assert "one stone was left out" in said.err
    assert "0.500" in said.out
    assert "report.html" in said.out


def test_a_sample_is_made_once(stones: _Stones, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["study", "gallstones", "--sample", "-o", str(out), "--seed", "7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"] == {"stones": 0.5}
    assert stones.seen[0][0] == out / "sample"
    assert stones.seen[0][1].budget_s == 150
    assert (out / "sample" / "stones.csv").read_text() == "7"
    (out / "sample" / "stones.csv").write_text("kept")
    assert main(["study", "gallstones", "--sample", "-o", str(out)]) == 1, "the folder is not empty"
    assert main(["study", "gallstones", "--sample", "-o", str(out), "--resume"]) == 0
    assert stones.seen[1][1].resume
    assert (out / "sample" / "stones.csv").read_text() == "kept"


@pytest.mark.parametrize(
    "words",
    [["gallstones"], ["gallstones", "x", "--sample"], ["kidneystones", "x"]],
    ids=["no data", "both", "unknown"],
)
def test_wrong_use(stones: _Stones, words: list[str]) -> None:
    assert main(["study", *words]) == 2
    assert not stones.seen
