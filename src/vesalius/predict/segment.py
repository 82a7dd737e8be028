"""From an image and a bundle to a label map on the image's own grid."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.bundle import Bundle
from vesalius.classical.pixels import PixelClassifier, holds_pixels, load_pixels
from vesalius.errors import BundleError
from vesalius.image import Grid, LabelMap, Meta, Volume
from vesalius.plan import Prepared
from vesalius.plan.device import find_device
from vesalius.plan.prepare import to_values
from vesalius.predict.chances import add_probabilities, flows_of, likeliest_classes, mean_blocks
from vesalius.predict.focus import cropped, focus_boxes
from vesalius.predict.segmenter import Segmenter, load_segmenter
from vesalius.predict.stages import Classes, Look, all_logits, classes_on, flow_of, flowing_classes, see
from vesalius.predict.views import Mirror
from vesalius.transform import postprocess as clean_up


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
    bundle: Bundle | Segmenter | PixelClassifier | str | Path,
    *,
    device: str = "auto",
    channels: Sequence[str] | None = None,
    members: Sequence[int] | None = None,
    backend: str = "auto",
    mirror: Mirror | None = None,
    overlap: float | None = None,
    postprocess: bool = True,
    probabilities: bool = False,
    memory_gib: float | None = None,
    focus: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Prediction:
    """Segment an image with a trained bundle.

    The image is brought to the form that the plan says, the network looks at it through overlapping windows, whose
    logits are blended with Gaussian weights, and the result is brought back to the image's own grid. How the image
    was oriented or stored makes no difference. Logits become labels as soon as no later window can change them, so that
    there is never more than a window's thickness of them, whatever the number of labels.

    Of a bundle of several members the logits are averaged, window by window. Of one with partners the probabilities
    are averaged, on the image's voxels. In a cascade, the coarse stage goes first.

    Args:
        image: With the plan's channels.
        bundle: A bundle, the path of one, the name of a built-in one, or what `load_segmenter` made of it: that saves
            building the networks for every image. Or a classifier of pixels, or its folder: it has no networks, so that
            of what follows it takes ``probabilities`` alone.
        device: Where to compute: ``"auto"``, ``"cpu"``, ``"cuda"`` …. A `Segmenter` stays where it is.
        channels: Which of the plan's channels the image holds, in its order; all of them, in the plan's order, when
            left out. Some may be missing if the bundle was trained with channel dropout.
        members: Numbers of the members (folds) to use, from 0; all when left out. See `load_segmenter`, which has been
            told already where a `Segmenter` is given.
        backend: What computes the networks, ``"auto"`` for the fastest here, one of `vesalius.predict.backends`, or the
            folder of an export to OpenVINO. A `Segmenter` keeps its own.
        mirror: Average over mirror images: all combinations of the axes that were mirrored in training, none, or
            ``"opposite"``, only the one with all these axes mirrored; what the plan says when left out.
        overlap: Of neighbouring windows, 0 to less than 1; what the plan says when left out.
        postprocess: Clean up as the bundle says.
        probabilities: Return these too: ``outputs`` times the memory of the image.
        memory_gib: What this process may take in all, GiB; most of what is free on the machine when left out. Where it
            must be, windows go through the network one by one, and then logits are summed in half precision, as
            nnU-Net does always; the provenance says so. What cannot be done in so little is an error before the network
            is asked.
        focus: Look at the whole image coarsely first, and closely only where something was found; see
            `vesalius.predict.focus.focus_boxes`. What the coarse look misses stays missed.
        progress: Called with (done, total): windows, or their share where several networks look in turn.

    Returns:
        The label map, on the image's own grid.

    Raises:
        BundleError: The bundle cannot be read, or has no such members.
        PlanError: There is no such device or backend, the backend cannot compute this network, or there is too little
            memory.
        DataError, GeometryError: The image does not suit the bundle.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (windows, Gaussian weights, mirroring, ensembles).
    """
    if isinstance(bundle, PixelClassifier) or (isinstance(bundle, str | Path) and holds_pixels(bundle)):
        asked = (device, backend, channels, members, mirror, overlap, memory_gib, focus)
        if asked != ("auto", "auto", None, None, None, None, None, False):
            raise BundleError(
                "a classifier of pixels takes no settings of networks: of all options probabilities alone"
            )
        return _by_pixels(image, bundle, probabilities=probabilities)
    segmenter = _segmenter(bundle, device, members, backend)
    look = Look(
        channels=None if channels is None else tuple(channels),
        mirror=mirror,
        overlap=overlap,
        memory_gib=memory_gib,
        focus=focus,
        progress=progress,
    )
    look.check(segmenter.bundle)
    plan, steps = segmenter.bundle.plan, segmenter.bundle.postprocessing
    classes, canonical, chances, how = _classes(image, segmenter, look, probabilities=probabilities)
    values = to_values(classes, plan)
    del classes
    if postprocess and steps.steps:
        values = clean_up(LabelMap(values, canonical, plan.labels), steps).array
    told: dict[str, Any] = {
        "bundle": segmenter.bundle.card.name,
        "members": list(segmenter.members),
        "partners": [partner.bundle.card.name for partner in segmenter.partners],
        "channels": list(plan.channels if channels is None else channels),
        "views": [list(view.axes) for view in look.views(plan)],
        "overlap": look.overlap_of(plan),
        **how,
        "postprocessing": list(steps.words) if postprocess else [],
        "device": str(segmenter.device),
    }
    labels = LabelMap(turned_back(values, canonical, image.grid), image.grid, plan.labels)
    if chances is None:
        return Prediction(labels, None, told)
    turned = turned_back(chances, canonical, image.grid)
    return Prediction(labels, Volume(turned, image.grid, Meta(calibrated=image.meta.calibrated)), told)


def _by_pixels(image: Volume, classifier: PixelClassifier | str | Path, *, probabilities: bool) -> Prediction:
    name = "" if isinstance(classifier, PixelClassifier) else Path(classifier).name
    loaded = classifier if isinstance(classifier, PixelClassifier) else load_pixels(classifier)
    told = {"bundle": name, "model": loaded.name, "features": list(loaded.importances), **loaded.provenance}
    return Prediction(loaded.classify(image), loaded.probabilities(image) if probabilities else None, told)


def turned_back(array: NDArray[Any], canonical: Grid, grid: Grid) -> NDArray[Any]:
    """What lies on an image's canonical grid, its axes in the image's own order and sense; a view, nothing is moved."""
    (ours, our_signs), (theirs, their_signs) = canonical.nearest_axes(), grid.nearest_axes()
    order = [ours.index(axis) for axis in theirs]
    leading = array.ndim - grid.ndim
    turned = array.transpose(*range(leading), *(leading + axis for axis in order))
    flipped = tuple(leading + k for k, axis in enumerate(order) if our_signs[axis] != their_signs[k])
    return np.asarray(np.flip(turned, flipped))


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


def _classes(
    image: Volume, segmenter: Segmenter, look: Look, *, probabilities: bool
) -> tuple[Classes, Grid, NDArray[np.float32] | None, dict[str, Any]]:
    """Classes on the canonical grid, that grid, probabilities on it if they are asked for, and what is to be told."""
    plan, parts = segmenter.bundle.plan, (segmenter, *segmenter.partners)
    looks = look.in_passes(segmenter, more=int(look.focus))
    seen = [see(image, part, looks) for part in parts]
    canonical = seen[0][0].canonical
    boxes = focus_boxes(seen[0][0], segmenter, next(looks)) if look.focus else None
    chances = np.zeros((plan.network.out_channels, *canonical.shape), np.float32) if probabilities else None
    if boxes is None:
        classes, held_as = _closely(seen, parts, canonical, chances)
        return classes, canonical, chances, {"logits_held_as": held_as, "focus": None}
    if chances is not None and not plan.regions:
        chances[0] = 1  # of background where nobody looks
    classes = np.zeros(canonical.shape, np.uint8 if len(plan.labels.values) < 256 else np.uint16)
    turns = [one.in_parts(len(boxes)) for _, one in seen]
    formats = set()
    for number, box in enumerate(boxes):
        inner = [(cropped(one, box, canonical), turn[number]) for (one, _), turn in zip(seen, turns, strict=True)]
        place = tuple(slice(low, low + n) for low, n in zip(*box, strict=True))
        inside = None if chances is None else chances[:, *place]
        if inside is not None:
            inside[...] = 0
        classes[place], held_as = _closely(inner, parts, canonical.crop(*box), inside)
        formats.add(held_as)
    share = sum(math.prod(shape) for _, shape in boxes) / canonical.size
    told = {"logits_held_as": min(formats), "focus": {"boxes": len(boxes), "share": round(share, 4)}}
    return classes, canonical, chances, told


def _closely(
    seen: Sequence[tuple[Prepared, Look]],
    parts: Sequence[Segmenter],
    grid: Grid,
    chances: NDArray[np.float32] | None,
) -> tuple[Classes, str]:
    """Classes on a grid, and the number format that logits were held in.

    Args:
        seen: What each of the segmenters sees, and how it looks.
        parts: The segmenters. Where there are several, their probabilities are averaged.
        grid: Where the classes are wanted.
        chances: ``(outputs, *grid.shape)`` zeros, to which probabilities are added; None where nobody wants them.
    """
    plan = parts[0].bundle.plan
    if len(parts) > 1:
        flows = flows_of(seen, parts, grid, whole=chances is not None)
        classes = np.zeros(grid.shape, np.uint8 if len(plan.labels.values) < 256 else np.uint16)
        for place, block in mean_blocks(flows, grid, regions=plan.regions):
            classes[place] = likeliest_classes(block, plan)
            if chances is not None:
                chances[:, *place] = block
        return classes, min(flow.held_as for flow in flows)
    ((prepared, look),) = seen
    if chances is None:
        flow = flow_of(prepared, parts[0], look, target=grid)
        return flowing_classes(flow, plan, grid), flow.held_as
    with all_logits(prepared, parts[0], look, target=grid) as (logits, held_as):
        classes = classes_on(logits, plan, prepared.grid, grid, thick_axis=prepared.thick_axis)
        add_probabilities(
            chances, logits, prepared.grid, grid, regions=plan.regions, share=1.0, thick_axis=prepared.thick_axis
        )
    return classes, held_as
