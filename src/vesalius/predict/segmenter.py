"""A bundle whose networks stand ready on a device."""

from __future__ import annotations

import copy
import importlib.util
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vesalius.bundle import Bundle
from vesalius.errors import BundleError, PlanError
from vesalius.nets import NetworkSpec, build
from vesalius.nets.norm import channels_last
from vesalius.plan.device import find_device
from vesalius.predict.backends import BACKENDS, Run, find_backend, title_of
from vesalius.predict.backends.choice import Choice
from vesalius.predict.backends.eager import fast_eager
from vesalius.predict.backends.remembered import Setting, cache_folder, recall, remember, setting_of
from vesalius.predict.origin import bundle_digest

_SHAPES = 4  # of windows, whose engines are kept ready
_LOADING_S = {"openvino": (2.0, 0.02), "others": (10.0, 0.3)}
"""What it takes to make an engine ready, and for each array of weights. Source: docs/concepts/engines.md."""


@dataclass(frozen=True, eq=False)
class Segmenter:
    """A bundle whose networks stand ready on a device, for `segment` to use on many images.

    Args:
        bundle: What it was made of.
        device: Where the networks are.
        members: Numbers of the members that are used, from 0.
        networks: One for each of these members.
        coarse: The coarse stage of a cascade.
        partners: The segmenters whose probabilities are averaged with its own.
        backend: What computes the networks: ``"auto"`` for the fastest here, one of `vesalius.predict.backends`, or the
            folder of an export to OpenVINO.
        folder: The bundle's own, where it has one that can be written to: which engine was the fastest is kept there.
    """

    bundle: Bundle
    device: torch.device
    members: tuple[int, ...]
    networks: tuple[nn.Module, ...]
    coarse: Segmenter | None
    partners: tuple[Segmenter, ...]
    backend: str = "auto"
    folder: Path | None = None
    _choices: dict[tuple[int, ...], Choice] = field(default_factory=dict, init=False, repr=False)
    _choosing: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _batches: dict[str, int] = field(default_factory=dict, init=False, repr=False)

    def run(self, window: tuple[int, ...], count: int) -> Run:
        """What computes windows of a shape; a `RunFor`.

        A backend that was named is made ready at once. With ``"auto"`` the first windows are computed by PyTorch, in
        the number format that is fast on the device; when the work that was done and is to come pays for it, OpenVINO
        is tried (on a GPU, and where OpenVINO is not installed, compiled PyTorch), checked, and kept if it is faster.
        See `vesalius.predict.backends.choice.Choice`. What was found out is remembered for this bundle and machine,
        and engines stay ready for the next image with such windows. Threads may share a segmenter.

        Args:
            window: ``(b, c, *patch)``.
            count: Batches to come, which decides whether it pays to make an engine ready.

        Raises:
            PlanError: The backend does not take this network after all.
            MissingDependencyError: A package that it needs is not installed.
        """
        with self._choosing:
            choice = self._choices.get(window)
            if choice is None:
                choice = self._choice(window)
                if len(self._choices) == _SHAPES:
                    del self._choices[next(iter(self._choices))]
                self._choices[window] = choice
        ahead = count

        def run(windows: Tensor) -> Tensor:
            nonlocal ahead
            ahead = max(0, ahead - 1)
            logits, name = choice.compute(windows, ahead=ahead)
            self._batches[name] = self._batches.get(name, 0) + 1
            return logits

        return run

    @property
    def engines(self) -> dict[str, int]:
        """What has computed the networks, those of coarse stage and partners included: names, and how many batches."""
        total = dict(self._batches)
        for part in (self.coarse, *self.partners):
            for name, batches in ({} if part is None else part.engines).items():
                total[name] = total.get(name, 0) + batches
        return total

    def afresh(self) -> Segmenter:
        """The same segmenter, its engines as ready as they are, with nothing counted in `engines`: for one image."""
        same = copy.copy(self)
        object.__setattr__(same, "_batches", {})
        object.__setattr__(same, "coarse", None if self.coarse is None else self.coarse.afresh())
        object.__setattr__(same, "partners", tuple(partner.afresh() for partner in self.partners))
        return same

    def _choice(self, window: tuple[int, ...]) -> Choice:
        arrays = sum(1 for network in self.networks for _ in network.parameters())

        def load(name: str) -> Run:
            engine = find_backend(name if self.backend == "auto" else self.backend)
            why = engine.refuses(self.bundle.plan.network, self.device)
            if why is not None:
                raise PlanError(f"backend {name!r}: {why}")
            return engine.load(self.networks, window)

        def price_s(name: str) -> float:
            once, each = _LOADING_S["openvino" if name.startswith("openvino") else "others"]
            return once + each * arrays

        if self.backend != "auto":
            return Choice([[title_of(self.backend)]], load, price_s=price_s)
        lines, folders = lines_for(self.device), [*([] if self.folder is None else [self.folder]), cache_folder()]

        @cache
        def setting() -> Setting:
            members = ",".join(str(number) for number in self.members)
            return setting_of(self.device, window, f"{bundle_digest(self.bundle)} {members}")

        known = recall(folders, setting)
        if known in (first for first, *_ in lines):
            lines = [[known]]
        elif known in BACKENDS:
            lines = [[lines[0][0], known]]
        return Choice(
            lines,
            load,
            price_s=price_s,
            regions=self.bundle.plan.regions,
            proven=known in BACKENDS,
            settled=lambda name: remember(folders, setting(), name),
        )


def lines_for(device: torch.device) -> list[list[str]]:
    """The engines that `Choice` is to try on a device, fast number format first.

    Source: docs/concepts/engines.md: of the engines with the same number format none but these was ever the fastest.
    """
    fast = str(fast_eager(device).dtype).removeprefix("torch.")
    lines = []
    for dtype in (fast,) if fast == "float32" else (fast, "float32"):
        rivals = []
        if device.type == "cpu" and importlib.util.find_spec("openvino"):
            rivals = [f"openvino-{dtype}"]
        elif device.type in ("cpu", "cuda") and dtype == fast:
            rivals = ["torch-compiled"]
        lines.append([f"torch-{dtype}", *rivals])
    return lines


def load_segmenter(
    bundle: Bundle | str | Path,
    *,
    device: str = "auto",
    members: Sequence[int] | None = None,
    backend: str = "auto",
    folder: str | Path | None = None,
) -> Segmenter:
    """Build the networks of a bundle on a device.

    Args:
        bundle: A bundle, the path of one, or the name of a built-in one.
        device: Where to compute: ``"auto"``, ``"cpu"``, ``"cuda"`` ….
        members: Numbers of the members to use, from 0: of the bundle, and of its partners and coarse stage as well,
            where these have more than one. All when left out.
        backend: What computes the networks, ``"auto"``, one of `vesalius.predict.backends`, or the folder of an export
            to OpenVINO, made of these weights.
        folder: Where a `Bundle` was read from, so that it is known there which engine was the fastest. Of a path it is
            that path; anything but a folder counts as left out.

    Raises:
        BundleError: The bundle cannot be read, its weights are not its network's, it has no such members, or it is the
            fine stage of a cascade without its coarse one.
        PlanError: There is no such device, or the backend is unknown or cannot compute this network.

    Example:
        >>> segmenter = load_segmenter("hippocampus", device="cpu")
        >>> len(segmenter.networks), segmenter.coarse
        (1, None)
    """
    place = folder if isinstance(bundle, Bundle) else bundle
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    kept = None if place is None or not Path(place).is_dir() else Path(place)
    return _loaded(loaded, find_device(device), None if members is None else tuple(members), backend, kept)


def _loaded(
    bundle: Bundle,
    device: torch.device,
    members: tuple[int, ...] | None,
    engine: str,
    folder: Path | None,
    *,
    inner: bool = False,
) -> Segmenter:
    if engine not in ("auto", *BACKENDS) and (bundle.coarse or bundle.partners):
        raise PlanError("an exported graph stands for one network, and this bundle has several parts: name an engine")
    if engine != "auto" and (why := find_backend(engine).refuses(bundle.plan.network, device)) is not None:
        raise PlanError(f"backend {engine!r}: {why}")
    if bundle.plan.coarse_labels and bundle.coarse is None:
        raise BundleError("this is the fine stage of a cascade, and the bundle does not hold the coarse one")
    count = len(bundle.members)
    chosen = tuple(range(count)) if members is None or (inner and count == 1) else members
    if not chosen or len(set(chosen)) != len(chosen) or not all(0 <= number < count for number in chosen):
        raise BundleError(f"members must be different numbers of 0 to {count - 1}, not {list(chosen)}")
    return Segmenter(
        bundle,
        device,
        chosen,
        tuple(load_network(bundle.plan.network, bundle.members[number], device) for number in chosen),
        None if bundle.coarse is None else _loaded(bundle.coarse, device, members, engine, folder, inner=True),
        tuple(_loaded(partner, device, members, engine, folder, inner=True) for partner in bundle.partners),
        engine,
        folder,
    )


def load_network(spec: NetworkSpec, weights: Mapping[str, NDArray[Any]], device: torch.device) -> nn.Module:
    """Build a network and give it trained weights.

    Args:
        spec: The network that the plan describes.
        weights: ``{parameter: array}``, as the bundle holds them.
        device: Where it will run.

    Returns:
        The network, channels last, ready to be asked (``eval``).

    Raises:
        BundleError: The weights do not belong to the network.
    """
    with torch.device("meta"):  # without numbers: a plan that describes a network of a terabyte costs nothing
        described = {name: tuple(tensor.shape) for name, tensor in build(spec).state_dict().items()}
    if described != {name: np.shape(array) for name, array in weights.items()}:
        raise BundleError("the weights do not belong to the network that the plan describes")
    network = build(spec)
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    layout = channels_last(spec.ndim)
    return network.to(device, memory_format=layout).eval()  # type: ignore[call-overload,no-any-return]
