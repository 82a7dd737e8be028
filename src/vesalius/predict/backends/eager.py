"""PyTorch as it is: each operator when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vesalius.nets import NetworkSpec
from vesalius.nets.norm import channels_last
from vesalius.nets.number_format import computing_in
from vesalius.plan.device import fast_dtype
from vesalius.predict.backends.engine import Mean, Run


@dataclass(frozen=True)
class Eager:
    """PyTorch, operator by operator; in float32 the reference for all others.

    Args:
        dtype: What convolutions compute in: ``torch.float32``, or ``torch.bfloat16`` by autocast.
    """

    dtype: torch.dtype

    def refuses(self, network: NetworkSpec, device: torch.device) -> str | None:  # noqa: ARG002
        """It can compute everything, but for bfloat16 on Apple's graphics, where autocast has been of no use."""
        if device.type == "mps" and self.dtype != torch.float32:
            return "this device computes in float32"
        return None

    def load(self, networks: Sequence[nn.Module], window: tuple[int, ...]) -> Run:
        """Nothing has to be made ready."""
        device = next(networks[0].parameters()).device
        layout = channels_last(len(window) - 2)
        network = Mean(networks)

        @torch.inference_mode()
        def run(windows: Tensor) -> Tensor:
            windows = windows.to(device).contiguous(memory_format=layout)
            with computing_in(self.dtype, device):
                logits: Tensor = network(windows)
            return logits.cpu()

        return run


def fast_eager(device: torch.device) -> Eager:
    """PyTorch in the number format that is fast on a device."""
    return Eager(fast_dtype(device))
