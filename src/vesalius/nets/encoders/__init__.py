"""Encoders from the ImageNet classification challenge, shared by the FCN and the U-Net: features at all strides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vesalius.nets.specs.encoder import EncoderSpec

if TYPE_CHECKING:
    from vesalius.nets.encoders.googlenet import GoogLeNet
    from vesalius.nets.encoders.resnet import ResNet
    from vesalius.nets.encoders.vgg import VGG

__all__ = ["build_encoder"]


def build_encoder(spec: EncoderSpec) -> VGG | ResNet | GoogLeNet:
    """Make an encoder with fresh weights: it maps an image to a list of features, one for each of `spec.strides`.

    Args:
        spec: What to build.

    Returns:
        The module; the features that it gives are the last before each halving, finest first.

    Example:
        >>> import torch
        >>> encoder = build_encoder(EncoderSpec(name="googlenet", ndim=2, in_channels=1, width=0.125))
        >>> [tuple(y.shape[1:]) for y in encoder(torch.zeros(2, 1, 64, 64))]
        [(8, 32, 32), (24, 16, 16), (64, 8, 8), (104, 4, 4), (128, 2, 2)]
    """
    match spec.name:
        case "vgg16":
            from vesalius.nets.encoders.vgg import VGG

            return VGG(spec)
        case "googlenet":
            from vesalius.nets.encoders.googlenet import GoogLeNet

            return GoogLeNet(spec)
        case _:
            from vesalius.nets.encoders.resnet import ResNet

            return ResNet(spec)
