"""An image on its way through the stages of a segmenter, to logits at the network's spacing and classes anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.bundle import Bundle
from vesalius.errors import DataError, PlanError, unknown_name
from vesalius.image import Grid, Volume
from vesalius.plan import Plan, Prepared, prepare
from vesalius.plan.regions import painted_values
from vesalius.predict.logits import logits_of, slabs_of
from vesalius.predict.memory import check_preparing, choose_walk
from vesalius.predict.segmenter import Segmenter
from vesalius.predict.views import Mirror, Views, planned_views
from vesalius.predict.window import Walk
from vesalius.transform import resample_argmax, resample_painted, stream_argmax, stream_painted
from vesalius.transform.rows import Slabs

Progress = Callable[[int, int], None]

Classes = NDArray[Any]
"""Class numbers, of any whole type."""

_UNITS = 10_000  # in which progress is told where several networks look


@dataclass(frozen=True, kw_only=True)
class Look:
    """How to look at an image.

    Args:
        channels: Which of the plan's channels the image holds; all, in order, when left out.
        mirror: Average over mirror images, see `vesalius.predict.views`; what each plan says when left out.
        overlap: Of neighbouring windows; what each plan says when left out.
        memory_gib: That the process may take; most of what is free when left out.
        focus: Look closely only where a coarse look has found something.
        progress: Called with the share that is done, as (done, total).
    """

    channels: tuple[str, ...] | None = None
    mirror: Mirror | None = None
    overlap: float | None = None
    memory_gib: float | None = None
    focus: bool = False
    progress: Progress | None = None

    def views(self, plan: Plan) -> Views:
        """The mirror images to look at."""
        return planned_views(plan, self.mirror)

    def overlap_of(self, plan: Plan) -> float:
        """Of neighbouring windows."""
        return plan.overlap if self.overlap is None else self.overlap

    def check(self, bundle: Bundle) -> None:
        """Refuse what cannot be before anything is computed.

        Raises:
            DataError: A channel is unknown, named twice, or missing where one of the networks never learnt to do
                without.
            PlanError: The overlap is out of range.
        """
        if self.overlap is not None and not 0 <= self.overlap < 1:
            raise PlanError(f"overlap must be 0 to less than 1, not {self.overlap}")
        plan = bundle.plan
        channels = plan.channels if self.channels is None else self.channels
        for name in channels:
            if name not in plan.channels:
                raise DataError(unknown_name("channel", name, plan.channels))
        if not channels or len(set(channels)) != len(channels):
            raise DataError(f"name each of the image's channels once, not {list(channels)}")
        missing = [name for name in plan.channels if name not in channels]
        if missing and not plan.augmentation.channel_dropout_p > 0:
            raise DataError(
                f"the image has no {', '.join(missing)}; this segmenter needs all of {', '.join(plan.channels)}, "
                "because it was not trained with channel dropout (augmentation.channel_dropout_p)"
            )
        for other in (bundle.coarse, *bundle.partners):
            if other is not None:
                self.check(other)

    def in_passes(self, segmenter: Segmenter, *, more: int = 0) -> Iterator[Look]:
        """For each network that has a look, one that tells its part of the progress; they may look side by side.

        Args:
            segmenter: Whose networks look.
            more: How many looks there are besides.
        """
        parts = (segmenter, *segmenter.partners)
        passes = more + len(parts) + sum(part.coarse is not None for part in parts)
        return iter(self.in_parts(passes))

    def in_parts(self, parts: int) -> list[Look]:
        """Looks of which each tells its part of the progress of this one."""
        progress = self.progress
        if progress is None or parts == 1:
            return [self] * parts
        shares = [0.0] * parts

        def tell(number: int, done: int, total: int) -> None:
            shares[number] = done / total
            progress(round(sum(shares) / parts * _UNITS), _UNITS)

        return [replace(self, progress=partial(tell, number)) for number in range(parts)]


@dataclass(frozen=True, eq=False)
class Flow:
    """The logits of an image as they come, at the network's spacing.

    Args:
        slabs: ``(start, logits)``, see `vesalius.predict.window.iterate_slabs`.
        axis: Along which they follow each other.
        outputs: How many there are.
        held_as: In which number format.
        seen: What the network sees.
    """

    slabs: Slabs
    axis: int
    outputs: int
    held_as: str
    seen: Prepared


def see(image: Volume, segmenter: Segmenter, looks: Iterator[Look]) -> tuple[Prepared, Look]:
    """What a network sees of an image, and how to look at it; a cascade's coarse stage goes first.

    Args:
        image: As it was read.
        segmenter: Its partners are left out.
        looks: One for each network, see `Look.in_passes`.

    Raises:
        PlanError: There is too little memory.
    """
    plan = segmenter.bundle.plan
    look = next(looks)
    check_preparing(image, plan, look.memory_gib)
    prepared = prepare(image, plan, channels=look.channels)
    if segmenter.coarse is not None:
        coarse, _ = see(image, segmenter.coarse, iter([look]))
        flow = flow_of(coarse, segmenter.coarse, look, target=prepared.grid)
        classes = flowing_classes(flow, segmenter.coarse.bundle.plan, prepared.grid)
        prepared = with_coarse(prepared, classes, plan)
        look = next(looks)
    return prepared, look


def walk_of(
    seen: Prepared,
    segmenter: Segmenter,
    look: Look,
    *,
    target: Grid,
    parts: int = 1,
    axis: int | None = None,
    whole: bool = False,
) -> Walk:
    """How the windows of a prepared image are walked through; see `choose_walk`."""
    plan = segmenter.bundle.plan
    return choose_walk(
        plan,
        seen.grid.shape,
        target.shape,
        overlap=look.overlap_of(plan),
        views=len(look.views(plan)),
        device=segmenter.device,
        engines=2 if segmenter.backend == "auto" else 1,  # the fastest is found by comparing
        memory_gib=look.memory_gib,
        parts=parts,
        axis=axis,
        whole=whole,
    )


def flow_of(seen: Prepared, segmenter: Segmenter, look: Look, *, target: Grid, walk: Walk | None = None) -> Flow:
    """The logits of what a network sees, as they come.

    Args:
        seen: See `see`.
        segmenter: Its networks are asked.
        look: How to look.
        target: Where labels are wanted, for which memory is needed.
        walk: How the windows are walked through; see `walk_of`, which is asked when it is left out.

    Raises:
        PlanError: There is too little memory.
    """
    plan = segmenter.bundle.plan
    chosen = walk or walk_of(seen, segmenter, look, target=target)
    slabs = slabs_of(
        seen,
        segmenter.run,
        plan,
        walk=chosen,
        views=look.views(plan),
        overlap=look.overlap_of(plan),
        progress=look.progress,
    )
    return Flow(slabs, chosen.axis, plan.network.out_channels, _name(chosen), seen)


@contextmanager
def all_logits(
    seen: Prepared, segmenter: Segmenter, look: Look, *, target: Grid
) -> Iterator[tuple[NDArray[np.float32], str]]:
    """All logits of what a network sees, at its spacing, and the number format that they were held in.

    Args:
        seen: See `see`.
        segmenter: Its networks are asked.
        look: How to look.
        target: Where labels and probabilities are wanted, for which memory is needed.

    Raises:
        PlanError: There is too little memory.
    """
    plan = segmenter.bundle.plan
    walk = walk_of(seen, segmenter, look, target=target, whole=True)
    with logits_of(
        seen,
        segmenter.run,
        plan,
        walk=walk,
        views=look.views(plan),
        overlap=look.overlap_of(plan),
        progress=look.progress,
    ) as logits:
        yield logits, _name(walk)


def _name(walk: Walk) -> str:
    return str(walk.held_as).removeprefix("torch.")


@contextmanager
def image_logits(
    image: Volume, segmenter: Segmenter, looks: Iterator[Look]
) -> Iterator[tuple[NDArray[np.float32], Prepared]]:
    """All logits of an image at the network's spacing, and what the network saw; a cascade's coarse stage goes first.

    Args:
        image: As it was read.
        segmenter: Its partners are left out.
        looks: One for each network, see `Look.in_passes`.

    Raises:
        PlanError: There is too little memory.
    """
    seen, look = see(image, segmenter, looks)
    with all_logits(seen, segmenter, look, target=seen.canonical) as (logits, _):
        yield logits, seen


def coarse_classes(image: Volume, segmenter: Segmenter, grid: Grid, *, look: Look | None = None) -> NDArray[np.int16]:
    """What the coarse stage of a cascade finds in an image, where the fine stage sees it.

    Inference and training both use this, so that the fine stage learns from what it will see. Neither the partners nor
    the post-processing of the coarse stage have a part in it.

    Args:
        image: As it was read.
        segmenter: The coarse stage. For training, only the members that have not seen the image (`load_segmenter`).
        grid: Of the image as the fine stage prepares it.
        look: How to look.

    Returns:
        ``(*grid.shape)``: class numbers, 0 for background, 1 … for the coarse plan's labels in order.
    """
    chosen = look or Look()
    chosen.check(segmenter.bundle)
    seen, chosen = see(image, segmenter, iter([chosen]))
    classes = flowing_classes(flow_of(seen, segmenter, chosen, target=grid), segmenter.bundle.plan, grid)
    return classes.astype(np.int16)


def with_coarse(prepared: Prepared, classes: Classes, plan: Plan) -> Prepared:
    """Add the classes of the coarse stage to what the fine one sees: a channel of 0 and 1 for each foreground class.

    Args:
        prepared: The image, ``(c, *grid.shape)``.
        classes: On its grid, see `coarse_classes`.
        plan: Of the fine stage; ``plan.coarse_labels`` says how many classes there are.

    Returns:
        ``(c + plan.coarse_labels, *grid.shape)``: the image's channels first.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (the cascade's one-hot segmentation).
    """
    numbers = np.arange(1, plan.coarse_labels + 1, dtype=classes.dtype)
    channels = np.empty((len(prepared.array) + len(numbers), *classes.shape), np.float32)
    channels[: len(prepared.array)] = prepared.array
    for channel, number in zip(channels[len(prepared.array) :], numbers, strict=True):
        np.equal(classes, number, out=channel)
    return replace(prepared, array=channels)


def flowing_classes(flow: Flow, plan: Plan, target: Grid) -> Classes:
    """The class at each point of a grid, from logits as they come: `classes_on` without all of them at once.

    Args:
        flow: See `flow_of`.
        plan: What the outputs mean.
        target: Where the classes are wanted; outside the extent of what was seen all is background.

    Returns:
        ``(*target.shape)``: class numbers, see `coarse_classes`.
    """
    source, axis, thick_axis = flow.seen.grid, flow.axis, flow.seen.thick_axis
    if plan.regions:
        painted = stream_painted(flow.slabs, source, target, regions=flow.outputs, axis=axis, thick_axis=thick_axis)
        return np.asarray(painted_classes(plan)[painted])
    return stream_argmax(flow.slabs, source, target, classes=flow.outputs, axis=axis, thick_axis=thick_axis)


def classes_on(
    logits: NDArray[np.float32], plan: Plan, source: Grid, target: Grid, *, thick_axis: int | None = None
) -> Classes:
    """The class at each point of a grid: the likeliest, or of a plan for regions the one on top.

    Args:
        logits: ``(outputs, *source.shape)``.
        plan: What the outputs mean.
        source: Where the logits are.
        target: Where the classes are wanted; outside the extent of ``source`` all is background.
        thick_axis: See `vesalius.plan.Prepared`.

    Returns:
        ``(*target.shape)``: class numbers, see `coarse_classes`.
    """
    if plan.regions:
        return np.asarray(painted_classes(plan)[resample_painted(logits, source, target, thick_axis=thick_axis)])
    return resample_argmax(logits, source, target, thick_axis=thick_axis)


def painted_classes(plan: Plan) -> Classes:
    """The class that shows where none of the regions is on top, where the first is, and so on."""
    painted = [value for value, *_ in painted_values(plan.outputs)]
    classes = [0, *(plan.labels.values.index(value) + 1 for value in painted)]
    return np.array(classes, np.uint8 if len(plan.labels.values) < 256 else np.uint16)
