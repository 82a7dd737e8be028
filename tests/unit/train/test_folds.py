import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import ball_dataset

from vesalius.bundle import Bundle
from vesalius.errors import BundleError, DataError, PlanError
from vesalius.metrics import evaluate
from vesalius.nets import SlicesSpec, UNetSpec
from vesalius.plan import Budget, Plan, fingerprint, make_plan, with_settings
from vesalius.predict import segment
from vesalius.train import Folds, Start, Status, cross_validate, fit, folds
from vesalius.train.average import average_members
from vesalius.train.folds import out_of_fold

FLAT = ball_dataset(8, shape=(32, 32))
DEEP = ball_dataset(4, shape=(16, 16, 16))
PATIENT = {record.id: record.patient for record in FLAT.records}


def flat_plan(*, steps: int = 40) -> Plan:
    plan = make_plan(fingerprint(FLAT), Budget(steps=steps), step_seconds=lambda *_: 0.01)
    network = UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(8, 16))
    return replace(plan, network=network, patch_size=(32, 32), batch_size=4, mirror_axes=())


def deep_plans(*, steps: int = 2) -> tuple[Plan, Plan]:
    """A 3D plan, and one that sees slice by slice."""
    plan = make_plan(fingerprint(DEEP), Budget(steps=steps), configuration="3d", step_seconds=lambda *_: 0.01)
    plan = replace(plan, patch_size=(16, 16, 16), batch_size=2, mirror_axes=())
    deep = UNetSpec.plain(ndim=3, in_channels=1, out_channels=3, features=(8, 16))
    flat = SlicesSpec(inner=UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(8, 16)), axis=2)
    return replace(plan, network=deep), replace(plan, network=flat, configuration="2d")


@pytest.fixture(scope="module")
def folded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Folds]:
    out = tmp_path_factory.mktemp("folds") / "balls"
    return out, cross_validate(FLAT, [flat_plan()], out, folds=2)


def members(out: Path, configuration: str = "2d", count: int = 2) -> list[Bundle]:
    return [Bundle.load(out / ".fit" / configuration / f"fold-{n + 1}") for n in range(count)]


def same(one: Bundle, other: Bundle) -> bool:
    return len(one.members) == len(other.members) and all(
        np.array_equal(array, theirs[name])
        for mine, theirs in zip(one.members, other.members, strict=True)
        for name, array in mine.items()
    )


def test_patients_are_never_on_both_sides(folded: tuple[Path, Folds]) -> None:
    held = [set(member.provenance["held_out"]) for member in members(folded[0])]
    assert set.union(*held) == set(FLAT.ids)
    patients = [{PATIENT[case] for case in fold} for fold in held]
    assert not patients[0] & patients[1]
    assert [m.provenance["training_cases"] for m in members(folded[0])] == [8 - len(fold) for fold in held]


def test_the_networks_of_all_folds_are_kept_in_order(folded: tuple[Path, Folds]) -> None:
    out, found = folded
    assert len(found.bundle.members) == 2
    for mine, member in zip(found.bundle.members, members(out), strict=True):
        assert all(np.array_equal(mine[name], array) for name, array in member.weights.items())
    assert not any(name.startswith("cases") for name in (path.name for path in (out / ".fit").iterdir()))


def test_each_case_is_scored_by_the_network_that_has_not_seen_it(folded: tuple[Path, Folds]) -> None:
    _, found = folded
    splits = found.bundle.provenance["folds"]
    dice: dict[str, list[float]] = {"ball": [], "core": []}
    for number, split in enumerate(splits):
        for case in FLAT.select(split):
            said = segment(case.image, found.bundle, members=(number,)).labels
            for name, row in evaluate(said, case.reference, metrics=("dice",)).values.items():  # type: ignore[arg-type]
                dice[name].append(row["dice"])
    means = {name: float(np.mean(values)) for name, values in dice.items()}
    card = found.bundle.card
    assert card.scores == pytest.approx({**means, "mean": np.mean(list(means.values()))}, abs=1e-4)
    assert card.scores["ball"] > 0.5
    assert card.scores_on.startswith("8 of 8 cases")
    assert sorted(one.case for one in found.scores) == sorted(FLAT.ids)


def test_every_case_has_a_prediction(folded: tuple[Path, Folds]) -> None:
    found = list(out_of_fold(FLAT, folded[1].predictions))
    assert [case for case, _, _ in found] == list(FLAT.ids)
    assert all(prediction.labels == reference.labels for _, prediction, reference in found)


def test_a_finished_run_is_not_run_again(folded: tuple[Path, Folds]) -> None:
    out, found = folded
    before = [path.stat().st_mtime_ns for path in sorted(out.rglob("checkpoint.pt"))]
    assert same(cross_validate(FLAT, [flat_plan()], out, folds=2, resume=True).bundle, found.bundle)
    assert [path.stat().st_mtime_ns for path in sorted(out.rglob("checkpoint.pt"))] == before


def test_an_interruption_in_the_second_fold_changes_nothing(folded: tuple[Path, Folds], tmp_path: Path) -> None:
    def interrupt(status: Status) -> None:
        if status.part.endswith("fold 2 of 2") and status.phase == "train":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cross_validate(FLAT, [flat_plan()], tmp_path / "out", folds=2, on_status=interrupt)
    first = tmp_path / "out" / ".fit" / "2d" / "fold-1" / "weights.safetensors"
    before = first.stat().st_mtime_ns
    found = cross_validate(FLAT, [flat_plan()], tmp_path / "out", folds=2, resume=True)
    assert first.stat().st_mtime_ns == before
    assert same(found.bundle, folded[1].bundle)
    assert found.bundle.card.scores == folded[1].bundle.card.scores


@pytest.mark.parametrize("better", ["3d", "2d", "both"])
def test_the_best_configuration_or_pair_is_kept(
    better: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path_factory.getbasetemp() / "configurations"  # trained once, chosen of thrice

    def dice(_: object, predictions: Path, cases: list[str]) -> float:
        assert len(cases) == 4
        kind = predictions.parent.name
        return {"3d": 0.8, "2d": 0.79, "3d+2d": 0.8009}[kind] + 0.05 * (
            kind == better or (kind == "3d+2d" and better == "both")
        )

    monkeypatch.setattr(folds, "_mean_dice", dice)
    bundle = cross_validate(DEEP, deep_plans(), out, folds=2, resume=True).bundle
    chosen = [part.plan.configuration for part in (bundle, *bundle.partners)]
    assert chosen == {"3d": ["3d"], "2d": ["2d"], "both": ["3d", "2d"]}[better]
    assert all(len(part.members) == 2 for part in (bundle, *bundle.partners))
    assert set(bundle.provenance["choice"]) == {"3d", "2d", "3d + 2d"}
    case = DEEP[0]
    assert segment(case.image, bundle).labels.grid == case.image.grid


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[float]]:
    """Divide a budget among folds that take so many seconds each; gives the budget that each one got."""

    def divided(*took_s: float, spent_s: float = 0.0) -> list[float]:
        now, got, left = [0.0], [], list(took_s)

        def train(job: Any, _: object) -> None:
            got.append(job.plan.budget.time_s)
            now[0] += left.pop(0)

        monkeypatch.setattr(time, "monotonic", lambda: now[0])
        monkeypatch.setattr(folds, "_train_fold", train)
        plan = replace(flat_plan(), budget=Budget(time_s=100.0))
        these = [
            folds._Job(FLAT, plan, tmp_path / f"fold-{n}", (), 0, "cpu", None, None, folds.Workshop(), "")
            for n in range(len(took_s))
        ]
        folds._train(these, spent_s, None, None)
        return got

    return divided


def test_the_time_is_divided_evenly_and_what_a_fold_leaves_goes_to_the_others(
    jobs: Callable[..., list[float]],
) -> None:
    assert jobs(97.0, 97.0) == pytest.approx([97.0, 97.0])
    assert jobs(47.0, 97.0, 97.0) == pytest.approx([97.0, 122.0, 147.0])
    assert jobs(90.0, 90.0, spent_s=14.0) == pytest.approx([90.0, 90.0])


def test_what_does_not_go_together_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    plan, out = flat_plan(), tmp_path / "out"
    for plans, words in (
        ([], "at least one plan"),
        ([plan, plan], "different configurations"),
        ([plan, replace(plan, budget=Budget(steps=3))], "same budget"),
    ):
        with pytest.raises(PlanError, match=words):
            cross_validate(FLAT, plans, out, folds=2)
    with pytest.raises(DataError, match="5 folds need at least 5 patients; there are 4"):
        cross_validate(FLAT, [plan], out, folds=5)
    assert not out.exists()
    (tmp_path / "notes.txt").write_text("somebody's")
    with pytest.raises(BundleError, match="not empty"):
        cross_validate(FLAT, [plan], tmp_path, folds=2)


def test_a_run_goes_on_with_its_own_plans_only(folded: tuple[Path, Folds]) -> None:
    out = folded[0]
    with pytest.raises(BundleError, match="folds stand here"):
        cross_validate(FLAT, [flat_plan()], out, folds=2)
    for plan, count in ((flat_plan(steps=41), 2), (flat_plan(), 4)):
        with pytest.raises(BundleError, match="other plans"):
            cross_validate(FLAT, [plan], out, folds=count, resume=True)


def test_folds_that_start_from_one_network_can_be_averaged(folded: tuple[Path, Folds], tmp_path: Path) -> None:
    start = Start(bundle=members(folded[0])[0])
    plan = with_settings(flat_plan(steps=5), ["optimisation.learning_rate=0.001"])
    bundle = cross_validate(FLAT, [plan], tmp_path / "out", folds=2, combine="average", start=start).bundle
    one, other = members(tmp_path / "out")
    assert len(bundle.members) == 1
    for name, array in bundle.weights.items():
        assert np.allclose(array, (one.weights[name] + other.weights[name]) / 2, atol=1e-3)  # half precision
    assert "weights averaged" in bundle.card.recipe
    assert json.loads((tmp_path / "out" / "bundle.json").read_text())["provenance"]["combined"] == "average"


def test_networks_that_went_apart_cannot_be_averaged(folded: tuple[Path, Folds], tmp_path: Path) -> None:
    stranger = fit(FLAT, flat_plan(), tmp_path / "stranger", seed=5)
    mine = members(folded[0])[0]
    with pytest.raises(PlanError, match="cannot be averaged"):
        average_members([mine, stranger], FLAT)
    assert same(average_members([mine, mine], FLAT), mine)
