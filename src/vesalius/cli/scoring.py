"""Score many cases side by side, as many at once as there is memory for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    from vesalius.cli.pairs import Trial
    from vesalius.image import LabelMap
    from vesalius.metrics import Scores
    from vesalius.metrics.calibration import Calibration

Result = TypeVar("Result")

_BYTES = 48  # a voxel, of scoring a pair: 36 were seen where ten labels fill the volume, less where most is background
_BYTES_CLASS = 12  # a voxel and class, of probabilities as they are read and as they are counted
_SHARE = 0.5  # of the free memory: others want some, too, and labels like noise take thrice as much


class Room:
    """Memory that jobs share: who would take too much waits until others have given theirs back.

    A job that would never fit runs alone.

    Args:
        total: Bytes there are.

    Example:
        >>> room = Room(100)
        >>> with room.take(60), room.take(40):
        ...     room.taken
        100
    """

    def __init__(self, total: int) -> None:
        self.total, self.taken = total, 0
        self._changed = threading.Condition()

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        """Hold some of it for a while, once it is there."""
        with self._changed:
            self._changed.wait_for(lambda: self.taken == 0 or self.taken + size <= self.total)
            self.taken += size
        try:
            yield
        finally:
            with self._changed:
                self.taken -= size
                self._changed.notify_all()


@dataclass
class Tally:
    """What came of scoring.

    Args:
        scores: Of each method, in order of the cases.
        calibrations: Of each method, in order of the cases; empty where nobody asked.
        failed: Words about what could not be scored.
    """

    scores: dict[str, list[Scores]] = field(default_factory=dict)
    calibrations: dict[str, list[Calibration]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


def score_trials(
    trials: Sequence[Trial],
    methods: Sequence[str],
    *,
    metrics: Sequence[str],
    tolerance_mm: float,
    lesion_task: str = "brats-glioma",
    calibration: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tally:
    """Score every method on every case; what cannot be scored is said, and does not stop the others.

    A case is read when its turn comes, its reference once for all methods; it is scored when there is room for one of
    its size, and only numbers stay.

    Args:
        trials: The cases.
        methods: Names of the methods.
        metrics: Names of `vesalius.metrics.METRICS`.
        tolerance_mm: Of the surface Dice.
        lesion_task: A name of `vesalius.metrics.lesions.LESION_TASKS`, for the lesion-wise metrics.
        calibration: Whether to measure that, too, of the probabilities beside the predictions.
        workers: How many cases at once, at most; one a core when left out. Memory may allow fewer.
        progress: Called with (done, total).

    Raises:
        VesaliusError: There is one pair only, and it could not be scored.
    """
    from vesalius.jobs import cores

    wanted = {"metrics": metrics, "tolerance_mm": tolerance_mm, "lesion_task": lesion_task}
    tally = Tally({method: [] for method in methods}, {method: [] for method in methods})
    pairs = sum(len(trial.predictions) for trial in trials)
    several = len(methods) > 1

    room = Room(int(_SHARE * _free_bytes()))

    def score(trial: Trial) -> tuple[dict[str, Scores], dict[str, Calibration], list[str]]:
        from vesalius.errors import VesaliusError

        found: dict[str, Scores] = {}
        sure: dict[str, Calibration] = {}
        failed: list[str] = []
        try:
            reference = trial.reference()
        except VesaliusError as error:
            if pairs == 1:
                raise
            return {}, {}, [f"{trial.name}: {error}"]
        classes = len(reference.labels.values) + 1
        with room.take((_BYTES + _BYTES_CLASS * classes * calibration) * reference.array.size):
            for method in trial.predictions:
                try:
                    found[method] = _scored(trial, method, reference, wanted)
                    if calibration:
                        sure[method] = calibrated(trial.predictions[method], reference)
                except VesaliusError as error:
                    if pairs == 1:
                        raise
                    failed.append(f"{f'{method}: ' if several else ''}{trial.name}: {error}")
        return found, sure, failed

    for done, (found, sure, failed) in enumerate(_side_by_side(score, trials, workers or cores()), start=1):
        tally.failed += failed
        for method, one in found.items():
            tally.scores[method].append(one)
        for method, part in sure.items():
            tally.calibrations[method].append(part)
        if progress is not None:
            progress(done, len(trials))
    return tally


def _scored(trial: Trial, method: str, reference: LabelMap, wanted: Mapping[str, Any]) -> Scores:
    from vesalius.io import read_labels
    from vesalius.metrics import evaluate

    prediction = on_grid_of(read_labels(trial.predictions[method], trial.labels), reference, trial.name)
    return evaluate(prediction, reference, case=trial.name, **wanted)


def calibrated(prediction: Path, reference: LabelMap) -> Calibration:
    """The calibration of the probabilities beside a prediction, ``NAME-probabilities``.

    Counted are the voxels in the box that holds the labels of reference and prediction, where somebody looked: over the
    whole image the background would make any segmenter look calibrated.

    Raises:
        DataError: There are none, or they are not those of the background and each label.
        GeometryError: They lie elsewhere than the reference.
    """
    import numpy as np

    from vesalius.errors import DataError, GeometryError
    from vesalius.io import read
    from vesalius.io.layouts.files import stem
    from vesalius.metrics.calibration import measure_calibration

    name = stem(prediction)
    beside = [p for p in prediction.parent.iterdir() if p.is_file() and stem(p) == f"{name}-probabilities"]
    if not beside:
        raise DataError(
            f"no {name}-probabilities beside the prediction: segment with --probabilities to measure calibration"
        )
    said = read(beside[0])
    values = reference.labels.values
    if said.channels != len(values) + 1:
        raise DataError(
            f"{beside[0].name} has {said.channels} channels; background and {len(values)} labels make {len(values) + 1}"
        )
    if said.grid.shape != reference.grid.shape:
        raise GeometryError(f"{beside[0].name} lies on another grid than the reference")
    classes = np.full(int(max(reference.array.max(initial=0), *values, 0)) + 1, -1, np.int16)
    for number, value in enumerate((0, *values)):
        classes[value] = number
    true = classes[reference.array]
    some = np.argwhere((true > 0) | (said.array[0] < 0.5))
    if some.size:
        box = tuple(
            slice(int(low), int(high) + 1) for low, high in zip(some.min(axis=0), some.max(axis=0), strict=True)
        )
    else:
        box = (slice(None),) * true.ndim
    return measure_calibration(said.array[(slice(None), *box)], true[box], counted=true[box] >= 0)


def on_grid_of(prediction: LabelMap, reference: LabelMap, name: str) -> LabelMap:
    """Give the prediction the reference's grid where both mean the same place; never move it.

    Raises:
        GeometryError: They lie in different places.
    """
    import numpy as np

    from vesalius.errors import GeometryError
    from vesalius.image import LabelMap

    bare = reference.grid.ndim == 2 and any(
        np.array_equal(grid.affine, np.eye(3)) for grid in (prediction.grid, reference.grid)
    )
    same = prediction.grid.shape == reference.grid.shape
    if same and (bare or prediction.grid.is_close(reference.grid, tolerance_mm=0.1)):
        return LabelMap(prediction.array, reference.grid, prediction.labels)
    raise GeometryError(f"{name}: prediction and reference lie on different grids")


def _side_by_side(score: Callable[[Trial], Result], trials: Sequence[Trial], workers: int) -> Iterator[Result]:
    """The results in order of the cases. Threads do: what takes time is compiled code that lets others run."""
    from collections import deque
    from concurrent.futures import Future, ThreadPoolExecutor

    if workers == 1 or len(trials) == 1:
        yield from map(score, trials)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(min(workers, len(trials)), thread_name_prefix="score") as pool:
        try:
            for trial in trials:
                if len(waiting) >= 2 * workers:  # results are small; but who stops half-way should not wait for all
                    yield waiting.popleft().result()
                waiting.append(pool.submit(score, trial))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _free_bytes() -> int:
    """As `vesalius.plan.budget.free_memory_gib`, which would load torch, for which nobody asked here."""
    import contextlib
    from pathlib import Path

    import psutil

    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError, ValueError):  # no control group, or no limit in it
        free = min(free, int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(free, 0)


def leading_metric(metrics: Sequence[str]) -> str:
    """The metric by which cases and methods are sorted: Dice where it was scored, else the first."""
    return "dice" if "dice" in metrics else metrics[0]
