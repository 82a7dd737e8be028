"""How long a training step takes on this very machine."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch

from vesalius.nets import NetworkSpec, build
from vesalius.plan.device import fast_dtype, find_device


def step_seconds(
    network: NetworkSpec, patch_size: Sequence[int], batch_size: int, *, device: str = "auto", repeats: int = 4
) -> float:
    """Time a training step: forward, backward, on patches of zeros.

    Args:
        network: What to time.
        patch_size: Voxels on each axis.
        batch_size: Patches a step.
        device: Where.
        repeats: Timed runs after one that warms up; the fastest counts, since others may be using the machine.

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
    best = float("inf")
    for turn in range(repeats + 1):
        start = time.perf_counter()
        with torch.autocast(place.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits = net(image)
        outputs = logits if isinstance(logits, list) else [logits]
        torch.stack([out.float().square().mean() for out in outputs]).sum().backward()  # type: ignore[no-untyped-call]
        if place.type == "cuda":
            torch.cuda.synchronize(place)
        if turn:
            best = min(best, time.perf_counter() - start)
    return best
