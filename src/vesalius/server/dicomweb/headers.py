"""An object's header as DICOM JSON; large values stay behind, and are referred to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from vesalius.io.dicom.header import damage_is_a_format_error
from vesalius.io.dicom.quiet import quiet
from vesalius.server.dicomweb.requests import place_of
from vesalius.server.store import Instance

_BINARY = ("OB", "OW", "OF", "OD", "OL", "OV", "UN")
_LONGEST = 1024  # bytes of a binary value that is told
_DEEPEST = 64  # sequences within sequences


def known(instance: Instance, root: str) -> dict[str, Any]:
    """An object's header as DICOM JSON.

    Pixels, and binary values of more than 1 KiB, are referred to by a BulkDataURI.

    Args:
        instance: Of the store.
        root: Address of the services.

    Returns:
        The header; its UIDs alone where it cannot be understood, so that one damaged object does not hide a study.

    Source: PS3.18 2026c, annex F (DICOM JSON model), F.2.2 (BulkDataURI).
    """
    place = f"{root}{place_of(instance)}/bulkdata"
    try:
        with quiet, damage_is_a_format_error(instance.path):
            made = dcmread(instance.path, stop_before_pixels=True)
            left = list(_strip(made, ()))
            told = dict(made.to_json_dict(suppress_invalid_tags=True))
    except Exception:
        return _least(instance)
    for path, vr in left:
        _enter(told, path, {"vr": vr, "BulkDataURI": f"{place}/{'/'.join(path)}"})
    if "00280010" in told:
        told["7FE00010"] = {"vr": "OW", "BulkDataURI": f"{place}/7FE00010"}
    told["00083002"] = {"vr": "UI", "Value": [instance.syntax]}  # Available Transfer Syntax UID
    return told


def value_at(instance: Instance, where: str) -> bytes | None:
    """A binary value of a header; None where there is none.

    Args:
        instance: Of the store.
        where: Tag, or tag/item/tag, items counted from 1.

    Raises:
        FormatError: The file is damaged.
    """
    *steps, last = where.split("/")
    with quiet, damage_is_a_format_error(instance.path):
        at = dcmread(instance.path, stop_before_pixels=True)
        for name, item in zip(steps[::2], steps[1::2], strict=True):
            tag = Tag(int(name, 16))
            if tag not in at or at[tag].VR != "SQ" or not 0 < int(item) <= len(at[tag].value):
                return None
            at = at[tag].value[int(item) - 1]
        tag = Tag(int(last, 16))
        if tag not in at or at[tag].VR not in _BINARY:
            return None
        value = at[tag].value
        return bytes(value) if isinstance(value, bytes | bytearray) else None


def _strip(dataset: Dataset, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Take large values out; gives where they were."""
    for element in list(dataset):
        here = (*path, f"{element.tag:08X}")
        if element.VR == "SQ":
            if len(path) >= 2 * _DEEPEST:
                del dataset[element.tag]
                continue
            for number, item in enumerate(element.value, start=1):
                yield from _strip(item, (*here, str(number)))
        elif element.VR in _BINARY and len(element.value or b"") > _LONGEST:
            del dataset[element.tag]
            yield here, str(element.VR)


def _enter(told: dict[str, Any], path: tuple[str, ...], what: dict[str, str]) -> None:
    *steps, last = path
    at = told
    for tag, item in zip(steps[::2], steps[1::2], strict=True):
        at = at[tag]["Value"][int(item) - 1]
    at[last] = what


def _least(instance: Instance) -> dict[str, Any]:
    uids = {"00080016": instance.storage, "00080018": instance.uid}
    uids |= {"0020000D": instance.study, "0020000E": instance.series}
    return {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()}
