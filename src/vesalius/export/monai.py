"""A MONAI bundle as ours: its network, its weights, and the steps around it, as far as they can be expressed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from vesalius.augment import Augmentation
from vesalius.bundle import Bundle, Card
from vesalius.errors import BundleError, DataError
from vesalius.export.checkpoints import read_checkpoint
from vesalius.export.monai_config import INFERENCE, METADATA, Part, open_bundle, plain, target_of, text_of
from vesalius.export.monai_networks import spec_of, weights_of
from vesalius.export.scripted import read_scripted
from vesalius.image import Labels
from vesalius.nets import NetworkSpec
from vesalius.plan import Budget, Optimisation, Plan, Reason
from vesalius.plan.preparation import Preparation
from vesalius.transform import Normalisation

_WEIGHTS = ("models/model.pt", "models/model.ts")
_HOLDERS = ("model", "network", "net", "state_dict", "model_state_dict")
_IGNORED = (
    "LoadImage", "EnsureChannelFirst", "AddChannel", "AsChannelFirst", "EnsureType", "ToTensor", "ToDevice",
    "CastToType", "SelectItems", "CopyItems", "DeleteItems", "Identity",
)  # fmt: skip
"""Transforms that change neither what the network sees nor where."""
_AFTERWARDS = ("Activations", "AsDiscrete", "Invert", "SaveImage", "EnsureType", "ToDevice", "DeleteItems", "CopyItems")
_NO_LIMIT = 3.0e38  # of a clip that isn't one


def import_monai(place: Path | str) -> Bundle:
    """Turn a MONAI bundle into one of ours. Nothing of it is run and no expression in it is evaluated.

    The network is known by its name and arguments in ``configs/inference.json``: UNet, SegResNet, SwinUNETR and UNETR,
    which MONAI builds, and DynUNet, which is our own U-Net. Weights come from ``models/model.pt`` (a state dictionary)
    or, where there is none, from ``models/model.ts`` (TorchScript, of which only the numbers are read). Names of
    channels and labels come from ``configs/metadata.json``.

    The steps before the network, and the windows, are taken over where our plan can say them, and anything else is
    refused. Scores are brought back to the image by our own custom: logits, linearly, and then the largest.

    Args:
        place: The bundle's folder, or a zip of it.

    Returns:
        The bundle. Its weights are in memory; nothing has been written.

    Raises:
        BundleError: Something is missing, damaged, absurd, beyond what can be expressed, or would have to be run.
        MissingDependencyError: MONAI builds this network, and is not installed.

    Source: MONAI 1.6.1, compared in tests/reference/test_monai.py.
    """
    part = open_bundle(Path(place))
    metadata, config = text_of(part, METADATA), text_of(part, INFERENCE)
    try:
        spec = _network(config)
        plan = _plan(metadata, config, spec)
        name, tensors, digest = _tensors(part)
        weights = weights_of(tensors, spec, name)
    except BundleError:
        raise
    except (DataError, ValueError) as error:
        raise BundleError(f"{INFERENCE}: {error}") from None
    said = str(metadata.get("name", "")) or Path(place).stem
    told = {
        "imported_from": "MONAI",
        "name": said[:200],
        "version": str(metadata.get("version", ""))[:50],
        "network": spec.architecture,
        "weights": name,
        "sha256": digest,
    }
    card = Card(
        name=said[:200],
        description=str(metadata.get("description", ""))[:2000],
        data=str(metadata.get("data_source", ""))[:2000],
        data_licence=str(metadata.get("copyright", ""))[:500],
        recipe=f"imported from a MONAI bundle, version {told['version']}",
    )
    return Bundle(plan, (weights,), card=card, provenance=told)


def _network(config: Mapping[str, Any]) -> NetworkSpec:
    for key in ("network_def", "network"):
        raw = config.get(key)
        if isinstance(raw, dict):
            said = plain(config, {k: v for k, v in raw.items() if k != "_target_"}, key)
            return spec_of(target_of(raw), said)
    raise BundleError(
        f"{INFERENCE} has no network_def that names a network: one that is made by an expression is not run"
    )


def _tensors(part: Part) -> tuple[str, Mapping[str, Any], str]:
    """The weights: the file's name, the tensors by name, and the file's checksum."""
    for name in _WEIGHTS:
        data = part(name)
        if data is None:
            continue
        digest = hashlib.sha256(data).hexdigest()
        if name.endswith(".ts"):
            return name, read_scripted(data, name), digest
        held = read_checkpoint(data, name)
        inner = next((held[key] for key in _HOLDERS if isinstance(held.get(key), Mapping)), held)
        return name, inner, digest
    raise BundleError(f"there is neither {' nor '.join(_WEIGHTS)}")


# --- the plan ---------------------------------------------------------------------------------------------------------


@dataclass
class _Steps:
    """What the transforms before the network say, one after the other."""

    ndim: int
    channels: int
    preparation: Preparation
    spacing_mm: tuple[float, ...] | None = None
    own_spacing: tuple[int, ...] = ()
    normalisation: Normalisation | None = None
    order: list[str] = field(default_factory=list)


def _plan(metadata: Mapping[str, Any], config: Mapping[str, Any], spec: NetworkSpec) -> Plan:
    ndim: Literal[2, 3] = 3 if spec.ndim == 3 else 2
    channels, labels = _names(metadata, spec)
    steps = _before(config, ndim, len(channels))
    _check_after(config)
    patch, overlap, weight = _windows(config, ndim)
    preparation = replace(
        steps.preparation,
        own_spacing=tuple(range(ndim)) if steps.spacing_mm is None else steps.own_spacing,
        normalised="after" if steps.order[:1] == ["spacing"] else "before",
        window_weight=weight,
        window_places="regular",
    )
    return Plan(
        ndim=ndim,
        channels=channels,
        labels=labels,
        configuration="3d" if ndim == 3 else "2d",
        calibrated=ndim == 3 or steps.spacing_mm is not None,
        spacing_mm=steps.spacing_mm or (1.0,) * ndim,
        preparation=preparation,
        normalisation=(steps.normalisation or Normalisation("none"),) * len(channels),
        patch_size=patch,
        batch_size=1,
        network=spec,
        optimisation=Optimisation.for_optimiser("adamw", 1000),
        augmentation=Augmentation.for_patch(patch, mirror_axes=()),
        overlap=overlap,
        budget=Budget(steps=1000),
        reasons=(
            Reason("network", "imported from a MONAI bundle"),
            Reason("budget", "a placeholder: how it was trained is not known"),
        ),
    )


def _names(metadata: Mapping[str, Any], spec: NetworkSpec) -> tuple[tuple[str, ...], Labels]:
    formats = metadata.get("network_data_format")
    image = _inner(formats, "inputs", "image")
    found = _inner(formats, "outputs", "pred")
    channels = _defined(image.get("channel_def"), spec.in_channels) or _numbered("channel", spec.in_channels)
    outputs = _defined(found.get("channel_def"), spec.out_channels)
    if spec.out_channels < 2:
        raise BundleError("a network with one output (sigmoid) cannot be expressed: there must be a background")
    labels = outputs[1:] if outputs else _numbered("label", spec.out_channels - 1, first=1)
    return channels, Labels.of({name: number for number, name in enumerate(labels, start=1)})


def _inner(raw: Any, *path: str) -> Mapping[str, Any]:
    for step in path:
        raw = raw.get(step) if isinstance(raw, dict) else None
    return raw if isinstance(raw, dict) else {}


def _defined(raw: Any, count: int) -> tuple[str, ...]:
    """The names of so many channels, made different; none where they are not all there."""
    names: list[str] = []
    for number in range(count):
        name = raw.get(str(number)) if isinstance(raw, dict) else None
        if not (isinstance(name, str) and name and len(name) <= 200 and name.isprintable()):
            return ()
        names.append(name if name not in names else f"{name} {number}")
    return tuple(names)


def _numbered(what: str, count: int, first: int = 0) -> tuple[str, ...]:
    return tuple(f"{what} {number}" for number in range(first, first + count))


def _windows(config: Mapping[str, Any], ndim: int) -> tuple[tuple[int, ...], float, Literal["gaussian", "constant"]]:
    raw = config.get("inferer")
    if target_of(raw) not in ("SlidingWindowInferer", "SlidingWindowInfererAdapt"):
        raise BundleError(
            f"the inferer must be a SlidingWindowInferer, not {target_of(raw) or 'none'}: windows are needed"
        )
    assert isinstance(raw, dict)  # because it has a target
    said = {key: plain(config, raw[key], f"inferer.{key}") for key in raw if key in _WINDOWING}
    patch, overlap, mode = said.get("roi_size"), said.get("overlap", 0.25), said.get("mode", "constant")
    if not isinstance(patch, list) or len(patch) != ndim or not all(_is_size(size) for size in patch):
        raise BundleError(f"inferer.roi_size must be {ndim} whole numbers, not {patch!r:.80}")
    if not isinstance(overlap, int | float) or not 0 <= overlap <= 0.9 or mode not in ("constant", "gaussian"):
        raise BundleError(f"inferer: overlap {overlap!r:.40} or mode {mode!r:.40} cannot be expressed")
    if (
        said.get("sigma_scale", 0.125) != 0.125
        or said.get("padding_mode", "constant") != "constant"
        or said.get("cval", 0)
    ):
        raise BundleError("inferer: only sigma_scale 0.125 and padding by 0 can be expressed")
    return tuple(patch), float(overlap), mode


_WINDOWING = ("roi_size", "overlap", "mode", "sigma_scale", "padding_mode", "cval")


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 4096


# --- the steps around the network -------------------------------------------------------------------------------------


def _transforms(config: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The transforms of a part of the configuration that are not switched off."""
    raw = config.get(name)
    if isinstance(raw, dict) and target_of(raw) == "Compose":
        raw = raw.get("transforms")
    if isinstance(raw, str) and raw.startswith("@"):
        raw = config.get(raw[1:].partition("#")[0])
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        raise BundleError(f"{INFERENCE}: {name} must be a Compose of transforms")
    return [one for one in raw if plain(config, one.get("_disabled_", False), name) is not True]


def _kind(name: str) -> str:
    """A transform without the ending of its form for dictionaries."""
    return name[:-4] if name.endswith("Dict") else name[:-1] if name[-1:] in ("d", "D") else name


def _before(config: Mapping[str, Any], ndim: int, channels: int) -> _Steps:
    steps = _Steps(ndim, channels, Preparation(orientation="stored", crop="none", extent="anchored",
                                               interpolation="linear", through_plane="neither"))  # fmt: skip
    for raw in _transforms(config, "preprocessing"):
        name = target_of(raw)
        kind = _kind(name)
        keys = raw.get("keys", "image")
        if kind in _IGNORED or "image" not in (keys if isinstance(keys, list) else [keys]):
            continue
        if kind not in _READ:
            raise BundleError(f"the transform {name or 'without a name'} before the network cannot be expressed")
        said = {key: plain(config, value, f"{name}.{key}") for key, value in raw.items() if not key.startswith("_")}
        said.pop("keys", None)
        _READ[kind](steps, said)
    return steps


def _orientation(steps: _Steps, said: dict[str, Any]) -> None:
    code = said.get("axcodes")
    if code not in ("RAS", "LPS") or steps.order:
        raise BundleError(f"Orientation to {code!r:.40} cannot be expressed, only RAS and LPS, before everything else")
    steps.preparation = replace(steps.preparation, orientation=code)


def _spacing(steps: _Steps, said: dict[str, Any]) -> None:
    pixdim = said.get("pixdim")
    pixdim = [pixdim] * steps.ndim if isinstance(pixdim, int | float) else pixdim
    modes = {"bilinear": "linear", "trilinear": "linear", 1: "linear", 3: "cubic"}
    mode = said.get("mode", "bilinear")
    mode = mode[0] if isinstance(mode, list) and mode else mode
    if (
        not isinstance(pixdim, list)
        or len(pixdim) < steps.ndim
        or not all(isinstance(mm, int | float) for mm in pixdim)
    ):
        raise BundleError(f"Spacing.pixdim must be {steps.ndim} numbers, not {pixdim!r:.80}")
    if "spacing" in steps.order or not isinstance(mode, str | int) or mode not in modes:
        raise BundleError(f"Spacing with the mode {mode!r:.40} cannot be expressed, or comes twice")
    if said.get("scale_extent", False) or said.get("padding_mode", "border") not in ("border", ["border"]):
        raise BundleError("Spacing with scale_extent or another padding than 'border' cannot be expressed")
    wanted = pixdim[: steps.ndim]
    steps.own_spacing = tuple(axis for axis, mm in enumerate(wanted) if mm <= 0)
    steps.spacing_mm = tuple(float(mm) if mm > 0 else 1.0 for mm in wanted)
    steps.preparation = replace(steps.preparation, interpolation=modes[mode])  # type: ignore[arg-type]
    steps.order.append("spacing")


def _scaled_range(steps: _Steps, said: dict[str, Any]) -> None:
    low, high = (_number(said, key) for key in ("a_min", "a_max"))
    least, most = said.get("b_min"), said.get("b_max")
    if low >= high or not isinstance(least, int | float) or not isinstance(most, int | float) or least >= most:
        raise BundleError("ScaleIntensityRange must go from a_min < a_max to b_min < b_max")
    std = (high - low) / (most - least)
    clip = said.get("clip", False) is True
    limits = {"lower": low, "upper": high} if clip else {"lower": -_NO_LIMIT, "upper": _NO_LIMIT}
    _normalise(steps, Normalisation("fixed", mean=low - least * std, std=std, **limits))


def _normalised(steps: _Steps, said: dict[str, Any]) -> None:
    shift, divisor = said.get("subtrahend"), said.get("divisor")
    nonzero, alone = said.get("nonzero", False) is True, said.get("channel_wise", False) is True
    if shift is None and divisor is None:
        if steps.channels > 1 and not alone:
            raise BundleError("NormalizeIntensity over all channels at once cannot be expressed")
        _normalise(steps, Normalisation("z_score_nonzero" if nonzero else "z_score"))
        return
    if nonzero:
        raise BundleError("NormalizeIntensity by given numbers over what is not 0 cannot be expressed")
    mean, std = _number(said, "subtrahend"), _number(said, "divisor")
    _normalise(steps, Normalisation("fixed", mean=mean, std=std, lower=-_NO_LIMIT, upper=_NO_LIMIT))


def _scaled(steps: _Steps, said: dict[str, Any]) -> None:
    plainly = said.get("minv", 0.0) == 0 and said.get("maxv", 1.0) == 1 and said.get("factor") is None
    if not plainly or (steps.channels > 1 and said.get("channel_wise", False) is not True):
        raise BundleError("ScaleIntensity can be expressed from 0 to 1 only, each channel by itself")
    _normalise(steps, Normalisation("range"))


def _normalise(steps: _Steps, how: Normalisation) -> None:
    if steps.normalisation is not None:
        raise BundleError("two normalisations, one after the other, cannot be expressed")
    steps.normalisation = how
    steps.order.append("normalise")


def _number(said: Mapping[str, Any], key: str) -> float:
    value = said.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BundleError(f"{key} must be a number, not {value!r:.80}")
    return float(value)


_READ = {
    "Orientation": _orientation,
    "Spacing": _spacing,
    "ScaleIntensityRange": _scaled_range,
    "NormalizeIntensity": _normalised,
    "ScaleIntensity": _scaled,
}


def _check_after(config: Mapping[str, Any]) -> None:
    """Make sure that the steps behind the network take the likeliest class, and nothing else that changes labels."""
    if "postprocessing" not in config:
        return
    for raw in _transforms(config, "postprocessing"):
        name = target_of(raw)
        kind = _kind(name)
        if kind not in _AFTERWARDS:
            raise BundleError(f"the transform {name or 'without a name'} behind the network cannot be expressed")
        if raw.get("sigmoid") or raw.get("threshold") is not None:
            raise BundleError(
                "outputs that don't exclude each other (sigmoid, threshold) cannot be expressed: "
                "a MONAI bundle does not say how they lie on top of each other"
            )
