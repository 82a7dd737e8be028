import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import ball_case, ball_dataset

from vesalius.bundle import Bundle
from vesalius.errors import BundleError, DataError, PlanError, VesaliusError
from vesalius.plan import Budget, Plan, fingerprint, make_plan, with_settings
from vesalius.predict import segment
from vesalius.train import Status, fit


def small_plan(**budget: float) -> Plan:
    plan = make_plan(fingerprint(ball_dataset(6)), Budget(steps=60), step_seconds=lambda *_: 0.01)
    plan = with_settings(plan, ["batch_size=2", "network.features=8,16,16", "patch_size=24,32,24"])
    return replace(plan, budget=Budget(**budget)) if budget else plan  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Status]]:
    seen: list[Status] = []
    out = tmp_path_factory.mktemp("fit") / "balls"
    fit(ball_dataset(6), small_plan(), out, on_status=seen.append)
    return out, seen


def test_balls_are_learned(fitted: tuple[Path, list[Status]]) -> None:
    bundle = Bundle.load(fitted[0])
    assert bundle.card.scores["ball"] > 0.8
    case = ball_case(99)
    assert case.reference is not None
    found = segment(case.image, bundle).labels
    both = (found.array > 0) & (case.reference.array > 0)
    assert 2 * both.sum() / ((found.array > 0).sum() + (case.reference.array > 0).sum()) > 0.8


def test_what_a_run_leaves_behind(fitted: tuple[Path, list[Status]]) -> None:
    out, seen = fitted
    names = {p.name for p in out.iterdir()}
    assert names == {"bundle.json", "weights.safetensors", "history.csv", "curves.png", "events", ".fit"}
    assert {p.name for p in (out / ".fit").iterdir()} == {"run.json", "checkpoint.pt"}
    assert {s.phase for s in seen} <= {"prepare", "train", "validate"}
    provenance = json.loads((out / "bundle.json").read_text())["provenance"]
    assert provenance["steps"] == 60
    assert provenance["scored"] == len(provenance["held_out"]) == 2  # one patient has two cases


def test_patients_are_never_on_both_sides(fitted: tuple[Path, list[Status]]) -> None:
    held = json.loads((fitted[0] / "bundle.json").read_text())["provenance"]["held_out"]
    numbers = sorted(int(case.removeprefix("case")) for case in held)
    assert numbers[1] == numbers[0] + 1
    assert numbers[0] % 2 == 0


def test_a_run_of_steps_repeats_exactly(fitted: tuple[Path, list[Status]], tmp_path: Path) -> None:
    again = fit(ball_dataset(6), small_plan(), tmp_path / "again")
    first = Bundle.load(fitted[0])
    for name, array in Bundle.load(tmp_path / "again").weights.items():
        assert np.array_equal(array, first.weights[name]), name
    assert again.card.scores == first.card.scores


def test_an_occupied_folder_is_refused(fitted: tuple[Path, list[Status]]) -> None:
    before = (fitted[0] / "weights.safetensors").read_bytes()
    with pytest.raises(BundleError, match="a run stands here"):
        fit(ball_dataset(6), small_plan(), fitted[0])
    assert (fitted[0] / "weights.safetensors").read_bytes() == before


def test_an_occupied_folder_is_not_resumed(tmp_path: Path) -> None:
    (tmp_path / "somebody.txt").write_text("else")
    for resume in (True, False):
        with pytest.raises(BundleError, match="not empty"):
            fit(ball_dataset(6), small_plan(), tmp_path, resume=resume)
    assert [p.name for p in tmp_path.iterdir()] == ["somebody.txt"]


@pytest.mark.parametrize("setting", ["augmentation.mirror_p=0", "augmentation.mirror_axes=0,2"])
def test_mirror_images_that_training_never_shows_are_not_averaged(setting: str, tmp_path: Path) -> None:
    plan = with_settings(small_plan(), [setting])
    assert 1 in plan.mirror_axes
    with pytest.raises(PlanError, match=r"mirror_axes=.* or only axes of"):
        fit(ball_dataset(6), plan, tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_another_plan_or_seed_does_not_go_on(fitted: tuple[Path, list[Status]]) -> None:
    other = with_settings(small_plan(), ["optimisation.learning_rate=0.01"])
    with pytest.raises(BundleError, match="another plan"):
        fit(ball_dataset(6), other, fitted[0], resume=True)
    with pytest.raises(BundleError, match="another plan, seed"):
        fit(ball_dataset(6), small_plan(), fitted[0], seed=3, resume=True)


def test_a_finished_run_is_not_run_again(fitted: tuple[Path, list[Status]]) -> None:
    before = (fitted[0] / "bundle.json").stat().st_mtime_ns
    assert fit(ball_dataset(6), small_plan(), fitted[0], resume=True).provenance["steps"] == 60
    assert (fitted[0] / "bundle.json").stat().st_mtime_ns == before


def test_no_reference_is_said(tmp_path: Path) -> None:
    dataset = ball_dataset(4)
    bare = replace(dataset, records=tuple(replace(r, reference=None) for r in dataset.records))
    with pytest.raises(DataError, match="no case with a reference"):
        fit(bare, small_plan(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_patient_is_learned_from_and_nothing_is_scored(tmp_path: Path) -> None:
    bundle = fit(ball_dataset(2), replace(small_plan(), budget=Budget(steps=3)), tmp_path / "one")
    assert bundle.card.scores == {}
    assert bundle.card.scores_on == "no held-out case"


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(VesaliusError):
        fit(ball_dataset(4), small_plan(), tmp_path / "file" / "out")


def test_a_time_budget_ends_the_schedule_with_the_time(tmp_path: Path) -> None:
    began = time.monotonic()
    falling = with_settings(small_plan(time_s=12.0), ["optimisation.schedule=linear"])  # tells the time from the start
    bundle = fit(ball_dataset(6), falling, tmp_path / "timed")
    assert bundle.provenance["steps"] >= 1
    rows = (tmp_path / "timed" / "history.csv").read_text().splitlines()
    assert float(rows[-1].split(",")[3]) < 0.2  # the rate is all but down to zero
    assert time.monotonic() - began < 60  # a hang, not a speed
