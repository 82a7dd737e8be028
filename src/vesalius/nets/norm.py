"""Instance norm and leaky ReLU in one step: exact, and twice as fast on a processor as one after the other.

PyTorch computes instance norm of a channels-last tensor by copying it to channels-first and back, and its channels-last
group norm is slow backwards. Its channels-last *batch* norm is fast, and batch norm of a batch of one is instance norm.
So each sample goes through the batch norm kernel by itself, with statistics in single precision, and the leaky ReLU is
applied in place; its sign is all that the way back needs. Figures: docs/concepts/networks.md.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.errors import PlanError

EPS = 1e-5
"""Added to the variance. Source: Ulyanov et al. 2016, arXiv:1607.08022; PyTorch's default."""


class InstanceNorm(nn.Module):
    """Instance norm with a learned scale and shift, then leaky ReLU.

    Each channel of each sample is brought to mean 0 and variance 1 over the grid; `weight` and `bias` then scale and
    shift it, and values below 0 are multiplied by ``slope``.

    Args:
        channels: Channels of the input.
        slope: Of the leaky ReLU; 0 for ReLU, 1 for no activation.

    Example:
        >>> InstanceNorm(8)(torch.randn(2, 8, 4, 4)).shape
        torch.Size([2, 8, 4, 4])

    Source: Ulyanov et al. 2016, arXiv:1607.08022; Maas et al. 2013 (leaky ReLU). Checked against
    `torch.nn.functional.instance_norm`, forward, backward and twice backward.
    """

    def __init__(self, channels: int, *, slope: float = 1.0) -> None:
        super().__init__()
        self.slope = slope
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b c *grid"]:
        """Normalise and activate.

        Raises:
            PlanError: The grid is a single voxel, which has no variance.
        """
        if all(size == 1 for size in x.shape[2:]):
            raise PlanError("instance norm needs more than one voxel: take a larger patch or fewer stages")
        if _takes_samples_one_by_one(x):
            y: Tensor = _PerSample.apply(x, self.weight, self.bias, self.slope)  # type: ignore[no-untyped-call]
            return y
        return _activate(F.instance_norm(x, weight=self.weight, bias=self.bias, eps=EPS), self.slope)

    def extra_repr(self) -> str:
        """What `print` shows between the brackets."""
        return f"{self.weight.numel()}, slope={self.slope}"


def _activate(x: Tensor, slope: float) -> Tensor:
    return x if slope == 1 else F.leaky_relu(x, slope)


def _takes_samples_one_by_one(x: Tensor) -> bool:
    # Tracers, compilers and torch.func want the plain operators: they fuse or batch them by themselves.
    if (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._functorch.is_functorch_wrapped_tensor(x)
    ):
        return False
    # The meta device, which has no layouts, goes the same way, so that what is counted on it is what a processor keeps.
    return x.is_meta or (x.device.type == "cpu" and x.is_contiguous(memory_format=channels_last(x.ndim - 2)))


def channels_last(ndim: int) -> torch.memory_format:
    """The channels-last memory format of images with this many axes, 2 or 3.

    Example:
        >>> channels_last(3)
        torch.channels_last_3d
    """
    return torch.channels_last if ndim == 2 else torch.channels_last_3d


class _PerSample(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, slope: float) -> Tensor:
        parts = [torch.native_batch_norm(one, weight, bias, None, None, True, 0.0, EPS) for one in x.chunk(len(x))]
        y = torch.cat([part[0] for part in parts])
        if slope != 1:
            F.leaky_relu_(y, slope)
        means, inverse_deviations = (torch.stack([part[i] for part in parts]) for i in (1, 2))
        ctx.save_for_backward(x, weight, y, means, inverse_deviations)
        ctx.slope = slope
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, y, means, inverse_deviations = ctx.saved_tensors
        if ctx.slope != 1:
            grad = torch.ops.aten.leaky_relu_backward(grad, y, ctx.slope, True)
        # A concatenation gives back a view that skips channels; the kernel is fast on dense memory only.
        grad = grad.contiguous(memory_format=channels_last(x.ndim - 2))
        parts = [
            torch.ops.aten.native_batch_norm_backward(
                g, one, weight, None, None, mean, inverse, True, EPS, [True, True, True]
            )
            for g, one, mean, inverse in zip(
                grad.chunk(len(x)), x.chunk(len(x)), means, inverse_deviations, strict=True
            )
        ]
        to_x, to_weight, to_bias = zip(*parts, strict=True)
        return torch.cat(to_x), torch.stack(to_weight).sum(0), torch.stack(to_bias).sum(0), None
