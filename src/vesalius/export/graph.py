"""Several networks, or several looks of one, as one network: what a runtime gets is a single graph."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from jaxtyping import Float
from torch import Tensor, nn

from vesalius.predict.backends.engine import Mean


def averaged(networks: Sequence[nn.Module]) -> nn.Module:
    """A network whose logits are the mean of those of several; of one, that one.

    Args:
        networks: In evaluation mode.
    """
    return networks[0] if len(networks) == 1 else Mean(networks).eval()


def mirrored(network: nn.Module, axes: Sequence[int]) -> nn.Module:
    """A network whose logits are the mean over all combinations of mirrored axes; for no axes, the network itself.

    Args:
        network: In evaluation mode.
        axes: Of the grid, from 0.

    Example:
        >>> import torch
        >>> network = mirrored(nn.Conv2d(1, 2, 3, padding=1), (0, 1))
        >>> x = torch.randn(1, 1, 4, 6)
        >>> torch.allclose(network(x), network(x.flip(2)).flip(2), atol=1e-6)
        True
    """
    return Mirrored(network, axes).eval() if axes else network


class Mirrored(nn.Module):
    """The mean of a network's logits over mirror images, each turned back."""

    def __init__(self, network: nn.Module, axes: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        dims = [axis + 2 for axis in axes]
        self.turns = [list(turn) for count in range(1, len(dims) + 1) for turn in combinations(dims, count)]

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b outputs *grid"]:
        """Look at every mirror image."""
        total: Tensor = self.network(x)
        for turn in self.turns:
            total = total + self.network(x.flip(turn)).flip(turn)
        return total / (1 + len(self.turns))
