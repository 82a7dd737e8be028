"""Registration: bring an image onto another's anatomy, rigidly, affinely or by a smooth deformation.

Imports nothing heavy: the names below load their module when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vesalius.register.alignment import Alignment, Fitness, Kind, jacobian
    from vesalius.register.apply import align
    from vesalius.register.atlas import Atlas, segment_with_atlases
    from vesalius.register.likeness import Measure, similarity
    from vesalius.register.registration import Start, register
    from vesalius.register.transform_file import read_alignment, write_alignment

__all__ = [
    "Alignment",
    "Atlas",
    "Fitness",
    "Kind",
    "Measure",
    "Start",
    "align",
    "jacobian",
    "read_alignment",
    "register",
    "segment_with_atlases",
    "similarity",
    "write_alignment",
]

_HOMES = {
    "Alignment": "alignment",
    "Fitness": "alignment",
    "Kind": "alignment",
    "jacobian": "alignment",
    "align": "apply",
    "Atlas": "atlas",
    "segment_with_atlases": "atlas",
    "Start": "registration",
    "register": "registration",
    "Measure": "likeness",
    "similarity": "likeness",
    "read_alignment": "transform_file",
    "write_alignment": "transform_file",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
