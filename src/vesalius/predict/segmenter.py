"""A bundle whose networks stand ready on a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vesalius.bundle import Bundle
from vesalius.errors import BundleError, PlanError
from vesalius.nets import NetworkSpec, build
from vesalius.nets.norm import channels_last
from vesalius.plan.device import find_device
from vesalius.predict.backends import Run, find_backend
from vesalius.predict.backends.eager import fast_eager


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
        backend: What computes the networks: ``"auto"`` for the fastest here, or one of `vesalius.predict.backends`.
    """

    bundle: Bundle
    device: torch.device
    members: tuple[int, ...]
    networks: tuple[nn.Module, ...]
    coarse: Segmenter | None
    partners: tuple[Segmenter, ...]
    backend: str = "auto"

    def run(self, window: tuple[int, ...], count: int) -> Run:  # noqa: ARG002
        """What computes windows of a shape; a `RunFor`.

        Args:
            window: ``(b, c, *patch)``.
            count: Batches to come, which decides whether it pays to make an engine ready.
        """
        engine = fast_eager(self.device) if self.backend == "auto" else find_backend(self.backend)
        return engine.load(self.networks, window)


def load_segmenter(
    bundle: Bundle | str | Path, *, device: str = "auto", members: Sequence[int] | None = None, backend: str = "auto"
) -> Segmenter:
    """Build the networks of a bundle on a device.

    Args:
        bundle: A bundle, the path of one, or the name of a built-in one.
        device: Where to compute: ``"auto"``, ``"cpu"``, ``"cuda"`` ….
        members: Numbers of the members to use, from 0: of the bundle, and of its partners and coarse stage as well,
            where these have more than one. All when left out.
        backend: What computes the networks, ``"auto"`` or one of `vesalius.predict.backends`.

    Raises:
        BundleError: The bundle cannot be read, its weights are not its network's, it has no such members, or it is the
            fine stage of a cascade without its coarse one.
        PlanError: There is no such device, or the backend is unknown or cannot compute this network.

    Example:
        >>> segmenter = load_segmenter("hippocampus", device="cpu")
        >>> len(segmenter.networks), segmenter.coarse
        (1, None)
    """
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    return _loaded(loaded, find_device(device), None if members is None else tuple(members), backend)


def _loaded(
    bundle: Bundle, device: torch.device, members: tuple[int, ...] | None, engine: str, *, inner: bool = False
) -> Segmenter:
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
        None if bundle.coarse is None else _loaded(bundle.coarse, device, members, engine, inner=True),
        tuple(_loaded(partner, device, members, engine, inner=True) for partner in bundle.partners),
        engine,
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
