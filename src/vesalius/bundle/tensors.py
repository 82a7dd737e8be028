"""Weights as bytes: safetensors, mostly in half precision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import BundleError

Precision = Literal["half", "single"]

LARGEST_HEADER = 4 << 20
"""Bytes of the list of tensors: enough for thirty thousand, of which the largest networks have a few thousand. The
list is parsed as a whole, so that a longer one would cost many times its own length of memory."""


def weights_to_bytes(weights: Mapping[str, NDArray[Any]], *, precision: Precision = "half") -> bytes:
    """Write weights.

    Args:
        weights: By name.
        precision: ``"half"`` where that loses nothing but digits (2 bytes each), or ``"single"`` as they are.
    """
    from safetensors.numpy import save

    raw: bytes = save(
        {
            name: _compact(array) if precision == "half" else np.asarray(array, order="C")
            for name, array in weights.items()
        }
    )
    return raw


def exact_precision(weights: Mapping[str, NDArray[Any]]) -> Precision:
    """The precision in which weights are written without losing a digit, and the fewest bytes.

    Weights that were read from a bundle in half precision are exact in it.

    Example:
        >>> exact_precision({"a": np.float32([0.5])}), exact_precision({"a": np.float32([0.1])})
        ('half', 'single')
    """
    exact = all(
        np.array_equal(array, _compact(array).astype(array.dtype), equal_nan=True) for array in weights.values()
    )
    return "half" if exact else "single"


def weights_from_bytes(data: bytes, name: str) -> dict[str, NDArray[Any]]:
    """Read weights, in single precision.

    Args:
        data: What `weights_to_bytes` wrote.
        name: Of the file, for messages.

    Raises:
        BundleError: It is something else.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    claimed = int.from_bytes(data[:8], "little")
    if LARGEST_HEADER < claimed <= len(data):
        raise BundleError(f"{name} begins with a list of {claimed:,} bytes; at most {LARGEST_HEADER:,} are read")
    try:
        found: dict[str, NDArray[Any]] = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError):
        raise BundleError(f"{name} is not a safetensors file") from None
    return {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in found.items()}


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    """Half precision, unless a value would overflow."""
    array = np.asarray(array, order="C")  # unlike `ascontiguousarray` it keeps a scalar a scalar
    largest = float(np.finfo(np.float16).max)
    if array.dtype.kind != "f" or (array.size and float(np.abs(array).max()) > largest):
        return array
    return array.astype(np.float16)
