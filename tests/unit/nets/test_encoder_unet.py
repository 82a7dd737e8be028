"""U-Nets on encoders: sizes, gradients, what the skips carry, specs that cannot be built."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vesalius.errors import PlanError
from vesalius.nets import EncoderUNetSpec, FCNSpec, build, describe, divisor, receptive_field

SMALL = EncoderUNetSpec(
    ndim=2, in_channels=2, out_channels=3, encoder="resnet18", width=0.125, features=(8, 8, 8, 8, 16), decoder_blocks=1
)
ENCODERS = ["vgg16", "resnet18", "resnet34", "resnet50", "googlenet"]


@pytest.mark.parametrize("encoder", ENCODERS)
@pytest.mark.parametrize("deep", [True, False])
def test_logits_have_the_size_of_the_image_and_gradients_reach_every_weight(encoder, deep):
    torch.manual_seed(0)
    net = build(replace(SMALL, encoder=encoder, deep_supervision=deep))
    assert divisor(net.spec) == (32, 32)
    y = net(torch.randn(2, 2, 64, 96))
    scales = [tuple(level.shape) for level in y] if deep else [tuple(y.shape)]
    assert scales == [(2, 3, 64 // s, 96 // s) for s in ((1, 2, 4, 8) if deep else (1,))]
    levels = y if deep else [y]
    sum(F.cross_entropy(level, torch.randint(0, 3, (2, *level.shape[2:]))) for level in levels).backward()
    assert not [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


@pytest.mark.parametrize("change", [{"norm": "instance"}, {"norm": "group"}, {"upsample": "transposed"}], ids=str)
@pytest.mark.parametrize("encoder", ["vgg16", "resnet18", "googlenet"])
def test_norms_and_ways_up(encoder, change):
    net = build(replace(SMALL, encoder=encoder, **change))
    assert net(torch.randn(1, 2, 64, 64)).isfinite().all()
    kinds = {"instance": "InstanceNorm", "group": "GroupNorm"}
    norms = {type(m).__name__ for m in net.modules() if "Norm" in type(m).__name__}
    assert norms == {kinds.get(change.get("norm"), "BatchNorm2d")}


def test_the_original_vgg_has_no_norm():
    net = build(replace(SMALL, encoder="vgg16", norm="none"))
    assert not [m for m in net.modules() if "Norm" in type(m).__name__]
    assert net(torch.randn(1, 2, 32, 32)).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("encoder", ["vgg16", "resnet50", "googlenet"])
def test_three_axes(encoder):
    net = build(replace(SMALL, ndim=3, encoder=encoder)).eval()
    assert net(torch.zeros(1, 2, 32, 64, 32)).shape == (1, 3, 32, 64, 32)


def test_each_level_sees_what_the_encoder_saw_at_its_stride():
    torch.manual_seed(0)
    net = build(SMALL).eval()
    x = torch.randn(1, 2, 64, 64)
    *skips, y = net.encoder(x)
    for level, skip in reversed(list(enumerate([net.edges(x), *skips]))):
        finer = F.interpolate(net.up[level].conv(y), skip.shape[2:], mode="bilinear")
        y = net.decoder[level](torch.cat([finer, skip], 1))
    torch.testing.assert_close(net(x), net.heads[0](y))


def test_only_vgg_has_features_of_the_images_own_size():
    assert [build(replace(SMALL, encoder=encoder)).edges is None for encoder in ENCODERS] == [True, *[False] * 4]


def test_a_shortcut_by_the_mean_has_the_same_weights():
    strided, averaged = build(SMALL), build(replace(SMALL, shortcut="averaged"))
    averaged.load_state_dict(strided.state_dict())
    x = torch.randn(1, 2, 64, 64)
    assert not torch.allclose(strided.eval()(x), averaged.eval()(x))


def test_what_it_costs():
    spec = replace(SMALL, deep_supervision=True)
    found = describe(spec, patch=(64, 64), batch=2)
    assert found["parameters"] == sum(p.numel() for p in build(spec).parameters())
    assert found["divisor"] == (32, 32)
    assert found["multiply_adds"] * 4 == describe(spec, patch=(128, 128))["multiply_adds"]
    assert found["activation_bytes"] > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": (8, 8, 8, 8)}, "features must have 5 entries"),
        ({"features": (8, 8, 8, 8, 12), "norm": "group"}, "multiples of 8"),
        ({"decoder_blocks": 0}, "decoder_blocks must be a whole number of at least 1"),
        ({"norm": "none"}, "norm 'none' is the original VGG-16; resnet18 needs one of"),
        ({"encoder": "vgg16", "shortcut": "averaged"}, "shortcut 'averaged' is for resnet18, resnet34, resnet50"),
        ({"width": 0.0}, "width must be more than 0"),
        ({"dropout": 1.0}, "dropout must be 0 to less than 1"),
        ({"in_channels": 0}, "in_channels must be a whole number"),
    ],
    ids=str,
)
def test_what_cannot_be_built_is_refused(change, message):
    with pytest.raises(PlanError, match=message):
        replace(SMALL, **change)


# --- receptive fields -------------------------------------------------------------------------------------------------


def _linear(net):
    """The same network with weights of one sign, averages for maxima and no activation: no gradient cancels."""
    for module in net.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.LeakyReLU | nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
            if isinstance(child, nn.MaxPool2d):
                mean = nn.AvgPool2d(child.kernel_size, child.stride, child.padding, ceil_mode=child.ceil_mode)
                setattr(module, name, mean)
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(1 / math.prod(p.shape[1:])) if p.ndim > 1 else p.zero_()
    return net.double().eval()


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        (replace(SMALL, encoder="vgg16", decoder_blocks=2), 768),
        (replace(SMALL, encoder="resnet18", upsample="transposed"), 1024),
        (replace(SMALL, encoder="resnet50"), 1408),
        (replace(SMALL, encoder="googlenet"), 1280),
        (FCNSpec(ndim=2, in_channels=1, out_channels=1, encoder="googlenet", width=0.01, dropout=0.0), 1024),
        (FCNSpec(ndim=2, in_channels=1, out_channels=1, encoder="vgg16", width=0.01, dropout=0.0), 1024),
    ],
    ids=lambda v: getattr(v, "architecture", "") + " " + getattr(v, "encoder", str(v)),
)
def test_the_receptive_field_is_the_support_of_the_gradient(spec, size):
    net = _linear(build(replace(spec, in_channels=1, width=0.01)))
    x = torch.zeros(1, 1, size, 32, dtype=torch.float64, requires_grad=True)  # one axis is enough
    y = net(x)
    widest = 0
    for offset in range(32):
        (grad,) = torch.autograd.grad(y[0, 0, size // 2 + offset].sum(), x, retain_graph=True)
        where = grad[0].abs().sum((0, 2)).nonzero()
        assert 0 < where.min() <= where.max() < size - 1, "the image is too small for this test"
        widest = max(widest, int(where.max() - where.min()) + 1)
    assert receptive_field(spec)[0] == widest
