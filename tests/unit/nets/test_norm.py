"""The fast instance norm is the instance norm."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck, gradgradcheck

from vesalius.errors import PlanError
from vesalius.nets.norm import EPS, InstanceNorm, _PerSample, _takes_samples_one_by_one, channels_last

GRIDS = {2: (6, 7), 3: (4, 5, 3)}


def _layer(channels, slope):
    torch.manual_seed(1)
    norm = InstanceNorm(channels, slope=slope)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    return norm


def _reference(norm, x):
    y = F.instance_norm(x, weight=norm.weight, bias=norm.bias, eps=EPS)
    return F.leaky_relu(y, norm.slope)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("slope", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("last", [True, False])
def test_agrees_with_torch_forwards_and_backwards(ndim, slope, last):
    norm = _layer(5, slope).double()
    x = 3 * torch.randn(3, 5, *GRIDS[ndim], dtype=torch.float64) + 10
    if last:
        x = x.contiguous(memory_format=channels_last(ndim))
    assert _takes_samples_one_by_one(x) == last
    x.requires_grad_()
    weights = torch.randn_like(x)
    y, reference = norm(x), _reference(norm, x)
    torch.testing.assert_close(y, reference, rtol=1e-9, atol=1e-9)
    inputs = (x, norm.weight, norm.bias)
    for a, b in zip(
        torch.autograd.grad(y, inputs, weights), torch.autograd.grad(reference, inputs, weights), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-8)


def test_gradients_of_both_orders_are_right():
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64).contiguous(memory_format=torch.channels_last).requires_grad_()
    scale = torch.randn(3, dtype=torch.float64, requires_grad=True)
    shift = torch.randn(3, dtype=torch.float64, requires_grad=True)

    def run(x, scale, shift):
        return _PerSample.apply(x, scale, shift, 0.2)

    assert gradcheck(run, (x, scale, shift))
    assert gradgradcheck(run, (x, scale, shift))


def test_half_width_numbers_keep_single_precision_statistics():
    # A mean far from 0 is where statistics in bf16 would fail.
    norm = _layer(16, 0.01)
    x = (torch.randn(2, 16, 8, 8, 8) + 20).bfloat16().contiguous(memory_format=torch.channels_last_3d)
    y = norm(x)
    assert y.dtype == torch.bfloat16
    assert y.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(y.double(), _reference(norm.double(), x.double()), rtol=2**-7, atol=2**-7)


def test_a_gradient_in_another_layout_is_taken():
    norm = _layer(4, 0.01)
    x = torch.randn(2, 4, 6, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    weights = torch.randn(2, 8, 6, 6)[:, ::2]
    (fast,) = torch.autograd.grad(norm(x), x, weights)
    (plain,) = torch.autograd.grad(_reference(norm, x), x, weights)
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-5)


def test_per_sample_gradients_by_torch_func():
    norm = _layer(4, 0.01)
    x = torch.randn(3, 4, 6, 6).contiguous(memory_format=torch.channels_last)
    parameters = dict(norm.named_parameters())

    def loss(parameters, one):
        return torch.func.functional_call(norm, parameters, (one[None],)).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(parameters, x)
    together = torch.func.grad(lambda p: sum(loss(p, one) for one in x))(parameters)
    for name, gradient in together.items():
        torch.testing.assert_close(each[name].sum(0), gradient, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("last", [True, False])
def test_one_voxel_has_no_variance(last):
    x = torch.randn(2, 4, 1, 1)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    with pytest.raises(PlanError, match="more than one voxel"):
        InstanceNorm(4)(x)
