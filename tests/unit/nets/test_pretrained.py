"""Weights from ImageNet: the features are the classifiers', and a file that does not fit changes nothing."""

import pickle
from dataclasses import replace

import pytest
import torch
from classifiers import NUMBERS, VGG16, GoogLeNet, classifier
from safetensors.torch import save_file
from torch import nn

import vesalius.nets.fcn
from vesalius.errors import BundleError, PlanError
from vesalius.nets import EncoderUNetSpec, FCNSpec, SlicesSpec, UNetSpec, build, input_statistics, load_encoder
from vesalius.nets.encoders import build_encoder

SPEC = EncoderUNetSpec(
    ndim=2, in_channels=3, out_channels=2, encoder="resnet18", features=(8, 8, 8, 8, 8), decoder_blocks=1
)
FOLDED = {"vgg16_bn": 2 * (64 + 128) + 3 * (256 + 512 + 512)}
"""Biases that stand before a batch norm, which takes them away again: ours has none."""


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """A network that no test changes."""
    return build(SPEC)


def spec_of(name: str, **changes) -> EncoderUNetSpec:
    encoder = name.removesuffix("_bn")
    return replace(SPEC, encoder=encoder, norm="none" if name == "vgg16" else "batch", **changes)


def encoder_fields(name):
    spec = spec_of(name)
    return {"encoder": spec.encoder, "norm": spec.norm}


def with_statistics(model: nn.Module) -> nn.Module:
    """Weights that keep the size of the features, and norms that have seen images."""
    torch.manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


def small_classifier(name: str) -> nn.Module:
    """A classifier with a few hidden units where VGG-16 has 4,096: they are half a gigabyte."""
    return with_statistics(VGG16(batch_norm=name == "vgg16_bn", hidden=8) if "vgg" in name else classifier(name))


def hollow(name: str, **changes) -> dict[str, torch.Tensor]:
    """A classifier's state dictionary whose tensors hold one number each, in a file of some kilobytes."""
    with torch.device("meta"):
        held = classifier(name).state_dict()
    made = {n: torch.tensor(0.5 if t.is_floating_point() else 1).expand(t.shape) for n, t in held.items()}
    return {n: t for n, t in (made | changes).items() if t is not None}


@pytest.mark.parametrize("name", NUMBERS)
def test_parameters_are_as_many_as_documented(name):
    with torch.device("meta"):
        reference = classifier(name)
        fcn = build(FCNSpec(ndim=2, in_channels=3, out_channels=2, **encoder_fields(name)))
    assert sum(p.numel() for p in reference.parameters()) == NUMBERS[name]
    last = sum(p.numel() for p in list(reference.parameters())[-2:])  # 1,000 classes
    ours = sum(p.numel() for part in (fcn.encoder, fcn.hidden) for p in part.parameters())
    assert ours + FOLDED.get(name, 0) + last == NUMBERS[name]


@pytest.mark.parametrize("name", NUMBERS)
def test_features_are_those_of_the_classifier(name, tmp_path):
    reference = small_classifier(name)
    save_file(reference.state_dict(), tmp_path / "weights.safetensors")
    net = build(spec_of(name)).eval()
    report = load_encoder(net, tmp_path / "weights.safetensors")
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        ours, theirs = net.encoder(x), reference.stages(x)
    assert len(ours) == len(theirs) == len(net.encoder.spec.strides)
    for a, b, stride in zip(ours, theirs, net.encoder.spec.strides, strict=True):
        assert a.shape[2:] == (64 // stride, 96 // stride)
        assert b.std() > 0.01
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert report.encoder == name
    assert report.rgb
    heads = [n for n in reference.state_dict() if n.startswith(("classifier.", "fc."))]
    assert list(report.ignored) == sorted(heads)
    taken = [t for n, t in reference.state_dict().items() if n not in heads and not n.endswith("tracked")]
    assert (report.tensors, report.values) == (len(taken), sum(t.numel() for t in taken))
    new = [p for n, p in net.named_parameters() if not n.startswith("encoder.")]
    assert report.fresh == sum(p.numel() for p in new)


@pytest.mark.parametrize("name", ["vgg16", "vgg16_bn"])
def test_fully_connected_layers_become_convolutions(name, tmp_path, monkeypatch):
    monkeypatch.setattr(vesalius.nets.fcn, "VGG_HIDDEN", 8)
    reference = small_classifier(name)
    torch.save(reference.state_dict(), tmp_path / "weights.pth")
    net = build(FCNSpec(ndim=2, in_channels=3, out_channels=2, **encoder_fields(name))).eval()
    report = load_encoder(net, tmp_path / "weights.pth")
    assert report.ignored == ("classifier.6.bias", "classifier.6.weight")
    assert report.fresh == sum(p.numel() for part in (net.scores, net.up) for p in part.parameters())
    x = torch.randn(3, 512, 7, 7)  # of an image of 224 x 224; in its middle the window sees all, and nothing else
    torch.testing.assert_close(net.hidden(x)[:, :, 3, 3], reference.classifier[:5](x.flatten(1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 4])
def test_copies_of_a_grey_image_give_what_its_rgb_form_gives(channels, tmp_path):
    save_file(small_classifier("resnet18").state_dict(), tmp_path / "weights.safetensors")
    rgb, other = build(SPEC).eval(), build(replace(SPEC, in_channels=channels)).eval()
    assert load_encoder(rgb, tmp_path / "weights.safetensors").rgb
    assert not load_encoder(other, tmp_path / "weights.safetensors").rgb
    grey = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        ours, theirs = other.encoder(grey.repeat(1, channels, 1, 1))[-1], rgb.encoder(grey.repeat(1, 3, 1, 1))[-1]
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_input_statistics_spare_googlenet_its_own_transform():
    image = torch.rand(1, 3, 8, 8)

    def scaled(encoder):
        mean, std = (torch.tensor(v).reshape(3, 1, 1) for v in zip(*input_statistics(encoder, 3), strict=True))
        return (image - mean) / std

    torch.testing.assert_close(GoogLeNet.transform_input(scaled("resnet18")), scaled("googlenet"))
    assert input_statistics("googlenet", 2) == ((0.5, 0.5), (0.5, 0.5))
    assert input_statistics("resnet34", 1) == ((0.449, 0.226),)


def test_the_encoder_of_a_network_that_works_slice_by_slice_is_found(tmp_path):
    torch.save(hollow("resnet18"), tmp_path / "weights.pt")
    net = build(SlicesSpec(inner=SPEC, axis=0, context=1))
    assert load_encoder(net, tmp_path / "weights.pt").encoder == "resnet18"
    stem = next(weight for name, weight in net.named_parameters() if name.endswith("encoder.stem.conv.weight"))
    assert (stem == 0.5).all()


def test_auxiliary_classifiers_are_left_out(tmp_path):
    aux = {"aux1.fc2.bias": torch.ones(1000), "aux2.conv.bn.weight": torch.ones(128)}
    torch.save(hollow("googlenet", **aux), tmp_path / "weights.pth")
    report = load_encoder(build(spec_of("googlenet")), tmp_path / "weights.pth")
    assert report.ignored == (*aux, "fc.bias", "fc.weight")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_old_and_new_files_of_any_precision(zipped, dtype, tmp_path):
    held = {n: t.to(dtype) if t.is_floating_point() else t for n, t in hollow("resnet18").items()}
    torch.save(held, tmp_path / "weights.pth", _use_new_zipfile_serialization=zipped)
    net = build(SPEC)
    load_encoder(net, tmp_path / "weights.pth")
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert (net.encoder.stages[3][1].body[1].norm.running_var == 0.5).all()


def test_gradients_reach_every_loaded_weight(tmp_path):
    torch.save(hollow("resnet18"), tmp_path / "weights.pth")
    net = build(SPEC)
    load_encoder(net, tmp_path / "weights.pth")
    assert all(p.requires_grad and p.is_leaf for p in net.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv1.weight": None, "bn1.bias": None}, "tensors of resnet18 are missing: conv1.weight, bn1.bias$"),
        ({f"layer3.1.conv{n}.weight": None for n in (1, 2)}, "missing: layer3.1.conv1.weight, layer3.1.conv2.weight$"),
        ({"layer5.0.conv1.weight": torch.ones(1)}, "resnet18 has no such tensors: layer5.0.conv1.weight$"),
        ({f"x{n}": torch.ones(1) for n in range(7)}, "no such tensors: x0, x1, x2, x3, x4 and 2 more"),
        ({"conv1.weight": torch.ones(64, 1, 7, 7)}, r"conv1.weight is \(64, 1, 7, 7\), not \(64, 3, 7, 7\)"),
        ({"bn1.weight": torch.full((64,), torch.nan)}, "not finite real numbers: bn1.weight"),
        ({"bn1.weight": torch.ones(64, dtype=torch.int64)}, "not finite real numbers: bn1.weight"),
        ({"layer1.2.conv1.weight": torch.ones(1)}, "named as those of resnet34, and the network's encoder is resnet18"),
    ],
    ids=["missing", "missing deep", "strange", "many", "shape", "nan", "whole numbers", "another network's"],
)
def test_a_file_that_does_not_fit_is_refused_and_nothing_is_half_loaded(changes, message, network, tmp_path):
    torch.save(hollow("resnet18", **changes), tmp_path / "weights.pth")
    before = {n: t.clone() for n, t in network.state_dict().items()}
    with pytest.raises(BundleError, match=r"^weights.pth: .*" + message):
        load_encoder(network, tmp_path / "weights.pth")
    assert all(torch.equal(before[n], t) for n, t in network.state_dict().items())


class Evil:
    def __reduce__(self):
        return print, ("this must not run",)


def test_no_code_of_a_file_is_run(network, tmp_path, capsys):
    torch.save({"conv1.weight": Evil()}, tmp_path / "weights.pth")
    with pytest.raises(BundleError, match=r"weights.pth: not an undamaged file of tensors alone \(UnpicklingError\)"):
        load_encoder(network, tmp_path / "weights.pth")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["weights.pth", "weights.pt", "weights.safetensors"])
@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04", b"\x80\x02.", pickle.dumps([1]), bytes(range(256)) * 9])
def test_damaged_files(name, raw, network, tmp_path):
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(BundleError, match=f"^{name}: "):
        load_encoder(network, tmp_path / name)


def test_files_that_are_something_else(network, tmp_path):
    with pytest.raises(BundleError, match=r"^none.pth: there is no such file"):
        load_encoder(network, tmp_path / "none.pth")
    (tmp_path / "weights.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"read from .safetensors, .pth and .pt, not '.onnx'"):
        load_encoder(network, tmp_path / "weights.onnx")
    torch.save({"epoch": 3, "state_dict": hollow("resnet18")}, tmp_path / "run.pth")
    with pytest.raises(BundleError, match=r"must hold a dictionary of tensors by name"):
        load_encoder(network, tmp_path / "run.pth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ndim": 3}, "the weights of resnet18 are for ndim 2, not 3"),
        ({"width": 0.5}, "for width 1, not 0.5"),
        ({"norm": "instance"}, "for norm 'batch', not 'instance'"),
        ({"encoder": "vgg16", "norm": "group"}, "weights of vgg16 are for norm 'batch' or 'none', not 'group'"),
        ({"shortcut": "averaged"}, "for shortcut 'strided', not 'averaged'"),
    ],
)
def test_a_network_of_another_structure_is_refused(change, message, tmp_path):
    torch.save(hollow("resnet18"), tmp_path / "weights.pth")
    with pytest.raises(PlanError, match=message):
        load_encoder(build(replace(SPEC, **change)), tmp_path / "weights.pth")


def test_a_network_without_an_encoder_is_refused(tmp_path):
    unet = UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16))
    with pytest.raises(PlanError, match=r"need a network with one encoder .* UNet has 0"):
        load_encoder(build(unet), tmp_path / "weights.pth")
    with pytest.raises(PlanError, match="Sequential has 2"):
        load_encoder(nn.Sequential(build(SPEC), build_encoder(SPEC.encoder_spec)), tmp_path / "weights.pth")
