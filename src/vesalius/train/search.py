"""A search's record, in Optuna's database: what was asked, what came of it, what is asked next."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vesalius.errors import BundleError, PlanError
from vesalius.io.atomic import make_folder
from vesalius.jobs import LostJobError, Outcome
from vesalius.train.space import By, Choice, Range, Space
from vesalius.train.trial import TrialResult, optuna

DATABASE = "tune.db"
ENOUGH = 10
"""Trials that came to their end, below which it is not said what mattered."""
_MOST_FAILURES = 5  # one after the other: then it is not the recipe
_IDENTITY, _ALLOWED, _SPENT, _LENGTH = "identity", "allowed", "spent_s", "trial_s"  # of the study
_PLACE, _VALUES, _SECONDS, _STEPS, _WHY = "place", "values", "seconds", "steps", "why"  # of a trial


@dataclass(frozen=True)
class Trial:
    """A trial that ended.

    Args:
        number: From 0; those that were interrupted and made up for are not counted.
        values: What was varied, setting to text.
        course: The Dice at each look at the watched cases.
        state: ``"done"``, ``"pruned"`` (others were better at the same point) or ``"failed"``.
        seconds: That it took.
        steps: That it trained; 0 unless it is done.
        why: It failed.
    """

    number: int
    values: Mapping[str, str]
    course: tuple[float, ...]
    state: str
    seconds: float = 0.0
    steps: int = 0
    why: str = ""

    @property
    def dice(self) -> float:
        """The last one; NaN where there was none."""
        return self.course[-1] if self.course else math.nan


class Search:
    """Asks for trials and takes their outcomes; everything that it knows stands in the database.

    Args:
        study: Optuna's, from `open_study`.
        space: What is varied.
        seed: Of everything random: what is asked follows from it, the trial's number and the outcomes so far.
    """

    def __init__(self, study: Any, space: Space, seed: int) -> None:
        self.study, self.space, self.seed = study, space, seed
        self._asked: dict[int, Any] = {}
        self._drawn: list[int] = []
        self._failures = 0

    @property
    def spent_s(self) -> float:
        """Seconds of the budget that earlier sessions spent."""
        return float(self.study.user_attrs.get(_SPENT, 0.0))

    def spend(self, seconds: float) -> None:
        """Write down how much of the budget is gone."""
        self.study.set_user_attr(_SPENT, seconds)

    def length_s(self, wanted: Callable[[], float]) -> float:
        """How long a trial is: the same for all of them, so that they can be compared."""
        if _LENGTH not in self.study.user_attrs:
            self.study.set_user_attr(_LENGTH, wanted())
        return float(self.study.user_attrs[_LENGTH])

    @property
    def begun(self) -> int:
        """How many trials there are, those that are to be made up for once only."""
        waiting = optuna().trial.TrialState.WAITING
        return sum(trial.state != waiting and not _is_lost(trial) for trial in self._all())

    def begin(self, own: Mapping[str, str], allowed: Mapping[str, Any]) -> None:
        """Put in the queue what is to come first: the plan as it is, or what an interruption left unfinished.

        Args:
            own: What the plan itself says of the settings.
            allowed: How much is to be done; JSON can hold it.
        """
        self.study.set_user_attr(_ALLOWED, allowed)
        state = optuna().trial.TrialState
        if not self._all():
            values = _parameters(own, self.space)
            if values is not None:
                self.study.enqueue_trial(values)
        for trial in self._all():
            if trial.state == state.RUNNING:
                self.study.tell(trial.number, state=state.FAIL)
                if _PLACE in trial.user_attrs and _WHY not in trial.user_attrs:
                    self.study.enqueue_trial(trial.params, user_attrs={_PLACE: trial.user_attrs[_PLACE]})

    def ask(self) -> tuple[int, dict[str, str]]:
        """The number of the next trial, and its values."""
        waiting = [one for one in self._all() if one.state == optuna().trial.TrialState.WAITING]
        number = waiting[0].user_attrs.get(_PLACE, self.begun) if waiting else self.begun
        # The sampler's generator is not in the database: it is seeded anew, so that resuming needs no memory of it.
        seed = int(np.random.SeedSequence((self.seed, number)).generate_state(1)[0])
        self.study.sampler = optuna().samplers.TPESampler(seed=seed, multivariate=True, group=True)
        trial = self.study.ask()
        trial.set_user_attr(_PLACE, number)
        values = _suggested(trial, self.space)
        trial.set_user_attr(_VALUES, values)
        self._asked[number] = trial
        self._drawn.append(number)
        return number, values

    def known(self) -> tuple[Any, ...]:
        """The trials that ended, as Optuna's."""
        states = optuna().trial.TrialState
        return tuple(self.study.get_trials(states=(states.COMPLETE, states.PRUNED)))

    def take(self, outcome: Outcome[TrialResult]) -> None:
        """Write down what became of a trial.

        Raises:
            Exception: What was wrong was not the recipe (a case cannot be read, the disk is full), or nothing works.
        """
        states = optuna().trial.TrialState
        trial = self._asked.pop(self._drawn[outcome.number])
        if outcome.error is not None:
            why = _fault_of_the_recipe(outcome.error)
            self._failures += 1
            if why is None or self._failures == _MOST_FAILURES:
                raise outcome.error
            trial.set_user_attr(_WHY, why)
            self.study.tell(trial, state=states.FAIL)
            return
        self._failures = 0
        result = outcome.unwrap()
        for look, dice in enumerate(result.course, start=1):
            trial.report(dice, look)
        trial.set_user_attr(_SECONDS, round(result.seconds, 1))
        trial.set_user_attr(_STEPS, result.steps)
        if result.is_pruned:
            self.study.tell(trial, state=states.PRUNED)
        else:
            self.study.tell(trial, result.course[-1])

    def trials(self) -> tuple[Trial, ...]:
        """The trials that ended, by their number."""
        states = optuna().trial.TrialState
        words = {states.COMPLETE: "done", states.PRUNED: "pruned", states.FAIL: "failed"}
        ended = [one for one in self._all() if one.state in words and not _is_lost(one)]
        made = [
            Trial(
                number=one.user_attrs[_PLACE],
                values=one.user_attrs.get(_VALUES, {}),
                course=tuple(one.intermediate_values[look] for look in sorted(one.intermediate_values)),
                state=words[one.state],
                seconds=one.user_attrs.get(_SECONDS, 0.0),
                steps=one.user_attrs.get(_STEPS, 0),
                why=one.user_attrs.get(_WHY, ""),
            )
            for one in ended
        ]
        return tuple(sorted(made, key=lambda trial: trial.number))

    def mattered(self) -> tuple[dict[str, float], str]:
        """For each setting its share in how different the trials came out, and how that was reckoned.

        A setting that depends on another one is judged among the trials that have it. Empty below `ENOUGH` trials.

        Source: Hutter et al. 2014 (fANOVA: the share in the variance of a forest's prediction), where scikit-learn is
        installed; else Watanabe et al. 2023, arXiv:2304.10255 (PED-ANOVA: how far the best trials' values lie apart
        from all trials').
        """
        done = self.study.get_trials(states=(optuna().trial.TrialState.COMPLETE,))
        names = dict.fromkeys(name for one in done for name in one.params)
        having = {name: [one.value for one in done if name in one.params] for name in names}
        judged = [name for name, dice in having.items() if len(dice) >= ENOUGH and len(set(dice)) > 1]
        if not judged:
            return {}, ""
        importance = optuna().importance
        try:
            evaluator, method = importance.FanovaImportanceEvaluator(seed=self.seed), "fANOVA"
        except ImportError:
            evaluator, method = importance.PedAnovaImportanceEvaluator(), "PED-ANOVA"
        everywhere = [name for name, dice in having.items() if len(dice) == len(done)]
        found: dict[str, float] = {}
        for name in judged:
            together = list(dict.fromkeys((*everywhere, name)))
            shares = importance.get_param_importances(self.study, evaluator=evaluator, params=together)
            found[name] = float(shares[name])
        return dict(sorted(found.items(), key=lambda item: -item[1])), method

    def _all(self) -> list[Any]:
        return list(self.study.get_trials(deepcopy=False))


def _is_lost(trial: Any) -> bool:
    """Whether it was interrupted: what failed by itself has a reason."""
    return trial.state == optuna().trial.TrialState.FAIL and _WHY not in trial.user_attrs


@contextmanager
def open_study(place: Path, identity: Mapping[str, Any], *, resume: bool) -> Iterator[Any]:
    """The database of a search, new or as it stands.

    Args:
        place: Folder of the search.
        identity: What makes it the same search; JSON can hold it.
        resume: Whether to go on with what stands there.

    Raises:
        BundleError: The folder holds something else, or another search.
    """
    stands = (place / DATABASE).is_file()
    if stands and not resume:
        raise BundleError(f"{place.name}: a search stands here; go on with it (resume) or name a new folder")
    if not stands and place.is_dir() and any(place.iterdir()):
        raise BundleError(f"{place.name}: the folder is not empty; name a new one")
    make_folder(place)
    with _study(place) as study:
        plain = json.loads(json.dumps(identity))
        if study.user_attrs.setdefault(_IDENTITY, plain) != plain:
            raise BundleError(f"{place.name}: the search that stands here has another plan, seed, space or cases")
        study.set_user_attr(_IDENTITY, plain)
        yield study


def kept_record(place: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The identity of the search that stands in a folder, and what it was allowed; None where none was begun."""
    if not (place / DATABASE).is_file():
        return None
    with _study(place) as study:
        attributes = study.user_attrs
        return (attributes[_IDENTITY], attributes[_ALLOWED]) if _ALLOWED in attributes else None


@contextmanager
def _study(place: Path) -> Iterator[Any]:
    found = optuna()
    try:
        storage = found.storages.RDBStorage(f"sqlite:///{(place / DATABASE).absolute()}")
        study = found.create_study(storage=storage, study_name="tune", direction="maximize", load_if_exists=True)
    except Exception as error:  # SQLAlchemy raises what its drivers raise
        raise BundleError(f"{place.name}: {DATABASE} cannot be used ({type(error).__name__})") from error
    try:
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _suggested(trial: Any, space: Space) -> dict[str, str]:
    """A value for each setting; those that others depend on first."""
    values: dict[str, str] = {}
    for name, dimension in sorted(space.items(), key=lambda item: isinstance(item[1], By)):
        inner = dimension.cases.get(values[dimension.setting]) if isinstance(dimension, By) else dimension
        if inner is not None:
            values[name] = _one(trial, parameter(name, dimension, values), inner)
    return {name: values[name] for name in space if name in values}


def _one(trial: Any, name: str, dimension: Range | Choice) -> str:
    if isinstance(dimension, Choice):
        return str(trial.suggest_categorical(name, list(dimension.values)))
    if dimension.whole:
        return dimension.text(trial.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log))
    return dimension.text(trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log))


def parameter(name: str, dimension: Range | Choice | By, values: Mapping[str, str]) -> str:
    """What Optuna calls a setting: one that depends on another is another parameter for each of its values.

    Example:
        >>> parameter("rate", By("optimiser", {}), {"optimiser": "sgd"})
        'rate [sgd]'
    """
    return f"{name} [{values[dimension.setting]}]" if isinstance(dimension, By) else name


def _parameters(own: Mapping[str, str], space: Space) -> dict[str, Any] | None:
    """A plan's own values as Optuna's parameters; None if one of them lies outside the space."""
    made: dict[str, Any] = {}
    for name, dimension in space.items():
        inner = dimension.cases.get(own[dimension.setting]) if isinstance(dimension, By) else dimension
        if inner is None:
            continue
        if isinstance(inner, Choice):
            if own[name] not in inner.values:
                return None
            made[parameter(name, dimension, own)] = own[name]
            continue
        value = float(own[name])
        if not float(inner.text(inner.low)) <= value <= float(inner.text(inner.high)):
            return None
        value = min(max(value, inner.low), inner.high)
        made[parameter(name, dimension, own)] = int(value) if inner.whole else value
    return made


def _fault_of_the_recipe(error: Exception) -> str | None:
    """Why a trial failed, where another recipe may not; None where the search itself cannot go on."""
    if isinstance(error, PlanError | LostJobError):
        return str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return "out of memory"
    return None
