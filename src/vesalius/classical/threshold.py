"""Thresholds: one for the whole image, fixed or found from its histogram."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.classical.channel import only_channel
from vesalius.classical.histogram import Criterion, one_threshold, several_thresholds
from vesalius.errors import DataError, GeometryError, VesaliusError, unknown_name
from vesalius.image import LabelMap, Labels, Volume

Tissue = Literal["emphysema", "lung", "fat", "muscle", "calcium", "bone"]
"""What CT shows within known values; see `threshold`."""

_TISSUES_HU: dict[str, tuple[float | None, float | None]] = {
    "emphysema": (None, -950.0),
    "lung": (None, -500.0),
    "fat": (-190.0, -30.0),
    "muscle": (-29.0, 150.0),
    "calcium": (130.0, None),
    "bone": (226.0, None),
}


def threshold(
    image: Volume, *, above: float | None = None, below: float | None = None, tissue: Tissue | None = None
) -> LabelMap:
    """Label what is brighter than one value, darker than another, or between them.

    Args:
        image: One channel.
        above: The least value that is labelled, in the image's unit.
        below: The greatest value that is labelled, in the image's unit.
        tissue: Of a CT, in place of the two: emphysema (up to -950 HU), lung (up to -500, with the air around the
            patient), fat (-190 to -30), muscle (-29 to 150), calcium (from 130), bone (from 226).

    Returns:
        ``foreground``, or the tissue's name, where ``above <= value <= below``; it may be empty.

    Raises:
        DataError: No bound is given, or a bound and a tissue; ``above`` exceeds ``below``; a tissue of what is not CT
            in HU; or the image has several channels.
        VesaliusError: The tissue is unknown.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[-900, 40], [300, 900]]]), Grid.from_spacing((2, 2), (1.0, 1.0)))
        >>> threshold(image, tissue="bone").array.tolist()
        [[0, 0], [1, 1]]

    Source: emphysema: Gevenois et al., American Journal of Respiratory and Critical Care Medicine 154, 1996,
    doi:10.1164/ajrccm.154.1.8680679. Lung: the bound of what is normally aerated in Gattinoni et al., American Journal
    of Respiratory and Critical Care Medicine 164, 2001, doi:10.1164/ajrccm.164.9.2103121. Fat and muscle: Mitsiopoulos
    et al., Journal of Applied Physiology 85, 1998, doi:10.1152/jappl.1998.85.1.115. Calcium: Agatston et al., Journal
    of the American College of Cardiology 15, 1990, doi:10.1016/0735-1097(90)90282-T. Bone: the preset of Mimics.
    """
    if tissue is not None:
        if tissue not in get_args(Tissue):
            raise VesaliusError(unknown_name("tissue", tissue, get_args(Tissue)))
        if above is not None or below is not None:
            raise DataError("threshold takes a tissue, or above and below, not both")
        if image.meta.unit not in ("", "HU") or image.meta.modality not in ("CT", "OT"):
            kind = image.meta.unit or image.meta.modality
            raise DataError(f"tissues are known by their HU in CT, and this image is {kind}: give above and below")
        above, below = _TISSUES_HU[tissue]
    if above is None and below is None:
        raise DataError("threshold needs above, below or both, or a tissue")
    if above is not None and below is not None and above > below:
        raise DataError(f"threshold labels from above to below, so above ({above:g}) must not exceed below ({below:g})")
    values = only_channel(image)
    inside = np.ones(values.shape, np.bool_) if above is None else values >= above
    if below is not None:
        inside &= values <= below
    name: str = tissue or "foreground"
    return LabelMap(inside, image.grid, Labels.of({name: 1}))


def otsu(image: Volume, *, dark: bool = False, bins: int = 256, mask: LabelMap | None = None) -> LabelMap:
    """Part bright from dark where the variance between the two is greatest: two classes of similar size and spread.

    Args:
        image: One channel.
        dark: Label what is dark instead.
        bins: Of the histogram, where values are not whole numbers; these are counted each by itself.
        mask: Find the threshold from where this is not 0, and label there only.

    Returns:
        ``foreground``; empty if the image has one grey value.

    Raises:
        DataError: The image has several channels, the mask is empty, or there are fewer than 2 bins.
        GeometryError: The mask lies on another grid.
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[3, 4], [88, 90]]]), Grid.from_spacing((2, 2), (1.0, 1.0)))
        >>> otsu(image).array.tolist()
        [[0, 0], [1, 1]]

    Source: Otsu, IEEE Transactions on Systems, Man, and Cybernetics 9, 1979, doi:10.1109/TSMC.1979.4310076, as
    ``skimage.filters.threshold_otsu``.
    """
    return _parted(image, "otsu", dark, bins, mask)


def li(image: Volume, *, dark: bool = False, mask: LabelMap | None = None) -> LabelMap:
    """Part bright from dark by least cross-entropy: also where one class is much larger, as in fluorescence.

    Args:
        image: One channel.
        dark: Label what is dark instead.
        mask: Find the threshold from where this is not 0, and label there only.

    Returns:
        ``foreground``; empty if the image has one grey value.

    Raises:
        DataError: The image has several channels, or the mask is empty.
        GeometryError: The mask lies on another grid.
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[3, 4], [88, 90]]]), Grid.from_spacing((2, 2), (1.0, 1.0)))
        >>> li(image).array.tolist()
        [[0, 0], [1, 1]]

    Source: Li and Tam, Pattern Recognition Letters 19, 1998, doi:10.1016/S0167-8655(98)00057-9, as
    ``skimage.filters.threshold_li``.
    """
    return _parted(image, "li", dark, 256, mask)


def triangle(image: Volume, *, dark: bool = False, bins: int = 256, mask: LabelMap | None = None) -> LabelMap:
    """Part a small class from one large peak: where the histogram leaves the line from its peak to its longer tail.

    Args:
        image: One channel.
        dark: Label what is dark instead.
        bins: Of the histogram, where values are not whole numbers; these are counted each by itself.
        mask: Find the threshold from where this is not 0, and label there only.

    Returns:
        ``foreground``; empty if the image has one grey value.

    Raises:
        DataError: The image has several channels, the mask is empty, or there are fewer than 2 bins.
        GeometryError: The mask lies on another grid.
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[3, 3, 3, 3, 4, 4, 5, 90]]]), Grid.from_spacing((1, 8), (1.0, 1.0)))
        >>> triangle(image).counts()
        {0: 7, 1: 1}

    Source: Zack, Rogers and Latt, Journal of Histochemistry and Cytochemistry 25, 1977, doi:10.1177/25.7.70454, as
    ``skimage.filters.threshold_triangle``.
    """
    return _parted(image, "triangle", dark, bins, mask)


def yen(image: Volume, *, dark: bool = False, bins: int = 256, mask: LabelMap | None = None) -> LabelMap:
    """Part bright from dark where the entropic correlation is greatest: it keeps to the brightest objects.

    Args:
        image: One channel.
        dark: Label what is dark instead.
        bins: Of the histogram, where values are not whole numbers; these are counted each by itself.
        mask: Find the threshold from where this is not 0, and label there only.

    Returns:
        ``foreground``; empty if the image has one grey value.

    Raises:
        DataError: The image has several channels, the mask is empty, or there are fewer than 2 bins.
        GeometryError: The mask lies on another grid.
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[3, 4], [88, 90]]]), Grid.from_spacing((2, 2), (1.0, 1.0)))
        >>> yen(image).array.tolist()
        [[0, 0], [1, 1]]

    Source: Yen, Chang and Chang, IEEE Transactions on Image Processing 4, 1995, doi:10.1109/83.366472, as
    ``skimage.filters.threshold_yen``.
    """
    return _parted(image, "yen", dark, bins, mask)


def isodata(image: Volume, *, dark: bool = False, bins: int = 256, mask: LabelMap | None = None) -> LabelMap:
    """Part bright from dark half way between the means of the two; the least such value.

    Args:
        image: One channel.
        dark: Label what is dark instead.
        bins: Of the histogram, where values are not whole numbers; these are counted each by itself.
        mask: Find the threshold from where this is not 0, and label there only.

    Returns:
        ``foreground``; empty if the image has one grey value.

    Raises:
        DataError: The image has several channels, the mask is empty, or there are fewer than 2 bins.
        GeometryError: The mask lies on another grid.
        MissingDependencyError: scikit-image is not installed.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[3, 4], [88, 90]]]), Grid.from_spacing((2, 2), (1.0, 1.0)))
        >>> isodata(image).array.tolist()
        [[0, 0], [1, 1]]

    Source: Ridler and Calvard, IEEE Transactions on Systems, Man, and Cybernetics 8, 1978,
    doi:10.1109/TSMC.1978.4310039, as ``skimage.filters.threshold_isodata``.
    """
    return _parted(image, "isodata", dark, bins, mask)


def entropy(image: Volume, *, dark: bool = False, bins: int = 256, mask: LabelMap | None = None) -> LabelMap:
    """Part bright from dark where the entropies of the two add up to most: small, varied objects on a plain ground.

    Args:
        image: One channel.
        dark: Label what is dark instead.
        bins: Of the histogram, where values are not whole numbers; these are counted each by itself.
        mask: Find the threshold from where this is not 0, and label there only.

    Returns:
        ``foreground``; empty if the image has one grey value.

    Raises:
        DataError: The image has several channels, the mask is empty, or there are fewer than 2 bins.
        GeometryError: The mask lies on another grid.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[3, 4], [88, 90]]]), Grid.from_spacing((2, 2), (1.0, 1.0)))
        >>> entropy(image).array.tolist()
        [[0, 0], [1, 1]]

    Source: Kapur, Sahoo and Wong, Computer Vision, Graphics, and Image Processing 29, 1985,
    doi:10.1016/0734-189X(85)90125-2.
    """
    return _parted(image, "entropy", dark, bins, mask)


def multi_otsu(
    image: Volume, *, classes: int = 3, bins: int = 256, names: tuple[str, ...] = (), mask: LabelMap | None = None
) -> LabelMap:
    """Part an image into several classes of grey so that the variance between them is greatest.

    Args:
        image: One channel.
        classes: How many, 2 to 255; the darkest is the background.
        bins: Of the histogram, where values are not whole numbers; these are counted each by itself.
        names: Of the classes above the darkest, dark to bright; ``"class 2"`` and so on when left out.
        mask: Find the thresholds from where this is not 0, and label there only; the darkest class there is labelled,
            too, as ``"class 1"`` or the first of ``names``.

    Returns:
        The classes, dark to bright.

    Raises:
        DataError: The image has several channels, fewer different values than classes, or there are too few names.
        GeometryError: The mask lies on another grid.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[3, 4, 50, 52, 90, 91]]]), Grid.from_spacing((1, 6), (1.0, 1.0)))
        >>> multi_otsu(image, names=("grey", "white")).array.tolist()
        [[0, 0, 1, 1, 2, 2]]

    Source: Liao, Chen and Chung, Journal of Information Science and Engineering 17, 2001; checked against
    ``skimage.filters.threshold_multiotsu``.
    """
    values, inside = only_channel(image), _inside(image, mask)
    cuts = several_thresholds(values if inside is None else values[inside], classes, bins=bins)
    first = 2 if inside is None else 1
    labelled = classes - first + 1
    if names and len(names) != labelled:
        raise DataError(f"there are {labelled} classes to name, and {len(names)} names")
    named = names or tuple(f"class {n}" for n in range(first, classes + 1))
    found = np.zeros(values.shape, np.uint8)
    for cut in cuts:
        found += values > cut
    if inside is not None:
        found = np.where(inside, found + 1, 0).astype(np.uint8)
    return LabelMap(found, image.grid, Labels.of({name: n for n, name in enumerate(named, 1)}))


def hysteresis(image: Volume, *, low: float, high: float, connectivity: int = 1) -> LabelMap:
    """Label what is brighter than a low value, if it hangs together with what is brighter than a high one.

    Args:
        image: One channel.
        low: What is labelled is above it, in the image's unit.
        high: Each piece holds a voxel above it; at least ``low``.
        connectivity: Which voxels hang together: 1 those with a common face (in 2D an edge), 2 or 3 also those with a
            common edge or corner.

    Returns:
        ``foreground``; it may be empty.

    Raises:
        DataError: ``low`` exceeds ``high``, or the image has several channels.
        GeometryError: ``connectivity`` is not 1 to the number of axes.

    Example:
        >>> from vesalius.image import Grid
        >>> image = Volume(np.array([[[1, 2, 3, 2, 1, 2, 1]]]), Grid.from_spacing((1, 7), (1.0, 1.0)))
        >>> hysteresis(image, low=1.5, high=2.5).array.tolist()
        [[0, 1, 1, 1, 0, 0, 0]]

    Source: Canny, IEEE Transactions on Pattern Analysis and Machine Intelligence 8, 1986,
    doi:10.1109/TPAMI.1986.4767851; checked against ``skimage.filters.apply_hysteresis_threshold``.
    """
    from vesalius.transform import connected_to

    if low > high:
        raise DataError(f"the low threshold ({low:g}) must not exceed the high one ({high:g})")
    values = only_channel(image)
    found = connected_to(values > low, values > high, connectivity=connectivity)
    return LabelMap(found, image.grid, Labels.of({"foreground": 1}))


def _parted(image: Volume, criterion: Criterion, dark: bool, bins: int, mask: LabelMap | None) -> LabelMap:
    values, inside = only_channel(image), _inside(image, mask)
    taken = values if inside is None else values[inside]
    cut = one_threshold(taken, criterion, bins=bins)
    found: NDArray[Any] = values > cut
    if dark:
        # Of one grey value nothing is dark, as nothing is bright.
        found = ~found if taken.min() < taken.max() else np.zeros_like(found)
    if inside is not None:
        found &= inside
    return LabelMap(found, image.grid, Labels.of({"foreground": 1}))


def _inside(image: Volume, mask: LabelMap | None) -> NDArray[np.bool_] | None:
    if mask is None:
        return None
    if not mask.grid.is_close(image.grid, tolerance_mm=0.1):
        raise GeometryError(f"the mask lies on a grid {mask.grid.shape}, the image on {image.grid.shape}")
    inside: NDArray[np.bool_] = mask.array != 0
    return inside
