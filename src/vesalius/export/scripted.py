"""The weights of a TorchScript archive, and nothing else of it.

TorchScript keeps its modules in a pickle and their code beside it. Neither PyTorch's loader, which compiles the code
and may run parts of it, nor Python's unpickler has a part in this: the pickle's instructions are followed by a machine
that can stack, list and name things, and cannot call any.
"""

from __future__ import annotations

import io
import pickletools
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vesalius.errors import BundleError

_KINDS = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_LISTS = tuple(f"torch.jit._pickle.build_{kind}list" for kind in ("int", "double", "bool", "tensor"))
_LARGEST_PICKLE = 64 << 20
_MOST_MODULES = 20_000
_MARK = object()


def read_scripted(data: bytes, name: str) -> Mapping[str, Tensor]:
    """The parameters and buffers of a TorchScript archive, by name. None of its code is looked at.

    Args:
        data: The archive.
        name: Of the file, for messages.

    Raises:
        BundleError: It is no such archive, is damaged, or asks for anything but modules, tensors, lists and numbers.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _named(_Reader(archive, name).module())
    except BundleError:
        raise
    except Exception as error:  # a damaged archive fails in any way
        raise BundleError(f"{name}: damaged, or not a TorchScript archive ({type(error).__name__})") from None


@dataclass(frozen=True)
class _Name:
    """What the pickle calls something that would have to be imported."""

    text: str


@dataclass(eq=False)
class _Module:
    """A module: what it holds, by name."""

    held: dict[str, Any] = field(default_factory=dict)


def _named(module: _Module) -> dict[str, Tensor]:
    """The tensors of a module and those inside it. A few modules that hold each other could have endlessly many."""
    found: dict[str, Tensor] = {}
    left = [("", module)]
    for _ in range(_MOST_MODULES):
        if not left:
            return found
        prefix, at = left.pop()
        for name, value in at.held.items():
            if isinstance(value, Tensor):
                found[prefix + name] = value
            elif isinstance(value, _Module):
                left.append((f"{prefix}{name}.", value))
    raise BundleError(f"the archive holds more than {_MOST_MODULES:,} modules, or modules that hold each other")


class _Reader:
    """Follows the instructions of an archive's pickle."""

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        self.archive, self.name = archive, name
        found = [part for part in archive.namelist() if part.endswith("data.pkl") and part.count("/") == 1]
        if len(found) != 1:
            raise BundleError(f"{name}: a TorchScript archive holds one data.pkl, not {len(found)}")
        self.root = found[0].removesuffix("data.pkl")
        if self.root + "byteorder" in archive.namelist() and self.part("byteorder", 16) != b"little":
            raise BundleError(f"{name}: the numbers in the archive are big-endian")
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Tensor] = {}

    def part(self, path: str, most: int) -> bytes:
        """A part of the archive; parts that are read are never compressed."""
        info = self.archive.getinfo(self.root + path)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size > most:
            raise BundleError(f"{self.name}: {path} is compressed or larger than it can be")
        return self.archive.read(info)

    def module(self) -> _Module:
        """The outermost module."""
        for op, argument, _ in pickletools.genops(self.part("data.pkl", _LARGEST_PICKLE)):
            if op.name == "STOP":
                break
            if op.name in _PLAIN:
                self.stack.append(argument)
            elif op.name in _ACTS:
                _ACTS[op.name](self, argument)
            else:
                raise BundleError(f"{self.name}: the pickle uses {op.name}, which modules and tensors do not need")
        made = self.stack[-1]
        if not isinstance(made, _Module):
            raise BundleError(f"{self.name}: the archive holds no module")
        return made

    def marked(self) -> list[Any]:
        """What lies on the stack above the last mark."""
        at = next(at for at in range(len(self.stack) - 1, -1, -1) if self.stack[at] is _MARK)
        above = self.stack[at + 1 :]
        del self.stack[at:]
        return above

    def extend(self) -> None:
        """Put what is above the mark into the list below it."""
        more = self.marked()
        self.stack[-1].extend(more)

    def reduce(self) -> None:
        """What would be a call: of the few that TorchScript writes, the result is made here."""
        arguments, called = self.stack.pop(), self.stack.pop()
        match called:
            case _Name("torch._utils._rebuild_tensor_v2"):
                self.stack.append(self.tensor(*arguments[:4]))
            case _Name("collections.OrderedDict") if not arguments:
                self.stack.append({})
            case _Name(text) if text in _LISTS and len(arguments) == 1:
                self.stack.append(arguments[0])
            case _:
                raise BundleError(f"{self.name}: the pickle asks to call {called}; nothing of it was run")

    def new(self) -> None:
        """A module without its content."""
        self.stack.pop()
        kind = self.stack.pop()
        if not (isinstance(kind, _Name) and kind.text.startswith("__torch__.")):
            raise BundleError(f"{self.name}: the pickle asks to make {kind}; nothing of it was run")
        self.stack.append(_Module())

    def build(self) -> None:
        """The content of a module. One that would be restored by its own code is left empty."""
        content = self.stack.pop()
        if isinstance(self.stack[-1], _Module) and isinstance(content, dict):
            self.stack[-1].held = {str(name): value for name, value in content.items()}

    def items(self, pairs: list[Any]) -> None:
        """Fill a dictionary; what no plain value is cannot be a key."""
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            self.stack[-1][key] = value

    def tensor(self, storage: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> Tensor:
        """A tensor over a storage, if it lies inside."""
        kind, key, count = storage[1], storage[2], storage[4]
        if not (isinstance(kind, _Name) and isinstance(key, str) and key.isdecimal() and storage[0] == "storage"):
            raise BundleError(f"{self.name}: a tensor's storage is not described as PyTorch does")
        dtype = _KINDS[kind.text.removeprefix("torch.")]
        if key not in self.storages:
            raw = self.part(f"data/{key}", count * dtype.itemsize)
            self.storages[key] = torch.frombuffer(bytearray(raw), dtype=dtype) if raw else torch.empty(0, dtype=dtype)
        held = self.storages[key]
        last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        inside = min((offset, *shape, *strides), default=0) >= 0 and last < held.numel()
        if held.dtype != dtype or (0 not in shape and not inside):
            raise BundleError(f"{self.name}: a tensor reaches beyond its storage")
        return torch.as_strided(held, shape, strides, offset)


def _tuple(count: int) -> Callable[[_Reader, Any], None]:
    def act(reader: _Reader, _: Any) -> None:
        made = tuple(reader.stack[len(reader.stack) - count :])
        del reader.stack[len(reader.stack) - count :]
        reader.stack.append(made)

    return act


_PLAIN = ("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT")
_ACTS: dict[str, Callable[[_Reader, Any], None]] = {
    "PROTO": lambda reader, _: None,  # noqa: ARG005
    "NONE": lambda reader, _: reader.stack.append(None),
    "NEWTRUE": lambda reader, _: reader.stack.append(True),
    "NEWFALSE": lambda reader, _: reader.stack.append(False),
    "MARK": lambda reader, _: reader.stack.append(_MARK),
    "EMPTY_TUPLE": lambda reader, _: reader.stack.append(()),
    "EMPTY_LIST": lambda reader, _: reader.stack.append([]),
    "EMPTY_DICT": lambda reader, _: reader.stack.append({}),
    "TUPLE": lambda reader, _: reader.stack.append(tuple(reader.marked())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "APPEND": lambda reader, _: reader.stack[-2].append(reader.stack.pop()),
    "APPENDS": lambda reader, _: reader.extend(),
    "SETITEM": lambda reader, _: reader.items([reader.stack.pop(-2), reader.stack.pop()]),
    "SETITEMS": lambda reader, _: reader.items(reader.marked()),
    "BINPUT": lambda reader, at: reader.memo.update({at: reader.stack[-1]}),
    "LONG_BINPUT": lambda reader, at: reader.memo.update({at: reader.stack[-1]}),
    "BINGET": lambda reader, at: reader.stack.append(reader.memo[at]),
    "LONG_BINGET": lambda reader, at: reader.stack.append(reader.memo[at]),
    "GLOBAL": lambda reader, name: reader.stack.append(_Name(name.replace(" ", "."))),
    "BINPERSID": lambda reader, _: None,  # the description of a storage stays what it is  # noqa: ARG005
    "REDUCE": lambda reader, _: reader.reduce(),
    "NEWOBJ": lambda reader, _: reader.new(),
    "BUILD": lambda reader, _: reader.build(),
}
"""What the machine can do, by the names of Python's pickletools."""
