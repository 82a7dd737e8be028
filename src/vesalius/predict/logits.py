"""What networks say about a whole prepared image, window by window."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vesalius.errors import PlanError
from vesalius.nets import SlicesSpec
from vesalius.plan import Plan, Prepared
from vesalius.predict.backends import RunFor
from vesalius.predict.backends.eager import fast_eager
from vesalius.predict.places import LINES, STARTS
from vesalius.predict.scratch import give_back, scratch
from vesalius.predict.views import AS_IT_IS, Views
from vesalius.predict.window import Walk, iterate_slabs


def slabs_of(
    prepared: Prepared,
    run_for: RunFor,
    plan: Plan,
    *,
    walk: Walk | None = None,
    views: Views = AS_IT_IS,
    overlap: float = 0.5,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[int, NDArray[Any]]]:
    """The logits of a whole prepared image, slab by slab; see `iterate_slabs`.

    Args:
        prepared: What the network sees.
        run_for: Gives what computes windows, such as `Segmenter.run`, or `as_it_is` of a network.
        plan: Patch size, outputs, and where windows are and what weighs them.
        walk: How the windows are walked through; with the plan's batch when left out.
        views: Mirror images that are looked at; their logits are averaged.
        overlap: Of neighbouring windows.
        progress: Called with (done, total) windows.

    Raises:
        PlanError: An argument is out of range.
    """
    patch, overlaps, batch_size = windows_of(plan, prepared.grid.shape, overlap)
    chosen = walk or Walk(batch_size=batch_size)
    starts_of = STARTS[plan.preparation.window_places]
    places = math.prod(len(at) for at in starts_of(prepared.grid.shape, patch, overlap=overlaps))
    batches = math.ceil(places / chosen.batch_size) * math.ceil(len(views) / chosen.looks)
    for start, slab in iterate_slabs(
        torch.from_numpy(np.require(prepared.array, requirements="W")),
        run_for((chosen.batch_size * chosen.looks, len(prepared.array), *patch), batches),
        patch,
        plan.network.out_channels,
        overlap=overlaps,
        views=views,
        line=LINES[plan.preparation.window_weight],
        starts_of=starts_of,
        walk=chosen,
        progress=progress,
    ):
        give_back()
        yield start, slab.numpy()


@contextmanager
def logits_of(
    prepared: Prepared,
    run_for: RunFor,
    plan: Plan,
    *,
    walk: Walk | None = None,
    views: Views = AS_IT_IS,
    overlap: float = 0.5,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """The logits of a whole prepared image, ``(outputs, *prepared.grid.shape)``, float32: `slabs_of`, joined.

    The array is in memory, or in a temporary file where it would take more than a GiB, and is gone when the context is
    left.

    Args:
        prepared: As for `slabs_of`, like all that follows.
        run_for: Gives what computes windows.
        plan: Patch size, outputs, and where windows are and what weighs them.
        walk: How the windows are walked through.
        views: Mirror images that are looked at.
        overlap: Of neighbouring windows.
        progress: Called with (done, total) windows.

    Raises:
        PlanError: An argument is out of range.
    """
    axis = 1 + (0 if walk is None else walk.axis)
    with scratch((plan.network.out_channels, *prepared.grid.shape)) as logits:
        for start, slab in slabs_of(
            prepared,
            run_for,
            plan,
            walk=walk,
            views=views,
            overlap=overlap,
            progress=progress,
        ):
            np.moveaxis(logits, axis, 0)[start : start + slab.shape[axis]] = np.moveaxis(slab, axis, 0)
        yield logits


def as_it_is(*networks: nn.Module) -> RunFor:
    """Networks in evaluation mode, computed by PyTorch in the number format that is fast on their device.

    Args:
        networks: Of one spec; the logits are their mean.

    Raises:
        PlanError: There is none.
    """
    if not networks:
        raise PlanError("there must be at least one network")
    engine = fast_eager(next(networks[0].parameters()).device)
    return lambda window, _: engine.load(networks, window)


def windows_of(plan: Plan, shape: Sequence[int], overlap: float) -> tuple[tuple[int, ...], tuple[float, ...], int]:
    """Size, overlap (on each axis) and number at once of the windows for an image.

    They are the plan's patches, unless the network sees slices one by one. Then the batch is laid along the slices: as
    many of them go through the network at once as training put into a step, in one deep window. A network that sees a
    slice alone gives it the same logits whatever the window's depth, and no window need overlap another along the
    slices. One that sees neighbours as well finds them in the window, where a shallow one would repeat its outermost
    slices in their place; windows overlap so far that every slice has all its neighbours in one of them.

    Args:
        plan: Patch, batch and network.
        shape: Of the prepared image.
        overlap: Asked for, of neighbouring windows.
    """
    patch, network = plan.patch_size, plan.network
    if not isinstance(network, SlicesSpec):
        return patch, (overlap,) * plan.ndim, plan.batch_size
    axis = network.axis
    depth = max(patch[axis], min(shape[axis], patch[axis] * plan.batch_size))
    along = min(overlap, 2 * network.context / depth)
    return (
        (*patch[:axis], depth, *patch[axis + 1 :]),
        tuple(along if a == axis else overlap for a in range(plan.ndim)),
        max(1, plan.batch_size * patch[axis] // depth),
    )
