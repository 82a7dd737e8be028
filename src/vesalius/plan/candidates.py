"""The sizes in which each network comes, from the largest to the smallest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from vesalius.errors import PlanError, unknown_name
from vesalius.nets import NetworkSpec
from vesalius.nets.specs.cnn import CNNSpec
from vesalius.nets.specs.encoder import Encoder
from vesalius.nets.specs.encoder_unet import EncoderUNetSpec
from vesalius.nets.specs.fcn import FCNSpec
from vesalius.nets.specs.mednext import MedNeXtSpec
from vesalius.nets.specs.recurrent_unet import RecurrentUNetSpec
from vesalius.nets.specs.segresnet import SegResNetSpec
from vesalius.nets.specs.slices import PlainSpec, SlicesSpec
from vesalius.nets.specs.swin_unetr import SwinUNETRSpec
from vesalius.nets.specs.unet import RESIDUAL_BLOCKS, UNetSpec
from vesalius.nets.specs.unetr import TOKEN, UNETRSpec
from vesalius.plan import topology

Network = Literal[
    "unet",
    "residual_unet",
    "attention_unet",
    "recurrent_unet",
    "encoder_unet",
    "fcn",
    "cnn",
    "segresnet",
    "swin_unetr",
    "unetr",
    "mednext",
]

# Base features and whether the finest stage is left out, for 2 and 3 axes, ordered by the time of a step.
# Convolutions of 24 features take as long as those of 32: the processor works in blocks of 16.
_UNETS = {
    2: ((32, False), (48, True), (16, False), (32, True), (16, True)),
    3: ((32, False), (16, False), (48, True), (32, True), (16, True)),
}
_LIGHT_BLOCKS = (1, 2, 2, 2, 2, 2, 2, 2)  # of a residual encoder for budgets that nnU-Net's does not suit
_ENCODER_WIDTHS = {2: (1.0, 0.5, 0.25), 3: (0.5, 0.25, 0.125)}
_CNN_FEATURES = ((32, 64, 64), (16, 32, 32), (8, 16, 16))
_MEDNEXTS: tuple[tuple[Literal["S", "B", "M", "L"], int], ...] = (("L", 32), ("M", 32), ("B", 32), ("S", 32), ("S", 16))
WITH_ENCODER: tuple[Network, ...] = ("encoder_unet", "fcn")
"""The networks that are made of a classifier's encoder."""


@dataclass(frozen=True)
class Task:
    """What a network has to do.

    Args:
        in_channels: Channels that it sees.
        out_channels: Logits that it gives.
        patch_size: Voxels on each axis that it sees at once.
        spacing_mm: Of each axis.
        slices: In 3D, the axis across which a 2D network goes through the slices and the number of neighbours on
            either side that it sees; None for a network with as many axes as the patch.
        encoder: Of the networks that are made of one; None for the sizes that suit the budget.
    """

    in_channels: int
    out_channels: int
    patch_size: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    slices: tuple[int, int] | None = None
    encoder: Encoder | None = None

    @property
    def ndim(self) -> Literal[2, 3]:
        """Axes of the patch."""
        return 3 if len(self.patch_size) == 3 else 2


Sizes = list[tuple[str, PlainSpec]]


def network_sizes(network: Network, task: Task) -> list[tuple[str, NetworkSpec]]:
    """The specs of a network that suit a task, with a few words about each, largest first.

    Args:
        network: Which.
        task: What it has to do.

    Raises:
        PlanError: The network is unknown, it has no encoder to choose, or it cannot do the task.

    Example:
        >>> task = Task(1, 3, (64, 64, 8), (1.0, 1.0, 5.0), slices=(2, 1))
        >>> words, spec = network_sizes("unet", task)[0]
        >>> words, spec.architecture, spec.in_channels
        ('U-Net, 32 features at full resolution, on each slice and its 2 neighbours', 'slices', 1)
    """
    if network not in get_args(Network):
        raise PlanError(unknown_name("network", str(network), get_args(Network)))
    if task.encoder is not None and network not in WITH_ENCODER:
        raise PlanError(f"an encoder can be chosen for {' and '.join(WITH_ENCODER)}, not for the network {network!r}")
    if task.encoder is not None and task.encoder not in get_args(Encoder):
        raise PlanError(unknown_name("encoder", str(task.encoder), get_args(Encoder)))
    if network == "recurrent_unet":
        return _recurrent(task)
    if task.slices is None:
        return [(words, spec) for words, spec in _FAMILIES[network](task)]
    axis, context = task.slices
    seen = f"on each slice and its {2 * context} neighbours" if context else "on each slice by itself"
    flat = _in_plane(task, seen=2 * context + 1)
    return [
        (f"{words}, {seen}", SlicesSpec(inner=spec, axis=axis, context=context))
        for words, spec in _FAMILIES[network](flat)
    ]


def encoder_of(spec: NetworkSpec) -> Encoder | None:
    """The classifier's encoder that a network is made of, if it is."""
    inner = spec.inner if isinstance(spec, SlicesSpec) else spec
    return inner.encoder if isinstance(inner, EncoderUNetSpec | FCNSpec) else None


def takes_one_size(spec: NetworkSpec) -> bool:
    """Whether a network takes images of one size alone, so that its patch cannot be changed without it."""
    return isinstance(spec.inner if isinstance(spec, SlicesSpec) else spec, UNETRSpec)


def _in_plane(task: Task, *, seen: int) -> Task:
    """The same for a 2D network that sees so many slices as channels."""
    assert task.slices is not None
    axis, _ = task.slices
    return replace(
        task,
        in_channels=seen * task.in_channels,
        patch_size=tuple(n for a, n in enumerate(task.patch_size) if a != axis),
        spacing_mm=tuple(s for a, s in enumerate(task.spacing_mm) if a != axis),
        slices=None,
    )


def _unet(
    task: Task, base: int, strided_stem: bool, *, blocks: Sequence[int] | None = None, attention: bool = False
) -> UNetSpec:
    kernels, strides = topology.topology(task.patch_size, task.spacing_mm, strided_stem=strided_stem)
    stages = len(strides)
    return UNetSpec(
        ndim=task.ndim,
        in_channels=task.in_channels,
        out_channels=task.out_channels,
        features=topology.features(base, stages, task.ndim),
        strides=strides,
        kernels=kernels,
        encoder_blocks=tuple(blocks[:stages]) if blocks else (2,) * stages,
        decoder_blocks=(1,) * (stages - 1),
        residual=blocks is not None,
        attention=attention and stages > 2,  # there is no skip to gate but the finest, which has no gate
        deep_supervision=stages > 2,
    )


def _words(base: int, strided_stem: bool) -> str:
    return f"{base} features at {'half' if strided_stem else 'full'} resolution"


def _unets(task: Task) -> Sizes:
    return [(f"U-Net, {_words(base, stem)}", _unet(task, base, stem)) for base, stem in _UNETS[task.ndim]]


def _attention_unets(task: Task) -> Sizes:
    return [
        (f"attention U-Net, {_words(base, stem)}", _unet(task, base, stem, attention=True))
        for base, stem in _UNETS[task.ndim]
    ]


def _residual_unets(task: Task) -> Sizes:
    """nnU-Net's residual encoder in full, then with fewer blocks, then at half the resolution."""
    sizes = (
        (32, False, RESIDUAL_BLOCKS),
        (32, False, _LIGHT_BLOCKS),
        (32, True, RESIDUAL_BLOCKS),
        (32, True, _LIGHT_BLOCKS),
        (16, True, _LIGHT_BLOCKS),
    )
    return [
        (
            f"residual U-Net, {_words(base, stem)}, {'-'.join(map(str, blocks[:4]))} … blocks",
            _unet(task, base, stem, blocks=blocks),
        )
        for base, stem, blocks in sizes
    ]


def _recurrent(task: Task) -> list[tuple[str, NetworkSpec]]:
    if task.slices is None:
        raise PlanError("the network 'recurrent_unet' goes from slice to slice: it takes the configuration '2.5d'")
    flat = _in_plane(task, seen=1)
    return [
        (f"recurrent {words}", RecurrentUNetSpec(inner=_unet(flat, base, stem), axis=task.slices[0]))
        for (words, _), (base, stem) in zip(_unets(flat), _UNETS[2], strict=True)
    ]


def _encoders(task: Task, default: Encoder) -> list[tuple[Encoder, float]]:
    """An encoder that was asked for comes as it was published, so that its weights fit; the default in three widths."""
    if task.encoder is not None:
        return [(task.encoder, 1.0)]
    return [(default, width) for width in _ENCODER_WIDTHS[task.ndim]]


def _encoder_unets(task: Task) -> Sizes:
    return [
        (
            f"U-Net on {encoder}" + ("" if width == 1 else f" at {width:g} of its width"),
            EncoderUNetSpec(
                ndim=task.ndim,
                in_channels=task.in_channels,
                out_channels=task.out_channels,
                encoder=encoder,
                width=width,
                deep_supervision=True,
            ),
        )
        for encoder, width in _encoders(task, "resnet34")
    ]


def _fcns(task: Task) -> Sizes:
    return [
        (
            f"FCN-8s, {encoder} at {width:g} of its width",
            FCNSpec(
                ndim=task.ndim,
                in_channels=task.in_channels,
                out_channels=task.out_channels,
                encoder=encoder,
                width=width,
                dropout=0.1,
            ),
        )
        for encoder, width in _encoders(task, "resnet18")
    ]


def _cnns(task: Task) -> Sizes:
    """A patch of 28 voxels (7 along a coarse axis, where nothing is pooled) shrinks to a window of 3."""
    coarse = topology.coarse_axis(task.spacing_mm)

    def each(fine: int, thick: int) -> tuple[int, ...]:
        return tuple(thick if axis == coarse else fine for axis in range(task.ndim))

    return [
        (
            f"patch classifier, {'-'.join(map(str, features))} features",
            CNNSpec(
                ndim=task.ndim,
                in_channels=task.in_channels,
                out_channels=task.out_channels,
                patch=each(28, 7),
                features=features,
                kernels=(each(5, 1), each(3, 3), each(3, 3)),
                pools=(each(2, 1), each(2, 1), each(1, 1)),
                hidden=(2 * features[-1],),
                dropout=0.1,
            ),
        )
        for features in _CNN_FEATURES
    ]


def _segresnets(task: Task) -> Sizes:
    return [
        (
            f"SegResNet {size}",
            SegResNetSpec.sized(
                size,
                ndim=task.ndim,
                in_channels=task.in_channels,
                out_channels=task.out_channels,
                deep_supervision=True,
                spacing_mm=task.spacing_mm,
            ),
        )
        for size in ("M", "S")
    ]


def _swin_unetrs(task: Task) -> Sizes:
    return [
        (
            f"SwinUNETR {size}",
            SwinUNETRSpec.sized(size, ndim=task.ndim, in_channels=task.in_channels, out_channels=task.out_channels),
        )
        for size in ("M", "S")
    ]


def _unetrs(task: Task) -> Sizes:
    # Two tokens at least on the longest axis: a single one would have no variance.
    image = tuple(max(1 + (n == max(task.patch_size)), -(-n // TOKEN)) * TOKEN for n in task.patch_size)
    return [
        (
            f"UNETR {size}",
            UNETRSpec.sized(size, image_size=image, in_channels=task.in_channels, out_channels=task.out_channels),
        )
        for size in ("M", "S")
    ]


def _mednexts(task: Task) -> Sizes:
    return [
        (
            f"MedNeXt {size}, {features} features",
            MedNeXtSpec(
                ndim=task.ndim,
                in_channels=task.in_channels,
                out_channels=task.out_channels,
                size=size,
                features=features,
                deep_supervision=True,
            ),
        )
        for size, features in _MEDNEXTS
    ]


_FAMILIES: Mapping[Network, Callable[[Task], Sizes]] = {
    "unet": _unets,
    "residual_unet": _residual_unets,
    "attention_unet": _attention_unets,
    "encoder_unet": _encoder_unets,
    "fcn": _fcns,
    "cnn": _cnns,
    "segresnet": _segresnets,
    "swin_unetr": _swin_unetrs,
    "unetr": _unetrs,
    "mednext": _mednexts,
}
