"""De-identification, burnt-in text, faces, encryption at rest, consent, audit and access: what protects the patients.

Imports nothing heavy: the names below load their module when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vesalius.privacy.folder import Report, deidentify
    from vesalius.privacy.profile import Profile, make_profile

__all__ = ["Profile", "Report", "deidentify", "make_profile"]

_HOMES = {"Profile": "profile", "Report": "folder", "deidentify": "folder", "make_profile": "profile"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
