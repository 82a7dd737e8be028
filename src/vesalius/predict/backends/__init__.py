"""What computes a network: engines behind one seam, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from vesalius.errors import PlanError, unknown_name
from vesalius.predict.backends.compiled import Compiled
from vesalius.predict.backends.eager import Eager
from vesalius.predict.backends.engine import Backend, Mean, Run, RunFor
from vesalius.predict.backends.exported import Exported, read_exported
from vesalius.predict.backends.onnxruntime import OnnxRuntime
from vesalius.predict.backends.openvino import OpenVINO

__all__ = ["BACKENDS", "Backend", "Mean", "Run", "RunFor", "find_backend", "title_of"]

BACKENDS: Mapping[str, Backend] = {
    "torch-float32": Eager(torch.float32),
    "torch-bfloat16": Eager(torch.bfloat16),
    "torch-compiled": Compiled(),
    "openvino-float32": OpenVINO("f32"),
    "openvino-bfloat16": OpenVINO("bf16"),
    "onnxruntime": OnnxRuntime(),
}
"""The engines; ``"auto"`` is none of them but a choice, see `Segmenter.run`."""


def find_backend(name: str) -> Backend:
    """The engine of this name.

    Args:
        name: Of `BACKENDS`, or the folder of an export to OpenVINO.

    Raises:
        PlanError: There is none.
        BundleError: The folder holds no such export.

    Example:
        >>> find_backend("torch-float32").dtype
        torch.float32
    """
    if name in BACKENDS:
        return BACKENDS[name]
    if Path(name).is_dir():
        return read_exported(Path(name))
    raise PlanError(unknown_name("backend", name, ("auto", *BACKENDS)) + ", or the folder of an export to OpenVINO")


def title_of(name: str) -> str:
    """What results say of an engine: its name, and of an exported graph what it is instead of where it lies.

    Args:
        name: As `find_backend` takes it.

    Raises:
        PlanError, BundleError: As `find_backend`.

    Example:
        >>> title_of("openvino-bfloat16")
        'openvino-bfloat16'
    """
    engine = find_backend(name)
    return engine.name if isinstance(engine, Exported) else name
