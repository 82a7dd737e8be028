"""Several processes that train one network together, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from vesalius.errors import PlanError

_PATIENCE = timedelta(days=1)  # the others wait while the first process validates


@dataclass(frozen=True)
class Team:
    """The processes that train together; one process is a team of its own.

    Each takes its rows of the same batch, so that the batch, and with it the course of training, does not depend on
    how many there are. Batch norm is the exception: it normalises over the rows of its own process.

    Args:
        rank: Number of this process, 0 to ``size - 1``; process 0 writes and validates.
        size: Number of processes.

    Example:
        >>> Team(rank=1, size=2).rows(8)
        slice(4, 8, None)
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and validates."""
        return self.rank == 0

    def rows(self, batch_size: int) -> slice:
        """The rows of a batch that this process works on.

        Raises:
            PlanError: The batch cannot be divided evenly.
        """
        if batch_size % self.size:
            raise PlanError(
                f"a batch of {batch_size} cannot be divided among {self.size} processes; "
                f"set batch_size to a multiple of {self.size}"
            )
        share = batch_size // self.size
        return slice(self.rank * share, (self.rank + 1) * share)

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of everybody's tensor, for everybody; gradients flow back to all."""
        return tensor if self.size == 1 else _Sum.apply(tensor)  # type: ignore[no-untyped-call]

    def agree(self, value: float) -> float:
        """The first process's number."""
        if self.size == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=_meeting_place())
        dist.broadcast(told, 0)
        return float(told)

    def share(self, value: Any) -> Any:
        """The first process's value: anything that JSON can hold."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, 0, device=_meeting_place())
        return box[0]

    def wait(self) -> None:
        """Wait until everybody is here."""
        if self.size > 1:
            dist.barrier()

    def together(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network with its gradients averaged over the team."""
        if self.size == 1:
            return network
        return nn.parallel.DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(_ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        # Everybody computes the same loss from the sum, so the loss counts once for each of them;
        # averaging over the team, as DistributedDataParallel does, takes that back.
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _meeting_place() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")


def own_device(name: str) -> str:
    """The device of this process: with several on a machine each takes the CUDA device of its local number.

    Args:
        name: What was asked for.

    Example:
        >>> own_device("cpu")
        'cpu'
    """
    local = os.environ.get("LOCAL_RANK")
    if local is None or int(os.environ.get("WORLD_SIZE", "1")) == 1 or not torch.cuda.is_available():
        return name
    return f"cuda:{local}" if name in ("auto", "cuda") else name


def be_alone(what: str) -> None:
    """Refuse to do something in several processes that were made for one.

    Args:
        what: Is to be done, for the message.

    Raises:
        PlanError: ``torchrun`` started several.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise PlanError(f"torchrun's processes train one network together; for {what}, use --cluster instead")


@contextmanager
def team() -> Iterator[Team]:
    """Meet the other processes that ``torchrun`` started, and part from them at the end.

    Without ``torchrun`` (no ``WORLD_SIZE`` in the environment), or in a block within a block, nothing is started.
    Processes talk through NCCL where there is CUDA and through gloo where there is not.

    Yields:
        The team.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team()
        return
    if dist.is_initialized():
        yield Team(dist.get_rank(), dist.get_world_size())
        return
    on_cuda = torch.cuda.is_available()
    if on_cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if on_cuda else "gloo", timeout=_PATIENCE)
    try:
        yield Team(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
