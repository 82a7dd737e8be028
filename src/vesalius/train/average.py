"""One network from those of several folds: the mean of their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vesalius.bundle import Bundle
from vesalius.errors import PlanError
from vesalius.image import Dataset
from vesalius.predict import load_segmenter, segment
from vesalius.train.score import mean_scores, score

_LOOKED_AT = 8  # cases
_LOSS = 0.02  # in Dice: what the mean may lose against the mean member


def average_members(members: Sequence[Bundle], dataset: Dataset, *, device: str = "auto") -> Bundle:
    """Make one segmenter whose weights are the mean of several, which is as fast as one of them.

    That is possible only where the networks lie in one valley of the loss: they must have started from the same
    weights, best from trained ones (``start``), and not gone far apart. Whether they do is looked at, not assumed: the
    mean and the members segment some of the cases they were trained on.

    Args:
        members: Segmenters of one plan.
        dataset: Cases to look at; the first eight are.
        device: Where to compute.

    Returns:
        The first member with the mean weights.

    Raises:
        PlanError: The mean is worse than the members are on average by more than 0.02 Dice on these cases.

    Source: Wortsman et al. 2022, arXiv:2203.05482 (model soups); Frankle et al. 2020, arXiv:1912.05671 (when the mean
    of two networks is as good as either).
    """
    first = members[0]
    mean = {
        name: np.mean([one.weights[name] for one in members], axis=0, dtype=np.float64).astype(array.dtype)
        for name, array in first.weights.items()
    }
    averaged = replace(first, members=(mean,))
    cases = dataset.select(dataset.ids[:_LOOKED_AT])
    alone = float(np.mean([_dice(one, cases, device) for one in members]))
    together = _dice(averaged, cases, device)
    if not together >= alone - _LOSS:
        raise PlanError(
            f"the weights of the folds cannot be averaged: the mean has a Dice of {together:.3f} on cases where the "
            f"folds have {alone:.3f}. Join them as an ensemble, or start all folds from one trained segmenter"
        )
    return averaged


def _dice(bundle: Bundle, cases: Dataset, device: str) -> float:
    segmenter = load_segmenter(bundle, device=device)
    found = []
    for case in cases:
        assert case.reference is not None
        prediction = segment(case.image, segmenter, mirror=False)
        found.append(score(prediction.labels, case.reference, case=case.id))
    assert cases.labels is not None
    return mean_scores(found, cases.labels)["mean"]
