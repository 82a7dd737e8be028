"""What was measured of a structure."""

from __future__ import annotations

from dataclasses import dataclass

from vesalius.image.labels import Code


@dataclass(frozen=True)
class Quantity:
    """A measured number of any kind, as a report holds it.

    Args:
        concept: What was measured.
        value: In its unit.
        unit: By UCUM, for example ``"mm"``.
        derivation: How it was derived, for example the mean; ``None`` where it is simply so.
        method: How it was measured, where there are several ways; ``None`` where it is the usual one.
        low: Lower end of its interval, in its unit.
        high: Upper end; known if ``low`` is.
        level: How sure the interval is to hold the true value, 0 … 1.
        points_mm: The ends of a distance, or the points of a line that was measured: LPS.
    """

    concept: Code
    value: float
    unit: str
    derivation: Code | None = None
    method: Code | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    points_mm: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True)
class Size:
    """How large a structure is, and how bright; `vesalius.metrics.size.measure` and `vesalius.io.dicom.report` make it.

    A number that is not known is ``None``: the axes of a structure without voxels, the brightness without an image, mm
    where a picture has no scale.

    Args:
        name: Of the label or region.
        value: Of the label; ``None`` for a region.
        voxels: How many it has.
        volume_ml: In 3D.
        area_mm2: In 2D.
        long_axis_mm: The longest diameter within a slice.
        short_axis_mm: The longest chord at right angles to it, in the same slice.
        circumference_mm: Of an ellipse around it, in 2D; `vesalius.metrics.ellipse.measure_circumferences` fills it in.
        mean: Of the image's values.
        sd: Their standard deviation: that of these voxels, not an estimate from a sample.
        minimum: The least value.
        maximum: The largest value.
        unit: Of these four, for example ``"HU"`` or ``"g/ml"`` (SUV); empty when they have none.
        modality: Of the image, in DICOM's words; empty without one.
        code: What the structure is.
        others: What else a report says of it.
    """

    name: str
    value: int | None = None
    voxels: int | None = None
    volume_ml: float | None = None
    area_mm2: float | None = None
    long_axis_mm: float | None = None
    short_axis_mm: float | None = None
    circumference_mm: float | None = None
    mean: float | None = None
    sd: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    unit: str = ""
    modality: str = ""
    code: Code | None = None
    others: tuple[Quantity, ...] = ()
