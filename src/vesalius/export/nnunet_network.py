"""nnU-Net's networks in our words: the spec, and its weights under our names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from vesalius.bundle import Weights
from vesalius.errors import BundleError
from vesalius.export.checkpoints import tensor_of
from vesalius.nets import SlicesSpec, UNetSpec, build

Change = Callable[[NDArray[np.float32]], NDArray[np.float32]]
_IDLE = (".conv.bias", ".all_modules.0.bias", "seg_layers.0.weight", "seg_layers.0.bias")


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A PlainConvUNet or ResidualEncoderUNet, in its own words and order of axes.

    Args:
        residual: Whether the encoder is made of residual blocks.
        features: Channels of each stage, finest first.
        kernels: Of each stage.
        strides: Of each stage; all ones at first.
        encoder_blocks: Convolutions or residual blocks of each stage.
        decoder_blocks: Convolutions of each stage of the way up, coarsest first.
    """

    residual: bool
    features: tuple[int, ...]
    kernels: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[int, ...], ...]
    encoder_blocks: tuple[int, ...]
    decoder_blocks: tuple[int, ...]


def spec_of(architecture: Architecture, in_channels: int, out_channels: int, order: Sequence[int]) -> UNetSpec:
    """The network as a spec.

    Args:
        architecture: In nnU-Net's words.
        in_channels: Of the image.
        out_channels: Logits.
        order: For each of our axes, nnU-Net's.

    Raises:
        PlanError: A number is out of range.
    """

    def turned(stages: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(sizes[axis] for axis in order) for sizes in stages)

    ndim: Literal[2, 3] = 3 if len(order) == 3 else 2
    return UNetSpec(
        ndim=ndim,
        in_channels=in_channels,
        out_channels=out_channels,
        features=architecture.features,
        strides=turned(architecture.strides),
        kernels=turned(architecture.kernels),
        encoder_blocks=architecture.encoder_blocks,
        decoder_blocks=tuple(reversed(architecture.decoder_blocks)),
        residual=architecture.residual,
        deep_supervision=True,
    )


def weights_of(tensors: Mapping[str, Any], network: UNetSpec | SlicesSpec, order: Sequence[int], file: str) -> Weights:
    """nnU-Net's weights under our names, their axes turned.

    The bias of a convolution is left out: the norm that follows takes it away again. So are the scores of the coarsest
    resolution, which have no part in the result and nothing to teach.

    Args:
        tensors: ``network_weights`` of a checkpoint.
        network: Of `spec_of`, perhaps run over the slices of 3D images.
        order: For each of its axes, nnU-Net's.
        file: For messages.

    Raises:
        BundleError: Tensors are missing, unexpected, or of another shape or kind.
    """
    spec, prefix = (network, "") if isinstance(network, UNetSpec) else (network.inner, "inner.")
    assert isinstance(spec, UNetSpec)  # nnU-Net has no other
    with torch.device("meta"):
        wanted = {name: tuple(tensor.shape) for name, tensor in build(network).state_dict().items()}
    made: dict[str, NDArray[Any]] = {}
    used: set[str] = set()
    for part in _parts(spec, order):
        found = tensor_of(tensors, _names(part.theirs), part.shape, file)
        used.update(_names(part.theirs))
        made[prefix + part.ours] = np.ascontiguousarray(part.change(found), dtype=np.float32)
    strange = sorted(str(name) for name in tensors if name not in used and not str(name).endswith(_IDLE))
    if strange:
        raise BundleError(
            f"{file}: the network described has no such tensors: {', '.join(strange[:5])}"
            + (f" and {len(strange) - 5} more" if len(strange) > 5 else "")
        )
    assert {name: array.shape for name, array in made.items()} == wanted
    return made


@dataclass(frozen=True)
class _Part:
    """One of our tensors, the name and shape of nnU-Net's, and how to get from one to the other."""

    ours: str
    theirs: str
    shape: tuple[int, ...]
    change: Change


def _parts(spec: UNetSpec, order: Sequence[int]) -> Iterator[_Part]:
    stages = len(spec.features)
    if spec.residual:
        yield from _convolution(
            "stem", "encoder.stem.convs.0", spec.in_channels, spec.features[0], spec.kernels[0], order
        )
    for stage, features in enumerate(spec.features):
        first = spec.in_channels if stage == 0 else spec.features[stage - 1]
        if spec.residual and stage == 0:
            first = features
        for at in range(spec.encoder_blocks[stage]):
            inputs, ours, kernel = first if at == 0 else features, f"encoder.{stage}.{at}", spec.kernels[stage]
            if not spec.residual:
                theirs = f"encoder.stages.{stage}.0.convs.{at}"
                yield from _convolution(ours, theirs, inputs, features, kernel, order)
                continue
            theirs = f"encoder.stages.{stage}.blocks.{at}"
            yield from _convolution(f"{ours}.body.0", f"{theirs}.conv1", inputs, features, kernel, order)
            yield from _convolution(f"{ours}.body.1", f"{theirs}.conv2", features, features, kernel, order)
            if inputs != features:
                steps = at == 0 and any(step != 1 for step in spec.strides[stage])
                skip = f"{theirs}.skip.{1 if steps else 0}"  # behind the average over the step
                yield from _convolution(f"{ours}.project", skip, inputs, features, (1,) * spec.ndim, order)
    for level in range(stages - 1):
        fine, coarse, place = spec.features[level], spec.features[level + 1], stages - 2 - level
        yield from _up(f"up.{level}.conv", f"decoder.transpconvs.{place}", coarse, fine, spec.strides[level + 1], order)
        for at in range(spec.decoder_blocks[level]):
            yield from _convolution(
                f"decoder.{level}.{at}",
                f"decoder.stages.{place}.convs.{at}",
                2 * fine if at == 0 else fine,
                fine,
                spec.kernels[level],
                order,
            )
    yield from _heads(spec)


def _convolution(
    ours: str, theirs: str, inputs: int, outputs: int, kernel: Sequence[int], order: Sequence[int]
) -> Iterator[_Part]:
    shape = (outputs, inputs, *_back(kernel, order))
    yield _Part(f"{ours}.conv.weight", f"{theirs}.conv.weight", shape, _turning(2, order))
    for name in ("weight", "bias"):
        yield _Part(f"{ours}.norm.{name}", f"{theirs}.norm.{name}", (outputs,), _as_it_is)


def _up(
    ours: str, theirs: str, inputs: int, outputs: int, stride: Sequence[int], order: Sequence[int]
) -> Iterator[_Part]:
    """A transposed convolution as a 1x1 convolution to one set of channels for each place in its window."""
    n, places = len(stride), math.prod(stride)

    def sets(weight: NDArray[np.float32]) -> NDArray[np.float32]:
        turned = _turning(2, order)(weight)  # (inputs, outputs, *window)
        return turned.transpose(*range(2, 2 + n), 1, 0).reshape(places * outputs, inputs, *(1,) * n)

    yield _Part(f"{ours}.weight", f"{theirs}.weight", (inputs, outputs, *_back(stride, order)), sets)
    yield _Part(f"{ours}.bias", f"{theirs}.bias", (outputs,), lambda bias: np.tile(bias, places))


def _heads(spec: UNetSpec) -> Iterator[_Part]:
    stages, one = len(spec.features), (1,) * spec.ndim
    for level in range(max(1, stages - 2)):
        theirs = f"decoder.seg_layers.{stages - 2 - level}"
        shape = (spec.out_channels, spec.features[level], *one)
        yield _Part(f"heads.{level}.weight", f"{theirs}.weight", shape, _as_it_is)
        yield _Part(f"heads.{level}.bias", f"{theirs}.bias", (spec.out_channels,), _as_it_is)


def _names(theirs: str) -> tuple[str, ...]:
    """All names that a state dictionary gives a tensor: blocks list their layers again, and decoders their encoder."""
    block, _, part = theirs.rpartition(".")
    holder, _, kind = block.rpartition(".")
    places = {"conv": (0,), "norm": (1, 2)}.get(kind, ())  # 2 behind a dropout
    names = [theirs, *(f"{holder}.all_modules.{place}.{part}" for place in places)]
    if theirs.startswith("encoder."):
        names += [f"decoder.{name}" for name in names]
    return tuple(names)


def _back(sizes: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """Sizes in our order of axes, in nnU-Net's."""
    return tuple(sizes[list(order).index(axis)] for axis in range(len(order)))


def _turning(leading: int, order: Sequence[int]) -> Change:
    axes = (*range(leading), *(leading + axis for axis in order))
    return lambda array: array.transpose(axes)


def _as_it_is(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return array
