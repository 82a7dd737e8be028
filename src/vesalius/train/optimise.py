"""Optimisers, the schedule that follows the clock, and the moving average of the weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from vesalius.plan import Optimisation

_ADAM_RATE_FOR_MUON = 3e-3  # of what Muon does not take: first and last layer, norms, biases
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(Optimizer):
    """Momentum whose matrix is orthogonalised before each step, for convolution kernels.

    A kernel ``(out, in, *k)`` is taken as a matrix ``(out, in * k)``. Its Nesterov momentum is replaced by the
    nearest semi-orthogonal matrix, found by five Newton–Schulz iterations, so that every direction is learned at the
    same pace. In few steps it learns more than AdamW (benchmarks/README.md).

    Args:
        parameters: Tensors of two or more axes.
        learning_rate: Of the orthogonalised step, scaled by ``sqrt(max(1, rows / columns))``.
        momentum: Decay of the average of the gradients.
        weight_decay: Decoupled.

    Source: K. Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; J. Bernstein and
    L. Newhouse 2024, arXiv:2409.20325 (coefficients and scaling as there).
    """

    def __init__(
        self, parameters: Iterable[Tensor], *, learning_rate: float, momentum: float, weight_decay: float
    ) -> None:
        super().__init__(parameters, {"lr": learning_rate, "momentum": momentum, "weight_decay": weight_decay})

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
                ahead = weight.grad.lerp(average, group["momentum"])
                rows, columns = weight.shape[0], weight[0].numel()
                direction = orthogonalise(ahead.reshape(rows, columns)).reshape(weight.shape)
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(direction.to(weight.dtype), alpha=-group["lr"] * math.sqrt(max(1.0, rows / columns)))


def orthogonalise(matrix: Tensor, *, iterations: int = 5) -> Tensor:
    """Bring all singular values of a matrix near 1 (0.7 to 1.2), keeping its singular vectors.

    Args:
        matrix: ``(rows, columns)``.
        iterations: Of the quintic Newton–Schulz map.

    Returns:
        The matrix in bfloat16, which is exact enough for a direction.

    Example:
        >>> values = torch.linalg.svdvals(orthogonalise(torch.diag(torch.tensor([3.0, 1.0, 0.5]))).float())
        >>> bool((values > 0.6).all() and (values < 1.3).all())
        True
    """
    a, b, c = _NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    straight: Tensor = x.T if tall else x
    return straight


def optimisers(network: nn.Module, how: Optimisation) -> list[Optimizer]:
    """The optimisers of a network's weights, each with the peak of its learning rate in ``group["peak"]``.

    With Muon, the first convolution, the heads and everything that is not a kernel go to AdamW: they are no maps
    between hidden layers.
    """
    made: list[Optimizer]
    weights = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    match how.optimiser:
        case "muon":
            kernels = [p for name, p in weights if p.ndim >= 3 and "head" not in name]
            hidden = {id(p) for p in kernels[1:]}
            rest = [p for _, p in weights if id(p) not in hidden]
            muon = Muon(
                kernels[1:],
                learning_rate=how.learning_rate,
                momentum=how.momentum,
                weight_decay=how.weight_decay,
            )
            made = [muon, AdamW(rest, lr=_ADAM_RATE_FOR_MUON, betas=(0.9, 0.99), weight_decay=0.0)]
            made = [optimiser for optimiser in made if optimiser.param_groups[0]["params"]]
        case "adamw":
            made = [
                AdamW(
                    [p for _, p in weights],
                    lr=how.learning_rate,
                    betas=(how.momentum, 0.99),
                    weight_decay=how.weight_decay,
                )
            ]
        case "sgd":
            made = [
                SGD(
                    [p for _, p in weights],
                    lr=how.learning_rate,
                    momentum=how.momentum,
                    nesterov=how.momentum > 0,
                    weight_decay=how.weight_decay,
                )
            ]
    for optimiser in made:
        for group in optimiser.param_groups:
            group["peak"] = group["lr"]
    return made


def set_rate(made: Iterable[Optimizer], how: Optimisation, *, step: int, progress: float) -> float:
    """Set the learning rate: a linear rise over the warm-up, a linear fall to zero at the end.

    Args:
        made: The optimisers.
        how: Warm-up.
        step: Steps taken.
        progress: Share of the budget that is spent, 0 to 1: of the time, so that the schedule ends with the budget
            however fast the machine turns out to be.

    Returns:
        The factor on the peak rates.
    """
    rise = (step + 1) / how.warm_up_steps if how.warm_up_steps else 1.0
    factor = min(1.0, rise) * max(0.0, 1.0 - progress)
    for optimiser in made:
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * factor
    return factor


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
