"""What an nnU-Net v2 folder says in its plans.json and dataset.json, read strictly."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from vesalius.errors import BundleError, unknown_name
from vesalius.export.nnunet_network import Architecture

_LARGEST = 64 << 20  # bytes of a JSON file
_MOST_PATCH = 1 << 28  # voxels

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=1, le=4096)]
Blocks = Annotated[int, Field(ge=1, le=64)]
Kernel = Annotated[int, Field(ge=1, le=15)]
Stride = Annotated[int, Field(ge=1, le=8)]
Millimetres = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Part = TypeVar("Part", bound=BaseModel)
Axes = tuple[Literal[0, 1, 2], Literal[0, 1, 2], Literal[0, 1, 2]]


class _Said(BaseModel):
    """A part of a file; what it says besides is not our concern."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Resampling(BaseModel):
    """The arguments of a resampling function; one that we don't know might change the result."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_seg: Literal[False] = False
    order: Literal[1, 3] = 3
    order_z: Literal[0] = 0
    force_separate_z: Literal[False] | None = None
    memefficient_seg_resampling: bool = False  # for labels only
    mode: Literal["linear"] = "linear"
    num_threads: int = 1
    device: str = "cpu"


class Kwargs(BaseModel):
    """The arguments of a network; one that we don't know might change the network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_stages: Annotated[int, Field(ge=2, le=16)]
    features_per_stage: tuple[Count, ...] | Count
    conv_op: str
    kernel_sizes: tuple[tuple[Kernel, ...] | Kernel, ...] | Kernel
    strides: tuple[tuple[Stride, ...] | Stride, ...] | Stride
    n_conv_per_stage: tuple[Blocks, ...] | Blocks | None = None
    n_blocks_per_stage: tuple[Blocks, ...] | Blocks | None = None
    n_conv_per_stage_decoder: tuple[Blocks, ...] | Blocks
    conv_bias: bool = False
    norm_op: str | None = None
    norm_op_kwargs: dict[str, Any] | None = None
    dropout_op: str | None = None
    dropout_op_kwargs: dict[str, Any] | None = None
    nonlin: str | None = None
    nonlin_kwargs: dict[str, Any] | None = None
    deep_supervision: bool = True
    nonlin_first: Literal[False] = False
    block: None = None
    bottleneck_channels: None = None
    stem_channels: None = None


class _Network(_Said):
    network_class_name: str
    arch_kwargs: Kwargs


class Setup(_Said):
    """A configuration of the plans, with what it inherits."""

    patch_size: Annotated[tuple[Count, ...], Field(min_length=2, max_length=3)]
    batch_size: Count
    spacing: Annotated[tuple[Millimetres, ...], Field(min_length=2, max_length=3)]
    normalization_schemes: tuple[str, ...]
    use_mask_for_norm: tuple[bool, ...]
    preprocessor_name: Literal["DefaultPreprocessor"] = "DefaultPreprocessor"
    resampling_fn_data: str = "resample_data_or_seg_to_shape"
    resampling_fn_data_kwargs: Resampling = Resampling()
    resampling_fn_probabilities: str = "resample_data_or_seg_to_shape"
    resampling_fn_probabilities_kwargs: Resampling = Resampling(order=1)
    previous_stage: str | None = None
    batch_dice: bool = False
    architecture: _Network


class Intensities(_Said):
    """What the foreground of a channel was like."""

    mean: Finite
    std: Finite
    percentile_00_5: Finite
    percentile_99_5: Finite


class Plans(_Said):
    """plans.json."""

    dataset_name: Name
    plans_name: Name
    transpose_forward: Axes
    transpose_backward: Axes
    image_reader_writer: str
    label_manager: Literal["LabelManager"] = "LabelManager"
    original_median_spacing_after_transp: tuple[Millimetres, Millimetres, Millimetres]
    original_median_shape_after_transp: tuple[Finite, Finite, Finite]
    foreground_intensity_properties_per_channel: dict[str, Intensities] = {}
    configurations: dict[str, dict[str, Any]]


class Declared(_Said):
    """dataset.json."""

    channel_names: Annotated[dict[str, Name], Field(min_length=1, max_length=64)]
    labels: Annotated[dict[Name, int | Annotated[tuple[int, ...], Field(min_length=1)]], Field(max_length=70_000)]
    regions_class_order: tuple[int, ...] | None = None
    licence: str = ""


def read_json(path: Path) -> Mapping[str, Any]:
    """A JSON file that holds an object.

    Raises:
        BundleError: It is not there, too large, or something else.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise BundleError(f"{path.name} is larger than a description can be")
        raw = json.loads(path.read_bytes())
    except OSError:
        raise BundleError(f"there is no {path.name} in this folder: name the folder of a trained model") from None
    except (ValueError, RecursionError):
        raise BundleError(f"{path.name} is not JSON") from None
    if not isinstance(raw, dict):
        raise BundleError(f"{path.name} must hold an object")
    return raw


def plans_of(raw: Mapping[str, Any]) -> Plans:
    """plans.json, checked.

    Raises:
        BundleError: Something is missing, of another kind or absurd.
    """
    if "foreground_intensity_properties_per_channel" not in raw:
        raw = {
            **raw,
            "foreground_intensity_properties_per_channel": raw.get("foreground_intensity_properties_by_modality", {}),
        }
    plans = _checked(Plans, raw, "plans.json")
    if any(plans.transpose_backward[axis] != at for at, axis in enumerate(plans.transpose_forward)):
        raise BundleError("plans.json: transpose_backward does not undo transpose_forward")
    return plans


def dataset_of(raw: Mapping[str, Any]) -> Declared:
    """dataset.json, checked.

    Raises:
        BundleError: Something is missing, of another kind or absurd.
    """
    if "channel_names" not in raw and "modality" in raw:
        raw = {**raw, "channel_names": raw["modality"]}
    return _checked(Declared, raw, "dataset.json")


def setup_of(plans: Plans, name: str) -> Setup:
    """A configuration by its name.

    Raises:
        BundleError: There is none of this name, or something in it is missing, of another kind or absurd.
    """
    setup = _checked(Setup, _with_architecture(_inherited(plans, name)), f"plans.json: configuration {name}")
    if math.prod(setup.patch_size) > _MOST_PATCH:
        raise BundleError(f"plans.json: a patch of {setup.patch_size} is larger than any network's")
    return setup


def architecture_of(setup: Setup) -> Architecture:
    """The network of a configuration.

    Raises:
        BundleError: It is another than PlainConvUNet and ResidualEncoderUNet as nnU-Net's planners make them.
    """
    name, kwargs = setup.architecture.network_class_name.rpartition(".")[2], setup.architecture.arch_kwargs
    known = {"PlainConvUNet": kwargs.n_conv_per_stage, "ResidualEncoderUNet": kwargs.n_blocks_per_stage}
    if name not in known:
        raise BundleError(unknown_name("nnU-Net network", name, known))
    ndim, stages = len(setup.patch_size), kwargs.n_stages

    def each(value: Any, what: str, count: int = stages) -> tuple[Any, ...]:
        values = (value,) * count if isinstance(value, int) else value
        if values is None or len(values) != count:
            raise BundleError(f"plans.json: {what} must have an entry for each of {count} stages")
        return tuple(values)

    def sizes(value: Any, what: str) -> tuple[tuple[int, ...], ...]:
        found = tuple((v,) * ndim if isinstance(v, int) else v for v in each(value, what))
        if any(len(v) != ndim for v in found):
            raise BundleError(f"plans.json: {what} must have {ndim} numbers a stage")
        return found

    _check_layers(kwargs, ndim)
    strides = sizes(kwargs.strides, "strides")
    if any(step != 1 for step in strides[0]):
        raise BundleError("plans.json: the network steps in its first stage, so that its result would be too small")
    return Architecture(
        residual=name == "ResidualEncoderUNet",
        features=each(kwargs.features_per_stage, "features_per_stage"),
        kernels=sizes(kwargs.kernel_sizes, "kernel_sizes"),
        strides=strides,
        encoder_blocks=each(known[name], "blocks of the encoder"),
        decoder_blocks=each(kwargs.n_conv_per_stage_decoder, "n_conv_per_stage_decoder", stages - 1),
    )


def _check_layers(kwargs: Kwargs, ndim: int) -> None:
    """Convolution, instance norm, leaky ReLU, as they always are."""
    wanted = {"conv_op": f"Conv{ndim}d", "norm_op": f"InstanceNorm{ndim}d", "nonlin": "LeakyReLU"}
    for field, layer in wanted.items():
        said = str(getattr(kwargs, field)).rpartition(".")[2]
        if said != layer:
            raise BundleError(f"plans.json: {field} must be {layer}, the only one that can be imported, not {said!r}")
    norm = {"eps": 1e-5, "affine": False, **(kwargs.norm_op_kwargs or {})}
    if norm != {"eps": 1e-5, "affine": True}:
        raise BundleError(f"plans.json: the instance norm must have eps 1e-5 and learn a scale and a shift, not {norm}")
    nonlin = {"negative_slope": 0.01, "inplace": True, **(kwargs.nonlin_kwargs or {})}
    if nonlin.pop("inplace") not in (True, False) or nonlin != {"negative_slope": 0.01}:
        raise BundleError(f"plans.json: the leaky ReLU must have a slope of 0.01, not {nonlin}")


def _inherited(plans: Plans, name: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    seen: list[str] = []
    at: Any = name
    while at is not None:
        if at not in plans.configurations:
            raise BundleError(unknown_name("configuration", str(at), plans.configurations))
        if at in seen:
            raise BundleError(f"plans.json: the configurations {', '.join(seen)} inherit from each other in a circle")
        seen.append(at)
        made = {**plans.configurations[at], **made}
        at = plans.configurations[at].get("inherits_from")
    return made


def _with_architecture(raw: dict[str, Any]) -> dict[str, Any]:
    """The network of plans from before nnU-Net 2.3 in the words of today's."""
    if "architecture" in raw or "UNet_class_name" not in raw:
        return raw
    name, ndim = raw["UNet_class_name"], len(raw.get("patch_size", ()))
    encoder = raw.get("n_conv_per_stage_encoder")
    base, most = raw.get("UNet_base_num_features"), raw.get("unet_max_num_features")
    if not (isinstance(encoder, list) and len(encoder) <= 16 and isinstance(base, int) and isinstance(most, int)):
        raise BundleError("plans.json: the network is not described completely")
    kwargs = {
        "n_stages": len(encoder),
        "features_per_stage": [min(base * 2**stage, most) for stage in range(len(encoder))],
        "conv_op": f"Conv{ndim}d",
        "kernel_sizes": raw.get("conv_kernel_sizes"),
        "strides": raw.get("pool_op_kernel_sizes"),
        "n_conv_per_stage" if name == "PlainConvUNet" else "n_blocks_per_stage": encoder,
        "n_conv_per_stage_decoder": raw.get("n_conv_per_stage_decoder"),
        "conv_bias": True,
        "norm_op": f"InstanceNorm{ndim}d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": "LeakyReLU",
    }
    return {**raw, "architecture": {"network_class_name": name, "arch_kwargs": kwargs}}


def _checked(kind: type[Part], raw: Any, where: str) -> Part:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        found = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()[:3]]
        raise BundleError(f"{where}: {'; '.join(found)}") from None
