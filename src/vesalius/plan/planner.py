"""From facts and a budget to a plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from vesalius.augment import Augmentation
from vesalius.errors import PlanError
from vesalius.nets import NetworkSpec, activation_bytes, divisor
from vesalius.plan import rules
from vesalius.plan.budget import Budget, free_memory_gib
from vesalius.plan.candidates import Network, network_sizes
from vesalius.plan.fingerprint import Fingerprint
from vesalius.plan.plan import Plan, Reason
from vesalius.plan.recipe import Optimisation

StepSeconds = Callable[[NetworkSpec, Sequence[int], int], float]

LEAST_STEPS = 100
"""Below this many steps nothing useful is learned (benchmarks/README.md)."""
_STEPS_AT_TEN_MINUTES = 1500  # what the network's size is traded against (benchmarks/README.md)
_TRAINING_SHARE = 0.85  # of the budget; the rest is reading, validating and writing
_STEP_VOXELS = {2: 800_000, 3: 700_000}  # patch times batch
_PATCH_VOXELS = {2: 512 * 512, 3: 128 * 128 * 96}
_TIMED_VOXELS = 300_000  # more are timed on fewer and scaled: enough that the cost of calling is small beside it
_LEAST_BATCH = 2
_MOST_BATCH = {2: 16, 3: 8}
_MIRROR_SECONDS = 20.0  # a case may take this long with all its mirror images


@dataclass(frozen=True)
class _Candidate:
    words: str
    spec: NetworkSpec
    patch_size: tuple[int, ...]
    batch_size: int

    @property
    def memory_gib(self) -> float:
        # Linear in the batch, so one count serves all sizes; of two, since batch norm cannot do with one voxel.
        return self.batch_size * activation_bytes(self.spec, self.patch_size, batch=2) / 2 / 2**30


def make_plan(
    fingerprint: Fingerprint, budget: Budget, *, network: Network = "unet", step_seconds: StepSeconds | None = None
) -> Plan:
    """Decide everything about a segmenter from the facts about the data and the budget.

    What the data decide (spacing, normalisation, pooling, kernels, proportions of the patch) follows nnU-Net's rules.
    What costs time is decided by the budget: candidate steps are timed on this machine, and the largest network that
    still gets enough optimisation steps is taken.

    Args:
        fingerprint: The facts.
        budget: Time or steps, memory, device.
        network: ``"unet"``, ``"fcn"`` (FCN-8s on ResNet-18) or ``"cnn"`` (the patch classifier).
        step_seconds: Times a training step of (network, patch_size, batch_size); measured on this machine when left
            out. With a function of its arguments alone, the plan is a function of its arguments alone.

    Returns:
        The plan, with a reason for each decision.

    Raises:
        PlanError: The budget is too small; the message says the least that would do. Or the network is unknown.
    """
    facts = fingerprint
    spacing, spacing_why = rules.target_spacing(facts)
    schemes, scheme_why = rules.normalisations(facts)
    median = rules.resampled_shape(facts, spacing)
    seconds_per_voxel = _Stopwatch(step_seconds or _measured(budget.device))
    chosen, steps = _choose(facts, budget, network, median, spacing, seconds_per_voxel)
    if budget.time_s is None:
        told = f"{budget.steps} steps were asked for"
    else:
        told = f"about {steps:.0f} steps fit the budget, {wanted_steps(budget.time_s):.0f} are wanted"
    mirrors, mirror_why = rules.mirror_axes(facts)
    tested, tested_why = _mirror_when_segmenting(chosen, median, mirrors, seconds_per_voxel)
    reasons = (
        Reason("spacing_mm", spacing_why),
        Reason("normalisation", scheme_why),
        Reason("patch_size", f"in proportion to the images' median shape, {_by(median)} at this spacing"),
        Reason("batch_size", f"about {_STEP_VOXELS[facts.ndim]:,} voxels a step"),
        Reason("network", f"{chosen.words}: the largest that gets enough steps ({told})"),
        Reason("optimisation", f"Muon learns most in few steps; {told}"),
        Reason("augmentation", f"nnU-Net's list; {mirror_why}"),
        Reason("mirror_axes", tested_why),
    )
    return Plan(
        ndim=3 if facts.ndim == 3 else 2,
        channels=tuple(channel.name for channel in facts.channels),
        labels=facts.labels,
        configuration="3d" if facts.ndim == 3 else "2d",
        calibrated=facts.calibrated,
        spacing_mm=spacing,
        normalisation=schemes,
        patch_size=chosen.patch_size,
        batch_size=chosen.batch_size,
        network=chosen.spec,
        optimisation=_optimisation(steps),
        augmentation=Augmentation.for_patch(chosen.patch_size, mirror_axes=mirrors),
        mirror_axes=tested,
        budget=budget,
        reasons=reasons,
    )


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


class _Stopwatch:
    """Times each size of network once, on a patch of moderate size: per voxel, other patches take about as long."""

    def __init__(self, step_seconds: StepSeconds) -> None:
        self._step_seconds = step_seconds
        self._known: dict[str, float] = {}

    def __call__(self, candidate: _Candidate) -> float:
        """Seconds a step for each voxel of the batch."""
        if candidate.words not in self._known:
            patch = _at_most(candidate.patch_size, divisor(candidate.spec), _TIMED_VOXELS)
            batch = min(candidate.batch_size, max(_LEAST_BATCH, _TIMED_VOXELS // math.prod(patch)))
            seconds = self._step_seconds(candidate.spec, patch, batch)
            self._known[candidate.words] = seconds / (batch * math.prod(patch))
        return self._known[candidate.words]

    def step(self, candidate: _Candidate) -> float:
        """Seconds a step."""
        return self(candidate) * math.prod(candidate.patch_size) * candidate.batch_size


def _choose(
    facts: Fingerprint,
    budget: Budget,
    network: Network,
    median: tuple[int, ...],
    spacing: tuple[float, ...],
    stopwatch: _Stopwatch,
) -> tuple[_Candidate, float]:
    """The first candidate that fits into memory and gets enough steps, or the one that gets the most."""
    memory = budget.memory_gib or 0.7 * free_memory_gib()
    best: tuple[_Candidate, float] | None = None
    smallest = math.inf
    for candidate in _candidates(facts, network, median, spacing):
        steps = float(budget.steps or 0)
        if budget.time_s is not None:
            steps = budget.time_s * _TRAINING_SHARE / stopwatch.step(candidate)
            if best is not None and steps <= best[1]:
                continue  # it would not be taken: its memory need not be counted
        if candidate.memory_gib > memory:
            smallest = min(smallest, candidate.memory_gib)
            continue
        if budget.time_s is None or steps >= wanted_steps(budget.time_s):
            return candidate, steps
        best = candidate, steps
    if best is None:
        raise PlanError(
            f"{memory:.2f} GiB of memory hold not even the smallest plan; it takes {smallest:.2f} GiB. "
            "Give more with --memory, or index smaller images"
        )
    if best[1] < LEAST_STEPS:
        assert budget.time_s is not None
        least = budget.time_s * LEAST_STEPS / best[1]
        raise PlanError(
            f"a budget of {budget.time_s:.0f} s is too small to train on this machine: about {best[1]:.0f} steps "
            f"fit, and {LEAST_STEPS} are the least that teach anything. Give at least {math.ceil(least)} s"
        )
    return best


def _candidates(
    facts: Fingerprint, network: Network, median: tuple[int, ...], spacing: tuple[float, ...]
) -> Iterator[_Candidate]:
    """From the largest to the smallest: the network gives way first, then the batch, then the patch."""
    patch: tuple[int, ...] | None = rules.patch_for(median, spacing, most_voxels=_PATCH_VOXELS[facts.ndim])
    while patch is not None:
        batch = min(_MOST_BATCH[facts.ndim], max(_LEAST_BATCH, round(_STEP_VOXELS[facts.ndim] / math.prod(patch))))
        while batch >= _LEAST_BATCH:
            for words, spec in network_sizes(network, facts, patch, spacing):
                whole = tuple(math.ceil(p / d) * d for p, d in zip(patch, divisor(spec), strict=True))
                yield _Candidate(words, spec, whole, batch)
            batch = batch // 2
        smaller = rules.patch_for(median, spacing, most_voxels=math.prod(patch) * 2 // 3)
        patch = smaller if math.prod(smaller) < math.prod(patch) else None


def _measured(device: str) -> StepSeconds:
    from vesalius.plan.measure import step_seconds

    return lambda spec, patch_size, batch_size: step_seconds(spec, patch_size, batch_size, device=device)


def _at_most(patch: tuple[int, ...], multiple: Sequence[int], voxels: int) -> tuple[int, ...]:
    """Halve the longest axis until the patch is small, keeping the network's multiples."""
    size = list(patch)
    while math.prod(size) > voxels:
        axis = max(range(len(size)), key=lambda a: size[a] / multiple[a])
        half = max(1, size[axis] // multiple[axis] // 2) * multiple[axis]
        if half == size[axis]:
            break
        size[axis] = half
    return tuple(size)


def _optimisation(steps: float) -> Optimisation:
    """Warm-up and averaging in proportion to the number of steps: both span about a twentieth of it."""
    return Optimisation(
        warm_up_steps=round(min(50.0, steps / 20)), average_decay=round(min(0.999, max(0.9, 1 - 20 / max(steps, 1))), 4)
    )


def _mirror_when_segmenting(
    chosen: _Candidate, median: tuple[int, ...], mirrors: tuple[int, ...], stopwatch: _Stopwatch
) -> tuple[tuple[int, ...], str]:
    if not mirrors:
        return (), "not mirrored in training, so not when segmenting"
    windows = math.prod(max(1, math.ceil(2 * m / p - 1)) for m, p in zip(median, chosen.patch_size, strict=True))
    # A forward pass is about a third of a training step.
    seconds = stopwatch(chosen) * math.prod(chosen.patch_size) * windows * 2 ** len(mirrors) / 3
    if seconds <= _MIRROR_SECONDS:
        return mirrors, f"{2 ** len(mirrors)} mirror images of a median case take about {seconds:.1f} s here"
    return (), f"{2 ** len(mirrors)} mirror images of a median case would take about {seconds:.0f} s here"


def _by(shape: Sequence[int]) -> str:
    return "x".join(str(n) for n in shape)
