"""The course of a training: rows in memory, a CSV file, and TensorBoard events."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from vesalius.io.atomic import explained, make_folder, write_text
from vesalius.report import curves

if TYPE_CHECKING:
    from vesalius.bundle import Bundle


@dataclass(frozen=True)
class Moment:
    """How training stands.

    Args:
        step: Optimisation steps taken.
        time_s: Seconds of training so far, over all sessions of a resumed run.
        loss: Mean since the last moment.
        learning_rate: Factor on the peak rate, 0 to 1.
        validation_dice: Mean foreground Dice of the averaged weights on the watched cases; NaN where not measured.
    """

    step: int
    time_s: float
    loss: float
    learning_rate: float
    validation_dice: float = math.nan


@runtime_checkable
class Tracker(Protocol):
    """Whoever else is told of a run. None of this may raise: a training of hours must not end for it."""

    def follow(self, moments: Sequence[Moment]) -> None:
        """Take note of the course so far, of which it may know the beginning already."""

    def finish(self, bundle: Bundle, files: Sequence[Path]) -> None:
        """Take note of the result, and of files to keep with it."""

    def stop(self, *, interrupted: bool) -> None:
        """Take note that there is no result: the run was interrupted, or failed."""


class History:
    """Collects moments and writes them down.

    Events are appended where they arise, and not by the thread of tensorboardX's ``SummaryWriter``: on a full disk that
    would die, and whoever hands it the next event would wait for ever.

    Args:
        folder: Where ``history.csv`` and TensorBoard's event file go.
        moments: The course; whoever owns it appends to it.
        tracker: Who else is told of it.

    Raises:
        VesaliusError: The system refused to write (full disk); so do all methods.
    """

    def __init__(self, folder: Path, moments: Sequence[Moment], tracker: Tracker | None = None) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import RecordWriter

        self.moments = moments
        self._folder, self._tracker = folder, tracker
        now = time.time()
        with explained("the events"):
            self._events = RecordWriter(str(make_folder(folder / "events") / f"events.out.tfevents.{now:.0f}"))
            self._events.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())

    def add(self, moment: Moment) -> None:
        """Write the events of a moment."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for name in ("loss", "learning_rate", "validation_dice"):
            if not math.isnan(value := getattr(moment, name)):
                event = Event(wall_time=time.time(), step=moment.step, summary=scalar(name, value))
                with explained("the events"):
                    self._events.write(event.SerializeToString())

    def rows(self) -> list[dict[str, Any]]:
        """The moments as plain rows, for drawing."""
        return [asdict(moment) for moment in self.moments]

    def write(self) -> None:
        """Write ``history.csv`` and ``curves.png`` whole, flush the events, and tell the tracker."""
        text = io.StringIO()
        table = csv.DictWriter(text, [f.name for f in fields(Moment)], lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows())
        write_text(self._folder / "history.csv", text.getvalue())
        if self.moments:
            curves(self.rows(), self._folder / "curves.png")
        with explained("the events"):
            self._events.flush()
        if self._tracker is not None:
            self._tracker.follow(self.moments)

    def close(self) -> None:
        """Let go of the file of events."""
        with explained("the events"):
            self._events.close()
