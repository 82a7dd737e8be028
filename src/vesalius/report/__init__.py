"""Pictures, curves, tables and the HTML page that show what a segmenter did. No torch.

Imports nothing heavy: the names below load their module when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vesalius.report.course import curves
    from vesalius.report.page import evaluation_html
    from vesalius.report.pictures import overlay
    from vesalius.report.story import Section, story_html
    from vesalius.report.tables import write_scores_csv, write_scores_json

__all__ = ["Section", "curves", "evaluation_html", "overlay", "story_html", "write_scores_csv", "write_scores_json"]

_HOMES = {
    "Section": "story",
    "story_html": "story",
    "curves": "course",
    "evaluation_html": "page",
    "overlay": "pictures",
    "write_scores_csv": "tables",
    "write_scores_json": "tables",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
