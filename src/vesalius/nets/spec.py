"""What a network is, in numbers: frozen, JSON-able, torch-free.

A spec says everything that `vesalius.nets.build` needs and nothing about weights, so that a plan can be made, printed
and stored without torch. Each architecture has its own, in `vesalius.nets.specs`; ``architecture`` tells them apart.
"""

from __future__ import annotations

from vesalius.nets.specs.cnn import CNNSpec
from vesalius.nets.specs.encoder_unet import EncoderUNetSpec
from vesalius.nets.specs.fcn import FCNSpec
from vesalius.nets.specs.frame import Sizes
from vesalius.nets.specs.unet import UNetSpec

__all__ = ["CNNSpec", "EncoderUNetSpec", "FCNSpec", "NetworkSpec", "Sizes", "UNetSpec", "divisor"]

NetworkSpec = (
    UNetSpec
    | FCNSpec
    | CNNSpec
    | EncoderUNetSpec
)  # fmt: skip


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
