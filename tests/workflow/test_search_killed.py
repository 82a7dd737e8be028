"""A search that is killed in the middle of a trial goes on as if nothing had happened."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from phantoms import ball_dataset

from vesalius.nets import UNetSpec
from vesalius.plan import Budget, Plan, fingerprint, make_plan, plan_to_json
from vesalius.train import Tuned, tune
from vesalius.train.space import Range

pytestmark = pytest.mark.skipif(find_spec("optuna") is None, reason="Optuna is not installed")

FLAT = ball_dataset(4, shape=(32, 32))
SPACE = {"optimisation.learning_rate": Range(0.01, 0.1, log=True)}
SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from phantoms import ball_dataset
from vesalius.plan import plan_from_json
from vesalius.train import tune
from vesalius.train.space import Range
space = {{"optimisation.learning_rate": Range(0.01, 0.1, log=True)}}
def tell(status):
    if status.part == "trial 2":
        print("now", flush=True)
        input()
plan = plan_from_json(Path({plan!r}).read_text())
tune(ball_dataset(4, shape=(32, 32)), plan, {out!r}, trials=2, space=space, device="cpu", on_status=tell)
"""


def flat_plan() -> Plan:
    plan = make_plan(fingerprint(FLAT), Budget(steps=3), step_seconds=lambda *_: 0.01)
    net = UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(8, 16))
    return replace(plan, network=net, patch_size=(16, 16), batch_size=2)


def values(tuned: Tuned) -> list[Any]:
    return [(trial.number, trial.state, dict(trial.values), trial.course) for trial in tuned.trials]


def test_killed_in_a_trial(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(plan_to_json(flat_plan()))
    tests, out = str(Path(__file__).resolve().parents[1]), tmp_path / "cut"
    script = SCRIPT.format(tests=tests, plan=str(tmp_path / "plan.json"), out=str(out))
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    assert (out / ".fit" / "trials" / "1" / ".fit" / "run.json").is_file()
    resumed = tune(FLAT, flat_plan(), out, device="cpu", resume=True)
    whole = tune(FLAT, flat_plan(), tmp_path / "whole", trials=2, space=SPACE, device="cpu")
    assert values(resumed) == values(whole)
    assert not (out / ".fit").exists()
