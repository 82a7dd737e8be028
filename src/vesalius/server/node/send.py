"""Send objects to a peer (C-STORE), as they are on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from vesalius.errors import FormatError
from vesalius.io.dicom.quiet import quiet
from vesalius.server.described import describe_object
from vesalius.server.node.peers import Caller, Peer, PeerError, associated, status_of
from vesalius.server.node.quiet import prepare

if TYPE_CHECKING:
    from pynetdicom.association import Association

Fate = Literal["stored", "refused", "later"]

_MOST_CONTEXTS = 128
_NO_CONTEXT = "the peer does not take this class, or not in this transfer syntax"


@dataclass(frozen=True)
class Parcel:
    """An object to send.

    Args:
        uid: SOP Instance UID.
        storage: SOP Class UID.
        syntax: Transfer syntax of the file.
        path: The file.
    """

    uid: str
    storage: str
    syntax: str
    path: Path


@dataclass(frozen=True)
class Sent:
    """What a peer said to an object.

    Args:
        uid: SOP Instance UID.
        fate: Stored; refused, and would be again; or not now (out of resources).
        status: Of the C-STORE response; None where there was no context to send it in.
        reason: In words; empty when it is stored.
    """

    uid: str
    fate: Fate
    status: int | None = None
    reason: str = ""


def send(peer: Peer, parcels: Sequence[Parcel], *, caller: Caller) -> Iterator[Sent]:
    """Send objects over one association, and tell of each as soon as the peer has answered.

    The bytes of a file's data set go as they are. Where the peer takes an uncompressed object only in implicit VR
    little endian, which everybody must, it is encoded anew.

    Args:
        peer: To whom.
        parcels: What; sent in this order.
        caller: Who sends.

    Yields:
        What the peer said, in the same order. An object is asked for only when its turn has come.

    Raises:
        PeerError: The peer cannot be reached, refuses the association, or breaks it off: what has not been told of yet
            may have arrived or not. Or the objects are of too many classes: send them in parts.
    """
    prepare()
    from pynetdicom import build_context

    pairs = dict.fromkeys((parcel.storage, parcel.syntax) for parcel in parcels)
    native = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
    pairs |= dict.fromkeys((storage, str(ImplicitVRLittleEndian)) for storage, syntax in pairs if syntax in native)
    if len(pairs) > _MOST_CONTEXTS:
        raise PeerError(f"the objects are of {len(pairs)} classes and syntaxes; send them in parts")
    contexts = [build_context(storage, syntax) for storage, syntax in pairs]
    with associated(peer, contexts, caller=caller, any_of_them=True) as association:
        accepted = {(str(one.abstract_syntax), str(one.transfer_syntax[0])) for one in association.accepted_contexts}
        for number, parcel in enumerate(parcels):
            yield _sent(association, peer, parcel, accepted, number)


def _sent(association: Association, peer: Peer, parcel: Parcel, accepted: set[tuple[str, str]], number: int) -> Sent:
    what: Any
    if (parcel.storage, parcel.syntax) in accepted:
        what = parcel.path
    elif (parcel.storage, str(ImplicitVRLittleEndian)) in accepted and parcel.syntax == ExplicitVRLittleEndian:
        what = dcmread(parcel.path)
    else:
        return Sent(parcel.uid, "refused", None, _NO_CONTEXT)
    if not association.is_established:
        raise PeerError(f"{peer.ae_title}: broke off")
    with quiet:
        status = status_of(association.send_c_store(what, msg_id=1 + number % 65535), peer)
    # B000, B006, B007 are warnings: it is stored. Source: PS3.4 2026c, table B.2-1.
    if status in (0x0000, 0xB000, 0xB006, 0xB007):
        return Sent(parcel.uid, "stored", status)
    later = status & 0xFF00 == 0xA700 or status == 0x0210
    return Sent(parcel.uid, "later" if later else "refused", status, f"the peer answered with status {status:04X}")


def parcels_of(places: Iterable[Path]) -> tuple[list[Parcel], int]:
    """The DICOM objects of files and folders.

    Args:
        places: Files, and folders with all that is below them.

    Returns:
        What can be sent, and how many files are none of it.

    Raises:
        FormatError: There is no such file or folder, or a file that is named itself is no object.
    """
    parcels, others = [], 0
    for place in places:
        files = sorted(one for one in place.rglob("*") if one.is_file()) if place.is_dir() else [place]
        for file in files:
            try:
                found = describe_object(file)
            except FormatError:
                if file == place:
                    raise
                others += 1
            else:
                parcels.append(Parcel(found.uid, found.storage, found.syntax, file))
    return parcels, others
