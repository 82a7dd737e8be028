"""What computes a network: engines behind one seam, by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from vesalius.errors import PlanError, unknown_name
from vesalius.predict.backends.compiled import Compiled
from vesalius.predict.backends.eager import Eager
from vesalius.predict.backends.engine import Backend, Mean, Run, RunFor
from vesalius.predict.backends.onnxruntime import OnnxRuntime
from vesalius.predict.backends.openvino import OpenVINO

__all__ = ["BACKENDS", "Backend", "Mean", "Run", "RunFor", "find_backend"]

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
        name: Of `BACKENDS`.

    Raises:
        PlanError: There is none.

    Example:
        >>> find_backend("torch-float32").dtype
        torch.float32
    """
    if name not in BACKENDS:
        raise PlanError(unknown_name("backend", name, ("auto", *BACKENDS)))
    return BACKENDS[name]
