"""Two processes under ``torchrun`` are one training."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from phantoms import ball_dataset

from vesalius.errors import PlanError
from vesalius.nets import UNetSpec
from vesalius.plan import Budget, Plan, fingerprint, make_plan, plan_to_json, with_settings
from vesalius.train import Workshop, cross_validate, fit
from vesalius.train.distributed import Team, own_device

SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from phantoms import ball_dataset
from vesalius.plan import plan_from_json
from vesalius.train import Workshop, fit
plan = plan_from_json(Path({plan!r}).read_text())
shop = Workshop(number_format="float32")
bundle = fit(ball_dataset(6, shape=(32, 32)), plan, {out!r}, device="cpu", workshop=shop)
assert bundle.provenance["processes"] == 2
"""


def plan_of(*settings: str) -> Plan:
    plan = make_plan(fingerprint(ball_dataset(6, shape=(32, 32))), Budget(steps=24), step_seconds=lambda *_: 0.01)
    net = UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(8, 16, 16), deep_supervision=True)
    return with_settings(replace(plan, network=net, patch_size=(24, 24), batch_size=4), settings)


def run_two(folder: Path, plan: Plan, out: Path) -> subprocess.CompletedProcess[str]:
    (folder / "plan.json").write_text(plan_to_json(plan))
    script = folder / "two.py"
    tests = str(Path(__file__).resolve().parents[1])
    script.write_text(SCRIPT.format(tests=tests, plan=str(folder / "plan.json"), out=str(out)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )


def losses(out: Path) -> list[float]:
    state = torch.load(out / ".fit" / "checkpoint.pt", weights_only=True)
    return [moment["loss"] for moment in state["moments"]]


@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_two_processes_have_the_loss_curve_of_one(optimiser: str, tmp_path: Path) -> None:
    """In single precision: in half, a sum in another order is soon another number."""
    plan = plan_of(f"optimisation.optimiser={optimiser}", "optimisation.learning_rate=0.02", "foreground_fraction=0.5")
    done = run_two(tmp_path, plan, tmp_path / "two")
    assert done.returncode == 0, done.stderr
    single = Workshop(number_format="float32")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as each of the two has
    try:
        fit(ball_dataset(6, shape=(32, 32)), plan, tmp_path / "one", device="cpu", workshop=single)
    finally:
        torch.set_num_threads(threads)
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert len(one) == len(two) > 20
    assert one[0] - one[-1] > 100 * 1e-3  # it learns
    assert two == pytest.approx(one, abs=1e-3)


def test_an_error_of_one_ends_all(tmp_path: Path) -> None:
    done = run_two(tmp_path, plan_of("batch_size=3"), tmp_path / "two")
    assert done.returncode != 0
    assert "cannot be divided among 2 processes" in done.stderr


def test_rows_are_shared_out() -> None:
    rows = [row for rank in range(4) for row in range(8)[Team(rank, 4).rows(8)]]
    assert rows == list(range(8))
    with pytest.raises(PlanError, match="multiple of 3"):
        Team(0, 3).rows(8)


def test_folds_are_not_for_torchrun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(PlanError, match="use --cluster instead"):
        cross_validate(ball_dataset(6, shape=(32, 32)), [plan_of()], tmp_path / "out", folds=2)
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_named_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert own_device("cpu") == "cpu"
