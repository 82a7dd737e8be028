"""What is told of objects: their headers as DICOM JSON, and what became of those that were sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID

from vesalius.io.dicom.header import damage_is_a_format_error
from vesalius.io.dicom.quiet import quiet
from vesalius.server.store import Instance

_FULL, _REFUSED = 0xA700, 0xC000
_BINARY = ("OB", "OW", "OF", "OD", "OL", "OV", "UN")
_LONGEST = 1024  # bytes of a binary value that is told


@dataclass(frozen=True)
class Kept:
    """What became of a part of a request.

    Args:
        instance: The object, if it is kept.
        reason: A status of C-STORE otherwise.
    """

    instance: Instance | None
    reason: int = 0


def failed(why: Literal["full", "refused"]) -> Kept:
    """An object that is not kept."""
    return Kept(None, _FULL if why == "full" else _REFUSED)


def answer_of(results: Sequence[Kept]) -> dict[str, Any]:
    """The body of the answer to a request to store.

    Args:
        results: Of its parts.

    Source: PS3.18 2026c, 10.5.3 (store response payload) and annex I (attributes of it).
    """
    made = Dataset()
    made.ReferencedSOPSequence = []
    made.FailedSOPSequence = []
    for one in results:
        item = Dataset()
        if one.instance is None:
            item.FailureReason = one.reason
            made.FailedSOPSequence.append(item)
        else:
            item.ReferencedSOPClassUID = UID(one.instance.storage)
            item.ReferencedSOPInstanceUID = UID(one.instance.uid)
            made.ReferencedSOPSequence.append(item)
    for name in ("ReferencedSOPSequence", "FailedSOPSequence"):
        if not made[name].value:
            del made[name]
    return dict(made.to_json_dict())


def known(instance: Instance) -> dict[str, Any]:
    """An object's header as DICOM JSON, without pixels and without binary values of more than 1 KiB.

    Args:
        instance: Of the store.

    Raises:
        FormatError: The header cannot be understood.
    """
    with quiet, damage_is_a_format_error(instance.path):
        made = dcmread(instance.path, stop_before_pixels=True)
        _strip(made)
        return dict(made.to_json_dict(suppress_invalid_tags=True))


def _strip(dataset: Dataset) -> None:
    for element in list(dataset):
        if element.VR == "SQ":
            for item in element.value:
                _strip(item)
        elif element.VR in _BINARY and len(element.value or b"") > _LONGEST:
            del dataset[element.tag]
