"""FCNs: the three variants, the encoders, the linear start."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from vesalius.errors import PlanError
from vesalius.nets import FCNSpec, build, parameter_count
from vesalius.nets.fcn import LinearUp

SMALL = FCNSpec(ndim=2, in_channels=3, out_channels=4, encoder="resnet18", width=0.125)


@pytest.mark.parametrize("variant", ["32s", "16s", "8s"])
@pytest.mark.parametrize("encoder", ["vgg16", "resnet18", "resnet34", "resnet50", "googlenet"])
def test_logits_have_the_size_of_the_image_and_gradients_reach_every_weight(variant, encoder):
    torch.manual_seed(0)
    net = build(replace(SMALL, variant=variant, encoder=encoder, dropout=0.0))
    x = torch.randn(2, 3, 64, 96)
    y = net(x)
    assert y.shape == (2, 4, 64, 96)
    F.cross_entropy(y, torch.randint(0, 4, (2, 64, 96))).backward()
    assert not [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


@pytest.mark.parametrize("encoder", ["vgg16", "resnet18", "resnet50", "googlenet"])
def test_three_axes(encoder):
    net = build(replace(SMALL, ndim=3, in_channels=1, encoder=encoder, width=0.02)).eval()
    assert net(torch.zeros(1, 1, 32, 64, 32)).shape == (1, 4, 32, 64, 32)


@pytest.mark.parametrize("norm", ["instance", "batch", "group", "none"])
def test_norms(norm):
    net = build(replace(SMALL, encoder="vgg16", norm=norm, width=0.02))
    assert net(torch.randn(2, 3, 64, 64)).isfinite().all()


@pytest.mark.parametrize("ndim", [2, 3])
def test_upsampling_starts_as_linear_interpolation_up_to_the_border(ndim):
    x = torch.randn(2, 3, *(4, 5, 3)[:ndim])
    mode = "bilinear" if ndim == 2 else "trilinear"
    expected = F.interpolate(x, scale_factor=2, mode=mode, align_corners=False)
    torch.testing.assert_close(LinearUp(3, ndim)(x), expected)


def test_finer_scores_are_added():
    torch.manual_seed(0)
    net = build(replace(SMALL, variant="16s")).eval()
    x = torch.randn(1, 3, 64, 64)
    *_, at16, at32 = net.encoder(x)
    fused = net.up[0](net.scores[0](at32)) + net.scores[1](at16)
    expected = F.interpolate(fused, size=(64, 64), mode="bilinear", align_corners=False)
    torch.testing.assert_close(net(x), expected)


def test_vgg_scores_are_made_behind_a_pooling():
    torch.manual_seed(0)
    net = build(replace(SMALL, variant="16s", encoder="vgg16", norm="none")).eval()
    x = torch.randn(1, 3, 64, 64)
    features = net.encoder(x)
    pool4, pool5 = F.max_pool2d(features[3], 2), F.max_pool2d(features[4], 2)
    fused = net.up[0](net.scores[0](net.hidden(pool5))) + net.scores[1](pool4)
    torch.testing.assert_close(net(x), F.interpolate(fused, size=(64, 64), mode="bilinear", align_corners=False))


def test_published_sizes():
    # VGG-16 without its 1,000-class layer: 138,357,544 - 4,097,000 parameters; then 21 scores of 4,096 channels.
    # FCN-32s adds nothing else.
    published = FCNSpec(ndim=2, in_channels=3, out_channels=21, variant="32s", encoder="vgg16", norm="none")
    assert parameter_count(published) == 138_357_544 - 4_097_000 + 21 * 4097
    # ResNet-18 and -50 without their classifiers (11,689,512 - 513,000 and 25,557,032 - 2,049,000), to which the
    # first stage's projection is the same; FCN-32s adds the scores.
    for encoder, size, channels in (("resnet18", 11_176_512, 512), ("resnet50", 23_508_032, 2048)):
        spec = replace(published, encoder=encoder, norm="batch")
        assert parameter_count(spec) == size + 21 * (channels + 1)


def test_sizes_are_multiples_of_32():
    net = build(SMALL).eval()
    with pytest.raises(PlanError, match=r"pad it to \(64, 64\)"):
        net(torch.zeros(1, 3, 64, 48))
