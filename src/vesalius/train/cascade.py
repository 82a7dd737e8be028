"""A cascade: a coarse network sees the whole, a fine one the detail and what the coarse one found."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vesalius.bundle import Bundle, Card
from vesalius.errors import PlanError
from vesalius.image import Dataset
from vesalius.plan import Plan, plan_to_json
from vesalius.train.coarse import CoarseStage
from vesalius.train.fit import Workshop, fit
from vesalius.train.folds import Combine, cross_validate
from vesalius.train.run import CASCADE, COARSE, Status, take_place
from vesalius.train.transfer import Start

FEWEST_FOLDS = 2
"""Of the coarse stage, so that each case can be seen by a network that was not trained on it."""


def fit_cascade(
    dataset: Dataset,
    coarse: Plan,
    fine: Plan,
    out: Path | str,
    *,
    folds: int | None = None,
    combine: Combine = "ensemble",
    device: str = "auto",
    seed: int = 0,
    start: Start | None = None,
    card: Card | None = None,
    resume: bool = False,
    spent_s: float = 0.0,
    workshop: Workshop | None = None,
    cluster: str | None = None,
    on_status: Callable[[Status], None] | None = None,
) -> Bundle:
    """Train both stages of a cascade, the coarse one by cross-validation, and write one bundle.

    Args:
        dataset: Cases with references.
        coarse: Plan of the coarse stage; its budget is that of one of its folds.
        fine: Plan of the fine stage, which sees the coarse labels; see `vesalius.plan.make_cascade`.
        out: The bundle's folder.
        folds: Of both stages. Without it the coarse stage has two and the fine one none.
        combine: What is kept of the fine stage's folds; see `cross_validate`.
        device: Where to train.
        seed: Of everything random.
        start: Of the fine stage; see `fit`.
        card: Words for the bundle's card.
        resume: Go on with what stands in ``out``.
        spent_s: Seconds of the budget that are gone already.
        workshop: What may be used of the machine.
        cluster: Where folds are trained.
        on_status: Called about once a second.

    Raises:
        DataError: There are fewer patients than folds, or a case cannot be read.
        PlanError: A budget is too small, or the plans are not those of a cascade.
        BundleError: ``out`` holds something else.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z.
    """
    if fine.coarse_labels != len(coarse.labels) or coarse.coarse_labels:
        raise PlanError("these plans are not the two stages of a cascade; let make_cascade make them")
    place = Path(out)
    plans = {"plans": [json.loads(plan_to_json(plan)) for plan in (coarse, fine)]}
    work = take_place(place, CASCADE, plans, resume=resume, what="a cascade stands")

    def tell(status: Status) -> None:
        if on_status is not None:
            on_status(replace(status, part=f"coarse stage, {status.part}"))

    first = cross_validate(
        dataset,
        [coarse],
        work / COARSE,
        folds=folds or FEWEST_FOLDS,
        device=device,
        seed=seed,
        resume=resume or (work / COARSE).exists(),
        spent_s=spent_s,
        workshop=workshop,
        cluster=cluster,
        on_status=tell,
    )
    stage = CoarseStage(first.bundle, dataset.with_reference().folds(folds or FEWEST_FOLDS))
    if folds is not None:
        return cross_validate(
            dataset,
            [fine],
            place,
            folds=folds,
            combine=combine,
            device=device,
            seed=seed,
            start=start,
            coarse=stage,
            card=card,
            resume=resume,
            workshop=workshop,
            cluster=cluster,
            on_status=on_status,
        ).bundle
    return fit(
        dataset,
        fine,
        place,
        device=device,
        seed=seed,
        start=start,
        coarse=stage,
        card=card,
        resume=resume,
        workshop=workshop,
        on_status=on_status,
    )
