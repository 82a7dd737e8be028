"""Searches: resumed, pruned, failing, inside a budget; and what is told of them."""

import csv
import json
import math
import sys
import time
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from phantoms import ball_dataset

from vesalius.bundle import Bundle, Card
from vesalius.cli import main
from vesalius.errors import BundleError, DataError, MissingDependencyError, PlanError
from vesalius.nets import UNetSpec
from vesalius.plan import Budget, Plan, fingerprint, make_plan, plan_from_json, plan_to_json
from vesalius.train import Tuned, Workshop, kept_search, tune
from vesalius.train.findings import tuned_html
from vesalius.train.search import Trial
from vesalius.train.space import By, Choice, Range

pytestmark = pytest.mark.skipif(find_spec("optuna") is None, reason="Optuna is not installed")

FLAT = ball_dataset(6, shape=(32, 32))
SPACE = {
    "optimisation.optimiser": Choice(("muon", "sgd")),
    "optimisation.learning_rate": By(
        "optimisation.optimiser", {"muon": Range(0.01, 0.1, log=True), "sgd": Range(1e-3, 0.1, log=True)}
    ),
    "batch_size": Range(1, 3, whole=True),
}


def flat_plan(**budget: float) -> Plan:
    plan = make_plan(fingerprint(FLAT), Budget(steps=4), step_seconds=lambda *_: 0.01)
    net = UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(8, 16))
    return replace(plan, network=net, patch_size=(24, 24), batch_size=2, budget=Budget(**(budget or {"steps": 4})))  # type: ignore[arg-type]


LOOKS = 8


class Pretended:
    """A training that takes no time: how good it is follows from the recipe."""

    def __init__(self, *, interrupt_at: int = -1, fail_at: tuple[int, ...] = (), error: type[Exception] = PlanError):
        self.plans: list[Plan] = []
        self.caches: list[Path | None] = []
        self.held_out: list[Any] = []
        self.interrupt_at, self.fail_at, self.error = interrupt_at, fail_at, error

    def __call__(self, dataset: Any, plan: Plan, out: Path, **how: Any) -> Bundle:
        assert not out.exists()
        out.mkdir(parents=True)
        number = len(self.plans)
        self.plans.append(plan)
        self.caches.append(how["workshop"].cache)
        self.held_out.append((tuple(dataset.ids), tuple(how["validation"])))
        if number == self.interrupt_at:
            raise KeyboardInterrupt
        if number in self.fail_at:
            raise self.error("it failed")
        rate = plan.optimisation.learning_rate
        good = 0.9 - 0.1 * abs(math.log(rate / 0.05)) - (0.4 if plan.optimisation.optimiser == "sgd" else 0.0)
        for look in range(1, LOOKS + 1):
            how["on_look"](look, look / LOOKS, good * look / LOOKS)
        return Bundle(plan, ({},), card=Card(), provenance={"steps": plan.budget.steps or 7})


def pretend(monkeypatch: pytest.MonkeyPatch, **how: Any) -> Pretended:
    made = Pretended(**how)
    monkeypatch.setattr("vesalius.train.trial.fit", made)
    return made


def values(tuned: Tuned) -> list[Any]:
    return [(trial.number, trial.state, dict(trial.values), trial.course) for trial in tuned.trials]


def test_the_best_recipe_is_the_plan(tmp_path: Path) -> None:
    """With real trainings."""
    tuned = tune(FLAT, flat_plan(), tmp_path / "out", trials=3, space=SPACE)
    assert [trial.number for trial in tuned.trials] == [0, 1, 2]
    assert tuned.best.dice == max(trial.dice for trial in tuned.trials if trial.state == "done")
    assert tuned.baseline == tuned.trials[0]  # the plan as it is comes first
    assert all(trial.steps == 4 for trial in tuned.trials)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"tune.db", "plan.json", "trials.csv", "report.html"}
    assert plan_from_json((tmp_path / "out" / "plan.json").read_text()) == tuned.plan
    rows = list(csv.DictReader((tmp_path / "out" / "trials.csv").read_text().splitlines()))
    assert [row["state"] for row in rows] == [trial.state for trial in tuned.trials]
    assert rows[0]["optimisation.learning_rate"] == "0.02"


def test_trials_differ_in_their_recipe_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pretend(monkeypatch)
    shared = tmp_path / "cache"
    tuned = tune(FLAT, flat_plan(), tmp_path / "out", trials=12, space=SPACE, workshop=Workshop(cache=shared))
    assert set(made.caches) == {shared}
    assert len(set(made.held_out)) == 1
    assert all(plan.optimisation.momentum == (0.99 if plan.optimisation.optimiser == "sgd" else 0.95)
               for plan in made.plans)  # fmt: skip
    assert tuned.plan.budget == flat_plan().budget
    assert tuned.best.dice > tuned.trials[0].dice
    assert tuned.plan.why("optimisation.learning_rate").startswith("found by tuning: Dice 0.")
    assert tuned.plan.why("optimisation.learning_rate").endswith("; it was 0.02")
    assert shared.is_dir()


def test_hopeless_trials_are_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    tuned = tune(FLAT, flat_plan(), tmp_path / "out", trials=12, space=SPACE)
    pruned = [trial for trial in tuned.trials if trial.state == "pruned"]
    assert pruned
    assert all(trial.number >= 5 and 5 <= len(trial.course) < LOOKS for trial in pruned)
    assert tuned.best.state == "done"


def test_an_interrupted_search_goes_on_as_if_it_had_not_been(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that was cut off leaves the record that `kill -9` leaves: it runs."""
    pretend(monkeypatch)
    whole = tune(FLAT, flat_plan(), tmp_path / "whole", trials=12, space=SPACE)
    for at in (0, 10):
        out = tmp_path / f"cut{at}"
        pretend(monkeypatch, interrupt_at=at)
        with pytest.raises(KeyboardInterrupt):
            tune(FLAT, flat_plan(), out, trials=12, space=SPACE)
        (out / ".fit" / "trials" / str(at)).mkdir(parents=True)  # and its folder stands
        pretend(monkeypatch)
        kept = kept_search(out)
        assert kept is not None
        assert (kept.plan, kept.space, kept.trials) == (flat_plan(), SPACE, 12)
        assert values(tune(FLAT, kept.plan, out, resume=True)) == values(whole)


def test_a_search_goes_on_with_more_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = pretend(monkeypatch)
    few = tune(FLAT, flat_plan(), tmp_path / "out", trials=2, space=SPACE)
    more = tune(FLAT, flat_plan(), tmp_path / "out", trials=4, resume=True)
    assert values(more)[:2] == values(few)
    assert len(made.plans) == 4


def test_another_search_is_not_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    out = tmp_path / "out"
    tune(FLAT, flat_plan(), out, trials=1, space=SPACE)
    with pytest.raises(BundleError, match="a search stands here"):
        tune(FLAT, flat_plan(), out, trials=1, space=SPACE)
    for how in ({"seed": 3}, {"space": {"overlap": Range(0.1, 0.5)}}, {"validation": ["case0"]}):
        with pytest.raises(BundleError, match="another plan, seed, space or cases"):
            tune(FLAT, flat_plan(), out, resume=True, **how)  # type: ignore[arg-type]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "somebody.txt").write_text("else")
    with pytest.raises(BundleError, match="not empty"):
        tune(FLAT, flat_plan(), tmp_path / "full", trials=1, space=SPACE, resume=True)
    (tmp_path / "full" / "tune.db").write_text("no database")
    with pytest.raises(BundleError, match=r"tune\.db cannot be used"):
        tune(FLAT, flat_plan(), tmp_path / "full", trials=1, space=SPACE, resume=True)


def test_a_recipe_that_fails_costs_its_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, fail_at=(1, 2))
    tuned = tune(FLAT, flat_plan(), tmp_path / "out", trials=4, space=SPACE)
    assert [trial.state for trial in tuned.trials] == ["done", "failed", "failed", "done"]
    assert tuned.trials[1].why == "it failed"
    assert "it failed" in (tmp_path / "out" / "report.html").read_text()


def test_what_is_not_the_recipes_fault_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, fail_at=(1,), error=DataError)
    with pytest.raises(DataError, match="it failed"):
        tune(FLAT, flat_plan(), tmp_path / "data", trials=4, space=SPACE)
    made = pretend(monkeypatch, fail_at=tuple(range(99)))
    with pytest.raises(PlanError, match="it failed"):
        tune(FLAT, flat_plan(), tmp_path / "plan", trials=50, space=SPACE)
    assert len(made.plans) == 5
    with pytest.raises(PlanError, match="no trial came to its end: it failed"):
        tune(FLAT, flat_plan(), tmp_path / "few", trials=2, space=SPACE)


def test_the_time_is_divided_and_what_is_left_is_given_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    made = pretend(monkeypatch)

    def timed(*args: Any, **how: Any) -> Bundle:
        plan = args[1]
        hopeless = plan.optimisation.optimiser == "sgd" and len(made.plans) > 5
        clock[0] += (plan.budget.time_s or 0) * (0.3 if hopeless else 1.0)
        return made(*args, **how)

    monkeypatch.setattr("vesalius.train.trial.fit", timed)
    monkeypatch.setattr(import_module("vesalius.train.tune"), "time", SimpleNamespace(monotonic=lambda: clock[0]))
    plan = flat_plan(time_s=600)
    tuned = tune(FLAT, plan, tmp_path / "out", trials=10, budget=Budget(time_s=1000), space=SPACE, spent_s=10)
    (length,) = {made_plan.budget.time_s for made_plan in made.plans}  # one: trials are compared
    assert length == pytest.approx((970 - 10) / 10)
    assert len(tuned.trials) > 10
    assert clock[0] <= 1000
    assert tuned.length == pytest.approx(96 / 600)
    assert "A trial was 16% of the training" in (tmp_path / "out" / "report.html").read_text()
    again = tune(FLAT, plan, tmp_path / "out", resume=True)  # the time is up
    assert values(again) == values(tuned)


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ({"trials": 0}, PlanError, "at least one trial"),
        ({"space": {"spacing_mm": Choice(("[1, 1]", "[2, 2]"))}}, PlanError, "cannot be varied"),
        ({"budget": Budget(time_s=10)}, PlanError, "give both the same kind"),
        ({"validation": ()}, DataError, "there are none"),
    ],
)
def test_what_cannot_be_is_said(how: dict[str, Any], error: type[Exception], words: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words):
        tune(FLAT, flat_plan(), tmp_path / "out", **{"trials": 1, "space": SPACE, **how})


def test_torchrun_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(PlanError, match="torchrun"):
        tune(FLAT, flat_plan(), tmp_path / "out", trials=1)


def test_without_optuna_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingDependencyError, match=r"vesalius\[tune\]"):
        tune(FLAT, flat_plan(), tmp_path / "out", trials=1)


def test_what_mattered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(**_: object) -> None:
        raise ImportError

    monkeypatch.setattr("vesalius.train.trial._STARTUP", 99)  # all come to their end
    monkeypatch.setattr("vesalius.train.search.ENOUGH", 6)
    pretend(monkeypatch)
    tuned = [tune(FLAT, flat_plan(), tmp_path / "out", trials=14, space=SPACE)]
    monkeypatch.setattr("optuna.importance.FanovaImportanceEvaluator", lacking)
    tuned.append(tune(FLAT, flat_plan(), tmp_path / "out", resume=True))
    assert tuned[0].method in ("fANOVA", "PED-ANOVA")  # the first where scikit-learn is installed
    assert tuned[1].method == "PED-ANOVA"
    for one in tuned:
        assert "optimisation.learning_rate [muon]" in one.mattered
        assert all(0 <= share <= 1 for share in one.mattered.values())
        assert list(one.mattered.values()) == sorted(one.mattered.values(), reverse=True)
    if tuned[0].method == "fANOVA":
        assert tuned[0].mattered["optimisation.optimiser"] > tuned[0].mattered["batch_size"]  # which plays no part


def test_few_trials_do_not_say_what_mattered(tmp_path: Path) -> None:
    trials = (Trial(0, {"overlap": "0.5"}, (0.5,), "done"), Trial(1, {"overlap": "<b>"}, (), "failed", why="<i>"))
    plan = flat_plan()
    tuned_html(Tuned(plan, plan, trials, trials[0], {}, "", 2, 1.0), tmp_path / "a.html", provenance={"seed": "0"})
    page = (tmp_path / "a.html").read_text()
    assert "too few to say" in page
    assert "nothing better was found" in page
    assert "&lt;i&gt;" in page
    assert "<i>" not in page
    assert "of the training that the plan is for" not in page


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pretend(monkeypatch)
    monkeypatch.setattr("vesalius.cli.tune.read_dataset", lambda *_: FLAT)
    (tmp_path / "plan.json").write_text(plan_to_json(flat_plan()))
    (tmp_path / "space.json").write_text(json.dumps({"optimisation.learning_rate": {"low": 0.01, "high": 0.1}}))
    out = str(tmp_path / "out")
    how = ["tune", str(tmp_path), "-o", out, "--plan", str(tmp_path / "plan.json"), "--steps", "4"]
    assert main([*how, "--space", str(tmp_path / "space.json"), "--trials", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["trials"] == 3
    assert told["dice"] >= told["dice_before"]
    assert main(["tune", str(tmp_path), "-o", out, "--resume", "--trials", "4"]) == 0
    words = capsys.readouterr().out
    assert "best of 4 trials" in words
    assert "that is optimistic" in words
    assert main([*how[:4], "--resume", "--plan", "none.json"]) == 0  # the plan is that of the search
    assert main([*how, "--network", "cnn"]) == 1
    assert "--plan brings a plan" in capsys.readouterr().err
    assert main(["fit", str(tmp_path), "-o", str(tmp_path / "model"), "--plan", str(Path(out) / "none.json")]) == 1


def test_the_record_is_written_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    pretend(monkeypatch, interrupt_at=2)
    with pytest.raises(KeyboardInterrupt):
        tune(FLAT, flat_plan(), tmp_path / "out", trials=3, space=SPACE, spent_s=100)
    import optuna

    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path}/out/tune.db")
    study = optuna.load_study(study_name="tune", storage=storage)
    assert 100 < study.user_attrs["spent_s"] < 100 + time.monotonic() - began
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "RUNNING"]
    storage.engine.dispose()
