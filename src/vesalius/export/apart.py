"""Converters and runtimes of phones, each in a process of its own: where one crashes, the export fails and tidies up.

A target hands over a network with `convert_apart`, and what it wrote with `run_apart`. The process imports the target's
module and calls its ``convert(program, window, path)`` or ``start(path)``.
"""

from __future__ import annotations

import math
import os
import signal
import struct
import subprocess
import sys
import tempfile
import warnings
import weakref
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import PlanError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vesalius.predict.backends import Run

Start = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""A window ``(1, c, *patch)`` to its logits ``(1, outputs, *patch)``."""


def convert_apart(module: str, network: nn.Module, window: Tensor, path: Path) -> None:
    """Convert a network in a process of its own.

    Args:
        module: Whose ``convert`` does it.
        network: In evaluation mode. Its weights are brought to the plain layout of memory: both converters fail on
            channels-last ones, LiteRT's by another result.
        window: ``(1, c, *patch)``; the result takes windows of this shape only.
        path: The file to write.

    Raises:
        PlanError: PyTorch cannot trace it, or the converter fails or crashes; the message holds its last line.
    """
    import torch

    from vesalius.export.describe import INPUT

    named: nn.Module = _named(network).eval()
    named = named.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with tempfile.TemporaryDirectory(prefix="vesalius-") as folder:
        program = Path(folder) / "network.pt2"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch's own, of its older functions
            try:
                torch.export.save(torch.export.export(named, (), {INPUT: window.contiguous()}), program)
            except RuntimeError as error:
                raise PlanError(f"PyTorch cannot trace this network: {_last_line(str(error))}") from error
        done = subprocess.run(_command("convert", module, program, path), capture_output=True, check=False)
    if done.returncode != 0:
        raise PlanError(f"the converter {_end(done.returncode, done.stderr)}")


def run_apart(module: str, path: Path) -> Run:
    """What a target wrote, ready to run in a process of its own, which ends with the last reference to it.

    Args:
        module: Whose ``start`` does it.
        path: What was written.

    Returns:
        The function; it raises a PlanError where the runtime fails or crashes.
    """
    return _Apart(module, path)


class _Apart:
    def __init__(self, module: str, path: Path) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the process
        self._process = subprocess.Popen(
            _command("serve", module, path), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        weakref.finalize(self, _finish, self._process, self._log)

    def __call__(self, windows: Tensor) -> Tensor:
        import torch

        return torch.cat([torch.from_numpy(self._one(window)) for window in windows.numpy()[:, None]])

    def _one(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        into, out = self._process.stdin, self._process.stdout
        assert into is not None  # both are pipes
        assert out is not None
        try:
            _send(into, window)
            return _receive(out)
        except (OSError, EOFError):
            code = self._process.wait()
            self._log.seek(0)
            raise PlanError(f"the runtime {_end(code, self._log.read())}") from None


def _finish(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:  # what waited in it has nobody left to read it
                continue
    process.wait()
    log.close()


def _command(act: str, module: str, *paths: Path) -> list[str]:
    # -P: what lies in the current folder is not imported.
    return [sys.executable, "-P", "-W", "ignore", "-m", "vesalius.export.apart", act, module, *map(str, paths)]


def _end(code: int, told: bytes) -> str:
    """How a process ended, in words."""
    if code < 0:
        return f"crashed ({signal.Signals(-code).name}) on this network"
    return f"failed: {_last_line(told.decode(errors='replace'))}"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it gave no reason"


def _named(network: nn.Module) -> nn.Module:
    """The network with names for what goes in and out."""
    from torch import nn

    from vesalius.export.describe import OUTPUT

    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, image: Tensor) -> dict[str, Tensor]:
            return {OUTPUT: self.network(image)}

    return Named()


def _send(pipe: IO[bytes], array: NDArray[np.float32]) -> None:
    """An array as its number of axes, their sizes and its values."""
    pipe.write(struct.pack(f"<{1 + array.ndim}q", array.ndim, *array.shape))
    pipe.write(np.ascontiguousarray(array, dtype="<f4").tobytes())
    pipe.flush()


def _receive(pipe: IO[bytes]) -> NDArray[np.float32]:
    """Such an array; an EOFError where there is none, or only a part of it."""
    (axes,) = struct.unpack("<q", _read(pipe, 8))
    shape = struct.unpack(f"<{axes}q", _read(pipe, 8 * axes))
    return np.frombuffer(_read(pipe, 4 * math.prod(shape)), "<f4").reshape(shape).copy()


def _read(pipe: IO[bytes], size: int) -> bytes:
    found = pipe.read(size)
    if len(found) < size:
        raise EOFError
    return found


def _main(act: str, module: str, *paths: str) -> None:
    """What the process does."""
    target = import_module(module)
    if act == "convert":
        import torch

        program = torch.export.load(paths[0])
        (window,) = program.example_inputs[1].values()
        target.convert(program, window, Path(paths[1]))
        return
    # Whatever a runtime prints goes to the log, not between the arrays.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    run = target.start(Path(paths[0]))
    while True:
        try:
            window = _receive(sys.stdin.buffer)
        except EOFError:  # nobody asks any more
            return
        _send(answers, run(window))


if __name__ == "__main__":
    _main(*sys.argv[1:])
