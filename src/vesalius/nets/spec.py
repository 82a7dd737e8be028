"""What a network is, in numbers: frozen, JSON-able, torch-free.

A spec says everything that `vesalius.nets.build` needs and nothing about weights, so that a plan can be made, printed
and stored without torch. Three architectures, told apart by ``architecture``: `UNetSpec`, `FCNSpec`, `CNNSpec`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, get_args

from vesalius.errors import PlanError, unknown_name

Norm = Literal["instance", "batch", "group"]
Upsample = Literal["transposed", "interpolate"]
Variant = Literal["32s", "16s", "8s"]
Encoder = Literal["vgg16", "resnet18", "resnet34", "resnet50"]
Sizes = tuple[int, ...]
"""One whole number an axis."""

VGG_DEPTHS = (2, 2, 3, 3, 3)
"""VGG-16's convolutions before each pooling. Source: Simonyan and Zisserman 2015, arXiv:1409.1556, column D."""
VGG_WINDOW = 7
"""What VGG's first fully connected layer sees on each axis of the last pooling. Source: the same."""
RESNET_DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}
"""Residual blocks of each stage. Source: He et al. 2016, doi:10.1109/CVPR.2016.90, table 1."""


@dataclass(frozen=True, kw_only=True)
class UNetSpec:
    """A U-Net: a contracting path, an expanding path and a skip connection at every resolution.

    A stage is a resolution; stage 0 is the finest. ``strides[s]`` is what the first convolution of stage s steps by,
    so ``strides[0]`` is usually all ones. A first stride of 2 makes a strided stem: the whole network works at half
    the resolution, and the head brings the logits back to full resolution.

    Args:
        ndim: 2 or 3 axes.
        in_channels: Channels of the image, at least 1.
        out_channels: Classes, background included, at least 1.
        features: Channels of each stage, finest first; at least 2 stages. Multiples of 8 for ``norm="group"``.
        strides: Of each stage, one whole number an axis, at least 1.
        kernels: Of each stage, one odd whole number an axis.
        encoder_blocks: Convolutions (residual blocks when ``residual``) of each stage on the way down.
        decoder_blocks: Convolutions of each stage but the coarsest on the way up, finest first.
        residual: Whether the encoder is made of residual blocks (nnU-Net's ResEnc).
        norm: Normalisation after each convolution.
        dropout: Chance that a channel is dropped while training, 0 to less than 1.
        upsample: Transposed convolutions (kernel = stride), or linear interpolation and a 1x1 convolution.
        deep_supervision: Whether `forward` gives logits at several resolutions while training.

    Raises:
        PlanError: A field is out of range or the lengths of two fields do not fit together.

    Example:
        >>> spec = UNetSpec.plain(ndim=3, in_channels=1, out_channels=3, features=(16, 32, 64))
        >>> spec.strides, divisor(spec)
        (((1, 1, 1), (2, 2, 2), (2, 2, 2)), (4, 4, 4))

    Source: Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28; Çiçek et al. 2016,
    doi:10.1007/978-3-319-46723-8_49 (3D); Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (strided convolutions,
    instance norm, leaky ReLU, deep supervision); Isensee et al. 2024, arXiv:2404.09556 (residual encoder).
    """

    architecture: Literal["unet"] = "unet"
    ndim: Literal[2, 3]
    in_channels: int
    out_channels: int
    features: Sizes
    strides: tuple[Sizes, ...]
    kernels: tuple[Sizes, ...]
    encoder_blocks: Sizes
    decoder_blocks: Sizes
    residual: bool = False
    norm: Norm = "instance"
    dropout: float = 0.0
    upsample: Upsample = "transposed"
    deep_supervision: bool = False

    def __post_init__(self) -> None:
        _check_frame(self)
        _freeze(self, "features", "strides", "kernels", "encoder_blocks", "decoder_blocks")
        stages = len(self.features)
        if stages < 2:
            raise PlanError(f"a U-Net needs at least 2 stages, but features has {stages}: {self.features}")
        _check_sizes("features", self.features, stages)
        _check_sizes("encoder_blocks", self.encoder_blocks, stages)
        _check_sizes("decoder_blocks", self.decoder_blocks, stages - 1)
        _check_stages("strides", self.strides, stages, self.ndim)
        _check_stages("kernels", self.kernels, stages, self.ndim, odd=True)
        _check_choice("norm", self.norm, get_args(Norm))
        _check_choice("upsample", self.upsample, get_args(Upsample))
        _check_groups(self.norm, self.features)
        _check_dropout(self.dropout)

    @classmethod
    def plain(
        cls,
        *,
        ndim: Literal[2, 3],
        in_channels: int,
        out_channels: int,
        features: Iterable[int] = (32, 64, 128, 256, 320),
        norm: Norm = "instance",
        deep_supervision: bool = False,
    ) -> UNetSpec:
        """The isotropic textbook form: kernels of 3, strides of 2 after the first stage, two convolutions a stage.

        Args:
            ndim: 2 or 3 axes.
            in_channels: Channels of the image.
            out_channels: Classes, background included.
            features: Channels of each stage, finest first.
            norm: Normalisation after each convolution.
            deep_supervision: Whether `forward` gives logits at several resolutions while training.

        Raises:
            PlanError: A field is out of range.
        """
        features = tuple(features)
        stages = len(features)
        return cls(
            ndim=ndim,
            in_channels=in_channels,
            out_channels=out_channels,
            features=features,
            strides=((1,) * ndim,) + ((2,) * ndim,) * (stages - 1),
            kernels=((3,) * ndim,) * stages,
            encoder_blocks=(2,) * stages,
            decoder_blocks=(2,) * (stages - 1),
            norm=norm,
            deep_supervision=deep_supervision,
        )


@dataclass(frozen=True, kw_only=True)
class FCNSpec:
    """A fully convolutional network: a classifier's encoder, scores at strides 32, 16 and 8, fused by sums.

    Args:
        ndim: 2 or 3 axes.
        in_channels: Channels of the image, at least 1.
        out_channels: Classes, background included, at least 1.
        variant: ``"32s"`` upsamples the coarsest scores at once, ``"16s"`` adds the scores at stride 16 first,
            ``"8s"`` those at stride 8 too.
        encoder: VGG-16 (its fully connected layers as convolutions) or a residual network.
        width: Multiplies every number of channels; 1 is the published size (4,096 hidden channels for VGG-16).
            VGG-16 in 3D holds ``7**3`` weights for each pair of hidden channels: use 0.25 or less there.
        norm: Normalisation after each convolution of the encoder; ``"none"`` is the original VGG-16 and is only
            allowed with it.
        dropout: Chance of dropping a channel before the scores, 0 to less than 1.

    Raises:
        PlanError: A field is out of range.

    Example:
        >>> FCNSpec(ndim=2, in_channels=3, out_channels=2, variant="8s", encoder="resnet18").channels(512)
        512

    Source: Long et al. 2015, doi:10.1109/CVPR.2015.7298965; Simonyan and Zisserman 2015, arXiv:1409.1556; He et al.
    2016, doi:10.1109/CVPR.2016.90.
    """

    architecture: Literal["fcn"] = "fcn"
    ndim: Literal[2, 3]
    in_channels: int
    out_channels: int
    variant: Variant = "8s"
    encoder: Encoder = "vgg16"
    width: float = 1.0
    norm: Literal["instance", "batch", "group", "none"] = "batch"
    dropout: float = 0.5

    def __post_init__(self) -> None:
        _check_frame(self)
        _check_choice("variant", self.variant, get_args(Variant))
        _check_choice("encoder", self.encoder, get_args(Encoder))
        _check_choice("norm", self.norm, (*get_args(Norm), "none"))
        if not (math.isfinite(self.width) and 0 < self.width <= 8):
            raise PlanError(f"width must be more than 0 and at most 8, not {self.width}")
        if self.norm == "none" and self.encoder != "vgg16":
            known = ", ".join(get_args(Norm))
            raise PlanError(f"norm 'none' is the original VGG-16; {self.encoder} needs one of {known}")
        _check_dropout(self.dropout)

    @property
    def strides(self) -> Sizes:
        """Where the variant makes scores, coarsest first: at 32; at 32 and 16; at 32, 16 and 8."""
        return {"32s": (32,), "16s": (32, 16), "8s": (32, 16, 8)}[self.variant]

    def channels(self, published: int) -> int:
        """The number of channels that stands for ``published`` ones at this width: a multiple of 8, at least 8."""
        return max(8, round(published * self.width / 8) * 8)


@dataclass(frozen=True, kw_only=True)
class CNNSpec:
    """The classic classifier of a patch: convolution and max pooling in turn, then fully connected layers.

    Convolutions are not padded and windows do not overlap, so a patch must shrink to a whole number of windows at
    each pooling; what is left is what the first fully connected layer sees. The receptive field is the patch.

    Args:
        ndim: 2 or 3 axes.
        in_channels: Channels of the image, at least 1.
        out_channels: Classes, background included, at least 1.
        patch: Size of the patch that is classified, voxels.
        features: Channels of each convolution.
        kernels: Of each convolution, one whole number an axis.
        pools: Window of the max pooling after each convolution, one whole number an axis; 1 for none.
        hidden: Units of each fully connected layer before the last.
        norm: Batch norm after each convolution, or none. Instance norm would make a voxel's class depend on the
            size of the volume around it.
        dropout: Chance of dropping a hidden unit while training, 0 to less than 1.

    Raises:
        PlanError: A field is out of range, or the patch does not shrink to whole windows.

    Example:
        >>> spec = CNNSpec(ndim=2, in_channels=1, out_channels=10, patch=(28, 28), features=(20, 50),
        ...                kernels=((5, 5), (5, 5)), pools=((2, 2), (2, 2)), hidden=(500,))
        >>> spec.shapes
        ((28, 28), (12, 12), (4, 4))

    Source: LeCun et al. 1998, doi:10.1109/5.726791; the example is their LeNet in the form that Caffe made common.
    """

    architecture: Literal["cnn"] = "cnn"
    ndim: Literal[2, 3]
    in_channels: int
    out_channels: int
    patch: Sizes
    features: Sizes
    kernels: tuple[Sizes, ...]
    pools: tuple[Sizes, ...]
    hidden: Sizes
    norm: Literal["batch", "none"] = "batch"
    dropout: float = 0.5
    shapes: tuple[Sizes, ...] = field(init=False, repr=False, compare=False)
    """Size of the patch before and after each stage; the last is the window of the first fully connected layer."""

    def __post_init__(self) -> None:
        _check_frame(self)
        _freeze(self, "patch", "features", "kernels", "pools", "hidden")
        stages = len(self.features)
        if stages < 1:
            raise PlanError("a CNN needs at least 1 convolution, but features is empty")
        _check_sizes("patch", self.patch, self.ndim)
        _check_sizes("features", self.features, stages)
        _check_sizes("hidden", self.hidden, len(self.hidden))
        _check_stages("kernels", self.kernels, stages, self.ndim)
        _check_stages("pools", self.pools, stages, self.ndim)
        _check_choice("norm", self.norm, ("batch", "none"))
        _check_dropout(self.dropout)
        shapes = [self.patch]
        for stage, (kernel, pool) in enumerate(zip(self.kernels, self.pools, strict=True)):
            after = tuple(n - k + 1 for n, k in zip(shapes[-1], kernel, strict=True))
            if any(n < p or n % p for n, p in zip(after, pool, strict=True)):
                raise PlanError(
                    f"patch {self.patch} does not fit: after the convolution of stage {stage} it measures {after}, "
                    f"which windows of {pool} cannot fill. Change the patch, kernels or pools"
                )
            shapes.append(tuple(n // p for n, p in zip(after, pool, strict=True)))
        object.__setattr__(self, "shapes", tuple(shapes))


NetworkSpec = UNetSpec | FCNSpec | CNNSpec


def divisor(spec: NetworkSpec) -> Sizes:
    """What each axis of an image must be a multiple of: the network's total stride.

    Args:
        spec: The network.

    Returns:
        One whole number an axis; all ones when every size will do.

    Example:
        >>> divisor(FCNSpec(ndim=3, in_channels=1, out_channels=2))
        (32, 32, 32)
    """
    match spec:
        case UNetSpec():
            return tuple(math.prod(steps) for steps in zip(*spec.strides, strict=True))
        case FCNSpec():
            return (32,) * spec.ndim
        case CNNSpec():
            return (1,) * spec.ndim


def _check_frame(spec: NetworkSpec) -> None:
    if spec.ndim not in (2, 3):
        raise PlanError(f"ndim must be 2 or 3, not {spec.ndim}")
    for name in ("in_channels", "out_channels"):
        value = getattr(spec, name)
        if not _is_whole(value) or value < 1:
            raise PlanError(f"{name} must be a whole number of at least 1, not {value!r}")


def _freeze(spec: NetworkSpec, *names: str) -> None:
    """JSON gives lists; a spec holds tuples, so that it can be compared and hashed."""
    for name in names:
        value = getattr(spec, name)
        try:
            frozen = tuple(tuple(v) if isinstance(v, list | tuple) else v for v in value)
        except TypeError:
            raise PlanError(f"{name} must be a sequence, not {value!r}") from None
        object.__setattr__(spec, name, frozen)


def _check_sizes(name: str, values: Sizes, count: int, *, odd: bool = False) -> None:
    if len(values) != count:
        raise PlanError(f"{name} must have {count} entries, not {len(values)}: {values}")
    if not all(_is_whole(v) and v >= 1 and (v % 2 or not odd) for v in values):
        raise PlanError(f"{name} must be {'odd ' if odd else ''}whole numbers of at least 1, not {values}")


def _check_stages(name: str, values: tuple[Sizes, ...], stages: int, ndim: int, *, odd: bool = False) -> None:
    if len(values) != stages:
        raise PlanError(f"{name} must have an entry for each of the {stages} stages, not {len(values)}: {values}")
    for stage, sizes in enumerate(values):
        if not isinstance(sizes, tuple):
            raise PlanError(f"{name}[{stage}] must be {ndim} whole numbers, not {sizes!r}")
        _check_sizes(f"{name}[{stage}]", sizes, ndim, odd=odd)


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise PlanError(unknown_name(name, str(value), known))


def _check_groups(norm: str, features: Sizes) -> None:
    if norm == "group" and any(n % 8 for n in features):
        raise PlanError(f"group norm needs features that are multiples of 8, not {features}")


def _check_dropout(value: float) -> None:
    if not 0 <= value < 1:
        raise PlanError(f"dropout must be 0 to less than 1, not {value}")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
