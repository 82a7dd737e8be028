"""The DICOM node under fuzzing: any bytes on a connection, after which it must close, and the node go on listening."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from vesalius.server.node.limits import Limits
from vesalius.server.node.listen import Door, listening
from vesalius.server.node.peers import Caller, Peer, PeerError
from vesalius.server.node.query import echo
from vesalius.server.store import Store

_CT = "1.2.840.10008.5.1.4.1.1.2"
_VERIFICATION = "1.2.840.10008.1.1"
_EXPLICIT = "1.2.840.10008.1.2.1"
_CLOSES_S = 15.0
_ALIVE_EVERY = 25
_count = 0


def node(data: bytes) -> None:
    """Bytes for a connection; what comes first says how they are sent.

    Args:
        data: Of the first byte, bit 0 means behind an association that was accepted, bit 1 that our side is closed at
            once afterwards, so that the node has to deal with what it was sent alone.

    Raises:
        AssertionError: The connection stays open, a thread of the node ended with an error, the node takes no more
            calls, or a file lies outside the store.
    """
    global _count  # noqa: PLW0603
    port, store, broken = _started()
    before = set(store.folder.parent.iterdir())
    how = data[0] if data else 0
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), _CLOSES_S) as line:
        if how & 1:
            line.sendall(association())
            line.recv(65536)
        line.sendall(data[1:])
        if how & 2:
            line.shutdown(socket.SHUT_WR)
        with _no_timeout():
            while line.recv(65536):
                pass
    _count += 1
    if _count % _ALIVE_EVERY == 0:
        _knock(Peer("VESALIUS", "127.0.0.1", port))
        assert set(store.folder.parent.iterdir()) == before
    assert not broken, broken


@contextlib.contextmanager
def _no_timeout() -> Iterator[None]:
    try:
        yield
    except TimeoutError:
        raise AssertionError("the connection stays open") from None


def _knock(peer: Peer) -> None:
    """On a machine that other work shares, one call may come too late."""
    for attempt in range(5):
        try:
            return echo(peer, caller=Caller())
        except PeerError:
            time.sleep(1 + attempt)
    raise AssertionError("the node takes no more calls")


def start() -> None:
    """Load what the node loads, and listen: not on the time of the first input."""
    _started()


@functools.cache
def _started() -> tuple[int, Store, list[str]]:
    from targets import FOLDER

    broken: list[str] = []
    threading.excepthook = lambda told: broken.append(repr(told.exc_value))
    store = Store(Path(FOLDER) / f"store-{os.getpid()}")
    limits = Limits(pdu_s=1.0, idle_s=1.0, answer_s=1.0, object_bytes=1 << 20)
    held = contextlib.ExitStack()
    port = held.enter_context(listening(Door(port=0, limits=limits), store))
    _started.held = held  # type: ignore[attr-defined]  # as long as the process lives
    return port, store, broken


def association(*, length: int | None = None) -> bytes:
    """A request for an association for C-ECHO (context 1) and C-STORE of CT images (context 3), written by hand."""

    def item(kind: int, value: bytes) -> bytes:
        return struct.pack(">BBH", kind, 0, len(value)) + value

    contexts = b"".join(
        item(0x20, bytes([number, 0, 0, 0]) + item(0x30, abstract.encode()) + item(0x40, _EXPLICIT.encode()))
        for number, abstract in ((1, _VERIFICATION), (3, _CT))
    )
    user = item(0x50, item(0x51, struct.pack(">L", 16_384)) + item(0x52, b"1.2.3.4") + item(0x55, b"FUZZ"))
    body = struct.pack(">HH", 1, 0) + b"VESALIUS".ljust(16) + b"FUZZ".ljust(16) + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user
    return b"\x01\x00" + struct.pack(">L", len(body) if length is None else length) + body


def seeds(image: bytes) -> Iterator[bytes]:
    """Conversations: nothing but the request; C-ECHO; C-STORE of an image; an abort; each with and without release.

    Args:
        image: The data set of a CT image without its meta group, explicit little endian.
    """
    release = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
    verify = _data(1, _command({0x0002: _VERIFICATION, 0x0100: 0x0030, 0x0110: 1, 0x0800: 0x0101}), command=True)
    asked = {0x0002: _CT, 0x0100: 0x0001, 0x0110: 2, 0x0700: 0, 0x0800: 1, 0x1000: "1.2.3"}
    keep = _data(3, _command(asked), command=True) + _data(3, image, command=False)
    yield b"\2" + association()
    yield b"\2" + association() + verify + release
    yield b"\3" + verify + verify
    yield b"\1" + keep + release
    yield b"\1" + verify + release
    yield b"\3" + verify + keep
    yield b"\3\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"


def _data(context: int, message: bytes, *, command: bool) -> bytes:
    piece = bytes([context, 2 | command]) + message
    return b"\x04\x00" + struct.pack(">LL", len(piece) + 4, len(piece)) + piece


def _command(elements: dict[int, str | int]) -> bytes:
    """The group of a command: implicit little endian, its length first (PS3.7 6.3.1)."""
    body = b""
    for element, value in elements.items():
        held = struct.pack("<H", value) if isinstance(value, int) else value.encode() + b"\0" * (len(value) % 2)
        body += struct.pack("<HHL", 0, element, len(held)) + held
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body
