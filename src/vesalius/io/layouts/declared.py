"""``dataset.json``: what a data set says about its channels and labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vesalius.errors import DataError, FormatError
from vesalius.image import Label, Labels, Region

NAME = "dataset.json"
_LARGEST_BYTES = 64 << 20  # a list of a million cases fits; a bomb does not


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file that nobody vouches for.

    Raises:
        FormatError: The file is too large, cannot be read, or is not a JSON object.
    """
    try:
        size = path.stat().st_size
        if size > _LARGEST_BYTES:
            raise FormatError(f"{path.name}: {size} bytes is too large for a description; at most {_LARGEST_BYTES}")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise FormatError(f"{path.name}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path.name}: not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise FormatError(f"{path.name}: must hold a JSON object, not {type(content).__name__}")
    return content


def declared_channels(content: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The channel names of ``{"0": "T1", "1": "FLAIR"}``, in order of number.

    Raises:
        FormatError: The numbers are not 0, 1, 2 …, or a name is not text.

    Source: nnU-Net v2 ``dataset_format.md`` (``channel_names``) and the Decathlon's ``dataset.json`` (``modality``).
    """
    names = content.get(key)
    wanted = f'{NAME}: "{key}" must name the channels, for example {{"0": "CT"}}'
    if not isinstance(names, dict) or not names:
        raise FormatError(f"{wanted}; it is {_shown(names)}")
    if set(names) != {str(n) for n in range(len(names))}:
        raise FormatError(f"{wanted}, numbered from 0 without gaps; the numbers are {_shown(sorted(names))}")
    ordered = tuple(names[str(n)] for n in range(len(names)))
    if not all(isinstance(name, str) and name for name in ordered):
        raise FormatError(f"{wanted}; the names are {_shown(ordered)}")
    return ordered


def declared_labels(content: Mapping[str, Any]) -> Labels:
    """The labels of a ``dataset.json``, in nnU-Net's form or the Decathlon's.

    ``{"background": 0, "liver": 1}`` (nnU-Net) and ``{"0": "background", "1": "liver"}`` (Decathlon) say the same.
    In nnU-Net's form a list of values is a region, and ``"ignore"`` marks voxels that nobody looked at. A region of
    one value names that label; values that only larger regions hold are called ``"label 2"`` and so on.

    Raises:
        FormatError: A value is not a whole number or list of them, the background is not 0, or a name occurs twice.

    Example:
        >>> labels = declared_labels({"labels": {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}})
        >>> labels.targets(), labels.ignore
        ({'label 1': (1,), 'core': (2,), 'whole': (1, 2)}, 3)

    Source: nnU-Net v2 ``dataset_format.md``, ``region_based_training.md`` and ``ignore_label.md``.
    """
    raw = content.get("labels")
    if not isinstance(raw, dict) or not raw:
        raise FormatError(f'{NAME}: "labels" must map names to values, such as {{"background": 0, "liver": 1}}')
    named = {name: _members(name, value) for name, value in _by_name(raw).items()}
    background = named.pop("background", (0,))
    if background != (0,):
        raise FormatError(f'{NAME}: the value of "background" must be 0, not {_shown(background)}')
    ignore = named.pop("ignore", None)
    if ignore is not None and len(ignore) != 1:
        raise FormatError(f'{NAME}: "ignore" must be one value, not {_shown(ignore)}')
    single = {members[0]: name for name, members in named.items() if len(members) == 1}
    values = sorted({value for members in named.values() for value in members})
    try:
        if len(single) != sum(len(members) == 1 for members in named.values()):
            raise DataError("two labels share a value")
        return Labels(
            tuple(Label(single.get(value, f"label {value}"), value) for value in values),
            tuple(Region(name, members) for name, members in named.items() if len(members) > 1),
            None if ignore is None else ignore[0],
        )
    except DataError as error:
        raise FormatError(f'{NAME}: "labels" cannot be used: {error}') from error


def labels_beside(folder: Path) -> Labels | None:
    """The labels that a ``dataset.json`` in the folder declares, for layouts that can do without one."""
    path = folder / NAME
    if not path.is_file():
        return None
    content = read_json(path)
    return declared_labels(content) if "labels" in content else None


def _by_name(raw: Mapping[str, Any]) -> dict[str, Any]:
    if not all(key.strip().isdecimal() for key in raw):
        return dict(raw)
    turned: dict[str, Any] = {}
    for value, name in raw.items():
        if not isinstance(name, str) or not name:
            raise FormatError(f'{NAME}: "labels" names value {_shown(value)} {_shown(name)}, which is not text')
        if name in turned:
            raise FormatError(f'{NAME}: "labels" uses the name {_shown(name)} twice')
        turned[name] = int(value) if len(value) < 10 else value
    # The Decathlon writes "background" in many ways; value 0 is what makes it one.
    return {("background" if value == 0 else name): value for name, value in turned.items()}


def _members(name: str, value: Any) -> tuple[int, ...]:
    members = value if isinstance(value, list) else [value]
    if not members or not all(isinstance(m, int) and not isinstance(m, bool) for m in members):
        raise FormatError(f"{NAME}: label {_shown(name)} must be a whole number or a list of them, not {_shown(value)}")
    return tuple(dict.fromkeys(members))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
