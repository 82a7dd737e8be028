"""The classical tasks of the field, from public data in their official form: short compositions of library calls.

A study is a module with ``TITLE``, ``DATA``, ``run(data, out, setting)`` and ``write_sample(folder)``; to add one,
write the file and give it a line in `STUDIES`. Importing this package imports none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, cast

from vesalius.errors import VesaliusError, unknown_name

if TYPE_CHECKING:
    from vesalius.studies.study import Study

__all__ = ["STUDIES", "find_study"]

STUDIES: dict[str, str] = {
    "lung-nodule": "nodules in CT of the chest: found, judged, segmented and measured",
    "brain-tumour": "glioma in four sequences of MR: compartments, volumes, midline, is there one at all",
    "liver-tumour": "the liver in CT and its tumours: how many, how large, how much of the liver",
    "follow-up": "lesions over time: matched, measured, new, gone, grown; response and doubling time",
    "retina": "vessels and diabetic lesions in photographs of the retina",
}
"""Name to what it does."""


def find_study(name: str) -> Study:
    """The study of a name.

    Args:
        name: One of `STUDIES`.

    Returns:
        Its module.

    Raises:
        VesaliusError: There is no such study.

    Example:
        >>> find_study("gallstones")
        Traceback (most recent call last):
            ...
        vesalius.errors.VesaliusError: ...
    """
    if name not in STUDIES:
        raise VesaliusError(unknown_name("study", name, STUDIES))
    return cast("Study", import_module(f"vesalius.studies.{name.replace('-', '_')}"))
