"""ExecuTorch (``.pte``): PyTorch's own runtime for phones, with the kernels of XNNPACK."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import MissingDependencyError
from vesalius.export.apart import Start, convert_apart, run_apart
from vesalius.export.targets import Artefact, Model, Precision
from vesalius.nets import SlicesSpec

if TYPE_CHECKING:
    from torch import Tensor

    from vesalius.bundle import Bundle
    from vesalius.predict.backends import Run

PRECISIONS: tuple[Precision, ...] = ("fp32",)
RUNTIME = "executorch"
FILE = "model.pte"


def refuses(bundle: Bundle) -> str | None:
    """There are no 3D convolutions.

    Source: tried with ExecuTorch 1.5.1, whose portable kernel wants "3-D or 4-D, but got, 5"; XNNPACK issue 3978.
    """
    plan = bundle.plan
    if plan.ndim == 3 and not isinstance(plan.network, SlicesSpec):
        return (
            "ExecuTorch has no 3D convolution, neither its own kernels nor XNNPACK's; train with --configuration 2d, "
            "or export to litert, which has one"
        )
    return None


def write(model: Model, folder: Path) -> Artefact:
    """Write one file that holds the program and all weights, for windows of the plan's size."""
    from vesalius.nets.portable import portable

    if find_spec("executorch") is None:
        raise MissingDependencyError(
            "ExecuTorch needs the package executorch, in an environment of its own because it brings much that "
            "nothing else needs: make one, and there pip install 'vesalius[executorch]'"
        )
    path = folder / FILE
    convert_apart(__name__, portable(model.network), model.windows[:1], path)
    return Artefact(path=path, free_axes={})


def load(path: Path) -> Run:
    """Run it with ExecuTorch, in a process of its own."""
    return run_apart(__name__, path)


def convert(program: Any, window: Tensor, path: Path) -> None:  # noqa: ARG001  # the program holds its shape
    """What the other process does: from PyTorch's exported program to a file."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    path.write_bytes(lowered.to_executorch().buffer)


def start(path: Path) -> Start:
    """What the other process does: the file in the runtime."""
    import torch
    from executorch.runtime import Runtime

    method = Runtime.get().load_program(path).load_method("forward")
    assert method is not None  # every program that was exported has it

    def run(window: NDArray[np.float32]) -> NDArray[np.float32]:
        (logits,) = method.execute([torch.from_numpy(window)])
        found: NDArray[np.float32] = logits.numpy().copy()
        return found

    return run
