"""Does an artefact say what the bundle says? Both see the same windows, and what they make of them is compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vesalius.errors import PlanError
from vesalius.export.report import Parity
from vesalius.export.targets import Precision
from vesalius.plan import Plan
from vesalius.predict.backends import Run
from vesalius.predict.places import window_starts

WINDOWS = 4
"""Windows of a case that are compared: of the plan's size, spread over the image, one of them in its middle."""


@dataclass(frozen=True)
class Tolerance:
    """What is still the same.

    Args:
        difference: Of two logits at most, as a share of the largest logit.
        agreement: Share of the voxels that must have the same label, at least.
    """

    difference: float
    agreement: float


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(1e-3, 0.9999),
    "fp16": Tolerance(2e-2, 0.999),
    "int8": Tolerance(math.inf, 0.97),
}
"""Source: measured on networks of this package, docs/reference/export.md; each leaves a factor of ten or more to what
runtimes reach. Whole numbers of 8 bits move single logits far, so that labels are what counts there."""


def compare(
    bundle: Run, artefact: Run, windows: Sequence[Float[Tensor, "1 c *patch"]], *, source: str, regions: bool
) -> Parity:
    """Run both on the same windows.

    Args:
        bundle: The reference.
        artefact: What was exported, in its own runtime.
        windows: At least one.
        source: What they were cut from.
        regions: Whether the outputs are independent (a label map for each) or exclude each other.
    """
    difference = largest = 0.0
    same = voxels = 0
    for window in windows:
        expected, found = bundle(window), artefact(window)
        if found.shape != expected.shape:
            raise PlanError(f"the artefact gives logits of shape {tuple(found.shape)}, not {tuple(expected.shape)}")
        if not torch.isfinite(found).all():
            raise PlanError("the artefact gives logits that are not finite")
        difference = max(difference, float((found - expected).abs().max()))
        largest = max(largest, float(expected.abs().max()))
        alike = _labels(expected, regions) == _labels(found, regions)
        same, voxels = same + int(alike.sum()), voxels + alike.numel()
    return Parity(
        windows=len(windows),
        source=source,
        max_difference=difference,
        largest_logit=largest,
        label_agreement=same / voxels,
    )


def check(parity: Parity, precision: Precision) -> None:
    """Refuse an artefact that does not say what the bundle says.

    Raises:
        PlanError: It is beyond the tolerance of its precision.

    Example:
        >>> far = Parity(windows=1, source="noise", max_difference=1.0, largest_logit=8.0, label_agreement=1.0)
        >>> check(far, "fp32")
        Traceback (most recent call last):
        vesalius.errors.PlanError: the artefact differs from the bundle by up to 1 in a logit (at most 0.008) ...
    """
    allowed = TOLERANCES[precision]
    most = allowed.difference * max(1.0, parity.largest_logit)
    if parity.max_difference <= most and parity.label_agreement >= allowed.agreement:
        return
    limit = f" (at most {most:.3g})" if math.isfinite(most) else ""
    raise PlanError(
        f"the artefact differs from the bundle by up to {parity.max_difference:.3g} in a logit{limit} and agrees in "
        f"{parity.label_agreement:.4%} of the labels (at least {allowed.agreement:.2%}); nothing was written"
    )


def windows_of(
    image: Float[Tensor, " c *grid"], plan: Plan, *, most: int = WINDOWS
) -> list[Float[Tensor, "1 c *patch"]]:
    """Windows of a prepared image as inference lays them, the middle one first, the others spread over the image.

    Args:
        image: What the network sees of a case. Beyond it there is 0.
        plan: Patch size and overlap.
        most: How many at most.
    """
    starts = list(product(*window_starts(tuple(image.shape[1:]), plan.patch_size, overlap=plan.overlap)))
    step = max(1, len(starts) / most)
    chosen = dict.fromkeys([len(starts) // 2, *(int(step * n) for n in range(most) if int(step * n) < len(starts))])
    return [_cut(image, starts[at], plan.patch_size) for at in list(chosen)[:most]]


def enlarged(window: Float[Tensor, "1 c *patch"], free_axes: Mapping[int, int]) -> Float[Tensor, "b c *larger"]:
    """A window repeated along every free axis by its smallest step: one more in the batch, a stride more on the grid.

    Args:
        window: Of the size that the network was traced with.
        free_axes: As for `vesalius.export.targets.Artefact`.

    Example:
        >>> enlarged(torch.zeros(1, 1, 16, 16), {0: 1, 2: 8}).shape
        torch.Size([2, 1, 24, 16])
    """
    for axis, step in free_axes.items():
        window = torch.cat([window, window.narrow(axis, 0, step)], dim=axis)
    return window


def noise(plan: Plan, *, most: int = WINDOWS, seed: int = 0) -> list[Float[Tensor, "1 c *patch"]]:
    """Windows of noise that is as coarse and as fine as images are, for where there is no case.

    Smooth noise at three scales and white noise are added up, and each channel is brought to mean 0 and variance 1,
    as most normalisations leave an image.

    Args:
        plan: Channels and patch size; the channels of a coarse stage are drawn as 0 and 1.
        most: How many.
        seed: Of the noise.
    """
    drawn = torch.Generator().manual_seed(seed)
    mode = "bilinear" if plan.ndim == 2 else "trilinear"
    windows = []
    for _ in range(most):
        window = 0.3 * torch.randn(1, plan.network.in_channels, *plan.patch_size, generator=drawn)
        for share in (4, 8, 16):
            coarse = torch.randn(
                1, plan.network.in_channels, *(max(1, n // share) for n in plan.patch_size), generator=drawn
            )
            window += F.interpolate(coarse, size=plan.patch_size, mode=mode)
        axes = tuple(range(2, window.ndim))
        window = (window - window.mean(axes, keepdim=True)) / window.std(axes, keepdim=True)
        window[:, len(plan.channels) :] = (window[:, len(plan.channels) :] > 1).float()
        windows.append(window)
    return windows


def _labels(logits: Tensor, regions: bool) -> Tensor:
    return logits > 0 if regions else logits.argmax(dim=1)


def _cut(image: Tensor, start: Sequence[int], patch: Sequence[int]) -> Tensor:
    found = image[:, *(slice(at, at + size) for at, size in zip(start, patch, strict=True))]
    pads: list[int] = []
    for size, wanted in zip(reversed(found.shape[1:]), reversed(patch), strict=True):
        before = (wanted - size) // 2
        pads += [before, wanted - size - before]
    return F.pad(found, pads)[None].contiguous()
