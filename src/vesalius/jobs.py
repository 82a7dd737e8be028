"""Independent jobs: one after the other here, or side by side on a Ray cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

from vesalius.errors import MissingDependencyError, VesaliusError

Job = TypeVar("Job")
Result = TypeVar("Result")

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to anybody (Source: Ray, "Usage Stats Collection")
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray asks for, so as not to warn of it
}


def cores() -> int:
    """How many processors this process may use.

    Example:
        >>> cores() >= 1
        True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LostJobError(VesaliusError):
    """The process or the machine that did a job went away."""


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


@dataclass(frozen=True)
class Share:
    """What one job takes of a machine, and how many run at once then.

    Args:
        cores: Of the processor; on a cluster, torch gets as many threads.
        gpus: 0.5 lets two jobs share one.
        slots: How many jobs run at once.
    """

    cores: int = 1
    gpus: float = 0.0
    slots: int = 1


def run_jobs(
    task: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    cluster: str | None = None,
    share: Share | None = None,
) -> Iterator[Outcome[Result]]:
    """Do a task for each of several jobs, and give each outcome as soon as it is there.

    A job that fails does not stop the others. Leaving the iteration early stops what is still running. A job is asked
    for when there is room for it, so that it may depend on the outcomes that were given before.

    Args:
        task: A function of a module, not of a block: on a cluster it travels by its name.
        jobs: Its arguments; on a cluster they are pickled. Files that they name must be where every machine finds
            them.
        cluster: None does the jobs here, one after the other, and needs no Ray. ``"local"`` starts Ray on this
            machine; ``"auto"`` joins the cluster that this machine belongs to; ``"ray://HOST:PORT"`` a distant one.
        share: What each job takes of a machine on a cluster, from `share_of`; one core when left out.

    Yields:
        The outcomes: here in the order of the jobs, on a cluster as they come.

    Raises:
        MissingDependencyError: A cluster is named, and Ray is not installed.
        VesaliusError: The cluster cannot be reached, or none of its machines has what a job takes.

    Example:
        >>> [outcome.result for outcome in run_jobs(abs, [-1, 2, -3])]
        [1, 2, 3]
    """
    if cluster is None:
        yield from _here(task, jobs)
    else:
        yield from _on_ray(task, jobs, cluster, share or Share())


def share_of(cluster: str | None, jobs: int, *, device: str = "cpu") -> Share:
    """What each of some jobs may take, so that as many as possible run at once and no core is left idle.

    Args:
        cluster: As for `run_jobs`.
        jobs: How many there are; more may come.
        device: Where they compute. For ``"cuda"``, and for ``"auto"`` on a cluster that has GPUs, each takes one.

    Raises:
        MissingDependencyError: A cluster is named, and Ray is not installed.
        VesaliusError: The cluster cannot be reached, or none of its machines has what a job takes.

    Example:
        >>> share_of(None, 5)
        Share(cores=1, gpus=0.0, slots=1)
    """
    with joined(cluster) as ray:
        if ray is None:
            return Share()
        machines = _machines(ray)
    has_gpus = any(gpus >= 1 for _, gpus in machines)
    wants_gpu = device.startswith("cuda") or (device == "auto" and has_gpus)
    return _divided(machines, jobs, 1.0 if wants_gpu else 0.0)


def _divided(machines: list[tuple[int, float]], jobs: int, gpus: float) -> Share:
    """The most cores for each job with which as many jobs run at once as could with one core each.

    Example:
        >>> _divided([(16, 0.0), (8, 0.0)], 5, 0.0)
        Share(cores=4, gpus=0.0, slots=6)
        >>> _divided([(16, 2.0)], 5, 1.0)
        Share(cores=8, gpus=1.0, slots=2)
    """
    wanted = min(jobs, _room(machines, Share(1, gpus)))
    if wanted == 0:
        raise _no_room(Share(1, gpus))
    most = max(cores for cores, _ in machines)
    cores = next(n for n in range(most, 0, -1) if _room(machines, Share(n, gpus)) >= wanted)
    return Share(cores, gpus, _room(machines, Share(cores, gpus)))


@contextmanager
def joined(cluster: str | None) -> Iterator[Any]:
    """Stay in a cluster while `share_of` and `run_jobs` are called, each of which would join it anew, in seconds.

    Args:
        cluster: As for `run_jobs`.

    Yields:
        Ray, started or joined; None without a cluster. Whoever started it leaves it again.

    Raises:
        MissingDependencyError: A cluster is named, and Ray is not installed.
        VesaliusError: The cluster cannot be reached.
    """
    if cluster is None:
        yield None
        return
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
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
        # Ray tells of killed workers on standard output, where results go; here they are outcomes.
        ray._private.worker._worker_logs_enabled = False
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def _here(task: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Outcome[Result]]:
    for number, job in enumerate(jobs):
        try:
            outcome = Outcome(number, task(job))
        except Exception as error:
            outcome = Outcome(number, error=error)
        yield outcome


def _on_ray(
    task: Callable[[Job], Result], jobs: Iterable[Job], cluster: str, share: Share
) -> Iterator[Outcome[Result]]:
    with joined(cluster) as ray:
        remote = ray.remote(num_cpus=share.cores, num_gpus=share.gpus, max_retries=0)(_call)
        to_come = enumerate(jobs)
        waiting: dict[Any, int] = {}
        try:
            while True:
                room = _room(_machines(ray), share)
                if room == 0 and not waiting:  # Ray would wait for ever for a machine that there is not
                    raise _no_room(share)
                for number, job in islice(to_come, max(0, room - len(waiting))):
                    waiting[remote.remote(task, job)] = number
                if not waiting:
                    return
                (ready,), _ = ray.wait(list(waiting), num_returns=1)
                yield _outcome(ray, waiting.pop(ready), ready)
        finally:
            for left in waiting:
                ray.cancel(left, force=True)


def _outcome(ray: Any, number: int, ready: Any) -> Outcome[Any]:
    try:
        return Outcome(number, ray.get(ready))
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        return Outcome(number, error=cause if isinstance(cause, Exception) else VesaliusError(str(error)))
    except ray.exceptions.RayError as error:  # the machine went away, or the process was killed
        return Outcome(number, error=LostJobError(f"a job was lost: {type(error).__name__}"))


def _machines(ray: Any) -> list[tuple[int, float]]:
    """Cores and GPUs of each machine that is there."""
    held = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [(int(one.get("CPU", 0)), float(one.get("GPU", 0))) for one in held]


def _room(machines: list[tuple[int, float]], share: Share) -> int:
    """How many jobs run at once."""
    by_gpu = [int(gpus // share.gpus) if share.gpus else cores for cores, gpus in machines]
    return sum(min(cores // share.cores, most) for (cores, _), most in zip(machines, by_gpu, strict=True))


def _no_room(share: Share) -> VesaliusError:
    return VesaliusError(f"no machine of the cluster has {share.cores} cores and {share.gpus:g} GPUs for a job")


def _call(task: Callable[[Any], Any], job: Any) -> Any:
    """Do a task elsewhere (Ray takes functions only, not everything that can be called)."""
    return task(job)
