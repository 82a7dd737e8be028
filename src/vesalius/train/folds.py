"""Cross-validation: each case is scored by a network that has not seen it, and the networks are joined."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Literal

from vesalius.bundle import Bundle, Card
from vesalius.bundle.lineage import case_names
from vesalius.errors import PlanError
from vesalius.image import Dataset, LabelMap, Labels
from vesalius.io import read_labels, write
from vesalius.io.atomic import make_folder
from vesalius.jobs import joined, run_jobs, share_of
from vesalius.metrics import Scores
from vesalius.plan import Plan, plan_to_json
from vesalius.predict import load_segmenter, segment
from vesalius.train.average import average_members
from vesalius.train.clean_up import choose_clean_up
from vesalius.train.coarse import CoarseStage
from vesalius.train.deliver import prediction_path
from vesalius.train.distributed import be_alone
from vesalius.train.fit import Workshop, fit
from vesalius.train.run import FOLDS, Status, kept_identity, take_place
from vesalius.train.score import mean_scores, score
from vesalius.train.transfer import Start
from vesalius.transform import Postprocessing, postprocess, relabel

Combine = Literal["ensemble", "average"]

_GAIN = 1e-3  # in Dice: for less, two configurations are not worth twice the time of one
_SHARE = 0.97  # of the budget for the folds; the rest is for joining them
_PAIR_SHARE = 0.08  # of the budget for trying each pair: as much as a fold sets aside for validating


@dataclass(frozen=True)
class Folds:
    """What cross-validation gives.

    Args:
        bundle: All networks joined, as written.
        predictions: Folder with the out-of-fold prediction of each case, before any clean-up; see `out_of_fold`.
        scores: Of each case, by the network that had not seen it, after the clean-up that was chosen.
    """

    bundle: Bundle
    predictions: Path
    scores: tuple[Scores, ...]


def cross_validate(
    dataset: Dataset,
    plans: Sequence[Plan],
    out: Path | str,
    *,
    folds: int = 5,
    combine: Combine = "ensemble",
    device: str = "auto",
    seed: int = 0,
    start: Start | None = None,
    coarse: CoarseStage | None = None,
    card: Card | None = None,
    resume: bool = False,
    spent_s: float = 0.0,
    workshop: Workshop | None = None,
    cluster: str | None = None,
    on_status: Callable[[Status], None] | None = None,
) -> Folds:
    """Train a network on all folds but one, for each fold in turn, and join them to one segmenter.

    Patients are dealt into folds as nnU-Net deals cases. What is scored, chosen and cleaned up rests on out-of-fold
    predictions alone. Of several plans (configurations) the best one is kept, or the best pair where it is better by
    0.001 Dice or more. The budget of a plan is that of one fold; what a fold leaves, the next ones may take.

    Args:
        dataset: Cases with references; those without are not used.
        plans: One or more, for the same labels and channels, with the same budget.
        out: The bundle's folder.
        folds: 2 to the number of patients.
        combine: ``"ensemble"`` keeps all networks and averages their logits, which takes ``folds`` times as long as
            one. ``"average"`` keeps the mean of their weights, which is as fast as one: see `average_members` for when
            that is possible.
        device: Where to train.
        seed: Of everything random but the folds, which are the same for all seeds.
        start: A segmenter to start from; see `fit`.
        coarse: The first stage of a cascade, with its out-of-fold predictions.
        card: Words for the bundle's card.
        resume: Go on with what stands in ``out``.
        spent_s: Seconds of the budget that are gone already.
        workshop: What may be used of the machine.
        cluster: Where the folds are trained; see `run_jobs`. None trains them here, one after the other.
        on_status: Called about once a second; not from a cluster.

    Returns:
        The bundle, and what was found out of fold.

    Raises:
        DataError: There are fewer patients than folds, or a case cannot be read.
        PlanError: A budget is too small, the plans do not go together, the weights cannot be averaged, or ``torchrun``
            started several processes.
        BundleError: ``out`` holds something else.
    """
    be_alone("folds and cascades")
    place = Path(out)
    usable = dataset.with_reference()
    splits = usable.folds(folds)
    _check(plans)
    shop = workshop or Workshop()
    identity = {"folds": folds, "seed": seed, "plans": [json.loads(plan_to_json(plan)) for plan in plans]}
    work = take_place(place, FOLDS, identity, resume=resume, what="folds stand")
    jobs = [
        _Job(
            dataset=usable,
            plan=plan,
            out=_fold_folder(work, plan, number),
            held_out=split,
            seed=seed,
            device=device,
            start=start,
            coarse=coarse,
            workshop=replace(shop, cache=shop.cache or work / "cases"),
            part=f"{plan.configuration}, fold {number + 1} of {folds}",
        )
        for plan in plans
        for number, split in enumerate(splits)
    ]
    _train(jobs, spent_s, cluster, on_status)
    made: dict[str, list[Bundle]] = {
        plan.configuration: [Bundle.load(_fold_folder(work, plan, n)) for n in range(folds)] for plan in plans
    }
    chosen, predictions, words = _choose(usable, splits, made, work, device)
    first = made[chosen[0]][0].plan
    assert usable.labels is not None
    clean_up = choose_clean_up(
        lambda: ((found, reference) for _, found, reference in out_of_fold(usable, predictions)),
        usable.labels,
        calibrated=first.calibrated,
        all_labels=len(usable.labels.places_in(first.labels)) == len(first.labels),
    )
    scores = tuple(
        score(postprocess(found, clean_up), reference, case=case)
        for case, found, reference in out_of_fold(usable, predictions)
    )
    joined = [_join(made[name], combine, usable, device) for name in chosen]
    bundle = replace(
        joined[0],
        partners=tuple(joined[1:]),
        postprocessing=_named_by(clean_up, usable.labels, first.labels),
        card=_card(card or Card(name=place.name), scores, usable.labels, made, chosen, combine, len(usable)),
        provenance={
            **made[chosen[0]][0].provenance,
            "folds": [case_names(usable, split) for split in splits],
            "fold_scores": {name: [dict(one.card.scores) for one in members] for name, members in made.items()},
            "choice": words,
            "combined": combine,
            "held_out": case_names(usable, usable.ids),
            "scored": len(scores),
            "training_cases": len(usable),
        },
    )
    bundle.save(place)
    shutil.rmtree(work / "cases", ignore_errors=True)
    return Folds(Bundle.load(place), predictions, scores)


def out_of_fold(dataset: Dataset, predictions: Path) -> Iterator[tuple[str, LabelMap, LabelMap]]:
    """The cases that were predicted out of fold.

    Args:
        dataset: The cases; those whose prediction did not fit the budget are passed over.
        predictions: The folder where `fit` put them.

    Returns:
        For each case its name, the prediction in the values of the reference, and the reference.
    """
    for record in dataset.records:
        path = prediction_path(predictions, record.id)
        if path.is_file():
            (case,) = dataset.select([record.id])
            assert case.reference is not None
            yield case.id, relabel(read_labels(path), case.reference.labels), case.reference


@dataclass(frozen=True)
class _Job:
    """The training of one fold; it can travel to another machine."""

    dataset: Dataset
    plan: Plan
    out: Path
    held_out: tuple[str, ...]
    seed: int
    device: str
    start: Start | None
    coarse: CoarseStage | None
    workshop: Workshop
    part: str


def _train_fold(job: _Job, on_status: Callable[[Status], None] | None = None) -> None:
    kept = kept_identity(job.out)
    fit(
        job.dataset,
        kept.plan if kept else job.plan,
        job.out,
        device=job.device,
        seed=job.seed,
        validation=job.held_out,
        start=job.start,
        coarse=job.coarse,
        resume=True,
        workshop=job.workshop,
        predictions=job.out.parent / "predictions",
        on_status=on_status,
    )


def _train(
    jobs: Sequence[_Job],
    spent_s: float,
    cluster: str | None,
    on_status: Callable[[Status], None] | None,
) -> None:
    """Train every fold inside its share of the time; a fold that stands already takes none."""
    found = [kept_identity(job.out) for job in jobs]
    kept = [None if one is None else one.plan for one in found]
    waiting = sum(plan is None for plan in kept)
    total_s = sum(job.plan.budget.time_s or 0.0 for job in jobs)
    configurations = len({job.plan.configuration for job in jobs})
    share = _SHARE - (_PAIR_SHARE if configurations > 1 else 0)
    left_s = total_s * share - spent_s - sum(plan.budget.time_s or 0.0 for plan in kept if plan is not None)

    def with_share(job: _Job, rounds: int) -> _Job:
        if job.plan.budget.time_s is None:
            return job
        share_s = max(1.0, left_s / max(1, rounds))  # too little is refused by `fit`, which says how much it takes
        return replace(job, plan=replace(job.plan, budget=replace(job.plan.budget, time_s=share_s)))

    if cluster is not None:
        with joined(cluster):
            each = share_of(cluster, max(1, waiting), device=jobs[0].device)
            rounds = math.ceil(waiting / each.slots)
            ready = [with_share(job, rounds) if plan is None else job for job, plan in zip(jobs, kept, strict=True)]
            for outcome in run_jobs(_train_fold, ready, cluster=cluster, share=each):
                outcome.unwrap()
        return
    for job, plan in zip(jobs, kept, strict=True):

        def tell(status: Status, part: str = job.part) -> None:
            if on_status is not None:
                on_status(replace(status, part=part))

        began = time.monotonic()
        _train_fold(with_share(job, waiting) if plan is None else job, tell)
        if plan is None:
            left_s -= time.monotonic() - began
            waiting -= 1


def _check(plans: Sequence[Plan]) -> None:
    if not plans:
        raise PlanError("cross-validation needs at least one plan")
    for name in ("ndim", "labels", "channels", "outputs", "budget"):
        if any(getattr(plan, name) != getattr(plans[0], name) for plan in plans):
            raise PlanError(f"the plans of one cross-validation must have the same {name}")
    if len({plan.configuration for plan in plans}) != len(plans):
        raise PlanError("the plans of one cross-validation must be of different configurations")


def _fold_folder(work: Path, plan: Plan, number: int) -> Path:
    return work / plan.configuration / f"fold-{number + 1}"


def _choose(
    dataset: Dataset,
    splits: Sequence[Sequence[str]],
    made: dict[str, list[Bundle]],
    work: Path,
    device: str,
) -> tuple[tuple[str, ...], Path, dict[str, float]]:
    """The best configuration, or the best pair, by out-of-fold Dice; with its predictions, and what each scored."""
    predictions: dict[tuple[str, ...], Path] = {(name,): work / name / "predictions" for name in made}
    # Only what all have predicted tells which is better.
    seen = [i for i in dataset.ids if all(prediction_path(folder, i).is_file() for folder in predictions.values())]
    for one, other in combinations(made, 2):
        folder = predictions[one, other] = make_folder(work / f"{one}+{other}" / "predictions")
        for number, split in enumerate(splits):
            pair = load_segmenter(replace(made[one][number], partners=(made[other][number],)), device=device)
            for case in dataset.select([i for i in split if i in seen]):
                path = prediction_path(folder, case.id)
                if not path.is_file():
                    write(segment(case.image, pair).labels, path)
    scores = {names: _mean_dice(dataset, folder, seen) for names, folder in predictions.items()}
    best: tuple[str, ...] = max((names for names in scores if len(names) == 1), key=lambda names: scores[names])
    pairs = [names for names in scores if len(names) == 2]
    if pairs and scores[pair_of := max(pairs, key=lambda names: scores[names])] >= scores[best] + _GAIN:
        best = pair_of
    return best, predictions[best], {" + ".join(names): round(score, 4) for names, score in scores.items()}


def _mean_dice(dataset: Dataset, predictions: Path, cases: Sequence[str]) -> float:
    """The mean over these cases and all labels; NaN for no cases."""
    assert dataset.labels is not None
    found = [score(p, r, case=case) for case, p, r in out_of_fold(dataset.select(cases), predictions)]
    return mean_scores(found, dataset.labels).get("mean", math.nan)


def _named_by(how: Postprocessing, ours: Labels, theirs: Labels) -> Postprocessing:
    """The steps for our labels, with the names that these have elsewhere."""
    places = ours.places_in(theirs)
    names = {label.name: theirs.names[places[label.value]] for label in ours.labels}
    return Postprocessing(tuple(replace(step, name=step.name and names[step.name]) for step in how.steps))


def _join(members: Sequence[Bundle], combine: Combine, dataset: Dataset, device: str) -> Bundle:
    if combine == "average":
        return average_members(members, dataset, device=device)
    return replace(members[0], members=tuple(one.weights for one in members))


def _card(
    card: Card,
    scores: Sequence[Scores],
    labels: Labels,
    made: dict[str, list[Bundle]],
    chosen: Sequence[str],
    combine: Combine,
    cases: int,
) -> Card:
    folds = len(made[chosen[0]])
    recipes = "; ".join(made[name][0].card.recipe for name in chosen)
    how = f"{folds} folds, their logits averaged" if combine == "ensemble" else f"{folds} folds, their weights averaged"
    return replace(
        card,
        scores=mean_scores(scores, labels),
        scores_on=f"{len(scores)} of {cases} cases, each by the network of the fold that had not seen it",
        recipe=f"{how}; {recipes}",
    )
