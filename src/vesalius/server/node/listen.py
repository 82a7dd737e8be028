"""The listening side: who may connect and what may be sent; what arrives goes into the store."""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vesalius.errors import FormatError, VesaliusError
from vesalius.server.described import Described
from vesalius.server.guard import Guard, UnnotedError
from vesalius.server.node.limits import Gate, Limits
from vesalius.server.node.peers import checked_title, entity
from vesalius.server.node.quiet import prepare
from vesalius.server.node.sessions import NOT_AUTHORISED, Sessions
from vesalius.server.node.tls import Tls, context_of
from vesalius.server.store import AnnouncedError, ConflictError, FullError, Store

if TYPE_CHECKING:
    from pynetdicom.events import Event

log = logging.getLogger(__name__)

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
NOT_WHAT_WAS_SAID = 0xA900
NOT_UNDERSTOOD = 0xC000
CONFLICT = 0xC001
"""Statuses of C-STORE. Source: PS3.4 2026c, table B.2-1; of the C000 range the last three digits are ours to choose."""

_SERVICES = {"EVT_N_ACTION": "N-ACTION", "EVT_N_EVENT_REPORT": "N-EVENT-REPORT"}
_FAILURE = 0x0110  # processing failure, of a DIMSE-N service: PS3.7 2026c, C.5.21
_WAITING = 4  # connections beyond the limit of associations, so that they can be told that there are too many


@dataclass(frozen=True)
class Door:
    """Where a node listens, and to whom.

    Args:
        ae_title: Of the node; peers must call it by this name.
        host: Address to listen at.
        port: TCP port; 0 takes a free one.
        callers: AE titles that may call; empty lets all. Where there are roles, those of `vesalius.server.guard` count.
        networks: Addresses that may connect, as ``10.0.0.0/8``; empty lets all.
        limits: What a peer may take.
        tls: Identity of the node; without one connections are not encrypted.

    Raises:
        VesaliusError: A title or a network cannot be one; or others than this machine can connect, and nothing says
            which of them may: an AE title is no secret, so that a list of them is not enough.
    """

    ae_title: str = "VESALIUS"
    host: str = "127.0.0.1"
    port: int = 11112
    callers: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    limits: Limits = Limits()  # noqa: RUF009  (frozen)
    tls: Tls | None = None

    def __post_init__(self) -> None:
        for title in (self.ae_title, *self.callers):
            checked_title(title)
        try:
            for network in self.networks:
                ipaddress.ip_network(network)
            outside = not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            raise VesaliusError("hosts and networks are numbers here, for example 10.0.0.7 and 10.0.0.0/8") from None
        if outside and not self.networks and self.tls is None:
            raise VesaliusError(
                "others than this machine could connect: say which addresses may (for example 10.1.2.0/24), or use "
                "TLS, whose certificates say who may"
            )


class Arrivals:
    """Which series associations that are still open have brought something to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[threading.Thread, set[tuple[str, str]]] = {}

    def note(self, association: threading.Thread, series: tuple[str, str]) -> None:
        """An association has brought an object of a series."""
        with self._lock:
            self._open.setdefault(association, set()).add(series)

    def unfinished(self) -> set[tuple[str, str]]:
        """The series (study and series UID) to which more may come at any moment."""
        with self._lock:
            self._open = {thread: series for thread, series in self._open.items() if thread.is_alive()}
            return set().union(*self._open.values())


@contextlib.contextmanager
def listening(
    door: Door,
    store: Store,
    *,
    arrivals: Arrivals | None = None,
    handlers: Sequence[tuple[Any, Any]] = (),
    guard: Guard | None = None,
) -> Iterator[int]:
    """Listen while the block runs: C-ECHO, C-STORE of every storage class into the store, storage commitment.

    Args:
        door: Where, and to whom.
        store: What arrives goes there; a sender is told of success when it is on the disk and in the index.
        arrivals: Learns which series are on their way.
        handlers: ``(event, function)`` for storage commitment, see `vesalius.server.node.commitment`.
        guard: Roles and audit chain; without one there are none.

    Yields:
        The port.

    Raises:
        VesaliusError: There are roles and a list of AE titles, the port is taken, or the files of TLS are no good.
        MissingDependencyError: pynetdicom is not installed.
    """
    prepare()
    from pynetdicom import ALL_TRANSFER_SYNTAXES, evt
    from pynetdicom.presentation import AllStoragePresentationContexts
    from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

    from vesalius.server.node.server import Listener

    sessions = Sessions(guard or Guard())
    if sessions.guard.asks and door.callers:
        raise VesaliusError(
            "there are roles for this store, and AE titles belong to accounts: `vesalius access title FILE ACCOUNT "
            "TITLE` in place of --allow-title"
        )
    ours = entity(door.ae_title, door.limits)
    ours.require_called_aet = True
    ours.require_calling_aet = list(door.callers)
    if sessions.guard.asks:
        ours.titles = sessions.guard.titles
    ours.add_supported_context(Verification)
    for context in AllStoragePresentationContexts:
        ours.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
    # Whoever reports on a commitment calls us and is the provider: the roles are turned round.
    ours.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    gate = Gate(door.limits)
    bound: list[Any] = [
        (evt.EVT_CONN_OPEN, gate.watch),
        (evt.EVT_C_ECHO, lambda _: SUCCESS),
        (evt.EVT_C_STORE, lambda event: keep(event, store, arrivals, sessions)),
        *((over, lambda event: sessions.end(event.assoc)) for over in (evt.EVT_RELEASED, evt.EVT_ABORTED)),
        (evt.EVT_CONN_CLOSE, lambda event: sessions.end(event.assoc)),
        (evt.EVT_REJECTED, lambda _: sessions.guard.note_stranger("association")),
        *((kind, _permitted(_SERVICES[kind.name], handler, sessions)) for kind, handler in handlers),
    ]
    tls = None if door.tls is None else context_of(door.tls, listening=True)
    try:
        server = ours.make_server((door.host, door.port), evt_handlers=bound, server_class=Listener)
    except OSError as error:
        raise VesaliusError(f"cannot listen at port {door.port}: {error.strerror}") from None
    assert isinstance(server, Listener)
    server.admits = _admission(door)
    server.most = door.limits.associations + _WAITING
    server.handshake_s = door.limits.pdu_s
    server.tls = tls
    ours._servers.append(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="listen", daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        for association in server.active_associations:
            association.abort()
        thread.join(timeout=10)
        sessions.end_all()


def _permitted(service: str, handler: Any, sessions: Sessions) -> Any:
    """A handler of storage commitment behind the roles: whoever may store may ask for what it stored, and report."""

    def permitted(event: Event) -> Any:
        if not sessions.may(event, service):
            return NOT_AUTHORISED, None
        try:
            sessions.note(event, service, "begun")
            status, _ = answer = handler(event)
            sessions.note(event, service, "done" if status == SUCCESS else "failed")
        except UnnotedError:
            return _FAILURE, None
        return answer

    return permitted


def keep(event: Event, store: Store, arrivals: Arrivals | None = None, sessions: Sessions | None = None) -> int:
    """Answer a C-STORE request: put the object into the store.

    Args:
        event: Of pynetdicom.
        store: Where to.
        arrivals: Learns which series it belongs to.
        sessions: Asks the roles, and notes it; None for what this node itself asked for.

    Returns:
        The status.
    """
    request: Any = event.request
    announced = (str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID))
    study = ""

    def admit(found: Described) -> None:
        nonlocal study
        study = found.study
        if sessions is not None:
            sessions.begin(event, study)

    status = OUT_OF_RESOURCES
    try:
        if sessions is not None and not sessions.may(event, "C-STORE"):
            status = NOT_AUTHORISED
            return status
        data = request.DataSet
        if data is None:
            return NOT_UNDERSTOOD
        start = file_start(announced, str(event.context.transfer_syntax))
        kept, _ = store.add((start, data.getbuffer()), expected=announced, admit=admit)
        if arrivals is not None:
            arrivals.note(event.assoc, (kept.study, kept.series))
        status = SUCCESS
        return status
    except (FullError, UnnotedError) as error:
        return _refused(OUT_OF_RESOURCES, error)
    except ConflictError as error:
        return _refused(CONFLICT, error)
    except AnnouncedError as error:
        return _refused(NOT_WHAT_WAS_SAID, error)
    except FormatError as error:
        return _refused(NOT_UNDERSTOOD, error)
    except Exception as error:  # what raises here is told to the peer and to the log by its kind alone
        log.error("an object could not be kept: %s", type(error).__name__)  # noqa: TRY400
        return OUT_OF_RESOURCES
    finally:
        if sessions is not None and study:
            sessions.count(event, study, kept=status == SUCCESS)


def file_start(announced: tuple[str, str], syntax: str) -> bytes:
    """Preamble and file meta information for a data set that came without them.

    Args:
        announced: SOP class and instance UID.
        syntax: Transfer syntax in which it came.

    Raises:
        FormatError: A UID is none.
    """
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_file_meta_info
    from pydicom.uid import UID
    from pynetdicom.dsutils import create_file_meta

    from vesalius.server.identity import checked_uid

    storage, instance = (UID(checked_uid(uid, "announced UID")) for uid in announced)
    meta = create_file_meta(sop_class_uid=storage, sop_instance_uid=instance, transfer_syntax=UID(syntax))
    made = DicomBytesIO()
    made.write(bytes(128) + b"DICM")
    write_file_meta_info(made, meta)
    return made.getvalue()


def _refused(status: int, error: VesaliusError) -> int:
    log.warning("an object was refused: %s", error)
    return status


def _admission(door: Door) -> Any:
    networks = [ipaddress.ip_network(network) for network in door.networks]

    def admits(address: str) -> bool:
        try:
            one = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(one, "ipv4_mapped", None)
        return not networks or any((mapped or one) in network for network in networks)

    return admits
