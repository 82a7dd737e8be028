"""How images are painted from label maps, in numbers: frozen, JSON-able, torch-free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vesalius.errors import PlanError

Range = tuple[float, float]
"""Lowest and highest value that may be drawn."""

_CHANCES = ("tissue_p", "strip_p", "strip_fluid_p", "dark_p")
_RANGES = ("mean", "std")


@dataclass(frozen=True, kw_only=True)
class Generation:
    """What an image may look like that is painted from a map of *kinds*.

    A kind is what has one brightness of its own in a scan: white matter, bone, fat … Kind 0 is the air. For each image
    and channel every kind gets a mean and a standard deviation, and each voxel is drawn from the normal distribution of
    its kind. With means that are drawn evenly, a network sees every contrast there is and many that there are not; so
    a share of the images is closer to life: there the brain is made of a few tissues, of which each kind is a mixture.

    Args:
        kinds: How many there are, with the air: the map holds 0 to ``kinds - 1``.
        tissues: ``(kind, shares)`` of each kind that is a mixture of tissues: shares of all tissues, in one order.
            Kinds that are not named are always drawn by themselves.
        tissue_p: Chance that an image is painted by tissues.
        tissue_spread: Standard deviation of a kind's mean about its mixture.
        mean: Of the means, evenly.
        std: Of the standard deviations, evenly.
        outside: Kinds around the organ, which `strip_p` takes away.
        fluid: Kinds at its surface, which are taken away as well in a share `strip_fluid_p` of these.
        strip_p: Chance that what is outside is replaced by air, as by skull-stripping. Its labels become background.
        strip_fluid_p: Then, chance that the fluid is, too.
        dark_p: Chance that the air is black; else it is drawn as every kind is.

    Raises:
        PlanError: A value is out of range, or a kind is named that does not exist.

    Example:
        >>> Generation(kinds=3, tissues=((1, (1.0, 0.0)), (2, (0.5, 0.5)))).tissue_count
        2

    Source: Billot et al. 2023, doi:10.1016/j.media.2023.102789 (a Gaussian for each label with mean and deviation drawn
    evenly, on a scale of 0 to 255: 0 to 255 and 0 to 35, here by 255); the tissues are ours.
    """

    kinds: int
    tissues: tuple[tuple[int, tuple[float, ...]], ...] = ()
    tissue_p: float = 0.5
    tissue_spread: float = 0.03
    mean: Range = (0.0, 1.0)
    std: Range = (0.0, 0.137)
    outside: tuple[int, ...] = ()
    fluid: tuple[int, ...] = ()
    strip_p: float = 0.4
    strip_fluid_p: float = 0.5
    dark_p: float = 0.7

    def __post_init__(self) -> None:
        if type(self.kinds) is not int or self.kinds < 2:
            raise PlanError(f"kinds must be a whole number of at least 2, the air and one more, not {self.kinds!r}")
        object.__setattr__(self, "tissues", tuple((kind, tuple(shares)) for kind, shares in self.tissues))
        for name in ("outside", "fluid"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in _CHANCES:
            if not 0 <= getattr(self, name) <= 1:
                raise PlanError(f"{name} is a probability and must be 0 to 1, not {getattr(self, name)!r}")
        for name in _RANGES:
            low, high = (float(value) for value in getattr(self, name))
            object.__setattr__(self, name, (low, high))
            if not 0 <= low <= high < math.inf:
                raise PlanError(f"{name} must be a range of numbers of at least 0, not {(low, high)}")
        if not 0 <= self.tissue_spread < math.inf:
            raise PlanError(f"tissue_spread must be 0 or more, not {self.tissue_spread!r}")
        self._check_kinds()

    def _check_kinds(self) -> None:
        mixed = [kind for kind, _ in self.tissues]
        for name, named in (("tissues", mixed), ("outside", self.outside), ("fluid", self.fluid)):
            if len(set(named)) != len(named) or not all(_is_kind(kind, self.kinds) for kind in named):
                raise PlanError(f"{name} must name different kinds of 1 to {self.kinds - 1}, not {list(named)}")
        if len({len(shares) for _, shares in self.tissues}) > 1 or not all(_is_mixture(s) for _, s in self.tissues):
            raise PlanError("tissues must give each kind a share of 0 or more of the same tissues, which add up to 1")

    @property
    def tissue_count(self) -> int:
        """How many tissues the kinds are mixtures of."""
        return len(self.tissues[0][1]) if self.tissues else 0


def _is_kind(kind: object, kinds: int) -> bool:
    return isinstance(kind, int) and not isinstance(kind, bool) and 1 <= kind < kinds


def _is_mixture(shares: Sequence[float]) -> bool:
    return bool(shares) and min(shares) >= 0 and math.isclose(sum(shares), 1.0, abs_tol=1e-6)
