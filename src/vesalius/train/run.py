"""A run's folder, clock and records: what `fit` leaves on disk while it works, and how it is taken up again."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vesalius.bundle import Bundle
from vesalius.errors import BundleError, VesaliusError
from vesalius.io.atomic import make_folder, write_text
from vesalius.plan import Plan, plan_from_json, plan_to_json
from vesalius.train.history import History, Moment, Tracker

WORK = ".fit"
"""Folder of what a run needs to go on, inside the bundle's."""
CASCADE, FOLDS, COARSE = "cascade.json", "folds.json", "coarse"
"""Inside it: the records of a cascade and of a cross-validation, and the folder of a coarse stage."""
_RUN, _CHECKPOINT, _CASES, _WEIGHTS = "run.json", "checkpoint.pt", "cases", "weights.safetensors"


@dataclass(frozen=True)
class Status:
    """What `fit` is doing, for a progress bar.

    Args:
        phase: ``"prepare"``, ``"train"`` or ``"validate"``.
        done: Share of the phase, 0 to 1.
        left_s: Estimated seconds to the finished bundle; NaN where unknown.
        moment: The latest moment of training.
        part: Which of several trainings, for example ``"fold 2 of 5"``; empty for a single one.
        note: What happened just now that a person should know; told once.
    """

    phase: str
    done: float
    left_s: float
    moment: Moment | None = None
    part: str = ""
    note: str = ""


@dataclass(frozen=True)
class Identity:
    """What a run must have in common with the one that goes on with it, budget apart.

    Args:
        plan: What is done.
        seed: Of everything random.
        number_format: Of the convolutions, measured once and kept: another one gives other weights.
        held_out: The cases that are not learnt from.
    """

    plan: Plan
    seed: int
    number_format: str
    held_out: tuple[str, ...]

    def to_json(self) -> str:
        """As `kept_identity` reads it."""
        return json.dumps({**self.__dict__, "plan": json.loads(plan_to_json(self.plan))})

    def may_follow(self, earlier: Identity) -> bool:
        """Whether this run may go on where an earlier one stopped."""
        return earlier == replace(self, plan=replace(self.plan, budget=earlier.plan.budget))


def kept_identity(out: Path) -> Identity | None:
    """The run that stands in a folder, interrupted or finished; None if there is none.

    Raises:
        BundleError: Its record is damaged.
    """
    kept = out / WORK / _RUN
    try:
        raw = json.loads(kept.read_text(encoding="utf-8"))
        plan = plan_from_json(json.dumps(raw.pop("plan")))
        return Identity(plan=plan, **{**raw, "held_out": tuple(raw["held_out"])})
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise BundleError(f"{out.name}: the record of the run is damaged ({type(error).__name__})") from None


class Run:
    """A run's folder and clock.

    Args:
        out: The bundle's folder.
        budget_s: Seconds from start to end; None without a limit.
        spent_s: Seconds of the budget that were gone before.
        on_status: Told about once a second.
        writes: Whether this process writes; the others of a team only read.
    """

    def __init__(
        self,
        out: Path,
        *,
        budget_s: float | None,
        spent_s: float,
        on_status: Callable[[Status], None] | None,
        writes: bool = True,
    ) -> None:
        self.out = out
        self.work = out / WORK
        self.checkpoint = self.work / _CHECKPOINT
        self.cases = self.work / _CASES
        self.history: History | None = None
        self.tracker: Tracker | None = None
        self._budget_s = budget_s
        self._spent_s = spent_s
        self._began = time.monotonic()
        self._on_status = on_status
        self._told = -math.inf
        self._latest = Status("prepare", 0.0, math.nan)
        self._made_folder = self._taken = False
        self._writes = writes

    @property
    def spent_s(self) -> float:
        """Seconds of the budget that are gone."""
        return self._spent_s + time.monotonic() - self._began

    @property
    def left_s(self) -> float:
        """Seconds of the budget that are left; infinite without a limit."""
        return math.inf if self._budget_s is None else self._budget_s - self.spent_s

    def had_spent(self, seconds: float) -> None:
        """Count what earlier sessions spent."""
        self._spent_s += seconds

    def tell(self, status: Status, *, now: bool = False) -> None:
        """Pass a status on, about once a second."""
        self._latest = status
        if self._on_status is not None and (now or time.monotonic() - self._told >= 1.0):
            self._told = time.monotonic()
            self._on_status(status)

    def note(self, text: str) -> None:
        """Pass on what a person should know, at once."""
        self.tell(replace(self._latest, note=text), now=True)
        self._latest = replace(self._latest, note="")

    def open(self, identity: Identity, *, resume: bool) -> bool:
        """Take the folder. Nothing is written before it is clear that it may be.

        Args:
            identity: Of this run.
            resume: Go on with what stands there; where nothing does, start.

        Returns:
            Whether there is something to go on with.

        Raises:
            BundleError: The folder holds something else, or a run with another plan or seed.
        """
        earlier = kept_identity(self.out)
        if earlier is not None and not resume:
            raise BundleError(f"{self.out.name}: a run stands here; go on with it (resume) or name a new folder")
        if earlier is None:
            # A run that was killed before its record stood leaves nothing but temporary files.
            found = [] if not self.out.is_dir() else [p for p in self.out.iterdir() if not is_left_over(p)]
            if found:
                hint = ": there is no run to resume here" if resume else "; name a new one"
                raise BundleError(f"{self.out.name}: the folder is not empty{hint}")
            if self._writes:
                self._made_folder, self._taken = not self.out.exists(), True
                make_folder(make_folder(self.out) / WORK)
                write_text(self.work / _RUN, identity.to_json())
            return False
        if not identity.may_follow(earlier):
            raise BundleError(
                f"{self.out.name}: the run that stands here has another plan, seed or held-out cases; "
                "resume it with its own"
            )
        if self._writes:
            for left in (*self.out.glob(".part-*"), *self.work.glob(".part-*")):
                left.unlink(missing_ok=True)
        return True

    def record(self, identity: Identity) -> None:
        """Write down that the run has another budget from now on."""
        if self._writes:
            write_text(self.work / _RUN, identity.to_json())

    def abandon(self, *, interrupted: bool) -> None:
        """Let go of the files; after a failure, leave nothing from which nobody could go on."""
        if self.history is not None:
            with contextlib.suppress(VesaliusError):
                self.history.close()
        if self.tracker is not None:
            self.tracker.stop(interrupted=interrupted)
        if interrupted or not self._taken or not self.out.is_dir():
            return
        if not ((self.out / "bundle.json").exists() or _has_learned(self.history)):
            # In a cascade, the coarse stage stands there already and was dear.
            ours = [path for path in self.work.glob("*") if path.name not in (COARSE, CASCADE)]
            for path in (*ours, *(self.out / name for name in ("events", "history.csv", "curves.png", _WEIGHTS))):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                self.work.rmdir()
            if self._made_folder:
                with contextlib.suppress(OSError):  # somebody else put something there
                    self.out.rmdir()

    def close(self, bundle: Bundle) -> None:
        """Write the records and remove the prepared cases; the checkpoint stays, to go on from with a bigger budget.

        Args:
            bundle: As it was written.
        """
        if self.history is not None:
            self.history.write()
            self.history.close()
        if self.tracker is not None:
            self.tracker.finish(bundle, [self.out / name for name in ("history.csv", "curves.png")])
        if self._writes:
            shutil.rmtree(self.cases, ignore_errors=True)


def take_place(place: Path, record: str, identity: Mapping[str, Any], *, resume: bool, what: str) -> Path:
    """Take the folder of several trainings that end in one bundle, or go on with those that stand there.

    Args:
        place: The bundle's folder.
        record: Name of the file that says what is done there: `CASCADE` or `FOLDS`.
        identity: What the trainings must have in common with those that go on with them; JSON can hold it.
        resume: Whether to go on with what stands there.
        what: Stands there, for messages: ``"folds stand"``.

    Returns:
        The folder for what the trainings need, inside the bundle's.

    Raises:
        BundleError: The folder holds something else, or was taken for other plans.
    """
    work = place / WORK
    text = json.dumps(identity)
    if (work / record).is_file():
        if not resume:
            raise BundleError(f"{place.name}: {what} here; go on with that (resume) or name a new folder")
        if (work / record).read_text(encoding="utf-8") != text:
            raise BundleError(f"{place.name}: {what} here with other plans; resume with the plans it began with")
    elif place.is_dir() and not all(is_left_over(found) for found in place.iterdir()):
        raise BundleError(f"{place.name}: the folder is not empty; name a new one")
    else:
        write_text(make_folder(work) / record, text)
    return work


def is_left_over(path: Path) -> bool:
    """Whether something in a bundle's folder is in nobody's way: temporary files, and what a cascade has there."""
    if path.name == WORK and path.is_dir():
        return all(is_left_over(inner) for inner in path.iterdir())
    return path.name.startswith(".part-") or path.name in (COARSE, CASCADE)


def _has_learned(history: History | None) -> bool:
    return history is not None and any(moment.step for moment in history.moments)


def kept_plans(out: Path) -> tuple[Plan, ...] | None:
    """The plans of what was begun in a folder: one, those of a cross-validation, or the pair of a cascade.

    Args:
        out: The folder of the bundle.

    Returns:
        The plans; None where nothing was begun.

    Raises:
        BundleError: The record is damaged.
    """
    for name in (CASCADE, FOLDS):
        record = out / WORK / name
        if record.is_file():
            try:
                raw = json.loads(record.read_text(encoding="utf-8"))["plans"]
                return tuple(plan_from_json(json.dumps(plan)) for plan in raw)
            except (ValueError, KeyError, TypeError, OSError) as error:
                raise BundleError(f"{out.name}: the record of the run is damaged ({type(error).__name__})") from None
    kept = kept_identity(out)
    return None if kept is None else (kept.plan,)
