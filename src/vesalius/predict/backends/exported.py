"""The graph that ``vesalius export --to openvino`` wrote, quantised or not, as an engine for its own bundle."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vesalius.bundle.parts import digest
from vesalius.bundle.tensors import exact_precision, weights_to_bytes
from vesalius.errors import BundleError, PlanError
from vesalius.nets import NetworkSpec
from vesalius.predict.backends.engine import Run
from vesalius.predict.backends.openvino import refuses_device, run_graph, settings_for, shared_core

DESCRIPTION = "vesalius.json"
_LARGEST = 1 << 24  # bytes of the description
_HINT = {"fp32": "f32", "fp16": "f32", "int8": ""}  # of int8 what is left in floating point may go as fast as it can


@dataclass(frozen=True)
class Exported:
    """A graph in a folder of `vesalius.export`; `read_exported` makes one.

    Args:
        folder: That holds it.
        precision: It was written in: ``"fp32"``, ``"fp16"`` or ``"int8"``.
        graph: The name of its file; the weights lie beside it.
        files: SHA-256 of each file, by name.
        weights: SHA-256 of the weights of each network that it is the mean of.
    """

    folder: Path
    precision: str
    graph: str
    files: tuple[tuple[str, str], ...]
    weights: tuple[str, ...]

    @property
    def name(self) -> str:
        """What results say of it: ``"openvino-int8"`` and so on."""
        return f"openvino-{self.precision}"

    def refuses(self, network: NetworkSpec, device: torch.device) -> str | None:  # noqa: ARG002
        """It computes on processors; whether it is this network is looked at when it is loaded."""
        return refuses_device(device)

    def load(self, networks: Sequence[nn.Module], window: tuple[int, ...]) -> Run:
        """Compile the graph for windows of this size, if it was made of these very networks.

        Raises:
            BundleError: It was made of other weights, or a file is not the one that was written.
            PlanError: It takes no windows of this size.
        """
        found = []
        for network in networks:
            arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
            found.append(digest(weights_to_bytes(arrays, precision=exact_precision(arrays))))
        if tuple(found) != self.weights:
            raise BundleError(
                f"{self.folder.name}: was exported from other weights than those of this segmenter"
                + (", or from other members" if len(self.weights) != len(found) else "")
                + ": export this one"
            )
        for name, expected in self.files:
            with (self.folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    raise BundleError(f"{self.folder.name}: {name} is not the file that was exported: export it anew")
        batch, *one = window
        try:
            graph = shared_core().read_model(self.folder / self.graph)
            graph.reshape([1, *one])
            compiled = shared_core().compile_model(graph, "CPU", settings_for(batch, _HINT[self.precision]))
        except RuntimeError as error:
            size = " x ".join(str(edge) for edge in one[1:])
            raise PlanError(
                f"{self.folder.name}: takes no windows of {size} voxels; export this segmenter anew"
            ) from error
        return run_graph(compiled)


def read_exported(folder: Path) -> Exported:
    """What a folder of ``vesalius export --to openvino`` holds.

    Args:
        folder: That was written.

    Raises:
        BundleError: It is none, is damaged, is of another target, or has several parts (a cascade, an ensemble of
            configurations), of which each would need its own.

    Example:
        >>> import tempfile
        >>> read_exported(Path(tempfile.mkdtemp()))
        Traceback (most recent call last):
        vesalius.errors.BundleError: ...: there is no vesalius.json in this folder, so it is no export
    """
    try:
        with (folder / DESCRIPTION).open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError:
        raise BundleError(f"{folder.name}: there is no {DESCRIPTION} in this folder, so it is no export") from None
    try:
        told = json.loads(text) if len(text) <= _LARGEST else None
        found = _parsed(folder, told)
    except (KeyError, TypeError, ValueError, RecursionError):
        raise BundleError(f"{folder.name}: {DESCRIPTION} is damaged") from None
    if found is None:
        raise BundleError(
            f"{folder.name}: is no export of a single network to OpenVINO, the only kind that can be an engine"
        )
    return found


def _parsed(folder: Path, told: Any) -> Exported | None:
    if (told["format"], told["version"], told["target"]) != ("vesalius export", 1, "openvino") or told["parts"]:
        return None
    files = {str(name): str(sha256) for name, sha256 in told["files"].items()}
    graph = str(told["artefact"])
    # Names only: nothing outside the folder is opened.
    if graph not in files or any(Path(name).name != name for name in files) or told["precision"] not in _HINT:
        raise ValueError("names")
    return Exported(
        folder, str(told["precision"]), graph, tuple(sorted(files.items())), tuple(map(str, told["weights_sha256"]))
    )
