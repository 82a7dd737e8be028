"""From a data set and a plan to a bundle, inside the budget."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from vesalius.bundle import Bundle, Card
from vesalius.errors import DataError, PlanError
from vesalius.image import Dataset
from vesalius.nets import build, load_encoder
from vesalius.nets.norm import channels_last
from vesalius.plan import Plan
from vesalius.plan.budget import free_memory_gib
from vesalius.plan.device import fast_dtype, find_device
from vesalius.plan.measure import step_seconds
from vesalius.plan.planner import LEAST_STEPS
from vesalius.train.cache import CachedCase, build_cache
from vesalius.train.checkpoint import Training
from vesalius.train.clock import Clock
from vesalius.train.coarse import CoarseStage, with_coarse_classes
from vesalius.train.deliver import deliver
from vesalius.train.distributed import own_device, team
from vesalius.train.heap import kept_memory
from vesalius.train.history import History, Tracker
from vesalius.train.keep import kept_labels
from vesalius.train.looking import Looking
from vesalius.train.loop import OnLook, Setting, learn
from vesalius.train.optimise import optimisers
from vesalius.train.run import Identity, Run, Status, kept_identity
from vesalius.train.tracking import open_tracker
from vesalius.train.transfer import Start, transfer

WATCHED = 4
"""Of the held-out cases, how many are segmented again and again while training."""
_IN_MEMORY = 0.2  # of what is free, for prepared cases
_MOST_VALIDATED = 24  # cases held out: enough to watch by; the rest teaches more than it tells
_FORMATS = {"bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True)
class Workshop:
    """What a training may use of the machine; none of it decides what is learnt.

    Args:
        device: Where to train: ``"auto"``, ``"cpu"``, ``"cuda"`` …
        cache: Folder of the prepared cases, which several runs may share; inside the bundle's folder, and gone with
            the end of the run, when left out.
        cache_gib: Most that this folder may hold.
        workers: Threads that read ahead; by default none on a processor and four beside a GPU.
        compiled: Whether the network is compiled first; by default on CUDA.
        number_format: Of the convolutions; ``"auto"`` takes bfloat16 where that is faster on this machine.
        channels_last: Whether images lie in memory voxel by voxel, which is what fast convolutions want.
        track: Where MLflow is told of the run, too: a folder, a database or a server; see
            `vesalius.train.tracking.open_tracker`.
    """

    device: str = "auto"
    cache: Path | None = None
    cache_gib: float | None = None
    workers: int | None = None
    compiled: bool | None = None
    number_format: Literal["auto", "bfloat16", "float32"] = "auto"
    channels_last: bool = True
    track: str | None = None


def fit(
    dataset: Dataset,
    plan: Plan,
    out: Path | str,
    *,
    device: str = "auto",
    seed: int = 0,
    validation: Sequence[str] | None = None,
    start: Start | None = None,
    coarse: CoarseStage | None = None,
    card: Card | None = None,
    resume: bool = False,
    spent_s: float = 0.0,
    workshop: Workshop | None = None,
    predictions: Path | None = None,
    on_status: Callable[[Status], None] | None = None,
    on_look: OnLook | None = None,
) -> Bundle:
    """Train a segmenter and write its bundle, inside the plan's budget.

    The learning rate follows the clock: it reaches zero when the time for training ends, however fast the machine
    turns out to be. Time for validating and writing is set aside from what these are measured to take. An
    interruption (Ctrl-C, ``kill -9``) loses at most half a minute: call again with ``resume=True``. With a bigger
    budget in the plan, ``resume=True`` also goes on with a finished run.

    Started by ``torchrun``, the processes train one network together, each on its share of every batch; the first one
    writes and validates.

    Args:
        dataset: Cases with references; those without are not used.
        plan: From `make_plan`.
        out: The bundle's folder: new, empty, or that of the run to resume.
        device: Where to train.
        seed: Of everything random. With a budget of steps the result repeats exactly on the same machine.
        validation: Cases to hold out. By default the plan's share of the patients, at most 24 cases; none where
            there is one patient only.
        start: What to start from instead of random weights: a trained segmenter or a pretrained encoder.
        coarse: The first stage of a cascade, of which the plan is for the second.
        card: Words for the bundle's card; recipe and scores are filled in.
        resume: Go on with the run in ``out``; where there is none yet, start.
        spent_s: Seconds of the budget that are gone already (index, fingerprint, plan).
        workshop: What may be used of the machine; its ``device`` gives way to ``device``.
        predictions: Folder for what was predicted for each held-out case, see `vesalius.train.deliver.prediction_path`.
        on_status: Called about once a second.
        on_look: Called with (look, share done, Dice) after each look at the watched cases; what it raises ends the
            run.

    Returns:
        The bundle, as written to ``out``.

    Raises:
        DataError: No case has a reference, or only one, or a case cannot be read.
        PlanError: The budget is gone before training could start; the message says the least that would do. Or mirror
            images would be averaged when segmenting that the training never shows.
        BundleError: ``out`` holds something else.
    """
    _check_mirrors(plan)
    with team() as together:
        shop = workshop or Workshop()
        place = find_device(own_device(device if device != "auto" else shop.device))
        usable = dataset.with_reference()
        held_out = choose_held_out(usable, plan, seed, validation)
        teaching = [i for i in usable.ids if i not in set(held_out)]
        if not teaching:
            raise DataError("every case is held out for validation; none is left to learn from")
        run = Run(
            Path(out),
            budget_s=plan.budget.time_s,
            spent_s=spent_s,
            on_status=on_status if together.is_first else None,
            writes=together.is_first,
        )
        earlier = kept_identity(run.out) if resume else None
        words: str = shop.number_format if earlier is None else earlier.number_format
        if words == "auto":
            words = str(fast_dtype(place)).removeprefix("torch.")
        identity = Identity(plan, seed, together.share(words), held_out)
        setting = Setting(
            plan=plan,
            seed=seed,
            device=place,
            number_format=_FORMATS[identity.number_format],
            layout=channels_last(plan.ndim) if shop.channels_last else torch.contiguous_format,
            compiled=place.type == "cuda" if shop.compiled is None else shop.compiled,
            workers=(4 if place.type == "cuda" else 0) if shop.workers is None else shop.workers,
            team=together,
            checkpoint=run.checkpoint,
        )
        together.wait()
        try:
            # Only one may look at the folder: the others could see what it has just written.
            resumed = together.share(run.open(identity, resume=resume) if together.is_first else None)
            training = _begin(setting, start)
            if resumed and run.checkpoint.is_file():
                training.load(run.checkpoint)
                _take_up(training, run, setting, identity, earlier)
            if training.progress.is_finished:
                return Bundle.load(run.out)
            if shop.track is not None and together.is_first:
                run.tracker = _tracker(shop.track, run, setting, len(teaching), card)
            cases = _cases(usable, setting, shop, run, start, coarse)
            by_id = {case.id: case for case in cases}
            watched = [by_id[i] for i in held_out[:WATCHED]]
            with kept_memory():
                _train(training, [by_id[i] for i in teaching], watched, len(held_out), setting, run, on_look)
            bundle = deliver(training, setting, run, usable, held_out, coarse, start, card, predictions)
            run.close(bundle)
            together.wait()
        except BaseException as error:
            run.abandon(interrupted=not isinstance(error, Exception))
            raise
        return bundle


def _check_mirrors(plan: Plan) -> None:
    unseen = sorted(set(plan.mirror_axes) - set(plan.augmentation.mirrored_axes))
    # Images that are painted may be of maps that come mirrored.
    if unseen and plan.augmentation.generation is None:
        axes = ", ".join(map(str, unseen))
        raise PlanError(
            f"mirror_axes: segmenting would average mirror images along axis {axes}, which this training never shows "
            "and the network would be wrong on; set mirror_axes= (nothing) or only axes of augmentation.mirror_axes, "
            "and augmentation.mirror_p above 0"
        )


def _tracker(uri: str, run: Run, setting: Setting, cases: int, card: Card | None) -> Tracker:
    tags = {
        "vesalius": version("vesalius"),
        "torch": torch.__version__,
        "device": str(setting.device),
        "number_format": str(setting.number_format).removeprefix("torch."),
        **({"data": card.data} if card is not None and card.data else {}),
    }
    return open_tracker(uri, run.out, setting.plan, seed=setting.seed, cases=cases, tags=tags, note=run.note)


def choose_held_out(dataset: Dataset, plan: Plan, seed: int, validation: Sequence[str] | None) -> tuple[str, ...]:
    """The validation cases: those named, or whole patients, a share of them, in an order that mixes."""
    if plan.augmentation.generation is not None:
        if validation:
            raise PlanError(
                "no case can be held out from a training on painted images: its image is no image. Leave validation "
                "out, and score the bundle on images painted from other maps (vesalius.synth) and on real ones"
            )
        return ()
    if len(dataset) == 0:
        raise DataError("there is no case with a reference to learn from")
    if validation is not None:
        return tuple(dataset.select(validation).ids)
    if len(dataset) == 1:
        raise DataError(
            "there is one single case with a reference, from which nothing general can be learnt; label a second one "
            "(validation=() trains on one all the same)"
        )
    patients = dataset.patients
    share = min(plan.validation_fraction, _MOST_VALIDATED / len(dataset))
    wanted = math.ceil(share * len(patients))
    if len(patients) < 2 or wanted < 1:
        return ()
    random = np.random.default_rng(seed)
    chosen = {patients[i] for i in random.permutation(len(patients))[:wanted]}
    return tuple(r.id for r in dataset.records if (r.patient or r.id) in chosen)


def _cases(
    dataset: Dataset, setting: Setting, shop: Workshop, run: Run, start: Start | None, coarse: CoarseStage | None
) -> list[CachedCase]:
    """The prepared cases: the first process prepares them, the others take them up."""
    plan, device = setting.plan, str(setting.device)
    amend, amend_key = None, ""
    if start is not None and start.bundle is not None and start.keep_labels:
        amend, amend_key = kept_labels(start.bundle, plan, device=device)

    def told(done: int, total: int) -> None:
        run.tell(Status("prepare", done / total, run.left_s))

    def prepared() -> list[CachedCase]:
        folder = shop.cache or run.cases
        made = build_cache(
            dataset,
            plan,
            folder,
            limit_gib=shop.cache_gib,
            memory_gib=_IN_MEMORY * free_memory_gib(),
            amend=amend,
            amend_key=amend_key,
            progress=told,
            note=run.note,
        )
        if coarse is None:
            return made
        return with_coarse_classes(
            made, dataset, plan, coarse, run.work / "coarse-classes", device=device, progress=told
        )

    if setting.team.is_first:
        cases = prepared()
        setting.team.wait()
        return cases
    setting.team.wait()
    return prepared()


def _begin(setting: Setting, start: Start | None) -> Training:
    """The network as it begins: at random from the seed, or from another's weights."""
    plan = setting.plan
    torch.manual_seed(setting.seed)
    network = build(plan.network)
    if start is not None and start.bundle is not None:
        transfer(network, plan, start.bundle)
    if start is not None and start.encoder_weights is not None:
        load_encoder(network, start.encoder_weights)
    network = network.to(setting.device, memory_format=setting.layout)  # type: ignore[call-overload]
    made = optimisers(network, plan.optimisation, number_format=setting.number_format)
    return Training(network, copy.deepcopy(network).eval(), made)


def _take_up(training: Training, run: Run, setting: Setting, identity: Identity, earlier: Identity | None) -> None:
    """Go on from a checkpoint; with another budget the schedule is that of the new one, after a warm-up."""
    progress = training.progress
    run.had_spent(progress.spent_s)
    if earlier is None or earlier.plan.budget == identity.plan.budget:
        return
    budget = identity.plan.budget
    if (budget.steps or math.inf) <= progress.step or (budget.time_s or math.inf) <= run.spent_s:
        gone = f"{progress.step} steps" if budget.steps else f"{run.spent_s:.0f} s"
        raise PlanError(f"{run.out.name}: this run has had {gone} already; give a bigger budget to go on with it")
    progress.warm_from, progress.stopped_at, progress.stale = progress.step, None, 0
    progress.is_finished = False
    if setting.team.is_first:
        training.save(run.checkpoint)
        run.record(identity)


def _train(
    training: Training,
    cases: Sequence[CachedCase],
    watched: Sequence[CachedCase],
    validations: int,
    setting: Setting,
    run: Run,
    on_look: OnLook | None,
) -> None:
    """Train until the budget's end."""
    plan = setting.plan
    looking = Looking(watched, plan, validations, setting.device)
    if setting.team.is_first:
        run.history = History(run.out, training.moments, run.tracker)
    length_s = run.left_s - looking.reserve_s + training.progress.trained_s
    clock = Clock(length_s=length_s, steps=plan.budget.steps)
    learn(
        training,
        cases,
        setting,
        clock=clock,
        looking=looking,
        history=run.history,
        spent_s=lambda: run.spent_s,
        tell=lambda done, moment: run.tell(Status("train", done, run.left_s, moment)),
        on_look=on_look,
    )
    if training.progress.step == 0:
        step_s = step_seconds(plan.network, plan.patch_size, plan.batch_size, device=str(setting.device))
        least = math.ceil(run.spent_s + looking.reserve_s + LEAST_STEPS * step_s)
        raise PlanError(
            f"a budget of {plan.budget.time_s:.0f} s is too small: {run.spent_s:.0f} s were gone before training could "
            f"start, and {looking.reserve_s:.0f} s are set aside for validating and writing. Give at least {least} s"
        )
