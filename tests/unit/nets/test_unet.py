"""U-Nets of many shapes."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from vesalius.errors import PlanError
from vesalius.nets import UNetSpec, build, divisor
from vesalius.nets.attention import AttentionGate

FLAT = UNetSpec.plain(ndim=2, in_channels=2, out_channels=3, features=(8, 16, 24))
SOLID = UNetSpec.plain(ndim=3, in_channels=1, out_channels=4, features=(8, 16, 24))
ANISOTROPIC = replace(
    SOLID,
    strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    kernels=((1, 3, 3), (1, 3, 5), (3, 3, 3)),
    encoder_blocks=(1, 2, 3),
    decoder_blocks=(2, 1),
)
SPECS = {
    "flat": FLAT,
    "solid": SOLID,
    "anisotropic": ANISOTROPIC,
    "interpolated": replace(ANISOTROPIC, upsample="interpolate"),
    "residual": replace(SOLID, residual=True),
    "residual anisotropic": replace(ANISOTROPIC, residual=True),
    "batch": replace(FLAT, norm="batch"),
    "group": replace(FLAT, norm="group"),
    "dropout": replace(SOLID, dropout=0.2),
    "strided stem": replace(FLAT, strides=((2, 2), (2, 2), (2, 2))),
    "strided stem interpolated": replace(SOLID, strides=((1, 2, 2), (2, 2, 2), (2, 2, 2)), upsample="interpolate"),
    "strided stem residual": replace(FLAT, strides=((2, 1), (2, 2), (2, 2)), residual=True),
    "two stages": UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16), deep_supervision=True),
    "deep": replace(SOLID, deep_supervision=True),
    "attention": replace(SOLID, attention=True, deep_supervision=True),
    "attention flat": UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 8, 16, 16), attention=True),
    "attention anisotropic": replace(ANISOTROPIC, attention=True, residual=True),
    "attention strided stem": replace(SOLID, strides=((1, 2, 2), (2, 2, 2), (1, 2, 3)), attention=True),
}


def _image(spec, times=2, batch=2):
    torch.manual_seed(3)
    return torch.randn(batch, spec.in_channels, *(times * d for d in divisor(spec)))


@pytest.mark.parametrize("name", SPECS)
def test_logits_have_the_size_of_the_image_and_gradients_reach_every_weight(name):
    spec = SPECS[name]
    torch.manual_seed(0)
    net = build(spec)
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.5 * (not p.any()))  # residual blocks start silent, and what is behind a zero gets no gradient
    x = _image(spec)
    y = net(x)
    for logits in y if spec.deep_supervision else [y]:
        assert logits.isfinite().all()
    finest = y[0] if spec.deep_supervision else y
    assert finest.shape == (2, spec.out_channels, *x.shape[2:])
    loss = sum(F.cross_entropy(out, torch.randint(0, spec.out_channels, (2, *out.shape[2:]))) for out in _list(y))
    loss.backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not still
    assert net.eval()(x).shape == finest.shape


def _list(y):
    return y if isinstance(y, list) else [y]


def test_deep_supervision_gives_finest_first_while_training_only():
    spec = UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 8, 8, 8, 8), deep_supervision=True)
    net = build(spec)
    x = torch.randn(1, 1, 32, 48)
    assert [tuple(y.shape[2:]) for y in net(x)] == [(32, 48), (16, 24), (8, 12)]
    assert torch.is_tensor(net.eval()(x))


@pytest.mark.parametrize("name", ["anisotropic", "residual", "strided stem"])
def test_channels_last_gives_the_same_logits(name):
    spec = SPECS[name]
    torch.manual_seed(0)
    net = build(spec).eval()
    memory = torch.channels_last if spec.ndim == 2 else torch.channels_last_3d
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(1.5)  # larger logits than at the start
    x = _image(spec)
    plain = net(x)
    fast = net.to(memory_format=memory)(x.contiguous(memory_format=memory))
    torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["residual", "interpolated", "group", "batch"])
def test_a_network_runs_in_bf16_throughout(name):
    spec = SPECS[name]
    net = build(spec).bfloat16()
    y = net(_image(spec).bfloat16())
    assert y.dtype == torch.bfloat16
    assert y.isfinite().all()


def test_every_multiple_of_the_divisor_will_do_and_nothing_else():
    net = build(ANISOTROPIC).eval()
    assert net.divisor == (2, 4, 4)
    assert net(torch.zeros(1, 1, 2, 12, 20)).shape == (1, 4, 2, 12, 20)
    with pytest.raises(PlanError, match=r"pad it to \(4, 12, 20\)"):
        net(torch.zeros(1, 1, 3, 12, 20))
    with pytest.raises(ValueError, match="3 axes"):
        net(torch.zeros(1, 1, 12, 20))


def test_weights_are_drawn_from_the_seed_and_survive_a_round_trip():
    torch.manual_seed(5)
    first = build(SPECS["strided stem residual"])
    torch.manual_seed(5)
    second = build(SPECS["strided stem residual"])
    for (name, a), (_, b) in zip(first.state_dict().items(), second.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    torch.manual_seed(6)
    third = build(SPECS["strided stem residual"])
    x = _image(third.spec)
    assert not torch.equal(third.eval()(x), first.eval()(x))
    third.load_state_dict(first.state_dict())
    assert torch.equal(third(x), first(x))


def test_no_operation_changes_its_input_in_place():
    # Per-sample gradient hooks (differential privacy) forbid it.
    for name in ("residual", "batch"):
        net = build(SPECS[name])
        assert not [m for m in net.modules() if getattr(m, "inplace", False)]


def test_a_residual_encoder_starts_silent():
    net = build(UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 8, 16), residual=True))
    assert net.spec.encoder_blocks == (1, 3, 4)
    assert net.spec.decoder_blocks == (1, 1)
    x = torch.randn(1, 8, 8, 8)
    block = net.encoder[1][1]  # neither steps nor widens
    torch.testing.assert_close(block(x), F.leaky_relu(x, 0.01))


def test_attention_gates_every_skip_but_the_finest():
    gates = build(SPECS["attention flat"]).gates
    assert [isinstance(gate, AttentionGate) for gate in gates] == [False, True, True]


def test_a_small_network_learns_a_disc():
    torch.manual_seed(0)
    net = build(UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16, 32)))
    i, j = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    disc = ((i - 14) ** 2 + (j - 18) ** 2 < 64).long()[None]
    x = disc[:, None].float() + 0.5 * torch.randn(1, 1, 32, 32)
    steps = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(40):
        steps.zero_grad()
        F.cross_entropy(net(x), disc).backward()
        steps.step()
    found = net.eval()(x).argmax(1)
    assert 2 * (found * disc).sum() / (found.sum() + disc.sum()) > 0.95


def test_an_exported_network_takes_other_sizes():
    net = build(FLAT).eval()
    x = torch.randn(2, 2, 16, 16).contiguous(memory_format=torch.channels_last)
    free = {0: torch.export.Dim("b", min=1, max=8)}
    free |= {axis: 4 * torch.export.Dim(f"n{axis}", min=2, max=32) for axis in (2, 3)}
    exported = torch.export.export(net, (x,), dynamic_shapes={"x": free}).module()
    other = torch.randn(1, 2, 24, 12)
    torch.testing.assert_close(exported(other), net(other))
