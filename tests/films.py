"""Footage with frames that are known, and a clock that waits for nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from vesalius.image import Grid, Meta, Volume
from vesalius.io.footage import Footage, Frame

SHAPE = (20, 18)


class FakeClock:
    """A clock that only goes on when somebody waits, or by hand."""

    def __init__(self) -> None:
        self.time = 100.0
        self._lock = threading.Lock()

    def now(self) -> float:
        return self.time

    def wait(self, ended: threading.Event, seconds: float) -> None:
        self.go_on(max(0.0, seconds))

    def go_on(self, seconds: float) -> None:
        with self._lock:
            self.time += seconds


def picture(number: int, shape: tuple[int, ...] = SHAPE) -> Volume:
    """A picture of noise that the number decides."""
    array = np.random.default_rng(number).integers(0, 256, (1, *shape), np.uint8)
    return Volume(array, Grid.from_spacing(shape, (1.0, 1.0)), Meta("OT", calibrated=False))


def footage_of(
    images: Iterable[Volume],
    *,
    rate_hz: float | None = None,
    live: bool = False,
    before: Callable[[int], None] | None = None,
) -> Footage:
    """Footage of images; ``before`` is called with the number of each before it comes."""

    def frames() -> Iterator[Frame]:
        for index, image in enumerate(images):
            if before is not None:
                before(index)
            yield Frame(index, image, None if rate_hz is None or live else index / rate_hz)

    return Footage("test", SHAPE, frames(), rate_hz, live=live)
