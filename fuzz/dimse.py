"""What a known caller may send to the node under fuzzing: the data sets of C-STORE and of storage commitment."""

from __future__ import annotations

import contextlib
import functools
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

from network import _CLOSES_S, _command, _data, _no_timeout

from vesalius.privacy.access import change_role, create_access
from vesalius.privacy.audit import create_chain
from vesalius.privacy.tokens import change_title
from vesalius.server.guard import Guard
from vesalius.server.node import commitment
from vesalius.server.node.limits import Limits
from vesalius.server.node.listen import Door, listening
from vesalius.server.node.peers import Caller, Peer
from vesalius.server.store import Store

_CT = "1.2.840.10008.5.1.4.1.1.2"
_COMMITMENT, _KNOWN = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
_EXPLICIT = "1.2.840.10008.1.2.1"
_RELEASE = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"


def dimse(data: bytes) -> None:
    """A data set for a service; the first byte says which: C-STORE, N-ACTION, N-EVENT-REPORT.

    Raises:
        AssertionError: The connection stays open, a thread of the node ended with an error, or a file lies outside the
            store.
    """
    port, store, broken = _started()
    before = set(store.folder.parent.iterdir())
    kind, held = (data[0] % 3 if data else 0), data[1:]
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), _CLOSES_S) as line:
        line.sendall(_association())
        line.recv(65536)
        line.sendall(_data(1 if kind == 0 else 3, _asked(kind), command=True))
        line.sendall(_data(1 if kind == 0 else 3, held, command=False) + _RELEASE)
        with _no_timeout():
            while line.recv(65536):
                pass
    assert set(store.folder.parent.iterdir()) == before
    assert not broken, broken


def _asked(kind: int) -> bytes:
    if kind == 0:
        return _command({0x0002: _CT, 0x0100: 0x0001, 0x0110: 1, 0x0700: 0, 0x0800: 1, 0x1000: "1.2.3"})
    if kind == 1:
        return _command({0x0003: _COMMITMENT, 0x0100: 0x0130, 0x0110: 1, 0x0800: 1, 0x1001: _KNOWN, 0x1008: 1})
    return _command({0x0002: _COMMITMENT, 0x0100: 0x0100, 0x0110: 1, 0x0800: 1, 0x1000: _KNOWN, 0x1002: 1})


def _association() -> bytes:
    """A request for an association for CT images (context 1) and storage commitment (3), both roles."""

    def item(kind: int, value: bytes) -> bytes:
        return struct.pack(">BBH", kind, 0, len(value)) + value

    contexts = b"".join(
        item(0x20, bytes([number, 0, 0, 0]) + item(0x30, abstract.encode()) + item(0x40, _EXPLICIT.encode()))
        for number, abstract in ((1, _CT), (3, _COMMITMENT))
    )
    role = item(0x54, struct.pack(">H", len(_COMMITMENT)) + _COMMITMENT.encode() + b"\1\1")
    user = item(0x50, item(0x51, struct.pack(">L", 16_384)) + item(0x52, b"1.2.3.4") + role)
    body = struct.pack(">HH", 1, 0) + b"VESALIUS".ljust(16) + b"FUZZ".ljust(16) + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user
    return b"\x01\x00" + struct.pack(">L", len(body)) + body


def start() -> None:
    """Load what the node loads, and listen: not on the time of the first input."""
    _started()


@functools.cache
def _started() -> tuple[int, Store, list[str]]:
    from targets import FOLDER

    broken: list[str] = []
    threading.excepthook = lambda told: broken.append(repr(told.exc_value))
    folder = Path(FOLDER) / "dimse"
    folder.mkdir()
    keys = Path(FOLDER) / "dimse-keys"
    keys.mkdir()
    create_access(keys / "access.json", "fuzz")
    change_role(keys / "access.json", "scanner", "device", granted=True)
    change_title(keys / "access.json", "scanner", "FUZZ", given=True)
    store = Store(folder / "store")
    limits = Limits(pdu_s=1.0, idle_s=1.0, answer_s=1.0, object_bytes=1 << 20)
    # Reports go to a port that nobody listens at.
    peers = {"FUZZ": Peer("FUZZ", "127.0.0.1", 9)}
    handlers = commitment.handlers(store, peers, caller=Caller(limits=limits), told=lambda _: None)
    guard = Guard(keys / "access.json", create_chain(keys / "audit"))
    held = contextlib.ExitStack()
    port = held.enter_context(listening(Door(port=0, limits=limits), store, handlers=handlers, guard=guard))
    _started.held = held  # type: ignore[attr-defined]  # as long as the process lives
    return port, store, broken


def seeds(objects: Iterator[bytes]) -> Iterator[bytes]:
    """An image for each service, and a request for storage commitment with its report.

    Args:
        objects: Data sets of images without their meta group, explicit little endian.
    """
    yield from (b"\0" + one for one in objects)
    uid = struct.pack("<HH2sH", 0x0008, 0x1195, b"UI", 6) + b"1.2.3\0"
    item = struct.pack("<HH2sH", 0x0008, 0x1150, b"UI", 26) + _CT.encode() + b"\0"
    item += struct.pack("<HH2sH", 0x0008, 0x1155, b"UI", 6) + b"1.2.3\0"
    packed = struct.pack("<HHL", 0xFFFE, 0xE000, len(item)) + item
    kept = struct.pack("<HH2sHL", 0x0008, 0x1199, b"SQ", 0, len(packed)) + packed
    missing = struct.pack("<HH2sHL", 0x0008, 0x1198, b"SQ", 0, len(packed)) + packed
    yield b"\1" + uid + kept
    yield b"\2" + uid + missing + kept
