"""How the weights are learned: the loss, the optimiser and its schedule. Frozen, JSON-able, torch-free."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from vesalius.errors import PlanError, unknown_name

LossKind = Literal[
    "cross_entropy",
    "dice",
    "dice_cross_entropy",
    "focal",
    "dice_focal",
    "tversky",
    "generalised_dice",
    "boundary",
    "cldice",
]
"""The losses; `vesalius.train.losses.LOSSES` says what each is made of."""

OptimiserKind = Literal["muon", "adamw", "adam", "sgd"]
Schedule = Literal["linear", "trapezoid", "poly", "cosine", "constant"]

_WEIGHED = ("cross_entropy", "dice_cross_entropy", "focal", "dice_focal")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What is minimised. A field that a kind does not name is not read by it.

    Args:
        kind: ``"dice_cross_entropy"`` (soft Dice and cross-entropy, equal weights), either alone, ``"focal"`` alone or
            with Dice, ``"tversky"``, ``"generalised_dice"``, and soft Dice with ``"boundary"`` or ``"cldice"``.
        class_weights: Of the outputs in cross-entropy and focal loss, in their order (background first, except for
            regions); empty for equal weights. The other kinds have no use for it and refuse it.
        focal_gamma: How much voxels that are right already are passed over; 0 is cross-entropy (Source: Lin et al.
            2017, arXiv:1708.02002).
        tversky_alpha: Price of a false positive, where 0.5 for both prices is Dice.
        tversky_beta: Price of a false negative (Source: Salehi et al. 2017, arXiv:1706.05721: 0.3 and 0.7).
        tversky_exponent: Of one minus the Tversky index: 1 is Salehi's loss, 0.75 the focal Tversky loss, which dwells
            on structures that are nearly right (Source: Abraham and Khan 2019, arXiv:1810.07842, its 1/γ).
        boundary_share: Of the boundary loss at the end of training; soft Dice has the rest. See `at`.
        cldice_share: Of the centreline Dice; soft Dice has the rest (Source: Shit et al. 2021, arXiv:2003.07311).
        cldice_iterations: Erosions that thin a tube to its centreline: the largest radius, in voxels.

    Raises:
        PlanError: A value is out of range, or class weights go with a loss that has no use for them.

    Example:
        >>> Loss(kind="tversky").tversky_beta
        0.7
    """

    kind: LossKind = "dice_cross_entropy"
    class_weights: tuple[float, ...] = ()
    focal_gamma: float = 2.0
    tversky_alpha: float = 0.3
    tversky_beta: float = 0.7
    tversky_exponent: float = 1.0
    boundary_share: float = 0.5
    cldice_share: float = 0.5
    cldice_iterations: int = 5

    def __post_init__(self) -> None:
        if self.kind not in get_args(LossKind):
            raise PlanError(unknown_name("loss", str(self.kind), get_args(LossKind)))
        object.__setattr__(self, "class_weights", tuple(self.class_weights))
        if self.class_weights and self.kind not in _WEIGHED:
            raise PlanError(
                f"class_weights weigh {', '.join(_WEIGHED)}; {self.kind} has no use for them: leave them out"
            )
        if self.class_weights and not (
            all(_finite(w) and w >= 0 for w in self.class_weights) and any(self.class_weights)
        ):
            raise PlanError(f"class_weights must be 0 or more, and one more than 0, not {self.class_weights}")
        _check(self, "focal_gamma", "0 or more", lambda v: v >= 0)
        _check(self, "tversky_alpha", "0 or more", lambda v: v >= 0)
        _check(self, "tversky_beta", "more than 0", lambda v: v > 0)
        _check(self, "tversky_exponent", "more than 0", lambda v: v > 0)
        _check(self, "boundary_share", "0 to 1", lambda v: 0 <= v <= 1)
        _check(self, "cldice_share", "0 to 1", lambda v: 0 <= v <= 1)
        if isinstance(self.cldice_iterations, bool) or self.cldice_iterations < 1:
            raise PlanError(f"cldice_iterations must be at least 1, not {self.cldice_iterations!r}")

    def at(self, progress: float) -> Loss:
        """The loss at a moment of training.

        The boundary loss says little before there is something near the boundary, so its share grows in a straight
        line from 0 to ``boundary_share`` at the end. Every other loss stays what it is.

        Args:
            progress: Share of the budget that is spent, 0 to 1.

        Example:
            >>> Loss(kind="boundary", boundary_share=0.5).at(0.25).boundary_share
            0.125

        Source: Kervadec et al. 2021, doi:10.1016/j.media.2020.101851 (the regional loss is weighed 1 - α, and α grows
        by the same step each epoch).
        """
        if self.kind != "boundary":
            return self
        return replace(self, boundary_share=self.boundary_share * min(1.0, max(0.0, progress)))


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How the weights follow the gradient. What suits one optimiser does not suit another: see `for_optimiser`.

    Args:
        optimiser: ``"muon"`` (orthogonalised momentum for the maps between hidden layers, AdamW for the rest),
            ``"adamw"``, ``"adam"`` or ``"sgd"`` (Nesterov).
        schedule: From the peak to the end of the budget: ``"linear"`` to zero, ``"trapezoid"`` (at the peak for
            seven tenths, then linear to zero), ``"poly"`` ((1 - progress)^0.9), ``"cosine"`` (half a wave, to zero) or
            ``"constant"``. All rise linearly over the warm-up.
        learning_rate: At the peak of the schedule.
        momentum: Of Muon and SGD; the first moment's decay of Adam and AdamW.
        weight_decay: Decoupled for Muon and AdamW, added to the gradient for SGD and Adam.
        warm_up_steps: Steps over which the learning rate rises.
        gradient_clip: Largest norm of the gradient (Source: nnU-Net).
        average_decay: Decay of the moving average of the weights that is kept as the result.
        patience: Looks at the held-out cases without a better Dice after which training cools down and ends early;
            0 for never.

    Raises:
        PlanError: A value is out of range.
    """

    optimiser: OptimiserKind = "muon"
    schedule: Schedule = "trapezoid"
    learning_rate: float = 0.02
    momentum: float = 0.95
    weight_decay: float = 3e-5
    warm_up_steps: int = 50
    gradient_clip: float = 12.0
    average_decay: float = 0.99
    patience: int = 0

    def __post_init__(self) -> None:
        if self.optimiser not in get_args(OptimiserKind):
            raise PlanError(unknown_name("optimiser", str(self.optimiser), get_args(OptimiserKind)))
        if self.schedule not in get_args(Schedule):
            raise PlanError(unknown_name("schedule", str(self.schedule), get_args(Schedule)))
        for name in ("learning_rate", "gradient_clip"):
            _check(self, name, "more than 0", lambda v: v > 0)
        for name in ("momentum", "average_decay"):
            _check(self, name, "0 to less than 1", lambda v: 0 <= v < 1)
        for name in ("weight_decay", "warm_up_steps", "patience"):
            _check(self, name, "0 or more", lambda v: v >= 0)

    @classmethod
    def for_optimiser(cls, optimiser: OptimiserKind, steps: float) -> Optimisation:
        """The values that suit an optimiser.

        Args:
            optimiser: Which.
            steps: How many are expected. Warm-up and moving average each span about a twentieth of them, the warm-up
                at most 50 steps, the average 10 to 1,000.

        Returns:
            Rate, momentum, weight decay and schedule as its users have found them.

        Raises:
            PlanError: The optimiser is unknown.

        Example:
            >>> how = Optimisation.for_optimiser("sgd", 250_000)
            >>> how.learning_rate, how.momentum, how.schedule
            (0.01, 0.99, 'poly')

        Source: muon: measured (benchmarks/README.md); sgd: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z; adamw:
        Loshchilov and Hutter 2019, arXiv:1711.05101 (decoupled decay with a cosine), decay as for ConvNeXt (Liu et
        al. 2022, arXiv:2201.03545), rate as for MedNeXt (Roy et al. 2023, arXiv:2303.09975); adam: Isensee et al.
        2018, arXiv:1809.10486.
        """
        if optimiser not in _SUITED:
            raise PlanError(unknown_name("optimiser", str(optimiser), _SUITED))
        return cls(optimiser=optimiser, **_SUITED[optimiser]).for_steps(steps)

    def with_optimiser(self, optimiser: OptimiserKind) -> Optimisation:
        """The same with another optimiser: its rate, momentum, decay and schedule come with it."""
        return replace(self, optimiser=optimiser, **_SUITED[optimiser])

    def for_steps(self, steps: float) -> Optimisation:
        """The same, with warm-up and moving average as long as suits so many steps; see `for_optimiser`."""
        return replace(
            self,
            warm_up_steps=round(min(50.0, steps / 20)),
            average_decay=round(min(0.999, max(0.9, 1 - 20 / max(steps, 1))), 4),
        )


_SUITED: dict[OptimiserKind, dict[str, Any]] = {
    "muon": {"learning_rate": 0.02, "momentum": 0.95, "weight_decay": 3e-5, "schedule": "trapezoid"},
    "adamw": {"learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 0.05, "schedule": "cosine"},
    "adam": {"learning_rate": 3e-4, "momentum": 0.9, "weight_decay": 3e-5, "schedule": "linear"},
    "sgd": {"learning_rate": 0.01, "momentum": 0.99, "weight_decay": 3e-5, "schedule": "poly"},
}


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check(recipe: object, name: str, allowed: str, fits: Callable[[float], bool]) -> None:
    value = getattr(recipe, name)
    if not (_finite(value) and fits(value)):
        raise PlanError(f"{name} must be {allowed}, not {value!r}")
