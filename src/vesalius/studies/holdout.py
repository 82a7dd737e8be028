"""Train inside a study's budget, so that enough cases can be segmented by a network that has not seen them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from vesalius.bundle import Bundle, Card
from vesalius.errors import DataError
from vesalius.image import Dataset
from vesalius.plan import Plan, fingerprint, make_plan
from vesalius.predict import Segmenter, load_segmenter
from vesalius.studies.study import Setting, fit_within
from vesalius.train import cross_validate, kept_plans

_FOLD_S = 300.0  # with less time than this for each fold, one network of all the time is better than several
_MOST_FOLDS = 5
_SHARE = 1 / 3  # of the patients that are held out where there are no folds: a study is about its figures
_MOST_HELD_OUT = 40  # cases: enough to judge by


@dataclass(frozen=True)
class Trained:
    """A segmenter, and which of its networks has not seen which case.

    Args:
        folder: Of the bundle.
        unseen: Number of the network (member) by case; cases that all networks have learnt from are not there.
    """

    folder: Path
    unseen: Mapping[str, int]

    def segmenters(self, *, device: str = "auto") -> Iterator[tuple[Segmenter, tuple[str, ...]]]:
        """Each network by itself, with the cases that it has not seen."""
        bundle = Bundle.load(self.folder)
        for number in sorted(set(self.unseen.values())):
            cases = tuple(case for case, member in self.unseen.items() if member == number)
            yield load_segmenter(bundle, device=device, members=(number,), folder=self.folder), cases


def folds_for(patients: int, budget_s: float) -> int:
    """How many folds a budget allows: five at most, each of five minutes or more; 1 stands for a single split.

    Example:
        >>> folds_for(3, 1800.0), folds_for(100, 1800.0), folds_for(10, 90.0)
        (3, 5, 1)
    """
    folds = min(patients, _MOST_FOLDS, int(budget_s / _FOLD_S))
    return max(1, folds)


def hold_out(dataset: Dataset) -> tuple[str, ...]:
    """A third of the patients, those of one fold of three, and at most 40 cases.

    Raises:
        DataError: There are fewer than two patients.
    """
    if len(dataset.patients) < 2:
        raise DataError("a study needs at least two patients with references: one to learn from, one to be scored on")
    parts = dataset.folds(min(round(1 / _SHARE), len(dataset.patients)))
    return parts[0][:_MOST_HELD_OUT]


def train(
    dataset: Dataset,
    folder: Path,
    setting: Setting,
    *,
    share: float = 1.0,
    card: Card,
    amend: Callable[[Plan], Plan] = lambda plan: plan,
    folds: int | None = None,
) -> Trained:
    """Plan and train a segmenter, with folds where the budget allows it, else with a third of the patients held out.

    Args:
        dataset: Cases with references.
        folder: Of the bundle.
        setting: Device, seed, and whether to go on with what stands there.
        share: Of the time, 0 to 1; for all of it, planning included.
        card: Words for the bundle.
        amend: Changes what was planned.
        folds: How many; what the time allows when left out, 1 for a single split.

    Returns:
        Where the bundle is, and what its networks have not seen.

    Raises:
        DataError: There are fewer than two patients.
        PlanError: The budget is too small; the message says the least that would do.
        BundleError: The folder holds something else.
    """
    began = time.monotonic()
    held_out = hold_out(dataset)  # also says so where there is but one patient
    kept = kept_plans(folder) if setting.resume else None
    time_s = setting.budget_s * share if setting.steps is None else 0.0
    number = folds_for(len(dataset.patients), time_s) if folds is None else folds
    plan = kept[0] if kept else amend(make_plan(fingerprint(dataset), setting.budget(share / number)))
    spent_s = 0.0 if kept else time.monotonic() - began
    if number > 1:
        parts = dataset.folds(number)
        cross_validate(
            dataset,
            [plan],
            folder,
            folds=number,
            device=setting.device,
            seed=setting.seed,
            card=card,
            resume=setting.resume,
            spent_s=spent_s,
            on_status=setting.on_status,
        )
        return Trained(folder, {case: member for member, part in enumerate(parts) for case in part})
    fit_within(setting, dataset, plan, folder, card=card, validation=held_out, spent_s=spent_s)
    return Trained(folder, dict.fromkeys(held_out, 0))
