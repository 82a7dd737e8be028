"""OpenVINO's intermediate representation: for processors, and Intel's graphics and neural units."""

from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.errors import MissingDependencyError
from vesalius.export.describe import INPUT, OUTPUT
from vesalius.export.targets import Artefact, Model, Precision
from vesalius.predict.backends.openvino import import_openvino, to_graph

if TYPE_CHECKING:
    from torch import Tensor

    from vesalius.bundle import Bundle
    from vesalius.predict.backends import Run

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
RUNTIME = "openvino"
FILE = "model.xml"


def refuses(bundle: Bundle) -> str | None:  # noqa: ARG001
    """It takes every network."""
    return None


def write(model: Model, folder: Path) -> Artefact:
    """Write ``model.xml``, the graph, and ``model.bin``, the weights."""
    from vesalius.export.sizes import free_axes, size_symbols

    ov = import_openvino()
    free = free_axes(model.bundle.plan.network)
    graph = to_graph(model.network, tuple(model.windows.shape), free=size_symbols(free))
    graph.reshape(ov.PartialShape([-1 if axis in free else size for axis, size in enumerate(model.windows.shape)]))
    graph.input(0).get_tensor().set_names({INPUT})
    graph.output(0).get_tensor().set_names({OUTPUT})
    if model.precision == "int8":
        graph = _to_int8(graph, model.calibration)
    path = folder / FILE
    ov.save_model(graph, str(path), compress_to_fp16=model.precision == "fp16")
    return Artefact(path=path, free_axes=free, notes=(_in_bfloat16(model, path),))


def load(path: Path) -> Run:
    """Run it with OpenVINO on the processor, in float32."""
    return load_in(path, "f32")


def load_in(path: Path, precision: str) -> Run:
    """Run it with OpenVINO on the processor.

    Args:
        path: The graph; its weights lie beside it.
        precision: What is computed in: ``"f32"``, ``"bf16"`` or ``"f16"``.
    """
    import torch

    ov = import_openvino()
    core = ov.Core()
    compiled: dict[tuple[int, ...], Any] = {}

    def run(windows: Tensor) -> Tensor:
        shape = tuple(windows.shape)
        if shape not in compiled:
            graph = core.read_model(str(path))
            graph.reshape(shape)  # a graph of known sizes is the fastest
            compiled[shape] = core.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": precision})
        return torch.from_numpy(compiled[shape](windows.contiguous().numpy())[0].copy())

    return run


def _in_bfloat16(model: Model, path: Path) -> str:
    """What OpenVINO does unless it is told otherwise, and what that changes, measured where it can be."""
    from vesalius.export.parity import compare

    if "BF16" not in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return "on processors with matrix units OpenVINO computes in bfloat16 unless it is told not to; not tried here"
    exact, fast = load(path), load_in(path, "bf16")
    found = compare(exact, fast, [model.windows[:1]], source="", regions=model.bundle.plan.regions)
    return (
        "OpenVINO computes in bfloat16 here unless it is told not to (INFERENCE_PRECISION_HINT): then logits differ by "
        f"up to {found.max_difference:.2g} of {found.largest_logit:.3g} and {found.label_agreement:.3%} of labels agree"
    )


def _to_int8(graph: Any, calibration: tuple[Tensor, ...]) -> Any:
    """Quantise weights and activations by what they are on real windows."""
    try:
        import nncf
    except ImportError as error:
        raise MissingDependencyError("int8 for OpenVINO takes NNCF: pip install 'vesalius[export]'") from error
    logging.getLogger("nncf").setLevel(logging.ERROR)
    windows = [window.numpy() for window in calibration]
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
        return nncf.quantize(
            graph,
            nncf.Dataset(windows),
            preset=nncf.QuantizationPreset.MIXED,  # leaky activations are not symmetric
            subset_size=len(windows),
        )
