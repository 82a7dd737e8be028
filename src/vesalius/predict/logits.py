"""What networks say about a whole prepared image, window by window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vesalius.errors import PlanError
from vesalius.nets import SlicesSpec
from vesalius.nets.norm import channels_last
from vesalius.plan import Plan, Prepared
from vesalius.plan.device import fast_dtype
from vesalius.predict.scratch import scratch
from vesalius.predict.window import iterate_slabs


@contextmanager
def logits_of(
    prepared: Prepared,
    networks: nn.Module | Sequence[nn.Module],
    plan: Plan,
    *,
    mirror_axes: tuple[int, ...] = (),
    overlap: float = 0.5,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """The logits of a whole prepared image, ``(outputs, *prepared.grid.shape)``, float32, averaged over the networks.

    Windows are computed slab by slab, and finished slabs are put away: in memory, or in a temporary file where they
    would take more than a GiB. Every network sees a window before the next one is read, so that one volume of logits is
    held, however many networks there are. The array is gone when the context is left.

    Args:
        prepared: What the network sees.
        networks: One, or several of the plan's network with different weights; in evaluation mode, on one device.
        plan: Patch size and outputs.
        mirror_axes: Axes mirrored; all combinations are averaged.
        overlap: Of neighbouring windows.
        progress: Called with (done, total) windows.

    Raises:
        PlanError: There is no network, or an argument is out of range.
    """
    several = (networks,) if isinstance(networks, nn.Module) else tuple(networks)
    if not several:
        raise PlanError("there must be at least one network")
    device = next(several[0].parameters()).device
    dtype = fast_dtype(device)
    layout = channels_last(plan.ndim)

    @torch.inference_mode()
    def run(windows: Tensor) -> Tensor:
        windows = windows.to(device).contiguous(memory_format=layout)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            total: Tensor = several[0](windows).float()
            for network in several[1:]:
                total = total + network(windows).float()
        return (total / len(several)).cpu()

    outputs = plan.network.out_channels
    patch, overlaps, batch_size = windows_of(plan, prepared.grid.shape, overlap)
    with scratch((outputs, *prepared.array.shape[1:])) as logits:
        for start, slab in iterate_slabs(
            torch.from_numpy(np.require(prepared.array, requirements="W")),
            run,
            patch,
            outputs,
            overlap=overlaps,
            mirror_axes=mirror_axes,
            batch_size=batch_size,
            progress=progress,
        ):
            logits[:, start : start + slab.shape[1]] = slab.numpy()
        yield logits


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
