"""One frame after another through a segmenter: what `segment` says, with less around it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import PlanError
from vesalius.image import Grid, LabelMap, Volume
from vesalius.nets import divisor
from vesalius.plan import Plan, Prepared, prepare
from vesalius.plan.prepare import to_values
from vesalius.predict.backends import Run
from vesalius.predict.chances import add_probabilities, likeliest_classes, mean_probabilities, to_probabilities
from vesalius.predict.logits import logits_of
from vesalius.predict.memory import choose_walk
from vesalius.predict.segmenter import Segmenter
from vesalius.predict.stages import Classes, Look, classes_on, image_logits, painted_classes
from vesalius.transform import postprocess as clean_up

_FRAMES = 100_000  # to come: enough that whatever makes an engine faster pays


@dataclass(frozen=True, eq=False)
class FrameSegmenter:
    """How frames are looked at.

    Args:
        segmenter: Of a 2D plan.
        look: Mirroring and overlap.
        whole_frame: Show the network the whole frame at once, padded to its stride, in place of windows of the size
            that it was trained with. Faster where frames are larger than the patch, and not the same: the network sees
            other surroundings, and norms see other statistics.
        postprocess: Clean up as the bundle says.

    Raises:
        PlanError: The plan is not 2D, or the whole frame is asked of a cascade or of partners.
        DataError: The look does not suit the bundle.
    """

    segmenter: Segmenter
    look: Look
    whole_frame: bool = False
    postprocess: bool = True

    def __post_init__(self) -> None:
        plan = self.segmenter.bundle.plan
        if plan.ndim != 2:
            raise PlanError(f"frames are pictures, and this segmenter is for {plan.ndim}D images; use a 2D one")
        if self.whole_frame and not self._is_plain:
            raise PlanError(
                "the whole frame at once is for a single network or its members, not for stages or partners"
            )
        self.look.check(self.segmenter.bundle)

    @property
    def plan(self) -> Plan:
        """Of the segmenter."""
        return self.segmenter.bundle.plan

    @property
    def _is_plain(self) -> bool:
        return self.segmenter.coarse is None and not self.segmenter.partners

    def labels(self, image: Volume) -> LabelMap:
        """The label map of a frame: that of `vesalius.segment`, unless the whole frame is looked at.

        Raises:
            DataError, GeometryError: The frame does not suit the segmenter.
        """
        if self.segmenter.partners:
            return self.labels_of(self.probabilities(image), image.grid)
        with self._logits(image) as (logits, seen):
            at = _place(seen.grid, image.grid)
            if at is None:
                classes = classes_on(logits, self.plan, seen.grid, image.grid, thick_axis=seen.thick_axis)
            else:
                classes = np.zeros(image.grid.shape, np.int16)
                classes[at] = _classes(logits, self.plan)
        return self._labelled(classes, image.grid)

    def probabilities(self, image: Volume) -> NDArray[np.float32]:
        """The probabilities ``(outputs, columns, rows)`` of a frame: those of `vesalius.segment`.

        Raises:
            DataError, GeometryError: The frame does not suit the segmenter.
        """
        total = np.zeros((self.plan.network.out_channels, *image.grid.shape), np.float32)
        if self.segmenter.partners:
            several = (self.segmenter, *self.segmenter.partners)
            mean_probabilities(total, image, several, image.grid, self.look.in_passes(self.segmenter))
            return total
        with self._logits(image) as (logits, seen):
            at = _place(seen.grid, image.grid)
            if at is None:
                regions, thick_axis = self.plan.regions, seen.thick_axis
                add_probabilities(
                    total, logits, seen.grid, image.grid, regions=regions, share=1.0, thick_axis=thick_axis
                )
            else:
                to_probabilities(logits, regions=self.plan.regions)
                if not self.plan.regions:
                    total[0] = 1.0
                total[:, *at] = logits
        return total

    def labels_of(self, probabilities: NDArray[np.float32], grid: Grid) -> LabelMap:
        """The label map that probabilities ``(outputs, columns, rows)`` make."""
        return self._labelled(likeliest_classes(probabilities, self.plan), grid)

    def _labelled(self, classes: Classes, grid: Grid) -> LabelMap:
        found = LabelMap(to_values(classes, self.plan), grid, self.plan.labels)
        return clean_up(found, self.segmenter.bundle.postprocessing) if self.postprocess else found

    @contextmanager
    def _logits(self, image: Volume) -> Iterator[tuple[NDArray[np.float32], Prepared]]:
        if not self._is_plain:
            with image_logits(image, self.segmenter, self.look.in_passes(self.segmenter)) as found:
                yield found
            return
        prepared = prepare(image, self.plan, channels=self.look.channels)
        shape, plan = prepared.grid.shape, self.plan
        if self.whole_frame:
            plan = replace(plan, patch_size=self._window_of(prepared.grid, image.grid))
        overlap, views = self.look.overlap_of(plan), self.look.views(plan)
        walk = choose_walk(
            plan,
            shape,
            image.grid.shape,
            overlap=overlap,
            views=len(views),
            device=self.segmenter.device,
            memory_gib=self.look.memory_gib,
            whole=True,
        )
        walk = replace(walk, ahead=0)  # on this thread: there is nothing to be done meanwhile
        with logits_of(prepared, self._run, plan, walk=walk, views=views, overlap=overlap) as logits:
            yield logits, prepared

    def _run(self, window: tuple[int, ...], count: int) -> Run:
        return self.segmenter.run(window, count * _FRAMES)

    def _window_of(self, seen: Grid, grid: Grid) -> tuple[int, ...]:
        """A window for the whole frame, the same however much of its border is empty: engines are made for a size."""
        plan = self.plan
        frame = grid.with_spacing(plan.spacing_mm).shape if plan.calibrated else grid.shape
        sizes = zip(frame, seen.shape, divisor(plan.network), strict=True)
        return tuple(math.ceil(max(n, m) / step) * step for n, m, step in sizes)


def _place(inner: Grid, outer: Grid) -> tuple[slice, ...] | None:
    """Where a grid lies in another whose points it shares; None where it has points of its own."""
    start = np.rint(outer.to_index(inner.to_points(np.zeros(inner.ndim)))).astype(int)
    if not inner.is_close(outer.crop(start.tolist(), inner.shape), tolerance_mm=1e-6 * min(outer.spacing_mm)):
        return None
    if (start < 0).any() or any(s + n > m for s, n, m in zip(start, inner.shape, outer.shape, strict=True)):
        return None
    return tuple(slice(s, s + n) for s, n in zip(start.tolist(), inner.shape, strict=True))


def _classes(logits: NDArray[np.float32], plan: Plan) -> NDArray[np.int16]:
    """The likeliest class, the lowest at a tie; of a plan for regions the one on top."""
    classes = np.zeros(logits.shape[1:], np.int16)
    if plan.regions:
        for one, number in zip(logits, painted_classes(plan)[1:], strict=True):
            classes[one > 0] = number
        return classes
    best = logits[0]
    for number, one in enumerate(logits[1:], start=1):
        above = one > best
        classes[above] = number
        if number + 1 < len(logits):
            best = np.where(above, one, best)
    return classes
