"""From an image and a bundle to a label map on the image's own grid."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vesalius.bundle import Bundle
from vesalius.errors import BundleError
from vesalius.image import LabelMap, Meta, Volume
from vesalius.io.atomic import explained
from vesalius.nets import NetworkSpec, build
from vesalius.plan import Plan, Prepared, prepare
from vesalius.plan.device import fast_dtype, find_device
from vesalius.plan.prepare import to_values
from vesalius.predict.window import iterate_slabs
from vesalius.transform import resample, resample_argmax

_IN_MEMORY_BYTES = 1 << 30  # logits above this go to a temporary file instead of memory

Network = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a segmenter says about an image.

    Args:
        labels: On the image's own grid.
        probabilities: ``(classes, *grid)``, background first, on the image's own grid; only when asked for.
        provenance: Which bundle and settings made it.
    """

    labels: LabelMap
    probabilities: Volume | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


def segment(
    image: Volume,
    bundle: Bundle | str | Path,
    *,
    device: str = "auto",
    mirror: bool | None = None,
    overlap: float | None = None,
    probabilities: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Prediction:
    """Segment an image with a trained bundle.

    The image is brought to the form that the plan says, the network looks at it through overlapping windows, whose
    logits are blended with Gaussian weights, and the result is brought back to the image's own grid. How the image
    was oriented or stored makes no difference.

    Args:
        image: With the plan's channels.
        bundle: A bundle, the path of one, or the name of a built-in one.
        device: Where to compute: ``"auto"``, ``"cpu"``, ``"cuda"`` ….
        mirror: Average over mirror images; what the plan says when left out.
        overlap: Of neighbouring windows, 0 to less than 1; what the plan says when left out.
        probabilities: Return these too: ``classes`` times the memory of the image.
        progress: Called with (done, total) windows.

    Returns:
        The label map, on the image's own grid.

    Raises:
        BundleError: The bundle cannot be read.
        DataError, GeometryError: The image does not suit the bundle.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (windows, Gaussian weights, mirroring).
    """
    loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    plan = loaded.plan
    place = find_device(device)
    prepared = prepare(image, plan)
    network = load_network(plan.network, loaded.weights, place)
    axes = plan.mirror_axes if mirror is None else plan.augmentation.mirror_axes if mirror else ()
    share = plan.overlap if overlap is None else overlap
    with logits_of(prepared, network, plan, mirror_axes=axes, overlap=share, progress=progress) as logits:
        classes = resample_argmax(logits, prepared.grid, prepared.canonical)
        found = LabelMap(to_values(classes, plan), prepared.canonical, plan.labels)
        chances = _probabilities(logits, prepared, image) if probabilities else None
    return Prediction(
        resample(found, image.grid, interpolation="nearest"),
        chances,
        {"bundle": loaded.card.name, "mirror_axes": list(axes), "overlap": share, "device": str(place)},
    )


def load_network(spec: NetworkSpec, weights: Mapping[str, NDArray[Any]], device: torch.device) -> nn.Module:
    """Build a network and give it trained weights.

    Args:
        spec: The network that the plan describes.
        weights: ``{parameter: array}``, as the bundle holds them.
        device: Where it will run.

    Returns:
        The network, channels last, ready to be asked (``eval``).

    Raises:
        BundleError: The weights do not belong to the network.
    """
    network = build(spec)
    try:
        network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in weights.items()})
    except RuntimeError:
        raise BundleError("the weights do not belong to the network that the plan describes") from None
    layout = torch.channels_last_3d if spec.ndim == 3 else torch.channels_last
    return network.to(device, memory_format=layout).eval()  # type: ignore[call-overload,no-any-return]


@contextmanager
def logits_of(
    prepared: Prepared,
    network: nn.Module,
    plan: Plan,
    *,
    mirror_axes: tuple[int, ...] = (),
    overlap: float = 0.5,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[NDArray[np.float32]]:
    """The logits of a whole prepared image, ``(classes, *prepared.grid.shape)``, float32.

    Windows are computed slab by slab, and finished slabs are put away: in memory, or in a temporary file where they
    would take more than a GiB. The array is gone when the context is left.

    Args:
        prepared: What the network sees.
        network: In evaluation mode.
        plan: Patch size and classes.
        mirror_axes: Axes mirrored; all combinations are averaged.
        overlap: Of neighbouring windows.
        progress: Called with (done, total) windows.
    """
    classes = plan.network.out_channels
    shape = (classes, *prepared.array.shape[1:])
    device = next(network.parameters()).device
    dtype = fast_dtype(device)
    layout = torch.channels_last_3d if plan.ndim == 3 else torch.channels_last

    @torch.inference_mode()
    def run(windows: Tensor) -> Tensor:
        windows = windows.to(device).contiguous(memory_format=layout)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            out: Tensor = network(windows)
        return out.float().cpu()

    with tempfile.TemporaryDirectory(prefix="vesalius-") as folder:
        on_disk = 4 * math.prod(shape) > _IN_MEMORY_BYTES
        logits = _on_disk(Path(folder) / "logits", shape) if on_disk else np.empty(shape, dtype=np.float32)
        for start, slab in iterate_slabs(
            torch.from_numpy(np.require(prepared.array, requirements="W")),
            run,
            plan.patch_size,
            classes,
            overlap=overlap,
            mirror_axes=mirror_axes,
            batch_size=plan.batch_size,
            progress=progress,
        ):
            logits[:, start : start + slab.shape[1]] = slab.numpy()
        yield logits


def _on_disk(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An array in a file, whose space is taken at once: a disk that fills up later would end the process."""
    with explained("the logits to the temporary folder"), path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, 4 * math.prod(shape))
        else:
            file.truncate(4 * math.prod(shape))
    return np.memmap(path, dtype=np.float32, mode="r+", shape=shape)


def _probabilities(logits: NDArray[np.float32], prepared: Prepared, image: Volume) -> Volume:
    """Softmax at the network's spacing, brought to the image's grid; outside the content all is background."""
    shifted = logits - logits.max(axis=0, keepdims=True)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=0, keepdims=True)
    background = Volume(shifted[:1], prepared.grid)
    rest = Volume(shifted[1:], prepared.grid)
    return Volume(
        np.concatenate([resample(background, image.grid, fill=1.0).array, resample(rest, image.grid).array]),
        image.grid,
        Meta(calibrated=image.meta.calibrated),
    )
