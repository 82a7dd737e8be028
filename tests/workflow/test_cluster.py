"""Jobs on a real Ray, started on this machine: results, errors, killed workers, leaving early, and whole verbs."""

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import ball_case, ball_dataset, untrained_bundle, write_cases

from vesalius.cli import main
from vesalius.errors import DataError, VesaliusError
from vesalius.io import read_labels
from vesalius.io.layouts import index
from vesalius.jobs import Share, joined, run_jobs, share_of
from vesalius.nets import UNetSpec
from vesalius.plan import Budget, fingerprint, make_plan
from vesalius.train import tune
from vesalius.train.space import Range

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


@pytest.fixture(scope="module")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two workers for all tests: starting them takes longer than the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        import ray

        real = ray.init
        patch.setattr(ray, "init", lambda **how: real(num_cpus=2, **how))
        with joined("local") as there:
            yield there


def test_outcomes_come_as_they_are_done(ray: Any) -> None:
    def task(number: int) -> int:
        if number == 1:
            raise DataError("one is not wanted")
        time.sleep(0.5 if number == 0 else 0.0)
        return number * number

    outcomes = list(run_jobs(task, range(4), cluster="local"))
    assert outcomes[-1].number == 0  # the slow one
    found = {outcome.number: outcome for outcome in outcomes}
    assert [found[n].result for n in range(4)] == [0, None, 4, 9]
    with pytest.raises(DataError, match=r"^one is not wanted$"):
        found[1].unwrap()


def test_a_killed_worker_is_an_outcome(ray: Any, capfd: pytest.CaptureFixture[str]) -> None:
    def task(number: int) -> int:
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    found = {outcome.number: outcome for outcome in run_jobs(task, range(3), cluster="local")}
    assert [found[n].result for n in (0, 2)] == [0, 2]
    with pytest.raises(VesaliusError, match="a job was lost: WorkerCrashedError"):
        found[1].unwrap()
    time.sleep(0.5)  # Ray tells of it late
    assert capfd.readouterr().out == ""


def test_leaving_early_stops_the_others(ray: Any, tmp_path: Path) -> None:
    def task(number: int) -> int:
        if number:
            time.sleep(60)
            (tmp_path / "done").touch()
        return number

    began = time.monotonic()
    for outcome in run_jobs(task, range(5), cluster="local"):
        assert outcome.number == 0
        break
    while ray.available_resources().get("CPU", 0) < 2:  # given back, long before the minute is over
        assert time.monotonic() - began < 40
        time.sleep(0.1)
    assert not (tmp_path / "done").exists()


def test_jobs_are_asked_for_when_there_is_room(ray: Any) -> None:
    known: list[int] = []
    seen: list[int] = []

    def asked() -> Iterator[int]:
        for number in range(5):
            seen.append(len(known))
            yield number

    for outcome in run_jobs(abs, asked(), cluster="local"):
        known += [outcome.number]
    assert seen == [0, 0, 1, 2, 3]


def test_what_no_machine_has_is_not_waited_for(ray: Any) -> None:
    with pytest.raises(VesaliusError, match="no machine of the cluster has 64 cores"):
        list(run_jobs(abs, [1], cluster="local", share=Share(cores=64)))
    with pytest.raises(VesaliusError, match="and 1 GPUs"):
        share_of("local", 3, device="cuda")
    assert share_of("local", 1) == Share(cores=2, slots=1)


def test_a_cluster_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(**_: object) -> None:
        raise ConnectionError("told at length")

    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", nobody)
    with pytest.raises(VesaliusError, match=r"^cannot reach the cluster 'auto': ConnectionError$"):
        list(run_jobs(abs, [1], cluster="auto"))


def test_a_folder_is_segmented_side_by_side(ray: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = untrained_bundle(ball_dataset(2, shape=(32, 32)), patch_size=(32, 32))
    bundle.save(tmp_path / "model")
    write_cases(tmp_path, [ball_case(n, shape=(32, 32)) for n in range(3)], ending=".nii.gz")
    (tmp_path / "images" / "worse.nii.gz").write_bytes(b"no image")
    how = ["segment", tmp_path / "images", "--bundle", tmp_path / "model", "--device", "cpu", "--json"]
    told = {}
    for place, more in (("here", []), ("there", ["--cluster", "local"])):
        assert main([*map(str, how), "-o", str(tmp_path / place), *more]) == 1
        told[place] = json.loads(capsys.readouterr().out)
    assert told["there"]["failed"] == 1
    for n in range(3):
        one, other = (read_labels(tmp_path / place / f"case{n}.nii.gz") for place in told)
        assert np.array_equal(one.array, other.array)


def test_trials_are_trained_side_by_side(ray: Any, tmp_path: Path) -> None:
    flat = index(write_cases(tmp_path / "data", [ball_case(n, shape=(32, 32)) for n in range(4)], ending=".tif"))
    plan = make_plan(fingerprint(flat), Budget(steps=2), step_seconds=lambda *_: 0.01)
    net = UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(8, 16))
    plan = replace(plan, network=net, patch_size=(16, 16), batch_size=2)
    space = {"optimisation.learning_rate": Range(0.01, 0.1)}
    tuned = tune(flat, plan, tmp_path / "out", trials=4, space=space, device="cpu", cluster="local")
    assert [trial.number for trial in tuned.trials] == [0, 1, 2, 3]
    assert [(trial.state, trial.steps) for trial in tuned.trials] == [("done", 2)] * 4
    assert tuned.trials[0].values["optimisation.learning_rate"] == "0.02"  # the plan as it is
    assert (tmp_path / "out" / "plan.json").is_file()


def test_folds_are_trained_side_by_side(
    ray: Any, quick_plans: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_cases(tmp_path, [ball_case(n, shape=(32, 32)) for n in range(4)], ending=".nii.gz")
    made = tmp_path / "model"
    settings = ["--set", "batch_size=2", "--set", "patch_size=32,32", "--labels", "ball=1,core=2"]
    how = ["fit", tmp_path, "-o", made, "--folds", "2", "--steps", "3", "--cluster", "local", "--json", *settings]
    assert main(list(map(str, how))) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["scores_on"].startswith("4 of 4 cases")
