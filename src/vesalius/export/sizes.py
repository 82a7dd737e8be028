"""Which axes of a network's input may have any size once it is a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vesalius.nets import NetworkSpec, RecurrentUNetSpec, SlicesSpec, divisor

FIXED = frozenset({"swin_unetr", "unetr"})
"""Networks whose graph holds the size that they were traced with: windows of attention, and learned positions."""

_LARGEST = 1 << 14  # size of a free axis: a bound is needed, and no image reaches it


def free_axes(spec: NetworkSpec) -> dict[int, int]:
    """The axes of ``(b, c, *patch)`` that may have another size than the one traced, and what it must be a multiple of.

    Args:
        spec: The network.

    Example:
        >>> from vesalius.nets import UNETRSpec, UNetSpec
        >>> free_axes(UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16)))
        {0: 1, 2: 2, 3: 2}
        >>> free_axes(UNETRSpec(ndim=2, in_channels=1, out_channels=2, image_size=(16, 32)))
        {0: 1}
    """
    inner = spec.inner if isinstance(spec, SlicesSpec | RecurrentUNetSpec) else spec
    if inner.architecture in FIXED:
        return {0: 1}
    free = {0: 1} | {axis + 2: step for axis, step in enumerate(divisor(spec))}
    if isinstance(spec, RecurrentUNetSpec):
        free.pop(spec.axis + 2)  # the walk along the slices is written out, step by step
    return free


def size_symbols(free: Mapping[int, int]) -> dict[int, Any]:
    """Free axes in the words of `torch.export`: a symbol for the size of each.

    Args:
        free: See `free_axes`.
    """
    from torch.export import Dim

    def symbol(axis: int, step: int) -> Any:
        size = Dim(f"size_{axis}", min=2 if axis > 0 and step == 1 else 1, max=_LARGEST // step)
        return step * size if step > 1 else size

    return {axis: symbol(axis, step) for axis, step in free.items()}
