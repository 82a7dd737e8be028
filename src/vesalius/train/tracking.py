"""A training told to MLflow, beside TensorBoard: its plan, its course, its scores."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vesalius.bundle import Bundle
from vesalius.bundle.card import card_to_json
from vesalius.errors import MissingDependencyError, VesaliusError
from vesalius.io.atomic import make_folder, write_text
from vesalius.plan import Plan
from vesalius.train.history import Moment
from vesalius.train.run import WORK

EXPERIMENT = "vesalius"
_RECORD = "mlflow.json"
_MEASURES = ("loss", "learning_rate", "validation_dice", "time_s")
_SQLITE = "sqlite:///"
_METRICS, _PARAMETERS = 1000, 100  # in one call (Source: MLflow's REST API, runs/log-batch)
_LONGEST = 6000  # characters of a parameter (Source: the same)
_SETTINGS = {
    # Source: MLflow's documentation, "Usage Tracking" and `mlflow.environment_variables`.
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing is told to anybody else
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # a server that is away would hold up a training for minutes otherwise
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "60",
}


class MlflowTracker:
    """Tells MLflow of a run; see `open_tracker`.

    What goes wrong after the start costs the tracking and not the training: it is told once, and nothing more is
    sent. A run that is resumed makes up for it.

    Args:
        client: MLflow's.
        run: MLflow's name for the run.
        note: Told in a sentence when tracking had to be given up.
    """

    def __init__(self, client: Any, run: str, note: Callable[[str], None]) -> None:
        self.run = run
        self._client, self._note = client, note
        self._is_lost = False
        self._sent = {metric.step for metric in client.get_metric_history(run, "time_s")}

    def follow(self, moments: Sequence[Moment]) -> None:
        """Send the moments that MLflow does not have yet."""
        new = [moment for moment in moments if moment.step not in self._sent]
        if new:
            self._try(lambda: self._send(new))

    def finish(self, bundle: Bundle, files: Sequence[Path]) -> None:
        """Send the final scores, the card and some files, and mark the run as finished."""

        def send() -> None:
            for name, dice in bundle.card.scores.items():
                self._client.log_metric(self.run, _key(f"dice/{name}"), dice)
            self._client.log_text(self.run, json.dumps(card_to_json(bundle.card), indent=1), "card.json")
            for path in files:
                self._client.log_artifact(self.run, str(path))
            self._client.set_terminated(self.run, "FINISHED")

        self._try(send)

    def stop(self, *, interrupted: bool) -> None:
        """Mark the run as interrupted, or as failed."""
        self._try(lambda: self._client.set_terminated(self.run, "KILLED" if interrupted else "FAILED"))

    def _send(self, new: Sequence[Moment]) -> None:
        from mlflow.entities import Metric

        began = time.time() - new[-1].time_s
        metrics = [
            Metric(name, value, round(1000 * (began + moment.time_s)), moment.step)
            for moment in new
            for name in _MEASURES
            if (value := getattr(moment, name)) == value
        ]
        for start in range(0, len(metrics), _METRICS):
            self._client.log_batch(self.run, metrics=metrics[start : start + _METRICS])
        self._sent.update(moment.step for moment in new)

    def _try(self, act: Callable[[], None]) -> None:
        if self._is_lost:
            return
        try:
            with _quiet():
                act()
        except Exception as error:  # MLflow raises what its many stores raise
            self._is_lost = True
            self._note(
                f"MLflow does not answer any more ({type(error).__name__}): training goes on and tells it nothing more"
            )


def open_tracker(
    uri: str,
    out: Path,
    plan: Plan,
    *,
    seed: int,
    cases: int,
    tags: Mapping[str, str],
    note: Callable[[str], None],
) -> MlflowTracker:
    """Begin a run in MLflow, or go on with the one that was begun for this folder.

    MLflow is told the plan without its reasons, the seed, how many cases there are, and what the tags say: no case's
    name and no path. Its own telemetry is switched off. A server has 10 seconds to answer.

    Args:
        uri: A folder (``mlflow.db`` and ``artifacts/`` go there), ``sqlite:///FILE.db`` (``artifacts/`` beside it), or
            anything else that MLflow takes, like ``http://HOST:PORT``.
        out: The bundle's folder; which run of MLflow belongs to it is kept there.
        plan: What is done.
        seed: Of everything random.
        cases: How many are learnt from.
        tags: Facts about machine and data.
        note: Told in a sentence when tracking had to be given up later on.

    Raises:
        MissingDependencyError: MLflow is not installed.
        VesaliusError: The folder cannot be written, or the server does not answer.
    """
    address, artifacts = _address(uri)
    client_class = _mlflow()
    record = out / WORK / _RECORD
    try:
        with _quiet(), _alone(address):
            client = client_class(tracking_uri=address)
            kept = _kept(record, address)
            if kept is not None and client.get_run(kept).info.lifecycle_stage == "active":
                client.update_run(kept, status="RUNNING")
                run = kept
            else:
                run = client.create_run(_experiment(client, artifacts), run_name=run_name(out)).info.run_id
                _describe(client, run, plan, seed, cases)
            # A budget may grow, and MLflow's parameters are written once.
            budget = {f"budget.{name}": str(value) for name, value in asdict(plan.budget).items() if value is not None}
            for name, text in {**tags, **budget}.items():
                client.set_tag(run, name, text)
            tracker = MlflowTracker(client, run, note)
    except Exception as error:  # MLflow raises what its many stores raise
        raise VesaliusError(
            f"cannot track the run at {_public(uri)}: MLflow gave {type(error).__name__}; look whether the server "
            "runs there, name another place, or train without tracking"
        ) from error
    write_text(record, json.dumps({"address": _public(address), "run": run}))
    return tracker


def run_name(out: Path) -> str:
    """What a run is called: like its folder; the part of a bigger training after the folder of the whole.

    Example:
        >>> run_name(Path("models/liver")), run_name(Path("models/liver/.fit/3d/fold-2"))
        ('liver', 'liver/3d/fold-2')
    """
    parts = out.absolute().parts
    first = parts.index(WORK) - 1 if WORK in parts else len(parts) - 1
    return "/".join(part for part in parts[first:] if part != WORK)


def flat(value: Any, name: str = "") -> dict[str, str]:
    """A plan as MLflow's parameters: a text for each number, nested names joined with dots.

    Labels are their names alone, and reasons are left out: they are prose.

    Example:
        >>> flat({"loss": {"kind": "dice"}, "patch_size": (32, 32), "reasons": ()})
        {'loss.kind': 'dice', 'patch_size': '[32, 32]'}
    """
    if isinstance(value, Plan):
        value = {**asdict(value), "labels": value.labels.names}
    if not isinstance(value, Mapping):
        return {_key(name): (value if isinstance(value, str) else json.dumps(value))[:_LONGEST]}
    found: dict[str, str] = {}
    for key, inner in value.items():
        if name or key not in ("reasons", "version", "budget"):
            found |= flat(inner, f"{name}.{key}" if name else str(key))
    return found


def _describe(client: Any, run: str, plan: Plan, seed: int, cases: int) -> None:
    from mlflow.entities import Param

    told = [Param(name, text) for name, text in {**flat(plan), "seed": str(seed), "cases": str(cases)}.items()]
    for start in range(0, len(told), _PARAMETERS):
        client.log_batch(run, params=told[start : start + _PARAMETERS])


def _address(uri: str) -> tuple[str, str | None]:
    """What MLflow takes, and where artifacts go unless a server decides."""
    if re.match(r"[a-z][\w+]+:", uri) and not uri.startswith(_SQLITE):
        return uri, None
    base = Path(uri.removeprefix(_SQLITE)).absolute() if uri.startswith(_SQLITE) else Path(uri).absolute() / "mlflow.db"
    make_folder(base.parent)
    return f"{_SQLITE}{base}", (base.parent / "artifacts").as_uri()


def _experiment(client: Any, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    return str(found.experiment_id if found else client.create_experiment(EXPERIMENT, artifact_location=artifacts))


def _kept(record: Path, address: str) -> str | None:
    """The run that was begun at this address for this folder."""
    try:
        raw = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(raw["run"]) if raw.get("address") == _public(address) else None


def _public(uri: str) -> str:
    """An address without name and password."""
    parts = urlsplit(uri)
    return uri.replace(f"{parts.netloc}", parts.netloc.rpartition("@")[2]) if "@" in parts.netloc else uri


def _key(name: str) -> str:
    """A name as MLflow takes it (Source: `mlflow.utils.validation`)."""
    return re.sub(r"[^\w\-. /]", "_", name)


@contextmanager
def _alone(address: str) -> Iterator[None]:
    """Folds that start at one moment must not make the tables of a new database twice."""
    if not address.startswith(_SQLITE):
        yield
        return
    with Path(f"{address.removeprefix(_SQLITE)}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """MLflow's libraries warn of each other, which is nothing that our users could do something about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _mlflow() -> Any:
    """MLflow's client, told to keep to itself."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        with _quiet():
            from mlflow.tracking import MlflowClient
    except ImportError:
        raise MissingDependencyError("tracking needs MLflow: pip install 'vesalius[tracking]'") from None
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient
