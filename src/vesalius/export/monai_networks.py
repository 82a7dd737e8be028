"""MONAI's networks in our words: the spec, and the weights under our names."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from vesalius.bundle import Weights
from vesalius.errors import BundleError, unknown_name
from vesalius.export.checkpoints import tensor_of
from vesalius.nets import MonaiUNetSpec, NetworkSpec, SegResNetSpec, SwinUNETRSpec, UNETRSpec, UNetSpec, build
from vesalius.nets.specs.frame import Norm
from vesalius.nets.specs.monai_unet import Activation

_LARGEST = 4096  # channels of a layer, voxels of an edge
_LONGEST = 16  # levels of a network, or blocks of a level
_IDLE = ("num_batches_tracked",)
_UNREAD = ("skip_layers.", "deep_supervision_heads.", "norm_cross_attn", "cross_attn.")


class _Arguments:
    """The arguments of a network, of which each must be taken or be what it is by default."""

    def __init__(self, name: str, said: Mapping[str, Any]) -> None:
        self.name = name
        self.left = {key: value for key, value in said.items() if not key.startswith("_")}

    def take(self, key: str, default: Any = None) -> Any:
        """An argument, or its default."""
        return self.left.pop(key, default)

    def whole(self, key: str, default: int, *, most: int = _LARGEST) -> int:
        """A whole number that a network can have."""
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise BundleError(f"{self.name}.{key} must be a whole number of at most {most}, not {value!r:.80}")
        return value

    def wholes(self, key: str, default: Sequence[int] = ()) -> tuple[int, ...]:
        """A few whole numbers."""
        value = self.take(key, list(default))
        if not isinstance(value, list) or len(value) > _LONGEST or not all(_is_whole(one) for one in value):
            raise BundleError(f"{self.name}.{key} must be at most {_LONGEST} whole numbers, not {value!r:.80}")
        return tuple(value)

    def sizes(self, key: str, ndim: int, default: int) -> tuple[int, ...]:
        """A size on each axis, or one for all."""
        value = self.take(key, default)
        return self.each(key, value, ndim)

    def stages(self, key: str, ndim: int) -> tuple[tuple[int, ...], ...]:
        """A size on each axis, or one for all, of each of a few stages."""
        value = self.take(key)
        if not isinstance(value, list) or len(value) > _LONGEST:
            raise BundleError(f"{self.name}.{key} must be a list of at most {_LONGEST} sizes, not {value!r:.80}")
        return tuple(self.each(key, one, ndim) for one in value)

    def each(self, key: str, value: Any, ndim: int) -> tuple[int, ...]:
        """A size on each axis."""
        found = [value] * ndim if _is_whole(value) else value
        if not isinstance(found, list) or len(found) != ndim or not all(_is_whole(one) for one in found):
            raise BundleError(f"{self.name}.{key} must be one whole number or {ndim}, not {value!r:.80}")
        return tuple(found)

    def share(self, key: str) -> float:
        """A chance, 0 by default."""
        value = self.take(key, 0.0)
        if value is not None and not (isinstance(value, int | float) and 0 <= value < 1):
            raise BundleError(f"{self.name}.{key} must be 0 to less than 1, not {value!r:.80}")
        return float(value or 0.0)

    def named(self, key: str, default: str, known: Mapping[str, tuple[str, dict[str, Any]]]) -> str:
        """A layer by MONAI's name, perhaps with arguments, which must be those that we give it."""
        value = self.take(key, default)
        name, extra = (value, {}) if isinstance(value, str) else _pair(value)
        for ours, (theirs, arguments) in known.items():
            if name.lower() == theirs and all(arguments.get(k) == v for k, v in extra.items()):
                return ours
        raise BundleError(f"{self.name}.{key} must be one of {', '.join(known)} as we know them, not {value!r:.80}")

    def finish(self, **defaults: Any) -> None:
        """Make sure that nothing was said that is not followed."""
        for key, value in self.left.items():
            if key not in defaults or (defaults[key] is not Ellipsis and value != defaults[key]):
                raise BundleError(f"{self.name}.{key} = {value!r:.80} cannot be expressed")


def spec_of(name: str, said: Mapping[str, Any]) -> NetworkSpec:
    """A network of MONAI's as a spec.

    Args:
        name: Of the class.
        said: Its arguments.

    Raises:
        BundleError: The network is not known, or an argument cannot be expressed.
        PlanError: A number is out of range.
    """
    if name not in _KNOWN:
        raise BundleError(unknown_name("MONAI network", name, _KNOWN))
    arguments = _Arguments(name, said)
    dims = arguments.take("spatial_dims", arguments.take("dimensions", 3 if name in ("SwinUNETR", "UNETR") else None))
    if name == "SegResNet" and dims is None:
        dims = 3
    if dims not in (2, 3):
        raise BundleError(f"{name}.spatial_dims must be 2 or 3, not {dims!r:.80}")
    return _KNOWN[name](arguments, dims)


def weights_of(tensors: Mapping[str, Any], spec: NetworkSpec, file: str) -> Weights:
    """MONAI's weights under our names.

    Args:
        tensors: The state dictionary.
        spec: Of `spec_of`.
        file: For messages.

    Raises:
        BundleError: Tensors are missing, unexpected, or of another shape or kind.
        MissingDependencyError: MONAI builds this network, and is not installed.
    """
    network = build(spec)
    change = _from_dynunet(spec) if isinstance(spec, UNetSpec) else _from_own
    made: dict[str, NDArray[Any]] = {}
    used = set()
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            made[name] = tensor.numpy()  # counters and tables that follow from the network
            used.add(name.removeprefix("net."))
            continue
        source, shape, turn = change(name, tuple(tensor.shape))
        used.add(source)
        if not source:
            made[name] = np.zeros(shape, np.float32)
            continue
        made[name] = np.ascontiguousarray(turn(tensor_of(tensors, (source,), shape, file)), dtype=np.float32)
    strange = sorted(
        name
        for name in tensors
        if name not in used and not name.endswith(_IDLE) and not any(u in name for u in _UNREAD)
    )
    if strange:
        raise BundleError(f"{file}: the network has no such tensors: {', '.join(strange[:5])}")
    return made


Source = tuple[str, tuple[int, ...], Callable[[NDArray[np.float32]], NDArray[np.float32]]]
"""A tensor of MONAI's by name and shape, and how it becomes ours; an empty name for zeros."""


def _from_own(name: str, shape: tuple[int, ...]) -> Source:
    return name.removeprefix("net."), shape, lambda array: array


def _from_dynunet(spec: UNetSpec) -> Callable[[str, tuple[int, ...]], Source]:
    stages = len(spec.features)

    def block(stage: int) -> str:
        places = {0: "input_block", stages - 1: "bottleneck"}
        return places.get(stage, f"downsamples.{stage - 1}")

    def change(name: str, shape: tuple[int, ...]) -> Source:
        where, *rest = name.split(".")
        if where == "heads":
            return f"output_block.conv.conv.{rest[1]}", shape, lambda array: array
        at = int(rest[0])
        if where == "up":
            if rest[-1] == "bias":
                return "", shape, lambda array: array  # MONAI's has none
            stride = spec.strides[at + 1]
            fine, coarse, places = spec.features[at], spec.features[at + 1], math.prod(stride)
            axes = (*range(2, 2 + spec.ndim), 1, 0)
            source = f"upsamples.{stages - 2 - at}.transp_conv.conv.weight"
            wanted = (coarse, fine, *stride)
            return source, wanted, lambda array: array.transpose(axes).reshape(places * fine, coarse, *(1,) * spec.ndim)
        place = block(at) if where == "encoder" else f"upsamples.{stages - 2 - at}.conv_block"
        number, layer = int(rest[1]) + 1, rest[2]
        kind = f"conv{number}.conv" if layer == "conv" else f"norm{number}"
        return f"{place}.{kind}.{rest[3]}", shape, lambda array: array

    return change


_NORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "instance": ("instance", {"affine": False, "eps": 1e-5}),
    "batch": ("batch", {"affine": True, "eps": 1e-5}),
    "group": ("group", {"num_groups": 8, "affine": True, "eps": 1e-5}),
}
_ACTS: dict[str, tuple[str, dict[str, Any]]] = {
    "prelu": ("prelu", {"num_parameters": 1, "init": 0.25}),
    "relu": ("relu", {"inplace": True}),
    "leaky_relu": ("leakyrelu", {"negative_slope": 0.01, "inplace": True}),
}


def _unet(said: _Arguments, ndim: Literal[2, 3]) -> NetworkSpec:
    features = said.wholes("channels")
    strides = said.stages("strides", ndim)
    spec = MonaiUNetSpec(
        ndim=ndim,
        in_channels=said.whole("in_channels", 1),
        out_channels=said.whole("out_channels", 1),
        features=features,
        strides=strides[: max(0, len(features) - 1)],
        kernel=said.sizes("kernel_size", ndim, 3),
        up_kernel=said.sizes("up_kernel_size", ndim, 3),
        residual_units=said.whole("num_res_units", 0, most=_LONGEST),
        activation=cast(Activation, said.named("act", "PRELU", _ACTS)),
        norm=cast(Norm, said.named("norm", "INSTANCE", _NORMS)),
        bias=said.take("bias", True) is True,
        dropout=said.share("dropout"),
    )
    said.finish(adn_ordering="NDA")
    return spec


def _dynunet(said: _Arguments, ndim: Literal[2, 3]) -> NetworkSpec:
    kernels, strides = said.stages("kernel_size", ndim), said.stages("strides", ndim)
    ups = said.stages("upsample_kernel_size", ndim)
    most = 320 if ndim == 3 else 512
    features = said.wholes("filters", [min(2 ** (5 + n), most) for n in range(len(strides))])[: len(strides)]
    known = {"instance": ("instance", {"affine": True, "eps": 1e-5})}
    said.named("norm_name", "", known) if "norm_name" in said.left else None
    said.named("act_name", "", {"leaky_relu": _ACTS["leaky_relu"]}) if "act_name" in said.left else None
    if ups != strides[1:] or any(step != 1 for step in strides[0]):
        raise BundleError("DynUNet: upsample_kernel_size must be the strides after the first, which must be 1")
    if len(set(kernels)) != 1:
        raise BundleError("DynUNet: kernels that differ between stages cannot be expressed: its way up shifts them")
    spec = UNetSpec(
        ndim=ndim,
        in_channels=said.whole("in_channels", 1),
        out_channels=said.whole("out_channels", 1),
        features=features,
        strides=strides,
        kernels=kernels,
        encoder_blocks=(2,) * len(features),
        decoder_blocks=(2,) * (len(features) - 1),
    )
    said.finish(res_block=False, trans_bias=False, dropout=..., deep_supervision=..., deep_supr_num=...)
    return spec


def _segresnet(said: _Arguments, ndim: Literal[2, 3]) -> NetworkSpec:
    spec = SegResNetSpec(
        ndim=ndim,
        in_channels=said.whole("in_channels", 1),
        out_channels=said.whole("out_channels", 2),
        features=said.whole("init_filters", 8),
        encoder_blocks=said.wholes("blocks_down", (1, 2, 2, 4)),
        decoder_blocks=said.wholes("blocks_up", (1, 1, 1)),
        norm=cast(Norm, said.named("norm", "group", {**_NORMS, "instance": ("instance", {"affine": True})})),
        dropout=said.share("dropout_prob"),
    )
    said.finish(num_groups=8, use_conv_final=True, upsample_mode="nontrainable", act=["RELU", {"inplace": True}])
    return spec


def _swin_unetr(said: _Arguments, ndim: Literal[2, 3]) -> NetworkSpec:
    spec = SwinUNETRSpec(
        ndim=ndim,
        in_channels=said.whole("in_channels", 1),
        out_channels=said.whole("out_channels", 1),
        features=said.whole("feature_size", 24, most=192),
        depths=said.wholes("depths", (2, 2, 2, 2)),
        heads=said.wholes("num_heads", (3, 6, 12, 24)),
        window=said.whole("window_size", 7, most=32),
        norm=cast(Norm, said.named("norm_name", "instance", _NORMS)),
        dropout=said.share("drop_rate"),
        convolutions=said.take("use_v2", False) is True,
    )
    if any(depth > _LONGEST for depth in spec.depths):
        raise BundleError(f"SwinUNETR.depths must be at most {_LONGEST}, not {spec.depths}")
    said.finish(
        img_size=..., attn_drop_rate=..., dropout_path_rate=..., use_checkpoint=..., patch_size=2, qkv_bias=True,
        mlp_ratio=4.0, normalize=True, patch_norm=False, downsample="merging",
    )  # fmt: skip
    return spec


def _unetr(said: _Arguments, ndim: Literal[2, 3]) -> NetworkSpec:
    spec = UNETRSpec(
        ndim=ndim,
        in_channels=said.whole("in_channels", 1),
        out_channels=said.whole("out_channels", 1),
        image_size=said.sizes("img_size", ndim, 0),
        features=said.whole("feature_size", 16, most=256),
        hidden=said.whole("hidden_size", 768, most=2048),
        mlp=said.whole("mlp_dim", 3072, most=8192),
        heads=said.whole("num_heads", 12, most=64),
        norm=cast(Norm, said.named("norm_name", "instance", _NORMS)),
        dropout=said.share("dropout_rate"),
    )
    if math.prod(spec.image_size) > 1 << 26:
        raise BundleError(f"UNETR.img_size is {spec.image_size}, more than any network's")
    said.finish(proj_type="conv", pos_embed="conv", conv_block=True, res_block=True, qkv_bias=False, save_attn=...)
    return spec


_KNOWN: dict[str, Callable[[_Arguments, Literal[2, 3]], NetworkSpec]] = {
    "UNet": _unet,
    "DynUNet": _dynunet,
    "SegResNet": _segresnet,
    "SwinUNETR": _swin_unetr,
    "UNETR": _unetr,
}


def _pair(value: Any) -> tuple[str, dict[str, Any]]:
    match value:
        case [str(name), dict(arguments)]:
            return name, arguments
        case _:
            return "", {}


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LARGEST
