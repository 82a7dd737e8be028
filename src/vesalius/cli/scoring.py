"""Score many cases side by side, as many at once as there is memory for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vesalius.cli.pairs import Trial
    from vesalius.image import LabelMap
    from vesalius.metrics import Scores

_BYTES = 48  # a voxel, of reading and scoring a pair: two maps as they are read, their crops, masks and surfaces
_SHARE = 0.5  # of the free memory: others want some, too


@dataclass
class Tally:
    """What came of scoring.

    Args:
        scores: Of each method, in order of the cases.
        failed: Words about what could not be scored.
    """

    scores: dict[str, list[Scores]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


def score_trials(
    trials: Sequence[Trial],
    methods: Sequence[str],
    *,
    metrics: Sequence[str],
    tolerance_mm: float,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tally:
    """Score every method on every case; what cannot be scored is said, and does not stop the others.

    The first case is scored alone: its size says how many fit into memory at once. Cases are read when their turn
    comes, the reference once for all methods, and of each only the numbers stay.

    Args:
        trials: The cases.
        methods: Names of the methods.
        metrics: Names of `vesalius.metrics.METRICS`.
        tolerance_mm: Of the surface Dice.
        workers: How many cases at once; as many as cores and memory allow when left out.
        progress: Called with (done, total).

    Raises:
        VesaliusError: There is one pair only, and it could not be scored.
    """
    tally = Tally({method: [] for method in methods})
    pairs = sum(len(trial.predictions) for trial in trials)
    several = len(methods) > 1

    def score(trial: Trial) -> tuple[dict[str, Scores], list[str], int]:
        from vesalius.errors import VesaliusError
        from vesalius.io import read_labels
        from vesalius.metrics import evaluate

        found: dict[str, Scores] = {}
        failed: list[str] = []
        try:
            reference = trial.reference()
        except VesaliusError as error:
            if pairs == 1:
                raise
            return {}, [f"{trial.name}: {error}"], 0
        for method, path in trial.predictions.items():
            try:
                prediction = on_grid_of(read_labels(path, trial.labels), reference, trial.name)
                found[method] = evaluate(
                    prediction, reference, case=trial.name, metrics=metrics, tolerance_mm=tolerance_mm
                )
            except VesaliusError as error:
                if pairs == 1:
                    raise
                failed.append(f"{f'{method}: ' if several else ''}{trial.name}: {error}")
        return found, failed, reference.array.size

    for done, (found, failed, _) in enumerate(_side_by_side(score, trials, workers), start=1):
        tally.failed += failed
        for method, one in found.items():
            tally.scores[method].append(one)
        if progress is not None:
            progress(done, len(trials))
    return tally


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


def workers_for(voxels: int, *, cores: int, free_bytes: int) -> int:
    """How many cases of a size are scored at once: one a core, and no more than fit into half of the free memory.

    Example:
        >>> workers_for(512 * 512 * 300, cores=16, free_bytes=64 << 30)
        9

    Source: 48 bytes a voxel, more than was seen of a pair on which every voxel is foreground.
    """
    return max(1, min(cores, int(_SHARE * free_bytes) // max(1, _BYTES * voxels)))


def _side_by_side(
    score: Callable[[Trial], tuple[dict[str, Scores], list[str], int]],
    trials: Sequence[Trial],
    workers: int | None,
) -> Iterator[tuple[dict[str, Scores], list[str], int]]:
    """The results in order of the cases. Threads do: what takes time is compiled code that lets others run."""
    import os
    from collections import deque
    from concurrent.futures import Future, ThreadPoolExecutor

    if not trials:
        return
    first, rest = score(trials[0]), trials[1:]
    yield first
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    count = workers or workers_for(first[2], cores=min(cores, max(1, len(rest))), free_bytes=_free_bytes())
    if count == 1:
        yield from map(score, rest)
        return
    waiting: deque[Future[tuple[dict[str, Scores], list[str], int]]] = deque()
    with ThreadPoolExecutor(count, thread_name_prefix="score") as pool:
        try:
            for trial in rest:
                if len(waiting) >= 2 * count:  # results are small, but a failing folder should not be read to its end
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
