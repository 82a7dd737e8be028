"""Calibrate a segmenter on cases that taught nothing: scores with intervals, promises of sizes and regions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vesalius.bundle import Bundle
from vesalius.bundle.calibration import Calibration
from vesalius.bundle.lineage import lineage_of
from vesalius.bundle.values import Pair
from vesalius.errors import BundleError, DataError
from vesalius.image import Case, Dataset, LabelMap, Labels
from vesalius.metrics.conformal import least_persons, missed_shares, risk_threshold, size_factor
from vesalius.metrics.measure import measure
from vesalius.metrics.overlap import dice
from vesalius.predict.segment import segment
from vesalius.predict.segmenter import Segmenter, load_segmenter
from vesalius.predict.unseen import Unseen, scored_card
from vesalius.transform import relabel

MISSED = (0.05, 0.1, 0.2)
"""Shares of a structure that an outer region may miss on average, for which thresholds are sought."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a segmenter said of a case, beside its reference; `compare_case` makes it.

    Args:
        unseen: The Dice, whose case it is, and its groups.
        sizes: Voxels of each label and region: of the reference, and predicted; empty where somebody looked at a part
            of the image only, since the size of what goes on beyond is not known.
        missed: For each output that the reference shows, what `vesalius.metrics.conformal.missed_shares` says.
    """

    unseen: Unseen
    sizes: Mapping[str, tuple[int, int]]
    missed: Mapping[str, NDArray[np.float64]]


def calibrate(
    bundle: Bundle,
    dataset: Dataset,
    *,
    level: float = 0.9,
    missed: Sequence[float] = MISSED,
    on: str = "",
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Bundle:
    """Put on the card what cases that taught nothing say: Dice with intervals and subgroups, and a calibration.

    The segmenter is used as it is by default, clean-up included. What is promised holds for new cases that are
    exchangeable with these, and that are segmented in the same way.

    Args:
        bundle: The segmenter.
        dataset: Labelled cases that had no part in making it: not in its training, nor in choosing when that ended, its
            recipe or its clean-up. That is yours to see to; `untouched_cases` names those that a training held out.
        level: Share of persons whose true sizes lie within the intervals, above 0 and below 1.
        missed: Shares of a structure that its outer region may miss on average, above 0 and below 1.
        on: What the cases are, for the card; their number if left out.
        device: Where to compute.
        progress: Called with (done, total) cases.

    Returns:
        The same segmenter with another card.

    Raises:
        DataError: There are no references, or they show nothing that the segmenter knows.
        VesaliusError: A case cannot be read, or does not suit the segmenter.

    Source: see `vesalius.metrics.conformal`.
    """
    usable = dataset.with_reference()
    if usable.labels is None or len(usable) == 0:
        raise DataError("there is no case with a reference to calibrate on")
    least_persons(level)  # says what is wrong with it before anything is computed
    names = known_names(usable.labels, bundle.plan.labels)
    if not names:
        known = ", ".join(bundle.plan.labels.names)
        raise DataError(f"the references show {', '.join(usable.labels.names)}, and the segmenter knows {known}")
    segmenter = load_segmenter(bundle, device=device)
    found = []
    for number, (record, case) in enumerate(zip(usable.records, usable, strict=True), start=1):
        found.append(compare_case(case, segmenter, names, person=record.patient or record.id))
        if progress is not None:
            progress(number, len(usable))
    persons = len({one.unseen.person for one in found})
    words = on or f"{len(found)} cases of {persons} persons that taught nothing"
    labels = [name for name in bundle.plan.labels.names if name in names]
    card = scored_card(bundle.card, [one.unseen for one in found], labels, on=words)
    card = replace(card, calibration=calibration_of(found, level=level, missed=missed, on=words))
    return replace(bundle, card=card, provenance={**bundle.provenance, **lineage_of(usable, bundle)})


def known_names(ours: Labels, theirs: Labels) -> tuple[str, ...]:
    """The labels and regions of a segmenter that references show, by the segmenter's names.

    Args:
        ours: Of the references.
        theirs: Of the segmenter.

    Example:
        >>> known_names(Labels.of([1]), Labels.of({"a": 1, "b": 2}, regions={"both": (1, 2)}))
        ('a',)
    """
    values = {theirs.values[place] for place in ours.places_in(theirs).values()}
    return tuple(name for name, members in theirs.targets().items() if values.issuperset(members))


def compare_case(case: Case, segmenter: Segmenter, names: Sequence[str], *, person: str) -> Comparison:
    """Segment a case and compare the result with its reference, where somebody looked.

    Args:
        case: With a reference.
        segmenter: Ready on its device.
        names: Of the segmenter's labels and regions that count, from `known_names`.
        person: Whose case it is.
    """
    assert case.reference is not None
    plan = segmenter.bundle.plan
    said = segment(case.image, segmenter, probabilities=True)
    assert said.probabilities is not None
    drawn = relabel(case.reference, plan.labels)
    reference = LabelMap(drawn.array, said.labels.grid, plan.labels)
    ignore = case.reference.labels.ignore
    unseen = np.isin(case.reference.array, [] if ignore is None else [ignore])
    shown = np.where(unseen, 0, said.labels.array)
    counts = measure(LabelMap(shown, said.labels.grid, plan.labels), reference).counts
    first = 0 if plan.regions else 1  # channel of the first output, after the background
    missed = {}
    for number, output in enumerate(plan.outputs, start=first):
        members = plan.labels.members(output.name)
        there = np.isin(reference.array, members)
        if output.name in names and there.any():
            sure = np.where(np.isin(shown[there], members), np.float32(1), said.probabilities.array[number][there])
            missed[output.name] = missed_shares(sure)
    return Comparison(
        Unseen(person, {name: dice(counts[name]) for name in names}, case.groups),
        {} if unseen.any() else {name: (counts[name].reference, counts[name].prediction) for name in names},
        missed,
    )


def calibration_of(found: Sequence[Comparison], *, level: float, missed: Sequence[float], on: str) -> Calibration:
    """What comparisons allow to promise.

    Args:
        found: Of each case, with the same names in each.
        level: Share of persons whose true sizes lie within the intervals.
        missed: Shares that outer regions may miss on average.
        on: What the cases were.
    """
    names = list(dict.fromkeys(name for one in found for name in one.unseen.dice))
    whole = [one for one in found if one.sizes]
    persons = [one.unseen.person for one in whole]
    factors: dict[str, Pair] = {}
    outer: dict[float, dict[str, float]] = {}
    lacking = {}
    for name in names:
        why = []
        true, said = ([one.sizes[name][side] for one in whole] for side in (0, 1))
        factor = size_factor(true, said, persons, level=level)
        if factor is None:
            who = {person for person, size in zip(persons, said, strict=True) if size}
            why.append(
                _why(
                    f"intervals of {_percent(level)}",
                    len(who),
                    least_persons(level),
                    "it was found where there is none",
                )
            )
        else:
            factors[name] = _outward(factor)
        showing = [one for one in found if name in one.missed]
        shares, whose = [one.missed[name] for one in showing], [one.unseen.person for one in showing]
        thresholds = {share: risk_threshold(shares, whose, missed=share) for share in missed}
        for share, threshold in thresholds.items():
            if threshold is not None:
                outer.setdefault(share, {})[name] = threshold
        if showing and not any(thresholds.values()):
            share = max(missed)
            least = least_persons(1 - share)
            why.append(
                _why(f"outer region that misses {_percent(share)}", len(set(whose)), least, "too much of it is missed")
            )
        if why:
            lacking[name] = "; ".join(why)
    return Calibration(
        on=on,
        cases=len(found),
        persons=len({one.unseen.person for one in found}),
        level=level,
        factors=factors,
        outer=outer,
        lacking=lacking,
    )


def untouched_cases(bundle: Bundle) -> tuple[str, ...]:
    """The cases that the training of a bundle held out and that decided nothing in it.

    Args:
        bundle: As `vesalius.train.fit` wrote it.

    Returns:
        Their names; of a data set with a register of consent, hashes of their patients.

    Raises:
        BundleError: It held none out, or they had a part in what it became.
    """
    names, plan = bundle.provenance.get("held_out") or (), bundle.plan
    why = ""
    if not names:
        why = "its training held no case out"
    elif "folds" in bundle.provenance or len(bundle.members) > 1 or bundle.partners or bundle.coarse is not None:
        why = "each of its cases taught one of its networks or stages"
    elif plan.optimisation.patience:
        why = "its held-out cases decided when training ended (early stop)"
    elif bundle.postprocessing.steps:
        why = "its held-out cases may have chosen its clean-up"
    if why:
        raise BundleError(f"{why}: calibrate it on other cases, which had no part in it")
    return tuple(str(name) for name in names)


def _outward(factor: float) -> Pair:
    """Both multiples, rounded so that the interval grows."""
    high = math.ceil(factor * 1e4) / 1e4
    return math.floor(1e4 / high) / 1e4 or 1 / high, high


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _why(what: str, persons: int, least: int, otherwise: str) -> str:
    """Why there is no promise: too few persons, or else something else."""
    if persons >= least:
        return f"no {what}: {otherwise}"
    return f"no {what}: {persons} person{'' if persons == 1 else 's'}, and {least} are needed"
