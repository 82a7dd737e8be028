"""ONNX: for ONNX Runtime on servers, desktops and in browsers, and the way into other frameworks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.errors import BundleError, MissingDependencyError
from vesalius.export.describe import INPUT, OUTPUT
from vesalius.export.sizes import free_axes, size_symbols
from vesalius.export.targets import Artefact, Model, Precision
from vesalius.predict.backends.onnxruntime import to_onnx

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vesalius.bundle import Bundle
    from vesalius.predict.backends import Run

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")
RUNTIME = "onnxruntime"
FILE = "model.onnx"
LARGEST = (1 << 31) - 1
"""Bytes of a file. Source: protobuf's limit of 2 GiB a message."""


def refuses(bundle: Bundle) -> str | None:
    """One file of protobuf holds no more than 2 GiB."""
    size = 4 * sum(array.size for weights in bundle.members for array in weights.values())
    if size > LARGEST:
        return f"its weights take {size / 2**30:.1f} GiB, and one ONNX file holds 2: choose openvino, or fewer members"
    return None


def write(model: Model, folder: Path) -> Artefact:
    """Write one file that holds the graph and all weights."""
    from vesalius.export.onnx_narrow import to_fp16, to_int8

    path = folder / FILE
    free = free_axes(model.bundle.plan.network)
    save(model.network, model.windows, free, path)
    if model.precision == "fp16":
        to_fp16(path)
    elif model.precision == "int8":
        to_int8(path, model.calibration)
    return Artefact(path=path, free_axes=free)


def save(network: nn.Module, windows: Tensor, free: dict[int, int], path: Path) -> None:
    """Write a network as ONNX, in one file.

    Args:
        network: In evaluation mode.
        windows: ``(b, c, *patch)`` to trace it with; where the batch is free there must be two at least.
        free: As for `Artefact`.
        path: The file.

    Raises:
        MissingDependencyError: ONNX is not installed.
        PlanError: The network has an operator that ONNX does not know.
    """
    symbols = size_symbols(free) if free else None
    path.write_bytes(to_onnx(network, tuple(windows.shape), free=symbols, names=(INPUT, OUTPUT)))
    import onnx

    onnx.checker.check_model(str(path))


def load(path: Path) -> Run:
    """Run it with ONNX Runtime on the processor.

    Raises:
        BundleError: It is no ONNX file, or keeps weights in other files: those may lie anywhere.
        MissingDependencyError: ONNX Runtime is not installed.
    """
    import torch

    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError("to check ONNX takes ONNX Runtime: pip install 'vesalius[export]'") from error
    refuse_external_data(path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(windows: Tensor) -> Tensor:
        (found,) = session.run([OUTPUT], {INPUT: windows.contiguous().numpy()})
        return torch.from_numpy(found)

    return run


def refuse_external_data(path: Path) -> None:
    """Make sure that an ONNX file holds all its weights itself.

    A tensor may name a file instead of holding values, anywhere on the disk, and runtimes read it. What `export`
    writes has no such tensor, so that none is right.

    Args:
        path: The file.

    Raises:
        BundleError: It names other files, is larger than one can be, or is no ONNX file.
    """
    import onnx
    from google.protobuf.message import DecodeError

    if path.stat().st_size > LARGEST:
        raise BundleError(f"{path.name} is larger than an ONNX file can be")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except DecodeError:
        raise BundleError(f"{path.name} is not an ONNX file") from None
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise BundleError(
                f"{path.name} keeps weights in other files, which may lie anywhere: it must hold all of them itself"
            )


def _tensors(message: Any) -> Iterator[Any]:
    """Every tensor in a message of protobuf, however deep: initialisers, attributes, subgraphs, functions."""
    waiting = [message]
    while waiting:
        one = waiting.pop()
        if one.DESCRIPTOR.name == "TensorProto":
            yield one
        for field, value in one.ListFields():
            if field.message_type is not None:
                waiting += value if field.is_repeated else [value]
