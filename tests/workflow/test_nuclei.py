"""The built-in model of nuclei on pictures that it was not trained on."""

from pathlib import Path

import numpy as np
import pytest

from vesalius.bundle import Bundle
from vesalius.cli import main
from vesalius.image import LabelMap, Labels
from vesalius.io import read_labels
from vesalius.metrics import evaluate

NUCLEUS = Labels.of({"nucleus": 1})
HELD_OUT = (
    "1a75de9e",
    "4948e3df",
    "a101a00f",
    "d1ba6089",
)  # in fluorescence; models/nuclei/README.md tells their scores


def test_it_is_as_good_as_its_card_says(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "dsb2018_nuclei"
    found = []
    for name in HELD_OUT:
        (image,) = (folder / "images").glob(f"{name}*.png")
        out = tmp_path / f"{name}.png"
        assert main(["segment", str(image), "--bundle", "nuclei", "-o", str(out)]) == 0
        said, numbered = read_labels(out, NUCLEUS), read_labels(folder / "labels" / image.name)
        reference = LabelMap((numbered.array > 0).astype(np.uint8), said.grid, NUCLEUS)
        found.append(evaluate(said, reference, metrics=("dice",)).values["nucleus"]["dice"])
    assert np.mean(found) == pytest.approx(0.920, abs=0.01)
    assert f"{len(HELD_OUT)}: 0.920" in Bundle.load("nuclei").card.scores_on


def test_it_taught_itself_nothing_of_them() -> None:
    held_out = Bundle.load("nuclei").provenance["held_out"]
    assert set(HELD_OUT) < set(held_out)


def test_a_picture_of_nuclei_is_refused_without_its_name(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A picture of anything else of that size looks the same to the headers."""
    (image,) = (shared_data / "dsb2018_nuclei" / "images").glob("4948e3df*.png")
    assert main(["segment", str(image), "-o", str(tmp_path / "out.png")]) == 1
    assert "nuclei (45%): a picture without a scale" in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()
