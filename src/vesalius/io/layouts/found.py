"""What a layout finds in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vesalius.errors import DataError
from vesalius.image import Labels, LeftOut, Record
from vesalius.image.dataset import Load


@dataclass(frozen=True)
class Found:
    """The cases of a folder, by name only: nothing has been read yet.

    Args:
        records: One for each case whose files were found.
        channels: One name for each file of a record, or for each channel when ``declared``; empty when unknown.
        declared: The channels were declared by the data set, so that another number of them is a defect.
        labels: As the data set declares them; ``None`` when they must be derived from the references.
        left_out: Files and cases that were found and cannot be used, with the reason.
        notes: What was decided, in sentences.
        folders: The folders below the root in which each case (by id) lies: they may tell the patients.
        load: How a case is read where its files alone do not tell (a scale from a table, masks to be united); then
            channels and labels are declared. ``None`` for the usual way, `vesalius.io.layouts.load.load_case`.
    """

    records: tuple[Record, ...]
    channels: tuple[str, ...] = ()
    declared: bool = False
    labels: Labels | None = None
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    folders: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    load: Load | None = None


class Layout(Protocol):
    """A module of this package that knows one way of arranging a data set."""

    LOOKS_FOR: str
    """What must be there for the layout to be recognised, to be put after "looks for"."""

    def recognise(self, folder: Path) -> bool:
        """Whether the folder is arranged in this way; looks at names and small text files only."""

    def scan(self, folder: Path, *, reference: str | None = None) -> Found:
        """Find the cases; ``reference`` names the references when there are several for an image."""


def refuse_choice(layout: str, reference: str | None) -> None:
    """Raise if ``reference`` was given to a layout that says itself what the references are.

    Raises:
        DataError: ``reference`` is not ``None``.
    """
    if reference is not None:
        raise DataError(
            f"reference={reference!r} cannot be chosen: the {layout} layout says itself what the references are"
        )


def without_doubles(records: list[Record], left_out: list[LeftOut]) -> list[Record]:
    """Keep the first of the records that share a name; the others are added to ``left_out``."""
    kept: dict[str, Record] = {}
    for record in records:
        if record.id in kept:
            left_out.append(LeftOut(record.id, f"the name is taken by another case ({record.images[0].name})"))
        else:
            kept[record.id] = record
    return list(kept.values())
