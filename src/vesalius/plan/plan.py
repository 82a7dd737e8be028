"""The plan: every decision about a segmenter, with its reason, frozen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Any, ClassVar, Literal, get_args, get_type_hints

from vesalius.augment import Augmentation
from vesalius.errors import PlanError, unknown_name
from vesalius.image import Labels, Region
from vesalius.nets import NetworkSpec, SlicesSpec, divisor
from vesalius.plan.budget import Budget
from vesalius.plan.pairs import check_pairs, in_the_mirror
from vesalius.plan.preparation import Preparation
from vesalius.plan.recipe import Loss, Optimisation
from vesalius.plan.regions import check_order, label_outputs, region_outputs
from vesalius.transform import Normalisation

PLAN_VERSION = 4
_OPTIMISER = "optimisation.optimiser"

Configuration = Literal["2d", "2.5d", "3d", "3d_lowres", "3d_cascade"]
"""What the network sees at once: a slice, a slice and its neighbours, a block, a block of a coarse image, or a block
together with what a coarse stage made of the whole."""


@dataclass(frozen=True)
class Reason:
    """Why a field of the plan is what it is."""

    field: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be done, and why. `fit`, `segment` and export only read it.

    Args:
        ndim: Of the images, 2 or 3.
        channels: Names of the input channels, in order.
        labels: What is segmented.
        configuration: What the network sees at once; see `Configuration`. 2D images have ``"2d"`` only.
        calibrated: Whether spacings are physical.
        spacing_mm: Every image is brought to it; 3D images are turned first.
        preparation: The customs by which that is done.
        normalisation: Of each channel.
        patch_size: Voxels that the network sees at once while training.
        batch_size: Patches a step.
        network: The network.
        loss: What training makes small.
        optimisation: How the weights are learned.
        augmentation: Random transforms of the patches.
        foreground_fraction: Share of the patches that are centred on a labelled voxel (Source: nnU-Net, 1/3).
        validation_fraction: Share of the patients held out to watch the training, at least one if there are two.
        overlap: Of neighbouring windows when segmenting, 0 to less than 1.
        mirror_axes: Axes mirrored when segmenting; the logits of all combinations are averaged.
        paired_labels: Values of two labels each that are one another's mirror image across the first axis of a 3D
            image, from right to left: where it is mirrored, in training or when segmenting, they change places. Paired
            organs are; the sides of the heart are not, nor is a side that has no label of its own on the other.
        input_scales: Each training step draws one and resizes its batch by it, rounded to the network's stride;
            ``(1.0,)`` for none.
        regions: Whether the network has one independent (sigmoid) output for each of the labels' regions, in the order
            in which they are painted, and one for each label that they do not tell apart; see `outputs`. Else one
            (softmax) output for the background and each label.
        coarse_labels: In a cascade, the foreground classes of the coarse stage: the network sees them as so many
            further channels of 0 and 1, after those of the image. Else 0.
        budget: What the plan was made for.
        reasons: Why each decision was made.
        version: Of the plan's format.

    Raises:
        PlanError: The parts contradict each other.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}  # of this and all that it holds

    ndim: Literal[2, 3]
    channels: tuple[str, ...]
    labels: Labels
    configuration: Configuration
    calibrated: bool
    spacing_mm: tuple[float, ...]
    preparation: Preparation = field(default_factory=Preparation)
    normalisation: tuple[Normalisation, ...]
    patch_size: tuple[int, ...]
    batch_size: int
    network: NetworkSpec
    loss: Loss = field(default_factory=Loss)
    optimisation: Optimisation
    augmentation: Augmentation
    foreground_fraction: float = 1 / 3
    validation_fraction: float = 0.1
    overlap: float = 0.5
    mirror_axes: tuple[int, ...] = ()
    paired_labels: tuple[tuple[int, int], ...] = ()
    input_scales: tuple[float, ...] = (1.0,)
    regions: bool = False
    coarse_labels: int = 0
    budget: Budget
    reasons: tuple[Reason, ...] = field(default=(), repr=False)
    version: int = PLAN_VERSION

    def __post_init__(self) -> None:
        if self.version != PLAN_VERSION:
            raise PlanError(f"this plan is of version {self.version}; this release reads versions 1 to {PLAN_VERSION}")
        n = self.ndim
        if len(self.spacing_mm) != n or len(self.patch_size) != n or self.network.ndim != n:
            raise PlanError(f"spacing_mm, patch_size and network of a {n}D plan must be {n}D")
        if not all(s > 0 for s in self.spacing_mm):
            raise PlanError(f"the target spacing must be positive, not {self.spacing_mm}")
        if any(axis >= n for axis in self.preparation.own_spacing):
            raise PlanError(f"preparation.own_spacing of a {n}D plan must be axes below {n}")
        if self.augmentation.ndim != n or any(not 0 <= a < n for a in self.mirror_axes):
            raise PlanError(f"augmentation and mirror_axes of a {n}D plan must be {n}D")
        self._check_channels()
        self._check_outputs()
        self._check_pairs()
        self._check_configuration()
        steps = divisor(self.network)
        if any(p < 1 or p % d for p, d in zip(self.patch_size, steps, strict=True)):
            raise PlanError(f"patch_size {self.patch_size} must be a multiple of the network's stride {steps}")
        if not self.input_scales or not all(0.25 <= scale <= 4 for scale in self.input_scales):
            raise PlanError(f"input_scales must be one or more factors of 0.25 to 4, not {self.input_scales}")
        for scale in self.input_scales:
            if scale != 1 and all(
                max(1, round(scale * p / d)) * d == p for p, d in zip(self.patch_size, steps, strict=True)
            ):
                raise PlanError(
                    f"input_scales: at {scale:g} a patch of {self.patch_size} stays as it is, "
                    f"because the network takes multiples of {steps} only"
                )
        if self.batch_size < 1:
            raise PlanError(f"batch_size must be at least 1, not {self.batch_size}")
        for name, high in (("foreground_fraction", 1.0), ("validation_fraction", 0.5), ("overlap", 0.9)):
            if not 0 <= getattr(self, name) <= high:
                raise PlanError(f"{name} must be 0 to {high:g}, not {getattr(self, name)}")

    def _check_channels(self) -> None:
        if len(self.normalisation) != len(self.channels):
            raise PlanError(
                f"normalisation has {len(self.normalisation)} schemes; the plan has {len(self.channels)} channels"
            )
        painted = self.augmentation.generation is not None
        if painted and any(chosen.scheme != "percentiles" for chosen in self.normalisation):
            raise PlanError(
                "images that are painted are normalised by 'percentiles', so those that are segmented must be"
            )
        if self.coarse_labels < 0:
            raise PlanError(f"coarse_labels must not be negative, not {self.coarse_labels}")
        wanted = len(self.channels) + self.coarse_labels
        if self.network.in_channels != wanted:
            and_coarse = f" and {self.coarse_labels} coarse labels" if self.coarse_labels else ""
            raise PlanError(
                f"network.in_channels is {self.network.in_channels}; the plan's {len(self.channels)} channels"
                f"{and_coarse} make {wanted}"
            )

    def _check_outputs(self) -> None:
        if self.regions and not self.labels.regions:
            raise PlanError("a plan for regions needs labels with regions: name them (--regions), or set regions=false")
        if self.regions:
            check_order(self.outputs)
        wanted = len(self.outputs) + (0 if self.regions else 1)
        if self.network.out_channels != wanted:
            raise PlanError(
                f"network.out_channels is {self.network.out_channels} and must be {wanted}: "
                f"{'' if self.regions else 'the background, '}{', '.join(output.name for output in self.outputs)}"
            )

        if self.loss.class_weights and len(self.loss.class_weights) != wanted:
            raise PlanError(
                f"loss.class_weights has {len(self.loss.class_weights)} weights; the network has {wanted} outputs"
            )

    def _check_pairs(self) -> None:
        if not self.paired_labels:
            return
        check_pairs(self.paired_labels, self.labels.values)
        if self.ndim == 2 or self.coarse_labels:
            raise PlanError("paired_labels are for 3D images, turned to the patient's axes, and not for a cascade")
        if self.preparation.orientation == "stored":
            raise PlanError(
                "paired_labels need images whose first axis runs from right to left, not as they are stored"
            )
        _ = self.mirrored_outputs

    def _check_configuration(self) -> None:
        if self.configuration not in get_args(Configuration):
            raise PlanError(unknown_name("configuration", str(self.configuration), get_args(Configuration)))
        if self.ndim == 2 and self.configuration != "2d":
            raise PlanError(f"2D images have the configuration '2d', not {self.configuration!r}")
        if (self.configuration == "3d_cascade") != (self.coarse_labels > 0):
            raise PlanError(
                f"coarse_labels is {self.coarse_labels} in the configuration {self.configuration!r}: "
                "the fine stage of a '3d_cascade' has at least 1, every other plan has 0"
            )
        if self.ndim == 3 and (self.configuration == "2d") != _sees_one_slice(self.network):
            raise PlanError(
                f"the configuration of a 3D plan is '2d' when its network sees each slice by itself, and only then; "
                f"here it is {self.configuration!r} with the network {self.network.architecture!r}"
            )

    @property
    def outputs(self) -> tuple[Region, ...]:
        """What each output of the network stands for, in order; the softmax's background is left out.

        With ``regions``, they are painted in this order: a later one lies on top.
        """
        return region_outputs(self.labels) if self.regions else label_outputs(self.labels)

    @property
    def mirrored_classes(self) -> tuple[int, ...]:
        """What each class number, background first, becomes where left and right are mirrored."""
        return in_the_mirror([(0,), *((value,) for value in self.labels.values)], self.paired_labels)

    @property
    def mirrored_outputs(self) -> tuple[int, ...]:
        """What each output of the network becomes where left and right are mirrored."""
        outputs = [output.values for output in self.outputs]
        return in_the_mirror(outputs if self.regions else [(0,), *outputs], self.paired_labels)

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
        PlanError: The text is not a plan, or one of a newer version; the message names the fields.
    """
    from pydantic import ValidationError

    try:
        plan: Plan = _adapter(Plan).validate_json(_upgraded(text))
    except ValidationError as error:
        raise PlanError(f"not a plan: {_words(error)}") from None
    return plan


def _upgraded(text: str | bytes) -> str | bytes:
    """A plan of an older version in the words of the newest; everything else as it is."""
    try:
        raw = json.loads(text)
    except ValueError:
        return text  # the validation says what is wrong with it
    if not isinstance(raw, dict) or raw.get("version") not in (1, 2, 3):
        return text
    if raw["version"] == 1:
        raw["configuration"] = f"{raw.get('ndim')}d"
    return json.dumps({**raw, "version": PLAN_VERSION})


def with_settings(plan: Plan, settings: Sequence[str]) -> Plan:
    """Override fields of a plan by ``name=value`` texts, checked by type.

    Args:
        plan: The plan to start from.
        settings: For example ``["patch_size=96,96,96", "optimisation.learning_rate=0.01", "network.norm=batch"]``.
            Nested fields are named with dots; lists are written with commas. Another optimiser brings the numbers that
            suit it, whatever its place among the settings; those that are set as well are kept.

    Returns:
        A new plan, in whose reasons the override is noted.

    Raises:
        PlanError: A field is unknown, a value has the wrong type, or the parts contradict each other.
    """
    for setting in sorted(settings, key=lambda one: not one.strip().startswith(_OPTIMISER)):
        name, equals, value = setting.partition("=")
        if not equals:
            raise PlanError(f"write a setting as name=value, not {setting!r}")
        before = plan.optimisation.optimiser
        plan = _set(plan, name.strip().split("."), value.strip())
        if plan.optimisation.optimiser != before:
            plan = replace(plan, optimisation=plan.optimisation.with_optimiser(plan.optimisation.optimiser))
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
    from pydantic import TypeAdapter, ValidationError

    errors = []
    for attempt in (text, f"[{text}]" if text else "[]", json.dumps(text)):
        try:
            return TypeAdapter(kind).validate_json(attempt)
        except ValidationError as error:
            errors.append(error)
    telling = [error for error in errors if all(found["type"] != "json_invalid" for found in error.errors())]
    raise PlanError(f"setting {name}={text!r}: {_words(telling[0])}")


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _words(error: Any) -> str:
    """What pydantic found, without echoing the input."""
    errors = error.errors()
    # Of the networks that were tried, those of another architecture have nothing to say.
    others = [e["loc"][:-1] for e in errors if e["loc"] and e["loc"][-1] == "architecture"]
    own = [e for e in errors if not any(e["loc"][: len(other)] == other for other in others)]
    found = [f"{'.'.join(str(p) for p in e['loc']) or 'value'}: {e['msg']}" for e in (own or errors)[:3]]
    return "; ".join(found)


def summary(plan: Plan) -> Mapping[str, Any]:
    """The plan as plain dictionaries and lists, for ``--json``."""
    return asdict(plan)


def _sees_one_slice(network: NetworkSpec) -> bool:
    return isinstance(network, SlicesSpec) and network.context == 0
