"""Take out the slow change of brightness that MR coils leave (N4)."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, MissingDependencyError, VesaliusError, unknown_name
from vesalius.image import Volume
from vesalius.transform.boxes import positive

BiasMask = Literal["otsu", "nonzero"]
"""Where the field is estimated: above Otsu's threshold, or where the image is not 0 (whose logarithm there is not)."""


_NEGATIVE = 0.2  # share of voxels below 0 at which an image is no MR


def n4(
    volume: Volume,
    *,
    shrink: int = 4,
    mask: BiasMask = "otsu",
    iterations: tuple[int, ...] = (50, 50, 50, 50),
    tolerance: float = 0.001,
    width: float = 0.15,
) -> Volume:
    """Divide an MR image by its bias field, estimated with N4.

    Args:
        volume: 2D or 3D MR; each channel by itself. Values of 0 and less have no say.
        shrink: The field is estimated on every n-th voxel of each axis, 1 to 16; an axis keeps at least 8 voxels. It
            is smooth, so that 4 loses nothing and is 30 times faster than 1.
        mask: ``"otsu"``, or ``"nonzero"`` for an image without background or without its skull.
        iterations: At most so many at each level; each level halves the mesh of the spline.
        tolerance: A level ends when the field changes by less than this (coefficient of variation), > 0.
        width: Full width at half maximum of the Gaussian that the histogram is sharpened with, > 0.

    Returns:
        The image as float32; its values are divided by the field everywhere, also outside the mask.

    Raises:
        DataError: A setting is out of range, the image is a single row, or it is a CT or has many negative values.
        VesaliusError: The mask is unknown.
        MissingDependencyError: SimpleITK is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> x = np.linspace(0, 1, 32)
        >>> tissue = np.where(np.hypot(*np.meshgrid(x - 0.5, x - 0.5)) < 0.2, 60.0, 100.0)
        >>> shaded = Volume((tissue * (0.8 + 0.4 * x))[None], Grid.from_spacing((32, 32), (1.0, 1.0)))
        >>> made = n4(shaded, shrink=1, mask="nonzero").array[0]
        >>> bool(made[tissue == 100].std() < 0.5 * shaded.array[0][tissue == 100].std())
        True

    Source: Tustison et al., IEEE TMI 29(6), 2010, doi:10.1109/TMI.2010.2046908; SimpleITK's
    ``N4BiasFieldCorrectionImageFilter`` and its defaults.
    """
    try:
        import SimpleITK as sitk
    except ImportError as error:
        raise MissingDependencyError("N4 needs SimpleITK: pip install 'vesalius[classical]'") from error
    if mask not in get_args(BiasMask):
        raise VesaliusError(unknown_name("mask", mask, get_args(BiasMask)))
    if not 1 <= shrink <= 16 or not iterations or min(iterations) < 1:
        raise DataError(f"n4 takes shrink of 1 to 16 and iterations of 1 or more, not {shrink} and {iterations}")
    positive(tolerance=tolerance, width=width)
    # A resampled MR has some values below 0, where splines overshoot; an image in HU has many.
    if volume.meta.modality == "CT" or np.count_nonzero(volume.array < 0) > _NEGATIVE * volume.array.size:
        raise DataError("n4 works on the logarithm of an MR's signal, and many values are negative: is it an MR?")
    made = np.empty(volume.array.shape, np.float32)
    for source, target in zip(volume.array, made, strict=True):
        field = _log_field(sitk, source, volume.grid.spacing_mm, shrink, mask, iterations, tolerance, width)
        np.divide(source, np.exp(field), out=target, casting="unsafe")
    return volume.with_array(made)


def _log_field(
    sitk: Any,
    channel: NDArray[Any],
    spacing_mm: tuple[float, ...],
    shrink: int,
    mask: BiasMask,
    iterations: tuple[int, ...],
    tolerance: float,
    width: float,
) -> NDArray[np.float64]:
    # A single slice of a volume is a picture: a spline needs two voxels of an axis.
    long = [a for a in range(channel.ndim) if channel.shape[a] > 1]
    if 2 <= len(long) < channel.ndim:
        spacing = tuple(spacing_mm[a] for a in long)
        flat = _log_field(sitk, channel.squeeze(), spacing, shrink, mask, iterations, tolerance, width)
        return flat.reshape(channel.shape)
    chosen = channel > 0
    if mask == "otsu" and channel.max() > channel.min():
        found = sitk.OtsuThreshold(sitk.GetImageFromArray(channel.T.astype(np.float32)), 0, 1)
        chosen &= sitk.GetArrayFromImage(found).T > 0
    values = channel[chosen]
    if values.size == 0 or values.min() == values.max():
        return np.zeros(channel.shape)  # a flat image has no field
    if len(long) < 2:
        raise DataError("n4 needs an image with two axes of more than one voxel")
    # ITK's axes run the other way; only distances matter here, so that no direction is told.
    image, where = (sitk.GetImageFromArray(a.T) for a in (channel.astype(np.float32), chosen.astype(np.uint8)))
    for one in (image, where):
        one.SetSpacing([float(s) for s in spacing_mm])
    factors = [max(1, min(shrink, n // 8)) for n in channel.shape]
    small, small_where = sitk.Shrink(image, factors), sitk.Shrink(where, factors)
    if not sitk.GetArrayFromImage(small_where).any():
        small, small_where = image, where
    correct = sitk.N4BiasFieldCorrectionImageFilter()
    correct.SetMaximumNumberOfIterations(list(iterations))
    correct.SetConvergenceThreshold(tolerance)
    correct.SetBiasFieldFullWidthAtHalfMaximum(width)
    correct.Execute(small, small_where)
    field: NDArray[np.float64] = sitk.GetArrayFromImage(correct.GetLogBiasFieldAsImage(image)).T
    return field
