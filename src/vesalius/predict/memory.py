"""How windows are walked through in the memory there is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from vesalius.errors import PlanError
from vesalius.image import Volume
from vesalius.nets.cost import forward_bytes
from vesalius.plan import Plan
from vesalius.plan.budget import free_memory_gib
from vesalius.predict.logits import windows_of
from vesalius.predict.places import window_starts
from vesalius.predict.scratch import IN_MEMORY_BYTES
from vesalius.predict.window import Walk
from vesalius.transform.argmax import LABEL_TILE
from vesalius.transform.sampling import tile_shape

_GIB = 1 << 30
_SHARE = 0.9  # of what is free: other programs want some too
_ENGINE = 1.25  # what a pass takes, to what its tensors take at a time: 1.19 seen with PyTorch, 1.0 with OpenVINO
_SPARE = 160 << 20  # modules that are imported late, threads' stacks, tiles, what the allocator keeps
_AFTER = 8  # bytes a voxel while the label map is cleaned up and brought to its own grid


def room_bytes(memory_gib: float | None = None) -> int:
    """What this process may still take.

    Args:
        memory_gib: What it may take in all, with what it has now; when left out, most of what is free on the machine.

    Raises:
        PlanError: It is not a positive number.
    """
    if memory_gib is None:
        return int(_SHARE * free_memory_gib() * _GIB)
    if not memory_gib > 0:
        raise PlanError(f"memory_gib must be a positive number, not {memory_gib}")
    return int(memory_gib * _GIB) - taken_bytes()


def taken_bytes() -> int:
    """What this process has taken."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def check_preparing(image: Volume, plan: Plan, memory_gib: float | None) -> None:
    """Make sure that an image can be prepared: normalised in single precision, and brought to the plan's spacing.

    Args:
        image: As it was read.
        plan: Of the network.
        memory_gib: See `room_bytes`.

    Raises:
        PlanError: It would take more memory than there may be.
    """
    voxels = math.prod(image.grid.shape)
    ratio = 1.0
    if plan.calibrated and image.meta.calibrated:
        ratio = image.grid.voxel_volume_mm3 / math.prod(plan.spacing_mm)
    # Single precision, which voxels hold anything, and the result beside its copy.
    needed = int(voxels * (4 * image.channels + 1 + 2 * 4 * len(plan.channels) * ratio)) + _SPARE
    room = room_bytes(memory_gib)
    if needed > room:
        raise _too_little(needed, room, memory_gib, f"preparing an image of {image.grid.shape} voxels")


def choose_walk(
    plan: Plan,
    shape: Sequence[int],
    target: Sequence[int],
    *,
    overlap: float,
    views: int,
    device: torch.device,
    engines: int = 1,
    memory_gib: float | None = None,
    parts: int = 1,
    axis: int | None = None,
    whole: bool = False,
) -> Walk:
    """How to go through the windows of an image without taking more memory than there may be.

    Slabs run along the axis along which least is held. Then, as far as it must be: fewer windows at once; nothing
    remembered or computed ahead; sums in half precision.

    Args:
        plan: Of the network.
        shape: Of the prepared image.
        target: Of the grid on which the labels are wanted.
        overlap: Of neighbouring windows.
        views: How many mirror images are looked at, the window as it is included.
        device: Where the network is computed: only the processor's memory is counted.
        engines: How many are ready to compute it at a time.
        memory_gib: See `room_bytes`.
        parts: How many networks go through the image side by side; each may take its part.
        axis: Along which slabs must run.
        whole: Whether the logits of the whole image are wanted at once.

    Raises:
        PlanError: It cannot be done in so little memory; the message says how much it takes.
    """
    patch, overlaps, most = windows_of(plan, shape, overlap)
    along = held_axis(shape, patch) if axis is None else axis
    starts = window_starts(shape, patch, overlap=overlaps)
    batch_size = min(most, math.prod(len(at) for a, at in enumerate(starts) if a != along))  # a slab's windows
    room, needed = room_bytes(memory_gib), 0
    for walk in _walks(along, batch_size, min(views, max(1, most // batch_size))):
        needed = parts * needed_bytes(
            plan,
            shape,
            target,
            walk,
            overlap=overlap,
            views=views,
            device=device,
            engines=engines,
            whole=whole,
        )
        if needed <= room:
            return walk
    raise _too_little(needed, room, memory_gib, f"segmenting {tuple(target)} voxels in windows of {patch}")


def held_axis(shape: Sequence[int], patch: Sequence[int]) -> int:
    """The axis along which a window's thickness of logits is least.

    Example:
        >>> held_axis((512, 512, 90), (128, 128, 64)), held_axis((100, 100, 400), (64, 64, 64))
        (0, 2)
    """
    padded = [max(n, p) for n, p in zip(shape, patch, strict=True)]
    return min(range(len(padded)), key=lambda axis: (math.prod(padded) // padded[axis] * patch[axis], axis))


def _walks(axis: int, batch_size: int, looks: int) -> Iterator[Walk]:
    """From the one that takes most to the one that takes least."""
    walk = Walk(axis=axis, batch_size=batch_size, looks=looks)
    yield walk
    while walk.looks > 1:
        walk = replace(walk, looks=walk.looks // 2)
        yield walk
    while walk.batch_size > 1:
        walk = replace(walk, batch_size=walk.batch_size // 2)
        yield walk
    for held_as in (torch.float32, torch.float16):
        yield replace(walk, held_as=held_as)
        yield replace(walk, held_as=held_as, remember=False)
        yield replace(walk, held_as=held_as, remember=False, ahead=0)


def needed_bytes(
    plan: Plan,
    shape: Sequence[int],
    target: Sequence[int],
    walk: Walk,
    *,
    overlap: float,
    views: int,
    device: torch.device,
    engines: int = 1,
    whole: bool = False,
) -> int:
    """What going through the windows takes at most, with what comes of it, and without the prepared image.

    Args:
        plan: As for `choose_walk`, like all that follows.
        shape: Of the prepared image.
        target: Of the labels.
        walk: How.
        overlap: Of neighbouring windows.
        views: How many mirror images are looked at, the window as it is included.
        device: Where the network is computed.
        engines: How many are ready to compute it at a time.
        whole: Whether the logits of the whole image are wanted at once.
    """
    patch = windows_of(plan, shape, overlap)[0]
    outputs, axis, bytes_held = plan.network.out_channels, walk.axis, walk.held_as.itemsize
    padded = [max(n, p) for n, p in zip(shape, patch, strict=True)]
    across = math.prod(padded) // padded[axis]
    order = [target[axis], *(n for a, n in enumerate(target) if a != axis)]
    rows = math.ceil(tile_shape(order, *LABEL_TILE)[0] * shape[axis] / target[axis]) + 2
    held = outputs * across * (patch[axis] + min(rows, shape[axis])) * bytes_held
    answer = outputs * math.prod(patch) * 4
    answers = walk.batch_size * (walk.ahead + (views > 1)) + walk.remember
    together = walk.batch_size * walk.looks
    network = together * 2 * answer  # what it says, and the same as it is laid out here
    if device.type == "cpu":
        passing = forward_bytes(plan.network, tuple(patch), batch=together)
        network = max(network, engines * int(_ENGINE * passing))
    result = math.prod(target) * (1 if outputs <= 256 else 2)
    if whole:  # probabilities, and the logits that they are made of
        result += 4 * outputs * math.prod(target)
        held += min(4 * outputs * math.prod(shape), IN_MEMORY_BYTES)
    # Engines keep what they need between the layers, from image to image.
    return result + network + max(held + answer * answers, math.prod(target) * _AFTER) + _SPARE


def _too_little(needed: int, room: int, memory_gib: float | None, what: str) -> PlanError:
    if memory_gib is None:
        return PlanError(
            f"{what} takes {needed / _GIB:.2f} GiB, and {room / _GIB:.2f} GiB are free: free some, or use a machine "
            "with more memory"
        )
    return PlanError(
        f"{what} takes {(needed + taken_bytes()) / _GIB:.2f} GiB in all, and memory_gib is {memory_gib:g}: allow that "
        "much, or do without what takes more (mirroring, probabilities, partners; backend 'auto', which tries several)"
    )
