"""What every spec is checked for, and the types that specs share."""

from __future__ import annotations

from typing import Literal

from vesalius.errors import PlanError, unknown_name

Norm = Literal["instance", "batch", "group"]
Upsample = Literal["transposed", "interpolate"]
Sizes = tuple[int, ...]
"""One whole number an axis."""


def check_frame(ndim: int, in_channels: int, out_channels: int) -> None:
    """Axes and channels that can be."""
    if ndim not in (2, 3):
        raise PlanError(f"ndim must be 2 or 3, not {ndim}")
    for name, value in (("in_channels", in_channels), ("out_channels", out_channels)):
        check_whole(name, value)


def check_whole(name: str, value: int, *, least: int = 1) -> None:
    """A whole number that is large enough."""
    if not is_whole(value) or value < least:
        raise PlanError(f"{name} must be a whole number of at least {least}, not {value!r}")


def freeze(spec: object, *names: str) -> None:
    """JSON gives lists; a spec holds tuples, so that it can be compared and hashed."""
    for name in names:
        value = getattr(spec, name)
        try:
            frozen = tuple(tuple(v) if isinstance(v, list | tuple) else v for v in value)
        except TypeError:
            raise PlanError(f"{name} must be a sequence, not {value!r}") from None
        object.__setattr__(spec, name, frozen)


def check_sizes(name: str, values: Sizes, count: int, *, odd: bool = False) -> None:
    """So many whole numbers of at least 1."""
    if len(values) != count:
        raise PlanError(f"{name} must have {count} entries, not {len(values)}: {values}")
    if not all(is_whole(v) and v >= 1 and (v % 2 or not odd) for v in values):
        raise PlanError(f"{name} must be {'odd ' if odd else ''}whole numbers of at least 1, not {values}")


def check_stages(name: str, values: tuple[Sizes, ...], stages: int, ndim: int, *, odd: bool = False) -> None:
    """Sizes on each axis for every stage."""
    if len(values) != stages:
        raise PlanError(f"{name} must have an entry for each of the {stages} stages, not {len(values)}: {values}")
    for stage, sizes in enumerate(values):
        if not isinstance(sizes, tuple):
            raise PlanError(f"{name}[{stage}] must be {ndim} whole numbers, not {sizes!r}")
        check_sizes(f"{name}[{stage}]", sizes, ndim, odd=odd)


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """One of the known names."""
    if value not in known:
        raise PlanError(unknown_name(name, str(value), known))


def check_groups(norm: str, features: Sizes) -> None:
    """Group norm wants whole groups of channels."""
    if norm == "group" and any(n % 8 for n in features):
        raise PlanError(f"group norm needs features that are multiples of 8, not {features}")


def check_dropout(value: float) -> None:
    """A chance that leaves something over."""
    if not 0 <= value < 1:
        raise PlanError(f"dropout must be 0 to less than 1, not {value}")


def is_whole(value: object) -> bool:
    """Whether this is a whole number; True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)
