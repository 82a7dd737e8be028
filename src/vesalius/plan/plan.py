"""The plan: every decision about a segmenter, with its reason, frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal, get_type_hints

from vesalius.augment import Augmentation
from vesalius.errors import PlanError, unknown_name
from vesalius.image import Labels
from vesalius.nets import NetworkSpec, divisor
from vesalius.plan.budget import Budget
from vesalius.transform import Normalisation

PLAN_VERSION = 1


@dataclass(frozen=True)
class Reason:
    """Why a field of the plan is what it is."""

    field: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How the weights are learned.

    Args:
        optimiser: ``"muon"`` (orthogonalised momentum for the convolutions, AdamW for the rest), ``"adamw"`` or
            ``"sgd"`` (Nesterov).
        learning_rate: At the peak of the schedule, which rises linearly over the warm-up and falls linearly to zero
            at the end of the budget.
        momentum: Of Muon and SGD; the first moment's decay of AdamW.
        weight_decay: Decoupled for Muon and AdamW, added to the gradient for SGD.
        warm_up_steps: Steps over which the learning rate rises.
        gradient_clip: Largest norm of the gradient (Source: nnU-Net).
        average_decay: Decay of the moving average of the weights that is kept as the result.
    """

    optimiser: Literal["muon", "adamw", "sgd"] = "muon"
    learning_rate: float = 0.02
    momentum: float = 0.95
    weight_decay: float = 3e-5
    warm_up_steps: int = 50
    gradient_clip: float = 12.0
    average_decay: float = 0.99

    def __post_init__(self) -> None:
        if not self.learning_rate > 0 or not self.gradient_clip > 0:
            raise PlanError("learning_rate and gradient_clip must be positive")
        if not 0 <= self.momentum < 1 or not 0 <= self.average_decay < 1:
            raise PlanError("momentum and average_decay must be 0 to less than 1")
        if self.warm_up_steps < 0 or self.weight_decay < 0:
            raise PlanError("warm_up_steps and weight_decay must not be negative")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be done, and why. `fit`, `segment` and export only read it.

    Args:
        ndim: Of the images, 2 or 3.
        channels: Names of the input channels, in order.
        labels: What is segmented.
        calibrated: Whether spacings are physical.
        spacing_mm: Every image is brought to it; 3D images are turned to LPS first.
        normalisation: Of each channel.
        patch_size: Voxels that the network sees at once while training.
        batch_size: Patches a step.
        network: The network.
        optimisation: How the weights are learned.
        augmentation: Random transforms of the patches.
        foreground_fraction: Share of the patches that are centred on a labelled voxel (Source: nnU-Net, 1/3).
        validation_fraction: Share of the patients held out to watch the training, at least one if there are two.
        overlap: Of neighbouring windows when segmenting, 0 to less than 1.
        mirror_axes: Axes mirrored when segmenting; the logits of all combinations are averaged.
        budget: What the plan was made for.
        reasons: Why each decision was made.
        version: Of the plan's format.

    Raises:
        PlanError: The parts contradict each other.
    """

    ndim: Literal[2, 3]
    channels: tuple[str, ...]
    labels: Labels
    calibrated: bool
    spacing_mm: tuple[float, ...]
    normalisation: tuple[Normalisation, ...]
    patch_size: tuple[int, ...]
    batch_size: int
    network: NetworkSpec
    optimisation: Optimisation
    augmentation: Augmentation
    foreground_fraction: float = 1 / 3
    validation_fraction: float = 0.1
    overlap: float = 0.5
    mirror_axes: tuple[int, ...] = ()
    budget: Budget
    reasons: tuple[Reason, ...] = field(default=(), repr=False)
    version: int = PLAN_VERSION

    def __post_init__(self) -> None:
        if self.version != PLAN_VERSION:
            raise PlanError(f"this plan is of version {self.version}; this release reads version {PLAN_VERSION}")
        n = self.ndim
        if len(self.spacing_mm) != n or len(self.patch_size) != n or self.network.ndim != n:
            raise PlanError(f"spacing_mm, patch_size and network of a {n}D plan must be {n}D")
        if not all(s > 0 for s in self.spacing_mm):
            raise PlanError(f"the target spacing must be positive, not {self.spacing_mm}")
        if self.augmentation.ndim != n or any(not 0 <= a < n for a in self.mirror_axes):
            raise PlanError(f"augmentation and mirror_axes of a {n}D plan must be {n}D")
        if len(self.normalisation) != len(self.channels) or self.network.in_channels != len(self.channels):
            raise PlanError("normalisation and network must have as many channels as the plan")
        if self.network.out_channels != len(self.labels) + 1:
            raise PlanError(f"the network must have {len(self.labels) + 1} outputs: the background and each label")
        steps = divisor(self.network)
        if any(p < 1 or p % d for p, d in zip(self.patch_size, steps, strict=True)):
            raise PlanError(f"patch_size {self.patch_size} must be a multiple of the network's stride {steps}")
        if self.batch_size < 1:
            raise PlanError(f"batch_size must be at least 1, not {self.batch_size}")
        for name, high in (("foreground_fraction", 1.0), ("validation_fraction", 0.5), ("overlap", 0.9)):
            if not 0 <= getattr(self, name) <= high:
                raise PlanError(f"{name} must be 0 to {high:g}, not {getattr(self, name)}")

    def why(self, name: str) -> str:
        """The reason for a field, or an empty text."""
        return "; ".join(reason.why for reason in self.reasons if reason.field == name)


def plan_to_json(plan: Plan) -> str:
    """Write a plan as JSON that a person can read and edit.

    Args:
        plan: Any plan.

    Returns:
        The text; `plan_from_json` gives the same plan back.
    """
    return str(_adapter(Plan).dump_json(plan, indent=2).decode())


def plan_from_json(text: str | bytes) -> Plan:
    """Read a plan from JSON.

    Args:
        text: What `plan_to_json` wrote, perhaps edited.

    Raises:
        PlanError: The text is not a plan; the message names the fields.
    """
    from pydantic import ValidationError

    try:
        plan: Plan = _adapter(Plan).validate_json(text)
    except ValidationError as error:
        raise PlanError(f"not a plan: {_words(error)}") from None
    return plan


def with_settings(plan: Plan, settings: Sequence[str]) -> Plan:
    """Override fields of a plan by ``name=value`` texts, checked by type.

    Args:
        plan: The plan to start from.
        settings: For example ``["patch_size=96,96,96", "optimisation.learning_rate=0.01", "network.norm=batch"]``.
            Nested fields are named with dots; lists are written with commas.

    Returns:
        A new plan, in whose reasons the override is noted.

    Raises:
        PlanError: A field is unknown, a value has the wrong type, or the parts contradict each other.
    """
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise PlanError(f"write a setting as name=value, not {setting!r}")
        plan = _set(plan, name.strip().split("."), value.strip())
        # A part set by hand makes the reason for the whole untrue.
        reasons = tuple(r for r in plan.reasons if r.field not in (name.strip(), name.strip().partition(".")[0]))
        plan = replace(plan, reasons=(*reasons, Reason(name.strip(), "set by hand")))
    return plan


def _set(value: Any, path: Sequence[str], text: str) -> Any:
    names = [f.name for f in fields(value) if f.init]
    if path[0] not in names or path[0] in ("reasons", "version"):
        raise PlanError(unknown_name("setting", path[0], [n for n in names if n not in ("reasons", "version")]))
    if len(path) > 1:
        inner = getattr(value, path[0])
        if not is_dataclass(inner):
            raise PlanError(f"setting {path[0]!r} has no parts, so {'.'.join(path)!r} cannot be set")
        return replace(value, **{path[0]: _set(inner, path[1:], text)})
    return replace(value, **{path[0]: _parse(get_type_hints(type(value))[path[0]], path[0], text)})


def _parse(kind: Any, name: str, text: str) -> Any:
    """Read a text as a field's type: as JSON, as a list written with commas, or as a bare word."""
    import json

    from pydantic import TypeAdapter, ValidationError

    last: ValidationError | None = None
    for attempt in (text, f"[{text}]" if text else "[]", json.dumps(text)):
        try:
            return TypeAdapter(kind).validate_json(attempt)
        except ValidationError as error:
            last = last or error
    assert last is not None
    raise PlanError(f"setting {name}={text!r}: {_words(last)}")


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _words(error: Any) -> str:
    """What pydantic found, without echoing the input."""
    found = [f"{'.'.join(str(p) for p in e['loc']) or 'value'}: {e['msg']}" for e in error.errors()[:3]]
    return "; ".join(found)


def summary(plan: Plan) -> Mapping[str, Any]:
    """The plan as plain dictionaries and lists, for ``--json``."""
    return asdict(plan)
