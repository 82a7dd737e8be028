"""Go on segmenting what an earlier segmenter knew, though the new references do not show it."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from vesalius.bundle import Bundle
from vesalius.errors import PlanError
from vesalius.image import Case
from vesalius.plan import Plan, Prepared
from vesalius.plan.prepare import IGNORE
from vesalius.predict import load_segmenter, segment
from vesalius.train.cache import Amend
from vesalius.transform import reorient, resample

SURE = 0.7
"""Where the earlier segmenter is less sure than this, nothing is learnt."""


def kept_labels(start: Bundle, plan: Plan, *, device: str = "auto") -> tuple[Amend, str]:
    """Fill the background of new references with what an earlier segmenter finds there.

    In references that show new labels only, the old structures are background, and a network that learns from them
    unlearns what it knew. So a voxel that the reference calls background becomes what the earlier segmenter says of
    it, if it is sure; where it is not, the voxel counts in no loss. What the reference names stays what it is.

    Args:
        start: The earlier segmenter.
        plan: The new plan, whose labels are those of the earlier one and the new ones.
        device: Where to compute.

    Returns:
        The change to make to a prepared case, and a key that says what it depends on; see `build_cache`.

    Raises:
        PlanError: The plan lacks a label of the earlier segmenter, or either is for regions.

    Source: Douillard et al. 2021, arXiv:2011.11390 (pseudo-labels for the background, those that are unsure left out);
    the threshold is ours.
    """
    old = start.plan
    if old.regions or plan.regions:
        raise PlanError("labels can be kept where they exclude each other, not in plans for regions")
    missing = [name for name in old.labels.names if name not in plan.labels.names]
    if missing:
        raise PlanError(f"the plan has no label {', '.join(missing)}, which is to be kept")
    segmenter = load_segmenter(start, device=device)
    numbers = np.array([0, *(1 + plan.labels.names.index(name) for name in old.labels.names)], np.int16)

    def amend(case: Case, prepared: Prepared, classes: NDArray[np.int16]) -> NDArray[np.int16]:
        chances = segment(case.image, segmenter, probabilities=True).probabilities
        assert chances is not None
        there = resample(reorient(chances), prepared.grid).array
        says, sure = numbers[there.argmax(axis=0)], there.max(axis=0) >= SURE
        return np.where(classes == 0, np.where(sure, says, IGNORE), classes).astype(np.int16)

    digest = hashlib.sha256()
    for weights in start.members:
        for name in sorted(weights):
            digest.update(np.ascontiguousarray(weights[name]).tobytes())
    return amend, f"kept labels {SURE} {digest.hexdigest()}"
