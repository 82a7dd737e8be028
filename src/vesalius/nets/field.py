"""The receptive field: which input voxels an output voxel can see. Torch-free.

Each layer turns a span of its output into the span of its input that the output is made of. Followed from one output
voxel back to the image, with the hull taken where paths meet, this gives the field exactly; where strides make it
depend on the voxel's place, the largest counts. Norms that look at the whole image (instance, group) are left out.
"""

from __future__ import annotations

from vesalius.nets.spec import (
    CNNSpec,
    EncoderUNetSpec,
    FCNSpec,
    MedNeXtSpec,
    MonaiUNetSpec,
    NetworkSpec,
    RecurrentUNetSpec,
    SegResNetSpec,
    SlicesSpec,
    SwinUNETRSpec,
    UNETRSpec,
    UNetSpec,
    divisor,
)
from vesalius.nets.specs.encoder import (
    GOOGLENET_POOLS,
    GOOGLENET_STAGES,
    RESNET_DEPTHS,
    VGG_DEPTHS,
    VGG_WINDOW,
    EncoderSpec,
)
from vesalius.nets.specs.mednext import MEDNEXT_BLOCKS

Field = tuple[int | None, ...]
"""Voxels on each axis; None where it is all of the patch, however large."""

Span = tuple[int, int]
"""First and last voxel on one axis."""


def receptive_field(spec: NetworkSpec) -> Field:
    """How many input voxels on each axis an output voxel can depend on.

    Args:
        spec: The network.

    Returns:
        Voxels on each axis, for the place that sees most; None on an axis where that is all of the patch: a recurrent
        network remembers all slices and, with each, a little more to every side; the windows of a SwinUNETR shift and
        merge until they span what patches measure. A UNETR sees the one size of image that it takes.

    Example:
        >>> receptive_field(UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16)))
        (15, 15)

    Source: Araujo et al. 2019, doi:10.23915/distill.00021 (the recurrence); checked against the support of gradients.
    """
    match spec:
        case CNNSpec():
            return spec.patch
        case UNETRSpec():
            return spec.image_size
        case SwinUNETRSpec() | RecurrentUNetSpec():
            return (None,) * spec.ndim
        case SlicesSpec():
            plane = receptive_field(spec.inner)
            return (*plane[: spec.axis], spec.slices, *plane[spec.axis :])
    spans = [[_seen(spec, axis, voxel) for voxel in range(step)] for axis, step in enumerate(divisor(spec))]
    return tuple(max(last - first + 1 for first, last in places) for places in spans)


def _seen(
    spec: UNetSpec | FCNSpec | EncoderUNetSpec | SegResNetSpec | MedNeXtSpec | MonaiUNetSpec, axis: int, voxel: int
) -> Span:
    span = voxel, voxel
    match spec:
        case UNetSpec():
            return _unet_decoder(spec, axis, 0, _up(spec.upsample, span, spec.strides[0][axis]))
        case EncoderUNetSpec():
            return _encoder_unet(spec, span, 0)
        case FCNSpec():
            return _fcn_fused(spec, span, spec.strides[::-1], 1)
        case SegResNetSpec():
            return _segresnet_decoder(spec, axis, 0, span)
        case MedNeXtSpec():
            return _mednext_decoder(spec, 0, span)
        case MonaiUNetSpec():
            return _monai_unet(spec, axis, 0, span)


def _unet_decoder(spec: UNetSpec, axis: int, stage: int, span: Span) -> Span:
    if stage == len(spec.features) - 1:
        return _unet_encoder(spec, axis, stage, span)
    for _ in range(spec.decoder_blocks[stage]):
        span = _conv(span, spec.kernels[stage][axis])
    stride = spec.strides[stage + 1][axis]
    below, skip = _up(spec.upsample, span, stride), span
    if spec.attention and stage > 0:
        asked = _linear(span, stride)  # the openness of the gate, on the coarser grid
        below, skip = _hull(below, asked), _hull(span, _window(asked, stride))
    return _hull(_unet_encoder(spec, axis, stage, skip), _unet_decoder(spec, axis, stage + 1, below))


def _unet_encoder(spec: UNetSpec, axis: int, stage: int, span: Span) -> Span:
    for at in range(stage, -1, -1):
        kernel, stride = spec.kernels[at][axis], spec.strides[at][axis]
        for block in reversed(range(spec.encoder_blocks[at])):
            # A residual encoder's stem takes the first stride.
            step = stride if block == 0 and not (spec.residual and at == 0) else 1
            span = _residual(span, kernel, step) if spec.residual else _conv(span, kernel, step)
    return _conv(span, spec.kernels[0][axis], spec.strides[0][axis]) if spec.residual else span


def _fcn_fused(spec: FCNSpec, span: Span, strides: tuple[int, ...], at: int) -> Span:
    """Scores at strides[0], and what is added to them from coarser strides; ``at`` is the stride of ``span``."""
    finest, *coarser = strides
    span = _linear(span, finest // at)
    source, behind = finest, span
    if spec.encoder == "vgg16":  # its scores are made behind two more layers, or behind a pooling
        source, behind = (32, _conv(span, VGG_WINDOW)) if finest == 32 else (finest // 2, _window(span, 2))
    own = _encoder(spec.encoder_spec, behind, source)
    return _hull(own, _fcn_fused(spec, span, tuple(coarser), finest)) if coarser else own


def _encoder_unet(spec: EncoderUNetSpec, span: Span, level: int) -> Span:
    if level == len(spec.features):
        return _encoder(spec.encoder_spec, span, 2**level)
    for _ in range(spec.decoder_blocks):
        span = _conv(span, 3)
    edges = level == 0 and spec.encoder != "vgg16"
    skip = _conv(span, 3) if edges else _encoder(spec.encoder_spec, span, 2**level)
    return _hull(skip, _encoder_unet(spec, _up(spec.upsample, span, 2), level + 1))


def _encoder(spec: EncoderSpec, span: Span, stride: int) -> Span:
    """What the encoder's features at a stride see of the image."""
    stages = stride.bit_length() - 1
    match spec.name:
        case "vgg16":
            if stride == 32:
                span = _window(span, 2)
            for stage in reversed(range(min(stages + 1, len(VGG_DEPTHS)))):
                for _ in range(VGG_DEPTHS[stage]):
                    span = _conv(span, 3)
                span = _window(span, 2) if stage else span
            return span
        case "googlenet":
            for stage in reversed(range(stages - 1)):
                for _ in range(len(GOOGLENET_STAGES[stage - 1]) if stage else 1):
                    span = _conv(span, 3)
                span = span[0] * 2, span[1] * 2 + GOOGLENET_POOLS[stage] - 1
            return _conv(span, 7, 2)
        case _:
            for stage in reversed(range(stages - 1)):
                for block in reversed(range(RESNET_DEPTHS[spec.name][stage])):
                    step = 2 if stage > 0 and block == 0 else 1
                    span = _residual(span, 3, step, narrow=spec.name == "resnet50")
            return _conv(_conv(span, 3, 2) if stages > 1 else span, 7, 2)


def _segresnet_decoder(spec: SegResNetSpec, axis: int, level: int, span: Span) -> Span:
    kernel = spec.kernels[level][axis]
    if level == len(spec.strides):
        return _segresnet_encoder(spec, axis, level, span)
    for _ in range(2 * spec.decoder_blocks[-1 - level]):
        span = _conv(span, kernel)
    stride = spec.strides[level][axis]
    below = _transposed(span, kernel, stride, kernel // 2) if spec.deep_supervision else _linear(span, stride)
    return _hull(_segresnet_encoder(spec, axis, level, span), _segresnet_decoder(spec, axis, level + 1, below))


def _segresnet_encoder(spec: SegResNetSpec, axis: int, level: int, span: Span) -> Span:
    for at in range(level, -1, -1):
        for _ in range(2 * spec.encoder_blocks[at]):
            span = _conv(span, spec.kernels[at][axis])
        if at > 0:  # the step to a level has the kernel of the level that it leaves
            span = _conv(span, spec.kernels[at - 1][axis], spec.strides[at - 1][axis])
    return _conv(span, spec.kernels[0][axis])


def _mednext_decoder(spec: MedNeXtSpec, stage: int, span: Span) -> Span:
    blocks = MEDNEXT_BLOCKS[spec.size]
    middle = len(blocks) // 2
    if stage == middle:
        return _mednext_encoder(spec, stage, span)
    for _ in range(blocks[-1 - stage]):
        span = _conv(span, spec.kernel)
    # The transposed convolution gives one voxel too few, and a zero is put before the first.
    below = _transposed((span[0] - 1, span[1] - 1), spec.kernel, 2, spec.kernel // 2)
    return _hull(_mednext_encoder(spec, stage, span), _mednext_decoder(spec, stage + 1, below))


def _mednext_encoder(spec: MedNeXtSpec, stage: int, span: Span) -> Span:
    for at in range(stage, -1, -1):
        for _ in range(MEDNEXT_BLOCKS[spec.size][at]):
            span = _conv(span, spec.kernel)
        if at > 0:
            span = _conv(span, spec.kernel, 2)
    return span


def _monai_unet(spec: MonaiUNetSpec, axis: int, level: int, span: Span) -> Span:
    """What a level sees of the one above it, which is the image for the first."""
    kernel, last = spec.kernel[axis], level == len(spec.strides)
    if last:
        return _monai_unit(spec, axis, 1, span)
    stride = spec.strides[level][axis]
    if spec.residual_units:
        span = _conv(span, kernel)  # the unit on the way up has one convolution; its shortcut sees less
    span = _transposed(span, spec.up_kernel[axis], stride, spec.up_kernel[axis] // 2)
    return _monai_unit(spec, axis, stride, _hull(span, _monai_unet(spec, axis, level + 1, span)))


def _monai_unit(spec: MonaiUNetSpec, axis: int, stride: int, span: Span) -> Span:
    for _ in range(spec.residual_units - 1):
        span = _conv(span, spec.kernel[axis])
    return _conv(span, spec.kernel[axis], stride)


def _transposed(span: Span, kernel: int, stride: int, padding: int) -> Span:
    # Input i is spread over the outputs from i * stride - padding on, as many as the kernel is long.
    return -(-(span[0] + padding - kernel + 1) // stride), (span[1] + padding) // stride


def _conv(span: Span, kernel: int, stride: int = 1) -> Span:
    first, last = span
    return first * stride - kernel // 2, last * stride + kernel // 2


def _window(span: Span, size: int) -> Span:
    first, last = span
    return first * size, last * size + size - 1


def _residual(span: Span, kernel: int, stride: int, *, narrow: bool = False) -> Span:
    return _hull(_conv(span if narrow else _conv(span, kernel), kernel, stride), _window(span, stride))


def _up(kind: str, span: Span, stride: int) -> Span:
    return (span[0] // stride, span[1] // stride) if kind == "transposed" else _linear(span, stride)


def _linear(span: Span, stride: int) -> Span:
    # Output v lies at (2 v + 1 - stride) / (2 stride) of the input: the neighbours below and above are its sources.
    first, last = (2 * v + 1 - stride for v in span)
    return first // (2 * stride), -(-last // (2 * stride))


def _hull(a: Span, b: Span) -> Span:
    return min(a[0], b[0]), max(a[1], b[1])
