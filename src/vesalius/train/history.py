"""The course of a training: rows in memory, a CSV file, and TensorBoard events."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vesalius.io.atomic import explained, make_folder, write_text
from vesalius.report import curves


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


class History:
    """Collects moments and writes them down.

    Events are appended where they arise, and not by the thread of tensorboardX's ``SummaryWriter``: on a full disk that
    would die, and whoever hands it the next event would wait for ever.

    Args:
        folder: Where ``history.csv`` and TensorBoard's event file go.
        moments: The course; whoever owns it appends to it.

    Raises:
        VesaliusError: The system refused to write (full disk); so do all methods.
    """

    def __init__(self, folder: Path, moments: Sequence[Moment]) -> None:
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.record_writer import RecordWriter

        self.moments = moments
        self._folder = folder
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
        """Write ``history.csv`` and ``curves.png`` whole, and flush the events."""
        text = io.StringIO()
        table = csv.DictWriter(text, [f.name for f in fields(Moment)], lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows())
        write_text(self._folder / "history.csv", text.getvalue())
        if self.moments:
            curves(self.rows(), self._folder / "curves.png")
        with explained("the events"):
            self._events.flush()

    def close(self) -> None:
        """Let go of the file of events."""
        with explained("the events"):
            self._events.close()
