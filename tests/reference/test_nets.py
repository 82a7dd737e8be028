"""Networks held to others' code: MONAI's own modules, and reference forms written out with torch's primitives."""

import pytest
import torch
import torch.nn.functional as F
from monai.networks.nets.mednext import create_mednext
from monai.networks.nets.segresnet import SegResNet
from monai.networks.nets.segresnet_ds import SegResNetDS
from monai.networks.nets.swin_unetr import SwinUNETR
from monai.networks.nets.unet import UNet
from monai.networks.nets.unetr import UNETR

from vesalius.nets import MedNeXtSpec, MonaiUNetSpec, SegResNetSpec, SwinUNETRSpec, UNETRSpec, UNetSpec, build
from vesalius.nets.attention import AttentionGate
from vesalius.nets.conv_lstm import ConvLSTM

IMAGE = {"ndim": 3, "in_channels": 1, "out_channels": 2}
MONAI = {"spatial_dims": 3, "in_channels": 1, "out_channels": 2}


@pytest.mark.parametrize(
    ("spec", "theirs", "size"),
    [
        (
            SegResNetSpec(**IMAGE, features=8),
            lambda: SegResNet(**MONAI, init_filters=8),
            (8, 8, 16),
        ),
        (
            SegResNetSpec(**IMAGE, features=8, norm="batch", deep_supervision=True, spacing_mm=(4.0, 1.0, 1.0)),
            lambda: SegResNetDS(**MONAI, init_filters=8, norm="batch", dsdepth=3, resolution=(4.0, 1.0, 1.0)),
            (4, 8, 16),
        ),
        (
            SwinUNETRSpec(**IMAGE, features=12, window=3),
            lambda: SwinUNETR(**MONAI, feature_size=12, window_size=3),
            (32, 32, 64),
        ),
        (
            UNETRSpec(**IMAGE, image_size=(16, 16, 32), features=4, hidden=24, mlp=32, heads=2),
            lambda: UNETR(**MONAI, img_size=(16, 16, 32), feature_size=4, hidden_size=24, mlp_dim=32, num_heads=2),
            (16, 16, 32),
        ),
        (
            MonaiUNetSpec(
                **IMAGE, features=(4, 8, 16), strides=((2, 2, 2),) * 2, residual_units=2, norm="batch", bias=False
            ),
            lambda: UNet(**MONAI, channels=(4, 8, 16), strides=(2, 2), num_res_units=2, norm="batch", bias=False),
            (8, 8, 12),
        ),
    ],
    ids=["segresnet", "segresnet deep", "swin_unetr", "unetr", "unet"],
)
@pytest.mark.parametrize("training", [False, True])
def test_logits_are_those_of_monais_module_with_the_same_weights(spec, theirs, size, training):
    torch.manual_seed(0)
    ours, own = build(spec).train(training), theirs().train(training)
    # All of ours are theirs. Theirs may have some that nothing reads: UNETR's norms of an attention that is not there.
    missing, unread = own.load_state_dict(ours.net.state_dict(), strict=False)
    assert all("norm_cross_attn" in name for name in missing)
    assert not unread
    x = torch.randn(2, 1, *size)
    found, expected = ours(x), own(x)
    if not isinstance(found, list):
        found, expected = [found], [expected]
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize("size", ["S", "B", "M", "L"])
def test_mednexts_are_those_of_monais_factory(size):
    with torch.device("meta"):
        ours = build(MedNeXtSpec(**IMAGE, size=size, kernel=5)).net
        theirs = create_mednext(size, kernel_size=5)
    assert {k: v.shape for k, v in ours.state_dict().items()} == {k: v.shape for k, v in theirs.state_dict().items()}


def test_a_mednext_gives_monais_logits_at_every_resolution():
    torch.manual_seed(0)
    ours = build(MedNeXtSpec(**IMAGE, deep_supervision=True))
    theirs = create_mednext("S", deep_supervision=True)
    theirs.load_state_dict(ours.net.state_dict())
    x = torch.randn(1, 1, 16, 16, 32)
    for a, b in zip(ours(x), theirs(x), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def _norm(x, block):
    return F.instance_norm(x, weight=block.norm.weight, bias=block.norm.bias)


def _residual_block(x, block, stride):
    """nnU-Net's BasicBlockD, as `dynamic_network_architectures` 0.4.4 has it, on the weights of ours."""
    first, second = block.body
    padding = [k // 2 for k in first.conv.kernel_size]
    y = F.leaky_relu(_norm(F.conv3d(x, first.conv.weight, stride=stride, padding=padding), first), 0.01)
    y = _norm(F.conv3d(y, second.conv.weight, padding=padding), second)
    if max(stride) > 1:
        x = F.avg_pool3d(x, stride, stride)
    if x.shape[1] != y.shape[1]:
        x = _norm(F.conv3d(x, block.project.conv.weight), block.project)
    return F.leaky_relu(x + y, 0.01)


def test_a_residual_encoder_is_nnunets():
    torch.manual_seed(0)
    strides, kernels = ((1, 1, 1), (1, 2, 2), (2, 2, 2)), ((1, 3, 3), (3, 3, 3), (3, 3, 3))
    spec = UNetSpec(
        **IMAGE,
        features=(4, 8, 12),
        strides=strides,
        kernels=kernels,
        encoder_blocks=(1, 3, 4),
        decoder_blocks=(1, 1),
        residual=True,
    )
    net = build(spec).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.3 * torch.randn_like(p))  # norms, too: the blocks start silent
        x = torch.randn(2, 1, 4, 8, 8)
        seen = net.encode(x)
        y = F.leaky_relu(_norm(F.conv3d(x, net.stem.conv.weight, padding=(0, 1, 1)), net.stem), 0.01)
        for stage, stride, found in zip(net.encoder, strides, seen, strict=True):
            for at, block in enumerate(stage):
                y = _residual_block(y, block, stride if at == 0 else (1, 1, 1))
            torch.testing.assert_close(found, y, rtol=1e-4, atol=1e-5)


def test_the_gate_is_oktays_equations():
    """q = psi(ReLU(W_x x + W_g g + b_g)) + b_psi on the coarser grid; x times sigmoid(q), interpolated."""
    torch.manual_seed(0)
    gate = AttentionGate(4, 6, (1, 2, 2))
    x, g = torch.randn(2, 4, 3, 6, 8), torch.randn(2, 6, 3, 3, 4)
    inner = F.conv3d(x, gate.fine.weight, stride=(1, 2, 2)) + torch.einsum(
        "oi,bi...->bo...", gate.coarse.weight.flatten(1), g
    )
    q = torch.einsum("i,bi...->b...", gate.open.weight.flatten(), F.relu(inner + gate.coarse.bias.view(-1, 1, 1, 1)))
    openness = F.interpolate(torch.sigmoid(q + gate.open.bias)[:, None], size=(3, 6, 8), mode="trilinear")
    torch.testing.assert_close(gate(x, g), x * openness)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_conv_lstm_is_shis_equations_slice_after_slice(reverse):
    torch.manual_seed(0)
    hidden = 3
    net = ConvLSTM(2, hidden, 3, reverse=reverse)
    x = torch.randn(2, 5, 2, 6, 7)
    weights = [[layer.weight[at * hidden : (at + 1) * hidden] for layer in (net.look, net.recall)] for at in range(4)]
    bias = net.look.bias.split(hidden)

    def gate(at, now, before):
        w_x, w_h = weights[at]
        return F.conv2d(now, w_x, bias[at], padding=1) + F.conv2d(before, w_h, padding=1)

    h = c = torch.zeros(2, hidden, 6, 7)
    expected = [torch.empty(0)] * 5
    for t in reversed(range(5)) if reverse else range(5):
        i, f, o = (torch.sigmoid(gate(at, x[:, t], h)) for at in range(3))
        c = f * c + i * torch.tanh(gate(3, x[:, t], h))
        h = o * torch.tanh(c)
        expected[t] = h
    torch.testing.assert_close(net(x), torch.stack(expected, dim=1))
