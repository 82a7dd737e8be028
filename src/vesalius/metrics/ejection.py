"""How much of its blood a ventricle throws out: stroke volume and ejection fraction from two label maps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vesalius.errors import DataError, GeometryError
from vesalius.image import LabelMap


@dataclass(frozen=True)
class Ejection:
    """A ventricle at both ends of its beat.

    Args:
        end_diastolic_ml: Volume when it is fullest.
        end_systolic_ml: Volume when it is emptiest.
    """

    end_diastolic_ml: float
    end_systolic_ml: float

    @property
    def stroke_volume_ml(self) -> float:
        """What is thrown out with a beat."""
        return self.end_diastolic_ml - self.end_systolic_ml

    @property
    def ejection_fraction_percent(self) -> float:
        """The share of the full ventricle that is thrown out, percent."""
        return 100 * self.stroke_volume_ml / self.end_diastolic_ml


def ejection(end_diastole: LabelMap, end_systole: LabelMap, *, cavity: str) -> Ejection:
    """Measure a ventricle at end-diastole and end-systole.

    Volumes are voxels times their size, so that all slices of the ventricle must be drawn at both times: what one map
    leaves out at the base counts as blood thrown out. The maps may lie on different grids.

    Args:
        end_diastole: 3D, when the ventricle is fullest.
        end_systole: 3D, of the same heart when it is emptiest.
        cavity: Name of the label or region that is the blood in the ventricle, without its wall.

    Returns:
        Both volumes, from which stroke volume and ejection fraction follow.

    Raises:
        GeometryError: A map is not 3D.
        DataError: A map does not know the cavity or has no voxel of it, or the ventricle is larger at end-systole.

    Example:
        >>> import numpy as np
        >>> from vesalius.image import Grid, Labels
        >>> grid, labels = Grid.from_spacing((10, 10, 8), (2.0, 2.0, 10.0)), Labels.of({"left ventricle": 1})
        >>> full, empty = np.zeros((2, *grid.shape), np.uint8)
        >>> full[1:9, 1:9, 1:6], empty[3:7, 3:7, 1:6] = 1, 1
        >>> found = ejection(LabelMap(full, grid, labels), LabelMap(empty, grid, labels), cavity="left ventricle")
        >>> [round(value, 6) for value in (found.end_diastolic_ml, found.stroke_volume_ml)]
        [12.8, 9.6]
        >>> round(found.ejection_fraction_percent, 6)
        75.0

    Source: Schulz-Menger et al., Journal of Cardiovascular Magnetic Resonance 22:19 (2020),
    doi:10.1186/s12968-020-00610-6 (volumes by summing slices; EF = (EDV - ESV) / EDV).
    """
    full = _volume_ml(end_diastole, cavity, "end-diastole")
    least = _volume_ml(end_systole, cavity, "end-systole")
    return ejection_of(full, least)


def ejection_of(end_diastolic_ml: float, end_systolic_ml: float) -> Ejection:
    """The same from volumes.

    Args:
        end_diastolic_ml: More than 0.
        end_systolic_ml: 0 to the other.

    Returns:
        Both, checked.

    Raises:
        DataError: A volume is not finite or negative, the first is 0, or the second is larger.

    Example:
        >>> ejection_of(120.0, 48.0).ejection_fraction_percent
        60.0
    """
    if not (math.isfinite(end_diastolic_ml) and math.isfinite(end_systolic_ml) and end_systolic_ml >= 0):
        raise DataError(f"volumes must be finite and not negative, not {end_diastolic_ml} and {end_systolic_ml} ml")
    if not end_diastolic_ml > 0:
        raise DataError("the ventricle has no volume at end-diastole: there is nothing to be a fraction of")
    if end_systolic_ml > end_diastolic_ml:
        raise DataError(
            f"the ventricle is larger at end-systole ({end_systolic_ml:.4g} ml) than at end-diastole "
            f"({end_diastolic_ml:.4g} ml): were the two exchanged?"
        )
    return Ejection(float(end_diastolic_ml), float(end_systolic_ml))


def _volume_ml(labels: LabelMap, cavity: str, when: str) -> float:
    if labels.grid.ndim != 3:
        raise GeometryError(f"a ventricle's volume needs a 3D label map; that of {when} is {labels.grid.ndim}D")
    voxels = int(labels.binary(cavity).sum())
    if not voxels:
        raise DataError(f"{cavity} has no voxel at {when}: its volume is not known")
    return voxels * labels.grid.voxel_volume_mm3 / 1000
