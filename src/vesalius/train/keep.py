"""Go on segmenting what an earlier segmenter knew, though the new references do not show it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vesalius.bundle import Bundle
from vesalius.errors import PlanError
from vesalius.image import Case
from vesalius.plan import Plan, Prepared, plan_to_json
from vesalius.plan.prepare import IGNORE
from vesalius.predict import load_segmenter, segment
from vesalius.predict.stages import Look
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
        PlanError: The plan lacks a label of the earlier segmenter, either is for regions, or they have no channel in
            common.
        DataError: The images lack a channel without which the earlier segmenter has not learnt to do.

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
    shared = [name for name in old.channels if name in plan.channels]
    if shared:
        held = [plan.channels.index(name) for name in shared]
        Look(channels=tuple(shared)).check(start)
    elif len(old.channels) == len(plan.channels):  # other names for the same, as in `transfer`
        shared, held = list(old.channels), list(range(len(old.channels)))
    else:
        raise PlanError(
            f"labels are kept by what the earlier segmenter finds, which needs {', '.join(old.channels)}; "
            f"the images have {', '.join(plan.channels)}"
        )
    numbers = np.array([0, *(1 + plan.labels.names.index(name) for name in old.labels.names)], np.int16)

    def amend(case: Case, prepared: Prepared, classes: NDArray[np.int16]) -> NDArray[np.int16]:
        image = case.image.with_array(case.image.array[held])
        chances = segment(image, segmenter, channels=shared, probabilities=True).probabilities
        assert chances is not None
        there = resample(reorient(chances), prepared.grid).array
        says, sure = numbers[there.argmax(axis=0)], there.max(axis=0) >= SURE
        return np.where(classes == 0, np.where(sure, says, IGNORE), classes).astype(np.int16)

    return amend, f"kept labels {SURE} {_digest(start).hexdigest()}"


def _digest(bundle: Bundle) -> hashlib._Hash:
    """Of all that decides what a bundle says."""
    digest = hashlib.sha256(plan_to_json(replace(bundle.plan, reasons=())).encode())
    for weights in bundle.members:
        for name in sorted(weights):
            digest.update(np.ascontiguousarray(weights[name]).tobytes())
    for other in (bundle.coarse, *bundle.partners):
        digest.update(b"none" if other is None else _digest(other).digest())
    return digest
