"""What befalls a run: a bigger budget, an early stop, a loss that is not finite, a damaged checkpoint."""

import math
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from phantoms import ball_dataset

from vesalius.errors import BundleError, PlanError
from vesalius.nets import UNetSpec
from vesalius.plan import Budget, Plan, fingerprint, make_plan, with_settings
from vesalius.train import fit, kept_plans

FLAT = ball_dataset(6, shape=(32, 32))
loop = import_module("vesalius.train.loop")


def flat_plan(steps: int, *settings: str) -> Plan:
    plan = make_plan(fingerprint(FLAT), Budget(steps=steps), step_seconds=lambda *_: 0.01)
    net = UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(8, 16))
    return with_settings(replace(plan, network=net, patch_size=(24, 24), batch_size=2), settings)


def checkpoint(out: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(out / ".fit" / "checkpoint.pt", weights_only=True)
    return state


def equal(one: Path, other: Path) -> bool:
    a, b = checkpoint(one)["average"], checkpoint(other)["average"]
    return all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_goes_on_to_a_bigger_budget(tmp_path: Path) -> None:
    falling = flat_plan(10, "optimisation.schedule=linear")  # tells the place from the start
    fit(FLAT, falling, tmp_path / "a")
    bundle = fit(FLAT, replace(falling, budget=Budget(steps=25)), tmp_path / "a", resume=True)
    assert bundle.provenance["steps"] == 25
    state = checkpoint(tmp_path / "a")
    assert state["progress"]["warm_from"] == 10
    rates = [moment["learning_rate"] for moment in state["moments"]]
    at = next(i for i, moment in enumerate(state["moments"]) if moment["step"] > 10)
    assert rates[at] > rates[at - 1]  # the schedule is the new one's
    assert rates[-1] < 0.1
    later = [moment for moment in state["moments"] if moment["step"] > 10]
    assert len(later) == 15  # a row a step, though the first schedule had filled the history
    assert sum(math.isfinite(moment["validation_dice"]) for moment in later) >= 12  # from 40 % of the way, of 20 looks
    plans = kept_plans(tmp_path / "a")
    assert plans is not None
    assert plans[0].budget.steps == 25


def test_a_budget_that_is_spent_is_said(tmp_path: Path) -> None:
    fit(FLAT, flat_plan(10), tmp_path / "a")
    with pytest.raises(PlanError, match="has had 10 steps already"):
        fit(FLAT, replace(flat_plan(10), budget=Budget(steps=5)), tmp_path / "a", resume=True)


def test_resuming_where_nothing_is_begins(tmp_path: Path) -> None:
    assert fit(FLAT, flat_plan(4), tmp_path / "a", resume=True).provenance["steps"] == 4
    assert kept_plans(tmp_path / "b") is None


def test_no_gain_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("vesalius.train.looking").Looking, "dice", lambda *_: 0.5)
    bundle = fit(FLAT, flat_plan(100, "optimisation.patience=3", "optimisation.schedule=linear"), tmp_path / "a")
    assert bundle.provenance["stopped_early_at"] == pytest.approx(0.15)
    assert 15 < bundle.provenance["steps"] < 20
    assert checkpoint(tmp_path / "a")["moments"][-1]["learning_rate"] < 0.4  # it was 0.85 when it stopped


def test_gain_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter(np.linspace(0, 1, 100))
    monkeypatch.setattr(import_module("vesalius.train.looking").Looking, "dice", lambda *_: float(next(seen)))
    assert fit(FLAT, flat_plan(40, "optimisation.patience=3"), tmp_path / "a").provenance["steps"] == 40


class Spoiled:
    """The loss, not finite at some of its calls."""

    def __init__(self, *calls: int) -> None:
        self.calls, self.count, self.real = set(calls), 0, loop.supervised

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        self.count += 1
        value: torch.Tensor = self.real(*args, **kwargs)
        return value * math.nan if self.count in self.calls else value


def test_a_loss_that_is_not_finite_goes_back_and_lowers_the_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_S", 0.0)
    monkeypatch.setattr(loop, "supervised", Spoiled(8, 9))
    bundle = fit(FLAT, flat_plan(12), tmp_path / "a")
    assert bundle.provenance["setbacks"] == 2
    assert bundle.provenance["steps"] == 12
    state = checkpoint(tmp_path / "a")
    assert all(torch.isfinite(tensor).all() for tensor in state["network"].values())
    last = [moment for moment in state["moments"] if moment["learning_rate"] > 0][-1]
    assert last["learning_rate"] <= 0.25


def test_a_loss_that_is_never_finite_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "supervised", Spoiled(*range(1, 99)))
    with pytest.raises(PlanError, match="not finite"):
        fit(FLAT, flat_plan(12), tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_the_weights_do_not_depend_on_where_it_was_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout included: each step's chance follows from its number."""
    plan = flat_plan(12, "network.dropout=0.3")
    fit(FLAT, plan, tmp_path / "whole")
    monkeypatch.setattr(loop, "CHECKPOINT_S", 0.0)
    for stop in (1, 5, 11):
        out = tmp_path / f"cut{stop}"

        def interrupt(stop: int = stop) -> Any:
            real, count = loop.finish, 0

            def finish(*args: Any, **kwargs: Any) -> Any:
                nonlocal count
                count += 1
                if count > stop:
                    raise KeyboardInterrupt
                return real(*args, **kwargs)

            return finish

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(loop, "finish", interrupt())
            fit(FLAT, plan, out)
        assert 0 < checkpoint(out)["progress"]["step"] <= stop
        fit(FLAT, plan, out, resume=True)
        assert equal(out, tmp_path / "whole")


def test_a_damaged_checkpoint_is_said(tmp_path: Path) -> None:
    fit(FLAT, flat_plan(3), tmp_path / "a")
    path = tmp_path / "a" / ".fit" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BundleError, match="cannot go on from this checkpoint"):
        fit(FLAT, replace(flat_plan(3), budget=Budget(steps=6)), tmp_path / "a", resume=True)
    (tmp_path / "a" / ".fit" / "run.json").write_text("{")
    with pytest.raises(BundleError, match="damaged"):
        fit(FLAT, flat_plan(3), tmp_path / "a", resume=True)


def test_each_look_is_told_and_may_end_the_run(tmp_path: Path) -> None:
    looks: list[tuple[int, float, float]] = []

    class EnoughError(Exception):
        pass

    def look(number: int, done: float, dice: float) -> None:
        looks.append((number, done, dice))
        if number == 3:
            raise EnoughError

    with pytest.raises(EnoughError):
        fit(FLAT, flat_plan(40), tmp_path / "a", on_look=look)
    assert [number for number, _, _ in looks] == [1, 2, 3]
    assert [done for _, done, _ in looks] == pytest.approx([0, 0.05, 0.1])
