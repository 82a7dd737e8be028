"""LiteRT (``.tflite``): for phones, tablets and small boards; the successor of TensorFlow Lite."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import MissingDependencyError
from vesalius.export.apart import Start, convert_apart, run_apart
from vesalius.export.targets import Artefact, Model, Precision

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vesalius.bundle import Bundle
    from vesalius.predict.backends import Run

PRECISIONS: tuple[Precision, ...] = ("fp32",)
RUNTIME = "ai-edge-litert"
FILE = "model.tflite"


def refuses(bundle: Bundle) -> str | None:  # noqa: ARG001
    """It takes every network that its converter takes; whether it does shows when it is tried."""
    return None


def write(model: Model, folder: Path) -> Artefact:
    """Write one file that holds the graph and all weights, for windows of the plan's size."""
    from vesalius.nets.portable import portable

    if find_spec("litert_torch") is None or find_spec("ai_edge_litert") is None:
        raise MissingDependencyError(
            "LiteRT needs litert-torch and ai-edge-litert, in an environment of their own because they want older "
            "versions of what others want newer: make one, and there pip install 'vesalius[litert]'"
        )
    path = folder / FILE
    convert_apart(__name__, without_lone_channels(portable(model.network)), model.windows[:1], path)
    notes = ("LiteRT computes 3D convolutions on the processor only",) if model.bundle.plan.ndim == 3 else ()
    return Artefact(path=path, free_axes={}, notes=notes)


def load(path: Path) -> Run:
    """Run it with LiteRT, in a process of its own."""
    return run_apart(__name__, path)


def without_lone_channels(network: nn.Module) -> nn.Module:
    """Give 3D convolutions with a stride and a single channel a second one, which counts nothing; in place.

    The converter crashes on them (seen in litert-torch 0.10.0).

    Args:
        network: In evaluation mode.

    Returns:
        The network, with the same result.
    """
    from torch import nn

    if isinstance(network, nn.Conv3d) and network.in_channels == 1 and max(network.stride) > 1:
        return _doubled(network)
    for name, child in network.named_children():
        setattr(network, name, without_lone_channels(child))
    return network


def _doubled(conv: nn.Conv3d) -> nn.Module:
    import torch
    from torch import nn

    class Doubled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.conv(torch.cat([x, x], dim=1))
            return found

    conv.weight = nn.Parameter(torch.cat([conv.weight, torch.zeros_like(conv.weight)], dim=1))
    conv.in_channels = 2
    return Doubled()


def convert(program: Any, window: Tensor, path: Path) -> None:
    """What the other process does: from PyTorch's exported program to a file."""
    import litert_torch

    from vesalius.export.describe import INPUT

    litert_torch.convert(program.module(), sample_kwargs={INPUT: window}).export(str(path))


def start(path: Path) -> Start:
    """What the other process does: the file in the runtime."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    runner = interpreter.get_signature_runner()
    (name,) = runner.get_input_details()

    def run(window: NDArray[np.float32]) -> NDArray[np.float32]:
        assert interpreter is not None  # the runner does not keep it alive
        (logits,) = runner(**{name: window}).values()
        found: NDArray[np.float32] = logits
        return found

    return run
