"""The seam between windows and what computes a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.nets import NetworkSpec

Run = Callable[[Tensor], Tensor]
"""Windows ``(b, c, *patch)``, float32 on the processor, to logits ``(b, outputs, *patch)``, float32 on the processor:
the mean over the networks of a bundle."""

RunFor = Callable[[tuple[int, ...], int], Run]
"""What gives a `Run` for windows of a shape ``(b, c, *patch)``, of which so many batches are to come."""


@runtime_checkable
class Backend(Protocol):
    """A way to compute networks."""

    def refuses(self, network: NetworkSpec, device: torch.device) -> str | None:
        """Why it cannot compute such a network there; None where it can."""

    def load(self, networks: Sequence[nn.Module], window: tuple[int, ...]) -> Run:
        """Make networks ready.

        Args:
            networks: Of one spec, in evaluation mode, on one device; the logits are their mean.
            window: ``(b, c, *patch)`` of the windows that will come; the last batch may have fewer.

        Returns:
            What computes them; several threads may call it at once.

        Raises:
            PlanError: The engine does not take the network after all.
            MissingDependencyError: A package that the engine needs is not installed.
        """


class Mean(nn.Module):
    """Several networks as one, whose logits are the mean of theirs, summed in float32.

    Args:
        networks: Of one spec, in evaluation mode.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b outputs *grid"]:
        """Ask all of them."""
        first, *others = self.networks
        total: Tensor = first(x).float()
        for network in others:
            total = total + network(x).float()
        return total / len(self.networks) if others else total
