"""A trained network as a bundle: written, scored as a user would use it, and written again with its scores."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import torch

from vesalius.bundle import Bundle, Card
from vesalius.bundle.lineage import case_names, lineage_of
from vesalius.image import Dataset
from vesalius.io import write
from vesalius.io.atomic import make_folder
from vesalius.metrics import Scores
from vesalius.predict import Segmenter, load_segmenter, segment
from vesalius.train.checkpoint import Training
from vesalius.train.coarse import CoarseStage
from vesalius.train.looking import MARGIN_S
from vesalius.train.loop import Setting
from vesalius.train.run import Run, Status
from vesalius.train.score import mean_scores, score
from vesalius.train.transfer import Start


def prediction_path(folder: Path, case: str) -> Path:
    """Where `fit` puts what it predicted for a case; the name is written so that every file system takes it.

    Example:
        >>> prediction_path(Path("out"), "a/b").name
        'a%2Fb.npz'
    """
    return folder / f"{quote(case, safe='')}.npz"


def deliver(
    training: Training,
    setting: Setting,
    run: Run,
    dataset: Dataset,
    held_out: Sequence[str],
    coarse: CoarseStage | None,
    start: Start | None,
    card: Card | None,
    predictions: Path | None,
) -> Bundle:
    """Write the bundle, score it as a user would use it, and write it again with its scores."""
    together = setting.team
    if together.is_first:
        weights = {name: tensor.cpu().numpy() for name, tensor in training.average.state_dict().items()}
        made = Bundle(
            setting.plan,
            (weights,),
            coarse=None if coarse is None else coarse.bundle,
            card=card or Card(name=run.out.name),
            provenance={
                **_provenance(training, setting, len(dataset) - len(held_out)),
                **lineage_of(dataset, None if start is None else start.bundle),
            },
        )
        made.save(run.out)  # a bundle that works stands before it is scored
        made = _score(Bundle.load(run.out), coarse, training, dataset, held_out, run, setting, predictions)
        made.save(run.out)
        training.progress.is_finished = True
        training.progress.spent_s = run.spent_s
        training.save(run.checkpoint)
        run.tell(Status("validate", 1.0, 0.0, training.moments[-1] if training.moments else None), now=True)
    together.wait()
    return Bundle.load(run.out)


def _unseen(segmenter: Segmenter, coarse: CoarseStage | None, cases: Sequence[str]) -> dict[str, Segmenter]:
    """For each case the segmenter none of whose networks has seen it: in a cascade, with the coarse one of its fold."""
    if coarse is None:
        return dict.fromkeys(cases, segmenter)
    device = str(segmenter.device)
    by_fold = [
        (fold, replace(segmenter, coarse=load_segmenter(coarse.bundle, device=device, members=(number,))))
        for number, fold in enumerate(coarse.folds)
    ]
    return {case: one for fold, one in by_fold for case in fold if case in cases}


def _score(
    bundle: Bundle,
    coarse: CoarseStage | None,
    training: Training,
    dataset: Dataset,
    held_out: Sequence[str],
    run: Run,
    setting: Setting,
    predictions: Path | None,
) -> Bundle:
    """Segment the held-out cases, as many as time allows, and put their Dice on the card."""
    segmenters = _unseen(load_segmenter(bundle, device=str(setting.device)), coarse, held_out)
    found: list[Scores] = []
    slowest = 0.0
    for case in dataset.select(held_out):
        if run.left_s < 1.3 * slowest + MARGIN_S:
            break
        run.tell(Status("validate", len(found) / len(held_out), run.left_s))
        start = time.monotonic()
        assert case.reference is not None
        prediction = segment(case.image, segmenters[case.id])
        if predictions is not None:
            write(prediction.labels, prediction_path(make_folder(predictions), case.id))
        found.append(score(prediction.labels, case.reference, case=case.id))
        slowest = max(slowest, time.monotonic() - start)
    assert dataset.labels is not None
    scores = mean_scores(found, dataset.labels)
    words = f"{len(found)} of {len(held_out)} held-out cases of the same data set" if held_out else "no held-out case"
    card = bundle.card
    return replace(
        bundle,
        card=replace(card, scores=scores, scores_on=words, recipe=card.recipe or _recipe(training, setting)),
        provenance={
            **bundle.provenance,
            "held_out": case_names(dataset, held_out),
            "scored": len(found),
            "total_s": run.spent_s,
        },
    )


def _recipe(training: Training, setting: Setting) -> str:
    plan, progress = setting.plan, training.progress
    network = plan.why("network").partition(":")[0] or plan.network.architecture
    patches = f"{plan.batch_size} patches {'x'.join(map(str, plan.patch_size))}"
    loss = plan.loss.kind.replace("_", " ")
    return (
        f"{network}; {progress.step} steps of {patches} in {progress.trained_s:.0f} s; {plan.optimisation.optimiser}, "
        f"{loss}"
    )


def _provenance(training: Training, setting: Setting, cases: int) -> dict[str, object]:
    """What made the bundle."""
    progress = training.progress
    return {
        "vesalius": version("vesalius"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": str(setting.device),
        "threads": torch.get_num_threads(),
        "processes": setting.team.size,
        "number_format": str(setting.number_format).removeprefix("torch."),
        "seed": setting.seed,
        "steps": progress.step,
        "setbacks": progress.setbacks,
        "stopped_early_at": progress.stopped_at,
        "training_cases": cases,
        "trained_s": round(progress.trained_s, 1),
    }
