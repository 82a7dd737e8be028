"""Start from another segmenter's weights, though channels or labels have changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vesalius.bundle import Bundle
from vesalius.errors import PlanError
from vesalius.nets import build
from vesalius.nets.channels import replace_channels
from vesalius.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a training starts from instead of random weights.

    Args:
        bundle: A trained segmenter.
        keep_labels: Whether its labels are to be segmented on, though the new references do not show them.
        encoder_weights: File with pretrained weights of the encoder; see `vesalius.nets.load_encoder`.

    Raises:
        PlanError: Labels are to be kept, and there is no segmenter that knows them.
    """

    bundle: Bundle | None = None
    keep_labels: bool = False
    encoder_weights: Path | None = None

    def __post_init__(self) -> None:
        if self.keep_labels and self.bundle is None:
            raise PlanError("keep_labels keeps the labels of a trained segmenter: name the bundle to start from")


@dataclass(frozen=True)
class Transfer:
    """What was taken over.

    Args:
        channels: Input channels that the start knew, by name (or by place: see `transfer`).
        outputs: Outputs that the start knew, by name.
        new_channels: Those that begin with weights of zero.
        new_outputs: Those that begin at random.
    """

    channels: tuple[str, ...]
    outputs: tuple[str, ...]
    new_channels: tuple[str, ...]
    new_outputs: tuple[str, ...]


def transfer(network: nn.Module, plan: Plan, start: Bundle) -> Transfer:
    """Give a network another segmenter's weights, as far as they mean the same.

    Channels and outputs are matched by their names. A channel that the start did not know begins with weights of
    zero, so that the network begins as what the start was; an output that it did not know begins at random, and
    everything that lies between is taken over as it is. Where no channel has a known name and there are as many, they
    are taken to be the same in order.

    Args:
        network: Freshly built from the plan's spec; changed in place, wholly or (after an error) not at all.
        plan: The new plan, whose network differs from the start's in channels and outputs only (see `adapt_plan`).
        start: A trained segmenter; of several members the first.

    Returns:
        What was taken over.

    Raises:
        PlanError: The networks differ in more than channels and outputs, or have neither in common.
    """
    ours, theirs = _inputs(plan), _inputs(start.plan)
    if not set(ours) & set(theirs) and len(ours) == len(theirs):
        theirs = ours
    channels = _match(ours, theirs)
    rows = _match(_outputs(plan), _outputs(start.plan))
    if all(c is None for c in channels):
        raise PlanError(
            f"the segmenter to start from sees {', '.join(theirs)} and the plan {', '.join(ours)}: "
            "they have no channel in common"
        )
    if replace_channels(start.plan.network, 1, 1) != replace_channels(plan.network, 1, 1):
        raise PlanError(
            "the plan's network is built otherwise than that of the segmenter to start from; "
            "let the plan be made from that segmenter"
        )
    depends = _dependence(plan)
    made: dict[str, Tensor] = {}
    for name, fresh in network.state_dict().items():
        weight = torch.from_numpy(np.array(start.weights[name])).to(fresh.dtype)
        on_channels, on_outputs = depends.get(name, (None, None))
        if on_channels is not None:
            weight = _rearranged(weight, on_channels, channels, len(theirs))
        if on_outputs is not None:
            weight = _rearranged(weight, on_outputs, rows, len(_outputs(start.plan)), fresh=fresh)
        made[name] = weight.reshape(fresh.shape)
    network.load_state_dict(made)
    return Transfer(
        channels=_named(ours, channels, known=True),
        outputs=_named(_outputs(plan), rows, known=True),
        new_channels=_named(ours, channels, known=False),
        new_outputs=_named(_outputs(plan), rows, known=False),
    )


def _inputs(plan: Plan) -> tuple[str, ...]:
    """The names of what the network sees: channels, and in a cascade the labels of the coarse stage."""
    return (*plan.channels, *(f"coarse {number}" for number in range(1, plan.coarse_labels + 1)))


def _outputs(plan: Plan) -> tuple[str, ...]:
    """The names of what the network gives; the background, which only a softmax has, is named by nothing."""
    return (*(() if plan.regions else ("",)), *(output.name for output in plan.outputs))


def _match(ours: Sequence[str], theirs: Sequence[str]) -> list[int | None]:
    return [theirs.index(name) if name in theirs else None for name in ours]


def _named(names: Sequence[str], places: Sequence[int | None], *, known: bool) -> tuple[str, ...]:
    return tuple(name for name, at in zip(names, places, strict=True) if (at is not None) == known and name)


def _dependence(plan: Plan) -> dict[str, tuple[int | None, int | None]]:
    """Along which axis the shape of each weight follows the number of input channels, and of outputs.

    Two networks without memory that differ in nothing else tell, whatever the architecture.
    """
    spec = plan.network

    def shapes(inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
        with torch.device("meta"):
            network = build(replace_channels(spec, inputs, outputs))
        return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}

    plain = shapes(spec.in_channels, spec.out_channels)
    wider, deeper = shapes(spec.in_channels + 1, spec.out_channels), shapes(spec.in_channels, spec.out_channels + 1)
    return {name: (_differing(plain[name], wider[name]), _differing(plain[name], deeper[name])) for name in plain}


def _differing(one: tuple[int, ...], other: tuple[int, ...]) -> int | None:
    return next((axis for axis, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), None)


def _rearranged(
    weight: Tensor, axis: int, places: Sequence[int | None], count: int, *, fresh: Tensor | None = None
) -> Tensor:
    """Put the channels (or outputs) of a weight where they belong; what is new is fresh, or zero.

    Along the axis they may come in several sets (slices, places of a window), a whole set after the other.
    """
    sets, rest = divmod(weight.shape[axis], count)
    assert rest == 0, "a weight that follows the channels holds whole sets of them"
    lined = weight.movedim(axis, 0)
    old = lined.reshape(sets, count, *lined.shape[1:])
    if fresh is None:
        new = torch.zeros(sets, len(places), *old.shape[2:], dtype=weight.dtype)
    else:
        lined = fresh.movedim(axis, 0)
        new = lined.reshape(sets, len(places), *lined.shape[1:]).clone()
    for at, place in enumerate(places):
        if place is not None:
            new[:, at] = old[:, place]
    return new.flatten(0, 1).movedim(0, axis)
