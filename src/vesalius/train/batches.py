"""Draw windows from the cases: anywhere, or centred on a labelled voxel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vesalius.augment import apply, sample, source_size
from vesalius.plan import Plan
from vesalius.plan.prepare import IGNORE
from vesalius.train.cache import CachedCase


def draw_batch(
    cases: Sequence[CachedCase],
    plan: Plan,
    *,
    random: np.random.Generator,
    generator: torch.Generator,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Draw a batch of augmented patches.

    Cases are drawn evenly, each at most once a batch where there are enough. The share ``foreground_fraction`` of
    the patches is centred on a voxel of a class drawn evenly from those that the case has (rounded at random, so
    that the share is right on average); the others lie anywhere. A patch larger than the case is filled up: image 0,
    class `IGNORE`.

    Args:
        cases: To draw from.
        plan: Patch, batch, augmentation.
        random: Decides cases and places.
        generator: Decides the augmentation; on the processor.
        device: Where the augmentation runs and the batch ends up.

    Returns:
        ``(b, c, *patch)`` float32 images and ``(b, *patch)`` int16 classes.
    """
    window = source_size(plan.augmentation, plan.patch_size)
    chosen = random.choice(len(cases), plan.batch_size, replace=len(cases) < plan.batch_size)
    images = np.zeros((plan.batch_size, len(plan.channels), *window), np.float32)
    classes = np.full((plan.batch_size, *window), IGNORE, np.int16)
    for row, number in enumerate(chosen):
        case = cases[int(number)]
        start = _window_start(case, plan, window, random)
        _copy_window(case.image, images[row], start)
        _copy_window(case.classes[None], classes[row][None], start)
    parameters = sample(plan.augmentation, plan.batch_size, channels=len(plan.channels), generator=generator)
    return apply(
        torch.from_numpy(images).to(device),
        torch.from_numpy(classes).to(device),
        parameters,
        plan.patch_size,
        outside_label=IGNORE,
    )


def _window_start(
    case: CachedCase, plan: Plan, window: tuple[int, ...], random: np.random.Generator
) -> NDArray[np.int64]:
    """The first voxel of the source window; it may be negative."""
    shape = np.asarray(case.classes.shape)
    patch = np.asarray(plan.patch_size)
    if case.places and random.random() < plan.foreground_fraction:
        places = case.places[int(random.integers(len(case.places)))]
        start = places[int(random.integers(len(places)))] - patch // 2
    else:
        start = random.integers(np.minimum(0, shape - patch), np.maximum(0, shape - patch) + 1)
    # The patch stays inside the case where it can, and holds all of it where it cannot.
    start = np.clip(start, np.minimum(0, shape - patch), np.maximum(0, shape - patch))
    result: NDArray[np.int64] = start - (np.asarray(window) - patch) // 2
    return result


def _copy_window(source: NDArray[np.generic], target: NDArray[np.generic], start: NDArray[np.int64]) -> None:
    """Copy what the window shows of the source; what lies outside stays as it is."""
    low = np.maximum(start, 0)
    high = np.minimum(start + target.shape[1:], source.shape[1:])
    if (high <= low).any():
        return
    there = tuple(slice(int(a), int(b)) for a, b in zip(low - start, high - start, strict=True))
    here = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    target[(slice(None), *there)] = source[(slice(None), *here)]
