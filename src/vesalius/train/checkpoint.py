"""Where training stands, on disk: what `fit` needs to go on as if nothing had happened."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from vesalius.errors import BundleError
from vesalius.io.atomic import write_bytes
from vesalius.train.history import Moment


@dataclass
class Progress:
    """How far training has come; the only thing here that changes."""

    step: int = 0
    trained_s: float = 0.0
    spent_s: float = 0.0
    """Of the budget, everything included, up to the last checkpoint."""


def save_checkpoint(
    path: Path,
    *,
    network: nn.Module,
    average: nn.Module,
    made: Sequence[Optimizer],
    random: np.random.Generator,
    generator: torch.Generator,
    progress: Progress,
    moments: Sequence[Moment],
) -> None:
    """Write a checkpoint, whole or not at all."""
    stream = io.BytesIO()
    torch.save(
        {
            "network": network.state_dict(),
            "average": average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in made],
            "random": _plain(random.bit_generator.state),
            "generator": generator.get_state(),
            "torch": torch.random.get_rng_state(),
            "progress": asdict(progress),
            "moments": [asdict(moment) for moment in moments],
        },
        stream,
    )
    write_bytes(path, stream.getvalue())


def load_checkpoint(
    path: Path,
    *,
    network: nn.Module,
    average: nn.Module,
    made: Sequence[Optimizer],
    random: np.random.Generator,
    generator: torch.Generator,
) -> tuple[Progress, list[Moment]]:
    """Put everything back to where a checkpoint stands.

    Only tensors and plain values are read (``weights_only``): a checkpoint cannot run code.

    Raises:
        BundleError: The file is damaged or belongs to another plan.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        for optimiser, saved in zip(made, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        random.bit_generator.state = _numbers(state["random"])
        generator.set_state(state["generator"])
        torch.random.set_rng_state(state["torch"])
        return Progress(**state["progress"]), [Moment(**moment) for moment in state["moments"]]
    except Exception as error:  # torch raises what its many readers raise; nothing of it is our user's business
        raise BundleError(f"{path.name}: cannot go on from this checkpoint ({type(error).__name__})") from error


def _plain(state: Any) -> Any:
    """Numpy's state holds integers of 128 bits, which torch cannot store: as text."""
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    return f"int:{state}" if isinstance(state, int) else state


def _numbers(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _numbers(value) for key, value in state.items()}
    return int(state[4:]) if isinstance(state, str) and state.startswith("int:") else state
