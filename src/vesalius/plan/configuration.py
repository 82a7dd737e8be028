"""What the network sees at once: a slice, a slab, a block, or a block of a coarser image."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import get_args

import numpy as np

from vesalius.errors import PlanError, unknown_name
from vesalius.plan.candidates import Network
from vesalius.plan.fingerprint import Fingerprint
from vesalius.plan.plan import Configuration
from vesalius.plan.topology import SMALLEST_EDGE, coarse_axis, patch_for

CONTEXT = 1
"""Neighbours on either side that a 2.5D network sees. Source: F. Isensee in MIC-DKFZ/nnUNet#690 (one or two)."""
_SLAB = 5  # slices of a 2.5D patch: three of them see both of their neighbours
_RECURRENT_SLAB = 8  # slices that a recurrent network goes through
_PATCH_VOXELS = {2: 512 * 512, 3: 128 * 128 * 96}
_COVERED = 0.25  # Source: nnU-Net's ``lowres_creation_threshold``
_COARSER = 1.03  # Source: nnU-Net's ``spacing_increase_factor``
_LEAST_GAIN = 2.0  # Source: nnU-Net drops a low resolution with more than half of the voxels
_LEAST_THICKNESS = 4.0
_HALVED_ALIKE = {"fcn": 32, "swin_unetr": 32, "unetr": 16, "mednext": 16}  # networks that step alike on all axes


def first_configuration(
    facts: Fingerprint, network: Network, shape: Sequence[int], spacing_mm: Sequence[float]
) -> tuple[Configuration, str]:
    """2D, 2.5D or 3D, by the facts and the network.

    3D wherever the slices are many enough to be pooled: a 3D U-Net whose kernels and strides follow the spacing does as
    well as a 2D one on thick slices, or better.

    Args:
        facts: About the data.
        network: What was asked for.
        shape: Median of the cases at the target spacing.
        spacing_mm: The target spacing.

    Source: F. Isensee in MIC-DKFZ/nnUNet#949 (on 3D data sets 3D is as good as 2D or better, always); that slices which
    are too few to be pooled are left to a 2.5D network is ours.
    """
    if facts.ndim == 2:
        return "2d", "the images are 2D"
    if network == "recurrent_unet":
        return "2.5d", "the network goes from slice to slice"
    if network == "encoder_unet":
        return "2.5d", "the encoders of ImageNet are 2D and see three channels: a slice and its neighbours"
    fewest, stride = min(shape), _HALVED_ALIKE.get(network, 1)
    if fewest < stride / 2:
        return "2.5d", f"in 3D the network would step by {stride} on all axes, and one has {fewest} voxels only"
    axis = coarse_axis(spacing_mm)
    if axis is not None and shape[axis] < 2 * SMALLEST_EDGE:
        words = f"{shape[axis]} slices, {spacing_mm[axis]:g} mm apart, are too few for a 3D network"
        return ("2.5d", words) if shape[axis] >= 3 else ("2d", words)
    if axis is not None:
        return (
            "3d",
            f"{shape[axis]} thick slices are enough for kernels that are flat at first, which is no worse than 2D",
        )
    return "3d", "the voxels are nearly cubes"


def check_configuration(configuration: str, facts: Fingerprint, network: Network) -> None:
    """Make sure that a configuration suits data and network.

    Raises:
        PlanError: It does not, or is unknown.
    """
    if configuration not in get_args(Configuration):
        raise PlanError(unknown_name("configuration", configuration, ("auto", *get_args(Configuration))))
    if facts.ndim == 2 and configuration != "2d":
        raise PlanError(f"the images are 2D, and the configuration {configuration!r} is for 3D images: take '2d'")
    if facts.ndim == 2 and network == "recurrent_unet":
        raise PlanError("the network 'recurrent_unet' goes from slice to slice, and 2D images have none")
    if network == "recurrent_unet" and configuration != "2.5d":
        raise PlanError(f"the network 'recurrent_unet' has the configuration '2.5d' only, not {configuration!r}")


def slice_axis(spacing_mm: Sequence[float]) -> int:
    """The axis across which slices lie: the coarse one, or else the last, which is from foot to head in LPS."""
    axis = coarse_axis(spacing_mm)
    return len(spacing_mm) - 1 if axis is None else axis


def is_flat(configuration: Configuration, ndim: int) -> bool:
    """Whether a 2D network goes through the slices of 3D images."""
    return ndim == 3 and configuration in ("2d", "2.5d")


def patches(
    configuration: Configuration, network: Network, shape: Sequence[int], spacing_mm: Sequence[float]
) -> Iterator[tuple[int, ...]]:
    """The patches to choose from, largest first, each with about two thirds of the voxels of the one before.

    Args:
        configuration: What the network sees at once.
        network: Which.
        shape: Median of the cases at this spacing.
        spacing_mm: Of each axis.

    Example:
        >>> next(patches("2d", "unet", (224, 224, 12), (1.5, 1.5, 8.0)))
        (224, 224, 1)
    """
    ndim = len(shape)
    axis = slice_axis(spacing_mm) if is_flat(configuration, ndim) else None
    plane = [n for a, n in enumerate(shape) if a != axis]
    in_plane = [s for a, s in enumerate(spacing_mm) if a != axis]
    most = _PATCH_VOXELS[len(plane)]
    while True:
        patch = patch_for(plane, in_plane, most_voxels=most)
        if axis is None:
            yield patch
        else:
            depth = 1 if configuration == "2d" else _RECURRENT_SLAB if network == "recurrent_unet" else _SLAB
            yield (*patch[:axis], min(depth, max(1, shape[axis])), *patch[axis:])
        most = math.prod(patch) * 2 // 3
        if math.prod(patch_for(plane, in_plane, most_voxels=most)) >= math.prod(patch):
            return


def low_resolution(
    shape: Sequence[int], spacing_mm: Sequence[float], *, most_voxels: int | None = None
) -> tuple[float, ...] | None:
    """The spacing at which a patch covers a quarter of a median image, or None where that is hardly coarser.

    The finer axes grow first, until they are within a factor two of the coarsest; then all do.

    Args:
        shape: Median of the cases at the full resolution.
        spacing_mm: The full resolution.
        most_voxels: Of the patch.

    Example:
        >>> low_resolution((512, 512, 300), (0.8, 0.8, 1.0))
        (2.000064, 2.000064, 2.50008)
        >>> low_resolution((35, 50, 36), (1.0, 1.0, 1.0)) is None
        True

    Source: nnU-Net v2, ``ExperimentPlanner.plan_experiment``.
    """
    most = most_voxels or _PATCH_VOXELS[3]
    full = np.asarray(spacing_mm, dtype=np.float64)
    spacing = full.copy()
    while True:
        coarse = np.maximum(1, np.asarray(shape) * full / spacing)
        patch = patch_for([round(float(n)) for n in coarse], [float(s) for s in spacing], most_voxels=most)
        if math.prod(patch) >= _COVERED * float(coarse.prod()):
            break
        finer = spacing.max() / spacing > 2
        spacing = np.where(finer, spacing * _COARSER, spacing) if finer.any() else spacing * _COARSER
    if math.prod(shape) < _LEAST_GAIN * float(coarse.prod()):
        return None
    return tuple(round(float(s), 6) for s in spacing)


def too_thin(facts: Fingerprint, spacing_mm: Sequence[float]) -> str:
    """The thinnest label, if it has too few voxels of this spacing across; else an empty text.

    A boundary that is a share e of a voxel off costs a structure of thickness t (twice its volume by its surface) e / t
    of its Dice: at t = 4 voxels and e = 0.15 that is 0.04, which is what is lost by seeing less of the image at once.

    Source: the expansion of Dice for a shifted boundary; the limit of 4 voxels is a rule of thumb.
    """
    voxel = float(np.prod(spacing_mm)) ** (1 / len(spacing_mm))
    known = [(thickness, name) for name, thickness in facts.label_thickness_mm if thickness > 0]
    thickness, name = min(known, default=(math.inf, ""))
    return name if thickness < _LEAST_THICKNESS * voxel else ""
