"""What holds for every architecture: sizes, no weight without use, plans that carry its spec, figures."""

import json
from dataclasses import asdict, replace
from functools import cache

import pytest
import torch
from phantoms import FACTS

from vesalius.errors import PlanError
from vesalius.nets import (
    ARCHITECTURES,
    CNNSpec,
    EncoderUNetSpec,
    FCNSpec,
    MedNeXtSpec,
    MonaiUNetSpec,
    RecurrentUNetSpec,
    SegResNetSpec,
    SlicesSpec,
    SwinUNETRSpec,
    UNETRSpec,
    UNetSpec,
    build,
    describe,
    divisor,
)
from vesalius.nets.channels import replace_channels
from vesalius.nets.norm import channels_last
from vesalius.plan import Budget, make_plan, plan_from_json, plan_to_json

IMAGE = {"ndim": 3, "in_channels": 1, "out_channels": 2}
PLANE = UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16, 16), deep_supervision=True)
SOLID = UNetSpec.plain(**IMAGE, features=(8, 8, 16), attention=True, deep_supervision=True)
CNN = CNNSpec(**IMAGE, patch=(6, 6, 6), features=(4,), kernels=((3, 3, 3),), pools=((2, 2, 2),), hidden=(8,))
ANISOTROPIC = SegResNetSpec(**IMAGE, features=8, deep_supervision=True, spacing_mm=(3.0, 1.0, 1.0))
# Of each the spec and the size of an image: small, and odd where it may be.
NETWORKS = {
    "unet": (SOLID, (4, 8, 12)),
    "fcn": (FCNSpec(**IMAGE, encoder="resnet18", width=0.05), (32, 32, 64)),
    "cnn": (CNN, (3, 5, 4)),
    "encoder_unet": (EncoderUNetSpec(**IMAGE, encoder="resnet18", width=0.1, features=(8,) * 5), (32, 32, 64)),
    "segresnet": (SegResNetSpec(**IMAGE, features=8, norm="instance"), (8, 8, 16)),
    "segresnet deep": (ANISOTROPIC, (4, 8, 16)),
    "swin_unetr": (SwinUNETRSpec(**IMAGE, features=12, window=3), (32, 32, 64)),
    "unetr": (UNETRSpec(**IMAGE, image_size=(16, 32, 16), features=4, hidden=24, mlp=32, heads=2), (16, 32, 16)),
    "mednext": (MedNeXtSpec(**IMAGE, features=4, deep_supervision=True), (16, 16, 32)),
    "monai_unet": (
        MonaiUNetSpec(**IMAGE, features=(4, 8, 8), strides=((2, 2, 1), (2, 2, 2)), residual_units=2, norm="batch"),
        (8, 4, 6),
    ),
    "slices": (SlicesSpec(inner=replace(PLANE, in_channels=3), axis=1, context=1), (8, 3, 12)),
    "recurrent_unet": (RecurrentUNetSpec(inner=PLANE, axis=2, skips=True), (8, 4, 3)),
}
FLAT = {
    "segresnet": (SegResNetSpec(ndim=2, in_channels=2, out_channels=3, features=8), (8, 16)),
    "segresnet deep": (
        SegResNetSpec(ndim=2, in_channels=2, out_channels=3, features=8, deep_supervision=True),
        (8, 16),
    ),
    "swin_unetr": (
        SwinUNETRSpec(ndim=2, in_channels=2, out_channels=3, features=12, window=3, convolutions=True),
        (32, 64),
    ),
    "unetr": (
        UNETRSpec(ndim=2, in_channels=2, out_channels=3, image_size=(16, 32), features=4, hidden=24, mlp=32, heads=2),
        (16, 32),
    ),
    "mednext": (MedNeXtSpec(ndim=2, in_channels=2, out_channels=3, features=4), (16, 32)),
}
ALL = {**NETWORKS, **{f"flat {name}": made for name, made in FLAT.items()}}
SOLIDS = [pytest.param(*made, id=name) for name, made in NETWORKS.items()]


def test_no_architecture_is_forgotten():
    assert {spec.architecture for spec, _ in NETWORKS.values()} == set(ARCHITECTURES)


@pytest.mark.parametrize(("spec", "size"), ALL.values(), ids=ALL)
def test_logits_have_the_size_of_the_image_and_every_weight_is_used(spec, size):
    torch.manual_seed(0)
    memory = channels_last(spec.ndim)
    net = build(spec).to(memory_format=memory)
    x = torch.randn(2, spec.in_channels, *size).contiguous(memory_format=memory)
    y = net(x)
    deep = getattr(getattr(spec, "inner", spec), "deep_supervision", False)
    assert isinstance(y, list) == deep
    outputs = y if deep else [y]
    assert outputs[0].shape == (2, spec.out_channels, *size)
    sum(logits.square().mean() for logits in outputs).backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None]  # data-parallel training waits for all
    with torch.no_grad():
        z = net.eval()(x)
    assert z.shape == outputs[0].shape
    assert z.isfinite().all()


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("unet", [(4, 8, 12)]),  # three stages: the coarsest of two decoder stages has no head
        ("segresnet deep", [(4, 8, 16), (4, 4, 8), (2, 2, 4)]),
        ("mednext", [(16, 16, 32), (8, 8, 16), (4, 4, 8), (2, 2, 4), (1, 1, 2)]),
    ],
)
def test_deep_supervision_gives_finest_first(name, sizes):
    spec, size = NETWORKS[name]
    assert [tuple(y.shape[2:]) for y in build(spec)(torch.randn(1, 1, *size))] == sizes


@cache
def _plan():
    return make_plan(FACTS, Budget(steps=500, memory_gib=4.0), step_seconds=lambda *_: 0.1)


@pytest.mark.parametrize(("spec", "size"), SOLIDS)
def test_a_plan_carries_every_spec_through_json(spec, size):
    plan = replace(_plan(), network=spec, patch_size=size)
    again = plan_from_json(plan_to_json(plan))
    assert again.network == spec
    assert type(again.network) is type(spec)
    assert hash(again.network) == hash(spec)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("unet", {"norm": "instanse"}),
        ("segresnet", {"features": 9, "norm": "group"}),
        ("swin_unetr", {"features": 25}),
        ("unetr", {"image_size": [16, 24, 16]}),
        ("mednext", {"kernel": 4}),
        ("monai_unet", {"activation": "gelu"}),
        ("slices", {"axis": 3}),
        ("recurrent_unet", {"kernel": 2}),
    ],
)
def test_a_plan_with_a_bad_network_is_refused(name, change):
    spec, size = NETWORKS[name]
    plain = json.loads(plan_to_json(replace(_plan(), network=spec, patch_size=size)))
    plain["network"] |= change
    with pytest.raises(PlanError, match="not a plan"):
        plan_from_json(json.dumps(plain))


@pytest.mark.parametrize(("spec", "size"), SOLIDS)
def test_every_network_can_be_told_in_figures(spec, size):
    found = describe(spec, patch=size, batch=2)
    assert found["parameters"] == sum(p.numel() for p in build(spec).parameters())
    assert found["multiply_adds"] > 0
    assert found["activation_bytes"] > 0
    assert found["divisor"] == divisor(spec)
    assert len(found["receptive_field"]) == 3
    assert json.loads(json.dumps(asdict(spec)))  # plain values


@pytest.mark.parametrize("spec", [s for s, _ in NETWORKS.values()], ids=NETWORKS)
def test_channels_can_be_replaced(spec):
    other = replace_channels(spec, 2, 5)
    assert (other.in_channels, other.out_channels) == (2, 5)
    assert replace_channels(other, spec.in_channels, spec.out_channels) == spec
