"""TorchScript: the network as PyTorch traced it, for programs in C++ and for what still takes it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.export.targets import Artefact, Model, Precision

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vesalius.bundle import Bundle
    from vesalius.predict.backends import Run

PRECISIONS: tuple[Precision, ...] = ("fp32",)
RUNTIME = "torch"
FILE = "model.pt"


def refuses(bundle: Bundle) -> str | None:  # noqa: ARG001
    """It takes every network."""
    return None


def write(model: Model, folder: Path) -> Artefact:
    """Trace the network."""
    from vesalius.export.sizes import free_axes

    path = folder / FILE
    trace(model.network, model.windows, path)
    return Artefact(path=path, free_axes=free_axes(model.bundle.plan.network))


def trace(network: nn.Module, windows: Tensor, path: Path) -> None:
    """Write a network as TorchScript.

    Args:
        network: In evaluation mode.
        windows: ``(b, c, *patch)`` that suit it.
        path: The file.
    """
    import torch

    with warnings.catch_warnings(), torch.inference_mode():
        # That TorchScript is being retired, and that sizes are checked, which a trace leaves out.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, windows.contiguous(), check_trace=False)
        torch.jit.save(traced, str(path))


def load(path: Path) -> Run:
    """Run it with PyTorch, without Vesalius' own code."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = torch.jit.load(str(path), map_location="cpu")

    @torch.inference_mode()
    def run(windows: Tensor) -> Tensor:
        found: Tensor = network(windows)
        return found

    return run
