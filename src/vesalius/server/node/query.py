"""Ask others what they have, and have it sent: C-ECHO, C-FIND, C-MOVE, C-GET."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from vesalius.errors import VesaliusError
from vesalius.io.dicom.quiet import quiet
from vesalius.server.identity import checked_uid
from vesalius.server.node.listen import keep
from vesalius.server.node.peers import Caller, Peer, PeerError, RefusedError, associated, checked_title, status_of
from vesalius.server.node.quiet import prepare

if TYPE_CHECKING:
    from vesalius.server.store import Store

Level = Literal["STUDY", "SERIES", "IMAGE"]

MOST_ANSWERS = 10_000
"""Of a query, after which it is cancelled: the answers are held in memory."""

_PENDING = (0xFF00, 0xFF01)
_RETRIEVED = (
    *("CTImageStorage", "EnhancedCTImageStorage", "MRImageStorage", "EnhancedMRImageStorage"),
    *("EnhancedMRColorImageStorage", "PositronEmissionTomographyImageStorage", "EnhancedPETImageStorage"),
    *("NuclearMedicineImageStorage", "UltrasoundImageStorage", "UltrasoundMultiFrameImageStorage"),
    *("EnhancedUSVolumeStorage", "ComputedRadiographyImageStorage", "DigitalXRayImageStorageForPresentation"),
    *("DigitalXRayImageStorageForProcessing", "DigitalMammographyXRayImageStorageForPresentation"),
    *("DigitalMammographyXRayImageStorageForProcessing", "BreastTomosynthesisImageStorage"),
    *("XRayAngiographicImageStorage", "EnhancedXAImageStorage", "XRayRadiofluoroscopicImageStorage"),
    *("SecondaryCaptureImageStorage", "MultiFrameSingleBitSecondaryCaptureImageStorage"),
    *("MultiFrameGrayscaleByteSecondaryCaptureImageStorage", "MultiFrameGrayscaleWordSecondaryCaptureImageStorage"),
    *("MultiFrameTrueColorSecondaryCaptureImageStorage", "VLEndoscopicImageStorage", "VideoEndoscopicImageStorage"),
    *("VLPhotographicImageStorage", "OphthalmicPhotography8BitImageStorage", "OphthalmicTomographyImageStorage"),
    *("VLWholeSlideMicroscopyImageStorage", "SegmentationStorage", "LabelMapSegmentationStorage"),
    *("SurfaceSegmentationStorage", "ParametricMapStorage", "RTStructureSetStorage", "RTDoseStorage", "RTPlanStorage"),
    *("BasicTextSRStorage", "EnhancedSRStorage", "ComprehensiveSRStorage", "Comprehensive3DSRStorage"),
    *("KeyObjectSelectionDocumentStorage", "GrayscaleSoftcopyPresentationStateStorage"),
)
"""What C-GET proposes to take, in all transfer syntaxes that there are decoders for: a request holds 128 proposals."""
_SYNTAXES = (
    *("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"),
    *("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"),
    *("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.5"),
)


@dataclass(frozen=True)
class Retrieved:
    """What became of a retrieval.

    Args:
        completed: Objects that arrived.
        failed: Objects that did not.
        warned: Objects that arrived, with a reservation.
    """

    completed: int
    failed: int
    warned: int


def echo(peer: Peer, *, caller: Caller) -> None:
    """Ask whether a peer is there and takes associations (C-ECHO).

    Args:
        peer: Whom to ask.
        caller: Who asks.

    Raises:
        PeerError: It is not, or does not.
    """
    prepare()
    from pynetdicom import build_context
    from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

    with associated(peer, [build_context(Verification)], caller=caller) as association:
        if status_of(association.send_c_echo(), peer) != 0:
            raise PeerError(f"{peer.ae_title}: answers, but not with success")


def find(
    peer: Peer, level: Level, keys: Mapping[str, str], *, caller: Caller, most: int = MOST_ANSWERS
) -> tuple[Dataset, ...]:
    """Ask a peer which studies, series or objects it has (C-FIND, study root).

    Args:
        peer: Whom to ask.
        level: Of what.
        keys: By DICOM keyword: a value to match, as the standard has it (``*`` and ``?``, ranges of dates with ``-``),
            or an empty text for what is to be told.
        caller: Who asks.
        most: After so many answers the query is cancelled.

    Returns:
        The answers, as far as they can be read.

    Raises:
        PeerError: The peer cannot be reached, or refuses the query.
        VesaliusError: A keyword is unknown.
    """
    prepare()
    from pynetdicom import build_context
    from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind as Model  # type: ignore[attr-defined]

    found: list[Dataset] = []
    query = _query(level, keys)
    with associated(peer, [build_context(Model)], caller=caller) as association:
        for number, (answer, identifier) in enumerate(association.send_c_find(query, Model)):
            status = status_of(answer, peer)
            if status not in _PENDING:
                _check(status, peer, "the query")
                break
            if identifier is not None:
                found.append(identifier)
            if number + 1 >= most:
                association.send_c_cancel(1, query_model=Model)
                break
    return tuple(found)


def move(peer: Peer, destination: str, keys: Mapping[str, str], *, caller: Caller) -> Retrieved:
    """Have a peer send something to a third (C-MOVE, study root), or to this node where it listens.

    Args:
        peer: Who has it.
        destination: AE title of who is to get it; the peer must know its address.
        keys: ``StudyInstanceUID`` and, if not all of it, ``SeriesInstanceUID`` and ``SOPInstanceUID``.
        caller: Who asks.

    Returns:
        How many objects were sent.

    Raises:
        PeerError: The peer cannot be reached, or refuses; it may not know the destination.
        FormatError: A UID is none.
    """
    prepare()
    from pynetdicom import build_context
    from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove as Model  # type: ignore[attr-defined]

    wanted = _wanted(keys)
    with associated(peer, [build_context(Model)], caller=caller) as association:
        return _counted(association.send_c_move(wanted, checked_title(destination), Model), peer)


def get(peer: Peer, keys: Mapping[str, str], store: Store, *, caller: Caller) -> Retrieved:
    """Have a peer send something over the same association (C-GET, study root): nobody has to listen.

    Args:
        peer: Who has it.
        keys: As for `move`.
        store: What arrives goes there.
        caller: Who asks.

    Returns:
        How many objects arrived. Classes that are not among those proposed, about forty kinds of images, segmentations
        and reports, count as failed: `move` has them sent.

    Raises:
        PeerError: The peer cannot be reached, or refuses.
        FormatError: A UID is none.
    """
    prepare()
    from pynetdicom import build_context, build_role, evt, sop_class
    from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet as Model  # type: ignore[attr-defined]

    wanted = _wanted(keys)
    classes = [getattr(sop_class, name) for name in _RETRIEVED if hasattr(sop_class, name)]
    # One context for each syntax would let the peer choose freely, but there is room for two of each class only.
    contexts = [build_context(Model)]
    contexts += [build_context(one, list(_SYNTAXES)) for one in classes]
    contexts += [build_context(one, list(_SYNTAXES[1:2])) for one in classes]
    with associated(
        peer,
        contexts,
        caller=caller,
        roles=[build_role(one, scp_role=True) for one in classes],
        handlers=[(evt.EVT_C_STORE, lambda event: keep(event, store))],
    ) as association:
        return _counted(association.send_c_get(wanted, Model), peer)


def _query(level: Level, keys: Mapping[str, str]) -> Dataset:
    made = Dataset()
    if not all(value.isascii() for value in keys.values()):
        made.SpecificCharacterSet = "ISO_IR 192"
    made.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        if tag_for_keyword(keyword) is None:
            raise VesaliusError(f"unknown keyword {keyword!r}: DICOM's own are written like PatientID")
        setattr(made, keyword, value)
    return made


def _wanted(keys: Mapping[str, str]) -> Dataset:
    for keyword, value in keys.items():
        checked_uid(value, keyword)
    level: Level = "IMAGE" if "SOPInstanceUID" in keys else "SERIES" if "SeriesInstanceUID" in keys else "STUDY"
    return _query(level, keys)


def _counted(answers: Any, peer: Peer) -> Retrieved:
    last = Retrieved(0, 0, 0)
    for answer, _ in answers:
        status = status_of(answer, peer)
        last = Retrieved(
            int(answer.get("NumberOfCompletedSuboperations") or 0) or last.completed,
            int(answer.get("NumberOfFailedSuboperations") or 0) or last.failed,
            int(answer.get("NumberOfWarningSuboperations") or 0) or last.warned,
        )
        # B000: done, and some failed; they are counted. Source: PS3.4 2026c, table C.4-2.
        if status not in (*_PENDING, 0x0000, 0xB000):
            _check(status, peer, "the retrieval")
    return last


def _check(status: int, peer: Peer, what: str) -> None:
    if status not in (0x0000, 0xB000):
        raise RefusedError(f"{peer.ae_title}: refuses {what} (status {status:04X})")


def values_told(answer: Dataset, keys: Mapping[str, str]) -> dict[str, str]:
    """What a peer said to each keyword, as texts.

    Args:
        answer: Of `find`.
        keys: What was asked for.
    """
    with quiet:
        return {keyword: str(answer.get(keyword, "") or "") for keyword in keys}
