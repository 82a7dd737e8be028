"""``multipart/related`` bodies, cut up as they come in and put together as they go out."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vesalius.errors import FormatError

MOST_PARTS = 100_000
_LONGEST_HEAD = 16 << 10  # bytes of the headers of a part
_CHUNK = 1 << 18
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,200}", re.ASCII)  # 70 are allowed; Orthanc writes 73
_PARAMETER = re.compile(r';\s*([A-Za-z0-9-]+)\s*=\s*(?:"([^"]*)"|([^;\s]*))')


@dataclass(frozen=True)
class Head:
    """The beginning of a part.

    Args:
        content_type: As it says, in lower case; empty when it does not.
    """

    content_type: str


@dataclass(frozen=True)
class End:
    """The end of a part."""


class Splitter:
    r"""Cuts a body into parts while it arrives, in little memory.

    Args:
        boundary: From the header of the message.

    Raises:
        FormatError: The boundary cannot be one.

    Source: RFC 2046, 5.1.1.

    Example:
        >>> splitter = Splitter("x")
        >>> list(splitter.feed(b"--x\r\nContent-Type: text/plain\r\n\r\nab"))
        [Head(content_type='text/plain')]
        >>> list(splitter.feed(b"c\r\n--x--"))
        [b'abc', End()]
    """

    def __init__(self, boundary: str) -> None:
        if not _BOUNDARY.fullmatch(boundary):
            raise FormatError("the boundary of a multipart message cannot be one")
        self._mark = b"\r\n--" + boundary.encode("ascii")
        self._waiting = bytearray(b"\r\n")  # the first boundary may stand at the very beginning
        self._state = "before"
        self._parts = 0

    def feed(self, chunk: bytes) -> Iterator[Head | bytes | End]:
        """Take in a piece of the body; gives what has become clear by it.

        Raises:
            FormatError: The body is no such message, or has more than `MOST_PARTS` parts.
        """
        self._waiting += chunk
        while self._state != "done":
            if self._state in ("before", "inside"):
                at = self._waiting.find(self._mark)
                if at < 0:
                    sure = len(self._waiting) - len(self._mark) - 4
                    if sure > 0:
                        if self._state == "inside":
                            yield bytes(self._waiting[:sure])
                        del self._waiting[:sure]
                    return
                if len(self._waiting) < at + len(self._mark) + 2:
                    return
                if self._state == "inside":
                    if at:
                        yield bytes(self._waiting[:at])
                    yield End()
                del self._waiting[: at + len(self._mark)]
                if self._waiting.startswith(b"--"):
                    self._state = "done"
                    return
                self._state = "head"
            head, found, _ = self._waiting.partition(b"\r\n\r\n")
            if len(head) > _LONGEST_HEAD:
                raise FormatError("the headers of a part of a multipart message are too long")
            if not found:
                return
            self._parts += 1
            if self._parts > MOST_PARTS:
                raise FormatError(f"a multipart message has more than {MOST_PARTS} parts")
            del self._waiting[: len(head) + 4]
            self._state = "inside"
            yield Head(_type_of(bytes(head)))

    def close(self) -> None:
        """The body is at its end.

        Raises:
            FormatError: It is cut off.
        """
        if self._state != "done":
            raise FormatError("a multipart message is cut off")


def parameters(content_type: str) -> tuple[str, dict[str, str]]:
    """A media type and its parameters, in lower case but for the values.

    Example:
        >>> parameters('multipart/related; type="application/dicom"; boundary=x')
        ('multipart/related', {'type': 'application/dicom', 'boundary': 'x'})
    """
    kind, _, _ = content_type.partition(";")
    found = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(content_type)}
    return kind.strip().lower(), found


def new_boundary() -> str:
    """A boundary that no file holds: 128 random bits."""
    return secrets.token_hex(16)


def joined(files: Iterable[tuple[Path, str]], boundary: str) -> Iterator[bytes]:
    """A body out of files, read as they go out.

    Args:
        files: Each with its media type.
        boundary: From `new_boundary`.
    """
    for path, kind in files:
        yield f"--{boundary}\r\nContent-Type: {kind}\r\n\r\n".encode("ascii")
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode("ascii")


def _type_of(head: bytes) -> str:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-type":
            return value.strip().decode("latin-1").lower()
    return ""
