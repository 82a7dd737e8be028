"""PyTorch, with the whole network compiled for this processor or GPU."""

from __future__ import annotations

import copy
import importlib.util
import os
import shutil
import sys
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vesalius.errors import PlanError
from vesalius.nets import NetworkSpec
from vesalius.nets.norm import channels_last
from vesalius.nets.number_format import computing_in
from vesalius.plan.device import fast_dtype
from vesalius.predict.backends.engine import Mean, Run


class Compiled:
    """`torch.compile`, in the number format that is fast on the device: ten seconds to a minute to make ready.

    Weights are a copy in that format (with autocast alone, norms go through float32, which takes more than twice as
    long), and on a processor laid out beforehand as its convolutions want them. Figures: docs/concepts/engines.md.
    """

    def refuses(self, network: NetworkSpec, device: torch.device) -> str | None:  # noqa: ARG002
        """It needs a compiler: C++ for the processor, Triton for a GPU."""
        if device.type == "cpu":
            # As torch's own `torch._inductor.config.cpp.cxx` looks for it.
            name = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
            return None if shutil.which(name) else f"there is no C++ compiler ({name}) to compile the network with"
        if device.type == "cuda":
            return None if importlib.util.find_spec("triton") else "there is no Triton to compile the network with"
        return f"it compiles for processors and CUDA, not for {device.type}"

    def load(self, networks: Sequence[nn.Module], window: tuple[int, ...]) -> Run:
        """Compile the networks for one size of batch; batches with fewer windows are filled up with zeros.

        The compiling itself happens on a batch of zeros, here and not at the first window.
        """
        device = next(networks[0].parameters()).device
        layout = channels_last(len(window) - 2)
        number_format = fast_dtype(device)
        mean: nn.Module = Mean(networks)
        if number_format == torch.bfloat16:
            mean = copy.deepcopy(mean).to(torch.bfloat16)
        options: dict[str, Any] = {"freezing": True} if device.type == "cpu" else {}
        one_at_a_time = threading.Lock()  # torch's compiler keeps state that threads would share

        @torch.inference_mode()
        def run(windows: Tensor) -> Tensor:
            full = windows
            if len(windows) < window[0]:
                full = torch.cat([windows, windows.new_zeros(window[0] - len(windows), *window[1:])])
            full = full.to(device, number_format).contiguous(memory_format=layout)
            with one_at_a_time, computing_in(number_format, device):
                logits: Tensor = network(full)
            return logits[: len(windows)].cpu()

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch speaks of its own older functions
                network = torch.compile(mean, dynamic=False, options=options)
                run(torch.zeros(window))
        except RuntimeError as error:
            raise PlanError(f"torch cannot compile this network: {' '.join(str(error).split())[:300]}") from error
        return run
