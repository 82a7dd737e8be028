"""The networks: a spec (torch-free numbers) and `build`, which makes the torch module.

Importing this package imports no torch; the first `build` does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vesalius.errors import PlanError, unknown_name
from vesalius.nets.spec import (
    CNNSpec,
    EncoderUNetSpec,
    FCNSpec,
    MedNeXtSpec,
    MonaiUNetSpec,
    NetworkSpec,
    PlainSpec,
    RecurrentUNetSpec,
    SegResNetSpec,
    SlicesSpec,
    SwinUNETRSpec,
    UNETRSpec,
    UNetSpec,
    divisor,
)
from vesalius.nets.specs.encoder import input_statistics

if TYPE_CHECKING:
    from torch import nn

    from vesalius.nets.cost import activation_bytes, describe, multiply_adds, parameter_count
    from vesalius.nets.field import receptive_field
    from vesalius.nets.pretrained import load_encoder

__all__ = [
    "ARCHITECTURES",
    "CNNSpec",
    "EncoderUNetSpec",
    "FCNSpec",
    "MedNeXtSpec",
    "MonaiUNetSpec",
    "NetworkSpec",
    "PlainSpec",
    "RecurrentUNetSpec",
    "SegResNetSpec",
    "SlicesSpec",
    "SwinUNETRSpec",
    "UNETRSpec",
    "UNetSpec",
    "activation_bytes",
    "build",
    "describe",
    "divisor",
    "input_statistics",
    "load_encoder",
    "multiply_adds",
    "parameter_count",
    "receptive_field",
]

ARCHITECTURES: dict[str, str] = {
    "unet": "vesalius.nets.unet:UNet",
    "fcn": "vesalius.nets.fcn:FCN",
    "cnn": "vesalius.nets.cnn:CNN",
    "encoder_unet": "vesalius.nets.encoder_unet:EncoderUNet",
    "segresnet": "vesalius.nets.from_monai:FromMonai",
    "swin_unetr": "vesalius.nets.from_monai:FromMonai",
    "unetr": "vesalius.nets.from_monai:FromMonai",
    "mednext": "vesalius.nets.from_monai:FromMonai",
    "monai_unet": "vesalius.nets.from_monai:FromMonai",
    "slices": "vesalius.nets.slices:Slices",
    "recurrent_unet": "vesalius.nets.recurrent_unet:RecurrentUNet",
}
"""Where each architecture's module class lives; it is called with the spec."""

_LAZY = {
    "activation_bytes": "vesalius.nets.cost",
    "describe": "vesalius.nets.cost",
    "multiply_adds": "vesalius.nets.cost",
    "parameter_count": "vesalius.nets.cost",
    "load_encoder": "vesalius.nets.pretrained",
    "receptive_field": "vesalius.nets.field",
}


def build(spec: NetworkSpec) -> nn.Module:
    """Make the network that a spec describes, with fresh weights drawn from torch's random generator.

    Every network maps an image ``(b, c, *grid)`` to logits ``(b, classes, *grid)`` of the same size, for any size
    that is a multiple of `divisor`. One with deep supervision gives a list of logits, finest first, while training.

    Args:
        spec: What to build.

    Returns:
        The module, in training mode, on the default device.

    Raises:
        PlanError: The architecture is unknown.
        MissingDependencyError: The network is MONAI's, and MONAI is not installed (``vesalius[monai]``).

    Example:
        >>> import torch
        >>> net = build(UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16)))
        >>> net(torch.zeros(1, 1, 16, 12)).shape
        torch.Size([1, 2, 16, 12])
    """
    if spec.architecture not in ARCHITECTURES:
        raise PlanError(unknown_name("architecture", str(spec.architecture), ARCHITECTURES))
    module, _, name = ARCHITECTURES[spec.architecture].partition(":")
    made: nn.Module = getattr(import_module(module), name)(spec)
    return made


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
