"""What a search may vary: for each setting of a plan its values or its range."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from vesalius.errors import PlanError, unknown_name
from vesalius.nets import NetworkSpec, SlicesSpec, activation_bytes
from vesalius.plan import Optimisation, Plan, with_settings
from vesalius.plan.budget import free_memory_gib
from vesalius.plan.recipe import OptimiserKind

_OPTIMISER = "optimisation.optimiser"
_SUITED = ("learning_rate", "weight_decay", "momentum", "schedule")  # what comes with an optimiser
_FIXED = (
    "ndim", "channels", "labels", "configuration", "calibrated", "spacing_mm", "normalisation", "validation_fraction",
    "regions", "coarse_labels", "budget", "reasons", "version",
)  # fmt: skip
"""What decides which task is learnt, or on what it is measured: trials that differ in it cannot be compared."""


@dataclass(frozen=True)
class Range:
    """Numbers from the lowest to the highest.

    Args:
        low: The lowest.
        high: The highest.
        log: Whether ratios count and not differences, as for a learning rate.
        whole: Whether only whole numbers are meant.

    Raises:
        PlanError: It is not a range.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise PlanError(f"low and high must be finite, not {self.low} and {self.high}")
        if not self.low < self.high:
            raise PlanError(f"low must be less than high, not {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise PlanError(f"with log, low must be more than 0, not {self.low}")
        if self.whole and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise PlanError(f"with whole, low and high must be whole numbers, not {self.low} and {self.high}")

    def text(self, value: float) -> str:
        """A value as a setting, in four digits: more would not be measured."""
        return str(round(value)) if self.whole else f"{value:.4g}"

    @property
    def ends(self) -> tuple[str, ...]:
        """What the plan must be able to take."""
        return self.text(self.low), self.text(self.high)


@dataclass(frozen=True)
class Choice:
    """Some values, as the texts that `with_settings` reads.

    Raises:
        PlanError: There is nothing to choose from.
    """

    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.values)) != len(self.values) or len(self.values) < 2:
            raise PlanError(f"there must be two different values or more, not {list(self.values)}")

    @property
    def ends(self) -> tuple[str, ...]:
        """What the plan must be able to take."""
        return self.values


@dataclass(frozen=True)
class By:
    """A range or a choice that depends on what was chosen for another setting.

    Args:
        setting: The other one.
        cases: For each of its values; where one is left out, the setting is not varied.
    """

    setting: str
    cases: Mapping[str, Range | Choice]


Space = Mapping[str, Range | Choice | By]
"""By the name of the setting, as in `with_settings`."""


def default_space(plan: Plan) -> Space:
    """The parts of a recipe that are worth a search, around a plan's own values.

    Learning rate and weight decay depend on the optimiser: they lie around what suits each. Batch and network are
    varied as far as memory allows; deep supervision, dropout and residual blocks where the network has them.

    Args:
        plan: The plan. What it says itself lies within the space.
    """
    rates: dict[str, Range | Choice] = {}
    decays: dict[str, Range | Choice] = {}
    kinds: tuple[OptimiserKind, ...] = ("muon", "adamw", "sgd")
    for kind in dict.fromkeys((plan.optimisation.optimiser, *kinds)):
        suited = Optimisation.for_optimiser(kind, 1000)
        own = plan.optimisation if kind == plan.optimisation.optimiser else suited
        rates[kind] = _around(suited.learning_rate, 5.0, own.learning_rate)
        decays[kind] = _around(suited.weight_decay, 30.0, own.weight_decay)
    space: dict[str, Range | Choice | By] = {
        _OPTIMISER: Choice(tuple(rates)),
        "optimisation.learning_rate": By(_OPTIMISER, rates),
        "optimisation.weight_decay": By(_OPTIMISER, decays),
        "foreground_fraction": _within(plan.foreground_fraction, 0.1, 0.9),
    }
    for name in ("rotation_p", "scale_p", "elastic_p", "noise_p", "gamma_p"):
        space[f"augmentation.{name}"] = _within(getattr(plan.augmentation, name), 0.0, 0.5)
    part = "network.inner" if isinstance(plan.network, SlicesSpec) else "network"
    inner = plan.network.inner if isinstance(plan.network, SlicesSpec) else plan.network
    has = {field.name for field in fields(inner)}
    if "dropout" in has:
        space[f"{part}.dropout"] = _within(inner.dropout, 0.0, 0.3)  # type: ignore[union-attr]
    choices: dict[str, Sequence[Any]] = {
        "loss.kind": ("dice_cross_entropy", "dice_focal", "dice", "tversky"),
        "batch_size": (plan.batch_size // 2, 2 * plan.batch_size),
        **{f"{part}.{name}": (True, False) for name in ("deep_supervision", "residual") if name in has},
    }
    for name, values in choices.items():
        texts = dict.fromkeys((_own_text(plan, name), *map(setting_text, values)))
        possible = tuple(text for text in texts if _is_possible(plan, name, text))
        if len(possible) > 1:
            space[name] = Choice(possible)
    return space


def read_space(path: Path, plan: Plan) -> Space:
    """Read a space from JSON and check it against a plan.

    A list is a choice. An object with ``low`` and ``high`` is a range; ``log`` and ``whole`` may be true. An object
    with ``by`` names another setting that is varied, and has an entry for each of its values.

    Args:
        path: The file.
        plan: The plan.

    Raises:
        PlanError: The file cannot be read, or holds what the plan cannot take; the message names the setting.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise PlanError(f"cannot read the space {path.name}: it must be a JSON object") from None
    if not isinstance(raw, dict) or not raw:
        raise PlanError(f"the space {path.name} must be a JSON object with a setting or more")
    space = from_plain(raw)
    check_space(space, plan)
    return space


def from_plain(raw: Mapping[str, Any]) -> Space:
    """A space from what `read_space` reads and `plain` gives.

    Raises:
        PlanError: It is none; the message names the setting.
    """
    space: dict[str, Range | Choice | By] = {}
    for name, value in raw.items():
        if isinstance(value, dict) and "by" in value:
            cases = {case: _read(f"{name} for {case}", inner) for case, inner in value.items() if case != "by"}
            space[name] = By(str(value["by"]), cases)
        else:
            space[name] = _read(name, value)
    return space


def plain(space: Space) -> dict[str, Any]:
    """A space as JSON has it; `from_plain` gives it back.

    Example:
        >>> space = {"loss.kind": Choice(("dice", "focal"))}
        >>> plain(space), from_plain(plain(space)) == space
        ({'loss.kind': ['dice', 'focal']}, True)
    """

    def one(dimension: Range | Choice) -> Any:
        return list(dimension.values) if isinstance(dimension, Choice) else asdict(dimension)

    return {
        name: {"by": dimension.setting, **{case: one(inner) for case, inner in dimension.cases.items()}}
        if isinstance(dimension, By)
        else one(dimension)
        for name, dimension in space.items()
    }


def check_space(space: Space, plan: Plan) -> None:
    """Refuse what a plan cannot take, before anything is trained.

    Args:
        space: What would be varied.
        plan: The plan.

    Raises:
        PlanError: A setting is unknown, may not be varied, or a value is out of its range.
    """
    for name, dimension in space.items():
        if name.partition(".")[0] in _FIXED:
            raise PlanError(f"{name} cannot be varied: it decides what is learnt, or on what it is measured")
        if not isinstance(dimension, By):
            _check(plan, name, {}, dimension)
            continue
        parent = space.get(dimension.setting)
        if not isinstance(parent, Choice):
            raise PlanError(f"{name} depends on {dimension.setting!r}, which must be a choice in the same space")
        if not dimension.cases:
            raise PlanError(f"{name} depends on {dimension.setting}, but there is no entry for any of its values")
        for case, inner in dimension.cases.items():
            if case not in parent.values:
                raise PlanError(f"{name}: {unknown_name(f'value of {dimension.setting}', case, parent.values)}")
            _check(plan, name, {dimension.setting: case}, inner)


def varied(plan: Plan, values: Mapping[str, str]) -> Plan:
    """A plan with some settings changed, and with what comes with another optimiser.

    Args:
        plan: The plan.
        values: Setting to text. Those that the plan has already change nothing, not even its reasons.

    Raises:
        PlanError: The settings contradict each other.
    """
    new = {name: text for name, text in values.items() if text != _own_text(plan, name)}
    if _OPTIMISER in new:
        suited = Optimisation.for_optimiser(new[_OPTIMISER], 1000)  # type: ignore[arg-type]
        with_it = {f"optimisation.{name}": setting_text(getattr(suited, name)) for name in _SUITED}
        new = {_OPTIMISER: new.pop(_OPTIMISER), **with_it, **new, **{n: values[n] for n in with_it if n in values}}
    return with_settings(plan, [f"{name}={text}" for name, text in new.items()])


def changes(plan: Plan, other: Plan, names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The settings in which two plans differ: what they were and what they are.

    Args:
        plan: As it was.
        other: As it is.
        names: Settings to look at; those of the optimiser are looked at in any case.
    """
    every = dict.fromkeys((*names, *(f"optimisation.{name}" for name in ("optimiser", *_SUITED))))
    pairs = {name: (_own_text(plan, name), _own_text(other, name)) for name in every}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def own_values(plan: Plan, names: Iterable[str]) -> dict[str, str]:
    """What a plan itself says of some settings."""
    return {name: _own_text(plan, name) for name in names}


def setting_text(value: Any) -> str:
    """A value as `with_settings` reads it; numbers in four digits.

    Example:
        >>> setting_text(True), setting_text((96, 96)), setting_text(1 / 3)
        ('true', '[96, 96]', '0.3333')
    """
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _own_text(plan: Plan, name: str) -> str:
    """What a plan says of a setting; nothing of one that it lacks, of which `with_settings` will complain."""
    value: Any = plan
    for part in name.split("."):
        if not hasattr(value, part):
            return ""
        value = getattr(value, part)
    return setting_text(value)


def _around(middle: float, factor: float, own: float) -> Range:
    """A range of ratios around what suits, as wide as it takes to hold the plan's own."""
    low, high = middle / factor, middle * factor
    return Range(float(f"{min(low, own or low):.4g}"), float(f"{max(high, own):.4g}"), log=True)


def _within(own: float, low: float, high: float) -> Range:
    return Range(min(low, own), max(high, own))


def _is_possible(plan: Plan, name: str, text: str) -> bool:
    """Whether the plan can take a value, and memory hold it."""
    try:
        other = varied(plan, {name: text})
    except PlanError:
        return False
    if (other.network, other.batch_size) == (plan.network, plan.batch_size):
        return True
    most_gib = plan.budget.memory_gib or 0.7 * free_memory_gib()
    return _memory_gib(other.network, other) <= most_gib


def _memory_gib(network: NetworkSpec, plan: Plan) -> float:
    return plan.batch_size * activation_bytes(network, plan.patch_size, batch=2) / 2 / 2**30


def _check(plan: Plan, name: str, given: Mapping[str, str], dimension: Range | Choice) -> None:
    for text in dimension.ends:
        try:
            varied(plan, {**given, name: text})
        except PlanError as error:
            raise PlanError(f"the plan cannot take {name}={text}: {error}") from None


def _read(name: str, value: Any) -> Range | Choice:
    try:
        if isinstance(value, list):
            return Choice(tuple(setting_text(one) for one in value))
        if not isinstance(value, dict):
            raise PlanError(f"it must be a list of values or a range with low and high, not {value!r}")
        for key in value:
            if key not in ("low", "high", "log", "whole"):
                raise PlanError(unknown_name("part of a range", key, ("low", "high", "log", "whole", "by")))
        if not {"low", "high"} <= set(value):
            raise PlanError("a range has low and high")
        if not (_is_number(value["low"]) and _is_number(value["high"])):
            raise PlanError(f"low and high must be numbers, not {value['low']!r} and {value['high']!r}")
        if not all(isinstance(value.get(key, False), bool) for key in ("log", "whole")):
            raise PlanError("log and whole must be true or false")
        return Range(**value)
    except PlanError as error:
        raise PlanError(f"the space's {name}: {error}") from None
