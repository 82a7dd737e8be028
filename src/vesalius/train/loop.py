"""The loop: draw, predict, compare, learn; with what keeps it on its way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vesalius.errors import PlanError
from vesalius.nets.number_format import computing_in
from vesalius.plan import Plan
from vesalius.plan.prepare import memberships
from vesalius.train.batches import RawBatch, finish
from vesalius.train.cache import CachedCase
from vesalius.train.checkpoint import Progress, Training
from vesalius.train.clock import Clock
from vesalius.train.distributed import Team
from vesalius.train.history import History, Moment
from vesalius.train.loader import Loader
from vesalius.train.looking import Looking
from vesalius.train.losses import supervised
from vesalius.train.optimise import average_weights, set_rate

OnLook = Callable[[int, float, float], None]

CHECKPOINT_S = 30.0
MOMENTS = 100  # rows of the history
LOOKS = 20  # times that the watched cases are segmented
MOST_SETBACKS = 5
GAIN = 1e-3  # in Dice: less is no progress


@dataclass(frozen=True)
class Setting:
    """What stays the same while a network learns.

    Args:
        plan: What is done.
        seed: Of everything random.
        device: Where.
        number_format: Of the convolutions, ``torch.bfloat16`` or ``torch.float32``.
        layout: Of images and kernels in memory.
        compiled: Whether the network is compiled first, which takes a minute and makes each step faster.
        workers: Threads that read ahead.
        team: The processes that train together.
        checkpoint: Where training stands, on disk.
    """

    plan: Plan
    seed: int
    device: torch.device
    number_format: torch.dtype
    layout: torch.memory_format
    compiled: bool
    workers: int
    team: Team
    checkpoint: Path


def learn(
    training: Training,
    cases: Sequence[CachedCase],
    setting: Setting,
    *,
    clock: Clock,
    looking: Looking,
    history: History | None,
    spent_s: Callable[[], float],
    tell: Callable[[float, Moment | None], None],
    on_look: OnLook | None = None,
) -> None:
    """Train until the clock says that it is done.

    Each step depends on the seed and its own number alone, so that a run which was interrupted at any moment goes on
    from its last checkpoint to the same weights. When the loss or its gradient is not finite, training goes back to
    the last checkpoint, and on with half the learning rate and other batches.

    Args:
        training: Is changed in place; its ``average`` is the result.
        cases: To learn from.
        setting: How.
        clock: Says what share is done.
        looking: Segments the watched cases.
        history: Writes the course down; None in all processes but the first.
        spent_s: Seconds of the budget that are gone, everything included.
        tell: Is told the share that is done and the latest moment, each step.
        on_look: Is told (look, share done, Dice) after each look at the watched cases; may raise to end the training.

    Raises:
        PlanError: The loss was not finite again and again.
        DataError: A case could not be read.
    """
    plan, team, progress = setting.plan, setting.team, training.progress
    step = _stepper(training, setting)
    losses: list[float] = []
    before = time.monotonic() - progress.trained_s

    def save() -> float:
        progress.spent_s = spent_s()
        if team.is_first:
            training.save(setting.checkpoint)
        if history is not None:
            history.write()
        return time.monotonic()

    def note(done: float, rate: float) -> None:
        dice = math.nan
        if looking.watched and (done >= progress.looks / LOOKS or done == 1):
            dice = team.agree(looking.dice(training.average) if team.is_first else 0.0)
            _judge(training, dice, done, patience=plan.optimisation.patience)
            if on_look is not None:
                on_look(progress.looks, done, dice)
        loss = float(np.mean(losses)) if losses else math.nan
        progress.notes += 1
        training.moments.append(Moment(progress.step, progress.trained_s, loss, rate, dice))
        losses.clear()
        if history is not None:
            history.add(training.moments[-1])

    if progress.step and progress.warm_from == progress.step:  # a finished run goes on with a bigger budget
        done = clock.done(step=progress.step, trained_s=progress.trained_s, stopped_at=None)
        progress.notes, progress.looks = math.ceil(done * MOMENTS), math.ceil(done * LOOKS)
    saved = save()  # a start to go back to
    batches = _read_ahead(cases, setting, progress)
    try:
        while (
            done := team.agree(
                clock.done(step=progress.step, trained_s=progress.trained_s, stopped_at=progress.stopped_at)
            )
        ) < 1:
            rate = set_rate(
                training.optimisers,
                plan.optimisation,
                step=progress.step - progress.warm_from,
                progress=done,
                stopped_at=progress.stopped_at,
                scale=0.5**progress.setbacks,
            )
            loss = step(next(batches), done)
            progress.trained_s = time.monotonic() - before
            if not math.isfinite(loss):
                batches.close()
                _go_back(training, setting)
                losses.clear()
                saved = save()
                batches = _read_ahead(cases, setting, progress)
                continue
            losses.append(loss)
            if done >= progress.notes / MOMENTS:
                note(done, rate)
            tell(done, training.moments[-1] if training.moments else None)
            if team.agree(time.monotonic() - saved) >= CHECKPOINT_S:
                saved = save()
    finally:
        batches.close()
    if progress.step and (not training.moments or training.moments[-1].step < progress.step):
        note(1.0, 0.0)
    save()


def _stepper(training: Training, setting: Setting) -> Callable[[RawBatch, float], float]:
    """A function that takes one step on a batch and gives its loss; where that is not finite, nothing is changed."""
    plan, team, device = setting.plan, setting.team, setting.device
    network = team.together(training.network, device)
    forward = torch.compile(network) if setting.compiled else network
    outputs = torch.from_numpy(memberships(plan)).to(device) if plan.regions else None
    rows = team.rows(plan.batch_size)

    def step(raw: RawBatch, done: float) -> float:
        progress = training.progress
        seed = _seed(setting.seed, progress.setbacks)
        images, classes = finish(raw, plan, seed=seed, step=progress.step, device=device, rows=rows)
        torch.manual_seed((seed * 1_000_000_007 + progress.step) * team.size + team.rank)  # dropout draws from it
        with computing_in(setting.number_format, device):
            logits = forward(images.contiguous(memory_format=setting.layout))
        loss = supervised(
            logits,
            classes,
            plan.loss.at(done),
            memberships=outputs,
            spacing_mm=plan.spacing_mm,
            reduce=team.sum if team.size > 1 else None,
        )
        for optimiser in training.optimisers:
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        length = nn.utils.clip_grad_norm_(network.parameters(), plan.optimisation.gradient_clip)
        if not math.isfinite(float(length)):
            return math.nan
        if math.isfinite(value := float(loss.detach())):
            for optimiser in training.optimisers:
                optimiser.step()
            decay = plan.optimisation.average_decay
            average_weights(training.average, training.network, decay=decay, step=progress.step)
            progress.step += 1
        return value

    return step


def _judge(training: Training, dice: float, done: float, *, patience: int) -> None:
    """Take note of a look; after ``patience`` looks without a gain the cool-down begins."""
    progress = training.progress
    progress.looks += 1
    if dice > progress.best_dice + GAIN:
        progress.best_dice, progress.stale = dice, 0
    else:
        progress.stale += 1
    if patience and progress.stale >= patience and progress.stopped_at is None:
        progress.stopped_at = done


def _go_back(training: Training, setting: Setting) -> None:
    """Return to the last checkpoint and lower the rate.

    Raises:
        PlanError: That was done often enough.
    """
    progress = training.progress
    setbacks, at = progress.setbacks + 1, progress.step
    if setbacks > MOST_SETBACKS:
        raise PlanError(
            f"the loss is not finite, the last time at step {at}, though the learning rate was halved "
            f"{MOST_SETBACKS} times; look for odd intensities, or lower optimisation.learning_rate"
        )
    setting.team.wait()
    training.load(setting.checkpoint)
    progress.setbacks = setbacks
    setting.team.wait()


def _seed(seed: int, setbacks: int) -> int:
    """After a setback other batches are drawn, in case it was the batch."""
    return seed + 1_000_003 * setbacks


def _read_ahead(cases: Sequence[CachedCase], setting: Setting, progress: Progress) -> Loader:
    return Loader(
        cases,
        setting.plan,
        seed=_seed(setting.seed, progress.setbacks),
        start=progress.step,
        rows=setting.team.rows(setting.plan.batch_size),
        workers=setting.workers,
        pinned=setting.device.type == "cuda",
    )
