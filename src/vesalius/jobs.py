"""Independent jobs: one after the other here, or side by side on a Ray cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vesalius.errors import MissingDependencyError, VesaliusError

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Outcome(Generic[Result]):
    """What became of a job: a result or an error.

    Args:
        number: Place of the job in the list.
        result: What the task gave; None after an error.
        error: Why there is no result.
    """

    number: int
    result: Result | None = None
    error: Exception | None = None

    def unwrap(self) -> Result:
        """The result.

        Raises:
            Exception: The job's own error.
        """
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]


def run_jobs(
    task: Callable[[Job], Result],
    jobs: Sequence[Job],
    *,
    cluster: str | None = None,
    cores: int = 1,
    gpus: float = 0.0,
) -> Iterator[Outcome[Result]]:
    """Do a task for each of several jobs, and give each outcome as soon as it is there.

    A job that fails does not stop the others. Leaving the iteration early stops what is still running.

    Args:
        task: A function of a module, not of a block: on a cluster it travels by its name.
        jobs: Its arguments; on a cluster they are pickled. Files that they name must be where every machine finds
            them.
        cluster: None does the jobs here, one after the other, and needs no Ray. ``"local"`` starts Ray on this
            machine; ``"auto"`` joins the cluster that this machine belongs to; ``"ray://HOST:PORT"`` a distant one.
        cores: Of a machine, for each job on a cluster.
        gpus: Of a machine, for each job on a cluster; 0.5 lets two jobs share one.

    Yields:
        The outcomes: here in the order of the jobs, on a cluster as they come.

    Raises:
        MissingDependencyError: A cluster is named, and Ray is not installed.
        VesaliusError: The cluster cannot be reached.

    Example:
        >>> [outcome.result for outcome in run_jobs(abs, [-1, 2, -3])]
        [1, 2, 3]
    """
    if cluster is None:
        yield from _here(task, jobs)
    else:
        yield from _on_ray(task, jobs, cluster, cores, gpus)


def slots(cluster: str | None, *, cores: int = 1, gpus: float = 0.0) -> int:
    """How many jobs run at once: 1 here; on a cluster what its machines hold.

    Args:
        cluster: As for `run_jobs`.
        cores: For each job.
        gpus: For each job.

    Raises:
        MissingDependencyError: A cluster is named, and Ray is not installed.
        VesaliusError: The cluster cannot be reached.

    Example:
        >>> slots(None)
        1
    """
    if cluster is None:
        return 1
    with _ray(cluster) as ray:
        there = ray.cluster_resources()
    held = int(there.get("CPU", 1) // max(cores, 1))
    if gpus > 0:
        held = min(held, int(there.get("GPU", 0) / gpus))
    return max(1, held)


def _here(task: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Outcome[Result]]:
    for number, job in enumerate(jobs):
        try:
            outcome = Outcome(number, task(job))
        except Exception as error:
            outcome = Outcome(number, error=error)
        yield outcome


def _on_ray(
    task: Callable[[Job], Result], jobs: Sequence[Job], cluster: str, cores: int, gpus: float
) -> Iterator[Outcome[Result]]:
    with _ray(cluster) as ray:
        remote = ray.remote(num_cpus=cores, num_gpus=gpus, max_retries=0)(_call)
        waiting = {remote.remote(task, job): number for number, job in enumerate(jobs)}
        try:
            while waiting:
                (ready,), _ = ray.wait(list(waiting), num_returns=1)
                number = waiting.pop(ready)
                try:
                    outcome = Outcome(number, ray.get(ready))
                except ray.exceptions.RayTaskError as error:
                    cause = error.cause
                    outcome = Outcome(
                        number, error=cause if isinstance(cause, Exception) else VesaliusError(str(error))
                    )
                except ray.exceptions.RayError as error:  # the machine went away, or the process was killed
                    outcome = Outcome(number, error=VesaliusError(f"a job was lost: {type(error).__name__}"))
                yield outcome
        finally:
            for left in waiting:
                ray.cancel(left, force=True)


def _call(task: Callable[[Any], Any], job: Any) -> Any:
    """Do a task elsewhere (Ray takes functions only, not everything that can be called)."""
    return task(job)


@contextmanager
def _ray(cluster: str) -> Iterator[Any]:
    """Ray, started or joined; whoever started it leaves it again."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    try:
        import ray
    except ImportError:
        raise MissingDependencyError("a cluster needs Ray: pip install 'vesalius[cluster]'") from None
    started = not ray.is_initialized()
    if started:
        how: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if cluster == "local":
            how["include_dashboard"] = False
        try:
            ray.init(address=cluster, **how)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise VesaliusError(f"cannot reach the cluster {cluster!r}: {type(error).__name__}") from None
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()
