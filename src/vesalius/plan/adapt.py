"""A plan for other data that goes on with a trained network."""

from __future__ import annotations

from dataclasses import replace

from vesalius.errors import PlanError
from vesalius.image import Label, Labels
from vesalius.nets.channels import replace_channels
from vesalius.plan import rules
from vesalius.plan.budget import Budget
from vesalius.plan.candidates import encoder_of
from vesalius.plan.choice import Candidate, StepSeconds, Stopwatch, enough_steps, expected_steps, measured
from vesalius.plan.fingerprint import Fingerprint
from vesalius.plan.pairs import Pairs
from vesalius.plan.plan import Plan, Reason
from vesalius.plan.preparation import Preparation
from vesalius.plan.regions import region_outputs

SAME_SPACING = 1.5
"""Spacings that differ by no more than this factor on each axis are taken to be the same: augmentation has shown the
network structures that are smaller and larger by about as much (rule of thumb)."""


def adapt_plan(
    facts: Fingerprint,
    budget: Budget,
    base: Plan,
    *,
    keep_labels: bool = False,
    step_seconds: StepSeconds | None = None,
) -> Plan:
    """Plan to go on from a trained network on other data: other cases, labels, channels.

    The network's topology, the patch, the configuration and the recipe are those of the base, so that its weights fit.
    Labels, channels and normalisation are those of the new data, and so is the spacing where it differs much. Images
    that were taken as they are stored (by a network from elsewhere) are turned to LPS from now on, like all others.

    Args:
        facts: About the new data.
        budget: Of the further training.
        base: The plan of the trained network.
        keep_labels: Segment the labels of the base as well, which the new references need not show. A label of the
            same name is the same; others get values that are free.
        step_seconds: As for `make_plan`.

    Returns:
        The plan, with a reason for each decision.

    Raises:
        PlanError: The new images have another number of dimensions, the base is the fine stage of a cascade, labels are
            to be kept of a base for regions, or the budget is too small.
    """
    if facts.ndim != base.ndim:
        raise PlanError(f"the images are {facts.ndim}D, and the network to go on from is for {base.ndim}D images")
    if base.coarse_labels:
        raise PlanError("the fine stage of a cascade cannot go on from another one: start from a plain segmenter")
    if keep_labels and base.regions:
        raise PlanError("labels can be kept where they exclude each other, and those of the base are regions")
    labels = _joined(base.labels, facts.labels) if keep_labels else facts.labels
    known = replace(facts, labels=labels)
    regional, regions_why = (False, "labels that are kept exclude each other") if keep_labels else rules.regions(facts)
    outputs = len(region_outputs(labels)) if regional else len(labels) + 1
    network = replace_channels(base.network, len(facts.channels), outputs)
    spacing, spacing_why = _spacing(facts, base)
    schemes, scheme_why = rules.normalisations(facts, encoder=encoder_of(network))
    pairs = _still_paired(base, labels)
    may_mirror, mirror_why = rules.mirror_axes(known, pairs)
    mirrors = tuple(axis for axis in base.augmentation.mirror_axes if axis in may_mirror)
    candidate = Candidate("the network to go on from", network, base.patch_size, base.batch_size)
    stopwatch = Stopwatch(step_seconds or measured(budget))
    steps = enough_steps(budget, expected_steps(budget, candidate, stopwatch))
    kept = "as in the network to go on from"
    reasons = {
        "configuration": kept,
        "labels": "those of the network to go on from, and the new ones" if keep_labels else "those of the new data",
        "regions": regions_why,
        "spacing_mm": spacing_why,
        "normalisation": scheme_why,
        "patch_size": kept,
        "batch_size": kept,
        "network": f"{kept}, with {len(facts.channels)} channels and {outputs} outputs",
        "loss": f"{kept}, without weights of its classes" if base.loss.class_weights else kept,
        "optimisation": f"{kept}, begun afresh: {steps:.0f} steps fit the budget",
        "augmentation": f"{kept}; {mirror_why}",
        "foreground_fraction": kept,
        "mirror_axes": kept,
    }
    return replace(
        base,
        channels=tuple(channel.name for channel in facts.channels),
        labels=labels,
        calibrated=facts.calibrated,
        spacing_mm=spacing,
        preparation=_turned(base),
        normalisation=schemes,
        network=network,
        loss=replace(base.loss, class_weights=()),
        optimisation=base.optimisation.for_steps(steps),
        augmentation=replace(base.augmentation, mirror_axes=mirrors),
        mirror_axes=tuple(axis for axis in base.mirror_axes if axis in may_mirror),
        paired_labels=pairs,
        regions=regional,
        budget=budget,
        reasons=tuple(Reason(name, why) for name, why in reasons.items()),
    )


def _joined(old: Labels, new: Labels) -> Labels:
    """The old labels, then the new ones; the new ones keep their values, which stand in the references."""
    in_use = new.declared - {0}
    taken = set(in_use) | set(old.values)
    joined: list[Label] = []
    for label in old.labels:
        if label.name in new.names:
            joined.append(new[label.name])
        elif label.value not in in_use:
            joined.append(label)
        else:
            free = min(set(range(1, len(taken) + 2)) - taken)
            taken.add(free)
            joined.append(replace(label, value=free))
    joined += [label for label in new.labels if label.name not in old.names]
    return Labels(tuple(joined), ignore=new.ignore)


def _still_paired(base: Plan, labels: Labels) -> Pairs:
    """The pairs of the base of which both are still there, by name; their values may be others."""
    names = {label.value: label.name for label in base.labels.labels}
    pairs = [(names[left], names[right]) for left, right in base.paired_labels]
    there = [pair for pair in pairs if set(pair) <= set(labels.names)]
    return tuple((labels[left].value, labels[right].value) for left, right in there)


def _turned(base: Plan) -> Preparation:
    """The facts about data are told on turned axes, so that a plan after them must turn images, too."""
    how = base.preparation
    return replace(how, orientation="LPS") if how.orientation == "stored" else how


def _spacing(facts: Fingerprint, base: Plan) -> tuple[tuple[float, ...], str]:
    spacing, why = rules.target_spacing(facts)
    if not facts.calibrated or not base.calibrated:
        return spacing, f"{why}; without millimetres on both sides it cannot be compared with what the network has seen"
    factor = max(max(ours / theirs, theirs / ours) for ours, theirs in zip(spacing, base.spacing_mm, strict=True))
    if factor <= SAME_SPACING:
        return base.spacing_mm, f"as in the network to go on from; the new images differ by a factor {factor:.2g} only"
    return spacing, f"{why}; it differs by a factor {factor:.2g} from what the network has seen"
