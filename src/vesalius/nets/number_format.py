"""Networks computed in one number format, also where oneDNN computes convolutions of small grids wrongly.

On processors PyTorch 2.13 computes convolutions by oneDNN 3.12. Where an axis is shorter than the kernel, or becomes a
single voxel, and is padded, its bfloat16 kernels for AVX-512 give gradients of the weights that are wrong by as much as
they are long, or not finite, read memory that nothing was written to and write where nothing is theirs (``double free
or corruption``); a 3D image of one slice and one channel comes out empty. In float32, kernels of seven with steps of
two fail on axes of five and six. The same convolution of an image that was padded before is right: found by comparing
23 000 convolutions with double precision, with all free memory full of NaN; some of
those that failed are in `tests/unit/nets/test_number_format.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

CONVOLUTIONS = (torch.conv2d, torch.conv3d)
TRANSPOSED = (torch.conv_transpose2d, torch.conv_transpose3d)


@contextmanager
def computing_in(number_format: torch.dtype, device: torch.device) -> Iterator[None]:
    """Run what is inside with convolutions in this number format, on processors safely for grids of any size.

    The way back may lie outside: it follows what was computed inside.

    Args:
        number_format: ``torch.bfloat16``, by autocast, or ``torch.float32``, as it is.
        device: Where the network is.

    Example:
        >>> conv = torch.nn.Conv3d(1, 2, 3, padding=1)
        >>> with computing_in(torch.bfloat16, torch.device("cpu")):
        ...     conv(torch.zeros(1, 1, 1, 4, 4)).dtype
        torch.bfloat16
    """
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=number_format == torch.bfloat16):
        if device.type == "cpu":
            with _PaddedBefore():
                yield
        else:
            yield


class _PaddedBefore(TorchFunctionMode):
    """Convolutions of small grids take an image that is padded already; all others go on as they are."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in CONVOLUTIONS:
            return _convolve(func, *args, **(kwargs or {}))
        if func in TRANSPOSED:
            return _transpose(func, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _convolve(
    func: Callable[..., Tensor],
    input: Tensor,  # noqa: A002 - as PyTorch names it
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | str | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    axes = weight.ndim - 2
    steps, spread = _each(stride, axes), _each(dilation, axes)
    extents = [step * (size - 1) + 1 for size, step in zip(weight.shape[2:], spread, strict=True)]
    if isinstance(padding, str):
        total = [extent - 1 if padding == "same" else 0 for extent in extents]
        pads = [(both // 2, both - both // 2) for both in total]
    else:
        pads = [(pad, pad) for pad in _each(padding, axes)]
    sizes = input.shape[-axes:]
    made = [
        (size + sum(pad) - extent) // step + 1
        for size, pad, extent, step in zip(sizes, pads, extents, steps, strict=True)
    ]
    if not _is_small(sizes, made, extents, [sum(pad) for pad in pads]):
        return func(input, weight, bias, stride, padding, dilation, groups)
    padded = F.pad(input, [pad for both in reversed(pads) for pad in both])
    return func(padded, weight, bias, stride, 0, dilation, groups)


def _transpose(
    func: Callable[..., Tensor],
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    # The way back of a convolution from the result, the larger grid, to the input: the same kernels.
    axes = weight.ndim - 2
    steps, spread, pads, more = (_each(of, axes) for of in (stride, dilation, padding, output_padding))
    extents = [step * (size - 1) + 1 for size, step in zip(weight.shape[2:], spread, strict=True)]
    sizes = input.shape[-axes:]
    whole = [(size - 1) * step + extent for size, step, extent in zip(sizes, steps, extents, strict=True)]
    made = [size - 2 * pad + extra for size, pad, extra in zip(whole, pads, more, strict=True)]
    if not _is_small(made, sizes, extents, pads) or any(map(int.__gt__, more, pads)):
        return func(input, weight, bias, stride, padding, output_padding, groups, dilation)
    y = func(input, weight, bias, stride, 0, 0, groups, dilation)
    for axis, (pad, size) in enumerate(zip(pads, made, strict=True), start=-axes):
        y = y.narrow(axis, pad, size)
    return y


def _is_small(image: Sequence[int], result: Sequence[int], extents: Sequence[int], pads: Sequence[int]) -> bool:
    """Whether a padded axis of the image is shorter than the kernel, or one of the result is a single voxel."""
    return any(
        pad > 0 and (size < extent or made < 2)
        for size, made, extent, pad in zip(image, result, extents, pads, strict=True)
    )


def _each(of: int | Sequence[int], axes: int) -> list[int]:
    if isinstance(of, int):
        return [of] * axes
    return list(of) * axes if len(of) == 1 else list(of)
