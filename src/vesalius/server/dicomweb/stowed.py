"""What became of objects that were sent, as DICOM JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from pydicom.dataset import Dataset
from pydicom.uid import UID

from vesalius.server.dicomweb.requests import place_of
from vesalius.server.store import Instance

Why = Literal["full", "conflict", "another", "refused"]
REASONS: Mapping[Why, int] = MappingProxyType(
    {"full": 0xA700, "conflict": 0x0111, "another": 0xA900, "refused": 0xC000}
)
"""Failure reasons: out of resources, duplicate SOP instance, not the study that was named, cannot be understood.

Source: PS3.18 2026c, table I.2-2 (store instances response warning and failure reasons), PS3.7 C.5 (duplicates).
"""


@dataclass(frozen=True)
class Kept:
    """What became of a part of a request.

    Args:
        instance: The object, if it is kept.
        why: Not, otherwise.
        named: Class and instance UID of an object that is not kept, where it could be read so far.
        study: UID of its study, as far.
    """

    instance: Instance | None
    why: Why = "refused"
    named: tuple[str, str] | None = None
    study: str = ""


def answer_of(results: Sequence[Kept], root: str) -> dict[str, Any]:
    """The body of the answer to a request to store.

    Args:
        results: Of its parts.
        root: Address of the services.

    Returns:
        DICOM JSON: what is kept and where it is had, what failed and why; apart what failed and was no object.

    Source: PS3.18 2026c, 10.5.3 (store response payload), I.2 (its attributes).
    """
    made = Dataset()
    kept = [_kept(one.instance, root) for one in results if one.instance is not None]
    failed = [_failed(one) for one in results if one.instance is None and one.named is not None]
    others = [_failed(one) for one in results if one.instance is None and one.named is None]
    studies = {one.instance.study for one in results if one.instance is not None}
    if len(studies) == 1:
        made.RetrieveURL = f"{root}/studies/{studies.pop()}"
    for name, items in (
        ("ReferencedSOPSequence", kept),
        ("FailedSOPSequence", failed),
        ("OtherFailuresSequence", others),
    ):
        if items:
            setattr(made, name, items)
    return dict(made.to_json_dict())


def _kept(instance: Instance, root: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = UID(instance.storage)
    item.ReferencedSOPInstanceUID = UID(instance.uid)
    item.RetrieveURL = root + place_of(instance)
    return item


def _failed(one: Kept) -> Dataset:
    item = Dataset()
    if one.named is not None:
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (UID(uid) for uid in one.named)
    item.FailureReason = REASONS[one.why]
    return item
