"""The parts that networks are made of: convolution blocks, residual blocks, ways up, and the layer of scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.errors import PlanError
from vesalius.nets.norm import InstanceNorm
from vesalius.nets.specs.encoder import Shortcut
from vesalius.nets.specs.frame import Upsample

SLOPE = 0.01
"""Of the leaky ReLU below 0. Source: Maas et al. 2013; Isensee et al. 2021, doi:10.1038/s41592-020-01008-z."""

SCORE_DEVIATION = 0.01
"""Of the first weights of a layer of scores, so small that all classes start alike.
Source: Lin et al. 2017, arXiv:1708.02002, section 4.1."""

GROUPS = 8
"""Of group norm. Source: Wu and He 2018, arXiv:1803.08494, use 32 for 256 channels and more; 8 suits 16 and more."""

NormKind = Literal["instance", "batch", "group", "none"]


def convolution(
    inputs: int,
    outputs: int,
    kernel: Sequence[int],
    *,
    stride: Sequence[int] | None = None,
    padded: bool = True,
    bias: bool = True,
    slope: float = SLOPE,
    deviation: float | None = None,
) -> nn.Conv2d | nn.Conv3d:
    """A convolution with He's initialisation: variance is kept through a leaky ReLU of this slope.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Its size, one whole number an axis (2 or 3 axes).
        stride: Steps on each axis; all ones when left out.
        padded: Whether zeros around the image keep its size (for odd kernels at stride 1).
        bias: Whether a learned constant is added; needless before a norm.
        slope: Of the leaky ReLU that follows; 1 when none does.
        deviation: Of the first weights, in place of He's.

    Source: He et al. 2015, doi:10.1109/ICCV.2015.123, equations 10 and 15.
    """
    kind: type[nn.Conv2d] | type[nn.Conv3d] = nn.Conv2d if len(kernel) == 2 else nn.Conv3d
    made = kind(
        inputs,
        outputs,
        tuple(kernel),  # type: ignore[arg-type]
        stride=tuple(stride or (1,) * len(kernel)),  # type: ignore[arg-type]
        padding=tuple(k // 2 if padded else 0 for k in kernel),  # type: ignore[arg-type]
        bias=bias,
    )
    if made.weight.is_meta:
        return made  # no numbers to draw, and trying costs a second of imports
    if deviation is None:
        nn.init.kaiming_normal_(made.weight, a=slope, nonlinearity="leaky_relu")
    else:
        nn.init.normal_(made.weight, std=deviation)
    if made.bias is not None:
        nn.init.zeros_(made.bias)
    return made


def scores(inputs: int, classes: int, window: Sequence[int]) -> nn.Conv2d | nn.Conv3d:
    """The convolution from features to a logit a class.

    Args:
        inputs: Channels in.
        classes: Logits out, background included.
        window: Its size, all ones for a score from each voxel's own features.
    """
    return convolution(inputs, classes, window, padded=False, deviation=SCORE_DEVIATION)


class ConvBlock(nn.Module):
    """Convolution, then dropout of whole channels, then norm, then leaky ReLU.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Odd size on each axis.
        stride: Steps on each axis; all ones when left out.
        norm: The norm; the convolution has a bias only where there is none.
        dropout: Chance that a channel is dropped while training.
        slope: Of the leaky ReLU; 0 for ReLU, 1 for no activation.

    Example:
        >>> ConvBlock(1, 8, (3, 3), stride=(2, 1))(torch.zeros(1, 1, 8, 8)).shape
        torch.Size([1, 8, 4, 8])
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Sequence[int],
        *,
        stride: Sequence[int] | None = None,
        norm: NormKind = "instance",
        dropout: float = 0.0,
        slope: float = SLOPE,
    ) -> None:
        super().__init__()
        ndim = len(kernel)
        self.conv = convolution(inputs, outputs, kernel, stride=stride, bias=norm == "none", slope=slope)
        self.dropout = _channel_dropout(dropout, ndim)
        self.norm: nn.Module
        match norm:
            case "instance":
                self.norm = InstanceNorm(outputs, slope=slope)  # the activation comes with it
            case "batch":
                self.norm = nn.BatchNorm2d(outputs) if ndim == 2 else nn.BatchNorm3d(outputs)
            case "group":
                self.norm = nn.GroupNorm(GROUPS, outputs)
            case "none":
                self.norm = nn.Identity()
        active = norm != "instance" and slope != 1
        self.act: nn.Module = nn.LeakyReLU(slope) if active else nn.Identity()

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b d *coarser"]:
        """Convolve, normalise, activate."""
        y: Tensor = self.act(self.norm(self.dropout(self.conv(x))))
        return y


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to their input, or three with a narrow middle.

    Where the number of channels changes, the input goes through a 1x1 convolution. Where the block steps, it is
    averaged over the step first, so that no voxel is thrown away; or the 1x1 convolution takes the step, as published.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Odd size on each axis.
        stride: Of the first convolution that has the kernel; all ones when left out.
        norm: The norm after each convolution.
        dropout: Chance that a channel is dropped while training, after the first convolution.
        slope: Of the leaky ReLU.
        narrow: Channels of the middle for the three-convolution form (1x1, kernel, 1x1); two convolutions without.
        shortcut: Whether the input is averaged over the step, or strided over by the 1x1 convolution.
        silent: Whether the convolutions add nothing at first, because the scale of the last norm (there must be one)
            starts at 0.

    Example:
        >>> ResidualBlock(4, 8, (3, 3, 3), stride=(1, 2, 2))(torch.zeros(1, 4, 4, 8, 8)).shape
        torch.Size([1, 8, 4, 4, 4])

    Source: He et al. 2016, doi:10.1109/CVPR.2016.90, figures 2 and 5; He et al. 2019, arXiv:1812.01187 (ResNet-D:
    the average before the projection, the step in the 3x3 convolution); Goyal et al. 2017, arXiv:1706.02677,
    section 5.1 (silent); Isensee et al. 2024, arXiv:2404.09556.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: Sequence[int],
        *,
        stride: Sequence[int] | None = None,
        norm: NormKind = "instance",
        dropout: float = 0.0,
        slope: float = SLOPE,
        narrow: int | None = None,
        shortcut: Shortcut = "averaged",
        silent: bool = False,
    ) -> None:
        super().__init__()
        one = (1,) * len(kernel)
        steps = tuple(stride or one)
        if narrow is None:
            self.body = nn.Sequential(
                ConvBlock(inputs, outputs, kernel, stride=steps, norm=norm, dropout=dropout, slope=slope),
                ConvBlock(outputs, outputs, kernel, norm=norm, slope=1.0),
            )
        else:
            self.body = nn.Sequential(
                ConvBlock(inputs, narrow, one, norm=norm, dropout=dropout, slope=slope),
                ConvBlock(narrow, narrow, kernel, stride=steps, norm=norm, slope=slope),
                ConvBlock(narrow, outputs, one, norm=norm, slope=1.0),
            )
        if silent:
            nn.init.zeros_(self.body[-1].norm.weight)  # type: ignore[union-attr, arg-type]
        self.averaged, strided = (steps, one) if shortcut == "averaged" else (one, steps)
        self.project: nn.Module = nn.Identity()
        if inputs != outputs or strided != one:
            self.project = ConvBlock(inputs, outputs, one, stride=strided, norm=norm, slope=1.0)
        self.act = nn.LeakyReLU(slope)

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b d *coarser"]:
        """Add what the convolutions find to what came in."""
        y: Tensor = self.act(self.body(x) + self.project(average(x, self.averaged)))
        return y


class Up(nn.Module):
    """To a finer grid: a transposed convolution whose kernel is its stride, or a 1x1 convolution and interpolation.

    The windows of a transposed convolution with kernel = stride do not overlap, so it is a 1x1 convolution to one set
    of channels for each place in the window, laid side by side: the same sums, in a form that is 2.5 times as fast
    on a processor and that phones and browsers can run. A 1x1 convolution and an interpolation can change places, so
    the convolution comes first, where there are fewer voxels.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: How much finer on each axis.
        kind: Which of the two.
        deviation: Of the first weights; He's when left out.

    Example:
        >>> Up(8, 4, (1, 2, 2))(torch.zeros(1, 8, 3, 3, 3)).shape
        torch.Size([1, 4, 3, 6, 6])

    Source: Shi et al. 2016, arXiv:1609.07009 (the equivalence); checked against `torch.nn.functional.conv_transpose3d`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: Sequence[int],
        *,
        kind: Upsample = "transposed",
        deviation: float | None = None,
    ) -> None:
        super().__init__()
        self.stride = tuple(stride)
        self.kind = kind
        sets = math.prod(self.stride) if kind == "transposed" else 1
        self.conv = convolution(inputs, sets * outputs, (1,) * len(self.stride), slope=1.0, deviation=deviation)

    def forward(self, x: Float[Tensor, "b c *grid"]) -> Float[Tensor, "b d *finer"]:
        """Go to the finer grid."""
        y: Tensor = self.conv(x)
        return lay_side_by_side(y, self.stride) if self.kind == "transposed" else interpolate(y, self.stride)


def lay_side_by_side(x: Float[Tensor, "b sets_c *grid"], stride: Sequence[int]) -> Float[Tensor, "b c *finer"]:
    """Lay sets of channels out as the voxels of a finer grid (the last axis of the window counts fastest).

    Args:
        x: Channels in ``prod(stride)`` sets, one for each place in the window.
        stride: The window.

    Example:
        >>> lay_side_by_side(torch.arange(4.0).reshape(1, 4, 1, 1), (2, 2))
        tensor([[[[0., 1.],
                  [2., 3.]]]])
    """
    batch, _, *grid = x.shape
    n = len(grid)
    # Channels stay innermost throughout, so that channels-last memory is read and written in runs.
    x = x.movedim(1, -1).reshape(batch, *grid, *stride, -1)
    woven = [axis for pair in zip(range(1, n + 1), range(n + 1, 2 * n + 1), strict=True) for axis in pair]
    finer = [size * step for size, step in zip(grid, stride, strict=True)]
    return x.permute(0, *woven, 2 * n + 1).reshape(batch, *finer, -1).movedim(-1, 1)


def interpolate(x: Float[Tensor, "b c *grid"], stride: Sequence[int]) -> Float[Tensor, "b c *finer"]:
    """Linear interpolation onto a grid that is finer by whole numbers, voxel corners aligned with voxel corners.

    Args:
        x: Any channels.
        stride: How much finer on each axis.
    """
    if all(step == 1 for step in stride):
        return x
    size = [n * step for n, step in zip(x.shape[2:], stride, strict=True)]
    return F.interpolate(x, size=size, mode="bilinear" if x.ndim == 4 else "trilinear", align_corners=False)


def average(x: Float[Tensor, "b c *grid"], stride: Sequence[int]) -> Float[Tensor, "b c *coarser"]:
    """The mean of each window of ``stride`` voxels.

    Args:
        x: Any channels; its sizes are multiples of the stride.
        stride: The window and the step.

    Example:
        >>> average(torch.arange(8.0).reshape(1, 1, 2, 4), (2, 2))
        tensor([[[[2.5000, 4.5000]]]])
    """
    if all(step == 1 for step in stride):
        return x
    size = tuple(n // step for n, step in zip(x.shape[2:], stride, strict=True))
    if max(stride) == 2:
        # Linear interpolation at the middle of two voxels is their mean, and six times as fast as average pooling.
        return F.interpolate(x, size=size, mode="bilinear" if x.ndim == 4 else "trilinear", align_corners=False)
    pool = F.adaptive_avg_pool2d if x.ndim == 4 else F.adaptive_avg_pool3d
    return pool(x, size)  # type: ignore[arg-type]


def check_size(x: Tensor, divisor: Sequence[int]) -> None:
    """Make sure that an image's axes are multiples of what the network steps by.

    Args:
        x: ``(b, c, *grid)``.
        divisor: One whole number an axis.

    Raises:
        PlanError: Another number of axes, or an axis that is not a multiple.
    """
    if torch.compiler.is_compiling():
        return  # a compiled or exported network takes the sizes it was made for
    grid = tuple(x.shape[2:])
    if len(grid) != len(divisor):
        raise PlanError(f"the network takes images with {len(divisor)} axes (b, c, *grid), not shape {tuple(x.shape)}")
    if any(size == 0 or size % step for size, step in zip(grid, divisor, strict=True)):
        padded = tuple(max(1, math.ceil(n / d)) * d for n, d in zip(grid, divisor, strict=True))
        raise PlanError(f"the image's size {grid} must be a multiple of {tuple(divisor)}: pad it to {padded}")


def _channel_dropout(chance: float, ndim: int) -> nn.Module:
    if chance == 0:
        return nn.Identity()
    return nn.Dropout2d(chance) if ndim == 2 else nn.Dropout3d(chance)
