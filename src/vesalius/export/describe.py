"""The description beside an artefact: all that has to be done before and after the network, for who has no Vesalius."""

from __future__ import annotations

from inspect import signature
from typing import Any

from vesalius import __version__
from vesalius.bundle import Bundle
from vesalius.bundle.card import card_to_json
from vesalius.bundle.parts import digest
from vesalius.bundle.tensors import exact_precision, weights_to_bytes
from vesalius.export.targets import Artefact
from vesalius.nets import SlicesSpec
from vesalius.plan import Plan
from vesalius.plan.preparation import WindowWeight
from vesalius.predict.places import gaussian_line
from vesalius.transform import Normalisation
from vesalius.transform.postprocess import postprocessing_to_json

DESCRIPTION = "vesalius.json"
FORMAT, VERSION = "vesalius export", 1
INPUT, OUTPUT = "image", "logits"

_FORMULAS = {
    "z_score": "(x - mean(x)) / max(std(x), 1e-8), over the whole channel after the crop; std divides by n",
    "z_score_nonzero": "(x - mean(x)) / max(std(x), 1e-8), over the voxels that are not 0; the others stay 0",
    "z_score_content": "(x - mean(x)) / max(std(x), 1e-8), over the voxels that are not 0 in some channel and the "
    "holes between them; the others are 0",
    "ct": "(clip(x, lower, upper) - mean) / max(std, 1e-8)",
    "fixed": "(clip(x, lower, upper) - mean) / max(std, 1e-8)",
    "range": "(x - min(x)) / max(max(x) - min(x), 1e-8), over the whole channel after the crop",
    "percentiles": "clip((x - p) / max(q - p, 1e-8), 0, 1) with the 0.5 and 99.5 percentiles p and q of the channel "
    "after the crop",
    "rgb": "x / 255",
    "none": "x",
}
_EXTENTS = {
    "centred": "max(1, round(size * old / new)) voxels of exactly this spacing, about the same middle",
    "filled": "max(1, round(size * old / new)) voxels over exactly the old extent, whose spacing gives way",
    "anchored": "voxels of exactly this spacing from the first voxel to the one nearest to the last",
}
_PLACES = {
    "even": "evenly spaced, the first at the start and the last at the end of each axis, each covering at least the "
    "overlap of its neighbour",
    "regular": "from the start in steps of int(edge * (1 - overlap)) voxels; the last is pushed back to the end",
}
_ENDS = {"L": "left", "P": "posterior", "S": "superior", "R": "right", "A": "anterior", "I": "inferior"}


def describe(bundle: Bundle, artefact: Artefact) -> dict[str, Any]:
    """One part of an export, as plain values.

    Args:
        bundle: The part: the bundle itself, its coarse stage or a partner.
        artefact: What was written of it.

    Returns:
        The input, the steps before the network, the windows, the outputs and the steps after it.
    """
    plan = bundle.plan
    return {
        "input": _input(bundle, artefact),
        "before": _before(plan),
        "windows": _windows(plan, artefact),
        "output": _output(plan),
        "after": _after(bundle),
        "weights_sha256": [digest(weights_to_bytes(w, precision=exact_precision(w))) for w in bundle.members],
        "members": len(bundle.members),
        "card": card_to_json(bundle.card),
    }


def versions(runtime: str) -> dict[str, str]:
    """Of what had a part in it."""
    from importlib.metadata import version

    import torch

    return {"vesalius": __version__, "torch": torch.__version__, runtime: version(runtime)}


def axes(plan: Plan) -> tuple[str, ...]:
    """The axes of the input, by name.

    Example:
        >>> from vesalius.bundle import Bundle
        >>> axes(Bundle.load("hippocampus").plan)
        ('batch', 'channel', 'left', 'posterior', 'superior')
    """
    turned = plan.ndim == 3 and plan.preparation.orientation != "stored"
    grid = [_ENDS[code] for code in plan.preparation.orientation] if turned else list("ijk")[: plan.ndim]
    return ("batch", "channel", *grid)


def _input(bundle: Bundle, artefact: Artefact) -> dict[str, Any]:
    plan = bundle.plan
    names = axes(plan)
    found = () if bundle.coarse is None else bundle.coarse.plan.labels.names
    shape = (1, plan.network.in_channels, *plan.patch_size)
    return {
        "name": INPUT,
        "dtype": "float32",
        "axes": list(names),
        "shape": list(shape),
        "free_axes": {names[axis]: {"multiple_of": step} for axis, step in artefact.free_axes.items()},
        "channels": [*plan.channels, *(f"{name}, as the coarse stage finds it" for name in found)],
    }


def _before(plan: Plan) -> list[dict[str, Any]]:
    """The steps from an image as it was read to the prepared one, in order."""
    how = plan.preparation
    steps: list[dict[str, Any]] = []
    if plan.ndim == 3 and how.orientation != "stored":
        told = "axes are turned and flipped, nothing is interpolated"
        steps.append({"step": "orient", "axes_point_to": how.orientation, "how": told})
    if how.crop == "content":
        steps.append({"step": "crop", "to": "the smallest box that holds every voxel that is not 0 in some channel"})
    channels = zip(plan.channels, plan.normalisation, strict=True)
    scale = {"step": "normalise", "channels": [{"channel": name, **_normalisation(one)} for name, one in channels]}
    spaced = [_resampling(plan)] if plan.calibrated else []
    steps += [scale, *spaced] if how.normalised == "before" else [*spaced, scale]
    if plan.coarse_labels:
        steps.append(
            {"step": "add channels", "how": "0 and 1 for each label that the coarse stage finds, on this grid"}
        )
    return steps


def _resampling(plan: Plan) -> dict[str, Any]:
    how = plan.preparation
    found: dict[str, Any] = {
        "step": "resample",
        "spacing_mm": list(plan.spacing_mm),
        "interpolation": "cubic B-spline with prefilter" if how.interpolation == "cubic" else "linear",
        "extent": _EXTENTS[how.extent],
    }
    if how.through_plane != "neither":
        found["interpolation"] += "; the nearest slice along the axis of slices more than 3 times as thick"
    if how.own_spacing:
        found["own_spacing"] = [axes(plan)[axis + 2] for axis in how.own_spacing]
    if how.extent != "filled":
        found["unless"] = "the spacing is the same within 0.1 %"
    return found


def _normalisation(how: Normalisation) -> dict[str, Any]:
    used = {"ct": ("lower", "upper", "mean", "std"), "fixed": ("lower", "upper", "mean", "std")}
    numbers = {name: getattr(how, name) for name in used.get(how.scheme, ())}
    return {"scheme": how.scheme, **numbers, "formula": _FORMULAS[how.scheme]}


def _windows(plan: Plan, artefact: Artefact) -> dict[str, Any]:
    how = plan.preparation
    mirrored = [axes(plan)[axis + 2] for axis in plan.mirror_axes]
    found: dict[str, Any] = {
        "patch_size": list(plan.patch_size),
        "overlap": plan.overlap,
        "places": _PLACES[how.window_places],
        "padding": "an image smaller than a window is padded with 0, (missing // 2) before it and the rest after it",
        "weights": _weights(how.window_weight),
        "mirror_axes": [] if artefact.mirrored else mirrored,
        "mirroring": "the mean of the logits over all combinations of mirrored axes, each turned back",
    }
    if plan.paired_labels and 0 in plan.mirror_axes and not artefact.mirrored:
        found["mirrored_outputs"] = list(plan.mirrored_outputs)
        found["mirroring"] += f"; where {mirrored[0]} is mirrored, output n is taken from output mirrored_outputs[n]"
    if artefact.mirrored:
        found["mirrored_by_the_network"] = mirrored
    if isinstance(plan.network, SlicesSpec):
        found["slices"] = {"across": axes(plan)[plan.network.axis + 2], "neighbours_seen": plan.network.context}
    return found


def _weights(kind: WindowWeight) -> dict[str, Any]:
    blended = {"blended": "sum(weight * logits) / sum(weight)"}
    if kind == "constant":
        return {"kind": "constant", **blended}
    sigma = signature(gaussian_line).parameters["sigma_scale"].default
    return {
        "kind": "gaussian",
        "sigma_of_edge": sigma,  # on each axis
        "centre": "(edge - 1) / 2" if kind == "gaussian" else "edge // 2",
        **blended,
    }


def _output(plan: Plan) -> dict[str, Any]:
    names = [output.name for output in plan.outputs]
    found = names if plan.regions else ["background", *names]
    return {
        "name": OUTPUT,
        "dtype": "float32",
        "shape": [1, plan.network.out_channels, *plan.patch_size],
        "kind": "logits",
        "activation": "sigmoid" if plan.regions else "softmax",
        "channels": [
            {"index": index, "name": name, "values": list(values)}
            for index, (name, values) in enumerate(zip(found, _values(plan), strict=True))
        ],
    }


def _back(plan: Plan) -> str:
    if plan.preparation.through_plane != "image_and_scores":
        return "linearly"
    return "linearly (from the nearest slice along the axis of slices more than 3 times as thick)"


def _values(plan: Plan) -> list[tuple[int, ...]]:
    values = [output.values for output in plan.outputs]
    return values if plan.regions else [(0,), *values]


def _after(bundle: Bundle) -> dict[str, Any]:
    plan = bundle.plan
    labels = [
        {
            "name": label.name,
            "value": label.value,
            "colour": list(plan.labels.colour(label.value)),
            "code": None if label.code is None else dict(label.code.__dict__),
        }
        for label in plan.labels.labels
    ]
    decide = (
        "each region is where its logit is above 0; they are painted in order, later ones on top, each with the value "
        "of `painted`"
        if plan.regions
        else "the channel with the largest logit; at a tie the first"
    )
    found: dict[str, Any] = {
        "resample": f"logits, {_back(plan)}, onto the image's own grid; outside what the network saw all is background",
        "decide": decide,
        "background": 0,
        "labels": labels,
        "regions": [{"name": region.name, "values": list(region.values)} for region in plan.labels.regions],
        "clean_up": postprocessing_to_json(bundle.postprocessing),
        "clean_up_in_words": list(bundle.postprocessing.words),
    }
    if plan.regions:
        from vesalius.plan.regions import painted_values

        found["painted"] = [values[0] for values in painted_values(plan.outputs)]
    return found
