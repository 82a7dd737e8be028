"""How long a training step takes on this very machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from vesalius.nets import NetworkSpec, build
from vesalius.nets.norm import channels_last
from vesalius.nets.number_format import computing_in
from vesalius.plan.budget import Budget
from vesalius.plan.device import fast_dtype, find_device

_TIMING_SHARE = 0.02  # of the budget that all timings together may take
_TIMINGS = 8  # that there usually are
_LEAST_S, _MOST_S = 0.3, 3.0  # that one may take: less is noise, more teaches nothing


@dataclass
class Crowding:
    """How much longer than it computes a step takes, at the least disturbed moment of all timings so far.

    Other programs make a step wait, for longer or shorter from one moment to the next; the seconds that the processor
    computes for it are nearly the same always. So what a network costs is told from the latter, and the waiting, which
    is the same for all networks, from all timings together.

    Args:
        least: Time by computing time, at least so far.

    Source: on two cores with a load of 14, the time of a step, least of four, deviated by 10 to 25 % from one planning
    to the next, the computing time by 2 to 4 %.
    """

    least: float = math.inf


def timer(budget: Budget) -> Callable[[NetworkSpec, Sequence[int], int], float]:
    """What `make_plan` times steps with: `step_seconds` on the budget's device, for a small share of its time."""
    share = _MOST_S if budget.time_s is None else budget.time_s * _TIMING_SHARE / _TIMINGS
    most_s = min(_MOST_S, max(_LEAST_S, share))
    crowding = Crowding()

    def timed(network: NetworkSpec, patch_size: Sequence[int], batch_size: int) -> float:
        return step_seconds(network, patch_size, batch_size, device=budget.device, most_s=most_s, crowding=crowding)

    return timed


def step_seconds(
    network: NetworkSpec,
    patch_size: Sequence[int],
    batch_size: int,
    *,
    device: str = "auto",
    repeats: int = 6,
    most_s: float = _MOST_S,
    crowding: Crowding | None = None,
) -> float:
    """Time a training step: forward, backward, on patches of zeros.

    Others may be using the machine, which makes a step longer and never shorter, so the least of several counts; on a
    processor the least computing time, times what `Crowding` knows of the waiting.

    Args:
        network: What to time.
        patch_size: Voxels on each axis.
        batch_size: Patches a step.
        device: Where.
        repeats: Timed runs at most, after one that warms up.
        most_s: No further run is begun when this many seconds have gone. If the one that warms up takes longer, it is
            the only one, and an upper bound.
        crowding: What earlier timings found, brought up to date.

    Returns:
        Seconds a step.
    """
    place = find_device(device)
    with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []):  # training draws what it would have
        runs = _timed_runs(network, patch_size, batch_size, place, repeats, most_s)
    if place.type != "cpu":
        return min(taken for taken, _ in runs)
    crowd = crowding or Crowding()
    # Never less than 1, but for the grain of the clocks: several threads cannot compute more than the time they have.
    crowd.least = min(crowd.least, *(max(1.0, taken / computed) for taken, computed in runs if computed > 0), math.inf)
    return min(computed for _, computed in runs) * crowd.least


def _timed_runs(
    network: NetworkSpec,
    patch_size: Sequence[int],
    batch_size: int,
    place: torch.device,
    repeats: int,
    most_s: float,
) -> list[tuple[float, float]]:
    """Seconds that each step takes, and that each of the processor's threads computes meanwhile."""
    dtype = fast_dtype(place)
    layout = channels_last(network.ndim)
    net = build(network).to(place, memory_format=layout)  # type: ignore[call-overload]
    image = torch.zeros(batch_size, network.in_channels, *patch_size, device=place).to(memory_format=layout)

    def once() -> tuple[float, float]:
        start, computed = time.perf_counter(), time.process_time()
        with computing_in(dtype, place):
            logits = net(image)
        outputs = logits if isinstance(logits, list) else [logits]
        torch.stack([out.float().square().mean() for out in outputs]).sum().backward()
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        return time.perf_counter() - start, (time.process_time() - computed) / torch.get_num_threads()

    began = time.perf_counter()
    first = once()
    if first[0] > most_s:
        return [first]
    runs = [once()]  # the first built the kernels
    while len(runs) < repeats and time.perf_counter() - began < most_s:
        runs.append(once())
    return runs
