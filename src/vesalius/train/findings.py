"""What a search found: the plan, a table of the trials, and a page that says how far to trust it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vesalius.io.atomic import write_text
from vesalius.plan import Plan
from vesalius.report.search import search_course, shares
from vesalius.report.story import Section, story_html
from vesalius.report.tables import safe_cell
from vesalius.train.search import ENOUGH, Trial
from vesalius.train.space import changes, own_values

_SHORT = 0.2  # of the final training: below it the page warns


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Args:
        plan: The best recipe, with the budget of the plan that was tuned.
        before: The plan that was tuned.
        trials: All that ended.
        best: The one whose recipe it is.
        mattered: For each setting its share in how different the trials came out; empty where there were too few.
        method: How that was reckoned.
        watched: How many cases the Dice is the mean of.
        length: Of a trial, relative to the training that the plan is for.
    """

    plan: Plan
    before: Plan
    trials: tuple[Trial, ...]
    best: Trial
    mattered: Mapping[str, float]
    method: str
    watched: int
    length: float

    @property
    def cases(self) -> str:
        """What the Dice was measured on."""
        return f"{self.watched} watched case{'' if self.watched == 1 else 's'}"

    @property
    def baseline(self) -> Trial | None:
        """The trial of the plan as it was; None where that lies outside the space, or did not come to its end."""
        own = own_values(self.before, self.best.values)
        same = (one for one in self.trials if one.state == "done" and one.values.items() <= own.items())
        return next(same, None)


def write_trials(trials: Sequence[Trial], path: Path) -> None:
    """Write a row for each trial: how it ended, its Dice, its time, and what was varied.

    Args:
        trials: Those that ended.
        path: The CSV file.

    Raises:
        VesaliusError: The file cannot be written.
    """
    names = _names(trials)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["trial", "state", "dice", "seconds", "steps", *names, "why"])
    for trial in trials:
        dice = "" if math.isnan(trial.dice) else f"{trial.dice:.5f}"
        values = [safe_cell(trial.values.get(name, "")) for name in names]
        table.writerow([trial.number + 1, trial.state, dice, trial.seconds, trial.steps, *values, safe_cell(trial.why)])
    write_text(path, text.getvalue())


def tuned_html(tuned: Tuned, path: Path, *, provenance: Mapping[str, str]) -> None:
    """Write the page of a search: what was found, what mattered, all trials, and how to read it.

    Args:
        tuned: What was found.
        path: The HTML file.
        provenance: Lines of the colophon.

    Raises:
        VesaliusError: The file cannot be written.
    """
    done = sum(trial.state == "done" for trial in tuned.trials)
    lead = f"{len(tuned.trials)} trials, {done} of which came to their end. {_gain(tuned)}"
    course = search_course([t.dice for t in tuned.trials], [t.state == "done" for t in tuned.trials])
    sections = [
        Section("What was found", *_found(tuned)),
        Section("How far to trust it", texts=_warnings(tuned)),
        _mattered(tuned, done),
        Section("The search", pictures={"The Dice of each trial; of those that were given up, the last.": course}),
        Section("All trials", table=_table(tuned.trials)),
    ]
    story_html(sections, path, title="Tuning", lead=lead, provenance=provenance)


def _gain(tuned: Tuned) -> str:
    found = f"The best Dice on {tuned.cases} is {tuned.best.dice:.3f}"
    first = tuned.baseline
    if first is None:
        return f"{found}; the plan as it was is not among the trials."
    if first == tuned.best:
        return f"{found}, and it is that of the plan as it was: nothing better was found."
    return f"{found}; the plan as it was has {first.dice:.3f}."


def _found(tuned: Tuned) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    changed = changes(tuned.before, tuned.plan, tuned.best.values)
    if not changed:
        return ["The plan stays as it was."], ()
    rows = [["setting", "it was", "it is"], *([name, was, now] for name, (was, now) in changed.items())]
    return ["plan.json holds the plan with these settings; all others are as they were."], rows


def _mattered(tuned: Tuned, done: int) -> Section:
    heading = "What mattered"
    if not tuned.mattered:
        return Section(heading, [f"{done} trials came to their end, too few to say; it takes {ENOUGH}."])
    texts = [
        f"The share of each setting in how different the trials came out ({tuned.method}, on the {done} that came to "
        "their end). A setting that depends on another one is judged among the trials that have it.",
    ]
    if done < 5 * len(tuned.mattered):
        texts.append(f"{done} trials for {len(tuned.mattered)} settings: take it for a hint.")
    return Section(heading, texts, pictures={"Shares; a small one may be chance.": shares(tuned.mattered)})


def _table(trials: Sequence[Trial]) -> list[list[str]]:
    names = [name for name in _names(trials) if len({trial.values.get(name) for trial in trials}) > 1]
    rows = [["trial", "state", "Dice", "s", *(name.rpartition(".")[2].replace("_", " ") for name in names)]]
    for trial in sorted(trials, key=lambda one: (one.state != "done", -one.dice if one.course else 1.0)):
        dice = "–" if math.isnan(trial.dice) else f"{trial.dice:.3f}"
        state = f"{trial.state}: {trial.why}" if trial.why else trial.state
        values = [trial.values.get(name, "–") for name in names]
        rows.append([str(trial.number + 1), state, dice, f"{trial.seconds:.0f}", *values])
    return rows


def _warnings(tuned: Tuned) -> list[str]:
    texts = [
        f"The Dice is that on {tuned.cases}, at which the search looked again and again, and the best of "
        "many is best partly by chance: the same recipe will have a lower Dice on new cases. Differences of a "
        "hundredth say little here. For a figure that can be quoted, train the plan with --folds, or score the bundle "
        "on cases that had no part in this.",
        "All trials started from the same seed and learnt from the same cases, so that the recipe is what tells them "
        "apart. Trials that were given up were below the median of the others at the same point.",
    ]
    if tuned.length < _SHORT:
        texts.append(
            f"A trial was {tuned.length:.0%} of the training that the plan is for. What learns fastest in so short a "
            "time, a high learning rate for one, is not always best in the end: give the search more time, or fewer "
            "trials."
        )
    return texts


def _names(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(name for trial in trials for name in trial.values))
