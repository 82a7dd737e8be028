"""From where one looks: views named after the patient's sides, turned by degrees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, unknown_name

View = Literal["anterior", "posterior", "left", "right", "superior", "inferior"]
"""The patient's side from which one looks."""

VIEWS = {
    "anterior": (0.0, 0.0),
    "posterior": (180.0, 0.0),
    "left": (90.0, 0.0),
    "right": (270.0, 0.0),
    "superior": (180.0, 90.0),
    "inferior": (0.0, -90.0),
}
"""Azimuth and elevation of each view, degrees. Seen from above or below, the front is at the top of the picture."""

_CLOSEST = 1000.0
_LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))  # where each axis of LPS points, and where it comes from
_SHARE = math.sin(math.radians(15))  # an axis that is less than this in a direction is not told


@dataclass(frozen=True)
class Camera:
    """Where the viewer stands, and how the picture is projected.

    Args:
        azimuth_deg: Around the patient's long axis: 0 in front of the patient, 90 at the patient's left.
        elevation_deg: -90 (below the feet) to 90 (above the head).
        perspective: What is nearer looks larger. Left out, the picture is orthographic and lengths in it are true.
        zoom: 1 fits the figure into the picture; 2 is twice as large. 0.001 to 1000.

    Raises:
        DataError: A number is not finite or out of range.

    Example:
        >>> Camera().right.tolist()  # the patient's left is at the viewer's right
        [1.0, 0.0, 0.0]
        >>> Camera.of("left", azimuth_deg=-30).azimuth_deg
        60.0
    """

    azimuth_deg: float = 0.0
    elevation_deg: float = 0.0
    perspective: bool = False
    zoom: float = 1.0

    def __post_init__(self) -> None:
        if not math.isfinite(self.azimuth_deg):
            raise DataError(f"the azimuth must be a number of degrees, not {self.azimuth_deg}")
        if not -90 <= self.elevation_deg <= 90:
            raise DataError(f"the elevation must be -90 to 90 degrees, not {self.elevation_deg:g}")
        if not 1 / _CLOSEST <= self.zoom <= _CLOSEST:
            raise DataError(f"the zoom must be {1 / _CLOSEST:g} to {_CLOSEST:g}, not {self.zoom:g}")

    @classmethod
    def of(
        cls,
        view: View = "anterior",
        *,
        azimuth_deg: float = 0.0,
        elevation_deg: float = 0.0,
        perspective: bool = False,
        zoom: float = 1.0,
    ) -> Camera:
        """The camera of a view, turned from there.

        Args:
            view: The patient's side from which one looks.
            azimuth_deg: Further around, towards the patient's left when one stands in front.
            elevation_deg: Further up.
            perspective: As for the class.
            zoom: As for the class.

        Raises:
            DataError: There is no such view, or as for the class.
        """
        if view not in VIEWS:
            raise DataError(unknown_name("view", view, VIEWS))
        azimuth, elevation = VIEWS[view]
        return cls(azimuth + azimuth_deg, elevation + elevation_deg, perspective, zoom)

    @property
    def right(self) -> NDArray[np.float64]:
        """Unit vector (LPS) that points to the right in the picture."""
        right: NDArray[np.float64] = self.axes[0]
        return right

    @property
    def up(self) -> NDArray[np.float64]:
        """Unit vector (LPS) that points up in the picture."""
        up: NDArray[np.float64] = self.axes[1]
        return up

    @property
    def towards(self) -> NDArray[np.float64]:
        """Unit vector (LPS) from the figure to the viewer."""
        towards: NDArray[np.float64] = self.axes[2]
        return towards

    @property
    def axes(self) -> NDArray[np.float64]:
        """``(3, 3)``: the directions right, up and towards the viewer."""
        # Sines of whole quarters are not exactly 0 and 1 in floating point; the views are.
        sa, ca = _sin_cos(self.azimuth_deg)
        se, ce = _sin_cos(self.elevation_deg)
        axes: NDArray[np.float64] = np.array([[ca, sa, 0.0], [-sa * se, ca * se, ce], [sa * ce, -ca * ce, se]])
        axes += 0.0  # without the signs of zeros
        return axes


def letters(direction: NDArray[np.float64]) -> str:
    """Where a direction points: letters of the patient's sides, the nearest first.

    Args:
        direction: ``(3,)``, LPS, of length 1.

    Returns:
        One to three of R, L, A, P, S, I. A side that is more than 75° away is not told.

    Example:
        >>> letters(np.array([1.0, 0.0, 0.0])), letters(np.array([-0.5, -0.866, 0.0]))
        ('L', 'AR')
    """
    order = sorted(range(3), key=lambda axis: -abs(float(direction[axis])))
    return "".join(_LETTERS[axis][int(direction[axis] < 0)] for axis in order if abs(direction[axis]) > _SHARE)


def _sin_cos(angle_deg: float) -> tuple[float, float]:
    quarters, rest = divmod(angle_deg, 90.0)
    s, c = math.sin(math.radians(rest)), math.cos(math.radians(rest))
    for _ in range(int(quarters) % 4):
        s, c = c, -s
    return s, c
