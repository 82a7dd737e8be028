"""Tuning: short trainings search the recipe, and the best one becomes the plan."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from vesalius.errors import DataError, PlanError
from vesalius.image import Dataset
from vesalius.io.atomic import make_folder, write_text
from vesalius.jobs import joined, run_jobs, share_of
from vesalius.plan import Budget, Plan, plan_from_json, plan_to_json
from vesalius.train.cache import build_cache
from vesalius.train.findings import Tuned, tuned_html, write_trials
from vesalius.train.fit import WATCHED, Workshop, choose_held_out
from vesalius.train.run import WORK, Status
from vesalius.train.search import Search, kept_record, open_study
from vesalius.train.space import Space, changes, check_space, default_space, from_plain, own_values, plain, varied
from vesalius.train.trial import TrialJob, TrialResult, quiet, run_trial, trial_plan

_MOST_WATCHED = 0.25  # of the patients
TRIALS = 20
_SHARE = 0.97  # of the budget for the trials; the rest is for beginning and reporting


def tune(
    dataset: Dataset,
    plan: Plan,
    out: Path | str,
    *,
    trials: int | None = None,
    budget: Budget | None = None,
    space: Space | None = None,
    device: str = "auto",
    seed: int = 0,
    validation: Sequence[str] | None = None,
    resume: bool = False,
    spent_s: float = 0.0,
    workshop: Workshop | None = None,
    cluster: str | None = None,
    on_status: Callable[[Status], None] | None = None,
) -> Tuned:
    """Search for the recipe with which a plan comes out best on held-out cases.

    The first trial is the plan as it is, so that every gain is one over it. All trials start from the same seed, learn
    from the same cases, have the same length, and are compared by the Dice on the same watched cases. One that is below
    the median of the others at the same point is given up; with a budget of time, further trials take what it leaves.

    ``out`` gets ``plan.json`` (for `fit`), ``trials.csv`` and ``report.html``. What stands there at any moment is
    enough to go on: a trial that was interrupted is begun anew. ``tune.db`` is Optuna's and can be looked at with its
    tools.

    Args:
        dataset: Cases with references; those without are not used.
        plan: What is tuned, and what its final training may take.
        out: Folder of the search.
        trials: How many of full length there are to be; 20 when left out.
        budget: Of the search: a time for all trials together, or the steps of each. That of the plan when left out.
        space: What is varied; `default_space` when left out.
        device: Where to train.
        seed: Of everything random.
        validation: Cases to watch. By default four, of a quarter of the patients at most, and the first of those that
            `fit` would hold out with the same seed; the others that it would hold out stay unseen.
        resume: Go on with the search in ``out``, whose trials, budget and space are those that are left out here;
            there may be more trials or time. Where there is no search yet, start.
        spent_s: Seconds of the budget that are gone already.
        workshop: What may be used of the machine.
        cluster: Where the trials are trained; see `vesalius.jobs.run_jobs`.
        on_status: Called about once a second; not from a cluster.

    Returns:
        The best plan, and what led to it.

    Raises:
        DataError: There are no cases to watch, or a case cannot be read.
        PlanError: The space or a budget does not suit the plan, or no trial succeeded.
        BundleError: ``out`` holds something else.
        MissingDependencyError: Optuna is not installed.

    Source: Bergstra et al. 2011 (the tree-structured Parzen estimator), as in Optuna (Akiba et al. 2019,
    arXiv:1907.10902); pruning after Golovin et al. 2017, doi:10.1145/3097983.3098043 (the median rule).
    """
    place, shop = Path(out), workshop or Workshop()
    kept = kept_search(place) if resume else None
    allowed = budget or (kept.budget if kept else plan.budget)
    wanted = trials if trials is not None else (kept.trials if kept else TRIALS)
    varying = space or (kept.space if kept else default_space(plan))
    _check(plan, varying, wanted)
    began = time.monotonic()
    learning, watched = _split(dataset.with_reference(), plan, seed, validation)
    identity = {"plan": json.loads(plan_to_json(plan)), "seed": seed, "watched": watched, "space": plain(varying)}
    with quiet(), open_study(place, identity, resume=resume) as study, joined(cluster):
        search = Search(study, varying, seed)
        search.begin(own_values(plan, varying), {"trials": wanted, "budget": asdict(allowed)})
        spent_s += search.spent_s
        cache = shop.cache or make_folder(place / WORK / "cases")

        def told(done: int, total: int) -> None:
            if on_status is not None:
                on_status(Status("prepare", done / total, math.nan))

        # Prepared before the first trial, whose time it would take otherwise.
        build_cache(learning, plan, cache, limit_gib=shop.cache_gib, progress=told)
        share = share_of(cluster, wanted, device=device)

        def gone_s() -> float:
            return spent_s + time.monotonic() - began

        def length_s() -> float:
            assert allowed.time_s is not None
            share_s = (_SHARE * allowed.time_s - gone_s()) / math.ceil(wanted / share.slots)
            return max(1.0, share_s)  # too little is refused by `fit`, which says how much it takes

        time_s = None if allowed.time_s is None else search.length_s(length_s)

        def jobs() -> Iterator[TrialJob]:
            while search.begun < wanted if time_s is None else gone_s() + time_s <= (allowed.time_s or 0.0):
                number, values = search.ask()
                yield TrialJob(
                    number=number,
                    plan=varied(trial_plan(plan, steps=allowed.steps, time_s=time_s), values),
                    dataset=learning,
                    watched=watched,
                    out=place / WORK / "trials" / str(number),
                    seed=seed,
                    device=device,
                    workshop=replace(shop, cache=cache),
                    known=search.known(),
                )

        def here(job: TrialJob) -> TrialResult:
            def tell(status: Status) -> None:
                if on_status is not None:
                    on_status(replace(status, part=f"trial {job.number + 1}"))

            return run_trial(job, tell)

        for outcome in run_jobs(here if cluster is None else run_trial, jobs(), cluster=cluster, share=share):
            search.take(outcome)
            search.spend(gone_s())
        tuned = _found(
            search, plan, len(watched), _relative(trial_plan(plan, steps=allowed.steps, time_s=time_s), plan)
        )
    write_text(place / "plan.json", plan_to_json(tuned.plan) + "\n")
    write_trials(tuned.trials, place / "trials.csv")
    colophon = {"vesalius": version("vesalius"), "optuna": version("optuna"), "seed": str(seed)}
    tuned_html(tuned, place / "report.html", provenance=colophon)
    shutil.rmtree(place / WORK, ignore_errors=True)
    return tuned


@dataclass(frozen=True)
class Kept:
    """What a search was begun with.

    Args:
        plan: That is tuned.
        space: What is varied.
        trials: How many of full length there are to be.
        budget: Of the search.
    """

    plan: Plan
    space: Space
    trials: int
    budget: Budget


def kept_search(out: Path) -> Kept | None:
    """The search that was begun in a folder; None where none was.

    Args:
        out: Folder of the search.

    Raises:
        BundleError: Its record is damaged.
        MissingDependencyError: Optuna is not installed.
    """
    with quiet():
        kept = kept_record(out)
    if kept is None:
        return None
    identity, allowed = kept
    return Kept(
        plan_from_json(json.dumps(identity["plan"])),
        from_plain(identity["space"]),
        allowed["trials"],
        Budget(**allowed["budget"]),
    )


def _check(plan: Plan, space: Space, trials: int) -> None:
    if plan.coarse_labels:
        raise PlanError("the fine stage of a cascade cannot be tuned: tune a plan of the configuration '3d'")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise PlanError("torchrun shares one training among processes; give trials to several with a cluster")
    if trials < 1:
        raise PlanError(f"there must be at least one trial, not {trials}")
    check_space(space, plan)


def _split(
    dataset: Dataset, plan: Plan, seed: int, validation: Sequence[str] | None
) -> tuple[Dataset, tuple[str, ...]]:
    """The cases that trials see, and those of them that are watched."""
    share = max(plan.validation_fraction, min(_MOST_WATCHED, WATCHED / max(1, len(dataset))))
    held_out = choose_held_out(dataset, replace(plan, validation_fraction=share), seed, validation)
    watched = held_out if validation is not None else held_out[:WATCHED]
    if not watched:
        raise DataError("trials are compared on held-out cases, and there are none: it takes two patients or more")
    return dataset.select([i for i in dataset.ids if i in watched or i not in held_out]), watched


def _relative(trial: Plan, whole: Plan) -> float:
    """The length of a trial, relative to the training that the plan is for."""
    one, other = (plan.budget.time_s or plan.budget.steps or 1 for plan in (trial, whole))
    return one / other


def _found(search: Search, plan: Plan, watched: int, length: float) -> Tuned:
    trials = search.trials()
    done = [trial for trial in trials if trial.state == "done"]
    if not done:
        why = next((trial.why for trial in reversed(trials) if trial.why), "the budget holds none")
        raise PlanError(f"no trial came to its end: {why}")
    best = max(done, key=lambda trial: trial.dice)
    made = varied(plan, best.values)
    changed = changes(plan, made, search.space)
    why = f"found by tuning: Dice {best.dice:.3f} on the watched cases, the best of {len(trials)} trials"
    reasons = tuple(
        replace(reason, why=f"{why}; it was {changed[reason.field][0]}") if reason.field in changed else reason
        for reason in made.reasons
    )
    mattered, method = search.mattered()
    return Tuned(replace(made, reasons=reasons), plan, trials, best, mattered, method, watched, length)
