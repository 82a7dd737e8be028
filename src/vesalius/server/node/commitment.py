"""Storage commitment: have a peer say that it keeps what it was sent, and say so to others."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset

from vesalius.errors import FormatError
from vesalius.io.dicom.quiet import quiet
from vesalius.server.identity import checked_uid
from vesalius.server.node.peers import Caller, Peer, RefusedError, associated, status_of
from vesalius.server.node.quiet import prepare

if TYPE_CHECKING:
    from pynetdicom.events import Event

    from vesalius.server.store import Store

log = logging.getLogger(__name__)

_REQUEST = 1  # action type
_ALL, _SOME = 1, 2  # event types: everything is kept, and not everything
_NO_SUCH_OBJECT, _OTHER_CLASS = 0x0112, 0x0119
_MOST = 100_000  # objects of one request


@dataclass(frozen=True)
class Report:
    """What a peer says about objects that it was asked to keep.

    Args:
        transaction: UID of the request.
        kept: SOP Instance UIDs that it answers for.
        missing: Those that it does not.
    """

    transaction: str
    kept: tuple[str, ...]
    missing: tuple[str, ...]


def request(peer: Peer, transaction: str, objects: Sequence[tuple[str, str]], *, caller: Caller) -> None:
    """Ask a peer to answer for objects (N-ACTION). The answer comes later, by a connection of its own: see `handlers`.

    Args:
        peer: Whom to ask.
        transaction: A new UID for this request.
        objects: SOP class and instance UID of each.
        caller: Who asks; where its AE title is called, somebody must listen.

    Raises:
        PeerError: The peer cannot be reached, or does not do this.

    Source: PS3.4 2026c, annex J (Storage Commitment Service Class, push model).
    """
    prepare()
    from pynetdicom import build_context
    from pynetdicom.sop_class import (  # type: ignore[attr-defined]
        StorageCommitmentPushModel,
        StorageCommitmentPushModelInstance,
    )

    asked = Dataset()
    asked.TransactionUID = transaction
    asked.ReferencedSOPSequence = [_reference(*one) for one in objects]
    with associated(peer, [build_context(StorageCommitmentPushModel)], caller=caller) as association:
        answer, _ = association.send_n_action(
            asked, _REQUEST, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        status = status_of(answer, peer)
        if status != 0:
            raise RefusedError(f"{peer.ae_title}: refuses storage commitment (status {status:04X})")


def handlers(
    store: Store, peers: Mapping[str, Peer], *, caller: Caller, told: Callable[[Report], None]
) -> list[tuple[Any, Any]]:
    """What a listening node does about storage commitment, for `vesalius.server.node.listen.listening`.

    Args:
        store: What the node answers for.
        peers: By AE title: whom a report can be sent to. Requests of others are refused.
        caller: Who sends reports.
        told: Is given the reports that come in; it must keep them before it returns.
    """
    prepare()
    from pynetdicom import evt

    return [
        (evt.EVT_N_ACTION, lambda event: _asked(event, store, peers, caller)),
        (evt.EVT_N_EVENT_REPORT, lambda event: _told(event, told)),
    ]


def _told(event: Event, told: Callable[[Report], None]) -> tuple[int, None]:
    try:
        with quiet:
            said = event.event_information
            report = Report(
                checked_uid(str(said.TransactionUID), "transaction UID"),
                tuple(uid for _, uid in _references(said.get("ReferencedSOPSequence"))),
                tuple(uid for _, uid in _references(said.get("FailedSOPSequence"))),
            )
        told(report)
        return 0x0000, None
    except (FormatError, AttributeError):
        return 0x0115, None  # an argument is none
    except Exception as error:
        log.error("a report on storage commitment could not be kept: %s", type(error).__name__)  # noqa: TRY400
        return 0x0110, None  # it will be sent again


def _asked(event: Event, store: Store, peers: Mapping[str, Peer], caller: Caller) -> tuple[int, None]:
    peer = peers.get(str(event.assoc.requestor.ae_title).strip())
    if peer is None:
        log.warning("a request for storage commitment was refused: there is no peer of this AE title to report to")
        return 0x0124, None  # not authorised
    if event.action_type != _REQUEST:
        return 0x0123, None  # no such action
    try:
        with quiet:
            said = event.action_information
            transaction = checked_uid(str(said.TransactionUID), "transaction UID")
            objects = _references(said.get("ReferencedSOPSequence"))
    except Exception:  # pydicom raises a dozen kinds on hostile input
        return 0x0115, None
    threading.Thread(target=_answer, args=(peer, transaction, objects, store, caller), daemon=True).start()
    return 0x0000, None


def _answer(peer: Peer, transaction: str, objects: Sequence[tuple[str, str]], store: Store, caller: Caller) -> None:
    """Send the report. If the node is killed before, the peer asks again, as the standard lets it."""
    from pynetdicom import build_context, build_role
    from pynetdicom.sop_class import (  # type: ignore[attr-defined]
        StorageCommitmentPushModel as Model,
    )
    from pynetdicom.sop_class import (
        StorageCommitmentPushModelInstance as Known,
    )

    said = Dataset()
    said.TransactionUID = transaction
    kept, missing = [], []
    for storage, uid in objects:
        here = store.instances(instance=uid)
        if here and here[0].storage == storage and here[0].path.is_file():
            kept.append(_reference(storage, uid))
        else:
            one = _reference(storage, uid)
            one.FailureReason = _OTHER_CLASS if here and here[0].storage != storage else _NO_SUCH_OBJECT
            missing.append(one)
    if kept:
        said.ReferencedSOPSequence = kept
    if missing:
        said.FailedSOPSequence = missing
    try:
        with associated(
            peer, [build_context(Model)], caller=caller, roles=[build_role(Model, scp_role=True)]
        ) as association:
            answer, _ = association.send_n_event_report(said, _SOME if missing else _ALL, Model, Known)
            status_of(answer, peer)
    except Exception as error:  # the peer asks again
        log.warning("a report on storage commitment could not be sent: %s", type(error).__name__)


def _references(sequence: Any) -> list[tuple[str, str]]:
    items = list(sequence or ())
    if len(items) > _MOST:
        raise FormatError(f"a request for storage commitment names more than {_MOST} objects")
    return [
        (
            checked_uid(str(item.ReferencedSOPClassUID), "referenced class"),
            checked_uid(str(item.ReferencedSOPInstanceUID), "referenced object"),
        )
        for item in items
    ]


def _reference(storage: str, uid: str) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID = storage
    made.ReferencedSOPInstanceUID = uid
    return made
