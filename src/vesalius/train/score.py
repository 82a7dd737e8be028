"""The Dice of what was predicted for cases that were not learnt from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vesalius.image import LabelMap, Labels
from vesalius.metrics import Scores, evaluate
from vesalius.transform import relabel


def score(prediction: LabelMap, reference: LabelMap, *, case: str) -> Scores:
    """The Dice of each label and region that the reference shows.

    Labels are compared by name. Those that the segmenter knows and the reference does not (kept from an earlier
    segmenter, drawn by nobody) have no score.
    """
    return evaluate(relabel(prediction, reference.labels), reference, case=case, metrics=("dice",))


def mean_scores(scores: Sequence[Scores], labels: Labels) -> dict[str, float]:
    """The mean of each label and region over cases, and ``"mean"``: that of the labels.

    Args:
        scores: Of the cases; no cases, no means.
        labels: Of the references.

    Example:
        >>> from vesalius.image import Labels
        >>> scores = [Scores("a", {"x": {"dice": 0.5}}), Scores("b", {"x": {"dice": 0.7}})]
        >>> mean_scores(scores, Labels.of({"x": 1}))
        {'x': 0.6, 'mean': 0.6}
    """
    if not scores:
        return {}
    means = {target: float(np.mean([one.values[target]["dice"] for one in scores])) for target in scores[0].values}
    means["mean"] = float(np.mean([means[name] for name in labels.names]))
    return {target: round(mean, 4) for target, mean in means.items()}
