"""The demo, with a training of a few steps in the place of its 75 seconds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vesalius.errors import MissingDependencyError
from vesalius.image import Dataset
from vesalius.io import read_labels
from vesalius.plan import Budget, Fingerprint, Plan, make_plan, with_settings
from vesalius.studies import demo as home
from vesalius.studies.demo import demo


def few_steps(facts: Fingerprint, budget: Budget) -> Plan:
    """A small plan of 12 steps."""
    assert budget.time_s == 75
    plan = make_plan(facts, Budget(steps=12), step_seconds=lambda *_: 0.01)
    plan = with_settings(plan, ["patch_size=64,64", "batch_size=4", "mirror_axes="])
    small = replace(plan.network, features=tuple(8 for _ in plan.network.features))  # type: ignore[union-attr]
    return replace(plan, network=small)


def test_the_demo_segments_a_brain_and_both_hippocampi_and_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(home, "make_plan", few_steps)
    made = demo(tmp_path / "demo")
    page = made.report.read_text(encoding="utf-8")
    assert page.count("data:image/png") == 6
    assert "http" not in page.replace("http-equiv", "")  # it stands alone
    # Hippocampi of grown-ups measure 2 to 5 ml a side; left and right of the template are alike.
    sides = {
        side: sum(ml for name, ml in made.volumes_ml.items() if name.startswith(side)) for side in ("left", "right")
    }
    assert all(2 < ml < 6 for ml in sides.values())
    assert sides["left"] == pytest.approx(sides["right"], rel=0.1)
    both = read_labels(tmp_path / "demo" / "hippocampi.nii.gz")
    for value, name in enumerate(made.volumes_ml, start=1):
        x, y, _ = both.grid.to_points(np.argwhere(both.array == value)).mean(axis=0)
        assert (x > 0) == name.startswith("left")  # LPS: x grows to the patient's left
        assert (y < 20) == ("anterior" in name)  # and y to the back
    assert made.trained_steps == 12
    assert set(made.dice) == {"grey matter", "white matter", "mean"}


def test_slices_of_one_half_are_one_patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Dataset] = []

    def stop(facts: Fingerprint, budget: Budget) -> Plan:
        raise KeyboardInterrupt

    monkeypatch.setattr(home, "make_plan", stop)
    monkeypatch.setattr(home, "fingerprint", seen.append)
    with pytest.raises(KeyboardInterrupt):
        demo(tmp_path / "demo")
    assert set(seen[0].patients) == {"left", "right"}
    assert len(seen[0]) == 60


def test_without_nilearn_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"vesalius\[demo\]"):
        demo(tmp_path / "demo")
