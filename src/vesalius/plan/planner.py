"""From facts and a budget to a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from vesalius.augment import Augmentation
from vesalius.errors import PlanError, unknown_name
from vesalius.nets.specs.encoder import Encoder
from vesalius.plan import rules
from vesalius.plan.budget import Budget
from vesalius.plan.candidates import Network, encoder_of
from vesalius.plan.choice import LEAST_STEPS, Candidate, Ground, StepSeconds, Stopwatch, choose, measured, wanted_steps
from vesalius.plan.configuration import check_configuration, first_configuration, low_resolution, too_thin
from vesalius.plan.fingerprint import Fingerprint
from vesalius.plan.plan import Configuration, Plan, Reason
from vesalius.plan.recipe import Optimisation
from vesalius.plan.regions import label_outputs, region_outputs

__all__ = ["LEAST_STEPS", "make_cascade", "make_plan", "wanted_steps"]

_MIRROR_SECONDS = 20.0  # a case may take this long with all its mirror images
_SMALL_VIEW = 0.25  # of a median image: less, and a low resolution is thought of (Source: nnU-Net)
_COARSE_SHARE = 0.5  # of a cascade's budget


def make_plan(
    fingerprint: Fingerprint,
    budget: Budget,
    *,
    network: Network = "unet",
    configuration: Configuration | Literal["auto"] = "auto",
    encoder: Encoder | None = None,
    step_seconds: StepSeconds | None = None,
) -> Plan:
    """Decide everything about a segmenter from the facts about the data and the budget.

    What the data decide (spacing, normalisation, pooling, kernels, proportions of the patch) follows nnU-Net's rules.
    What costs time is decided by the budget: candidate steps are timed on this machine, and the largest network that
    still gets enough optimisation steps is taken.

    Args:
        fingerprint: The facts.
        budget: Time or steps, memory, device.
        network: Which architecture.
        configuration: What the network sees at once. ``"auto"`` chooses; it never chooses ``"3d_cascade"``, whose
            plan is that of the fine stage: `make_cascade` gives both.
        encoder: Of the networks ``"encoder_unet"`` and ``"fcn"``, as it was published, so that its weights fit. When
            left out, a residual network as wide as the budget allows.
        step_seconds: Times a training step of (network, patch_size, batch_size); measured on this machine when left
            out. With a function of its arguments alone, the plan is a function of its arguments alone.

    Returns:
        The plan, with a reason for each decision.

    Raises:
        PlanError: The budget is too small; the message says the least that would do. Or the network or configuration
            is unknown or does not suit the data.
    """
    facts = fingerprint
    if network not in get_args(Network):
        raise PlanError(unknown_name("network", str(network), get_args(Network)))
    stopwatch = Stopwatch(step_seconds or measured(budget))
    made = _decide(facts, budget, network, configuration, encoder, stopwatch)
    ground, chosen = made.ground, made.chosen
    if budget.time_s is None:
        told = f"{budget.steps} steps were asked for"
    else:
        told = f"about {made.steps:.0f} steps fit the budget, {wanted_steps(budget.time_s):.0f} are wanted"
    regional, regions_why = rules.regions(facts)
    schemes, scheme_why = rules.normalisations(facts, encoder=encoder_of(chosen.spec))
    mirrors, mirror_why = rules.mirror_axes(facts)
    if ground.slices is not None and ground.slices[1] == 0:
        mirrors = tuple(axis for axis in mirrors if axis != ground.slices[0])  # a slice by itself has no other side
    tested, tested_why = _mirror_when_segmenting(made, mirrors, stopwatch)
    loss, loss_why = rules.loss(facts)
    fraction, fraction_why = rules.foreground_fraction(facts, made.view)
    reasons = {
        "configuration": made.why,
        "regions": regions_why,
        "spacing_mm": made.spacing_why,
        "normalisation": scheme_why,
        "patch_size": f"in proportion to the images' median shape, {_by(ground.shape)} at this spacing",
        "batch_size": f"about {ground.step_voxels:,} voxels a step",
        "network": f"{chosen.words}: the largest that gets enough steps ({told})",
        "loss": loss_why,
        "optimisation": f"Muon learns most in few steps; {told}",
        "augmentation": f"nnU-Net's list; {mirror_why}",
        "foreground_fraction": fraction_why,
        "mirror_axes": tested_why,
    }
    return Plan(
        ndim=3 if facts.ndim == 3 else 2,
        channels=tuple(channel.name for channel in facts.channels),
        labels=facts.labels,
        configuration=ground.configuration,
        calibrated=facts.calibrated,
        spacing_mm=ground.spacing_mm,
        normalisation=schemes,
        patch_size=chosen.patch_size,
        batch_size=chosen.batch_size,
        network=chosen.spec,
        loss=loss,
        optimisation=Optimisation.for_optimiser("muon", made.steps),
        augmentation=Augmentation.for_patch(chosen.patch_size, mirror_axes=mirrors),
        foreground_fraction=fraction,
        mirror_axes=tested,
        regions=regional,
        coarse_labels=ground.coarse_labels,
        budget=budget,
        reasons=tuple(Reason(name, why) for name, why in reasons.items()),
    )


def make_cascade(
    fingerprint: Fingerprint,
    budget: Budget,
    *,
    network: Network = "unet",
    encoder: Encoder | None = None,
    coarse_folds: int = 2,
    step_seconds: StepSeconds | None = None,
) -> tuple[Plan, Plan]:
    """The plans of a cascade: a coarse stage that sees much of the image, and a fine one that sees its result as well.

    Args:
        fingerprint: The facts.
        budget: For both stages; each gets half.
        network: Of both stages.
        encoder: As for `make_plan`.
        coarse_folds: How many networks share the coarse stage's half: two, so that each case is seen by one that was
            not trained on it; 1 where the budget is that of one of several folds of both stages.
        step_seconds: As for `make_plan`.

    Returns:
        ``(coarse, fine)``: a plan of the configuration ``"3d_lowres"`` for each network of the coarse stage, and one of
        ``"3d_cascade"``, whose network has a further input channel for each label.

    Raises:
        PlanError: As for `make_plan`, or a patch covers so much of the images that a coarse stage would hardly be
            coarser.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (the cascade); that both stages get the same time
    follows nnU-Net, which trains both for as many epochs.
    """
    if coarse_folds < 1:
        raise PlanError(f"coarse_folds must be at least 1, not {coarse_folds}")

    def stage(configuration: Configuration, share: float) -> Plan:
        return make_plan(
            fingerprint,
            _part(budget, share),
            network=network,
            configuration=configuration,
            encoder=encoder,
            step_seconds=step_seconds,
        )

    return stage("3d_lowres", _COARSE_SHARE / coarse_folds), stage("3d_cascade", 1 - _COARSE_SHARE)


@dataclass(frozen=True)
class _Decision:
    """What was chosen, and why."""

    ground: Ground
    chosen: Candidate
    steps: float
    why: str
    spacing_why: str

    @property
    def view(self) -> float:
        """Share of a median image that a patch covers."""
        pairs = zip(self.chosen.patch_size, self.ground.shape, strict=True)
        return math.prod(min(1.0, patch / whole) for patch, whole in pairs)


def _decide(
    facts: Fingerprint,
    budget: Budget,
    network: Network,
    configuration: Configuration | Literal["auto"],
    encoder: Encoder | None,
    stopwatch: Stopwatch,
) -> _Decision:
    """The configuration, then what the budget allows of it."""
    spacing, spacing_why = rules.target_spacing(facts)
    shape = rules.resampled_shape(facts, spacing)
    if configuration == "auto":
        kind, why = first_configuration(facts, network, shape, spacing)
    else:
        kind, why = configuration, "asked for"
    check_configuration(kind, facts, network)
    regional, _ = rules.regions(facts)
    outputs = region_outputs(facts.labels) if regional else label_outputs(facts.labels)
    ground = Ground(
        network=network,
        configuration=kind,
        encoder=encoder,
        shape=shape,
        spacing_mm=spacing,
        channels=len(facts.channels),
        coarse_labels=len(facts.labels) if kind == "3d_cascade" else 0,
        outputs=len(outputs) + (0 if regional else 1),
    )
    coarser_why = f"{spacing_why}; then coarser, until a patch covers a quarter of an image"
    if kind in ("3d_lowres", "3d_cascade"):
        coarse = low_resolution(shape, spacing)
        if coarse is None:
            raise PlanError(
                f"the configuration {kind!r} needs a resolution that is much lower, but a patch covers a quarter of a "
                f"median image, {_by(shape)} voxels, or nearly so, as it is: take '3d'"
            )
        if kind == "3d_lowres":
            ground, spacing_why = _at(ground, facts, coarse), coarser_why
    full = _Decision(ground, *choose(ground, budget, stopwatch), why, spacing_why)
    if configuration != "auto" or kind != "3d" or full.view >= _SMALL_VIEW:
        return full
    few = f"{why}; a patch covers {full.view:.0%} of a median image"
    coarse = low_resolution(shape, spacing, most_voxels=math.prod(full.chosen.patch_size))
    if coarse is None:
        return replace(full, why=few)
    thin = too_thin(facts, coarse)
    if thin or not facts.label_thickness_mm:
        return replace(full, why=f"{few}, but at a low resolution {thin or 'labels'} would be too thin")
    ground = replace(_at(ground, facts, coarse), configuration="3d_lowres")
    why = f"{few} only, and all labels are thick enough for a lower resolution ('3d_cascade' would refine it)"
    return _Decision(ground, *choose(ground, budget, stopwatch), why, coarser_why)


def _at(ground: Ground, facts: Fingerprint, spacing_mm: tuple[float, ...]) -> Ground:
    return replace(ground, spacing_mm=spacing_mm, shape=rules.resampled_shape(facts, spacing_mm))


def _part(budget: Budget, share: float) -> Budget:
    if budget.time_s is not None:
        return replace(budget, time_s=share * budget.time_s)
    assert budget.steps is not None
    return replace(budget, steps=max(1, round(share * budget.steps)))


def _mirror_when_segmenting(
    made: _Decision, mirrors: tuple[int, ...], stopwatch: Stopwatch
) -> tuple[tuple[int, ...], str]:
    if not mirrors:
        return (), "not mirrored in training, so not when segmenting"
    patch = made.chosen.patch_size
    windows = math.prod(
        1 + math.ceil(max(0, n - p) / max(1, p // 2)) for n, p in zip(made.ground.shape, patch, strict=True)
    )
    # A forward pass is about a third of a training step.
    seconds = stopwatch.per_voxel(made.chosen) * math.prod(patch) * windows * 2 ** len(mirrors) / 3
    if seconds <= _MIRROR_SECONDS:
        return mirrors, f"{2 ** len(mirrors)} mirror images of a median case take about {seconds:.1f} s here"
    return (), f"{2 ** len(mirrors)} mirror images of a median case would take about {seconds:.0f} s here"


def _by(shape: Sequence[int]) -> str:
    return "x".join(str(n) for n in shape)
