"""The course of a training: rows in memory, a CSV file, and TensorBoard events."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vesalius.io.atomic import write_text


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

    Args:
        folder: Where ``history.csv`` and TensorBoard's event file go.
        moments: Of an earlier session.
    """

    def __init__(self, folder: Path, moments: list[Moment] | None = None) -> None:
        from tensorboardX import SummaryWriter

        self.moments = list(moments or [])
        self._folder = folder
        self._events = SummaryWriter(str(folder / "events"))

    def add(self, moment: Moment) -> None:
        """Take a moment down."""
        self.moments.append(moment)
        self._events.add_scalar("loss", moment.loss, moment.step)
        self._events.add_scalar("learning_rate", moment.learning_rate, moment.step)
        if not math.isnan(moment.validation_dice):
            self._events.add_scalar("validation_dice", moment.validation_dice, moment.step)

    def rows(self) -> list[dict[str, Any]]:
        """The moments as plain rows, for drawing."""
        return [asdict(moment) for moment in self.moments]

    def write(self) -> None:
        """Write ``history.csv`` whole, and flush the events."""
        text = io.StringIO()
        table = csv.DictWriter(text, [f.name for f in fields(Moment)], lineterminator="\n")
        table.writeheader()
        table.writerows(self.rows())
        write_text(self._folder / "history.csv", text.getvalue())
        self._events.flush()

    def close(self) -> None:
        """Write and let go of the files."""
        self.write()
        self._events.close()
