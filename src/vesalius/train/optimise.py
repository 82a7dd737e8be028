"""Optimisers, the schedule that follows the clock, and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.optim import SGD, Adam, AdamW, Optimizer

from vesalius.plan import Optimisation
from vesalius.plan.recipe import OptimiserKind, Schedule

_SECOND_MOMENT = 0.99
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_POWER = 0.9  # Source: nnU-Net
_HELD = 0.7  # of the budget, at the peak (benchmarks/README.md)


class Muon(Optimizer):
    """Momentum whose matrix is orthogonalised before each step, for the maps between hidden layers.

    A kernel ``(out, in, *k)`` is taken as a matrix ``(out, in * k)``. Its Nesterov momentum is replaced by the
    nearest semi-orthogonal matrix, found by five Newton–Schulz iterations, so that every direction is learned at the
    same pace. In few steps it learns more than AdamW (benchmarks/README.md).

    Args:
        parameters: Tensors of two or more axes.
        learning_rate: Of the orthogonalised step, scaled by ``sqrt(max(1, rows / columns))``.
        momentum: Decay of the average of the gradients.
        weight_decay: Decoupled.
        number_format: That directions are made in. ``torch.float32`` makes them independent of the order in which a
            gradient was added up, and takes several times longer where a processor has matrix units.

    Source: K. Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; J. Bernstein and
    L. Newhouse 2024, arXiv:2409.20325 (coefficients and scaling as there).
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        learning_rate: float,
        momentum: float,
        weight_decay: float,
        number_format: torch.dtype = torch.bfloat16,
    ) -> None:
        super().__init__(parameters, {"lr": learning_rate, "momentum": momentum, "weight_decay": weight_decay})
        self._number_format = number_format

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step. Gradients must be there; a closure is not supported and must be left out."""
        assert closure is None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "average" not in state:
                    state["average"] = torch.zeros_like(weight)
                average = state["average"].lerp_(weight.grad, 1 - group["momentum"])
                # The order of a matrix's columns changes nothing, and this is how channels-last kernels lie in memory.
                ahead = weight.grad.lerp(average, group["momentum"]).movedim(1, -1)
                rows, columns = weight.shape[0], weight[0].numel()
                matrix = orthogonalise(ahead.reshape(rows, columns), number_format=self._number_format)
                direction = matrix.reshape(ahead.shape).movedim(-1, 1)
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(direction.to(weight.dtype), alpha=-group["lr"] * math.sqrt(max(1.0, rows / columns)))


def orthogonalise(matrix: Tensor, *, iterations: int = 5, number_format: torch.dtype = torch.bfloat16) -> Tensor:
    """Bring all singular values of a matrix near 1 (0.7 to 1.2), keeping its singular vectors.

    Args:
        matrix: ``(rows, columns)``.
        iterations: Of the quintic Newton–Schulz map.
        number_format: Of the products; bfloat16 is exact enough for a direction.

    Returns:
        The matrix, in that format.

    Example:
        >>> values = torch.linalg.svdvals(orthogonalise(torch.diag(torch.tensor([3.0, 1.0, 0.5]))).float())
        >>> bool((values > 0.6).all() and (values < 1.3).all())
        True
    """
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).to(number_format).contiguous()
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        # Sums are rounded once, within the products: twice as fast as apart, and half as far from the exact map.
        gram = x @ x.T
        gram = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        x = torch.addmm(x, gram, x, beta=a)
    return x.T if tall else x


def optimisers(
    network: nn.Module, how: Optimisation, *, number_format: torch.dtype = torch.bfloat16
) -> list[Optimizer]:
    """The optimisers of a network's weights, each with the peak of its learning rate in ``group["peak"]``.

    Args:
        network: Any. With Muon, what is no map between hidden layers goes to AdamW: the first layer, the heads, norms,
            biases, embeddings, and convolutions that keep channels apart (grouped ones).
        how: Which optimiser, and its numbers.
        number_format: Of the training; see `Muon`.

    Returns:
        One optimiser, or two.
    """
    made = OPTIMISERS[how.optimiser](network, how, number_format)
    for optimiser in made:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return made


def _muon(network: nn.Module, how: Optimisation, number_format: torch.dtype) -> list[Optimizer]:
    hidden = list(_hidden(network))
    taken = {id(weight) for weight in hidden}
    rest = [weight for weight in _learned(network) if id(weight) not in taken]
    made: list[Optimizer] = []
    if hidden:
        made.append(
            Muon(
                hidden,
                learning_rate=how.learning_rate,
                momentum=how.momentum,
                weight_decay=how.weight_decay,
                number_format=number_format,
            )
        )
    if rest:
        # At Muon's own rate: a fifth of it teaches the heads too slowly for a short training (benchmarks/README.md).
        made.append(AdamW(rest, lr=how.learning_rate, betas=(0.9, _SECOND_MOMENT), weight_decay=0.0))
    return made


def _adamw(network: nn.Module, how: Optimisation, _format: torch.dtype) -> list[Optimizer]:
    """Norms and biases do not decay: nothing is gained by making them small (Source: Liu et al. 2022, ConvNeXt)."""
    learned = _learned(network)
    groups = [
        {"params": [weight for weight in learned if weight.ndim > 1], "weight_decay": how.weight_decay},
        {"params": [weight for weight in learned if weight.ndim <= 1], "weight_decay": 0.0},
    ]
    betas = (how.momentum, _SECOND_MOMENT)
    return [AdamW([group for group in groups if group["params"]], lr=how.learning_rate, betas=betas)]


def _adam(network: nn.Module, how: Optimisation, _format: torch.dtype) -> list[Optimizer]:
    betas = (how.momentum, _SECOND_MOMENT)
    return [Adam(_learned(network), lr=how.learning_rate, betas=betas, weight_decay=how.weight_decay)]


def _sgd(network: nn.Module, how: Optimisation, _format: torch.dtype) -> list[Optimizer]:
    momentum = how.momentum
    return [
        SGD(
            _learned(network),
            lr=how.learning_rate,
            momentum=momentum,
            nesterov=momentum > 0,
            weight_decay=how.weight_decay,
        )
    ]


OPTIMISERS: Mapping[OptimiserKind, Callable[[nn.Module, Optimisation, torch.dtype], list[Optimizer]]] = {
    "muon": _muon,
    "adamw": _adamw,
    "adam": _adam,
    "sgd": _sgd,
}
"""How each is made for a network."""


def _learned(network: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in network.parameters() if weight.requires_grad]


def _hidden(network: nn.Module) -> Iterator[Tensor]:
    """The matrices that map hidden features to hidden features.

    Heads are known by their names; where none is called so, they are the layers with as many outputs as the last.
    """
    maps = [(name, weight, outputs) for name, weight, outputs in _maps(network) if weight.requires_grad]
    named = any("head" in name for name, _, _ in maps)
    for name, weight, outputs in maps[1:]:
        if not ("head" in name if named else outputs == maps[-1][2]):
            yield weight


def _maps(network: nn.Module) -> Iterator[tuple[str, Tensor, int]]:
    """Every layer that mixes its inputs: its name, its matrix, and how many outputs it has."""
    for name, layer in network.named_modules():
        match layer:
            case _ConvNd(groups=1):
                yield name, layer.weight, layer.out_channels
            case nn.Linear():
                yield name, layer.weight, layer.out_features
            case nn.MultiheadAttention(in_proj_weight=nn.Parameter()):
                yield name, layer.in_proj_weight, layer.in_proj_weight.shape[0]


def set_rate(
    made: Iterable[Optimizer],
    how: Optimisation,
    *,
    step: int,
    progress: float,
    stopped_at: float | None = None,
    scale: float = 1.0,
) -> float:
    """Set the learning rate: a linear rise over the warm-up, and the fall of the schedule.

    Args:
        made: The optimisers.
        how: Warm-up and schedule.
        step: Steps taken.
        progress: Share of the budget that is spent, 0 to 1: of the time, so that the schedule ends with the budget
            however fast the machine turns out to be.
        stopped_at: The progress at which training was stopped early. From there on the rate falls in a straight line
            to zero, whatever the schedule: one that holds its rate would not cool down.
        scale: A further factor on the rates, for a run that went back because they were too high.

    Returns:
        The factor on the peak rates.
    """
    rise = (step + 1) / how.warm_up_steps if how.warm_up_steps else 1.0
    progress = min(1.0, max(0.0, progress))
    if stopped_at is None or progress <= stopped_at:
        share = SCHEDULES[how.schedule](progress)
    else:
        share = SCHEDULES[how.schedule](stopped_at) * (1 - progress) / (1 - stopped_at)
    factor = scale * min(1.0, rise) * share
    for optimiser in made:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * factor
    return factor


SCHEDULES: Mapping[Schedule, Callable[[float], float]] = {
    "linear": lambda progress: 1 - progress,
    "trapezoid": lambda progress: min(1.0, (1 - progress) / (1 - _HELD)),
    "poly": lambda progress: (1 - progress) ** _POWER,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    "constant": lambda _: 1.0,
}
"""The share of the peak rate that is left at a share of the budget.

Source: Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5 (cosine, one period); Hägele et al. 2024,
arXiv:2405.18392 (trapezoid); nnU-Net (poly)."""


@torch.no_grad()
def average_weights(average: nn.Module, network: nn.Module, *, decay: float, step: int) -> None:
    """Move the average of the weights towards the network's.

    Args:
        average: A copy of the network.
        network: As it is being trained.
        decay: Of the average.
        step: Steps taken; early on the average forgets faster, so that the random start is soon gone.

    Source: Polyak and Juditsky 1992, doi:10.1137/0330046; the early decay as in Tarvainen and Valpola 2017,
    arXiv:1703.01780.
    """
    weight = 1 - min(decay, (step + 1) / (step + 10))
    pairs: list[tuple[Any, Any]] = list(zip(average.parameters(), network.parameters(), strict=True))
    torch._foreach_lerp_([a for a, _ in pairs], [n for _, n in pairs], weight)
    for mine, theirs in zip(average.buffers(), network.buffers(), strict=True):
        mine.copy_(theirs)  # running statistics are averages already
