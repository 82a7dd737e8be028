"""Large arrays that live for a moment: in memory, or in a temporary file where they would take too much of it."""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.io.atomic import explained

IN_MEMORY_BYTES = 1 << 30  # arrays above this go to a temporary file
_SLAB_VALUES = 1 << 20  # values worked on at a time: few temporaries, and of a file only a part is in memory


@contextmanager
def scratch(shape: tuple[int, ...]) -> Iterator[NDArray[np.float32]]:
    """Lend an array of single precision, whose values are undefined; it is gone when the context is left.

    Args:
        shape: Of the array. More than a GiB goes to a temporary file.

    Raises:
        VesaliusError: There is no room for the file.

    Example:
        >>> with scratch((2, 3)) as array:
        ...     array[...] = 0
        ...     array.shape
        (2, 3)
    """
    if 4 * math.prod(shape) <= IN_MEMORY_BYTES:
        yield np.empty(shape, dtype=np.float32)
        return
    with tempfile.TemporaryDirectory(prefix="vesalius-") as folder:
        path = Path(folder) / "scratch"
        # The space is taken at once: a disk that fills up later would end the process.
        with explained("intermediate results to the temporary folder"), path.open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, 4 * math.prod(shape))
            else:
                file.truncate(4 * math.prod(shape))
        yield np.memmap(path, dtype=np.float32, mode="r+", shape=shape)


def give_back() -> None:
    """Hand memory that is free inside this process back to the system.

    Arrays of some megabytes that come and go on several threads leave holes that glibc would keep: seen, 350 MB of them
    beside 400 MB in use.
    """
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    return getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, other C libraries do not


def slabs(shape: tuple[int, ...]) -> Iterator[slice]:
    """Cut the first axis after the leading one, so that each piece of all channels is small.

    Args:
        shape: ``(channels, *grid)``.

    Example:
        >>> list(slabs((4, 100, 512, 512)))[:2]
        [slice(0, 1, None), slice(1, 2, None)]
    """
    rows = max(1, _SLAB_VALUES // max(1, math.prod(shape) // max(1, shape[1])))
    return (slice(low, low + rows) for low in range(0, shape[1], rows))
