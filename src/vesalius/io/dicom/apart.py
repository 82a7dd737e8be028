"""Decoders that a damaged frame can kill: run in a process of their own, which may die without taking ours along.

GDCM, the only free decoder of lossless JPEG, ends the whole process at many a damaged frame (an exception of C++ that
nobody catches). The process is started with the first frame, takes all that follow, and is started anew after it died.
It costs 0.4 s once and a copy of each frame.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import struct
import subprocess
import sys
import threading
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

LONGEST_S = 60.0
"""How long the decoding of one frame may take; a second is long."""

LARGEST_SPACE = 8 << 30
"""Bytes of address space that the process may take."""

_LENGTHS = struct.Struct("<LQ")


class DecoderError(Exception):
    """The decoder refused the frame, died of it, or did not come to an end."""


def decode_apart(syntax: str, plugin: str, frame: bytes, options: dict[str, Any]) -> NDArray[Any]:
    """Decode one frame in the other process.

    Args:
        syntax: Transfer syntax.
        plugin: Pydicom's name of the decoder.
        frame: The compressed frame.
        options: As `pydicom.pixels.decoders.base.Decoder.as_array` takes them.

    Returns:
        What that gives.

    Raises:
        DecoderError: There is no result.
    """
    request = {"syntax": syntax, "plugin": plugin, "options": options}
    told, data = _process.ask(request, frame)
    if "shape" not in told:
        raise DecoderError("the decoder refused the frame")
    return np.frombuffer(data, told["dtype"]).reshape(told["shape"])


class _Process:
    """The process, started when it is needed; one question at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, request: dict[str, Any], frame: bytes) -> tuple[dict[str, Any], bytes]:
        """Send a request and wait for the answer."""
        with self._lock:
            try:
                running = self._started()
                _send(running.stdin, request, frame)
                return _receive(running.stdout, LONGEST_S)
            except (OSError, EOFError, TimeoutError):
                self.end()
                raise DecoderError("the decoder died or did not come to an end") from None

    def end(self) -> None:
        """Stop it, if it is ours: after a fork, it is that of the other."""
        if self._running is not None and self._owner == os.getpid():
            self._running.kill()
            with contextlib.suppress(OSError):
                self._running.communicate()
        self._running = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._running is None or self._running.poll() is not None or self._owner != os.getpid():
            self.end()
            self._owner = os.getpid()
            self._running = subprocess.Popen(
                [sys.executable, "-m", "vesalius.io.dicom.apart"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            )
        return self._running


_process = _Process()
atexit.register(_process.end)


def _send(stream: Any, told: dict[str, Any], data: bytes) -> None:
    head = json.dumps(told).encode()
    stream.write(_LENGTHS.pack(len(head), len(data)) + head)
    stream.write(data)
    stream.flush()


def _receive(stream: Any, within_s: float | None) -> tuple[dict[str, Any], bytes]:
    if within_s is not None and not select.select([stream], [], [], within_s)[0]:
        raise TimeoutError
    size, length = _LENGTHS.unpack(_exactly(stream, _LENGTHS.size))
    told: dict[str, Any] = json.loads(_exactly(stream, size))
    return told, _exactly(stream, length)


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) < count:
        raise EOFError
    return data


def _serve() -> None:
    """What the process does: a frame in, an array out, until its input ends."""
    import resource

    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    resource.setrlimit(resource.RLIMIT_AS, (LARGEST_SPACE, LARGEST_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the decoders print is no answer
    while True:
        try:
            told, frame = _receive(sys.stdin.buffer, None)
        except EOFError:
            return
        try:
            decoder, options = get_decoder(told["syntax"]), told["options"]
            array, _ = decoder.as_array(encapsulate([frame]), index=0, decoding_plugin=told["plugin"], **options)
        except Exception:
            _send(answers, {}, b"")
        else:
            _send(answers, {"shape": array.shape, "dtype": array.dtype.str}, array.tobytes())


if __name__ == "__main__":
    _serve()
