"""The recurrent U-Net: 2D in the slices, a memory across them."""

from dataclasses import replace

import pytest
import torch

from vesalius.errors import PlanError
from vesalius.nets import RecurrentUNetSpec, UNetSpec, build, divisor

PLANE = UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(4, 8, 8))
SPEC = RecurrentUNetSpec(inner=PLANE, axis=0)
SPECS = {
    "time first": SPEC,
    "across the last axis": replace(SPEC, axis=2),
    "skips": replace(SPEC, axis=1, skips=True, kernel=1),
    "residual": replace(SPEC, inner=replace(PLANE, residual=True, deep_supervision=True)),
    "gated": replace(SPEC, inner=replace(PLANE, attention=True)),
    "strided stem": replace(SPEC, inner=replace(PLANE, strides=((2, 1), (2, 2), (1, 3))), skips=True),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("slices", [1, 3])
def test_logits_have_the_size_of_the_image(name, slices):
    spec = SPECS[name]
    net = build(spec)
    size = [2 * d for d in divisor(spec)]
    size[spec.axis] = slices
    y = net(torch.randn(2, 1, *size))
    outputs = y if isinstance(y, list) else [y]
    assert outputs[0].shape == (2, 2, *size)
    sum(logits.square().mean() for logits in outputs).backward()
    assert all(p.grad is not None for p in net.parameters())


def test_a_slice_depends_on_all_slices():
    torch.manual_seed(0)
    net = build(SPEC).double().eval()
    x = torch.randn(1, 1, 5, 8, 8, dtype=torch.float64, requires_grad=True)
    (grad,) = torch.autograd.grad(net(x)[0, 1, 2].sum(), x)
    assert (grad[0, 0].abs().amax((1, 2)) > 0).all()


def test_without_memory_it_is_the_2d_network_slice_by_slice():
    """An LSTM that gives out what comes in is not to be had, but one that forgets gives each slice its own answer."""
    torch.manual_seed(0)
    net = build(replace(SPEC, skips=True)).eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if "recall" in name:
                p.zero_()
        for memory in net.memories.values():
            for way in (memory.ahead, memory.back):
                way.look.weight[way.hidden : 2 * way.hidden] = 0
                way.look.bias[way.hidden : 2 * way.hidden] = -1000
        x = torch.randn(1, 1, 4, 8, 8)
        alone = torch.cat([net(x[:, :, at : at + 1]) for at in range(4)], dim=2)
        torch.testing.assert_close(net(x), alone)


def test_a_reversed_stack_gives_reversed_logits_when_the_directions_are_swapped():
    torch.manual_seed(0)
    net = build(SPEC).eval()
    x = torch.randn(1, 1, 4, 8, 8)
    with torch.no_grad():
        expected = net(x)
        (memory,) = net.memories.values()
        ahead, back = ({k: v.clone() for k, v in way.state_dict().items()} for way in (memory.ahead, memory.back))
        memory.ahead.load_state_dict(back)
        memory.back.load_state_dict(ahead)
        # The halves of the memory's channels have changed places: so must the weights that read them.
        up = net.inner.up[1].conv.weight
        up.copy_(torch.cat(up.chunk(2, dim=1)[::-1], dim=1))
        torch.testing.assert_close(net(x.flip(2)).flip(2), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axis": -1}, "axis must be 0, 1 or 2"),
        ({"kernel": 2}, "kernel must be odd, not 2"),
        ({"inner": replace(PLANE, features=(4, 8, 7))}, "so they must be even, not 7"),
        ({"inner": replace(PLANE, features=(5, 8, 8)), "skips": True}, "so they must be even, not 5"),
        ({"inner": UNetSpec.plain(ndim=3, in_channels=1, out_channels=2, features=(8, 8))}, "spec of a 2D network"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    with pytest.raises(PlanError, match=message):
        replace(SPEC, **change)


def test_an_odd_stage_without_a_memory_will_do():
    assert replace(SPEC, inner=replace(PLANE, features=(5, 7, 8))).recurrent_stages == (2,)
