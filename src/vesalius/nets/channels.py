"""The same network for other numbers of channels."""

from __future__ import annotations

from dataclasses import replace

from vesalius.nets.spec import NetworkSpec
from vesalius.nets.specs.recurrent_unet import RecurrentUNetSpec
from vesalius.nets.specs.slices import SlicesSpec


def replace_channels(spec: NetworkSpec, in_channels: int, out_channels: int) -> NetworkSpec:
    """The spec of a network that differs in its inputs and outputs only.

    Args:
        spec: Of any network.
        in_channels: Channels of the image.
        out_channels: Logits.

    Raises:
        PlanError: A number is below 1.

    Example:
        >>> from vesalius.nets import UNetSpec
        >>> flat = UNetSpec.plain(ndim=2, in_channels=3, out_channels=2, features=(8, 16))
        >>> replace_channels(SlicesSpec(inner=flat, axis=0, context=1), 2, 4).inner.in_channels
        6
    """
    match spec:
        case SlicesSpec():
            inner = replace(spec.inner, in_channels=in_channels * spec.slices, out_channels=out_channels)
            return replace(spec, inner=inner)
        case RecurrentUNetSpec():
            return replace(spec, inner=replace(spec.inner, in_channels=in_channels, out_channels=out_channels))
        case _:
            return replace(spec, in_channels=in_channels, out_channels=out_channels)
