"""Probabilities: of one segmenter, or the mean of several, on a grid of choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Grid, Volume
from vesalius.plan import Plan
from vesalius.predict.scratch import slabs
from vesalius.predict.segmenter import Segmenter
from vesalius.predict.stages import Look, image_logits, painted_classes
from vesalius.transform import resample


def to_probabilities(logits: NDArray[np.float32], *, regions: bool) -> None:
    """Turn logits into probabilities where they are, a slab at a time.

    Args:
        logits: ``(outputs, *grid)``; changed.
        regions: Whether the outputs are independent (sigmoid) or exclude each other (softmax).

    Example:
        >>> scores = np.array([[0.0, 3.0], [0.0, 3.0]], np.float32)[..., None]
        >>> to_probabilities(scores, regions=False)
        >>> scores.ravel().tolist()
        [0.5, 0.5, 0.5, 0.5]
    """
    for rows in slabs(logits.shape):
        slab = logits[:, rows]
        if regions:
            # tanh does not overflow where exp would.
            slab[...] = 0.5 * (1 + np.tanh(0.5 * slab))
        else:
            slab -= slab.max(axis=0, keepdims=True)
            np.exp(slab, out=slab)
            slab /= slab.sum(axis=0, keepdims=True)


def add_probabilities(
    total: NDArray[np.float32], logits: NDArray[np.float32], source: Grid, target: Grid, *, regions: bool, share: float
) -> None:
    """Add a segmenter's share to a mean of probabilities, output by output.

    Args:
        total: ``(outputs, *target.shape)``; changed.
        logits: ``(outputs, *source.shape)``; they become probabilities.
        source: Where the logits are.
        target: Where the probabilities are wanted. Outside the extent of ``source`` all is background.
        regions: As for `to_probabilities`.
        share: Weight of these probabilities.
    """
    to_probabilities(logits, regions=regions)
    for number, (sum_of, one) in enumerate(zip(total, logits, strict=True)):
        outside = 1.0 if number == 0 and not regions else 0.0
        found = resample(Volume(one[None], source), target, fill=outside).array[0]
        sum_of += share * found


def mean_probabilities(
    total: NDArray[np.float32], image: Volume, segmenters: Sequence[Segmenter], grid: Grid, looks: Iterator[Look]
) -> None:
    """Fill an array with the mean of several segmenters' probabilities.

    Args:
        total: ``(outputs, *grid.shape)``; overwritten.
        image: As it was read.
        segmenters: Of plans with the same outputs; each counts the same.
        grid: Where the probabilities are wanted.
        looks: One for each network, see `Look.in_passes`.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (ensembles of configurations: mean of the softmax).
    """
    total[...] = 0
    for segmenter in segmenters:
        with image_logits(image, segmenter, looks) as (logits, seen):
            regions = segmenter.bundle.plan.regions
            add_probabilities(total, logits, seen.grid, grid, regions=regions, share=1 / len(segmenters))


def likeliest_classes(probabilities: NDArray[np.float32], plan: Plan) -> NDArray[np.int16]:
    """The class at each voxel: the likeliest (the lowest at a tie), or the topmost region that is likelier than not.

    Args:
        probabilities: ``(outputs, *grid)``.
        plan: What the outputs mean.

    Returns:
        ``(*grid)``: class numbers, 0 for background, 1 … for the plan's labels in order.
    """
    classes = np.zeros(probabilities.shape[1:], np.int16)
    for rows in slabs(probabilities.shape):
        slab = probabilities[:, rows]
        if not plan.regions:
            classes[rows] = slab.argmax(axis=0)
            continue
        for one, number in zip(slab, painted_classes(plan)[1:], strict=True):
            classes[rows][one > 0.5] = number
    return classes
