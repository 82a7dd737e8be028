"""ONNX Runtime on the processor."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vesalius.errors import MissingDependencyError, PlanError
from vesalius.nets import NetworkSpec
from vesalius.predict.backends.engine import Mean, Run

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_INSTALL = "pip install 'vesalius[export]'"


class OnnxRuntime:
    """Networks as ONNX graphs in memory, computed in float32.

    It is there to see what an exported network will say and how fast, not to be fast here: in 3D it takes as long as
    PyTorch in float32. See docs/concepts/engines.md.
    """

    def refuses(self, network: NetworkSpec, device: torch.device) -> str | None:  # noqa: ARG002
        """It computes on processors, with ONNX and its own package installed."""
        if device.type != "cpu":
            return f"ONNX Runtime computes on the processor here, not on {device.type}"
        missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
        return f"{', '.join(missing)} missing: {_INSTALL}" if missing else None

    def load(self, networks: Sequence[nn.Module], window: tuple[int, ...]) -> Run:
        """Export the networks for a single window of known size, and optimise the graph: 5 to 20 s."""
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingDependencyError(f"this engine needs ONNX Runtime: {_INSTALL}") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        shape = (1, *window[1:])
        graph = to_onnx(Mean(networks), shape)
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        (entry,), (result,) = session.get_inputs(), session.get_outputs()

        def run(windows: Tensor) -> Tensor:
            windows = windows.contiguous()
            logits = torch.empty((len(windows), *result.shape[1:]))
            for one, found in zip(windows, logits, strict=True):  # views: nothing is copied
                binding = session.io_binding()
                binding.bind_input(entry.name, "cpu", 0, np.float32, shape, one.data_ptr())
                binding.bind_output(result.name, "cpu", 0, np.float32, result.shape, found.data_ptr())
                session.run_with_iobinding(binding)
            return logits

        return run


def to_onnx(
    network: nn.Module,
    window: tuple[int, ...],
    *,
    free: Mapping[int, Any] | None = None,
    names: tuple[str, str] = ("image", "logits"),
) -> bytes:
    """A network as an ONNX file that holds all weights itself.

    Args:
        network: In evaluation mode, on the processor.
        window: ``(b, c, *patch)``; the graph takes no other, but for what is free.
        free: Axes whose size may vary, and the symbol of `torch.export` for it. A batch that may vary must not be one.
        names: Of the input and the output.

    Raises:
        MissingDependencyError: ONNX is not installed.
        PlanError: The network has something that cannot be exported.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401  # torch's exporter needs both, and says so less plainly
    except ImportError as error:
        raise MissingDependencyError(f"ONNX takes onnx and onnxscript: {_INSTALL}") from error
    entry, result = names
    try:
        with _quiet():
            program = torch.onnx.export(
                network,
                (torch.zeros(window),),
                input_names=[entry],
                output_names=[result],
                dynamic_shapes=None if free is None else (dict(free),),
                dynamo=True,
                verbose=False,
            )
            assert program is not None  # as ever with dynamo=True
            file: bytes = program.model_proto.SerializeToString()
    except (torch.onnx.OnnxExporterError, RuntimeError, ValueError) as error:
        raise PlanError(f"ONNX cannot take this network: {' '.join(str(error).split())[:300]}") from error
    return file


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporter says of operators that we do not have and of torch's own older functions."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
