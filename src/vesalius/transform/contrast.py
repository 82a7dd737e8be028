"""Change contrast: windows, gamma, histogram equalisation and matching, CLAHE."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, MissingDependencyError, VesaliusError, unknown_name
from vesalius.image import Volume
from vesalius.transform.boxes import Box, each_box, positive

WindowPreset = Literal[
    "brain", "subdural", "stroke", "temporal-bone", "head-soft-tissue", "lung", "mediastinum", "abdomen", "liver",
    "spine-soft-tissue", "bone",
]  # fmt: skip
"""A named window of CT, see `WINDOWS_HU`."""

WINDOWS_HU: dict[str, tuple[float, float]] = {
    "brain": (40, 80),
    "subdural": (75, 215),
    "stroke": (40, 40),
    "temporal-bone": (600, 2800),
    "head-soft-tissue": (40, 375),
    "lung": (-600, 1500),
    "mediastinum": (50, 350),
    "abdomen": (50, 400),
    "liver": (30, 150),
    "spine-soft-tissue": (50, 250),
    "bone": (400, 1800),
}
"""Centre and width of each preset, HU.

Source: Murphy et al., "Windowing (CT)", Radiopaedia, rID-52108; where it gives a range, its middle. Scanners and sites
differ a little.
"""

_QUANTILES = 1001


def window(
    volume: Volume,
    *,
    preset: WindowPreset | None = None,
    centre: float | None = None,
    width: float | None = None,
) -> Volume:
    """Show a range of values: from 0 at its lower end to 1 at its upper, clipped beyond.

    Args:
        volume: 2D or 3D. A preset means what it says only on a CT in HU.
        preset: A window for CT: brain, subdural, stroke, temporal-bone, head-soft-tissue, lung, mediastinum, abdomen,
            liver, spine-soft-tissue or bone. Or give centre and width.
        centre: Middle of the range, in the image's unit.
        width: Of the range, in the image's unit, > 0.

    Returns:
        The image as float32, 0 to 1.

    Raises:
        DataError: Neither a preset nor centre and width, or both; the width is not above 0; or a preset for an image
            whose unit or modality says that it is no CT.
        VesaliusError: The preset is unknown.

    Example:
        >>> from vesalius.image import Grid
        >>> volume = Volume(np.array([[[-2000, 0, 40, 60, 500]]], np.int16), Grid.from_spacing((1, 5), (1.0, 1.0)))
        >>> window(volume, preset="brain").array[0, 0].tolist()
        [0.0, 0.0, 0.5, 0.75, 1.0]

    Source: linear window of DICOM PS3.3 C.11.2.1.3.2 (LINEAR_EXACT); the presets' numbers are in `WINDOWS_HU`.
    """
    if (preset is None) == (centre is None and width is None):
        raise DataError("a window takes either a preset, or centre and width")
    if preset is not None:
        if preset not in get_args(WindowPreset):
            raise VesaliusError(unknown_name("window", preset, get_args(WindowPreset)))
        meta = volume.meta
        if meta.modality not in ("CT", "OT") or meta.unit not in ("HU", ""):
            raise DataError(
                f"the window {preset!r} is for CT in HU, and the image is {meta.modality} in {meta.unit or 'no unit'}: "
                "give centre and width"
            )
        centre, width = WINDOWS_HU[preset]
    if centre is None or width is None:
        raise DataError("a window takes centre and width together")
    positive(width=width)
    lower = centre - width / 2
    made = volume.array.astype(np.float32)
    np.clip(made, lower, lower + width, out=made)
    made -= np.float32(lower)
    made /= np.float32(width)
    return volume.with_array(made)


def gamma(volume: Volume, *, exponent: float = 1.0) -> Volume:
    """Brighten or darken the middle of the range; the least and the largest value of each channel stay.

    Args:
        volume: 2D or 3D; each channel by itself.
        exponent: Below 1 brightens, above 1 darkens, > 0.

    Returns:
        The image as float32. A flat channel stays as it is.

    Raises:
        DataError: ``exponent`` is not above 0.

    Example:
        >>> from vesalius.image import Grid
        >>> volume = Volume(np.array([[[0.0, 50.0, 100.0]]]), Grid.from_spacing((1, 3), (1.0, 1.0)))
        >>> gamma(volume, exponent=2).array[0, 0].tolist()
        [0.0, 25.0, 100.0]

    Source: the power law ``((x - low) / range) ** exponent``, as ``skimage.exposure.adjust_gamma`` on 0 to 1.
    """
    positive(exponent=exponent)
    made = volume.array.astype(np.float32)
    for channel in made:
        low, high = channel.min(), channel.max()
        if high > low:
            channel -= low
            channel /= high - low
            np.power(channel, np.float32(exponent), out=channel)
            channel *= high - low
            channel += low
    return volume.with_array(made)


def equalise(volume: Volume, *, bins: int = 256, nonzero: bool = False) -> Volume:
    """Spread the values so that all grey levels become equally frequent.

    Args:
        volume: 2D or 3D; each channel by itself.
        bins: Of the histogram, ≥ 2.
        nonzero: Whether only voxels that are not 0 count, as in an image without its background; the others become 0.

    Returns:
        The image as float32, 0 to 1: each value's share of voxels that are not brighter. A flat channel becomes 0.5.

    Raises:
        DataError: ``bins`` is below 2.

    Example:
        >>> from vesalius.image import Grid
        >>> volume = Volume(np.array([[[0.0, 1.0, 2.0, 1000.0]]]), Grid.from_spacing((1, 4), (1.0, 1.0)))
        >>> equalise(volume).array[0, 0].tolist()
        [0.75, 0.75, 0.75, 1.0]

    Source: the cumulative histogram at the middles of its bins, interpolated; equal to
    ``skimage.exposure.equalize_hist``.
    """
    if bins < 2:
        raise DataError(f"bins must be 2 or more, not {bins}")
    made = np.zeros(volume.array.shape, np.float32)
    for source, target in zip(volume.array, made, strict=True):
        chosen = source[source != 0] if nonzero else source.reshape(-1)
        if chosen.size == 0:
            continue
        counts, edges = np.histogram(chosen.astype(np.float64), bins=bins)
        shares = np.cumsum(counts) / chosen.size
        _interpolate(source, (edges[:-1] + edges[1:]) / 2, shares, target)
        if nonzero:
            target[source == 0] = 0
    return volume.with_array(made)


def clahe(volume: Volume, *, size_mm: float | None = None, clip: float = 0.01, bins: int = 256) -> Volume:
    """Equalise region by region, with a bound on how much contrast is raised (CLAHE).

    Args:
        volume: 2D or 3D; each channel by itself.
        size_mm: Edge of a region, mm, > 0. Left out, an eighth of each axis.
        clip: Share of a region's voxels at which a histogram's bin is cut, 0 (no change) to 1 (no bound).
        bins: Of each histogram, ≥ 2.

    Returns:
        The image as float32, 0 to 1. A flat channel becomes 0.

    Raises:
        DataError: A setting is out of range.
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> ramp = np.linspace(100, 110, 32 * 32).reshape(1, 32, 32)
        >>> made = clahe(Volume(ramp, Grid.from_spacing((32, 32), (1.0, 1.0)))).array
        >>> float(made.min()), float(made.max())
        (0.0, 1.0)

    Source: Pizer et al., Computer Vision, Graphics, and Image Processing 39(3), 1987,
    doi:10.1016/S0734-189X(87)80186-X; computed by ``skimage.exposure.equalize_adapthist``.
    """
    try:
        from skimage.exposure import equalize_adapthist
    except ImportError as error:
        raise MissingDependencyError("CLAHE needs scikit-image: pip install 'vesalius[classical]'") from error
    # What is wrapped around it takes a volume of 3 or 4 slices for a colour picture.
    adapt = getattr(equalize_adapthist, "__wrapped__", equalize_adapthist)
    if size_mm is not None:
        positive(size_mm=size_mm)
    if not 0 <= clip <= 1 or bins < 2:
        raise DataError(f"clip must be 0 to 1 and bins 2 or more, not {clip} and {bins}")
    grid = volume.grid
    size = None
    if size_mm is not None:
        size = [min(n, max(1, round(size_mm / s))) for n, s in zip(grid.shape, grid.spacing_mm, strict=True)]
    made = np.zeros(volume.array.shape, np.float32)
    for source, target in zip(volume.array, made, strict=True):
        low, high = float(source.min()), float(source.max())
        if high > low:
            scaled = (source.astype(np.float64) - low) / (high - low)
            target[...] = adapt(scaled, kernel_size=size, clip_limit=clip, nbins=bins)
    return volume.with_array(made)


def match_histogram(volume: Volume, *, reference: Volume | tuple[float, ...]) -> Volume:
    """Give an image the histogram of another: each value becomes the one at which the other has the same share below.

    Args:
        volume: 2D or 3D; each channel by itself.
        reference: The other image, with as many channels, or its quantiles (see `quantiles`) for an image of one
            channel; on the command line, a file.

    Returns:
        The image as float32.

    Raises:
        DataError: The channels differ in number, or the quantiles are fewer than two or fall.

    Example:
        >>> from vesalius.image import Grid
        >>> grid = Grid.from_spacing((1, 4), (1.0, 1.0))
        >>> dark, bright = Volume(np.array([[[1, 2, 3, 4]]]), grid), Volume(np.array([[[10, 20, 30, 40]]]), grid)
        >>> match_histogram(dark, reference=bright).array[0, 0].tolist()
        [10.0, 20.0, 30.0, 40.0]

    Source: Gonzalez and Woods, Digital Image Processing, section 3.3.2; with an image, equal to
    ``skimage.exposure.match_histograms``.
    """
    if isinstance(reference, Volume):
        if reference.channels != volume.channels:
            raise DataError(
                f"the image has {volume.channels} channels and the reference {reference.channels}: they must be as many"
            )
        targets = [_cumulative(channel) for channel in reference.array]
    else:
        levels = np.asarray(reference, np.float64)
        if levels.ndim != 1 or levels.size < 2 or not np.isfinite(levels).all() or (np.diff(levels) < 0).any():
            raise DataError("the quantiles of a histogram must be two or more numbers that do not fall")
        if volume.channels != 1:
            raise DataError(f"quantiles are those of one channel, and the image has {volume.channels}: make it grey")
        targets = [(levels, np.linspace(0, 1, levels.size))]
    made = np.empty(volume.array.shape, np.float32)
    for source, target, (levels, shares) in zip(volume.array, made, targets, strict=True):
        flat = source.reshape(-1)
        order = np.argsort(flat)
        rising = flat[order]
        # The last voxel of each run of equal values has the share of all that are not above it.
        ends = np.append(np.flatnonzero(rising[1:] != rising[:-1]), rising.size - 1)
        matched = np.interp((ends + 1) / rising.size, shares, levels).astype(np.float32)
        target.reshape(-1)[order] = np.repeat(matched, np.diff(ends, prepend=-1))
    return volume.with_array(made)


def quantiles(volume: Volume, *, count: int = _QUANTILES) -> tuple[float, ...]:
    """The histogram of an image of one channel in a few numbers, which `match_histogram` takes and JSON can hold.

    Args:
        volume: 2D or 3D, one channel.
        count: How many, evenly spaced from the least value to the largest, ≥ 2.

    Raises:
        DataError: There are several channels, or ``count`` is below 2.

    Example:
        >>> from vesalius.image import Grid
        >>> quantiles(Volume(np.array([[[4, 0, 2]]]), Grid.from_spacing((1, 3), (1.0, 1.0))), count=3)
        (0.0, 2.0, 4.0)
    """
    if volume.channels != 1:
        raise DataError(f"quantiles are those of one channel, and the image has {volume.channels}: make it grey")
    if count < 2:
        raise DataError(f"count must be 2 or more, not {count}")
    found = np.quantile(volume.array.astype(np.float64), np.linspace(0, 1, count))
    return tuple(float(value) for value in found)


def _interpolate(
    source: NDArray[Any], places: NDArray[np.float64], values: NDArray[np.float64], target: NDArray[np.float32]
) -> None:
    """A piecewise linear function of every voxel, on every core."""

    def work(box: Box) -> None:
        target[box] = np.interp(source[box], places, values)

    each_box(source.shape, work)


def _cumulative(channel: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The values that occur, and the share of voxels that are not above each."""
    values, counts = np.unique(channel, return_counts=True)
    return values.astype(np.float64), np.cumsum(counts) / channel.size
