"""Whether the images of a case are what BraTS promises: one brain, registered, stripped, each sequence in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.image import LabelMap, Labels, Volume

LEAST_BACKGROUND = 0.15
"""Share of an image that one value must have, for it to count as stripped: a brain fills half of its box at most, and
air around a head is noise. Source: our own, on the cases of BraTS 2013."""

BRAIN_ML = (300.0, 2400.0)
"""What is left of a head without its skull. Source: intracranial volumes of adults are 1100 to 1900 ml (Buckner et al.,
NeuroImage 23:724 (2004), doi:10.1016/j.neuroimage.2004.06.018); fields of view that cut the brain, and children's."""

FARTHEST_MM = 5.0
"""By which two sequences may seem to be shifted. Source: our own: edges of BraTS' sequences agree within 2 mm."""

FEWEST = 3
"""Other cases, from which on a case is compared with them."""

_POINTS = 60_000  # voxels that a signature is made of
_SCALES = {"kinship": 0.25, "tails": 1.0, "lesion": 0.75}  # what counts as one step of difference, each about as large
_CLEAR = 0.6  # of the distance as named, for another order of the sequences to be believed
_FAR = 0.6  # steps, from which on a case is unlike the others at all
_COMPARTMENTS = ("oedema", "enhancing tumour")
_LEAST_VOXELS = 100  # of a compartment, for its brightness to say something


@dataclass(frozen=True, eq=False)
class Signature:
    """What the sequences of a case look like, beside one another.

    Args:
        channels: Names of the sequences.
        kinship: ``(c, c)``, rank correlations over the brain without the tumour: CSF alone makes T2 unlike the others.
        tails: ``(c, 2)``, how dark the darkest and how bright the brightest hundredth is.
        lesion: ``(c, 2)``, how bright oedema and enhancing tumour are; NaN where there are none or nobody drew them.

    Brightness is measured from the median of the brain, in units of its interquartile range.
    """

    channels: tuple[str, ...]
    kinship: NDArray[np.float64]
    tails: NDArray[np.float64]
    lesion: NDArray[np.float64]

    def in_order(self, order: Sequence[int]) -> Signature:
        """The same case, had its files been named in another order."""
        at = list(order)
        return Signature(self.channels, self.kinship[np.ix_(at, at)], self.tails[at], self.lesion[at])

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; NaN becomes None."""
        return {
            "channels": list(self.channels),
            **{
                name: [[None if np.isnan(value) else float(value) for value in row] for row in values]
                for name, values in (("kinship", self.kinship), ("tails", self.tails), ("lesion", self.lesion))
            },
        }

    @classmethod
    def of_dict(cls, raw: Mapping[str, Any]) -> Signature:
        """What `to_dict` wrote."""
        arrays = (np.array(raw[name], np.float64) for name in ("kinship", "tails", "lesion"))
        return cls(tuple(raw["channels"]), *arrays)


def brain_of(image: Volume) -> NDArray[np.bool_]:
    """Where the brain is in a stripped image: where some sequence has not the value of its first corner."""
    return np.asarray((image.array != image.array[:, :1, :1, :1]).any(axis=0))


def as_brain(image: Volume) -> LabelMap:
    """The brain of a stripped image as a label map."""
    return LabelMap(brain_of(image).astype(np.uint8), image.grid, Labels.of({"brain": 1}))


def stripping_doubts(image: Volume, channels: Sequence[str]) -> list[str]:
    """What speaks against the skull having been taken off, and against one mask for all sequences."""
    doubts = []
    for name, values in zip(channels, image.array, strict=True):
        share = float((values == values[0, 0, 0]).mean())
        if share < LEAST_BACKGROUND:
            doubts.append(f"its {name} is not stripped of the skull: only {share:.0%} of it is empty")
    if doubts:
        return doubts
    ml = float(brain_of(image).sum()) * image.grid.voxel_volume_mm3 / 1000
    if not BRAIN_ML[0] <= ml <= BRAIN_ML[1]:
        doubts.append(f"{ml:.0f} ml are not empty, and a brain has {BRAIN_ML[0]:.0f} to {BRAIN_ML[1]:.0f} ml")
    return doubts


def without_background(image: Volume) -> Volume:
    """The image with 0 outside of the brain: where images were standardised it is not; crops and z-scores go by 0."""
    empty = image.array[:, :1, :1, :1]
    return image.with_array(image.array.astype(np.float32) - empty) if empty.any() else image


def shift_doubts(image: Volume, channels: Sequence[str]) -> list[str]:
    """Which sequences lie apart from the first, in words; see `shifts_mm`."""
    return [
        f"its {name} lies about {far:.0f} mm apart from its {channels[0]}"
        for name, far in shifts_mm(image, channels).items()
    ]


def shifts_mm(image: Volume, channels: Sequence[str]) -> dict[str, float]:
    """How far sequences lie apart from the first, by the shift at which their edges agree best; only those that do.

    Source: Kuglin and Hines, Proc. Int. Conf. Cybernetics and Society (1975), p. 163 (correlation of Fourier
    transforms); of edges, so that sequences of different contrast can be compared, and as it is rather than by phase.
    """
    step = tuple(max(1, round(2.0 / s)) for s in image.grid.spacing_mm)
    cut = tuple(slice(None, None, n) for n in step)
    size = np.asarray([s * n for s, n in zip(image.grid.spacing_mm, step, strict=True)])
    edges = [_edges(values[cut]) for values in image.array]
    first = np.fft.rfftn(edges[0])
    found = {}
    for name, other in zip(channels[1:], edges[1:], strict=True):
        match = np.fft.irfftn(first * np.conj(np.fft.rfftn(other)), s=other.shape, axes=(0, 1, 2))
        peak = np.asarray(np.unravel_index(int(match.argmax()), match.shape))
        peak = np.where(peak > np.asarray(match.shape) // 2, peak - np.asarray(match.shape), peak)
        far = float(np.linalg.norm(peak * size))
        if far > FARTHEST_MM:
            found[name] = far
    return found


def sign(image: Volume, channels: Sequence[str], reference: LabelMap | None = None) -> Signature:
    """Describe the sequences of a case.

    Args:
        image: Stripped, all sequences on one grid.
        channels: Their names.
        reference: The tumour; its labels may be called "oedema" and "enhancing tumour".
    """
    inside = brain_of(image)
    drawn = np.zeros(inside.shape, np.bool_) if reference is None else reference.array != 0
    places = np.flatnonzero(inside & ~drawn)
    places = places[:: max(1, places.size // _POINTS)]
    flat = image.array.reshape(image.channels, -1)
    values = flat[:, places].astype(np.float64)
    low, middle, high = np.percentile(values, (25, 50, 75), axis=1)
    scale = np.maximum(high - low, 1e-9)
    ranks = values.argsort(axis=1).argsort(axis=1).astype(np.float64)
    kinship = np.atleast_2d(np.corrcoef(ranks)) if len(values) > 1 else np.ones((1, 1))
    tails = ((np.percentile(values, (1, 99), axis=1) - middle) / scale).T
    lesion = np.full((image.channels, len(_COMPARTMENTS)), np.nan)
    for column, name in enumerate(_COMPARTMENTS):
        if reference is None or name not in reference.labels.names:
            continue
        there = np.flatnonzero(reference.binary(name))
        if there.size >= _LEAST_VOXELS:
            lesion[:, column] = (np.median(flat[:, there].astype(np.float64), axis=1) - middle) / scale
    return Signature(tuple(channels), kinship, tails, lesion)


def typical(signatures: Sequence[Signature]) -> Signature:
    """The median of several cases."""
    lesion = np.stack([one.lesion for one in signatures])
    known = ~np.isnan(lesion).all(axis=0)
    middle = np.full(lesion.shape[1:], np.nan)
    middle[known] = np.nanmedian(lesion[:, known], axis=0)
    return Signature(
        signatures[0].channels,
        np.median([one.kinship for one in signatures], axis=0),
        np.median([one.tails for one in signatures], axis=0),
        middle,
    )


def exchanged(found: Signature, usual: Signature) -> str:
    """Which sequences of a case look exchanged: those that, put elsewhere, make it like the other cases.

    Args:
        found: Of the case.
        usual: Of the others.

    Returns:
        For example ``"T1 holds what looks like T2, T2 what looks like T1"``; empty where nothing speaks for it.
    """
    as_named = _distance(found, usual)
    orders = [order for order in permutations(range(len(found.channels))) if order != tuple(sorted(order))]
    if not orders or as_named < _FAR:
        return ""
    best = min(orders, key=lambda order: _distance(found.in_order(order), usual))
    if _distance(found.in_order(best), usual) > _CLEAR * as_named:
        return ""
    # In the best order, place k holds the file that is named as channel best[k].
    parts = [f"{found.channels[at]} looks like {found.channels[k]}" for k, at in enumerate(best) if at != k]
    return ", ".join(parts)


def broken_rules(found: Signature) -> list[str]:
    """Which rules of the sequences' brightness a case breaks; rules about what is not there are not asked.

    Source: oedema is bright in FLAIR and T2 and not in T1, enhancing tumour is brighter in T1 with contrast agent than
    before it, CSF is dark in T1 and FLAIR and bright in T2: Menze et al., IEEE TMI 34:1993 (2015), table and figures.
    """
    at = {name: number for number, name in enumerate(found.channels)}
    broken = []
    oedema, enhancing = (found.lesion[:, column] for column in (0, 1))
    broken += [f"oedema is dark in {name}" for name in ("FLAIR", "T2") if name in at and oedema[at[name]] < 0]
    if "T1" in at and oedema[at["T1"]] > 1:
        broken.append("oedema is bright in T1")
    if {"T1", "T1CE"} <= at.keys() and enhancing[at["T1CE"]] < enhancing[at["T1"]]:
        broken.append("enhancing tumour is brighter in T1 than in T1CE")
    if {"T1", "T2", "FLAIR"} <= at.keys() and (
        found.kinship[at["T1"], at["T2"]] > found.kinship[at["T1"], at["FLAIR"]]
    ):
        broken.append("T2 is more like T1 than FLAIR is, so that CSF seems to be bright in FLAIR and not in T2")
    return broken


def _distance(one: Signature, other: Signature) -> float:
    """Mean difference in steps, each kind of feature counting the same."""
    parts = []
    for name, scale in _SCALES.items():
        ours, theirs = getattr(one, name), getattr(other, name)
        known = ~(np.isnan(ours) | np.isnan(theirs))
        if name == "kinship":
            known &= ~np.eye(len(ours), dtype=np.bool_)
        if known.any():
            parts.append(float(np.abs(ours[known] - theirs[known]).mean() / scale))
    return float(np.mean(parts)) if parts else 0.0


def _edges(values: NDArray[Any]) -> NDArray[np.float64]:
    inside = values != values[0, 0, 0]
    plain = values.astype(np.float64)
    low, high = np.percentile(plain[inside], (1, 99)) if inside.any() else (0.0, 1.0)
    plain = np.where(inside, np.clip((plain - low) / max(high - low, 1e-9), 0, 1) + 0.5, 0)
    return np.asarray(np.sqrt(sum(part**2 for part in np.gradient(plain))))
