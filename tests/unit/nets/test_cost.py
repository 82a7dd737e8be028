"""Figures: receptive fields against gradients, multiply-adds and parameters against sums on paper."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from vesalius.errors import PlanError
from vesalius.nets import (
    CNNSpec,
    FCNSpec,
    UNetSpec,
    activation_bytes,
    build,
    describe,
    divisor,
    multiply_adds,
    parameter_count,
    receptive_field,
)

PLAIN = UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(2, 2, 2), norm="batch")
CNN = CNNSpec(
    ndim=2,
    in_channels=1,
    out_channels=2,
    patch=(10, 8),
    features=(2, 2),
    kernels=((3, 3), (3, 3)),
    pools=((2, 1), (2, 2)),
    hidden=(4,),
    norm="none",
    dropout=0.0,
)
SMALL_FCN = FCNSpec(ndim=2, in_channels=1, out_channels=1, encoder="resnet18", width=0.01, dropout=0.0)


def _linear(net):
    """The same network with weights of one sign, averages for maxima and no activation: no gradient cancels."""
    for module in net.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.LeakyReLU | nn.BatchNorm2d | nn.BatchNorm3d):
                setattr(module, name, nn.Identity())
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding))
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(1 / math.prod(p.shape[1:])) if p.ndim > 1 else p.zero_()
    return net.double().eval()


def _support(spec, size):
    """Extent of the gradient of each output voxel of one period in the middle, the largest on each axis."""
    net = _linear(build(spec))
    steps = divisor(spec)
    middle = [n // 2 // d * d for n, d in zip(size, steps, strict=True)]
    x = torch.ones(1, spec.in_channels, *size, dtype=torch.float64, requires_grad=True)  # gates multiply: no zeros
    y = net(x)
    widest = [0] * len(size)
    for axis, step in enumerate(steps):
        for offset in range(step):
            at = list(middle)
            at[axis] += offset
            (grad,) = torch.autograd.grad(y[(0, 0, *at)], x, retain_graph=True)
            where = grad[0].abs().sum(0).nonzero()[:, axis]
            assert 0 < where.min() <= where.max() < size[axis] - 1, "the image is too small for this test"
            widest[axis] = max(widest[axis], int(where.max() - where.min()) + 1)
    return tuple(widest)


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        (PLAIN, (64, 64)),
        (replace(PLAIN, upsample="interpolate"), (80, 80)),
        (replace(PLAIN, residual=True), (160, 160)),
        (replace(PLAIN, residual=True, strides=((2, 1), (2, 2), (1, 3))), (160, 180)),
        (replace(PLAIN, strides=((2, 1), (2, 2), (1, 3)), kernels=((3, 1), (5, 3), (3, 3))), (160, 120)),
        (replace(PLAIN, strides=((1, 2), (3, 2), (2, 1)), upsample="interpolate"), (180, 160)),
        (replace(PLAIN, attention=True), (80, 80)),
        (replace(PLAIN, attention=True, strides=((2, 1), (2, 2), (1, 3)), upsample="interpolate"), (100, 102)),
        (replace(SMALL_FCN, variant="8s"), (1024, 64)),
        (replace(SMALL_FCN, variant="32s"), (1024, 64)),
    ],
    ids=lambda value: value.architecture if hasattr(value, "architecture") else "",
)
def test_the_receptive_field_is_the_support_of_the_gradient(spec, size):
    if spec.architecture == "fcn":  # one axis is enough, and the image stays small
        found = _axis_support(spec, size)
        assert found == receptive_field(spec)[0]
    else:
        assert _support(spec, size) == receptive_field(spec)


def _axis_support(spec, size):
    net = _linear(build(spec))
    x = torch.zeros(1, 1, *size, dtype=torch.float64, requires_grad=True)
    y = net(x)
    widest = 0
    for offset in range(32):
        (grad,) = torch.autograd.grad(y[0, 0, size[0] // 2 + offset, 0], x, retain_graph=True)
        where = grad[0].abs().sum((0, 2)).nonzero()
        assert 0 < where.min() <= where.max() < size[0] - 1, "the image is too small for this test"
        widest = max(widest, int(where.max() - where.min()) + 1)
    return widest


def test_the_receptive_field_of_a_patch_classifier_is_its_patch():
    net = _linear(build(CNN))
    x = torch.rand(1, 1, 24, 24, dtype=torch.float64, requires_grad=True)
    where = torch.autograd.grad(net(x)[0, 0, 12, 12], x)[0][0, 0].nonzero()
    # Maxima have a gradient in one place each, so the support lies inside the window, and no further out.
    assert (where.min(0).values >= torch.tensor([12 - 5, 12 - 4])).all()
    assert (where.max(0).values < torch.tensor([12 + 5, 12 + 4])).all()
    assert receptive_field(CNN) == (10, 8)


def test_vgg_sees_404_pixels():
    # Long et al. 2015, table 1: the receptive field of FCN-VGG16 is 404, that is, before the upsampling by 32,
    # where linear interpolation joins two neighbours: 32 more.
    assert receptive_field(FCNSpec(ndim=2, in_channels=3, out_channels=21, variant="32s")) == (436, 436)


def test_parameters_are_those_of_the_module():
    for spec in (PLAIN, CNN, SMALL_FCN):
        assert parameter_count(spec) == sum(p.numel() for p in build(spec).parameters())


def test_multiply_adds_of_a_patch_classifier_on_paper():
    # Dense: conv1 works on (grid + 9, + 7) less its border, and so on; each output voxel costs kernel x in x out.
    n, m = 16, 12
    conv1 = (n + 7) * (m + 5) * 9 * 2
    conv2 = (n + 7 - 1 - 4) * (m + 5 - 2) * 9 * 2 * 2
    last = tuple(CNN.shapes[-1])
    full = n * m * math.prod(last) * 2 * 4
    scores = n * m * 4 * 2
    assert multiply_adds(CNN, (n, m)) == conv1 + conv2 + full + scores


def test_multiply_adds_grow_with_the_voxels():
    small, large = multiply_adds(PLAIN, (64, 64)), multiply_adds(PLAIN, (128, 64))
    assert large == 2 * small


def test_activation_bytes_are_what_autograd_keeps():
    spec = replace(PLAIN, norm="instance", features=(8, 16, 32))
    net = build(spec).to(memory_format=torch.channels_last)
    x = torch.randn(2, 1, 32, 32).contiguous(memory_format=torch.channels_last)
    own = {p.untyped_storage().data_ptr() for p in net.parameters()}
    kept = {}

    def keep(tensor):
        if tensor.untyped_storage().data_ptr() not in own:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        y = net(x)
    assert y.requires_grad
    measured = sum(storage.nbytes() for storage in kept.values())
    predicted = activation_bytes(spec, (32, 32), batch=2)
    assert predicted == pytest.approx(measured, rel=0.02)
    assert activation_bytes(spec, (32, 32), batch=2, value_bytes=2) == predicted // 2


def test_describe():
    found = describe(PLAIN, patch=(16, 16), batch=2)
    assert found == {
        "architecture": "unet",
        "parameters": parameter_count(PLAIN),
        "receptive_field": receptive_field(PLAIN),
        "divisor": (4, 4),
        "multiply_adds": multiply_adds(PLAIN, (16, 16)),
        "activation_bytes": activation_bytes(PLAIN, (16, 16), batch=2),
    }
    assert "multiply_adds" not in describe(PLAIN)


def test_a_patch_that_does_not_fit_is_refused():
    with pytest.raises(PlanError, match="must be a multiple"):
        multiply_adds(PLAIN, (15, 16))
    with pytest.raises(PlanError, match="2 positive sizes"):
        activation_bytes(PLAIN, (16, 16, 16))
