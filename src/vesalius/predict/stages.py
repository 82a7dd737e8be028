"""An image on its way through the stages of a segmenter, to logits at the network's spacing and classes anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from vesalius.bundle import Bundle
from vesalius.errors import DataError, PlanError, unknown_name
from vesalius.image import Grid, Volume
from vesalius.plan import Plan, Prepared, prepare
from vesalius.plan.regions import painted_values
from vesalius.predict.logits import logits_of
from vesalius.predict.segmenter import Segmenter
from vesalius.transform import resample_argmax, resample_painted

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Look:
    """How to look at an image.

    Args:
        channels: Which of the plan's channels the image holds; all, in order, when left out.
        mirror: Average over mirror images; what each plan says when left out.
        overlap: Of neighbouring windows; what each plan says when left out.
        progress: Called with the share that is done, as (done, total).
    """

    channels: tuple[str, ...] | None = None
    mirror: bool | None = None
    overlap: float | None = None
    progress: Progress | None = None

    def mirror_axes(self, plan: Plan) -> tuple[int, ...]:
        """The axes to mirror."""
        if self.mirror is None:
            return plan.mirror_axes
        return plan.augmentation.mirror_axes if self.mirror else ()

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

    def in_passes(self, segmenter: Segmenter) -> Iterator[Look]:
        """For each network that the segmenter has one after the other, a look that tells its part of the progress."""
        parts = (segmenter, *segmenter.partners)
        passes = len(parts) + sum(part.coarse is not None for part in parts)
        for number in count():
            yield replace(self, progress=_part_of(self.progress, number, passes))


def _part_of(progress: Progress | None, number: int, passes: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, passes * total)


@contextmanager
def image_logits(
    image: Volume, segmenter: Segmenter, looks: Iterator[Look]
) -> Iterator[tuple[NDArray[np.float32], Prepared]]:
    """The logits of an image at the network's spacing, and what the network saw; a cascade's coarse stage goes first.

    Args:
        image: As it was read.
        segmenter: Its partners are left out.
        looks: One for each network, see `Look.in_passes`.
    """
    plan = segmenter.bundle.plan
    look = next(looks)
    prepared = prepare(image, plan, channels=look.channels)
    if segmenter.coarse is not None:
        with image_logits(image, segmenter.coarse, iter([look])) as (logits, seen):
            classes = classes_on(logits, segmenter.coarse.bundle.plan, seen.grid, prepared.grid)
        prepared = with_coarse(prepared, classes, plan)
        look = next(looks)
    with logits_of(
        prepared,
        segmenter.run,
        plan,
        mirror_axes=look.mirror_axes(plan),
        overlap=plan.overlap if look.overlap is None else look.overlap,
        progress=look.progress,
    ) as logits:
        yield logits, prepared


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
    with image_logits(image, segmenter, iter([chosen])) as (logits, seen):
        return classes_on(logits, segmenter.bundle.plan, seen.grid, grid)


def with_coarse(prepared: Prepared, classes: NDArray[np.int16], plan: Plan) -> Prepared:
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


def classes_on(logits: NDArray[np.float32], plan: Plan, source: Grid, target: Grid) -> NDArray[np.int16]:
    """The class at each point of a grid: the likeliest, or of a plan for regions the one on top.

    Args:
        logits: ``(outputs, *source.shape)``.
        plan: What the outputs mean.
        source: Where the logits are.
        target: Where the classes are wanted; outside the extent of ``source`` all is background.

    Returns:
        ``(*target.shape)``: class numbers, see `coarse_classes`.
    """
    if plan.regions:
        found: NDArray[np.int16] = painted_classes(plan)[resample_painted(logits, source, target)]
        return found
    return resample_argmax(logits, source, target).astype(np.int16)


def painted_classes(plan: Plan) -> NDArray[np.int16]:
    """The class that shows where none of the regions is on top, where the first is, and so on."""
    painted = [value for value, *_ in painted_values(plan.outputs)]
    return np.array([0, *(plan.labels.values.index(value) + 1 for value in painted)], np.int16)
