"""The whole way: a segmenter is trained, calibrated on cases that taught nothing, and used with its promises."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import ball_case, write_cases

from vesalius.bundle import Bundle
from vesalius.cli import main
from vesalius.io import read_labels

SMALL = (20, 20, 16)


def told(*arguments: Any, code: int = 0) -> Any:
    """What a verb prints with ``--json``."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(io.StringIO()):
        assert main([*map(str, arguments), "--json"]) == code
    return json.loads(out.getvalue())


def test_trained_calibrated_and_used(tmp_path: Path, quick_plans: None) -> None:
    names = ["--labels", "ball=1,core=2"]
    data = write_cases(tmp_path / "data", (ball_case(n, shape=SMALL) for n in range(8)))
    ward = write_cases(tmp_path / "ward", (ball_case(n, shape=SMALL) for n in range(100, 112)))
    model, here = tmp_path / "model", tmp_path / "here"
    told("fit", data, "-o", model, "--steps", 40, "--set", "validation_fraction=0.3", "--set", "mirror_axes=", *names)
    held_out = Bundle.load(model).provenance["held_out"]
    made = told("calibrate", model, data, "-o", tmp_path / "few", "--held-out", *names)
    assert made["calibration"]["cases"] == len(held_out)
    assert made["calibration"]["factors"] == {}  # too few for 90 %
    assert f"{len(held_out)} persons, and 9 are needed" in made["calibration"]["lacking"]["ball"]
    assert "trained on" in told("calibrate", model, data, "-o", tmp_path / "no", *names, code=1)["error"]["message"]

    made = told("calibrate", model, ward, "-o", here, "--on", "balls of the ward", "--missed", "0.2", *names)
    assert made["scores_on"] == made["calibration"]["on"] == "balls of the ward"
    assert (here / "weights.safetensors").read_bytes() == (model / "weights.safetensors").read_bytes()

    # New cases, exchangeable with those of the calibration: of 20, about 18 sizes are inside; 14 is beyond chance.
    new = write_cases(tmp_path / "new", (ball_case(n, shape=SMALL) for n in range(200, 220)))
    done = told("segment", new / "images", "--bundle", here, "-o", tmp_path / "out", "--outer", "0.2")
    inside, missed = 0, []
    for one in done["images"]:
        drawn = read_labels(new / "labels" / f"{one['image']}.nii.gz").array
        low, high = one["intervals"]["volume_ml"]["ball"]
        inside += low <= (drawn == 1).sum() / 1000 <= high
        region = read_labels(tmp_path / "out" / one["outer"]["ball"]).array
        missed.append(((drawn == 1) & (region == 0)).sum() / (drawn == 1).sum())
    assert inside >= 14
    assert np.mean(missed) <= 0.3


@pytest.mark.parametrize(("name", "least"), [("hippocampus", 0.9), ("nuclei", 0.8)])
def test_built_in_models_promise_what_their_cases_allow(name: str, least: float) -> None:
    promised = Bundle.load(name).card.calibration
    assert promised is not None
    assert promised.level == least
    assert promised.persons >= least / (1 - least) - 1e-9
    assert set(promised.factors) == set(Bundle.load(name).plan.labels.names)
    assert promised.outer
