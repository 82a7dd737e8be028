"""Weights from ImageNet for the encoder of a network, read from a local file; nothing is fetched, no code is run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vesalius.errors import BundleError, PlanError
from vesalius.nets.blocks import ConvBlock
from vesalius.nets.encoders.googlenet import GoogLeNet
from vesalius.nets.encoders.resnet import ResNet
from vesalius.nets.encoders.vgg import VGG
from vesalius.nets.fcn import FCN
from vesalius.nets.specs.encoder import EncoderSpec

_RGB = 3
_HEADS = ("classifier.", "fc.", "aux1.", "aux2.")
_COUNTER = ".num_batches_tracked"  # batch norm with a fixed momentum never looks at it
_MARKS = {
    "inception3a.branch1.conv.weight": "googlenet",
    "features.1.running_mean": "vgg16_bn",
    "features.0.weight": "vgg16",
    "layer1.0.conv3.weight": "resnet50",
    "layer1.2.conv1.weight": "resnet34",
    "layer1.0.conv1.weight": "resnet18",
}
"""A name that tells whose weights a file holds; the first that is there counts."""
_MODULES = (("3a", "3b"), ("4a", "4b", "4c", "4d", "4e"), ("5a", "5b"))


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """What `load_encoder` took from a file.

    Args:
        encoder: torchvision's name of the classifier.
        tensors: How many tensors were taken.
        values: How many numbers they hold.
        fresh: How many of the network's own numbers the file had nothing for: they are still as they were.
        ignored: Names of the tensors that the network has no place for: the classifier's last layers.
        rgb: Whether the first convolution is as published. Otherwise it was adapted to another number of channels.
    """

    encoder: str
    tensors: int
    values: int
    fresh: int
    ignored: tuple[str, ...]
    rgb: bool


@dataclass(frozen=True)
class _Part:
    """A tensor of ours, the tensors of the file that it is made of, with their shapes, and how."""

    target: Tensor
    sources: Mapping[str, tuple[int, ...]]
    make: Callable[..., Tensor] | None = None


def load_encoder(network: nn.Module, path: Path | str) -> Pretrained:
    """Fill a network's encoder with the weights of torchvision's classifier: all of them or, after an error, none.

    The network is an `FCNSpec`'s or `EncoderUNetSpec`'s (or holds one, slice by slice) of ``ndim=2``, ``width=1``,
    ``shortcut="strided"`` and ``norm="batch"``; VGG-16 also with ``norm="none"``. Then each feature is what
    torchvision's model computes, for images that were brought to scale by `input_statistics`.

    Three channels are taken for red, green and blue. With another number c, each channel gets the sum of the
    convolution's weights over red, green and blue, divided by c: c copies of a grey image give what its RGB form
    would have given. VGG-16's hidden fully connected layers fill the convolutions that stand for them in an FCN. A
    bias in front of a batch norm goes into the norm's mean, from which the norm would have taken it away.

    Args:
        network: What `vesalius.nets.build` made.
        path: A ``.safetensors`` file, or a ``.pth`` or ``.pt`` file that holds a state dictionary.

    Returns:
        What was taken and what was left.

    Raises:
        PlanError: The network has no such encoder, or one of another structure than the published.
        BundleError: The file cannot be read, or tensors are missing, unexpected, of another shape or not finite.

    Source: Carreira and Zisserman 2017, arXiv:1705.07750, section 2 (weights repeated over c inputs are divided by c);
    Long et al. 2015, doi:10.1109/CVPR.2015.7298965, section 3.1 (fully connected layers as convolutions). Checked
    against torchvision's structure written out in PyTorch's own layers.
    """
    encoder = _encoder(network)
    name = _published_name(encoder.spec)
    parts = list(_parts(encoder))
    if isinstance(encoder, VGG):
        parts += [part for module in network.modules() if isinstance(module, FCN) for part in _hidden(module)]
    given = _read(Path(path))
    _check(given, parts, name, Path(path).name)
    with torch.no_grad():
        for part in parts:
            sources = [given[source] for source in part.sources]
            value = part.make(*sources) if part.make else sources[0]
            part.target.copy_(value.reshape(part.target.shape))
    taken = {source for part in parts for source in part.sources}
    filled = {id(part.target) for part in parts}
    return Pretrained(
        encoder=name,
        tensors=len(taken),
        values=sum(given[source].numel() for source in taken),
        fresh=sum(p.numel() for p in network.parameters() if id(p) not in filled),
        ignored=tuple(sorted(n for n in given if n not in taken and not n.endswith(_COUNTER))),
        rgb=encoder.spec.in_channels == _RGB,
    )


def _encoder(network: nn.Module) -> VGG | ResNet | GoogLeNet:
    found = [module for module in network.modules() if isinstance(module, VGG | ResNet | GoogLeNet)]
    if len(found) != 1:
        raise PlanError(
            f"weights from ImageNet need a network with one encoder of the architecture 'fcn' or 'encoder_unet'; "
            f"{type(network).__name__} has {len(found)}"
        )
    return found[0]


def _published_name(spec: EncoderSpec) -> str:
    """The name that torchvision has for an encoder.

    Raises:
        PlanError: It is not one of torchvision's.
    """
    norms = ("batch", "none") if spec.name == "vgg16" else ("batch",)
    for field, value, allowed in (
        ("ndim", spec.ndim, (2,)),
        ("width", spec.width, (1,)),
        ("norm", spec.norm, norms),
        ("shortcut", spec.shortcut, ("strided",)),
    ):
        if value not in allowed:
            known = " or ".join(repr(choice) for choice in allowed)
            raise PlanError(f"the weights of {spec.name} are for {field} {known}, not {value!r}: change the network's")
    return "vgg16_bn" if spec.name == "vgg16" and spec.norm == "batch" else spec.name


def _parts(encoder: VGG | ResNet | GoogLeNet) -> Iterator[_Part]:
    """Every tensor of an encoder and where it comes from."""
    biased = isinstance(encoder, VGG)
    for at, (block, conv, norm) in enumerate(_blocks(encoder)):
        weight = block.conv.weight
        shape = tuple(weight.shape)
        if at == 0:
            yield _Part(weight, {f"{conv}.weight": (shape[0], _RGB, *shape[2:])}, _adapter(shape[1]))
        else:
            yield _Part(weight, {f"{conv}.weight": shape})
        channels = shape[:1]
        bias = {f"{conv}.bias": channels} if biased else {}
        if block.conv.bias is not None:
            yield _Part(block.conv.bias, bias)
        if isinstance(block.norm, nn.BatchNorm2d):
            assert block.norm.running_mean is not None
            assert block.norm.running_var is not None
            yield _Part(block.norm.weight, {f"{norm}.weight": channels})
            yield _Part(block.norm.bias, {f"{norm}.bias": channels})
            mean = {f"{norm}.running_mean": channels, **bias}
            yield _Part(block.norm.running_mean, mean, torch.sub if biased else None)
            yield _Part(block.norm.running_var, {f"{norm}.running_var": channels})


def _blocks(encoder: VGG | ResNet | GoogLeNet) -> Iterator[tuple[ConvBlock, str, str]]:
    """An encoder's convolutions from the image on, with torchvision's names of the convolution and its norm."""
    match encoder:
        case VGG():
            return _vgg_blocks(encoder)
        case ResNet():
            return _resnet_blocks(encoder)
        case GoogLeNet():
            return _googlenet_blocks(encoder)


def _vgg_blocks(encoder: VGG) -> Iterator[tuple[ConvBlock, str, str]]:
    # torchvision counts every layer: convolution, norm where there is one, activation, and the pooling of a stage.
    layers = 2 if encoder.spec.norm == "none" else 3
    at = 0
    for stage in encoder.stages:
        for block in _convolutions(stage):
            yield block, f"features.{at}", f"features.{at + 1}"
            at += layers
        at += 1


def _resnet_blocks(encoder: ResNet) -> Iterator[tuple[ConvBlock, str, str]]:
    yield encoder.stem, "conv1", "bn1"
    for stage, blocks in enumerate(encoder.stages, start=1):
        for at, block in enumerate(blocks.children()):
            place = f"layer{stage}.{at}"
            for n, conv in enumerate(_convolutions(block.get_submodule("body")), start=1):
                yield conv, f"{place}.conv{n}", f"{place}.bn{n}"
            project = block.get_submodule("project")
            if isinstance(project, ConvBlock):
                yield project, f"{place}.downsample.0", f"{place}.downsample.1"


def _googlenet_blocks(encoder: GoogLeNet) -> Iterator[tuple[ConvBlock, str, str]]:
    second, *stages = encoder.stages
    for n, block in enumerate((encoder.stem, *_convolutions(second)), start=1):
        yield block, f"conv{n}.conv", f"conv{n}.bn"
    for names, stage in zip(_MODULES, stages, strict=True):
        for name, inception in zip(names, stage.children(), strict=True):
            branches = inception.get_submodule("branches").children()
            for n, branch in enumerate(branches, start=1):
                for at, layer in enumerate(branch.children()):
                    if isinstance(layer, ConvBlock):
                        place = f"inception{name}.branch{n}" + (f".{at}" if n > 1 else "")
                        yield layer, f"{place}.conv", f"{place}.bn"


def _convolutions(modules: nn.Module) -> Iterator[ConvBlock]:
    return (module for module in modules.children() if isinstance(module, ConvBlock))


def _hidden(fcn: FCN) -> Iterator[_Part]:
    """VGG-16's hidden fully connected layers; their inputs are laid out channel by channel, as a convolution's."""
    for block, name in zip(_convolutions(fcn.hidden), ("classifier.0", "classifier.3"), strict=True):
        weight, bias = block.conv.weight, block.conv.bias
        assert bias is not None
        yield _Part(weight, {f"{name}.weight": (weight.shape[0], math.prod(weight.shape[1:]))})
        yield _Part(bias, {f"{name}.bias": tuple(bias.shape)})


def _adapter(channels: int) -> Callable[[Tensor], Tensor]:
    return lambda weight: adapt(weight, channels)


def adapt(weight: Float[Tensor, "d rgb h w"], channels: int) -> Float[Tensor, "d {channels} h w"]:
    """The first convolution's weights for another number of channels.

    Args:
        weight: For red, green and blue.
        channels: Of the image; 3 are taken for red, green and blue.

    Returns:
        For other numbers the sum over red, green and blue in each channel, divided by their number.

    Example:
        >>> adapt(torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1), 2).flatten()
        tensor([3., 3.])
    """
    if channels == _RGB:
        return weight
    return weight.sum(dim=1, keepdim=True).repeat(1, channels, 1, 1) / channels


def _read(path: Path) -> dict[str, Tensor]:
    """A file's tensors by name.

    Raises:
        BundleError: It cannot be read as such.
    """
    if not path.is_file():
        raise BundleError(f"{path.name}: there is no such file; give the path of a .safetensors or .pth file")
    held: Any
    try:
        match path.suffix.lower():
            case ".safetensors":
                from safetensors.torch import load_file

                held = load_file(path)
            case ".pth" | ".pt":
                held = torch.load(path, map_location="cpu", weights_only=True)
            case other:
                raise BundleError(f"{path.name}: weights are read from .safetensors, .pth and .pt, not {other!r}")
    except BundleError:
        raise
    except Exception as error:  # a damaged file fails in any way
        raise BundleError(f"{path.name}: not an undamaged file of tensors alone ({type(error).__name__})") from None
    if not isinstance(held, dict) or not all(isinstance(n, str) and isinstance(t, Tensor) for n, t in held.items()):
        raise BundleError(
            f"{path.name}: the file must hold a dictionary of tensors by name, as `model.state_dict()` gives it"
        )
    return dict(held)


def _check(given: Mapping[str, Tensor], parts: list[_Part], name: str, file: str) -> None:
    """Make sure that a file's tensors are an encoder's.

    Raises:
        BundleError: They are not; the message names them.
    """
    wanted = {source: shape for part in parts for source, shape in part.sources.items()}
    told = next((whose for mark, whose in _MARKS.items() if mark in given), None)
    if told not in (None, name):
        raise BundleError(f"{file}: its tensors are named as those of {told}, and the network's encoder is {name}")
    missing = [n for n in wanted if n not in given]
    if missing:
        raise BundleError(f"{file}: these tensors of {name} are missing: {_some(missing)}")
    strange = [n for n in given if n not in wanted and not n.startswith(_HEADS) and not n.endswith(_COUNTER)]
    if strange:
        raise BundleError(f"{file}: {name} has no such tensors: {_some(strange)}")
    wrong = [
        f"{n} is {tuple(given[n].shape)}, not {shape}" for n, shape in wanted.items() if tuple(given[n].shape) != shape
    ]
    if wrong:
        raise BundleError(f"{file}: tensors have another shape than those of {name}: {_some(wrong)}")
    broken = [n for n in wanted if not given[n].is_floating_point() or not given[n].isfinite().all()]
    if broken:
        raise BundleError(f"{file}: these tensors hold values that are not finite real numbers: {_some(broken)}")


def _some(names: list[str]) -> str:
    """The first few of the names, and how many more there are."""
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
