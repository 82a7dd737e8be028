"""A bundle for other runtimes, and the weights of peers as bundles.

`export` writes a folder with the network in the form that a runtime takes, beside it a description of everything that
has to be done before and after it, and the figures of the check that it says what the bundle says.

Importing this package imports neither torch nor any runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vesalius.export.targets import TARGETS

if TYPE_CHECKING:
    from vesalius.export.artefact import export
    from vesalius.export.report import ExportReport

__all__ = ["TARGETS", "ExportReport", "export"]

_LAZY = {"export": "vesalius.export.artefact", "ExportReport": "vesalius.export.report"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
