"""How long a training step takes on this very machine."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from vesalius.nets import NetworkSpec, build
from vesalius.plan.budget import Budget
from vesalius.plan.choice import StepSeconds
from vesalius.plan.device import fast_dtype, find_device

_TIMING_SHARE = 0.03  # of the budget that all timings together may take
_TIMINGS = 8  # that there usually are
_LEAST_S, _MOST_S = 0.3, 3.0  # that one may take: less is noise, more teaches nothing


def timer(budget: Budget) -> StepSeconds:
    """What `make_plan` times steps with: `step_seconds` on the budget's device, for a small share of its time."""
    share = _MOST_S if budget.time_s is None else budget.time_s * _TIMING_SHARE / _TIMINGS
    most_s = min(_MOST_S, max(_LEAST_S, share))

    def timed(network: NetworkSpec, patch_size: Sequence[int], batch_size: int) -> float:
        return step_seconds(network, patch_size, batch_size, device=budget.device, most_s=most_s)

    return timed


def step_seconds(
    network: NetworkSpec,
    patch_size: Sequence[int],
    batch_size: int,
    *,
    device: str = "auto",
    repeats: int = 8,
    most_s: float = _MOST_S,
) -> float:
    """Time a training step: forward, backward, on patches of zeros.

    Others may be using the machine, which makes a step longer and never shorter, so the fastest counts.

    Args:
        network: What to time.
        patch_size: Voxels on each axis.
        batch_size: Patches a step.
        device: Where.
        repeats: Timed runs at most, after one that warms up.
        most_s: No run is begun when this many seconds have gone; one is always timed after the one that warms up,
            unless that alone took longer: then it counts itself, as an upper bound.

    Returns:
        Seconds a step.
    """
    place = find_device(device)
    dtype = fast_dtype(place)
    layout = torch.channels_last_3d if network.ndim == 3 else torch.channels_last
    state = torch.random.get_rng_state()  # measuring must not change what training draws
    net = build(network).to(place, memory_format=layout)  # type: ignore[call-overload]
    torch.random.set_rng_state(state)
    image = torch.zeros(batch_size, network.in_channels, *patch_size, device=place).to(memory_format=layout)

    def once() -> float:
        start = time.perf_counter()
        with torch.autocast(place.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits = net(image)
        outputs = logits if isinstance(logits, list) else [logits]
        torch.stack([out.float().square().mean() for out in outputs]).sum().backward()  # type: ignore[no-untyped-call]
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        return time.perf_counter() - start

    began = time.perf_counter()
    best = once()
    if best > most_s:
        return best
    best = once()  # the first run built the kernels
    for _ in range(repeats - 1):
        if time.perf_counter() - began > most_s:
            break
        best = min(best, once())
    return best
