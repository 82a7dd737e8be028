"""What MLflow is told of a run, and that a run does not depend on it."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from phantoms import ball_dataset

from vesalius.bundle import Card
from vesalius.cli import main
from vesalius.errors import MissingDependencyError, VesaliusError
from vesalius.nets import UNetSpec
from vesalius.plan import Budget, Plan, fingerprint, make_plan
from vesalius.train import Status, Workshop, fit
from vesalius.train.tracking import _SETTINGS, MlflowTracker, _quiet, flat

# Looked for and not imported: it is told to keep to itself before it is imported.
pytestmark = pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed")

FLAT = ball_dataset(6, shape=(32, 32))


def plan_of(steps: int) -> Plan:
    plan = make_plan(fingerprint(FLAT), Budget(steps=steps), step_seconds=lambda *_: 0.01)
    net = UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(8, 16))
    return replace(plan, network=net, patch_size=(24, 24), batch_size=2)


@pytest.fixture(scope="module", autouse=True)
def quiet_client() -> Iterator[None]:
    """The connections of MLflow's stores are closed with the last test."""
    yield
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for engine in SqlAlchemyStore._engine_map.values():
        engine.dispose()


def runs(folder: Path) -> list[Any]:
    with _quiet():
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
        return client.search_runs([e.experiment_id for e in client.search_experiments()])


def history(folder: Path, run: str, name: str) -> list[tuple[int, float]]:
    with _quiet():
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
        return sorted((metric.step, metric.value) for metric in client.get_metric_history(run, name))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database that stands, which takes seconds, and a run that is finished."""
    place = tmp_path_factory.mktemp("tracked")
    shop = Workshop(track=str(place / "mlflow"))
    fit(FLAT, plan_of(8), place / "balls", workshop=shop, card=Card(name="balls", data="drawn"))
    return place


def test_plan_course_and_scores_are_told(place: Path) -> None:
    (run,) = [run for run in runs(place / "mlflow") if run.info.run_name == "balls"]
    assert run.info.status == "FINISHED"
    assert run.data.params["optimisation.optimiser"] == "muon"
    assert run.data.params["network.features"] == "[8, 16]"
    assert run.data.params["labels"] == '["ball", "core"]'
    assert (run.data.params["seed"], run.data.params["cases"]) == ("0", "4")
    assert not any("reason" in name for name in run.data.params)
    assert run.data.tags["device"] == "cpu"
    assert run.data.tags["data"] == "drawn"
    assert run.data.tags["budget.steps"] == "8"
    rows = (place / "balls" / "history.csv").read_text().splitlines()[1:]
    course = history(place / "mlflow", run.info.run_id, "loss")
    assert course == [(int(row.split(",")[0]), float(row.split(",")[2])) for row in rows]
    bundle = json.loads((place / "balls" / "bundle.json").read_text())
    assert run.data.metrics["dice/ball"] == bundle["card"]["scores"]["ball"]
    kept = place / "mlflow" / "artifacts" / run.info.run_id / "artifacts"
    assert {path.name for path in kept.iterdir()} == {"card.json", "history.csv", "curves.png"}


def test_nothing_names_a_case_or_a_path(place: Path) -> None:
    (run,) = [run for run in runs(place / "mlflow") if run.info.run_name == "balls"]
    told = json.dumps([run.data.params, run.data.tags])
    assert "case0" not in told
    assert "patient0" not in told
    assert str(place) not in told


def test_it_is_asked_to_keep_to_itself(place: Path) -> None:
    """In a process of its own: what another test imported first would be asked too late."""
    code = (
        "from vesalius.train.tracking import _mlflow\n"
        "_mlflow()\n"
        "from mlflow.telemetry.client import get_telemetry_client\n"
        "assert get_telemetry_client() is None\n"
    )
    bare = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    subprocess.run([sys.executable, "-c", code], check=True, env=bare)


def test_a_run_that_goes_on_stays_the_same_run(place: Path) -> None:
    out = place / "longer"
    fit(FLAT, plan_of(6), out, workshop=Workshop(track=str(place / "mlflow")))
    before = json.loads((out / ".fit" / "mlflow.json").read_text())["run"]
    fit(
        FLAT,
        replace(plan_of(6), budget=Budget(steps=12)),
        out,
        resume=True,
        workshop=Workshop(track=f"sqlite:///{place}/mlflow/mlflow.db"),
    )
    (run,) = [run for run in runs(place / "mlflow") if run.info.run_name == "longer"]
    assert run.info.run_id == before
    assert run.data.tags["budget.steps"] == "12"
    steps = [step for step, _ in history(place / "mlflow", before, "loss")]
    rows = (out / "history.csv").read_text().splitlines()[1:]
    assert steps == [int(row.split(",")[0]) for row in rows]  # each once
    assert steps[-1] == 12


def test_what_was_not_sent_is_made_up_for(place: Path) -> None:
    """The first part is not tracked at all."""
    out = place / "late"
    fit(FLAT, plan_of(5), out)
    more = replace(plan_of(5), budget=Budget(steps=9))
    fit(FLAT, more, out, resume=True, workshop=Workshop(track=str(place / "mlflow")))
    (run,) = [run for run in runs(place / "mlflow") if run.info.run_name == "late"]
    assert history(place / "mlflow", run.info.run_id, "loss")[0][0] < 5


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt(), "KILLED"), (ValueError(), "FAILED")])
def test_a_run_that_ends_early_says_so(place: Path, error: BaseException, status: str) -> None:
    def look(*_: object) -> None:
        raise error

    out = place / status.lower()
    with pytest.raises(type(error)):
        fit(FLAT, plan_of(4), out, workshop=Workshop(track=str(place / "mlflow")), on_look=look)
    (run,) = [run for run in runs(place / "mlflow") if run.info.run_name == out.name]
    assert run.info.status == status


def test_a_server_that_goes_away_costs_the_tracking_only(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    calls = []

    def away(*_: object, **__: object) -> None:
        calls.append(1)
        raise ConnectionError("gone")

    notes: list[Status] = []

    def status(one: Status) -> None:
        if one.note:
            notes.append(one)
        monkeypatch.setattr(MlflowClient, "log_batch", away)

    monkeypatch.setattr("vesalius.train.loop.CHECKPOINT_S", 0.0)
    shop = Workshop(track=str(place / "mlflow"))
    bundle = fit(FLAT, plan_of(6), place / "away", workshop=shop, on_status=status)
    assert bundle.provenance["steps"] == 6
    assert len(calls) == 1
    assert [one.note for one in notes] == [
        "MLflow does not answer any more (ConnectionError): training goes on and tells it nothing more"
    ]


def test_a_server_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody answers there
        taken.bind(("127.0.0.1", 0))
        uri = f"http://somebody:secret@127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(VesaliusError, match="cannot track the run at http://127") as told:
            fit(FLAT, plan_of(4), tmp_path / "out", workshop=Workshop(track=uri))
    assert "secret" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_without_mlflow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(MissingDependencyError, match=r"vesalius\[tracking\]"):
        fit(FLAT, plan_of(4), tmp_path / "out", workshop=Workshop(track=str(tmp_path / "mlflow")))


def test_the_command_shows_the_note(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def give_up(self: MlflowTracker, *_: object) -> None:
        self._note("MLflow is gone")

    monkeypatch.setattr("vesalius.plan.measure.step_seconds", lambda *_, **__: 0.01)
    monkeypatch.setattr(MlflowTracker, "follow", give_up)
    monkeypatch.setattr("vesalius.cli.fit.read_dataset", lambda *_: FLAT)
    settings = ["--set", "batch_size=2", "--network", "cnn"]
    out = [str(tmp_path / "DATA"), "-o", str(tmp_path / "out"), "--steps", "3", "--track", str(place / "mlflow")]
    assert main(["fit", *out, *settings, "--json"]) == 0
    told = capsys.readouterr()
    assert "note: MLflow is gone" in told.err
    assert json.loads(told.out)["bundle"] == str(tmp_path / "out")


def test_every_setting_is_known_to_mlflow() -> None:
    import mlflow.environment_variables as known

    assert [name for name in _SETTINGS if not hasattr(known, name)] == []


def test_long_lists_are_cut_and_names_are_made_fit() -> None:
    assert len(flat({"a": ["x" * 100] * 100})["a"]) == 6000
    assert flat({"a(b)": 1}) == {"a_b_": "1"}
