"""OpenVINO: the fastest there is on a processor."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import warnings
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vesalius.errors import MissingDependencyError, PlanError
from vesalius.nets import NetworkSpec
from vesalius.predict.backends.engine import Mean, Run


@dataclass(frozen=True)
class OpenVINO:
    """Networks as OpenVINO graphs, which it fuses, lays out and computes with the matrix units there are.

    The graph is made for a single window of known size; as many windows as a batch has are under way at once, each on
    its share of the threads. That takes 5 to 15 % less than batches do, and every window gets the same logits whichever
    others are in its batch. The mean over members is in the graph, so that they share the memory between layers, and
    is taken in float32. Figures: docs/concepts/engines.md.

    Args:
        precision: What convolutions compute in.
    """

    precision: Literal["f32", "bf16"]

    def refuses(self, network: NetworkSpec, device: torch.device) -> str | None:  # noqa: ARG002
        """It takes every network of ours, on processors; bfloat16 only where the processor has instructions for it."""
        why = refuses_device(device)
        if why is not None:
            return why
        if self.precision == "bf16" and "BF16" not in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            return "this processor has no instructions for bfloat16"
        return None

    def load(self, networks: Sequence[nn.Module], window: tuple[int, ...]) -> Run:
        """Export the networks, make a graph of them and compile it: 2 to 5 s, whatever the size of the window."""
        batch, *one = window
        graph = to_graph(Mean(networks), (1, *one))
        try:
            compiled = shared_core().compile_model(graph, "CPU", settings_for(batch, self.precision))
        except RuntimeError as error:
            raise PlanError(f"OpenVINO cannot compute this network: {' '.join(str(error).split())[:300]}") from error
        return run_graph(compiled)


def refuses_device(device: torch.device) -> str | None:
    """Why OpenVINO cannot compute there; None where it can."""
    if device.type != "cpu":
        return f"OpenVINO computes on the processor here, not on {device.type}"
    if importlib.util.find_spec("openvino") is None:
        return "OpenVINO is not installed: pip install openvino"
    return None


def settings_for(batch: int, precision: str) -> dict[str, Any]:
    """How a graph is compiled for so many windows at once.

    Args:
        batch: Windows that come together.
        precision: What convolutions compute in, ``"f32"`` or ``"bf16"``; empty for what is fastest.
    """
    return {
        **({"INFERENCE_PRECISION_HINT": precision} if precision else {}),
        "PERFORMANCE_HINT": "LATENCY" if batch == 1 else "THROUGHPUT",
        "PERFORMANCE_HINT_NUM_REQUESTS": batch,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "ENABLE_CPU_PINNING": False,  # processes side by side would sit on the same cores
    }


def run_graph(compiled: Any) -> Run:
    """Windows through a graph that was compiled for one of them, as many under way at once as it takes.

    What a window needs between the layers is kept for the next one: to get it anew from the system takes as long as
    computing a small window does.
    """
    openvino = import_openvino()
    _, *shape = compiled.outputs[0].shape
    most = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    idle: deque[Any] = deque()  # whose ends threads may use at once

    def shared(tensor: Tensor) -> Any:
        return openvino.Tensor(tensor.numpy(), shared_memory=True)

    # Idle requests hold these, of which no page was ever touched, instead of the windows and logits of the last call.
    nothing_in, nothing_out = shared(torch.empty(tuple(compiled.inputs[0].shape))), shared(torch.empty((1, *shape)))

    def free() -> Any:
        try:
            return idle.pop()
        except IndexError:
            return compiled.create_infer_request()

    def run(windows: Tensor) -> Tensor:
        windows = windows.contiguous()
        logits = torch.empty((len(windows), *shape))
        requests = [free() for _ in range(min(most, len(windows)))]
        for place in range(len(windows)):
            request = requests[place % len(requests)]
            request.wait()
            request.set_input_tensor(shared(windows[place : place + 1]))
            request.set_output_tensor(shared(logits[place : place + 1]))
            request.start_async()
        for request in requests:
            request.wait()
            request.set_input_tensor(nothing_in)
            request.set_output_tensor(nothing_out)
        idle.extend(requests)  # where one failed, all of them are left to go
        return logits

    return run


def to_graph(network: nn.Module, window: tuple[int, ...], *, free: Mapping[int, Any] | None = None) -> Any:
    """An `openvino.Model` of a network.

    It goes through `torch.export`, which computes nothing (tracing a window of 128³ would take as long as ten of
    OpenVINO's) and keeps what TorchScript loses: MONAI's UNETR and Swin UNETR come out of that wrong or not at all.
    Instance norm is kept whole, as OpenVINO has an operator for it; taken apart it costs a fifth more time.

    Args:
        network: In evaluation mode, on the processor.
        window: ``(b, c, *patch)``; the graph takes no other, but for what is free.
        free: Axes whose size may vary, and the symbol of `torch.export` for it. A batch that may vary must not be one.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
        PlanError: The network has something that cannot be exported.
    """
    import_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder
    from openvino.frontend.pytorch.torchdynamo.export_decompositions import ops_to_not_decompose
    from torch.export.decomp_utils import CustomDecompTable

    apart = CustomDecompTable()
    for operator in (*ops_to_not_decompose(), torch.ops.aten.instance_norm.default):
        with contextlib.suppress(KeyError):  # this torch does not take it apart anyhow
            apart.pop(operator)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # torch speaks of its own older functions
            sizes = None if free is None else (dict(free),)
            program = torch.export.export(network, (torch.zeros(window),), dynamic_shapes=sizes)
            program = program.run_decompositions(apart)
        frontend = FrontEndManager().load_by_framework("pytorch")
        # It must live until all is converted.
        decoder = TorchFXPythonDecoder(program.module(), dynamic_shapes=free is not None)
        graph = frontend.convert(frontend.load(decoder))
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise PlanError(f"OpenVINO does not take this network: {' '.join(str(error).split())[:300]}") from error
    for node in graph.get_ops():
        # OpenVINO 2026.4 has it that torch takes the first voxel where one is left of an axis; torch takes the middle.
        if node.get_attributes().get("coordinate_transformation_mode") == "pytorch_half_pixel":
            node.set_attribute("coordinate_transformation_mode", "half_pixel")
    return graph


def import_openvino() -> Any:
    """OpenVINO, without the reports on its use that it would send to its makers.

    Raises:
        MissingDependencyError: It is not installed.
    """
    # What is None in this table cannot be imported, and OpenVINO then does without.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise MissingDependencyError("this engine needs OpenVINO: pip install openvino") from error
    return openvino


@cache
def shared_core() -> Any:
    """The one core of this process, which all graphs are read and compiled by."""
    return import_openvino().Core()
