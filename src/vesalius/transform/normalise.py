"""Bring intensities to a common scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, VesaliusError, unknown_name
from vesalius.image import Volume
from vesalius.transform.crop import content_mask

Scheme = Literal["z_score", "z_score_nonzero", "z_score_content", "ct", "fixed", "range", "percentiles", "rgb", "none"]
"""How a channel is brought to scale; see `Normalisation`."""

_LEAST = 1e-8  # what a standard deviation or range is divided by at least: a flat image becomes zeros
_PERCENTILES = (0.5, 99.5)
_QUANTILE_VOXELS = 1_000_003  # at most twice as many are looked at
_BLOCK = 1 << 16  # values worked on at a time: their float64 copies stay in the cache


@dataclass(frozen=True)
class Normalisation:
    """How the values of one channel are brought to scale.

    Args:
        scheme: ``"z_score"``: minus the image's mean, by its standard deviation. ``"z_score_nonzero"``: the same over
            the voxels that are not zero; the others stay 0. ``"z_score_content"``: the same over the content, zeros
            in it and holes included (`vesalius.transform.content_mask`). ``"ct"``: clipped to ``lower`` … ``upper``,
            minus ``mean``, by ``std``, all four measured on the data set, since HU mean the same in every scan.
            ``"fixed"``: the same with four numbers from elsewhere, as those of the images that pretrained weights have
            seen. ``"range"``: from the image's minimum and maximum to 0 … 1. ``"percentiles"``: from its 0.5 and 99.5
            percentiles to 0 … 1, cut off beyond, which a few bright voxels do not change. ``"rgb"``: 0 … 255 to
            0 … 1. ``"none"``: as they are.
        mean: For ``"ct"``: the mean of the data set's foreground, HU; for ``"fixed"``: what is subtracted.
        std: For ``"ct"``: its standard deviation, ≥ 0; for ``"fixed"``: what is divided by.
        lower: For ``"ct"``: its 0.5 percentile; for ``"fixed"``: what is clipped to.
        upper: For ``"ct"``: its 99.5 percentile; for ``"fixed"``: what is clipped to. More than ``lower``.

    Raises:
        VesaliusError: The scheme is unknown.
        DataError: A statistic is not finite, ``std`` is negative, or ``upper`` is not above ``lower``.

    Example:
        >>> Normalisation("ct", mean=80.0, std=40.0, lower=-20.0, upper=200.0).scheme
        'ct'

    Source: Isensee et al., Nature Methods 18, 2021, doi:10.1038/s41592-020-01008-z, and nnU-Net's
    ``default_normalization_schemes.py``.
    """

    scheme: Scheme
    mean: float = 0.0
    std: float = 1.0
    lower: float = 0.0
    upper: float = 1.0

    def __post_init__(self) -> None:
        if self.scheme not in get_args(Scheme):
            raise VesaliusError(unknown_name("normalisation scheme", self.scheme, get_args(Scheme)))
        if not np.isfinite([self.mean, self.std, self.lower, self.upper]).all() or self.std < 0:
            raise DataError(
                f"a normalisation needs finite statistics and a standard deviation of at least 0, not {self}"
            )
        if self.lower >= self.upper:
            raise DataError(f"a normalisation clips from lower to upper, which must be the larger, not {self}")


def normalise(volume: Volume, schemes: Sequence[Normalisation]) -> Volume:
    """Bring every channel to scale.

    Statistics are added up in float64, the result is float32. Standard deviations are those of the population
    (divided by n). A flat channel, or one without a non-zero voxel, becomes zeros.

    Args:
        volume: The image.
        schemes: One for each channel, in order.

    Returns:
        The image with float32 values, in the same place.

    Raises:
        DataError: There are not as many schemes as channels, or an ``"rgb"`` channel leaves 0 … 255.

    Example:
        >>> from vesalius.image import Grid
        >>> volume = Volume(np.array([[[0, 2], [4, 8]]]), Grid.from_spacing((2, 2), (1.0, 1.0)))
        >>> normalise(volume, [Normalisation("range")]).array[0].tolist()
        [[0.0, 0.25], [0.5, 1.0]]

    Source: nnU-Net's ``default_normalization_schemes.py``.
    """
    if len(schemes) != volume.channels:
        raise DataError(
            f"the image has {volume.channels} channels and there are {len(schemes)} normalisations: one each"
        )
    made = np.empty_like(volume.array, dtype=np.float32)
    content = content_mask(volume) if any(chosen.scheme == "z_score_content" for chosen in schemes) else None
    for source, target, chosen in zip(volume.array, made, schemes, strict=True):
        if chosen.scheme == "z_score_content":
            assert content is not None  # because a scheme asks for it
            _content(source, target, content)
        else:
            _channel(source, target, chosen)
    return volume.with_array(made)


def _content(source: NDArray[Any], target: NDArray[np.float32], content: NDArray[np.bool_]) -> None:
    """The z-score over the content; elsewhere every channel is 0 and stays so."""
    inside = source[content].astype(np.float64)
    target[...] = 0
    if inside.size:
        target[content] = (inside - inside.mean()) / max(float(inside.std()), _LEAST)


def _channel(source: NDArray[Any], target: NDArray[np.float32], chosen: Normalisation) -> None:
    scheme = chosen.scheme
    if scheme == "none":
        target[...] = source
        return
    low, shift, divisor = -np.inf, 0.0, 255.0
    high = np.inf
    if scheme in ("z_score", "z_score_nonzero"):
        shift, divisor = _mean_and_std(source, nonzero=scheme == "z_score_nonzero")
    elif scheme in ("ct", "fixed"):
        low, high, shift, divisor = chosen.lower, chosen.upper, chosen.mean, chosen.std
    elif scheme == "percentiles":
        low, high = _percentiles(source)
        shift, divisor = low, high - low
    else:
        least, most = float(source.min()), float(source.max())
        if scheme == "range":
            shift, divisor = least, most - least
        elif least < 0 or most > 255:
            raise DataError(f"an 'rgb' channel must hold 0 to 255, not {least:g} to {most:g}: choose 'range'")
    factor = 1.0 / max(divisor, _LEAST)
    for slab, place in zip(_slabs(source), _slabs(target), strict=True):
        values = slab.astype(np.float64)
        if scheme in ("ct", "fixed", "percentiles"):
            np.clip(values, low, high, out=values)
        values -= shift
        np.multiply(values, factor, out=place)
        if scheme == "z_score_nonzero":
            place[slab == 0] = 0.0


def _percentiles(array: NDArray[Any]) -> tuple[float, float]:
    """The 0.5 and 99.5 percentiles of an even choice of the voxels: of all of them they take seconds."""
    few = array.reshape(-1)[:: max(1, array.size // _QUANTILE_VOXELS)]
    low, high = np.percentile(few, _PERCENTILES)
    return float(low), float(high)


def _mean_and_std(array: NDArray[Any], *, nonzero: bool) -> tuple[float, float]:
    # Both sums in one pass. They are taken about the first value, so that a large offset costs no digits.
    count, first, total, squares = 0, 0.0, 0.0, 0.0
    for slab in _slabs(array):
        values = (slab[slab != 0] if nonzero else slab.reshape(-1)).astype(np.float64)
        if values.size == 0:
            continue
        first = first if count else float(values[0])
        values -= first
        count += values.size
        total += float(values.sum())
        # Not `values @ values`: OpenBLAS's threads spin for some 50 ms afterwards and keep a core from the network.
        squares += float(np.einsum("i,i->", values, values))
    if count == 0:
        return 0.0, 0.0
    mean = total / count
    return first + mean, float(np.sqrt(max(squares / count - mean**2, 0.0)))


def _slabs(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Views that together make the array, in the order in which it lies in memory."""
    inner_last = array.transpose(np.argsort([-abs(s) for s in array.strides], kind="stable"))
    step = max(1, _BLOCK // max(1, inner_last[0].size))
    return (inner_last[n : n + step] for n in range(0, len(inner_last), step))
