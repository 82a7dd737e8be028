"""What was measured of structures as coded quantities, for a structured report: with units, methods and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from vesalius.image import Code, Quantity, Size
from vesalius.metrics.uptake import Uptake

if TYPE_CHECKING:
    from vesalius.metrics.branches import Branch
    from vesalius.metrics.clearance import Clearance
    from vesalius.metrics.partial_volume import PartialVolume
    from vesalius.metrics.thickness import Thickness

_OURS = "99VESALIUS"  # our own scheme, where no other has a code
_MEAN = Code("SCT", "373098007", "Mean")
_SD = Code("SCT", "386136009", "Standard Deviation")
_LEAST = Code("SCT", "255605001", "Minimum")
_MOST = Code("SCT", "56851009", "Maximum")
_VOLUME = Code("SCT", "118565006", "Volume")
_AREA = Code("SCT", "42798000", "Area")

_STATISTICS: dict[str, tuple[Code, Literal["value", "square", "ratio"]]] = {  # by the names of `Uptake.row`
    "percentile_5": (Code(_OURS, "PERCENTILE_5", "5th percentile"), "value"),
    "percentile_10": (Code("IBSI", "QG58", "10th intensity percentile"), "value"),
    "percentile_25": (Code(_OURS, "PERCENTILE_25", "25th percentile"), "value"),
    "median": (Code("SCT", "373099004", "Median"), "value"),
    "percentile_75": (Code(_OURS, "PERCENTILE_75", "75th percentile"), "value"),
    "percentile_90": (Code("IBSI", "8DWT", "90th intensity percentile"), "value"),
    "percentile_95": (Code(_OURS, "PERCENTILE_95", "95th percentile"), "value"),
    "variance": (Code("UMLS", "C1711260", "Variance"), "square"),
    "skewness": (Code("DCM", "126051", "Skewness"), "ratio"),
    # DICOM's kurtosis does not say whether 3 is taken off; the IBSI's does.
    "kurtosis": (Code("IBSI", "IPH6", "(Excess) intensity kurtosis"), "ratio"),
    "range": (Code("IBSI", "2OJQ", "Intensity range"), "value"),
    "interquartile_range": (Code("IBSI", "SALO", "Intensity interquartile range"), "value"),
    "mean_absolute_deviation": (Code("IBSI", "4FUA", "Intensity-based mean absolute deviation"), "value"),
    "robust_mean_absolute_deviation": (Code("IBSI", "1128", "Intensity-based robust mean absolute deviation"), "value"),
    "median_absolute_deviation": (Code("IBSI", "N72L", "Intensity-based median absolute deviation"), "value"),
    "coefficient_of_variation": (Code("UMLS", "C0681921", "Coefficient of Variance"), "ratio"),
    "quartile_coefficient_of_dispersion": (
        Code("IBSI", "9S40", "Intensity-based quartile coefficient of dispersion"),
        "ratio",
    ),
    "energy": (Code("IBSI", "N8CA", "Intensity-based energy"), "square"),
    "root_mean_square": (Code("UMLS", "C2347976", "Root Mean Square"), "value"),
    "peak": (Code("DCM", "126031", "Peak Value Within ROI"), "value"),
    "local_peak": (Code("IBSI", "VJGA", "Local intensity peak"), "value"),
}
_ACTIVE = Code(_OURS, "ACTIVE", "Voxels at least as bright as the threshold")
_METHODS = {
    "soft edge": Code(_OURS, "SOFT_EDGE", "Partial volume from the grey levels of the border"),
    "expected": Code(_OURS, "PROBABILITIES", "Sum of the voxels' probabilities"),
    "smooth": Code(_OURS, "SMOOTH_SURFACE", "Smoothed surface of the voxels"),
    "subvoxel": Code(_OURS, "SUBVOXEL_SURFACE", "Surface at even probabilities"),
}
_CONFORMAL = Code(_OURS, "CONFORMAL", "Conformal prediction")


def uptake_quantities(uptake: Uptake, size: Size) -> tuple[Quantity, ...]:
    """Statistics of an image's values, and how much of a structure is active.

    Args:
        uptake: Of the structure; what has no value is left out.
        size: Of the same structure: its modality and unit say what the values are.

    Returns:
        The values as what they are (attenuation, SUV …) with the statistic as their derivation; of a PET in SUV
        metabolic volume and total lesion glycolysis; the threshold, where there is one.

    Example:
        >>> found = uptake_quantities(Uptake("liver", skewness=0.2), Size("liver", modality="CT", unit="HU"))
        >>> found[0].concept.meaning, found[0].derivation.meaning, found[0].unit
        ('Attenuation Coefficient', 'Skewness', '1')

    Source: DICOM PS3.16 CID 7464 (General Region of Interest Measurement Modifiers); the IBSI's permanent identifiers,
    arXiv:1612.07003, for those that it lacks.
    """
    from vesalius.io.dicom.report import brightness

    found = []
    for name, value in uptake.row().items():
        if value is None or name not in _STATISTICS:
            continue
        code, kind = _STATISTICS[name]
        quantity = brightness(size, value, derivation=code)
        squared = quantity.unit if quantity.unit == "1" else f"({quantity.unit})2"
        found.append(replace(quantity, unit={"value": quantity.unit, "square": squared, "ratio": "1"}[kind]))
    return (*found, *_active(uptake, size))


def _active(uptake: Uptake, size: Size) -> list[Quantity]:
    from vesalius.io.dicom.report import brightness

    pet, found = (size.modality, size.unit) == ("PT", "g/ml"), []
    if uptake.active_volume_ml is not None and (pet or uptake.threshold is not None):
        concept = Code("DCM", "126032", "Metabolic Volume") if pet else _VOLUME
        found.append(Quantity(concept, uptake.active_volume_ml, "cm3", method=None if pet else _ACTIVE))
    if uptake.glycolysis is not None and pet:
        found.append(Quantity(Code("DCM", "126033", "Total Lesion Glycolysis"), uptake.glycolysis, "g"))
    if uptake.threshold is not None:
        if uptake.active_mean is not None:
            found.append(replace(brightness(size, uptake.active_mean, derivation=_MEAN), method=_ACTIVE))
        unit = brightness(size, 0.0, derivation=_MEAN).unit
        found.append(Quantity(Code(_OURS, "THRESHOLD", "Threshold of active voxels"), uptake.threshold, unit))
    return found


def wall_quantities(wall: Thickness) -> tuple[Quantity, ...]:
    """How thick a wall is: mean, standard deviation, least and largest.

    Example:
        >>> from vesalius.metrics.thickness import Thickness
        >>> wall_quantities(Thickness("wall", 8.0, 1.0, 5.0, 11.0, 400))[3].value
        11.0
    """
    concept = Code(_OURS, "WALL_THICKNESS", "Wall thickness")
    values = {_MEAN: wall.mean_mm, _SD: wall.sd_mm, _LEAST: wall.minimum_mm, _MOST: wall.maximum_mm}
    return tuple(Quantity(concept, value, "mm", how) for how, value in values.items())


def thickness_quantities(mean_mm: float, largest_mm: float) -> tuple[Quantity, ...]:
    """How thick a structure is, by the balls that fit into it.

    Example:
        >>> [one.derivation.meaning for one in thickness_quantities(3.0, 5.0)]
        ['Mean', 'Maximum']
    """
    concept = Code(_OURS, "LOCAL_THICKNESS", "Local thickness")
    return Quantity(concept, mean_mm, "mm", _MEAN), Quantity(concept, largest_mm, "mm", _MOST)


def volume_quantity(volume: PartialVolume, how: Literal["soft edge", "expected"], *, level: float = 0.95) -> Quantity:
    """A volume that counts parts of voxels, with its interval.

    Args:
        volume: What was found.
        how: By the greys of the border, or by probabilities.
        level: Of its interval.

    Example:
        >>> from vesalius.metrics.partial_volume import PartialVolume
        >>> found = volume_quantity(PartialVolume(4.2, 4.0, 4.5), "soft edge")
        >>> found.method.value, found.high
        ('SOFT_EDGE', 4.5)
    """
    low, high = volume.low_ml, volume.high_ml
    return Quantity(_VOLUME, volume.volume_ml, "cm3", method=_METHODS[how], low=low, high=high, level=level)


def surface_quantities(
    volume_ml: float, area_mm2: float, how: Literal["smooth", "subvoxel"]
) -> tuple[Quantity, Quantity]:
    """Volume and area of a surface that was drawn around a structure.

    Args:
        volume_ml: Within it.
        area_mm2: Of it.
        how: Smoothed from the voxels, or laid through probabilities at fractions of voxels.

    Example:
        >>> [one.unit for one in surface_quantities(4.2, 1250.0, "smooth")]
        ['cm3', 'mm2']
    """
    area = Quantity(Code("IBSI", "C0JK", "Surface Area of Mesh"), area_mm2, "mm2", method=_METHODS[how])
    return Quantity(_VOLUME, volume_ml, "cm3", method=_METHODS[how]), area


def promised_quantity(size: Size, low: float, high: float, level: float) -> Quantity | None:
    """A volume (area) with the interval that a segmenter's calibration promises; ``None`` where neither is known.

    Example:
        >>> promised_quantity(Size("liver", volume_ml=1500.0), 1400.0, 1600.0, 0.9).low
        1400.0
    """
    value, concept, unit = (size.volume_ml, _VOLUME, "cm3") if size.area_mm2 is None else (size.area_mm2, _AREA, "mm2")
    if value is None:
        return None
    return Quantity(concept, value, unit, method=_CONFORMAL, low=low, high=high, level=level)


def branch_sizes(name: str, branches: Sequence[Branch], *, code: Code | None = None) -> tuple[Size, ...]:
    """Branches of a tube, each as a structure of its own: length with the centre line, diameters, tortuosity.

    Args:
        name: Of the tube.
        branches: As `vesalius.metrics.branches.centre_lines` gives them.
        code: What the tube is.

    Example:
        >>> import numpy as np
        >>> from vesalius.metrics.branches import Branch
        >>> line = np.array([[0.0, 0, 0], [0, 0, 10]])
        >>> (size,) = branch_sizes("aorta", [Branch(0, 1, line, np.array([20.0, 24]), (True, True))])
        >>> size.name, [(one.concept.meaning, one.value) for one in size.others[:2]]
        ('aorta: branch 1', [('Length', 10.0), ('Diameter', 22.0)])
    """
    found, diameter = [], Code("SCT", "81827009", "Diameter")
    for number, branch in enumerate(branches, start=1):
        points = tuple((float(x), float(y), float(z)) for x, y, z in branch.points_mm) if _in_space(branch) else ()
        others = [
            Quantity(Code("SCT", "410668003", "Length"), branch.length_mm, "mm", points_mm=points),
            Quantity(diameter, branch.mean_diameter_mm, "mm", _MEAN),
            Quantity(diameter, float(branch.diameters_mm.min()), "mm", _LEAST),
            Quantity(diameter, float(branch.diameters_mm.max()), "mm", _MOST),
        ]
        if branch.tortuosity is not None:
            others.append(
                Quantity(Code(_OURS, "TORTUOSITY", "Length divided by distance of ends"), branch.tortuosity, "1")
            )
        found.append(Size(f"{name}: branch {number}", code=code, others=tuple(others)))
    return tuple(found)


def distance_size(clearance: Clearance) -> Size:
    """The smallest distance between two structures, with its ends.

    Example:
        >>> from vesalius.metrics.clearance import Clearance
        >>> found = distance_size(Clearance("tumour", "vein", 3.0, (0.0, 0.0, 0.0), (0.0, 0.0, 3.0)))
        >>> found.name, found.others[0].points_mm[1]
        ('tumour to vein', (0.0, 0.0, 3.0))
    """
    ends = [(end[0], end[1], end[2]) for end in (clearance.point_mm, clearance.other_point_mm) if len(end) == 3]
    far = Quantity(
        Code("DCM", "121206", "Distance"), clearance.distance_mm, "mm", derivation=_LEAST, points_mm=tuple(ends)
    )
    return Size(f"{clearance.one} to {clearance.other}", others=(far,))


def _in_space(branch: Branch) -> bool:
    return bool(branch.points_mm.shape[1] == 3)
