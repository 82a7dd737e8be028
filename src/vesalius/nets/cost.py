"""What a network costs: parameters, multiply-adds, memory. Counted on torch's meta device, which holds no numbers."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from vesalius.errors import PlanError
from vesalius.nets import build
from vesalius.nets.field import receptive_field
from vesalius.nets.norm import channels_last
from vesalius.nets.spec import NetworkSpec, Sizes, divisor


def parameter_count(spec: NetworkSpec) -> int:
    """How many numbers training changes.

    Args:
        spec: The network.

    Example:
        >>> from vesalius.nets import CNNSpec
        >>> lenet = CNNSpec(ndim=2, in_channels=1, out_channels=10, patch=(28, 28), features=(20, 50), hidden=(500,),
        ...                 kernels=((5, 5), (5, 5)), pools=((2, 2), (2, 2)), norm="none")
        >>> parameter_count(lenet)
        431080
    """
    return sum(p.numel() for p in _hollow(spec).parameters())


@lru_cache(maxsize=1024)
def multiply_adds(spec: NetworkSpec, patch: Sizes) -> int:
    """Multiplications with addition in all convolutions and matrix products of one forward pass.

    A training step takes about three times as many.

    Args:
        spec: The network; deep supervision's coarser heads, which cost next to nothing, are left out.
        patch: Size of the image, voxels, a multiple of `divisor`.

    Raises:
        PlanError: The patch does not fit.

    Example:
        >>> from vesalius.nets import UNetSpec
        >>> multiply_adds(UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16)), (64, 64))
        13860864
    """
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        _hollow(spec).eval()(_hollow_image(spec, patch, 1))
    return int(counter.get_total_flops()) // 2


@lru_cache(maxsize=1024)
def activation_bytes(spec: NetworkSpec, patch: Sizes, *, batch: int = 1, value_bytes: int = 4) -> int:
    """Memory that a training step keeps between the way forward and the way back.

    It is what autograd saves, each buffer counted once, on the channels-last path of a processor. Weights, gradients,
    the optimiser's state and the scratch space of single operations come on top.

    Args:
        spec: The network.
        patch: Size of the image, voxels, a multiple of `divisor`.
        batch: Images at once.
        value_bytes: Of one number: 4 for single precision, 2 for bf16 or half.

    Raises:
        PlanError: The patch does not fit.
    """
    weights: set[int] = set()
    kept: dict[int, tuple[Any, int]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            # The storage itself is held, so that its address is not given to another one meanwhile.
            kept[storage._cdata] = (storage, storage.nbytes() * value_bytes // tensor.element_size())
        return tensor

    net = _hollow(spec)
    weights.update(p.untyped_storage()._cdata for p in net.parameters())
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = net(_hollow_image(spec, patch, batch))
    del logits
    return sum(size for _, size in kept.values())


@lru_cache(maxsize=1024)
def forward_bytes(spec: NetworkSpec, patch: Sizes, *, batch: int = 1, value_bytes: int = 4) -> int:
    """Memory that the tensors of a forward pass take at most at a time, when nothing is kept for a way back.

    Operator by operator, on the channels-last path of a processor; the image and the result are counted, the weights
    and the scratch space of single operations are not.

    Args:
        spec: The network.
        patch: Size of the image, voxels, a multiple of `divisor`.
        batch: Images at once.
        value_bytes: Of one number: 4 for single precision, 2 for bf16 or half.

    Raises:
        PlanError: The patch does not fit.

    Example:
        >>> from vesalius.nets import UNetSpec
        >>> net = UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16))
        >>> forward_bytes(net, (64, 64), batch=2) == 2 * forward_bytes(net, (64, 64))
        True
    """
    net = _hollow(spec).eval()
    image = _hollow_image(spec, patch, batch)
    alive = _Alive({p.untyped_storage()._cdata for p in (*net.parameters(), *net.buffers())})
    alive.count(image)
    with torch.no_grad(), alive:
        net(image)
    return alive.peak * value_bytes // image.element_size()


class _Alive(TorchDispatchMode):
    """Adds up the storages that operators make, until they go."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known = known
        self.total = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self.count(tensor)
        return made

    def count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self.known:
            self.known.add(storage._cdata)
            self.total += storage.nbytes()
            self.peak = max(self.peak, self.total)
            weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())

    def _gone(self, storage: int, size: int) -> None:
        self.known.discard(storage)
        self.total -= size


def describe(
    spec: NetworkSpec, *, patch: Sequence[int] | None = None, batch: int = 1, value_bytes: int = 4
) -> dict[str, Any]:
    """A network in figures.

    Args:
        spec: The network.
        patch: Size of the image, voxels; without it, what depends on it is left out.
        batch: Images at once.
        value_bytes: Of one number.

    Returns:
        ``architecture``, ``parameters``, ``receptive_field`` and ``divisor`` (voxels on each axis; None where the field
        is all of the patch); with a patch also ``multiply_adds`` (of one image) and ``activation_bytes`` (of a batch
        while training).

    Raises:
        PlanError: The patch does not fit.

    Example:
        >>> from vesalius.nets import UNetSpec
        >>> describe(UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16)))
        {'architecture': 'unet', 'parameters': 6522, 'receptive_field': (15, 15), 'divisor': (2, 2)}
    """
    found: dict[str, Any] = {
        "architecture": spec.architecture,
        "parameters": parameter_count(spec),
        "receptive_field": receptive_field(spec),
        "divisor": divisor(spec),
    }
    if patch is not None:
        size = tuple(patch)
        found["multiply_adds"] = multiply_adds(spec, size)
        found["activation_bytes"] = activation_bytes(spec, size, batch=batch, value_bytes=value_bytes)
    return found


def _hollow(spec: NetworkSpec) -> nn.Module:
    with torch.device("meta"):
        net = build(spec)
    return net.to(memory_format=channels_last(spec.ndim))  # type: ignore[call-overload, no-any-return]


def _hollow_image(spec: NetworkSpec, patch: Sizes, batch: int) -> Tensor:
    if len(patch) != spec.ndim or any(n < 1 for n in patch) or batch < 1:
        raise PlanError(f"a patch of a {spec.ndim}D network is {spec.ndim} positive sizes, not {patch}, batch {batch}")
    image = torch.empty(batch, spec.in_channels, *patch, device="meta")
    return image.contiguous(memory_format=channels_last(spec.ndim))
