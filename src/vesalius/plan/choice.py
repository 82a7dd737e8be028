"""The largest network, batch and patch that the budget allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from vesalius.errors import PlanError
from vesalius.nets import NetworkSpec, activation_bytes, divisor
from vesalius.nets.specs.encoder import Encoder
from vesalius.plan.budget import Budget, free_memory_gib
from vesalius.plan.candidates import Network, Task, network_sizes, takes_one_size
from vesalius.plan.configuration import CONTEXT, is_flat, patches, slice_axis
from vesalius.plan.plan import Configuration

StepSeconds = Callable[[NetworkSpec, Sequence[int], int], float]
"""Times a training step of (network, patch_size, batch_size)."""

LEAST_STEPS = 100
"""Below this many steps nothing useful is learned (benchmarks/README.md)."""
_STEPS_AT_TEN_MINUTES = 1500  # what the network's size is traded against (benchmarks/README.md)
_TRAINING_SHARE = 0.85  # of the budget; the rest is reading, validating and writing
_STEP_VOXELS = {2: 800_000, 3: 700_000}  # patch times batch
_LEAST_BATCH = 2
_MOST_BATCH = {2: 16, 3: 8}
_TIMED_VOXELS = 300_000  # more are timed on fewer and scaled: enough that the cost of calling is small beside it
_NEARLY = 1.5  # a candidate that misses the steps by less is timed a second time


@dataclass(frozen=True)
class Ground:
    """What the data and the wishes leave to the budget to decide.

    Args:
        network, configuration, encoder: Which.
        shape: Median of the cases at the target spacing, voxels.
        spacing_mm: The target spacing.
        channels: Of the image.
        coarse_labels: That a cascade's fine stage sees as further channels.
        outputs: Of the network.
    """

    network: Network
    configuration: Configuration
    encoder: Encoder | None
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    channels: int
    coarse_labels: int
    outputs: int

    @property
    def slices(self) -> tuple[int, int] | None:
        """For `Task`: the axis across which a 2D network goes, and the neighbours that it sees."""
        if not is_flat(self.configuration, len(self.shape)):
            return None
        return slice_axis(self.spacing_mm), 0 if self.configuration == "2d" else CONTEXT

    @property
    def network_axes(self) -> int:
        """2 where images are 2D or seen slice by slice, else 3."""
        return 2 if len(self.shape) == 2 or self.slices is not None else 3

    @property
    def step_voxels(self) -> int:
        """About how many voxels a training step should see."""
        return _STEP_VOXELS[self.network_axes]

    def candidates(self) -> Iterator[Candidate]:
        """From the largest to the smallest: the network gives way first, then the batch, then the patch."""
        for patch in patches(self.configuration, self.network, self.shape, self.spacing_mm):
            depth = 1 if self.slices is None else patch[self.slices[0]]
            most = max(_LEAST_BATCH, _MOST_BATCH[self.network_axes] // depth)
            batch = min(most, max(_LEAST_BATCH, round(self.step_voxels / math.prod(patch))))
            seen = self.channels + self.coarse_labels
            task = Task(seen, self.outputs, patch, self.spacing_mm, self.slices, self.encoder)
            sizes = network_sizes(self.network, task)
            while batch >= _LEAST_BATCH:
                for words, spec in sizes:
                    yield Candidate(words, spec, _whole(patch, spec), batch)
                batch = batch // 2


@dataclass(frozen=True)
class Candidate:
    """A network, a patch and a batch, with a few words about the network."""

    words: str
    spec: NetworkSpec
    patch_size: tuple[int, ...]
    batch_size: int

    @property
    def memory_gib(self) -> float:
        """What a training step keeps.

        It is linear in the batch, so one count serves all sizes; of two, since batch norm cannot do with one voxel.
        """
        return self.batch_size * activation_bytes(self.spec, self.patch_size, batch=2) / 2 / 2**30


class Stopwatch:
    """Times each size of network on a patch of moderate size: per voxel, other patches take about as long."""

    def __init__(self, step_seconds: StepSeconds) -> None:
        self._step_seconds = step_seconds
        self._known: dict[str, float] = {}

    def per_voxel(self, candidate: Candidate) -> float:
        """Seconds a step for each voxel of the batch; measured once."""
        if candidate.words not in self._known:
            self._known[candidate.words] = self._timed(candidate)
        return self._known[candidate.words]

    def per_step(self, candidate: Candidate) -> float:
        """Seconds a step."""
        return self.per_voxel(candidate) * math.prod(candidate.patch_size) * candidate.batch_size

    def look_again(self, candidate: Candidate) -> None:
        """Measure a second time, later, and keep the shorter: what disturbed the first has perhaps gone."""
        self._known[candidate.words] = min(self.per_voxel(candidate), self._timed(candidate))

    def _timed(self, candidate: Candidate) -> float:
        patch = _at_most(candidate.patch_size, divisor(candidate.spec), _TIMED_VOXELS)
        batch = min(candidate.batch_size, max(_LEAST_BATCH, _TIMED_VOXELS // math.prod(patch)))
        return self._step_seconds(candidate.spec, patch, batch) / (batch * math.prod(patch))


def wanted_steps(time_s: float) -> float:
    """How many steps a network must get before a larger one is worth it.

    It grows with the square root of the time: twice the time is spent half on a larger network and half on more
    steps, as is best when both have diminishing returns.

    Example:
        >>> wanted_steps(600.0)
        1500.0

    Source: measured at ten minutes (benchmarks/README.md); the square root as in Hoffmann et al. 2022,
    arXiv:2203.15556 (model size and training length grow in equal proportion with the compute).
    """
    return _STEPS_AT_TEN_MINUTES * math.sqrt(time_s / 600)


def expected_steps(budget: Budget, candidate: Candidate, stopwatch: Stopwatch) -> float:
    """How many steps of a candidate a budget holds."""
    if budget.time_s is None:
        return float(budget.steps or 0)
    return budget.time_s * _TRAINING_SHARE / stopwatch.per_step(candidate)


def choose(ground: Ground, budget: Budget, stopwatch: Stopwatch) -> tuple[Candidate, float]:
    """The first candidate that fits into memory and gets enough steps, or the one that gets the most.

    Timing is disturbed by whatever else the machine does just then, and only ever towards too long. So a candidate
    that was passed over narrowly is timed a second time before a smaller one is taken.

    Args:
        ground: What is left to decide.
        budget: What there is.
        stopwatch: Times a step.

    Returns:
        The candidate and the steps that it gets.

    Raises:
        PlanError: Memory or time are too small; the message says the least that would do.
    """
    memory = budget.memory_gib or 0.7 * free_memory_gib()
    found, narrow = _first(ground, budget, stopwatch, memory)
    if narrow:
        for candidate in narrow:
            stopwatch.look_again(candidate)
        found, _ = _first(ground, budget, stopwatch, memory)
    return found[0], enough_steps(budget, found[1])


def enough_steps(budget: Budget, steps: float) -> float:
    """The steps that fit a budget, if they teach anything.

    Raises:
        PlanError: They are fewer than `LEAST_STEPS`; the message says the least time that would do.
    """
    if budget.time_s is not None and steps < LEAST_STEPS:
        least = budget.time_s * LEAST_STEPS / steps
        raise PlanError(
            f"a budget of {budget.time_s:.0f} s is too small to train on this machine: about {steps:.0f} steps "
            f"fit, and {LEAST_STEPS} are the least that teach anything. Give at least {math.ceil(least)} s"
        )
    return steps


def measured(budget: Budget) -> StepSeconds:
    """The clock of this machine; torch is imported only when a plan asks for it."""
    from vesalius.plan.measure import timer

    return timer(budget)


def _first(
    ground: Ground, budget: Budget, stopwatch: Stopwatch, memory_gib: float
) -> tuple[tuple[Candidate, float], list[Candidate]]:
    """The choice, and the larger networks that missed it narrowly."""
    best: tuple[Candidate, float] | None = None
    narrow: dict[str, Candidate] = {}
    smallest = math.inf
    for candidate in ground.candidates():
        steps = expected_steps(budget, candidate, stopwatch)
        if budget.time_s is not None and wanted_steps(budget.time_s) / _NEARLY <= steps < wanted_steps(budget.time_s):
            narrow.setdefault(candidate.words, candidate)
        if budget.time_s is not None and best is not None and steps <= best[1]:
            continue  # it would not be taken: its memory need not be counted
        if candidate.memory_gib > memory_gib:
            smallest = min(smallest, candidate.memory_gib)
            continue
        best = candidate, steps
        if budget.time_s is None or steps >= wanted_steps(budget.time_s):
            break
    if best is None:
        raise PlanError(
            f"{memory_gib:.2f} GiB of memory hold not even the smallest plan; it takes {smallest:.2f} GiB. "
            "Give more with --memory, or index smaller images"
        )
    return best, list(narrow.values())


def _whole(patch: Sequence[int], spec: NetworkSpec) -> tuple[int, ...]:
    """The patch in multiples of the network's stride, two on one axis: a single voxel at its end has no variance."""
    steps = divisor(spec)
    whole = tuple(math.ceil(p / d) * d for p, d in zip(patch, steps, strict=True))
    if not _ends_in_one_voxel(whole, steps) or takes_one_size(spec):
        return whole
    longest = max((a for a, step in enumerate(steps) if step > 1), key=lambda axis: patch[axis] / steps[axis])
    return tuple(2 * n if axis == longest else n for axis, n in enumerate(whole))


def _ends_in_one_voxel(patch: Sequence[int], steps: Sequence[int]) -> bool:
    """Whether nothing but a single voxel is left where the network steps (slices are not stepped over)."""
    return max(steps) > 1 and all(n == step for n, step in zip(patch, steps, strict=True) if step > 1)


def _at_most(patch: tuple[int, ...], multiple: Sequence[int], voxels: int) -> tuple[int, ...]:
    """Halve the longest axis until the patch is small, keeping the network's multiples."""
    size = list(patch)
    while math.prod(size) > voxels:
        axis = max(range(len(size)), key=lambda a: size[a] / multiple[a])
        half = max(1, size[axis] // multiple[axis] // 2) * multiple[axis]
        smaller = [half if a == axis else n for a, n in enumerate(size)]
        if half == size[axis] or _ends_in_one_voxel(smaller, multiple):
            break
        size = smaller
    return tuple(size)
