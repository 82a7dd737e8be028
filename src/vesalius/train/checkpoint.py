"""Where training stands, on disk: what `fit` needs to go on as if nothing had happened."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.optim import Optimizer

from vesalius.errors import BundleError
from vesalius.io.atomic import write_bytes
from vesalius.train.history import Moment


@dataclass
class Progress:
    """How far training has come.

    Chance needs no place here: each step draws from a generator that is seeded with the step's number.

    Args:
        step: Optimisation steps taken.
        trained_s: Seconds of training, over all sessions.
        spent_s: Seconds of the budget, everything included, up to the last checkpoint.
        notes: Rows of the history, counted as if this schedule had been followed from the beginning.
        looks: How often the watched cases were segmented, counted likewise.
        best_dice: The best that was seen of them.
        stale: Looks since then.
        stopped_at: Share of the schedule at which nothing was to be gained any more, if so.
        setbacks: How often the loss was not finite and training went back; each halves the learning rate.
        warm_from: Step from which the warm-up counts: not 0 where a run goes on with a bigger budget.
        is_finished: Whether the bundle was written and scored.
    """

    step: int = 0
    trained_s: float = 0.0
    spent_s: float = 0.0
    notes: int = 0
    looks: int = 0
    best_dice: float = -1.0
    stale: int = 0
    stopped_at: float | None = None
    setbacks: int = 0
    warm_from: int = 0
    is_finished: bool = False


@dataclass
class Training:
    """All that changes while a network learns.

    Args:
        network: As it is being trained.
        average: The moving average of its weights, which is what is kept.
        optimisers: With their own memory.
        progress: How far it has come.
        moments: Its course.
    """

    network: nn.Module
    average: nn.Module
    optimisers: Sequence[Optimizer]
    progress: Progress = field(default_factory=Progress)
    moments: list[Moment] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all.

        Raises:
            VesaliusError: The system refused to write (full disk).
        """
        stream = io.BytesIO()
        torch.save(
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
                "progress": asdict(self.progress),
                "moments": [asdict(moment) for moment in self.moments],
            },
            stream,
        )
        write_bytes(path, stream.getbuffer())

    def load(self, path: Path) -> None:
        """Put everything back to where a checkpoint stands.

        Only tensors and plain values are read (``weights_only``): a checkpoint cannot run code.

        Raises:
            BundleError: The file is damaged or belongs to another plan.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            self.progress.__dict__.update(Progress(**state["progress"]).__dict__)
            self.moments[:] = [Moment(**moment) for moment in state["moments"]]
        except Exception as error:  # torch raises what its many readers raise; nothing of it is our user's business
            raise BundleError(f"{path.name}: cannot go on from this checkpoint ({type(error).__name__})") from error
