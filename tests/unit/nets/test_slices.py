"""2D networks over slices: the same as a loop over the slices."""

from dataclasses import replace

import pytest
import torch

from vesalius.errors import PlanError
from vesalius.nets import FCNSpec, RecurrentUNetSpec, SlicesSpec, UNetSpec, build
from vesalius.nets.slices import fold, neighbours, unfold

PLANE = UNetSpec.plain(ndim=2, in_channels=6, out_channels=3, features=(8, 16, 16), deep_supervision=True)
SPEC = SlicesSpec(inner=PLANE, axis=0, context=1)


def _by_hand(net, x, axis, context):
    """One slice after the other, its neighbours put together by hand."""
    slices = x.unbind(axis + 2)
    found = []
    for at in range(len(slices)):
        around = [slices[min(max(at + shift, 0), len(slices) - 1)] for shift in range(-context, context + 1)]
        found.append(net(torch.cat(around, dim=1)))
    if isinstance(found[0], list):
        return [torch.stack(level, dim=axis + 2) for level in zip(*found, strict=True)]
    return torch.stack(found, dim=axis + 2)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("context", [0, 1, 2])
def test_it_is_a_loop_over_the_slices(axis, context):
    torch.manual_seed(0)
    inner = replace(PLANE, in_channels=2 * (2 * context + 1))
    net = build(SlicesSpec(inner=inner, axis=axis, context=context))
    size = [8, 12]
    size.insert(axis, 3)
    x = torch.randn(2, 2, *size)
    for training in (True, False):
        net.train(training)
        torch.testing.assert_close(net(x), _by_hand(net.inner, x, axis, context))


def test_deep_supervision_keeps_the_slices():
    net = build(replace(SPEC, axis=2, inner=replace(PLANE, features=(8, 8, 8, 8), **_four_stages())))
    assert [tuple(y.shape) for y in net(torch.randn(1, 2, 16, 8, 5))] == [(1, 3, 16, 8, 5), (1, 3, 8, 4, 5)]


def _four_stages():
    made = UNetSpec.plain(ndim=2, in_channels=6, out_channels=3, features=(8, 8, 8, 8))
    return {name: getattr(made, name) for name in ("strides", "kernels", "encoder_blocks", "decoder_blocks")}


def test_channels_are_slice_after_slice_and_edges_are_repeated():
    x = torch.arange(6.0).reshape(1, 2, 3, 1, 1)  # a: 0 1 2, b: 3 4 5
    found = neighbours(x, 0, 1)[0, :, :, 0, 0]
    assert found[:, 0].tolist() == [0, 3, 0, 3, 1, 4]
    assert found[:, 1].tolist() == [0, 3, 1, 4, 2, 5]
    assert found[:, 2].tolist() == [1, 4, 2, 5, 2, 5]


def test_a_context_wider_than_the_image_is_the_edge_again():
    assert neighbours(torch.tensor([7.0]).reshape(1, 1, 1, 1, 1), 1, 2).flatten().tolist() == [7] * 5


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_folding_is_undone(axis):
    x = torch.randn(2, 3, 4, 5, 6)
    folded = fold(x, axis)
    assert folded.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(unfold(folded, 2, axis), x)


@pytest.mark.parametrize("spec", [SPEC, RecurrentUNetSpec(inner=replace(PLANE, in_channels=2), axis=0)])
def test_a_3d_memory_format_becomes_that_of_the_slices(spec):
    net = build(spec).to("cpu", memory_format=torch.channels_last_3d)
    weights = [p for p in net.parameters() if p.ndim == 4]
    assert weights
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)


def test_other_2d_networks_will_do():
    spec = SlicesSpec(inner=FCNSpec(ndim=2, in_channels=3, out_channels=2, encoder="resnet18", width=0.05), axis=1)
    assert (spec.in_channels, spec.divisor) == (3, (32, 1, 32))
    assert build(spec).eval()(torch.zeros(1, 3, 32, 2, 32)).shape == (1, 2, 32, 2, 32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"axis": 3}, "axis must be 0, 1 or 2, not 3"),
        ({"context": -1}, "context must be a whole number of at least 0"),
        ({"context": 2}, "sees 5 slices, so its in_channels must be a multiple of 5, not 6"),
        ({"inner": UNetSpec.plain(ndim=3, in_channels=3, out_channels=2, features=(8, 8))}, "the spec of a 2D network"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    with pytest.raises(PlanError, match=message):
        replace(SPEC, **change)


def test_a_size_that_does_not_fit_names_the_one_that_does():
    with pytest.raises(PlanError, match=r"pad it to \(5, 8, 12\)"):
        build(SPEC)(torch.zeros(1, 2, 5, 7, 12))
