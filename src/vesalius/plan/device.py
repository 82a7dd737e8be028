"""The device there is, and the number format it is fast in."""

from __future__ import annotations

import time
from functools import cache

import torch

from vesalius.errors import PlanError


def find_device(name: str = "auto") -> torch.device:
    """The device of this name; with ``"auto"`` the best that is there: CUDA, then Apple's MPS, then the processor.

    Args:
        name: ``"auto"``, or what `torch.device` takes.

    Raises:
        PlanError: The device is unknown or not there.

    Example:
        >>> find_device("cpu")
        device(type='cpu')
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        float(torch.zeros(1, device=device))  # it can be computed on, and read back
    except (RuntimeError, AssertionError):
        raise PlanError(f"the device {name!r} is not there; take 'auto', 'cpu', 'cuda', 'cuda:0' … or 'mps'") from None
    return device


@cache
def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where a convolution runs faster in it than in float32 on this very machine, else float32.

    Matrix units (AMX, tensor cores) make bfloat16 two to four times faster; without them it is slower than float32,
    and asking the processor's flags has been wrong before, so it is timed: about 0.1 s, once a process.

    Args:
        device: Where to measure.

    Source: the facts gathered by MIST (bfloat16 slower without matrix units); measured in benchmarks/README.md.
    """
    if device.type == "mps":
        return torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    conv = torch.nn.Conv3d(32, 32, 3, padding=1)
    image = torch.zeros(1, 32, 24, 24, 24).to(memory_format=torch.channels_last_3d)

    def seconds(dtype: torch.dtype) -> float:
        best = float("inf")
        for _ in range(4):  # the first call builds the kernel
            start = time.perf_counter()
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                conv(image).float().sum().backward()
            best = min(best, time.perf_counter() - start)
        return best

    return torch.bfloat16 if seconds(torch.bfloat16) < 0.9 * seconds(torch.float32) else torch.float32
