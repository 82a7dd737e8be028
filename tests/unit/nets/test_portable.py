"""The portable copy of a network gives the same logits, in operators that phones and browsers have."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from vesalius.nets import UNETRSpec, UNetSpec, build
from vesalius.nets.blocks import Up
from vesalius.nets.portable import Interleaved, portable


def kinds(network: nn.Module) -> set[type]:
    return {type(module) for module in network.modules()}


@pytest.mark.parametrize("stride", [(2, 2), (1, 2), (3, 2), (2, 2, 2), (1, 2, 4), (1, 1, 1)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_transposed_convolution_becomes_a_pointwise_one(stride, bias):
    kind = nn.ConvTranspose2d if len(stride) == 2 else nn.ConvTranspose3d
    network = nn.Sequential(kind(5, 3, stride, stride=stride, bias=bias)).eval()
    same = portable(network)
    assert kinds(same).isdisjoint({nn.ConvTranspose2d, nn.ConvTranspose3d})
    x = torch.randn(2, 5, *range(3, 3 + len(stride)))
    torch.testing.assert_close(same(x), network(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(4, 4, 3, stride=2),
        nn.ConvTranspose2d(4, 4, 2, stride=2, groups=2),
        nn.ConvTranspose2d(4, 4, 2, stride=2, padding=1),
        nn.ConvTranspose3d(4, 4, 2, stride=2, output_padding=1),
        nn.ConvTranspose3d(4, 4, 2, stride=2, dilation=2),
    ],
    ids=["overlapping", "grouped", "padded", "padded output", "dilated"],
)
def test_what_overlaps_stays(layer):
    same = portable(layer)
    assert type(same) is type(layer)
    x = torch.randn(1, 4, *[3] * (layer.weight.ndim - 2))
    assert torch.equal(same(x), layer(x))


@pytest.mark.parametrize(
    "spec",
    [
        UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16, 16), attention=True),
        UNetSpec.plain(ndim=3, in_channels=2, out_channels=3, features=(8, 16)),
        replace(UNetSpec.plain(ndim=3, in_channels=1, out_channels=2, features=(8, 16)), upsample="interpolate"),
        UNETRSpec(ndim=2, in_channels=1, out_channels=2, image_size=(32, 32), features=4, hidden=24, mlp=32, heads=2),
    ],
    ids=["2D", "3D", "interpolating", "MONAI's"],
)
def test_whole_networks(spec):
    torch.manual_seed(1)
    network = build(spec).eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    same = portable(network)
    assert not any(isinstance(m, Up) and m.kind == "transposed" for m in same.modules())
    assert kinds(same).isdisjoint({nn.ConvTranspose2d, nn.ConvTranspose3d})
    assert not any(module.training for module in same.modules())
    x = torch.randn(2, spec.in_channels, *[32 if spec.ndim == 2 else 8] * spec.ndim)
    with torch.no_grad():
        torch.testing.assert_close(same(x), network(x), atol=1e-5, rtol=1e-5)
    # The network itself is as it was, and shares nothing with the copy.
    after = network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert {p.data_ptr() for p in same.parameters()}.isdisjoint({p.data_ptr() for p in network.parameters()})


def test_no_tensor_has_more_than_six_axes():
    most = 0

    class Widest(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal most
            made = function(*args, **(kwargs or {}))
            tensors = made if isinstance(made, tuple | list) else [made]
            most = max(most, *(tensor.ndim for tensor in tensors))
            return made

    layer = portable(Up(4, 2, (2, 2, 2)).eval())
    assert isinstance(layer, Interleaved)
    with torch.no_grad(), Widest():
        layer(torch.randn(1, 4, 3, 3, 3))
    assert most == 6
