"""What a network says of windows: batch by batch on a thread of its own, mirrored, and the same window only once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from vesalius.errors import PlanError
from vesalius.predict.views import View, Views

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows that are looked at together.

    Args:
        places: Number of each on every axis.
        windows: ``(c, *patch)`` float32 each.
        values: Of each window the value of every channel, where it holds nothing else.
    """

    places: tuple[tuple[int, ...], ...]
    windows: tuple[Tensor, ...]
    values: tuple[tuple[float, ...] | None, ...]


def batches(windows: Iterator[tuple[tuple[int, ...], Tensor]], size: int, *, remember: bool) -> Iterator[Batch]:
    """Put windows together, in their order.

    Args:
        windows: Place and content ``(c, *patch)`` of each.
        size: How many go through the network at once; the last batch has what is left.
        remember: Whether to tell windows of a single value, which need not go through it.
    """
    waiting: list[tuple[tuple[int, ...], Tensor, tuple[float, ...] | None]] = []
    for place, window in windows:
        waiting.append((place, window, single_value(window) if remember else None))
        if sum(value is None for _, _, value in waiting) == size:
            yield Batch(*zip(*waiting, strict=True))
            waiting = []
    if waiting:
        yield Batch(*zip(*waiting, strict=True))


def single_value(window: Float[Tensor, "c *patch"]) -> tuple[float, ...] | None:
    """The value of each channel, where it has the same at every voxel.

    Example:
        >>> single_value(torch.tensor([[2.0, 2.0], [3.0, 3.0]])), single_value(torch.tensor([[2.0, 3.0]]))
        ((2.0, 3.0), None)
    """
    few = window[:, *(slice(None, None, max(1, n // 4)) for n in window.shape[1:])].flatten(1)
    first = few[:, :1]
    # Most windows show more than one value at a few places already.
    if not bool((few == first).all()) or not bool((window.flatten(1) == first).all()):
        return None
    return tuple(first.flatten().tolist())


def answers(
    asked: Iterator[Batch], network: Network, views: Views, classes: int, *, ahead: int, looks: int = 1
) -> Generator[tuple[Batch, list[Tensor]]]:
    """What the network says of each batch, in their order, computed on a thread of its own.

    What it says of a window of a single value is kept for the next window of this value. A network in evaluation mode
    is a function of its window, so the answer is the same; and as such a window is its own mirror image, the network
    need not see the mirrored ones either.

    Args:
        asked: Made on the caller's thread, ``ahead`` before they are needed.
        network: See `vesalius.predict.window.iterate_slabs`.
        views: The mirror images that are looked at; the answer is their mean.
        classes: Channels of the answer.
        ahead: Batches that are computed before the caller is done with the last one; 0 computes on the caller's
            thread.
        looks: Mirror images of a batch that go through the network together.

    Yields:
        Batches, and ``(classes, *patch)`` float32 for each of their windows, not to be changed.

    Raises:
        PlanError: The network's result has another shape. Whatever the network raises comes through.
    """
    known: dict[tuple[float, ...], Tensor] = {}

    def of_one(value: tuple[float, ...], window: Tensor) -> Tensor:
        if value not in known:
            known.clear()  # one at a time: with many classes an answer is large
            once = network(window[None])
            (known[value],) = mirrored(lambda _: once, window[None], views, classes)
        return known[value]

    @torch.inference_mode()
    def answer(batch: Batch) -> list[Tensor]:
        both = list(zip(batch.windows, batch.values, strict=True))
        new = [window for window, value in both if value is None]
        fresh = iter(mirrored(network, torch.stack(new), views, classes, looks=looks) if new else ())
        return [next(fresh) if value is None else of_one(value, window) for window, value in both]

    if ahead == 0:
        for batch in asked:
            yield batch, answer(batch)
        return
    waiting: deque[tuple[Batch, Future[list[Tensor]]]] = deque()
    with ThreadPoolExecutor(1, "vesalius-network") as thread:
        try:
            for batch in asked:
                waiting.append((batch, thread.submit(answer, batch)))
                if len(waiting) > ahead:
                    yield _first(waiting)
            while waiting:
                yield _first(waiting)
        finally:
            for _, later in waiting:
                later.cancel()


def _first(waiting: deque[tuple[Batch, Future[list[Tensor]]]]) -> tuple[Batch, list[Tensor]]:
    """Nothing but what it returns holds the answer, so that it goes when the caller is done with it."""
    batch, future = waiting.popleft()
    return batch, future.result()


def mirrored(
    network: Network, windows: Float[Tensor, "b c *patch"], views: Views, classes: int, *, looks: int = 1
) -> Float[Tensor, "b classes *patch"]:
    """Mean of the logits over mirror images, each turned back, float32, contiguous.

    Args:
        network: As for `answers`.
        windows: What it sees.
        views: The mirror images that are looked at.
        classes: Channels of its result.
        looks: How many of them it sees at once.

    Raises:
        PlanError: The network's result has another shape.
    """

    def seen() -> Iterator[tuple[View, Tensor]]:
        for at in range(0, len(views), looks):
            some = views[at : at + looks]
            turned = [view.of(windows) for view in some]
            expected = (len(some) * len(windows), classes, *windows.shape[2:])
            logits = network(turned[0] if len(turned) == 1 else torch.cat(turned))
            if tuple(logits.shape) != expected:
                raise PlanError(f"the network must give logits of shape {expected}, not {tuple(logits.shape)}")
            yield from zip(some, logits.float().contiguous().split(len(windows)), strict=True)

    each = seen()
    view, total = next(each)
    total = view.back(total)
    if len(views) == 1:
        return total
    total = total.clone()  # what the network gave is not ours to change
    for view, logits in each:
        # Class by class, so that what is turned back stays in the processor's cache.
        for whole, found in zip(total, logits, strict=True):
            for number, one in enumerate(whole):
                one += found[view.outputs[number] if view.outputs else number].flip(view.axes)
    total /= len(views)
    return total
