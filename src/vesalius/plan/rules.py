"""The rules that turn facts into decisions: pure functions, each with its source and its reason in words.

They follow nnU-Net's recipe where it is about the data (spacing, normalisation, pooling, kernels, patch proportions)
and depart from it where it takes nine GPU hours for granted: how large the network and the patch may be is decided by
the budget, in `vesalius.plan.planner`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from vesalius.errors import PlanError
from vesalius.nets.specs.encoder import Encoder, input_statistics
from vesalius.plan.fingerprint import Fingerprint
from vesalius.plan.pairs import Pairs
from vesalius.plan.recipe import Loss
from vesalius.plan.regions import check_order, region_outputs
from vesalius.plan.topology import ANISOTROPY
from vesalius.transform import Normalisation

_RARE = 0.001  # share of the voxels below which labels are called rare
_SMALL_VIEW = 0.25  # share of the image below which a patch may well miss what is rare
_MOSTLY_FOREGROUND = 0.6  # Source: MIST's default share of patches on the foreground
_MANY_PATIENTS = 50  # a rule of thumb: 175 learned better without mirror images, 4 did not (benchmarks/README.md)
_TUBES = {"vessel", "vessels", "vasculature", "artery", "arteries", "vein", "veins", "aorta", "airway", "airways",
          "bronchi", "bronchus", "nerve", "nerves", "duct", "ducts", "fibre", "fibres", "tube", "tubes"}  # fmt: skip
_HOUNSFIELD_AIR = -900.0  # no calibrated image but CT has air near -1000


def target_spacing(facts: Fingerprint) -> tuple[tuple[float, ...], str]:
    """The spacing that every case is brought to, mm.

    The median of each axis; where one axis is more than three times coarser than the others and also has three
    times fewer voxels, its 10th percentile, so that thick slices don't decide for thin ones.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, supplementary note 2 ("target spacing").
    """
    if not facts.calibrated:
        return (1.0,) * facts.ndim, "the images have no physical spacing: pixels are taken as they are"
    spacing = list(facts.median_spacing_mm)
    coarsest = int(np.argmax(spacing))
    others = [s for a, s in enumerate(spacing) if a != coarsest]
    voxels = [n for a, n in enumerate(facts.median_shape) if a != coarsest]
    if spacing[coarsest] > ANISOTROPY * max(others) and facts.median_shape[coarsest] * ANISOTROPY < min(voxels):
        along = np.asarray(facts.spacings_mm)[:, coarsest]
        spacing[coarsest] = max(float(np.percentile(along, 10)), *others)
        words = f"median of each axis; 10th percentile along the coarse axis {coarsest}"
    else:
        words = "median of each axis over the cases"
    # Headers carry float32 noise; a micrometre is far below any scanner's accuracy.
    return tuple(round(float(s), 6) or float(s) for s in spacing), words


def normalisations(facts: Fingerprint, *, encoder: Encoder | None = None) -> tuple[tuple[Normalisation, ...], str]:
    """How the intensities of each channel are brought to a common scale.

    CT: clip to the foreground's 0.5 and 99.5 percentiles, subtract its mean, divide by its deviation. Colour: divide
    by 255, or as the encoder's weights have seen it. Everything else: z-score of each image, within its content where
    the crop took away over a quarter.

    Args:
        facts: About the data.
        encoder: The classifier's encoder that the network is made of, if it is.

    Source: Isensee et al. 2021, supplementary note 2 ("intensity normalisation").
    """
    colours = sum(channel.modality == "RGB" for channel in facts.channels)
    schemes, words = [], []
    for channel in facts.channels:
        looks_like_ct = (
            channel.modality == "OT"
            and facts.ndim == 3
            and facts.calibrated
            and -2100 < channel.lowest <= _HOUNSFIELD_AIR
            and channel.highest > 300
        )
        if channel.modality == "CT" or looks_like_ct:
            schemes.append(
                Normalisation("ct", mean=channel.mean, std=channel.std, lower=channel.p00_5, upper=channel.p99_5)
            )
            why = "its values look like Hounsfield units" if looks_like_ct else "CT"
            words.append(f"{channel.name}: clip to {channel.p00_5:.4g} … {channel.p99_5:.4g}, then z-score ({why})")
        elif channel.modality == "RGB" and encoder is not None:
            mean, std = input_statistics(encoder, colours)[sum(scheme.scheme == "fixed" for scheme in schemes)]
            schemes.append(Normalisation("fixed", mean=255 * mean, std=255 * std, lower=0, upper=255))
            words.append(f"{channel.name}: the mean and deviation of ImageNet, which the encoder's weights have seen")
        elif channel.modality == "RGB":
            schemes.append(Normalisation("rgb"))
            words.append(f"{channel.name}: divide by 255 (colour)")
        elif facts.content_fraction < 0.75:
            schemes.append(Normalisation("z_score_nonzero"))
            words.append(f"{channel.name}: z-score within the content, which fills {facts.content_fraction:.0%}")
        else:
            schemes.append(Normalisation("z_score"))
            words.append(f"{channel.name}: z-score of each image (no absolute scale)")
    return tuple(schemes), "; ".join(words)


def resampled_shape(facts: Fingerprint, spacing_mm: Sequence[float]) -> tuple[int, ...]:
    """The median shape of the cases at the target spacing, voxels."""
    shapes = np.asarray(facts.shapes) * np.asarray(facts.spacings_mm) / np.asarray(spacing_mm)
    return tuple(max(1, round(float(n))) for n in np.median(shapes, axis=0))


def regions(facts: Fingerprint) -> tuple[bool, str]:
    """Whether the network gives the labels' regions, which may overlap, rather than the labels.

    Source: Isensee et al. 2020, arXiv:2011.00848 (BraTS: trained on the regions that are scored).
    """
    if not facts.labels.regions:
        return False, "the data set declares no regions: background and labels exclude each other"
    outputs = region_outputs(facts.labels)
    try:
        check_order(outputs)
    except PlanError as error:
        return False, f"the labels are learned instead of the regions that the data set declares: {error}"
    return True, f"the regions that will be scored are learned: {', '.join(output.name for output in outputs)}"


def foreground_fraction(facts: Fingerprint, view: float) -> tuple[float, str]:
    """The share of patches that are centred on a labelled voxel.

    Args:
        facts: About the data.
        view: Share of a median image that a patch covers.

    Source: a third as in Isensee et al. 2021; where what is labelled is so rare that a patch put anywhere seldom meets
    it, three fifths, which is MIST's default for all data. What counts as rare is a rule of thumb.
    """
    share = sum(part for _, part in facts.label_share)
    if 0 < share < _RARE and view < _SMALL_VIEW:
        return _MOSTLY_FOREGROUND, (
            f"labels fill {share:.2%} of the images and a patch sees {view:.0%} of one: more than nnU-Net's third"
        )
    return 1 / 3, "a third, as in nnU-Net"


def loss(facts: Fingerprint) -> tuple[Loss, str]:
    """What training makes small: soft Dice and cross-entropy for all data, until something else has measured better.

    Source: Ma et al. 2021, doi:10.1016/j.media.2021.102035: over twenty losses on four tasks, Dice joined with
    cross-entropy or another term is the most robust, and none is best for all.
    """
    words = {word for name in facts.labels.names for word in re.split(r"[^a-z]+", name.lower())}
    why = "soft Dice and cross-entropy, the most robust choice over many kinds of data"
    rare = [name for name, share in facts.label_share if 0 < share < _RARE]
    if words & _TUBES:
        why += "; for tubes that must not break, --set loss.kind=cldice is worth a try"
    elif rare:
        why += f"; {', '.join(rare)} is rare: --set loss.kind=dice_focal or tversky is worth a try"
    return Loss(), why


def mirror_axes(facts: Fingerprint, pairs: Pairs = ()) -> tuple[tuple[int, ...], str]:
    """The axes along which patches may be mirrored.

    Not across left and right where labels tell them apart. A patient on known axes is never upside down or back to
    front: to learn that as well takes a network longer, and keeps from it what the place of a structure says. Where
    there are many to learn from, that is not worth it; few are worth more with their mirror images
    (benchmarks/README.md).

    Args:
        facts: About the data.
        pairs: Labels that are one another's mirror image, and so don't count. Names don't tell them: the left and right
            kidneys are, the left and right ventricles of the heart are not.

    Source: the harm that nnU-Net's users met with paired organs (TotalSegmentator trains without mirroring).
    """
    paired = {label.name for label in facts.labels.labels if any(label.value in pair for pair in pairs)}
    words = [set(re.split(r"[^a-z]+", name.lower())) for name in facts.labels.targets() if name not in paired]
    sided = any(w & {"left", "right", "l", "r", "lh", "rh"} for w in words)
    upright = facts.ndim == 3 and facts.calibrated and facts.patients >= _MANY_PATIENTS
    axes = (0,) if upright else tuple(range(facts.ndim))
    why = f"nobody is upside down or back to front, and {facts.patients} patients are enough to learn from"
    if not sided:
        return axes, f"mirrored from right to left: {why}" if upright else "mirrored along all axes"
    if facts.ndim == 2:
        return (), "not mirrored: the labels tell left from right, and a picture does not say which axis that is"
    why = (
        f"not mirrored across left and right, which the labels tell apart{f', nor otherwise: {why}' if upright else ''}"
    )
    return axes[1:], f"{why}; if they are one another's mirror image, set paired_labels"
