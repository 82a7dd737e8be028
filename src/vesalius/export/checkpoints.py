"""Tensors and plain values out of files that others pickled. Nothing in such a file is run, whatever it says."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vesalius.errors import BundleError

_NUMBERS = (np.float64, np.float32, np.int64, np.int32, np.bool_)


def read_checkpoint(source: Path | bytes, name: str | None = None) -> Mapping[str, Any]:
    """Read a file that ``torch.save`` wrote: tensors, numbers, texts, and lists and dictionaries of them.

    Single numbers of numpy are let through, which training logs hold; nothing else is. Tensors of a file stay there
    until they are used.

    Args:
        source: The file, or what is in it.
        name: Of the file, for messages; that of ``source`` when left out.

    Raises:
        BundleError: It is not there, damaged, larger inside than outside, not a dictionary, or holds anything that
            would have to be imported or called; the message names it. Nothing of it was run.

    Source: PyTorch's ``weights_only`` unpickler, which knows no instruction that could import or call.
    """
    name = name or (source.name if isinstance(source, Path) else "the checkpoint")
    if isinstance(source, Path) and not source.is_file():
        raise BundleError(f"{name}: there is no such file")
    _refuse_bomb(source, name)
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            held = torch.load(_opened(source), map_location="cpu", weights_only=True, mmap=isinstance(source, Path))
    except pickle.UnpicklingError:
        raise BundleError(f"{name}: {_strangers(source)}; it was not opened, and nothing of it was run") from None
    except Exception as error:  # a damaged file fails in any way
        raise BundleError(f"{name}: damaged, or not a file of tensors ({type(error).__name__})") from None
    if not isinstance(held, dict):
        raise BundleError(f"{name}: it must hold a dictionary, and holds a {type(held).__name__}")
    return held


def tensor_of(tensors: Mapping[str, Any], names: Sequence[str], shape: Sequence[int], file: str) -> NDArray[np.float32]:
    """One of the tensors, in single precision, after everything about it was checked.

    Args:
        tensors: As they were read.
        names: Those that it may go by; where there are several they must be equal.
        shape: That it must have.
        file: For messages.

    Raises:
        BundleError: It is missing, another shape or kind, not finite, larger than what the file holds of it, or two of
            its names hold different numbers.
    """
    found = [tensors[name] for name in names if name in tensors]
    if not found:
        raise BundleError(f"{file}: the tensor {names[0]} is missing: these are not weights of the network described")
    for tensor in found:
        _check(tensor, shape, f"{file}: the tensor {names[0]}")
    made = found[0].detach().to(torch.float32)
    if not bool(made.isfinite().all()):
        raise BundleError(f"{file}: the tensor {names[0]} holds values that are not finite")
    if any(not torch.equal(found[0], other) for other in found[1:]):
        raise BundleError(f"{file}: the tensor {names[0]} is there twice, with different numbers")
    return np.asarray(made.numpy())


def _check(tensor: Any, shape: Sequence[int], what: str) -> None:
    """Without looking at a single value, so that a tensor that claims more than it holds costs nothing."""
    if (
        type(tensor) not in (Tensor, torch.nn.Parameter)
        or tensor.layout != torch.strided
        or tensor.device.type != "cpu"
    ):
        raise BundleError(f"{what} is not a plain tensor")
    if tuple(tensor.shape) != tuple(shape):
        raise BundleError(f"{what} is of shape {tuple(tensor.shape)}; the network described needs {tuple(shape)}")
    if not tensor.is_floating_point():
        raise BundleError(f"{what} holds {tensor.dtype}, not real numbers")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise BundleError(f"{what} claims more numbers than the file holds")


def _opened(source: Path | bytes) -> Path | io.BytesIO:
    return source if isinstance(source, Path) else io.BytesIO(source)


def _refuse_bomb(source: Path | bytes, name: str) -> None:
    """``torch.save`` never compresses, so that what is inside cannot be larger than the file."""
    try:
        with zipfile.ZipFile(_opened(source)) as archive:
            inside = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError):
        raise BundleError(f"{name}: damaged, or not a file that torch.save wrote (a zip archive)") from None
    if inside > (source.stat().st_size if isinstance(source, Path) else len(source)):
        raise BundleError(f"{name}: the parts of the archive unpack to more than the file holds")


def _strangers(source: Path | bytes) -> str:
    """What the file would have had imported, in words."""
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            names = torch.serialization.get_unsafe_globals_in_checkpoint(_opened(source))
    except Exception:  # the pickle itself is broken
        names = []
    if not names:
        return "the pickle inside is damaged or uses instructions that plain values do not need"
    shown = ", ".join(sorted(names)[:5]) + (" …" if len(names) > 5 else "")
    return f"besides tensors and plain values it asks for {shown}"


def _numpy_scalars() -> list[Any]:
    """What a pickled number of numpy consists of, by the names that numpy 1 and numpy 2 give it."""
    from numpy._core.multiarray import scalar

    kinds = [type(np.dtype(number)) for number in _NUMBERS]
    return [(scalar, "numpy.core.multiarray.scalar"), (scalar, "numpy._core.multiarray.scalar"), np.dtype, *kinds]
