"""MONAI's networks behind our face: what is refused, and what is not needed until one is built."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from vesalius.errors import MissingDependencyError, PlanError
from vesalius.nets import (
    MedNeXtSpec,
    MonaiUNetSpec,
    SegResNetSpec,
    SwinUNETRSpec,
    UNETRSpec,
    build,
    parameter_count,
    receptive_field,
)

IMAGE = {"ndim": 2, "in_channels": 1, "out_channels": 2}
SEGRESNET = SegResNetSpec(**IMAGE, features=8, encoder_blocks=(1, 1), decoder_blocks=(1,))
DEEP = replace(SEGRESNET, deep_supervision=True)
SWIN = SwinUNETRSpec(**IMAGE, features=12, window=3)
UNETR = UNETRSpec(**IMAGE, image_size=(16, 32), features=4, hidden=24, mlp=32, heads=2)
MEDNEXT = MedNeXtSpec(**IMAGE, features=2)
UNET = MonaiUNetSpec(**IMAGE, features=(2, 2, 2), strides=((2, 2), (2, 2)), activation="relu")


@pytest.mark.parametrize("spec", [SEGRESNET, DEEP, SWIN, UNETR, MEDNEXT, UNET], ids=lambda s: s.architecture)
def test_without_monai_the_message_says_what_to_install(spec, monkeypatch):
    for name in [n for n in sys.modules if n.partition(".")[0] == "monai"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "monai", None)
    with pytest.raises(MissingDependencyError, match=rf"'{spec.architecture}' is MONAI's: .*vesalius\[monai\]"):
        build(spec)


def test_specs_and_figures_on_paper_need_no_monai():
    code = (
        "import sys; sys.modules['monai'] = None\n"
        "from vesalius.nets import SwinUNETRSpec, divisor, receptive_field\n"
        "spec = SwinUNETRSpec.sized('M', ndim=3, in_channels=1, out_channels=2)\n"
        "assert divisor(spec) == (32, 32, 32) and receptive_field(spec) == (None, None, None)\n"
        "assert 'torch' not in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("spec", "change", "message"),
    [
        (SEGRESNET, {"encoder_blocks": (1,), "decoder_blocks": ()}, "at least 2 levels"),
        (SEGRESNET, {"decoder_blocks": (1, 1)}, "decoder_blocks must have 1 entries"),
        (SEGRESNET, {"features": 12}, "multiples of 8"),
        (SEGRESNET, {"spacing_mm": (1.0, 2.0)}, "only with deep supervision"),
        (DEEP, {"dropout": 0.1}, "has no dropout, so it must be 0"),
        (DEEP, {"spacing_mm": (1.0, 0.0)}, "must be 2 positive numbers"),
        (SWIN, {"features": 18}, "multiple of 12"),
        (SWIN, {"heads": (3, 6, 12, 25)}, r"heads\[3\] must divide the stage's 96 channels, but it is 25"),
        (SWIN, {"depths": (2, 2)}, "depths must have 4 entries"),
        (SWIN, {"dropout": 1.0}, "dropout must be 0 to less than 1"),
        (UNETR, {"image_size": (16, 24)}, "multiples of 16"),
        (UNETR, {"heads": 5}, "heads must divide hidden"),
        (UNETR, {"mlp": 0}, "mlp must be a whole number"),
        (MEDNEXT, {"kernel": 4}, "kernel must be odd"),
        (MEDNEXT, {"kernel": 1}, "at least 3"),
        (MEDNEXT, {"features": 0}, "features must be a whole number"),
        (UNET, {"features": (2,)}, "at least 2 levels"),
        (UNET, {"strides": ((2, 2),)}, "strides must have an entry for each of the 2"),
        (UNET, {"kernel": (2, 3)}, "kernel must be odd"),
        (UNET, {"residual_units": -1}, "residual_units must be a whole number"),
    ],
)
def test_what_cannot_be_built_is_refused(spec, change, message):
    with pytest.raises(PlanError, match=message):
        replace(spec, **change)


@pytest.mark.parametrize("kind", [SegResNetSpec, SwinUNETRSpec])
def test_medium_is_larger_than_small(kind):
    small, medium = (kind.sized(size, **IMAGE) for size in ("S", "M"))
    assert parameter_count(small) < parameter_count(medium)


def test_a_unetr_of_the_published_size():
    how = {"image_size": (96, 96, 96), "in_channels": 1, "out_channels": 14}
    # Hatamizadeh et al. 2022, table 1: 92.58 million (for 13 organs and the background).
    assert parameter_count(UNETRSpec.sized("M", **how)) == pytest.approx(92.58e6, rel=0.01)
    assert parameter_count(UNETRSpec.sized("S", **how)) < 40e6


def test_a_unetr_takes_its_own_size_and_no_other():
    net = build(UNETR)
    assert net(torch.zeros(1, 1, 16, 32)).shape == (1, 2, 16, 32)
    with pytest.raises(PlanError, match=r"takes images of \(16, 32\) and no others, not \(32, 32\)"):
        net(torch.zeros(1, 1, 32, 32))


@pytest.mark.parametrize(
    ("spec", "size"), [(SEGRESNET, (2, 2)), (SWIN, (32, 32)), (MEDNEXT, (16, 16)), (UNETR, (16, 16))]
)
def test_a_patch_of_one_voxel_at_the_coarsest_level_is_refused(spec, size):
    if spec is UNETR:
        spec = replace(spec, image_size=size)
    with pytest.raises(PlanError, match="single voxel"):
        build(spec)(torch.zeros(1, 1, *size))


def test_counting_draws_no_random_numbers():
    before = torch.random.get_rng_state()
    parameter_count(SWIN)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("spacing_mm", "divisor"), [((), (8, 8, 8)), ((1.0, 1.0, 1.9), (8, 8, 8)), ((5.0, 1.0, 0.6), (1, 4, 8))]
)
def test_coarse_axes_are_left_alone(spacing_mm, divisor):
    spec = SegResNetSpec(
        ndim=3, in_channels=1, out_channels=2, features=8, deep_supervision=True, spacing_mm=spacing_mm
    )
    assert spec.divisor == divisor
    assert tuple(build(spec).net.shape_factor()) == divisor


def _axis_support(spec, length, across):
    """The longest span of the first axis on which an output voxel's gradient is not zero, for positive weights."""
    net = build(spec).double().eval()
    for module in net.modules():
        for name, child in module.named_children():
            if "Norm" in type(child).__name__:
                setattr(module, name, torch.nn.Identity())
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(1 / p[0].numel()) if p.ndim > 1 else p.zero_()
    x = torch.ones(1, 1, length, across, dtype=torch.float64, requires_grad=True)
    y = net(x)
    widest = 0
    step = spec.divisor[0]
    for at in range(length // 2 // step * step, length // 2 // step * step + step):
        (grad,) = torch.autograd.grad(y[0, 0, at, across // 2], x, retain_graph=True)
        where = grad[0, 0].abs().sum(1).nonzero()
        assert 0 < where.min() <= where.max() < length - 1, "the image is too small for this test"
        widest = max(widest, int(where.max() - where.min()) + 1)
    return widest


@pytest.mark.parametrize(
    ("spec", "length"),
    [
        (SEGRESNET, 64),
        (replace(SEGRESNET, encoder_blocks=(1, 2, 1), decoder_blocks=(2, 1)), 160),
        (DEEP, 64),
        (replace(DEEP, encoder_blocks=(1, 2, 1), decoder_blocks=(2, 1), spacing_mm=(2.0, 1.0)), 160),
        (MEDNEXT, 320),
        (replace(MEDNEXT, kernel=5), 608),
        (UNET, 64),
        (replace(UNET, strides=((2, 2), (1, 2)), residual_units=3, kernel=(5, 3)), 160),
    ],
    ids=["segresnet", "three levels", "deep", "deep anisotropic", "mednext", "mednext of 5", "unet", "residual unet"],
)
def test_the_receptive_field_is_the_support_of_the_gradient(spec, length):
    assert _axis_support(spec, length, spec.divisor[1]) == receptive_field(spec)[0]


def test_a_unetr_sees_its_image():
    torch.manual_seed(0)
    x = torch.randn(1, 1, 16, 32, requires_grad=True)
    (grad,) = torch.autograd.grad(build(UNETR).eval()(x)[0, 0, 0, 0], x)
    assert (grad != 0).all()
    assert receptive_field(UNETR) == (16, 32)
