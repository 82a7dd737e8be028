"""Outer regions: what holds nearly all of a structure, and more than it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import numpy as np

from vesalius.bundle import Bundle
from vesalius.errors import BundleError
from vesalius.image import Label, LabelMap, Labels
from vesalius.io.layouts.files import stem, suffix
from vesalius.plan import Plan
from vesalius.predict.segment import Prediction


def outer_thresholds(bundle: Bundle, missed: float) -> Mapping[str, float]:
    """From which probability voxels belong to the outer region of each structure, as the bundle was calibrated.

    Args:
        bundle: The segmenter.
        missed: Share of a structure that the region may miss on average.

    Returns:
        Of each structure for which that is promised.

    Raises:
        BundleError: It is promised of none.
    """
    calibration = bundle.card.calibration
    known = {} if calibration is None else calibration.outer
    found = next((thresholds for share, thresholds in known.items() if abs(share - missed) < 1e-9), None)
    if found:
        return found
    name = bundle.card.name or "this segmenter"
    shares = ", ".join(f"{share:g}" for share in sorted(known))
    what = f"it is for regions that miss {shares}" if shares else "calibrate it on labelled cases: `vesalius calibrate`"
    raise BundleError(f"{name} is not calibrated for regions that miss {missed:g} of a structure: {what}")


def outer_regions(found: Prediction, plan: Plan, thresholds: Mapping[str, float]) -> dict[str, LabelMap]:
    """The outer region of each structure: what was found, and where its probability reaches the threshold.

    They may overlap.

    Args:
        found: With probabilities.
        plan: Of the segmenter.
        thresholds: By label or region, from `outer_thresholds`.

    Returns:
        A label map of each, on the image's grid.

    Source: Angelopoulos et al. 2022, arXiv:2208.02814 (voxels by a calibrated threshold).
    """
    if found.probabilities is None:
        raise BundleError("outer regions are made of probabilities, and the prediction has none")
    outputs = [output.name for output in plan.outputs]
    first = 0 if plan.regions else 1  # channel of the first output, after the background
    regions = {}
    for name, threshold in thresholds.items():
        if name not in outputs:
            raise BundleError(f"the calibration speaks of {name!r}, which is none of the segmenter's outputs")
        chance = found.probabilities.array[first + outputs.index(name)]
        inside = (chance >= np.float32(threshold)) | np.isin(found.labels.array, plan.labels.members(name))
        label = replace(plan.labels[name], value=1) if name in plan.labels.names else Label(name, 1)
        regions[name] = LabelMap(inside.astype(np.uint8), found.labels.grid, Labels((label,)))
    return regions


def outer_paths(target: Path, names: Iterable[str]) -> dict[str, Path]:
    """Where the outer regions of structures are written: beside the label map.

    Args:
        target: Of the label map.
        names: Of the structures; they are written so that every file system takes them.

    Example:
        >>> outer_paths(Path("out/a.nii.gz"), ["left/upper"])["left/upper"].name
        'a-outer-left%2Fupper.nii.gz'
    """
    return {name: target.with_name(f"{stem(target)}-outer-{quote(name, safe=' ')}{suffix(target)}") for name in names}
