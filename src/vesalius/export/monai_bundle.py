"""A MONAI bundle: the network as TorchScript, and the steps around it in the words of MONAI's transforms.

MONAI's own programs (``monai.bundle run``, MONAI Label, MONAI Deploy) run it. What its transforms cannot say exactly is
told in the notes, and measured in docs/reference/export.md.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius import __version__
from vesalius.export.targets import Artefact, Model, Precision
from vesalius.io.atomic import make_folder, write_text

if TYPE_CHECKING:
    from vesalius.bundle import Bundle
    from vesalius.plan import Plan
    from vesalius.predict.backends import Run
    from vesalius.transform import Normalisation
    from vesalius.transform.postprocess import Step

PRECISIONS: tuple[Precision, ...] = ("fp32",)
RUNTIME = "torch"
FILE = "models/model.ts"


def refuses(bundle: Bundle) -> str | None:
    """A MONAI bundle has one network."""
    if bundle.coarse is not None or bundle.partners:
        return "it holds several segmenters, and MONAI has no transform that hands the result of one to another"
    return None


def write(model: Model, folder: Path) -> Artefact:
    """Write ``configs/metadata.json``, ``configs/inference.json`` and ``models/model.ts``."""
    from vesalius.export.graph import mirrored
    from vesalius.export.sizes import free_axes
    from vesalius.export.torchscript import trace
    from vesalius.predict.views import planned_views

    plan = model.bundle.plan
    for name in ("configs", "models", "docs"):
        make_folder(folder / name)
    trace(mirrored(model.network, planned_views(plan)), model.windows, folder / FILE)
    after, unsaid = _after(model.bundle)
    _write_json(folder / "configs" / "metadata.json", _metadata(model.bundle))
    _write_json(folder / "configs" / "inference.json", _inference(plan, after))
    write_text(folder / "docs" / "README.md", _readme(model.bundle))
    return Artefact(
        path=folder / FILE,
        free_axes=free_axes(plan.network),
        notes=(*_notes(plan), *(f"the clean-up is left out where MONAI cannot say it: {words}" for words in unsaid)),
        mirrored=True,
    )


def load(path: Path) -> Run:
    """Run the network with PyTorch."""
    from vesalius.export import torchscript

    return torchscript.load(path)


# --- the configuration ------------------------------------------------------------------------------------------------


def _inference(plan: Plan, after: list[dict[str, Any]]) -> dict[str, Any]:
    ending = "nii.gz" if plan.ndim == 3 else "png"
    return {
        "imports": ["$import glob", "$import os"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/results'",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "datalist": f"$sorted(glob.glob(os.path.join(@dataset_dir, '*.{ending}')))",
        "network": "$torch.jit.load(@bundle_root + '/models/model.ts', map_location=@device).eval()",
        "preprocessing": {"_target_": "Compose", "transforms": _before(plan)},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': one} for one in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {
            "_target_": "DataLoader",
            "dataset": "@dataset",
            "batch_size": 1,
            "shuffle": False,
            "num_workers": 0,
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(plan.patch_size),
            "sw_batch_size": 1,
            "overlap": plan.overlap,
            "mode": "constant" if plan.preparation.window_weight == "constant" else "gaussian",
            "sigma_scale": 0.125,
            "padding_mode": "constant",
            "cval": 0.0,
        },
        "postprocessing": {"_target_": "Compose", "transforms": after},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "initialize": [],
        "run": ["$@evaluator.run()"],
    }


def _notes(plan: Plan) -> list[str]:
    """Where the bundle is not quite what `vesalius segment` does."""
    how, notes = plan.preparation, []
    if how.window_places == "even":
        notes.append("MONAI lays windows from the start in whole steps, Vesalius evenly over the image")
    if how.window_weight != "constant":
        notes.append(
            "in MONAI no voxel of a window weighs less than a thousandth, so that windows are blended otherwise "
            "at the border of an image"
        )
    if how.window_weight == "gaussian_upper":
        notes.append("MONAI weighs windows about their middle, nnU-Net about the voxel above it")
    if plan.calibrated and how.extent != "anchored":
        notes.append("where an image is resampled, its new grid may lie a fraction of a voxel apart from Vesalius'")
    if plan.calibrated and how.through_plane != "neither":
        notes.append("MONAI resamples along all axes alike; Vesalius takes the nearest of slices thrice as thick")
    if any(one.scheme == "z_score_content" for one in plan.normalisation):
        notes.append("MONAI normalises over what is not 0, without the holes in the content")
    return [*notes, "`monai.bundle run` needs pytorch-ignite, and nibabel for NIfTI files"]


def _before(plan: Plan) -> list[dict[str, Any]]:
    """Our preparation in MONAI's words, in our order."""
    how = plan.preparation
    steps: list[dict[str, Any]] = [
        {"_target_": "LoadImaged", "keys": "image", "image_only": True},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {"_target_": "CopyItemsd", "keys": "image", "names": "original"},
    ]
    if plan.ndim == 3 and how.orientation != "stored":
        steps.append({"_target_": "Orientationd", "keys": "image", "axcodes": how.orientation, "labels": None})
    if how.crop == "content":
        content = {"source_key": "image", "select_fn": "$lambda x: x != 0", "allow_smaller": True}
        steps.append({"_target_": "CropForegroundd", "keys": "image", **content})
    scale, spaced = _normalised(plan.normalisation), [_spaced(plan)] if plan.calibrated else []
    steps += [*scale, *spaced] if how.normalised == "before" else [*spaced, *scale]
    return [*steps, {"_target_": "EnsureTyped", "keys": "image", "dtype": "$torch.float32"}]


def _spaced(plan: Plan) -> dict[str, Any]:
    how = plan.preparation
    cubic = how.interpolation == "cubic"
    return {
        "_target_": "Spacingd",
        "keys": "image",
        "pixdim": [-1.0 if axis in how.own_spacing else mm for axis, mm in enumerate(plan.spacing_mm)],
        "mode": 3 if cubic else "bilinear",
        "padding_mode": "mirror" if cubic else "border",
        "scale_extent": how.extent != "anchored",
        "align_corners": False,
    }


def _normalised(schemes: Sequence[Normalisation]) -> list[dict[str, Any]]:
    """All channels at once where they are alike, else each by itself."""
    if len(set(schemes)) == 1:
        return _normalise("image", schemes[0])
    postfixes = [str(number) for number in range(len(schemes))]
    keys = [f"image_{postfix}" for postfix in postfixes]
    return [
        {"_target_": "SplitDimd", "keys": "image", "dim": 0, "keepdim": True, "output_postfixes": postfixes},
        *(step for key, scheme in zip(keys, schemes, strict=True) for step in _normalise(key, scheme)),
        {"_target_": "ConcatItemsd", "keys": keys, "name": "image", "dim": 0},
        {"_target_": "DeleteItemsd", "keys": keys},
    ]


def _normalise(key: str, how: Normalisation) -> list[dict[str, Any]]:
    match how.scheme:
        case "z_score" | "z_score_nonzero" | "z_score_content":
            nonzero = how.scheme != "z_score"
            return [{"_target_": "NormalizeIntensityd", "keys": key, "channel_wise": True, "nonzero": nonzero}]
        case "ct" | "fixed":
            low, high = ((bound - how.mean) / max(how.std, 1e-8) for bound in (how.lower, how.upper))
            return [_scaled(key, how.lower, how.upper, low, high)]
        case "rgb":
            return [_scaled(key, 0.0, 255.0, 0.0, 1.0)]
        case "range":
            return [{"_target_": "ScaleIntensityd", "keys": key, "minv": 0.0, "maxv": 1.0, "channel_wise": True}]
        case "percentiles":
            ends = {"lower": 0.5, "upper": 99.5, "b_min": 0.0, "b_max": 1.0, "clip": True, "channel_wise": True}
            return [{"_target_": "ScaleIntensityRangePercentilesd", "keys": key, **ends}]
        case _:
            return []  # as they are


def _scaled(key: str, lower: float, upper: float, low: float, high: float) -> dict[str, Any]:
    numbers = {"a_min": lower, "a_max": upper, "b_min": low, "b_max": high}
    return {"_target_": "ScaleIntensityRanged", "keys": key, **numbers, "clip": True}


def _after(bundle: Bundle) -> tuple[list[dict[str, Any]], list[str]]:
    """From logits to labels on the image's own grid, and the steps of the clean-up that cannot be said."""
    from vesalius.plan.regions import painted_values

    plan = bundle.plan
    steps: list[dict[str, Any]] = [
        # As in Vesalius, logits go straight to the image's own grid. Further than half a voxel from what was seen all
        # is background; a channel of ones that goes the same way tells how far that is.
        _by("$lambda x: torch.cat([x, torch.ones_like(x[:1])])"),
        {
            "_target_": "ResampleToMatchd",
            "keys": "pred",
            "key_dst": "original",
            "mode": "bilinear",
            "padding_mode": "zeros",
            "dtype": "$torch.float32",
        },
        _by("$lambda x: x[:-1] * (x[-1:] > 0.5)"),
    ]
    if plan.regions:
        # The number of the topmost region whose logit is above 0.
        numbers = f"torch.arange(1, {len(plan.outputs) + 1}, device=x.device).reshape(-1, *[1] * {plan.ndim})"
        steps.append(_by(f"$lambda x: ((x > 0) * {numbers}).amax(0, True)"))
        values = [painted[0] for painted in painted_values(plan.outputs)]
    else:
        steps.append({"_target_": "AsDiscreted", "keys": "pred", "argmax": True})
        values = list(plan.labels.values)
    numbered = list(range(1, len(values) + 1))
    if values != numbered:
        steps.append({"_target_": "MapLabelValued", "keys": "pred", "orig_labels": numbered, "target_labels": values})
    said = [(_cleaned(step, plan), words) for step, words in _in_words(bundle)]
    steps += [found for found, _ in said if found is not None]
    kind = "$np.uint8" if max(values) < 256 else "$np.uint16"
    saved = {"output_dir": "@output_dir", "output_postfix": "segmentation", "output_dtype": kind, "resample": False}
    ending = {} if plan.ndim == 3 else {"output_ext": ".png"}
    steps.append({"_target_": "SaveImaged", "keys": "pred", **saved, **ending, "separate_folder": False})
    return steps, [words for found, words in said if found is None]


def _by(function: str) -> dict[str, Any]:
    return {"_target_": "Lambdad", "keys": "pred", "func": function}


def _in_words(bundle: Bundle) -> list[tuple[Step, str]]:
    return list(zip(bundle.postprocessing.steps, bundle.postprocessing.words, strict=True))


def _cleaned(step: Step, plan: Plan) -> dict[str, Any] | None:
    """A step of the clean-up; None where MONAI has none like it."""
    from vesalius.transform.postprocess import KeepLargest

    if isinstance(step, KeepLargest):
        members = plan.labels.values if step.name is None else plan.labels.members(step.name)
        return {
            "_target_": "KeepLargestConnectedComponentd",
            "keys": "pred",
            "applied_labels": list(members),
            "is_onehot": False,
            "independent": False,
        }
    if step.name is not None:
        return None  # MONAI removes small pieces of all labels together only
    size = step.least * (1000 if step.unit == "ml" else 1)
    return {
        "_target_": "RemoveSmallObjectsd",
        "keys": "pred",
        "min_size": size,
        "connectivity": plan.ndim,
        "independent_channels": False,
        "by_measure": step.unit != "voxels",
    }


# --- what it says of itself -------------------------------------------------------------------------------------------


def _metadata(bundle: Bundle) -> dict[str, Any]:
    from importlib.metadata import version

    plan, card = bundle.plan, bundle.card
    names = [output.name for output in plan.outputs]
    names = names if plan.regions else ["background", *names]
    spatial = {"spatial_shape": [f"{step}*n" for step in plan.network.divisor], "dtype": "float32"}
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
        "meta_schema_20220324.json",
        "version": __version__,
        "changelog": {__version__: "exported by Vesalius"},
        "monai_version": "1.6.1",
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {"pytorch-ignite": "0.5.5", "nibabel": "5.3.0"},
        "name": card.name or "segmenter",
        "task": card.description or "segmentation",
        "description": card.description or f"finds {', '.join(plan.labels.names)}",
        "authors": "see the card in vesalius.json",
        "copyright": card.data_licence or "see the card in vesalius.json",
        "data_source": card.data,
        "intended_use": card.limits,
        "eval_metrics": {f"dice_{name}": value for name, value in card.scores.items()},
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "modality": ", ".join(plan.channels),
                    "num_channels": plan.network.in_channels,
                    **spatial,
                    "value_range": [],
                    "is_patch_data": True,
                    "channel_def": {str(number): name for number, name in enumerate(plan.channels)},
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": plan.network.out_channels,
                    **spatial,
                    "value_range": [],
                    "is_patch_data": True,
                    "channel_def": {str(number): name for number, name in enumerate(names)},
                }
            },
        },
        "vesalius": {"plan": asdict(plan.labels), "mirrored_axes": list(plan.mirror_axes)},
    }


def _readme(bundle: Bundle) -> str:
    card = bundle.card
    lines = [
        f"# {card.name or 'Segmenter'}",
        card.description,
        f"Labels: {', '.join(f'{label.value} {label.name}' for label in bundle.plan.labels.labels)}.",
        card.limits,
        "Run it with `python -m monai.bundle run --config_file configs/inference.json --bundle_root . "
        "--dataset_dir IMAGES --output_dir RESULTS`.",
        "What the steps around the network are, exactly, stands in `vesalius.json`.",
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def _write_json(path: Path, value: dict[str, Any]) -> None:
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
