"""Progress bars for people: on standard error, none when that is not a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def counting(what: str, *, shown: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar that counts; gives the function to call with (done, total), or None.

    Args:
        what: Is being done.
        shown: Whether a person wants it; a terminal is needed, too.
    """
    if not (shown and sys.stderr.isatty()):
        yield None
        return
    from rich.progress import Progress

    with Progress(console=_console(), transient=True) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def training(*, shown: bool) -> Iterator[Callable[[Any], None]]:
    """A bar for `fit`: phase, loss, validation Dice, time left. Without a terminal, a line a minute.

    Args:
        shown: Whether a person wants it; notes are shown in any case.
    """
    if not shown:
        yield _note
        return
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.description:9}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f}%  {task.fields[words]}"),
    )
    with Progress(*columns, console=_console()) as bar:
        task = bar.add_task("prepare", total=1.0, words="")

        def show(status: Any) -> None:
            bar.update(task, description=status.phase, completed=status.done, words=_words(status))
            if status.note:
                bar.console.print(f"note: {status.note}", markup=False, highlight=False)

        yield show


def _lines() -> Callable[[Any], None]:
    import time

    told_at, told_phase = float("-inf"), ""

    def show(status: Any) -> None:
        nonlocal told_at, told_phase
        _note(status)
        now = time.monotonic()
        if now - told_at >= 60 or status.phase != told_phase:
            told_at, told_phase = now, status.phase
            print(f"{status.phase:9} {status.done:4.0%}  {_words(status)}", file=sys.stderr, flush=True)

    return show


def _note(status: Any) -> None:
    if status.note:
        print(f"note: {status.note}", file=sys.stderr, flush=True)


def _words(status: Any) -> str:
    words = [status.part] if status.part else []
    if status.moment is not None:
        words.append(f"step {status.moment.step}  loss {status.moment.loss:.3f}")
        if status.moment.validation_dice == status.moment.validation_dice:
            words.append(f"validation Dice {status.moment.validation_dice:.3f}")
    if 0 <= status.left_s < float("inf"):
        minutes, seconds = divmod(round(status.left_s), 60)
        words.append(f"{minutes}:{seconds:02d} left")
    return "  ".join(words)


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)
