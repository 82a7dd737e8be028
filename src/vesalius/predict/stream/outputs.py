"""What is kept of footage that was segmented, written frame by frame: one kind of file a function."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np

from vesalius.errors import FormatError, unknown_name
from vesalius.image import Grid, LabelMap, Volume
from vesalius.io import write
from vesalius.io.atomic import atomic_path, explained, make_folder
from vesalius.io.footage import Footage
from vesalius.io.footage.video import CODECS, new_video
from vesalius.predict.stream.drawing import draw
from vesalius.predict.stream.run import FramePrediction

Keep = Callable[[FramePrediction], None]


def open_output(path: str | Path, footage: Footage) -> AbstractContextManager[Keep]:
    """Open a file or folder that keeps results as they come. Nothing but the frame in hand is held in memory.

    Args:
        path: ``.mp4``, ``.avi`` or ``.mkv`` (which loses nothing) for a video of the frames with their labels drawn in;
            ``.tif`` for the label maps, a page each; ``.csv`` for times and sizes, a row each; without a suffix, a
            folder with a label map in PNG each, named by the number of the frame.
        footage: What is watched.

    Returns:
        A context that lends the function which takes a result. Files appear when it is left without an error.

    Raises:
        FormatError: There is no such kind of output, or nobody knows how many frames a second a video shall have.
        VesaliusError: The system refused to write.
    """
    place = Path(path)
    suffix = place.suffix.lower()
    if not suffix or place.is_dir():
        return _folder(place)
    if suffix not in OUTPUTS:
        raise FormatError(f"cannot write {place.name}: {unknown_name('kind of output', suffix, OUTPUTS)}")
    return OUTPUTS[suffix](place, footage)


@contextmanager
def _video(path: Path, footage: Footage) -> Iterator[Keep]:
    """Frames that were dropped show the picture before them, so that time passes as it did."""
    if footage.rate_hz is None:
        raise FormatError(f"cannot write {path.name}: nobody knows how many frames a second {footage.name} has: say it")
    window: tuple[float, float] | None = None
    last: int | None = None
    picture = np.zeros((footage.shape[1], footage.shape[0], 3), np.uint8)
    with new_video(path, footage.shape, footage.rate_hz) as add:

        def keep(found: FramePrediction) -> None:
            nonlocal window, last, picture
            window = window or _window(found.frame.image)
            for _ in range(0 if last is None else found.frame.index - last - 1):
                add(picture)
            picture = draw(found.frame.image, found.labels, window=window, stale=found.stale)
            last = found.frame.index
            add(picture)

        yield keep


@contextmanager
def _stack(path: Path, _: Footage) -> Iterator[Keep]:
    import tifffile

    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=True) as file:

        def keep(found: FramePrediction) -> None:
            with explained(path.name):
                rows = np.ascontiguousarray(found.labels.array.T)
                file.write(rows, photometric="minisblack", compression="zlib", metadata=None, contiguous=False)

        yield keep


@contextmanager
def _table(path: Path, _: Footage) -> Iterator[Keep]:
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        begun = False

        def keep(found: FramePrediction) -> None:
            nonlocal begun
            declared, counts = found.labels.labels.labels, found.labels.counts()
            with explained(path.name):
                if not begun:
                    rows.writerow([*_COLUMNS, *(f"pixels of {label.name}" for label in declared)])
                    begun = True
                rows.writerow([*_row(found), *(counts.get(label.value, 0) for label in declared)])

        yield keep


@contextmanager
def _folder(path: Path) -> Iterator[Keep]:
    folder = make_folder(path)

    def keep(found: FramePrediction) -> None:
        # A picture holds no place in space: pixels are the frame's.
        labels = found.labels
        flat = LabelMap(labels.array, Grid.from_spacing(labels.grid.shape, (1.0, 1.0)), labels.labels)
        write(flat, folder / f"{found.frame.index:06d}.png")

    yield keep


OUTPUTS: Mapping[str, Callable[[Path, Footage], AbstractContextManager[Keep]]] = {
    **dict.fromkeys(CODECS, _video),
    ".tif": _stack,
    ".tiff": _stack,
    ".csv": _table,
}
"""Suffix to what writes it."""

_COLUMNS = ("frame", "at_s", "waited_ms", "computed_ms", "latency_ms", "stale", "dropped", "anew")


def _row(found: FramePrediction) -> list[object]:
    at_s = "" if found.frame.at_s is None else f"{found.frame.at_s:.4f}"
    times = (f"{1000 * seconds:.3f}" for seconds in (found.waited_s, found.computed_s, found.latency_s))
    return [found.frame.index, at_s, *times, int(found.stale), found.dropped, int(found.anew)]


def _window(image: Volume) -> tuple[float, float]:
    """What is shown as black and as white in all frames: by the first, where values are not those of a screen."""
    if image.array.dtype == np.uint8:
        return 0.0, 255.0
    low, high = (float(value) for value in np.percentile(image.array, (0.5, 99.5)))
    return (low, high) if low < high else (low, low + 1.0)
