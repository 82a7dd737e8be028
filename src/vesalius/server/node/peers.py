"""Others on the network, and associations with them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vesalius.errors import VesaliusError
from vesalius.server.node.limits import Gate, Limits
from vesalius.server.node.quiet import prepare
from vesalius.server.node.tls import Tls, context_of

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.presentation import PresentationContext

    from vesalius.server.node.server import Entity

_TITLE = re.compile(r"[\x20-\x5b\x5d-\x7e]{1,16}", re.ASCII)


class PeerError(VesaliusError):
    """A peer cannot be reached, refuses the association, or breaks it off."""


class RefusedError(PeerError):
    """A peer is there, but does not do what it is asked for."""


@dataclass(frozen=True)
class Peer:
    """An application entity that can be called.

    Args:
        ae_title: 1 to 16 characters.
        host: Name or address.
        port: TCP port.

    Raises:
        VesaliusError: The title or the port cannot be one.

    Source: PS3.5 2026c, table 6.2-1 (AE: at most 16 characters, no backslash, not only spaces).
    """

    ae_title: str
    host: str
    port: int

    def __post_init__(self) -> None:
        if not self.host or not 0 < self.port < 65536:
            raise VesaliusError("a peer needs a host and a port from 1 to 65535")
        checked_title(self.ae_title)


@dataclass(frozen=True)
class Caller:
    """This node, as it calls others.

    Args:
        ae_title: Its own.
        limits: What others may take of it.
        tls: Its identity; without one connections are not encrypted.
    """

    ae_title: str = "VESALIUS"
    limits: Limits = Limits()  # noqa: RUF009  (frozen)
    tls: Tls | None = None


def checked_title(text: str) -> str:
    """An AE title, if it is one.

    Raises:
        VesaliusError: It is empty, longer than 16 characters, or holds characters that it may not.

    Example:
        >>> checked_title("PACS_1")
        'PACS_1'
    """
    if not _TITLE.fullmatch(text) or not text.strip():
        raise VesaliusError(f"{text!r} is no AE title: 1 to 16 printable ASCII characters without a backslash")
    return text


def parse_peer(text: str) -> Peer:
    """A peer as people write it.

    Args:
        text: ``TITLE@HOST:PORT``; an IPv6 address stands in brackets.

    Raises:
        VesaliusError: It is not written so.

    Example:
        >>> parse_peer("PACS@10.0.0.7:104")
        Peer(ae_title='PACS', host='10.0.0.7', port=104)
        >>> parse_peer("PACS@[::1]:104").host
        '::1'
    """
    title, at, place = text.rpartition("@")
    host, colon, port = place.rpartition(":")
    if not at or not colon or not port.isdigit():
        raise VesaliusError(f"{text!r} is no peer: write TITLE@HOST:PORT, for example PACS@10.0.0.7:104")
    return Peer(title, host.removeprefix("[").removesuffix("]"), int(port))


def entity(ae_title: str, limits: Limits) -> Entity:
    """An application entity of pynetdicom with the limits of time."""
    prepare()
    from vesalius.server.node.server import Entity

    made = Entity(checked_title(ae_title))
    made.maximum_associations = limits.associations
    made.maximum_pdu_size = limits.pdu_bytes
    made.network_timeout = limits.idle_s
    made.acse_timeout = made.dimse_timeout = limits.answer_s
    made.connection_timeout = limits.pdu_s
    return made


@contextlib.contextmanager
def associated(
    peer: Peer,
    contexts: Sequence[PresentationContext],
    *,
    caller: Caller,
    any_of_them: bool = False,
    roles: Sequence[Any] = (),
    handlers: Sequence[tuple[Any, Any]] = (),
) -> Iterator[Association]:
    """Lend an association with a peer; it is released when the block ends well, and broken off when it does not.

    Args:
        peer: Whom to call.
        contexts: What is proposed, at most 128; without the first of them the rest is of no use.
        any_of_them: It is of some use.
        caller: Who calls.
        roles: Role selection items, for what the peer is to send.
        handlers: ``(event, function)``, for what the peer asks meanwhile.

    Yields:
        The association.

    Raises:
        PeerError: The peer cannot be reached, or does not take the association.
        RefusedError: It does, but not for what is proposed.
        MissingDependencyError: pynetdicom is not installed.
    """
    ours = entity(caller.ae_title, caller.limits)
    from pynetdicom import evt

    gate = Gate(caller.limits)
    tls = None if caller.tls is None else (context_of(caller.tls, listening=False), peer.host)
    try:
        association = ours.associate(
            _address(peer.host),
            peer.port,
            list(contexts),
            ae_title=peer.ae_title,
            max_pdu=caller.limits.pdu_bytes,
            ext_neg=list(roles),
            tls_args=tls,
            evt_handlers=[(evt.EVT_CONN_OPEN, gate.watch), *handlers],
        )
    except OSError:
        raise PeerError(f"{peer.ae_title}: cannot be reached") from None
    if not association.is_established:
        if association.rejected_contexts:
            raise RefusedError(f"{peer.ae_title}: takes associations, but not for this service")
        if association.is_rejected:
            raise PeerError(f"{peer.ae_title}: refuses the association; are both AE titles known to it?")
        raise PeerError(f"{peer.ae_title}: cannot be reached, or broke off")
    try:
        accepted = {one.abstract_syntax for one in association.accepted_contexts}
        if not any_of_them and contexts[0].abstract_syntax not in accepted:
            raise RefusedError(f"{peer.ae_title}: takes associations, but not for this service")
        yield association
    except BaseException:
        association.abort()
        raise
    if association.is_established:
        association.release()


def _address(host: str) -> str:
    """The address of a host: pynetdicom takes no names."""
    import socket

    return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])


def status_of(answer: Any, peer: Peer) -> int:
    """The status of a response.

    Raises:
        PeerError: There was none: the peer is too slow, broke off, or answered with nonsense.
    """
    status = answer.get("Status")
    if status is None:
        raise PeerError(f"{peer.ae_title}: gave no answer, or broke off")
    return int(status)
