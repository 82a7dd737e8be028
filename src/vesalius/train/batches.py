"""Draw batches: batch n of a run follows from the seed and n alone, so that nothing has to be remembered.

A batch is drawn in two parts. `draw_windows` reads from the cases and may run ahead in other threads
(`vesalius.train.loader`); `finish` augments on the device. Both can make some rows of the batch only: processes that
share a batch get what one process would.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vesalius.augment import Parameters, apply, rescale_batch, sample, source_size
from vesalius.errors import DataError
from vesalius.nets import divisor
from vesalius.plan import Plan
from vesalius.plan.prepare import IGNORE
from vesalius.train.cache import CachedCase
from vesalius.train.corruption import corrupt
from vesalius.train.tiles import ReadsWindows

_ORDER, _WINDOW, _AUGMENTATION, _SCALE, _CORRUPTION = range(5)  # what a stream of random numbers is for


@dataclass(frozen=True, eq=False)
class RawBatch:
    """Windows as they were read, a little larger than the patches, so that turned patches find their corners.

    Args:
        images: ``(b, c, *window)``, float32; 0 beyond the case.
        classes: ``(b, *window)``, int16; `IGNORE` beyond the case.
        coarse: ``(b, *window)``, int16, in a cascade: classes of the coarse stage; 0 beyond the case.

    Where rows are mixed with others, these come after the rows that were asked for.
    """

    images: Tensor
    classes: Tensor
    coarse: Tensor | None = None


def draw_windows(
    cases: Sequence[CachedCase],
    plan: Plan,
    *,
    seed: int,
    step: int,
    rows: slice | None = None,
    pinned: bool = False,
) -> RawBatch:
    """Read the windows of a batch.

    Every case comes once before any comes again, in an order that is shuffled each time. The share
    ``foreground_fraction`` of the patches is centred on a voxel of a class drawn evenly from those that the case has
    (rounded at random, so that the share is right on average); the others lie anywhere, in a case that is not
    annotated throughout around an annotated voxel.

    Args:
        cases: To draw from, at least one.
        plan: Patch, batch, augmentation.
        seed: Of the run, not negative.
        step: Number of the batch.
        rows: Of the batch; all when left out.
        pinned: Whether to lay the tensors into memory from which a CUDA device copies by itself.

    Returns:
        The windows; `finish` makes a batch of them.

    Raises:
        DataError: A case can no longer be read; the message names it.

    Source: nnU-Net (``nnUNetDataLoader``) for centres and shares; cases are drawn with replacement there.
    """
    elements = _elements(plan, seed, step, rows)
    window = source_size(plan.augmentation, plan.patch_size)
    b = len(elements)
    images = torch.zeros(b, len(plan.channels), *window, pin_memory=pinned)
    classes = torch.full((b, *window), IGNORE, dtype=torch.int16, pin_memory=pinned)
    coarse = torch.zeros(b, *window, dtype=torch.int16, pin_memory=pinned) if plan.coarse_labels else None
    numbers = _case_numbers(elements, len(cases), plan, seed, step)
    for place, (element, number) in enumerate(zip(elements, numbers, strict=True)):
        case = cases[number]
        start = _window_start(case, plan, window, _random(seed, _WINDOW, step, element))
        try:
            _copy_window(case.image, images[place].numpy(), start)
            _copy_window(case.classes, classes[place].numpy(), start)
            if coarse is not None:
                if case.coarse is None:
                    raise DataError("the plan is for a cascade; nothing was found by a coarse stage here")
                _copy_window(case.coarse, coarse[place].numpy(), start)
        except Exception as error:  # whatever it was: with a thousand cases the first question is which
            text = str(error) or type(error).__name__
            name = f"case {case.id}: "
            raise DataError(text if text.startswith(name) else f"{name}{text}") from error
    return RawBatch(images, classes, coarse)


def finish(
    raw: RawBatch, plan: Plan, *, seed: int, step: int, device: torch.device, rows: slice | None = None
) -> tuple[Tensor, Tensor]:
    """Bring a batch to the device and augment it there.

    Args:
        raw: From `draw_windows`.
        plan: As there.
        seed: As there.
        step: As there.
        device: Where the batch is wanted.
        rows: As there.

    Returns:
        ``(b, c + coarse_labels, *patch)`` float32 images, in a cascade with the classes of the coarse stage as further
        channels of 0 and 1, and ``(b, *patch)`` int16 classes. In multi-scale training (``plan.input_scales``) the
        patch of all batches of a step is resized by the same factor.
    """
    elements = _elements(plan, seed, step, rows)
    wanted = len(range(plan.batch_size)[rows or slice(None)])
    images, classes = (part.to(device, non_blocking=True) for part in (raw.images, raw.classes))
    if raw.coarse is not None:
        classes = _pack(classes, raw.coarse.to(device, non_blocking=True), plan)
    images, classes = apply(
        images,
        classes,
        _parameters(plan, seed, step).select(elements),
        plan.patch_size,
        outside_label=IGNORE if raw.coarse is None else 0,
        mirrored_labels=plan.mirrored_classes if plan.paired_labels else (),
    )
    images, classes = images[:wanted], classes[:wanted]
    factor = float(_random(seed, _SCALE, step).choice(plan.input_scales))
    if factor != 1:
        images, classes = rescale_batch(images, classes, factor=factor, multiple=divisor(plan.network))
    if raw.coarse is not None:
        classes, coarse = _unpack(classes, plan)
        randoms = [_random(seed, _CORRUPTION, step, element) for element in elements[:wanted]]
        images = torch.cat([images, corrupt(coarse, plan.coarse_labels, randoms)], dim=1)
    return images, classes


def _random(seed: int, purpose: int, *numbers: int) -> np.random.Generator:
    """A stream of its own for each purpose. Trailing zeros of a seed are lost, those of a spawn key are not."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, *numbers)))


def _parameters(plan: Plan, seed: int, step: int) -> Parameters:
    """Of the whole batch, whichever rows are wanted."""
    start = int(_random(seed, _AUGMENTATION, step).integers(2**62))
    generator = torch.Generator().manual_seed(start)
    return sample(plan.augmentation, plan.batch_size, channels=len(plan.channels), generator=generator)


def _elements(plan: Plan, seed: int, step: int, rows: slice | None) -> list[int]:
    """The rows that are wanted, then those that they are mixed with."""
    if rows is None:
        return list(range(plan.batch_size))
    wanted = list(range(plan.batch_size)[rows])
    return [*wanted, *_parameters(plan, seed, step).partners(wanted)]


def _case_numbers(elements: Sequence[int], cases: int, plan: Plan, seed: int, step: int) -> list[int]:
    """The cases of some elements: those that come next in rounds, each of which is all cases in an order of its own."""
    drawn = [divmod(step * plan.batch_size + element, cases) for element in elements]
    orders = {number: _random(seed, _ORDER, number).permutation(cases) for number in {number for number, _ in drawn}}
    return [int(orders[number][place]) for number, place in drawn]


def _window_start(
    case: CachedCase, plan: Plan, window: tuple[int, ...], random: np.random.Generator
) -> NDArray[np.int64]:
    """The first voxel of the source window; it may be negative."""
    shape, patch = np.asarray(case.classes.shape), np.asarray(plan.patch_size)
    # The patch stays inside the case where it can, and holds all of it where it cannot.
    lowest, highest = np.minimum(0, shape - patch), np.maximum(0, shape - patch)
    foreground = case.places.foreground
    centred = random.random() < plan.foreground_fraction
    if centred and foreground:
        centre = case.places.draw(foreground[int(random.integers(len(foreground)))], random)
    elif case.places.is_sparse:
        centre = case.places.draw(IGNORE, random)
    else:
        centre = random.integers(lowest, highest + 1) + patch // 2
    start: NDArray[np.int64] = np.clip(centre - patch // 2, lowest, highest) - (np.asarray(window) - patch) // 2
    return start


def _copy_window(source: ReadsWindows, target: NDArray[np.generic], start: NDArray[np.int64]) -> None:
    """Copy what the window shows of the source; what lies outside stays as it is."""
    n = len(start)
    low = np.maximum(start, 0)
    high = np.minimum(start + target.shape[-n:], source.shape[-n:])
    if (high <= low).any():
        return
    channels = (slice(None),) * (target.ndim - n)
    there = tuple(slice(int(a), int(b)) for a, b in zip(low - start, high - start, strict=True))
    here = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    target[(*channels, *there)] = source[(*channels, *here)]


def _pack(classes: Tensor, coarse: Tensor, plan: Plan) -> Tensor:
    """One number for both, so that they are turned together: 0 is `IGNORE` and no coarse class, as beyond the case."""
    base = plan.coarse_labels + 1
    fits = (len(plan.labels) + 2) * base <= torch.iinfo(torch.int16).max
    kind = torch.int16 if fits else torch.int32  # the former is sampled in single precision
    return (classes.to(kind) - IGNORE) * base + coarse.to(kind)


def _unpack(packed: Tensor, plan: Plan) -> tuple[Tensor, Tensor]:
    base = plan.coarse_labels + 1
    classes = torch.div(packed, base, rounding_mode="floor") + IGNORE
    return classes.to(torch.int16), packed % base
