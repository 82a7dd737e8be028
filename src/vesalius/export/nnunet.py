"""A model that nnU-Net v2 trained as a bundle that gives the same label map."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from vesalius.augment import Augmentation
from vesalius.bundle import Bundle, Card
from vesalius.errors import BundleError, VesaliusError
from vesalius.export.checkpoints import read_checkpoint
from vesalius.export.nnunet_labels import labels_of
from vesalius.export.nnunet_network import spec_of, weights_of
from vesalius.export.nnunet_plans import (
    Declared,
    Plans,
    Setup,
    architecture_of,
    dataset_of,
    plans_of,
    read_json,
    setup_of,
)
from vesalius.nets import NetworkSpec, SlicesSpec, UNetSpec
from vesalius.plan import Budget, Configuration, Optimisation, Plan, Reason
from vesalius.plan.preparation import NNUNET, Orientation, Preparation
from vesalius.transform import Normalisation

Chosen = Literal["final", "best"]

_READERS: dict[str, Orientation] = {
    "SimpleITKIO": "stored",
    "SimpleITKIOWithReorient": "RAS",
    "NibabelIO": "stored",
    "NibabelIOWithReorient": "RAS",
    "NaturalImage2DIO": "stored",
    "Tiff3DIO": "stored",
}
"""How nnU-Net's readers turn what they read."""
_RESAMPLERS = ("resample_data_or_seg_to_shape", "resample_torch_fornnunet")
_FLAT = 900.0  # how many times as coarse as the others nnU-Net says that the missing axis of a 2D image is, at least
_EPOCHS, _STEPS = 1000, 250  # Source: nnU-Net, ``nnUNetTrainer``
_FOLD = re.compile(r"fold_(\d{1,4}|all)")


def import_nnunet(
    folder: Path | str,
    *,
    folds: Sequence[int] | Literal["all"] | None = None,
    checkpoint: Chosen = "final",
    configuration: str | None = None,
) -> Bundle:
    """Turn a folder that nnU-Net v2 trained into a bundle. Nothing of the folder is run.

    The bundle prepares images by nnU-Net's customs, and its label maps are those of nnU-Net's own predictor: of the
    networks PlainConvUNet and ResidualEncoderUNet, 2D and 3D, with labels or regions. The first stage of a cascade can
    be imported, the second can not.

    Args:
        folder: That holds ``plans.json``, ``dataset.json`` and ``fold_0`` …; or the one above, of a data set, which
            holds several such folders.
        folds: Which folds to take as members; ``"all"`` is the one network that was trained on all cases
            (``fold_all``). Left out: every numbered fold, or ``fold_all`` if there is none.
        checkpoint: ``"final"``, which nnU-Net takes, or ``"best"``.
        configuration: ``"2d"``, ``"3d_fullres"`` …: which folder to take where there are several.

    Returns:
        The bundle. Its weights are in memory; nothing has been written.

    Raises:
        BundleError: Something is missing, damaged, absurd, beyond what can be expressed, or would have to be run.

    Source: nnU-Net 2.8.1; its predictions are compared in tests/reference/test_nnunet.py.
    """
    place = _trained(Path(folder), configuration)
    declared = dataset_of(read_json(place / "dataset.json"))
    plans = plans_of(read_json(place / "plans.json"))
    chosen = _folds(place, folds, checkpoint)
    held = [read_checkpoint(place / fold / f"checkpoint_{checkpoint}.pth") for fold in chosen]
    names = {_said(one, fold) for one, fold in zip(held, chosen, strict=True)}
    if len(names) != 1 or (configuration is not None and configuration not in names):
        raise BundleError(
            f"the folds are of the configuration {', '.join(sorted(names))}, not {configuration or 'one'}"
        )
    setup = setup_of(plans, next(iter(names)))
    try:
        view = _view(plans, setup)
        plan = _plan(plans, setup, declared, view, _mirror_axes(held[0], view), _epochs(held[0]))
    except BundleError:
        raise
    except VesaliusError as error:
        raise BundleError(f"plans.json: {error}") from None
    assert isinstance(plan.network, UNetSpec | SlicesSpec)
    members = tuple(
        weights_of(_network_weights(one, fold), plan.network, view.inner, fold)
        for one, fold in zip(held, chosen, strict=True)
    )
    told = {
        "imported_from": "nnU-Net v2",
        "trainer": str(held[0].get("trainer_name", ""))[:200],
        "plans": plans.plans_name,
        "configuration": next(iter(names)),
        "folds": list(chosen),
        "checkpoint": checkpoint,
        "sha256": [_digest(place / fold / f"checkpoint_{checkpoint}.pth") for fold in chosen],
    }
    return Bundle(plan, members, card=_card(plans, declared, told), provenance=told)


@dataclass(frozen=True)
class _View:
    """How nnU-Net's axes, transposed as its network sees them, lie in ours.

    Args:
        axes: For each axis of our images, the axis of nnU-Net's patch; None for the axis across a 2D network's slices.
        inner: For each axis of the network, nnU-Net's.
    """

    axes: tuple[int | None, ...]
    inner: tuple[int, ...]

    @property
    def slices(self) -> int | None:
        """Our axis across the slices of a 2D network."""
        return self.axes.index(None) if None in self.axes else None

    def turned(self, values: Sequence[Any], across: Any = None) -> tuple[Any, ...]:
        """Values on nnU-Net's axes, on ours."""
        return tuple(across if axis is None else values[axis] for axis in self.axes)


def _view(plans: Plans, setup: Setup) -> _View:
    # nnU-Net reads (z, y, x) of what we read as (x, y, z), then transposes.
    order = tuple(plans.transpose_backward[2 - axis] for axis in range(3))
    if len(setup.patch_size) == 3:
        return _View(order, order)
    axes = tuple(None if axis == 0 else axis - 1 for axis in order)
    if _are_flat(plans):
        if axes[2] is not None:
            raise BundleError("plans.json: transpose_forward moves the axis that 2D images don't have")
        axes = axes[:2]
    return _View(axes, tuple(axis for axis in axes if axis is not None))


def _are_flat(plans: Plans) -> bool:
    """Whether the images are 2D: nnU-Net gives them a third axis of one very thick slice."""
    across, *plane = plans.original_median_spacing_after_transp
    return plans.original_median_shape_after_transp[0] == 1 and across >= _FLAT * min(plane)


def _plan(
    plans: Plans, setup: Setup, declared: Declared, view: _View, mirror_axes: tuple[int, ...], epochs: int
) -> Plan:
    labels, regions = labels_of(declared)
    channels = _channels(declared)
    outputs = len(declared.regions_class_order or ()) if regions else len(labels) + 1
    inner = spec_of(architecture_of(setup), len(channels), outputs, view.inner)
    network: NetworkSpec = inner if view.slices is None else SlicesSpec(inner=inner, axis=view.slices)
    patch = view.turned(setup.patch_size, 1)
    median = plans.original_median_spacing_after_transp
    spacing = view.turned(setup.spacing, median[0])
    configuration: Configuration = "2d" if len(setup.patch_size) == 2 else "3d"
    if configuration == "3d" and setup.spacing != median and _is_lowres(setup, median):
        configuration = "3d_lowres"
    steps = epochs * _STEPS
    return Plan(
        ndim=3 if len(patch) == 3 else 2,
        channels=channels,
        labels=labels,
        configuration=configuration,
        calibrated=plans.image_reader_writer != "NaturalImage2DIO",
        spacing_mm=spacing,
        preparation=_preparation(plans, setup, view),
        normalisation=_normalisations(plans, setup, len(channels)),
        patch_size=patch,
        batch_size=setup.batch_size,
        network=network,
        optimisation=Optimisation.for_optimiser("sgd", steps),
        augmentation=Augmentation.for_patch(patch, mirror_axes=mirror_axes),
        mirror_axes=mirror_axes,
        regions=regions,
        budget=Budget(steps=steps),
        reasons=(Reason("network", f"imported from nnU-Net: {plans.dataset_name}, {plans.plans_name}"),),
    )


def _is_lowres(setup: Setup, median: Sequence[float]) -> bool:
    return all(mine > theirs for mine, theirs in zip(setup.spacing, median, strict=True))


def _preparation(plans: Plans, setup: Setup, view: _View) -> Preparation:
    if setup.previous_stage is not None:
        raise BundleError(
            "this is the second stage of a cascade, which sees the result of another network: not supported"
        )
    if plans.image_reader_writer not in _READERS:
        raise BundleError(f"images read by {plans.image_reader_writer} are not known: {', '.join(_READERS)} are")
    orientation = _READERS[plans.image_reader_writer]
    names = {setup.resampling_fn_data, setup.resampling_fn_probabilities}
    if names == {"no_resampling_hack"}:
        return replace(NNUNET, orientation=orientation, own_spacing=tuple(range(len(view.axes))))
    image, scores = setup.resampling_fn_data_kwargs, setup.resampling_fn_probabilities_kwargs
    if len(names) != 1 or not names < set(_RESAMPLERS) or image.force_separate_z is not scores.force_separate_z:
        raise BundleError(f"resampling by {' and '.join(sorted(names))} with these arguments is not known")
    linear = setup.resampling_fn_data != _RESAMPLERS[0]
    if not linear and scores.order != 1:
        raise BundleError(f"scores that are resampled by splines of order {scores.order} are not known, only order 1")
    return replace(
        NNUNET,
        orientation=orientation,
        interpolation="linear" if linear or image.order == 1 else "cubic",
        through_plane="neither" if image.force_separate_z is False else "image_and_scores",
        own_spacing=() if view.slices is None else (view.slices,),
    )


def _normalisations(plans: Plans, setup: Setup, channels: int) -> tuple[Normalisation, ...]:
    schemes, masked = setup.normalization_schemes, setup.use_mask_for_norm
    if len(schemes) != channels or len(masked) != channels:
        raise BundleError(f"plans.json: {channels} channels need as many normalization_schemes and use_mask_for_norm")
    return tuple(
        _normalisation(plans, scheme, number, masked=inside)
        for number, (scheme, inside) in enumerate(zip(schemes, masked, strict=True))
    )


def _normalisation(plans: Plans, scheme: str, number: int, *, masked: bool) -> Normalisation:
    match scheme:
        case "ZScoreNormalization":
            return Normalisation("z_score_content" if masked else "z_score")
        case "CTNormalization":
            facts = plans.foreground_intensity_properties_per_channel.get(str(number))
            if facts is None:
                raise BundleError(f"plans.json: CTNormalization needs the intensities of channel {number}")
            return Normalisation(
                "ct", mean=facts.mean, std=facts.std, lower=facts.percentile_00_5, upper=facts.percentile_99_5
            )
        case "RescaleTo01Normalization":
            return Normalisation("range")
        case "RGBTo01Normalization":
            return Normalisation("rgb")
        case "NoNormalization":
            return Normalisation("none")
    raise BundleError(f"plans.json: the normalisation {scheme} is not known")


def _channels(declared: Declared) -> tuple[str, ...]:
    """Names of the channels, made different where they are not."""
    names: list[str] = []
    for number in range(len(declared.channel_names)):
        name = declared.channel_names.get(str(number))
        if name is None or not name.isprintable():
            raise BundleError("dataset.json: channels must be numbered from 0 and have printable names")
        names.append(name if name not in names else f"{name} {number}")
    return tuple(names)


def _mirror_axes(checkpoint: Mapping[str, Any], view: _View) -> tuple[int, ...]:
    said = checkpoint.get("inference_allowed_mirroring_axes")
    axes = () if said is None else said
    allowed = range(len(view.inner))
    if not isinstance(axes, tuple | list) or len(set(axes)) != len(axes) or not all(a in allowed for a in axes):
        raise BundleError(f"inference_allowed_mirroring_axes must be different axes of the patch, not {said!r:.80}")
    return tuple(mine for mine, axis in enumerate(view.axes) if axis in axes)


def _epochs(checkpoint: Mapping[str, Any]) -> int:
    epochs = checkpoint.get("current_epoch")
    return epochs if isinstance(epochs, int) and 1 <= epochs <= 1_000_000 else _EPOCHS


def _said(checkpoint: Mapping[str, Any], fold: str) -> str:
    """The configuration that a checkpoint says it is of."""
    arguments = checkpoint.get("init_args")
    name = arguments.get("configuration") if isinstance(arguments, dict) else None
    if not isinstance(name, str):
        raise BundleError(f"{fold}: the checkpoint does not say of which configuration it is")
    return name


def _network_weights(checkpoint: Mapping[str, Any], fold: str) -> Mapping[str, Any]:
    weights = checkpoint.get("network_weights")
    if not isinstance(weights, Mapping):
        raise BundleError(f"{fold}: the checkpoint holds no network_weights")
    return weights


def _trained(folder: Path, configuration: str | None) -> Path:
    if not folder.is_dir():
        raise BundleError(f"{folder.name}: there is no such folder")
    if (folder / "plans.json").is_file():
        return folder
    inside = sorted(place.parent for place in folder.glob("*/plans.json"))
    fitting = [place for place in inside if configuration in (None, place.name.rpartition("__")[2])]
    if not inside:
        raise BundleError(f"{folder.name}: neither this folder nor one inside it holds a plans.json")
    if len(fitting) != 1:
        raise BundleError(
            f"{folder.name} holds {', '.join(place.name for place in inside)}: "
            "name one of these folders, or its configuration"
        )
    return fitting[0]


def _folds(place: Path, folds: Sequence[int] | Literal["all"] | None, checkpoint: Chosen) -> tuple[str, ...]:
    def has(fold: str) -> bool:
        return (place / fold / f"checkpoint_{checkpoint}.pth").is_file()

    there = [path.name for path in place.iterdir() if _FOLD.fullmatch(path.name) and has(path.name)]
    numbered = sorted((name for name in there if name != "fold_all"), key=lambda name: int(name[5:]))
    if folds is None:
        found = numbered or there
    elif folds == "all":
        found = ["fold_all"]
    else:
        found = [f"fold_{int(number)}" for number in folds]
    missing = [name for name in found if name not in there]
    if not found or missing or len(set(found)) != len(found):
        raise BundleError(
            f"{place.name}: no checkpoint_{checkpoint}.pth of {', '.join(missing or found) or 'any fold'}; "
            f"there is one of {', '.join(sorted(there)) or 'none'}"
        )
    return tuple(found)


def _card(plans: Plans, declared: Declared, told: Mapping[str, Any]) -> Card:
    return Card(
        name=plans.dataset_name,
        description=f"Imported from nnU-Net v2 ({plans.dataset_name})",
        data=plans.dataset_name,
        data_licence=declared.licence[:500],
        recipe=f"{told['trainer']}, plans {plans.plans_name}, {told['configuration']}, {', '.join(told['folds'])}",
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
