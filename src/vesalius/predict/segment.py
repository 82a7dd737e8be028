"""From an image and a bundle to a label map on the image's own grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.bundle import Bundle
from vesalius.errors import BundleError
from vesalius.image import Grid, LabelMap, Meta, Volume
from vesalius.plan.device import find_device
from vesalius.plan.prepare import to_values
from vesalius.predict.chances import add_probabilities, likeliest_classes, mean_probabilities
from vesalius.predict.scratch import scratch
from vesalius.predict.segmenter import Segmenter, load_segmenter
from vesalius.predict.stages import Look, classes_on, image_logits
from vesalius.transform import postprocess as clean_up
from vesalius.transform import reorient, resample


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a segmenter says about an image.

    Args:
        labels: On the image's own grid.
        probabilities: ``(outputs, *grid)`` on the image's own grid: background first and then each label, or each of
            ``plan.outputs`` of a plan for regions; only when asked for. Post-processing does not change them.
        provenance: Which bundle and settings made it.
    """

    labels: LabelMap
    probabilities: Volume | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


def segment(
    image: Volume,
    bundle: Bundle | Segmenter | str | Path,
    *,
    device: str = "auto",
    channels: Sequence[str] | None = None,
    members: Sequence[int] | None = None,
    backend: str = "auto",
    mirror: bool | None = None,
    overlap: float | None = None,
    postprocess: bool = True,
    probabilities: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Prediction:
    """Segment an image with a trained bundle.

    The image is brought to the form that the plan says, the network looks at it through overlapping windows, whose
    logits are blended with Gaussian weights, and the result is brought back to the image's own grid. How the image
    was oriented or stored makes no difference.

    Of a bundle of several members the logits are averaged, window by window. Of one with partners the probabilities
    are averaged, on the image's voxels. In a cascade, the coarse stage goes first.

    Args:
        image: With the plan's channels.
        bundle: A bundle, the path of one, the name of a built-in one, or what `load_segmenter` made of it: that saves
            building the networks for every image.
        device: Where to compute: ``"auto"``, ``"cpu"``, ``"cuda"`` …. A `Segmenter` stays where it is.
        channels: Which of the plan's channels the image holds, in its order; all of them, in the plan's order, when
            left out. Some may be missing if the bundle was trained with channel dropout.
        members: Numbers of the members (folds) to use, from 0; all when left out. See `load_segmenter`, which has been
            told already where a `Segmenter` is given.
        backend: What computes the networks, ``"auto"`` for the fastest here, or one of `vesalius.predict.backends`. A
            `Segmenter` keeps its own.
        mirror: Average over mirror images; what the plan says when left out.
        overlap: Of neighbouring windows, 0 to less than 1; what the plan says when left out.
        postprocess: Clean up as the bundle says.
        probabilities: Return these too: ``outputs`` times the memory of the image.
        progress: Called with (done, total): windows, or their share where several networks look in turn.

    Returns:
        The label map, on the image's own grid.

    Raises:
        BundleError: The bundle cannot be read, or has no such members.
        PlanError: There is no such device or backend, or the backend cannot compute this network.
        DataError, GeometryError: The image does not suit the bundle.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (windows, Gaussian weights, mirroring, ensembles).
    """
    segmenter = _segmenter(bundle, device, members, backend)
    look = Look(
        channels=None if channels is None else tuple(channels), mirror=mirror, overlap=overlap, progress=progress
    )
    look.check(segmenter.bundle)
    plan, steps = segmenter.bundle.plan, segmenter.bundle.postprocessing
    classes, canonical, chances = (_of_several if segmenter.partners else _of_one)(
        image, segmenter, look, probabilities=probabilities
    )
    found = LabelMap(to_values(classes, plan), canonical, plan.labels)
    if postprocess:
        found = clean_up(found, steps)
    told: dict[str, Any] = {
        "bundle": segmenter.bundle.card.name,
        "members": list(segmenter.members),
        "partners": [partner.bundle.card.name for partner in segmenter.partners],
        "channels": list(plan.channels if channels is None else channels),
        "mirror_axes": list(look.mirror_axes(plan)),
        "overlap": plan.overlap if overlap is None else overlap,
        "postprocessing": list(steps.words) if postprocess else [],
        "device": str(segmenter.device),
    }
    return Prediction(resample(found, image.grid, interpolation="nearest"), chances, told)


def _segmenter(
    bundle: Bundle | Segmenter | str | Path, device: str, members: Sequence[int] | None, backend: str
) -> Segmenter:
    if not isinstance(bundle, Segmenter):
        return load_segmenter(bundle, device=device, members=members, backend=backend)
    if members is not None and tuple(members) != bundle.members:
        raise BundleError(f"this segmenter was loaded with the members {list(bundle.members)}, not {list(members)}")
    if device != "auto" and find_device(device) != bundle.device:
        raise BundleError(f"this segmenter was loaded on the device {bundle.device}, not {device}")
    if backend not in ("auto", bundle.backend):
        raise BundleError(f"this segmenter was loaded for the backend {bundle.backend!r}, not {backend!r}")
    return bundle


def _of_one(
    image: Volume, segmenter: Segmenter, look: Look, *, probabilities: bool
) -> tuple[NDArray[np.int16], Grid, Volume | None]:
    """Classes on the canonical grid, that grid, and probabilities on the image's."""
    plan = segmenter.bundle.plan
    with image_logits(image, segmenter, look.in_passes(segmenter)) as (logits, seen):
        classes = classes_on(logits, plan, seen.grid, seen.canonical)
        if not probabilities:
            return classes, seen.canonical, None
        total = np.zeros((len(logits), *image.grid.shape), np.float32)
        add_probabilities(total, logits, seen.grid, image.grid, regions=plan.regions, share=1.0)
    return classes, seen.canonical, Volume(total, image.grid, Meta(calibrated=image.meta.calibrated))


def _of_several(
    image: Volume, segmenter: Segmenter, look: Look, *, probabilities: bool
) -> tuple[NDArray[np.int16], Grid, Volume | None]:
    """The same where partners have a say: their probabilities are averaged first."""
    plan, canonical = segmenter.bundle.plan, reorient(image).grid
    with scratch((plan.network.out_channels, *canonical.shape)) as total:
        several = (segmenter, *segmenter.partners)
        mean_probabilities(total, image, several, canonical, look.in_passes(segmenter))
        classes = likeliest_classes(total, plan)
        if not probabilities:
            return classes, canonical, None
        chances = Volume(total, canonical, Meta(calibrated=image.meta.calibrated))
        return classes, canonical, resample(chances, image.grid, interpolation="nearest")
