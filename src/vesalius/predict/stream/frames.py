"""One frame after another through a segmenter: what `segment` says, with less around it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vesalius.errors import PlanError
from vesalius.image import Grid, LabelMap, Volume
from vesalius.nets import divisor
from vesalius.plan import Plan, Prepared, prepare
from vesalius.plan.prepare import to_values
from vesalius.predict.chances import add_probabilities, likeliest_classes, mean_probabilities, to_probabilities
from vesalius.predict.logits import windows_of
from vesalius.predict.places import window_starts
from vesalius.predict.segmenter import Segmenter
from vesalius.predict.stages import Look, classes_on, image_logits, painted_classes
from vesalius.predict.window import Walk, sliding_window
from vesalius.transform import postprocess as clean_up

_TO_COME = 100_000  # batches: enough that whatever makes an engine faster pays


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
                classes = classes_on(logits, self.plan, seen.grid, image.grid)
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
                add_probabilities(total, logits, seen.grid, image.grid, regions=self.plan.regions, share=1.0)
            else:
                to_probabilities(logits, regions=self.plan.regions)
                if not self.plan.regions:
                    total[0] = 1.0
                total[:, *at] = logits
        return total

    def labels_of(self, probabilities: NDArray[np.float32], grid: Grid) -> LabelMap:
        """The label map that probabilities ``(outputs, columns, rows)`` make."""
        return self._labelled(likeliest_classes(probabilities, self.plan), grid)

    def _labelled(self, classes: NDArray[np.int16], grid: Grid) -> LabelMap:
        found = LabelMap(to_values(classes, self.plan), grid, self.plan.labels)
        return clean_up(found, self.segmenter.bundle.postprocessing) if self.postprocess else found

    @contextmanager
    def _logits(self, image: Volume) -> Iterator[tuple[NDArray[np.float32], Prepared]]:
        if not self._is_plain:
            with image_logits(image, self.segmenter, self.look.in_passes(self.segmenter)) as found:
                yield found
            return
        prepared = prepare(image, self.plan, channels=self.look.channels)
        yield self._windows(prepared, image.grid), prepared

    def _windows(self, prepared: Prepared, grid: Grid) -> NDArray[np.float32]:
        """Logits of what was prepared: of the windows of `segment`, on this thread, or of one that holds the frame."""
        array, plan = np.require(prepared.array, requirements="W"), self.plan
        planned = plan.overlap if self.look.overlap is None else self.look.overlap
        patch, overlap, most = windows_of(plan, prepared.grid.shape, planned)
        if self.whole_frame:
            patch = self._window_of(prepared.grid, grid)
        windows = math.prod(len(at) for at in window_starts(prepared.grid.shape, patch, overlap=overlap))
        batch_size = min(most, windows)  # an engine for one window gives it all cores
        axes = self.look.mirror_axes(plan)
        logits = sliding_window(
            torch.from_numpy(array),
            self.segmenter.run((batch_size, len(array), *patch), _TO_COME),
            patch,
            plan.network.out_channels,
            overlap=overlap,
            mirror_axes=axes,
            walk=Walk(batch_size=batch_size, ahead=0),
        )
        return logits.numpy()

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
