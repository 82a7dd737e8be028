"""Bring intensities to a scale as steps of a pipeline: z-score, percentiles, Nyúl's landmarks, WhiteStripe, SUV."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, VesaliusError, unknown_name
from vesalius.image import Volume
from vesalius.transform.normalise import Normalisation, Scheme, normalise

Foreground = Literal["all", "nonzero", "above-mean"]
"""Which voxels have a say: all, those that are not 0, or those brighter than the mean."""

Weighting = Literal["t1", "t2", "flair"]
"""The contrast of a brain MR."""

PERCENTILES = (1.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 99.0)
"""Where Nyúl's landmarks lie: the deciles between the first and the last percentile."""

_BINS = 2048  # of WhiteStripe's histogram
_TAIL = 96.0  # percentile above which a T1's brightest voxels (fat, vessels, the scanner's) are left out


def z_score(volume: Volume, *, over: Literal["all", "nonzero", "content"] = "all") -> Volume:
    """Subtract the mean and divide by the standard deviation, each channel by itself.

    Args:
        volume: 2D or 3D.
        over: Which voxels have a say: ``"all"``, those that are not 0 (``"nonzero"``), or the content with its holes
            (``"content"``); with the last two, the others become 0.

    Returns:
        The image as float32; a flat channel becomes zeros.

    Raises:
        VesaliusError: ``over`` is unknown.

    Example:
        >>> from vesalius.image import Grid
        >>> z_score(Volume(np.array([[[1.0, 3.0]]]), Grid.from_spacing((1, 2), (1.0, 1.0)))).array[0, 0].tolist()
        [-1.0, 1.0]

    Source: `vesalius.transform.normalise`.
    """
    schemes: dict[str, Scheme] = {"all": "z_score", "nonzero": "z_score_nonzero", "content": "z_score_content"}
    if over not in schemes:
        raise VesaliusError(unknown_name("choice of voxels", over, schemes))
    return normalise(volume, [Normalisation(schemes[over])] * volume.channels)


def percentile(
    volume: Volume, *, lower: float = 1.0, upper: float = 99.0, over: Foreground = "all", clipped: bool = True
) -> Volume:
    """Bring two percentiles of each channel to 0 and 1.

    Args:
        volume: 2D or 3D.
        lower: The percentile that becomes 0, ≥ 0.
        upper: The percentile that becomes 1, above ``lower``, ≤ 100.
        over: Which voxels have a say; all are changed.
        clipped: Whether values beyond become 0 and 1.

    Returns:
        The image as float32; a channel whose percentiles coincide becomes zeros.

    Raises:
        DataError: The percentiles are out of range.
        VesaliusError: ``over`` is unknown.

    Example:
        >>> from vesalius.image import Grid
        >>> volume = Volume(np.arange(101.0).reshape(1, 1, 101), Grid.from_spacing((1, 101), (1.0, 1.0)))
        >>> percentile(volume, lower=10, upper=90).array[0, 0, [0, 50, 100]].tolist()
        [0.0, 0.5, 1.0]

    Source: ``numpy.percentile``, linear between voxels.
    """
    if not 0 <= lower < upper <= 100:
        raise DataError(f"percentiles must rise within 0 to 100, not from {lower} to {upper}")
    made = volume.array.astype(np.float32)
    for source, target in zip(volume.array, made, strict=True):
        low, high = np.percentile(_chosen(source, over).astype(np.float64), [lower, upper])
        if high <= low:
            target[...] = 0
            continue
        target -= np.float32(low)
        target /= np.float32(high - low)
        if clipped:
            np.clip(target, 0, 1, out=target)
    return volume.with_array(made)


def nyul_landmarks(volumes: Iterable[Volume], *, over: Foreground = "above-mean") -> tuple[float, ...]:
    """Learn Nyúl's standard scale from images of one protocol.

    Args:
        volumes: One or more, each of one channel; they are looked at one after the other.
        over: Which voxels have a say: above the mean is the authors' rough foreground.

    Returns:
        The standard landmarks at `PERCENTILES`, from 0 to 100: what `nyul` takes, and JSON holds.

    Raises:
        DataError: There is no image, one has several channels, or the foreground of one is flat.
        VesaliusError: ``over`` is unknown.

    Example:
        >>> from vesalius.image import Grid
        >>> grid = Grid.from_spacing((1, 101), (1.0, 1.0))
        >>> ramp = np.arange(101.0).reshape(1, 1, 101)
        >>> marks = nyul_landmarks([Volume(ramp, grid), Volume(5 * ramp + 7, grid)], over="all")
        >>> [round(mark, 1) for mark in marks[:3]]
        [0.0, 9.2, 19.4]

    Source: Nyúl, Udupa and Zhang, IEEE TMI 19(2), 2000, doi:10.1109/42.836373, with the landmarks L4 (deciles).
    """
    learnt = []
    for volume in volumes:
        if volume.channels != 1:
            raise DataError(f"landmarks are those of one channel, and an image has {volume.channels}")
        marks = np.percentile(_chosen(volume.array[0], over).astype(np.float64), PERCENTILES)
        if marks[-1] <= marks[0]:
            raise DataError("the foreground of an image is flat: it has no landmarks; leave it out")
        learnt.append(100 * (marks - marks[0]) / (marks[-1] - marks[0]))
    if not learnt:
        raise DataError("landmarks are learnt from one image or more, and there is none")
    return tuple(float(mark) for mark in np.mean(learnt, axis=0))


def nyul(volume: Volume, *, landmarks: tuple[float, ...], over: Foreground = "above-mean") -> Volume:
    """Bring an image to Nyúl's standard scale, so that a tissue has about the same value in every patient.

    Args:
        volume: One channel.
        landmarks: What `nyul_landmarks` learnt: as many rising numbers as `PERCENTILES`. On the command line, a JSON
            file that holds them, or a folder of images to learn them from.
        over: As when they were learnt.

    Returns:
        The image as float32: linear between its landmarks, and on at both ends with the slope of the last piece.

    Raises:
        DataError: There are several channels, the landmarks do not fit, or the foreground is flat.
        VesaliusError: ``over`` is unknown.

    Example:
        >>> from vesalius.image import Grid
        >>> volume = Volume(np.arange(101.0).reshape(1, 1, 101), Grid.from_spacing((1, 101), (1.0, 1.0)))
        >>> marks = nyul_landmarks([volume], over="all")
        >>> made = nyul(volume.with_array(volume.array * 3 + 5), landmarks=marks, over="all")
        >>> [round(float(value), 3) for value in made.array[0, 0, [1, 50, 99]]]
        [0.0, 50.0, 100.0]

    Source: as for `nyul_landmarks`, equation 4.
    """
    standard = np.asarray(landmarks, np.float64)
    if standard.shape != (len(PERCENTILES),) or not np.isfinite(standard).all() or (np.diff(standard) < 0).any():
        raise DataError(f"landmarks must be {len(PERCENTILES)} numbers that do not fall, as nyul_landmarks gives them")
    if volume.channels != 1:
        raise DataError(f"landmarks are those of one channel, and the image has {volume.channels}: choose one")
    source = volume.array[0].astype(np.float64)
    own = np.percentile(_chosen(source, over), PERCENTILES)
    # Landmarks that coincide, as in an image of few grey levels, are one: a step has no slope.
    own, first = np.unique(own, return_index=True)
    if own.size < 2:
        raise DataError("the foreground of the image is flat: it has no landmarks")
    standard = np.append(standard[first[:-1]], standard[-1])
    made = np.interp(source, own, standard)
    for beyond, a, b in ((source < own[0], 0, 1), (source > own[-1], -1, -2)):
        slope = (standard[b] - standard[a]) / (own[b] - own[a])
        made[beyond] = standard[a] + slope * (source[beyond] - own[a])
    return volume.with_array(made[None].astype(np.float32))


def white_stripe(volume: Volume, *, weighting: Weighting = "t1", width: float = 0.05) -> Volume:
    """Scale a brain MR by its normal-looking white matter: its mean becomes 0 and its standard deviation 1.

    White matter is found as a peak of the histogram: the last one of a T1 (its brightest tissue), the highest one of a
    T2 or FLAIR. The stripe are the voxels whose share below differs from the peak's by at most ``width``.

    Args:
        volume: One channel, without the skull (voxels of 0 are background), or with little of it.
        weighting: ``"t1"``, ``"t2"`` or ``"flair"``.
        width: Half the stripe's width as a share of voxels, above 0, below 0.5.

    Returns:
        The image as float32; its background is scaled, too.

    Raises:
        DataError: There are several channels, the width is out of range, or too few values differ for a histogram.
        VesaliusError: The weighting is unknown.

    Example:
        >>> from vesalius.image import Grid
        >>> values = np.random.default_rng(0).normal([[60], [100]], 5, (2, 4000)).reshape(1, 80, 100)
        >>> made = white_stripe(Volume(values, Grid.from_spacing((80, 100), (1.0, 1.0)))).array
        >>> abs(float(made[0, 40:].mean())) < 1  # the brighter half
        True

    Source: Shinohara et al., NeuroImage: Clinical 6, 2014, doi:10.1016/j.nicl.2014.08.008.
    """
    if weighting not in get_args(Weighting):
        raise VesaliusError(unknown_name("weighting", weighting, get_args(Weighting)))
    if not 0 < width < 0.5:
        raise DataError(f"width must be above 0 and below 0.5, not {width}")
    if volume.channels != 1:
        raise DataError(f"WhiteStripe is for one channel, and the image has {volume.channels}: choose one")
    brain = np.sort(volume.array[0][volume.array[0] != 0].astype(np.float64))
    if brain.size < 2 or brain[0] == brain[-1]:
        raise DataError("WhiteStripe finds no white matter where all voxels that are not 0 have one value")
    peak = _peak(brain, last=weighting == "t1")
    share = np.searchsorted(brain, peak) / brain.size
    low, high = np.quantile(brain, [max(share - width, 0), min(share + width, 1)])
    stripe = brain[(brain >= low) & (brain <= high)]
    deviation = float(stripe.std())
    if deviation == 0:
        raise DataError(
            "WhiteStripe finds only one value at the peak of the histogram: the image has too few grey levels"
        )
    made = (volume.array.astype(np.float64) - stripe.mean()) / deviation
    return volume.with_array(made.astype(np.float32))


def suv(volume: Volume) -> Volume:
    """Turn a PET's activity into standardised uptake values by body weight, g/ml.

    Args:
        volume: A PET read from DICOM, whose header said dose, weight and times; other formats don't hold them.

    Returns:
        The image as float32 with the unit ``"g/ml"``; an SUV image comes back as it is.

    Raises:
        DataError: The image is no PET, or its header did not allow to work out the factor; it says why.

    Example:
        >>> from vesalius.image import Grid, Meta
        >>> meta = Meta("PT", "Bq/ml", suv_factor=2e-4)
        >>> pet = Volume(np.full((1, 2, 2), 5000.0), Grid.from_spacing((2, 2), (4.0, 4.0)), meta)
        >>> made = suv(pet)
        >>> float(made.array[0, 0, 0]), made.meta.unit
        (1.0, 'g/ml')

    Source: `vesalius.io.dicom.suv`.
    """
    meta = volume.meta
    if meta.modality != "PT":
        raise DataError(
            f"standardised uptake values are those of a PET read from DICOM, and this image is {meta.modality}"
        )
    if meta.suv_factor is None:
        why = next((note for note in meta.notes if note.startswith("no SUV")), "it was not read from DICOM")
        raise DataError(f"standardised uptake values cannot be worked out: {why}")
    if meta.unit == "g/ml" and meta.suv_factor == 1:
        return volume
    made = (volume.array * np.float64(meta.suv_factor)).astype(np.float32)
    return replace(volume, array=made, meta=replace(meta, unit="g/ml", suv_factor=1.0))


def _chosen(channel: NDArray[Any], over: Foreground) -> NDArray[Any]:
    """The voxels that have a say; all of them where a rule chooses none."""
    if over not in get_args(Foreground):
        raise VesaliusError(unknown_name("choice of voxels", over, get_args(Foreground)))
    if over == "all":
        return channel.reshape(-1)
    inside = channel[channel != 0] if over == "nonzero" else channel[channel > channel.mean(dtype=np.float64)]
    return inside if inside.size else channel.reshape(-1)


def _peak(brain: NDArray[np.float64], *, last: bool) -> float:
    """The value at the last or at the highest peak of the smoothed histogram of sorted values."""
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    within = brain[brain <= np.percentile(brain, _TAIL)] if last else brain
    low, high = np.percentile(brain, [0.1, 99.9])
    if high <= low:
        low, high = brain[0], brain[-1]
    counts, edges = np.histogram(within, bins=_BINS, range=(low, high))
    # Silverman's rule for the spread of one tissue, a third of the whole brain's.
    spread = min(float(brain.std()), float(np.subtract(*np.percentile(brain, [75, 25]))) / 1.34 or np.inf)
    sigma = max(1.0, 0.9 * spread * brain.size**-0.2 / ((high - low) / _BINS), _BINS / 100)
    smooth = gaussian_filter1d(counts.astype(np.float64), sigma, mode="constant")
    # A rim of nothing, so that a peak at either end is one; ripples below a tenth of the highest are none.
    peaks, _ = find_peaks(np.pad(smooth, 1), height=smooth.max() / 10, prominence=smooth.max() / 50)
    found = peaks - 1 if len(peaks) else np.array([int(smooth.argmax())])
    bin_ = found[-1] if last else found[int(smooth[found].argmax())]
    return float((edges[bin_] + edges[bin_ + 1]) / 2)
