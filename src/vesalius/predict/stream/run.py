"""Watch footage through a segmenter: one thread captures, one computes, and whoever asks gets the latest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Protocol, runtime_checkable

from vesalius.bundle import Bundle
from vesalius.errors import PlanError
from vesalius.image import LabelMap, Volume
from vesalius.io.footage import Footage, Frame, open_footage, to_grey
from vesalius.predict.segmenter import Segmenter, load_segmenter
from vesalius.predict.stages import Look
from vesalius.predict.stream.frames import FrameSegmenter
from vesalius.predict.stream.queue import LatestQueue
from vesalius.predict.stream.smoothing import Smoothing
from vesalius.predict.views import Mirror

STALE_AFTER_S = 0.2
"""Age from which a result no longer shows the present. Source: Xu et al. 2014, doi:10.1007/s00464-014-3504-z: surgeons
work undisturbed with up to 200 ms between what happens and what they see."""

_LOOKS = 8  # at a frame, beforehand: until an engine is chosen, each is tried on three of them
_GAP_FRAMES = 2.5  # between frames that belong together: one may be missing


@runtime_checkable
class Clock(Protocol):
    """What tells the time, so that tests can."""

    def now(self) -> float:
        """Seconds since some moment; never goes back."""

    def wait(self, ended: threading.Event, seconds: float) -> None:
        """Return after so many seconds, or when the event comes."""


class MonotonicClock:
    """The machine's own."""

    def now(self) -> float:
        """Seconds since some moment; never goes back."""
        return time.monotonic()

    def wait(self, ended: threading.Event, seconds: float) -> None:
        """Return after so many seconds, or when the event comes."""
        if seconds > 0:
            ended.wait(seconds)


@dataclass(frozen=True, eq=False)
class FramePrediction:
    """What a segmenter says about a frame.

    Args:
        frame: That was looked at, in grey where the segmenter wants grey.
        labels: On the frame's grid.
        waited_s: From capture until a thread had time for it.
        computed_s: From there to the label map.
        latency_s: From capture until it was handed over.
        stale: Whether that is longer than a result may take to tell of the present. Never of footage that is not
            watched as it happens.
        dropped: Frames that gave way to newer ones, up to now.
        anew: Whether the smoothing began with this frame, because nothing came before it that belongs to it.
    """

    frame: Frame
    labels: LabelMap
    waited_s: float
    computed_s: float
    latency_s: float
    stale: bool
    dropped: int
    anew: bool


@dataclass(frozen=True, eq=False)
class _Caught:
    frame: Frame
    captured_s: float


def stream(
    source: Footage | int | str | Path,
    bundle: Bundle | Segmenter | str | Path,
    *,
    every_frame: bool = False,
    queue: int = 1,
    stale_after_s: float = STALE_AFTER_S,
    smooth: float | None = None,
    mirror: Mirror | None = None,
    overlap: float | None = None,
    whole_frame: bool = False,
    postprocess: bool = True,
    rate_hz: float | None = None,
    clock: Clock | None = None,
) -> Generator[FramePrediction, None, None]:
    """Segment footage as it happens.

    One thread captures frames, another segments them, and the caller gets each result when it asks for the next. Where
    the segmenter or the caller is slower than the footage, the oldest frames are dropped: memory holds ``queue``
    frames, and those in hand, however long the caller is away. A file is watched at its own pace, as if it came
    from a camera, unless every frame is wanted.

    The label map of a frame is that of `vesalius.segment` with the same settings, unless ``smooth`` or ``whole_frame``
    say otherwise. What is watched as it happens begins when the engine is ready: the first frame is looked at some
    times beforehand, and from a camera it is then too old and is not shown.

    Args:
        source: Open footage, which stays open, or what `vesalius.io.footage.open_footage` opens.
        bundle: A segmenter for 2D images; `load_segmenter` says on which device and by which backend.
        every_frame: Drop nothing: capture waits for the segmenter, and the segmenter for the caller. Of a file, this
            is a result for later; from a camera, results fall behind.
        queue: Frames that may wait. 1 is the freshest; more even out a segmenter that is sometimes slow.
        stale_after_s: From capture to hand-over; what takes longer is flagged.
        smooth: Weight of a new frame in the mean over time, above 0 to 1, see
            `vesalius.predict.stream.smoothing.Smoothing`; no smoothing when left out. Frames belong together when no
            more than ``stale_after_s`` lies between them, or one missing frame where that is longer.
        mirror: Average over mirror images, as for `segment`; what the plan says when left out.
        overlap: Of neighbouring windows; what the plan says when left out.
        whole_frame: Show the network the frame as a whole, see `FrameSegmenter`.
        postprocess: Clean up as the bundle says.
        rate_hz: Frames a second, where the footage does not say or says something else; not for open footage.
        clock: Tells the time.

    Yields:
        Results in the order of the frames. Closing the iterator ends both threads, once the frame has come that is
        being captured.

    Raises:
        FormatError: The footage cannot be opened or, later, read on.
        PlanError: An argument is out of range, the segmenter is not for 2D images, or nobody says how fast to watch.
        DataError: The frames do not suit the segmenter.
    """
    if not stale_after_s > 0:
        raise PlanError(f"stale_after_s must be positive, not {stale_after_s}")
    segmenter = bundle if isinstance(bundle, Segmenter) else load_segmenter(bundle)
    eye = FrameSegmenter(segmenter, Look(mirror=mirror, overlap=overlap), whole_frame, postprocess)
    smoothing = None if smooth is None else Smoothing(smooth)
    waiting = LatestQueue[_Caught](queue, dropping=not every_frame)
    watch = _Watch(eye, smoothing, waiting, stale_after_s, every_frame, clock or MonotonicClock())
    return _watched(source, rate_hz, watch)


@dataclass(frozen=True, eq=False)
class _Watch:
    """What the threads share."""

    eye: FrameSegmenter
    smoothing: Smoothing | None
    waiting: LatestQueue[_Caught]
    stale_after_s: float
    every_frame: bool
    clock: Clock

    def capture(self, footage: Footage, frames: Iterator[Frame], ended: threading.Event) -> None:
        """Put frames into the queue, each when its time has come."""
        paced = not (footage.live or self.every_frame)
        began = self.clock.now()
        for frame in frames:
            if paced:
                self.clock.wait(ended, began + _time_of(frame, footage) - self.clock.now())
            image = _suited(frame.image, self.eye)
            if ended.is_set() or not self.waiting.put(_Caught(replace(frame, image=image), self.clock.now())):
                return

    def compute(self, footage: Footage, made: LatestQueue[tuple[_Caught, FramePrediction]]) -> None:
        """Segment what waits in the queue."""
        gap_s = max(self.stale_after_s, 0.0 if footage.rate_hz is None else _GAP_FRAMES / footage.rate_hz)
        # Only when the last result was taken is the next frame: so it is no older than it must be.
        while made.wait_for_room() and (caught := next(self.waiting, None)) is not None:
            began, anew = self.clock.now(), False
            frame = caught.frame
            if self.smoothing is None:
                labels = self.eye.labels(frame.image)
            else:
                at_s = caught.captured_s if footage.live else _time_of(frame, footage)
                chances, anew = self.smoothing.add(frame, self.eye.probabilities(frame.image), at_s, gap_s=gap_s)
                labels = self.eye.labels_of(chances, frame.image.grid)
            waited, computed = began - caught.captured_s, self.clock.now() - began
            result = FramePrediction(
                frame, labels, waited, computed, waited + computed, stale=False, dropped=self.waiting.dropped, anew=anew
            )
            made.put((caught, result))


def _watched(
    source: Footage | int | str | Path, rate_hz: float | None, watch: _Watch
) -> Generator[FramePrediction, None, None]:
    with ExitStack() as opened:
        footage = source if isinstance(source, Footage) else opened.enter_context(open_footage(source, rate_hz=rate_hz))
        at_its_time = footage.live or not watch.every_frame
        if at_its_time and not footage.live and footage.rate_hz is None:
            raise PlanError(
                f"{footage.name}: does not say how many frames a second it has: say it, or ask for every frame"
            )
        frames = footage.frames
        if at_its_time:
            if (first := next(frames, None)) is None:
                return
            for _ in range(_LOOKS if watch.eye.segmenter.backend == "auto" else 1):
                watch.eye.labels(_suited(first.image, watch.eye))
            frames = frames if footage.live else chain((first,), frames)
        made = LatestQueue[tuple[_Caught, FramePrediction]](1, dropping=False)
        ended = threading.Event()
        threads = [
            _thread("capture", watch.waiting, lambda: watch.capture(footage, frames, ended)),
            _thread("compute", made, lambda: watch.compute(footage, made)),
        ]
        try:
            for caught, result in made:
                latency = watch.clock.now() - caught.captured_s
                stale = at_its_time and latency > watch.stale_after_s
                yield replace(result, latency_s=latency, stale=stale, dropped=watch.waiting.dropped)
        finally:
            ended.set()
            watch.waiting.leave()
            made.leave()
            for thread in threads:
                thread.join()


def _thread(
    name: str, queue: LatestQueue[_Caught] | LatestQueue[tuple[_Caught, FramePrediction]], work: Callable[[], None]
) -> threading.Thread:
    """Start a thread that closes its queue when it is done, with the error if it failed."""

    def run() -> None:
        try:
            work()
        except Exception as error:
            queue.close(error)
        else:
            queue.close()

    thread = threading.Thread(target=run, name=f"vesalius-{name}", daemon=True)
    thread.start()
    return thread


def _time_of(frame: Frame, footage: Footage) -> float:
    """When a frame is to be seen, seconds after the first; frames without a time or rate follow each other at once."""
    if frame.at_s is not None:
        return frame.at_s
    return 0.0 if footage.rate_hz is None else frame.index / footage.rate_hz


def _suited(image: Volume, eye: FrameSegmenter) -> Volume:
    """In grey, where the segmenter wants one channel and the picture has three."""
    wanted = len(eye.plan.channels if eye.look.channels is None else eye.look.channels)
    return to_grey(image) if wanted == 1 and image.channels == 3 else image
