"""Several networks, or several looks of one, as one network: what a runtime gets is a single graph."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from vesalius.predict.backends.engine import Mean
from vesalius.predict.views import AS_IT_IS, Views


def averaged(networks: Sequence[nn.Module]) -> nn.Module:
    """A network whose logits are the mean of those of several; of one, that one.

    Args:
        networks: In evaluation mode.
    """
    return networks[0] if len(networks) == 1 else Mean(networks).eval()


def mirrored(network: nn.Module, views: Views) -> nn.Module:
    """A network whose logits are the mean over some looks at a window; for the window alone, the network itself.

    Args:
        network: In evaluation mode.
        views: The looks, such as `vesalius.predict.views.planned_views`.

    Example:
        >>> import torch
        >>> from vesalius.predict.views import views_of
        >>> network = mirrored(nn.Conv2d(1, 2, 3, padding=1), views_of((0, 1)))
        >>> x = torch.randn(1, 1, 4, 6)
        >>> torch.allclose(network(x), network(x.flip(2)).flip(2), atol=1e-6)
        True
    """
    return Mirrored(network, views).eval() if views != AS_IT_IS else network


class Mirrored(nn.Module):
    """The mean of a network's logits over mirror images, each turned back."""

    def __init__(self, network: nn.Module, views: Views) -> None:
        super().__init__()
        self.network = network
        self.views = views

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b outputs *grid"]:
        """Look at every mirror image."""
        first, *others = self.views
        total = first.back(self.network(first.of(x)))
        for view in others:
            total = total + view.back(self.network(view.of(x)))
        return total / len(self.views)
