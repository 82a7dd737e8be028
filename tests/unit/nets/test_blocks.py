"""Blocks against torch's own layers."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vesalius.errors import PlanError
from vesalius.nets.blocks import (
    SLOPE,
    ConvBlock,
    ResidualBlock,
    Up,
    average,
    check_size,
    convolution,
    interpolate,
    lay_side_by_side,
)


@pytest.mark.parametrize("norm", ["instance", "batch", "group", "none"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_block_is_convolution_norm_and_leaky_relu(norm, ndim):
    torch.manual_seed(0)
    block = ConvBlock(3, 16, (3,) * ndim, stride=(2,) * ndim, norm=norm)
    x = torch.randn(2, 3, *(8,) * ndim)
    plain = {
        "instance": (nn.InstanceNorm2d, nn.InstanceNorm3d)[ndim - 2](16, affine=True),
        "batch": (nn.BatchNorm2d, nn.BatchNorm3d)[ndim - 2](16),
        "group": nn.GroupNorm(8, 16),
        "none": nn.Identity(),
    }[norm]
    expected = F.leaky_relu(plain(block.conv(x)), SLOPE)
    torch.testing.assert_close(block(x), expected)
    assert (block.conv.bias is None) == (norm != "none")


def test_dropout_drops_whole_channels_and_only_while_training():
    torch.manual_seed(0)
    block = ConvBlock(1, 32, (1, 1), norm="none", dropout=0.5, slope=1.0)
    nn.init.ones_(block.conv.weight)
    x = torch.ones(1, 1, 4, 4)
    dropped = (block(x) == 0).flatten(2).float().mean(2)
    assert set(dropped.unique().tolist()) == {0.0, 1.0}
    assert (block.eval()(x) == 1).all()


@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (3, 1), (2, 2, 2), (1, 2, 3)])
@pytest.mark.parametrize("memory", ["contiguous", "last"])
def test_up_is_a_transposed_convolution(stride, memory):
    torch.manual_seed(0)
    n = len(stride)
    up = Up(6, 5, stride)
    x = torch.randn(2, 6, *(3, 4, 5)[:n])
    if memory == "last":
        x = x.contiguous(memory_format=torch.channels_last if n == 2 else torch.channels_last_3d)
    transposed = F.conv_transpose2d if n == 2 else F.conv_transpose3d
    weight = up.conv.weight.reshape(*stride, 5, 6).movedim((-1, -2), (0, 1))
    bias = up.conv.bias.reshape(-1, 5)[0]
    expected = transposed(x, weight.contiguous(), bias, stride=stride)
    torch.testing.assert_close(up(x), expected, rtol=1e-4, atol=1e-5)


def test_laying_side_by_side_keeps_channels_last():
    x = torch.randn(1, 16, 3, 3, 3).contiguous(memory_format=torch.channels_last_3d)
    assert lay_side_by_side(x, (2, 2, 2)).is_contiguous(memory_format=torch.channels_last_3d)


def test_up_by_interpolation_may_convolve_first():
    torch.manual_seed(0)
    up = Up(6, 5, (2, 2), kind="interpolate")
    nn.init.normal_(up.conv.bias)
    x = torch.randn(1, 6, 4, 5)
    torch.testing.assert_close(up(x), up.conv(interpolate(x, (2, 2))), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (3, 2), (2, 2, 2), (1, 2, 2), (4, 1, 2)])
def test_average_is_average_pooling(stride):
    n = len(stride)
    x = torch.randn(2, 3, *(12, 8, 4)[:n], dtype=torch.float64)
    pool = F.avg_pool2d if n == 2 else F.avg_pool3d
    torch.testing.assert_close(average(x, stride), pool(x, stride))


@pytest.mark.parametrize("narrow", [None, 4])
def test_a_residual_block_adds_its_projected_input(narrow):
    block = ResidualBlock(8, 16, (3, 3), stride=(2, 2), norm="batch", narrow=narrow).eval()
    nn.init.zeros_(block.body[-1].norm.weight)  # the convolutions find nothing
    x = torch.randn(2, 8, 8, 8)
    torch.testing.assert_close(block(x), F.leaky_relu(block.project(F.avg_pool2d(x, 2)), SLOPE))


@pytest.mark.parametrize("slope", [0.0, 0.01, 1.0])
def test_he_initialisation(slope):
    torch.manual_seed(0)
    layer = convolution(64, 64, (3, 3), slope=slope)
    assert layer.weight.var().item() == pytest.approx(2 / ((1 + slope**2) * 64 * 9), rel=0.03)
    assert not layer.bias.any()


def test_a_size_that_does_not_fit_is_refused_with_one_that_does():
    with pytest.raises(PlanError, match=r"\(9, 8\) must be a multiple of \(4, 4\): pad it to \(12, 8\)"):
        check_size(torch.zeros(1, 1, 9, 8), (4, 4))
    with pytest.raises(PlanError, match="2 axes"):
        check_size(torch.zeros(1, 1, 8, 8, 8), (4, 4))
    check_size(torch.zeros(1, 1, 12, 8), (4, 4))
