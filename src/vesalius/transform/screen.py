"""How slices lie on a screen."""

from __future__ import annotations

from typing import Literal

Direction = Literal["axial", "coronal", "sagittal"]
"""Of a slice: from head to feet, from front to back, from side to side."""

Convention = Literal["radiological", "neurological"]
"""On which side the patient's right is: on the left of the picture, as if seen from the feet and the front, or on the
right."""

AXIS: dict[Direction, int] = {"axial": 2, "coronal": 1, "sagittal": 0}
"""The axis in LPS that a slice lies across."""

CODES: dict[Convention, dict[Direction, str]] = {
    "radiological": {"axial": "LPS", "coronal": "LIP", "sagittal": "PIR"},
    "neurological": {"axial": "RPI", "coronal": "RIA", "sagittal": "PIR"},
}
"""Where the axes of a picture point: to the right, down, and away from who looks.

Source: DICOM PS3.3 C.7.6.1.1.1 (letters); the two conventions as in nibabel's "Radiological and neurological".
"""
