"""What a peer may take of this node: time, memory, connections; kept for every association, whoever began it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.events import Event

log = logging.getLogger(__name__)

_HEADER = 6  # bytes: type, reserved, length
_P_DATA = 4
_NEGOTIATION = 1 << 20  # 128 contexts with 50 transfer syntaxes of 64 characters are 0.4 MiB
_QUEUED = 32  # messages that a peer may send before the first is answered


@dataclass(frozen=True)
class Limits:
    """What a peer may take.

    Args:
        associations: At once, of all peers.
        pdu_bytes: Of a P-DATA-TF PDU, as the node announces it; longer ones end the association before they are read.
        object_bytes: Of one object; kept in memory until it is written.
        held_bytes: Of all objects that are on their way at one time.
        pdu_s: In which a PDU that has begun must be there, and a TLS handshake done.
        idle_s: Without a PDU, after which an association ends.
        answer_s: For a response to a message, or to the request for an association.

    Source: PS3.8 2026c, D.1 (maximum length); pynetdicom sets none of the limits of time for a PDU and of its length.
    """

    associations: int = 10
    pdu_bytes: int = 1 << 17
    object_bytes: int = 1 << 30
    held_bytes: int = 2 << 30
    pdu_s: float = 30.0
    idle_s: float = 60.0
    answer_s: float = 60.0


class Gate:
    """Counts what all associations of a node hold in memory.

    Args:
        limits: Of the node.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._held: dict[threading.Thread, int] = {}

    def watch(self, event: Event) -> None:
        """Put the limits on a connection that has just been made; for ``EVT_CONN_OPEN``."""
        meter = _Meter(event.assoc, self)
        socket: Any = event.assoc.dul.socket
        socket.recv = meter.receive
        closing_for_good(socket)
        _ending_when_confused(event.assoc)

    def hold(self, association: threading.Thread, size: int) -> bool:
        """Note what one association holds; whether all that are alive stay within the limit."""
        with self._lock:
            self._held = {one: held for one, held in self._held.items() if one.is_alive()} | {association: size}
            return sum(self._held.values()) <= self.limits.held_bytes


def closing_for_good(socket: Any) -> None:
    """Have pynetdicom's socket closed when it is to be: it leaves open those that the other side has left already."""
    shut = socket._shutdown_socket

    def close() -> None:
        raw = socket.socket
        shut()
        if raw is not None:
            raw.close()

    socket._shutdown_socket = close


def _ending_when_confused(association: Any) -> None:
    """End an association whose protocol goes wrong in a way that pynetdicom has no rule for.

    Its thread would end with an error and leave the connection open.
    """
    machine, act = association.dul.state_machine, association.dul.state_machine.do_action

    def do_action(event: str) -> None:
        try:
            act(event)
        except Exception as error:  # hostile messages raise a dozen kinds
            log.warning("an association was ended: %s", type(error).__name__)
            association.is_established = False
            association.is_aborted = True
            association._kill = association.dul._kill_thread = True
            if association.dul.socket is not None:
                association.dul.socket._shutdown_socket()

    machine.do_action = do_action


class _Meter:
    """Reads for one association: whole PDUs in time, not longer than they may be, and no endless messages."""

    def __init__(self, association: Association, gate: Gate) -> None:
        self._association = association
        self._gate = gate
        self._kind = 0
        self._message = 0  # bytes of the message that is coming in
        self._complete: deque[int] = deque(maxlen=_QUEUED + 1)

    def receive(self, size: int) -> bytearray:
        """As ``AssociationSocket.recv``: an `OSError` ends the association."""
        limits = self._gate.limits
        if size > self._longest(size):
            raise OSError("a PDU is longer than it may be")
        socket: Any = self._association.dul.socket
        raw = None if socket is None else socket.socket
        if raw is None:
            raise OSError("the connection is closed")
        end = time.monotonic() + limits.pdu_s
        got = bytearray()
        while len(got) < size:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("a PDU took too long")
            raw.settimeout(left)
            part = raw.recv(min(1 << 16, size - len(got)))
            if not part:
                return got
            got += part
        raw.settimeout(limits.pdu_s)  # for what is sent
        if size == _HEADER:
            self._kind = got[0]
        elif self._kind == _P_DATA:
            self._count(got)
        return got

    def _longest(self, size: int) -> int:
        if size == _HEADER:
            return _HEADER
        return self._gate.limits.pdu_bytes if self._kind == _P_DATA else _NEGOTIATION

    def _count(self, body: bytearray) -> None:
        """Sum up the messages that are in memory: those complete and not taken yet, and the one that is coming.

        Source: PS3.8 2026c, 9.3.5.1 (presentation data value items) and E.2 (message control header).
        """
        at = 0
        while at + _HEADER <= len(body):
            length = int.from_bytes(body[at : at + 4], "big")
            control = body[at + 5]
            self._message += max(length - 2, 0)
            if control & 0b11 == 0b10:  # the last fragment of a data set
                self._complete.append(self._message)
                self._message = 0
            at += 4 + max(length, 2)
        waiting = self._association.dimse.msg_queue.qsize()
        # One more than wait: the message that is being answered.
        held = self._message + sum(list(self._complete)[-(waiting + 1) :])
        limits = self._gate.limits
        within = self._gate.hold(self._association, held)
        if self._message > limits.object_bytes or waiting > _QUEUED or not within:
            raise OSError("the messages of a peer are more than may be held")
