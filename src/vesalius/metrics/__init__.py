"""Scores of a segmentation against its reference, and what they say over many cases.

Imports nothing heavy: the names below load their module when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vesalius.metrics.comparison import Comparison, compare
    from vesalius.metrics.scores import DEFAULT, METRICS, Metric, Scores, evaluate
    from vesalius.metrics.statistics import Statistic, Summary, summarise

__all__ = [
    "DEFAULT",
    "METRICS",
    "Comparison",
    "Metric",
    "Scores",
    "Statistic",
    "Summary",
    "compare",
    "evaluate",
    "summarise",
]

_HOMES = {
    "DEFAULT": "scores",
    "METRICS": "scores",
    "Metric": "scores",
    "Scores": "scores",
    "evaluate": "scores",
    "Comparison": "comparison",
    "compare": "comparison",
    "Statistic": "statistics",
    "Summary": "statistics",
    "summarise": "statistics",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
