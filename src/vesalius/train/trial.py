"""One trial of a search: a short training that is given up when others were better at the same point."""

from __future__ import annotations

import math
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vesalius.errors import DataError, MissingDependencyError, PlanError
from vesalius.image import Dataset
from vesalius.plan import Plan
from vesalius.train.fit import Workshop, fit
from vesalius.train.run import Status

_STARTUP, _WARM_UP = 5, 5  # trials, and looks of a trial, before any is given up
"""Source: five trials are Optuna's default; after five of the twenty looks the ranking of runs begins to be worth
something, as the warm-up of the learning rate is over."""


class PrunedError(BaseException):
    """A trial is not worth its time any more. No `Exception`: nothing on its way may take it for a failure."""


@dataclass(frozen=True, eq=False)
class TrialJob:
    """A trial to be trained; it can travel to another machine.

    Args:
        number: Of the trial.
        plan: Of the trial, budget included.
        dataset: Cases that are learnt from, and those that are watched.
        watched: The latter.
        out: Folder to work in; it is gone afterwards.
        seed: Of everything random, the same for all trials.
        device: Where.
        workshop: What may be used of the machine.
        known: The trials that were finished when this one began, as Optuna's.
    """

    number: int
    plan: Plan
    dataset: Dataset
    watched: tuple[str, ...]
    out: Path
    seed: int
    device: str
    workshop: Workshop
    known: tuple[Any, ...]


@dataclass(frozen=True)
class TrialResult:
    """What a trial gave.

    Args:
        course: The Dice at each look at the watched cases.
        is_pruned: Whether it was given up.
        seconds: That it took.
        steps: That were trained; 0 where it was given up.
    """

    course: tuple[float, ...]
    is_pruned: bool
    seconds: float
    steps: int


def trial_plan(plan: Plan, *, steps: int | None, time_s: float | None) -> Plan:
    """The plan for a training of another length: warm-up and moving average shrink with it.

    Args:
        plan: The plan.
        steps: Of the training, or None.
        time_s: Of the training, where steps are not given.

    Raises:
        PlanError: One has a budget of steps, and the other one of time.
    """
    budget = plan.budget
    if (steps is None) != (budget.steps is None):
        kind, other = ("steps", "time") if steps is None else ("time", "steps")
        raise PlanError(f"the plan has a budget of {kind}, and the trials one of {other}: give both the same kind")
    if steps is not None:
        expected = float(steps)
    else:
        assert time_s is not None
        assert budget.time_s is not None
        whole = 20 / (1 - plan.optimisation.average_decay)  # what `Optimisation.for_steps` was given
        expected = whole * min(1.0, time_s / budget.time_s)
    return replace(
        plan,
        budget=replace(budget, steps=steps, time_s=time_s),
        optimisation=plan.optimisation.for_steps(expected),
    )


def run_trial(job: TrialJob, on_status: Callable[[Status], None] | None = None) -> TrialResult:
    """Train a trial: a task for `vesalius.jobs.run_jobs`.

    Args:
        job: The trial.
        on_status: Called about once a second.

    Raises:
        DataError: The watched cases show none of the labels.
    """
    began = time.monotonic()
    course: list[float] = []
    is_hopeless = _judge(job.known)

    def look(number: int, done: float, dice: float) -> None:  # noqa: ARG001
        if math.isnan(dice):
            raise DataError("the held-out cases show none of the labels: trials cannot be compared on them")
        course.append(dice)
        if is_hopeless(dice, len(course)) and done < 1:
            raise PrunedError

    steps, is_pruned = 0, False
    shutil.rmtree(job.out, ignore_errors=True)  # what a trial that was cut off left there
    try:
        bundle = fit(
            job.dataset,
            job.plan,
            job.out,
            device=job.device,
            seed=job.seed,
            validation=job.watched,
            workshop=job.workshop,
            on_status=on_status,
            on_look=look,
        )
        steps = int(str(bundle.provenance["steps"]))
    except PrunedError:
        is_pruned = True
    finally:
        shutil.rmtree(job.out, ignore_errors=True)
    return TrialResult(tuple(course), is_pruned, time.monotonic() - began, steps)


def optuna() -> Any:
    """Optuna, without its messages.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        import optuna as found
    except ImportError:
        raise MissingDependencyError("tuning needs Optuna: pip install 'vesalius[tune]'") from None
    found.logging.set_verbosity(found.logging.ERROR)
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna calls what it has had for years experimental, and warns of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _judge(known: tuple[Any, ...]) -> Callable[[float, int], bool]:
    """Whether a trial is below the median of others at the same look, as Optuna's `MedianPruner` has it.

    It is asked where the trial runs, on a study in memory: no machine needs to reach the database of another.
    """
    found = optuna()
    pruner = found.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=_WARM_UP)
    study = found.create_study(direction="maximize", pruner=pruner)
    with quiet():
        study.add_trials(list(known))
        trial = study.ask()

    def is_hopeless(dice: float, look: int) -> bool:
        trial.report(dice, look)
        return bool(trial.should_prune())

    return is_hopeless
