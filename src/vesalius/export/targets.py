"""What a bundle can be exported to, and what the module of a target offers."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

from vesalius.errors import PlanError, unknown_name

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vesalius.bundle import Bundle
    from vesalius.predict.backends import Run

Precision = Literal["fp32", "fp16", "int8"]
"""Of what is written: as trained, weights in half precision, or weights and activations in whole numbers of 8 bits."""

TARGETS: dict[str, str] = {
    "onnx": "vesalius.export.onnx",
    "openvino": "vesalius.export.openvino",
    "torchscript": "vesalius.export.torchscript",
    "litert": "vesalius.export.litert",
    "executorch": "vesalius.export.executorch",
    "browser": "vesalius.export.browser",
    "monai-bundle": "vesalius.export.monai_bundle",
}
"""The module of each target; see `Target`. It is imported when it is asked for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Model:
    """What is exported: one network, and all that a target may want to know of it.

    Args:
        bundle: What it was made of. Its coarse stage and partners are models of their own.
        network: Normalised windows ``(b, c, *patch)`` to logits ``(b, outputs, *patch)``, the mean over the bundle's
            members; in evaluation mode, float32, on the processor.
        windows: ``(b, c, *patch)`` float32, at least two, to trace the network with.
        precision: What is wanted, one of the target's.
        calibration: For int8: windows ``(1, c, *patch)`` of real cases.
        runtime: Where the runtime's files are, for a target that puts them beside the network; the current folder when
            left out.
    """

    bundle: Bundle
    network: nn.Module
    windows: Tensor
    precision: Precision = "fp32"
    calibration: tuple[Tensor, ...] = ()
    runtime: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """What a target wrote.

    Args:
        path: The file or folder that its `Target.load` takes, inside the folder that it was given.
        free_axes: Axes of the input ``(b, c, *patch)`` that may have another size than the plan's, and the whole
            number that the size must be a multiple of: ``{0: 1}`` is a batch of any size. A larger one is tried.
        notes: What a user must know, in sentences.
        mirrored: Whether the network that was written averages over the plan's mirror images by itself.
    """

    path: Path
    free_axes: dict[int, int]
    notes: tuple[str, ...] = ()
    mirrored: bool = False


class Target(Protocol):
    """What the module of a target offers. Importing it imports no runtime."""

    PRECISIONS: tuple[Precision, ...]
    """What it can write."""
    RUNTIME: str
    """The distribution that runs what is written, whose version is told in the report."""

    def refuses(self, bundle: Bundle) -> str | None:
        """Why it cannot take this bundle, or a part of it; None where it can.

        It is asked for the whole bundle first, then for its coarse stage and its partners.
        """

    def write(self, model: Model, folder: Path) -> Artefact:
        """Write a model into an empty folder.

        Raises:
            MissingDependencyError: What it needs is not installed; the message names the extra.
            PlanError: The runtime cannot take this network after all.
        """

    def load(self, path: Path) -> Run:
        """Make what was written ready to run, in its own runtime, as exactly as that can: for the parity check."""


def find_target(name: str) -> Target:
    """The module of a target.

    Raises:
        PlanError: There is no such target.

    Example:
        >>> find_target("onnx").RUNTIME
        'onnxruntime'
    """
    if name not in TARGETS:
        raise PlanError(unknown_name("export target", name, TARGETS))
    return cast(Target, import_module(TARGETS[name]))
