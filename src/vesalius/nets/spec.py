"""What a network is, in numbers: frozen, JSON-able, torch-free.

A spec says everything that `vesalius.nets.build` needs and nothing about weights, so that a plan can be made, printed
and stored without torch. Each architecture has its own, in `vesalius.nets.specs`; ``architecture`` tells them apart.
"""

from __future__ import annotations

from vesalius.nets.specs.cnn import CNNSpec
from vesalius.nets.specs.encoder_unet import EncoderUNetSpec
from vesalius.nets.specs.fcn import FCNSpec
from vesalius.nets.specs.frame import Sizes
from vesalius.nets.specs.mednext import MedNeXtSpec
from vesalius.nets.specs.monai_unet import MonaiUNetSpec
from vesalius.nets.specs.recurrent_unet import RecurrentUNetSpec
from vesalius.nets.specs.segresnet import SegResNetSpec
from vesalius.nets.specs.slices import PlainSpec, SlicesSpec
from vesalius.nets.specs.swin_unetr import SwinUNETRSpec
from vesalius.nets.specs.unet import UNetSpec
from vesalius.nets.specs.unetr import UNETRSpec

__all__ = [
    "CNNSpec",
    "EncoderUNetSpec",
    "FCNSpec",
    "MedNeXtSpec",
    "MonaiUNetSpec",
    "NetworkSpec",
    "PlainSpec",
    "RecurrentUNetSpec",
    "SegResNetSpec",
    "Sizes",
    "SlicesSpec",
    "SwinUNETRSpec",
    "UNETRSpec",
    "UNetSpec",
    "divisor",
]

NetworkSpec = PlainSpec | SlicesSpec | RecurrentUNetSpec
"""Every network: those that come in 2D and 3D, listed in `vesalius.nets.specs.slices`, and the 3D ones made of them."""


def divisor(spec: NetworkSpec) -> Sizes:
    """What each axis of an image must be a multiple of: the network's total stride.

    Args:
        spec: The network.

    Returns:
        One whole number an axis; all ones when every size will do.

    Example:
        >>> divisor(FCNSpec(ndim=3, in_channels=1, out_channels=2))
        (32, 32, 32)
    """
    return spec.divisor
