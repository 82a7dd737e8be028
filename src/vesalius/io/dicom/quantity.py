"""One measured number of a structured report (TID 300): how it was measured, its interval, the points between which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code as Concept

from vesalius.image import Code, Quantity

if TYPE_CHECKING:
    from highdicom.sr import Measurement

_DERIVATION = Code("DCM", "121401", "Derivation")
_METHOD = Code("SCT", "370129005", "Measurement Method")
_ABOVE = Code("SCT", "371886008", "+, range of upper measurement uncertainty")
_BELOW = Code("SCT", "371885007", "-, range of lower measurement uncertainty")
_AROUND = Code("SCT", "371884006", "+/-, range of measurement uncertainty")
_LEVEL = Code("99VESALIUS", "INTERVAL_LEVEL", "Level of the interval of measurement uncertainty")
_MOST_POINTS = 5000  # a value of 32-bit floats has at most 65,534 bytes

_UNITS = {
    "cm3": "cubic centimeter",
    "mm2": "square millimeter",
    "mm": "mm",
    "/mm": "per millimeter",
    "[hnsf'U]": "Hounsfield unit",
    "g/ml{SUVbw}": "Standardized Uptake Value body weight",
    "Bq/ml": "Becquerels/milliliter",
    "{counts}": "counts",
    "{counts}/s": "counts per second",
    "g": "gram",
    "%": "Percent",
    "1": "no units",
}


def concept(code: Code) -> Concept:
    """A code as pydicom has it.

    Example:
        >>> concept(Code("SCT", "118565006", "Volume")).scheme_designator
        'SCT'
    """
    return Concept(code.value, code.scheme, code.meaning)


def code_of(sequence: Any) -> Code | None:
    """The code in a sequence of one item; ``None`` where there is none."""
    if not sequence:
        return None
    item = sequence[0]
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue")
    if not value:
        return None
    return Code(str(item.get("CodingSchemeDesignator") or ""), str(value), str(item.get("CodeMeaning") or ""))


def measurement(quantity: Quantity, *, frame_of_reference: str | None) -> Measurement:
    """A quantity as a measurement of a report.

    The ends of its interval are written as TID 310 has them: how far they lie above and below the value, in its unit.
    The level of the interval has no code, and ours is added. Points become a polyline in space, of at most 5000 points.

    Args:
        quantity: What was measured.
        frame_of_reference: UID of the space that its points lie in; without one they are left out.

    Example:
        >>> volume = Quantity(Code("SCT", "118565006", "Volume"), 5.0, "cm3", low=4.5, high=6.0)
        >>> made = measurement(volume, frame_of_reference=None)
        >>> quantity_of(made[0]) == volume
        True

    Source: DICOM PS3.16 TID 300 (Measurement), 310 (Measurement Properties), 320 and CID 225.
    """
    import highdicom.sr as hd

    made = hd.Measurement(
        name=concept(quantity.concept),
        value=_rounded(quantity.value),
        unit=_unit(quantity.unit),
        derivation=concept(quantity.derivation) if quantity.derivation else None,
        method=concept(quantity.method) if quantity.method else None,
        referenced_coordinates=_line(quantity, frame_of_reference),
    )
    if quantity.low is not None and quantity.high is not None:
        properties = [(_ABOVE, quantity.high - quantity.value, quantity.unit)]
        properties.append((_BELOW, quantity.value - quantity.low, quantity.unit))
        if quantity.level is not None:
            properties.append((_LEVEL, 100 * quantity.level, "%"))
        made[0].ContentSequence = [
            *(made[0].get("ContentSequence") or ()),
            *(
                hd.NumContentItem(
                    concept(name),
                    _rounded(value),
                    _unit(unit),
                    relationship_type=hd.RelationshipTypeValues.HAS_PROPERTIES,
                )
                for name, value, unit in properties
            ),
        ]
    return made


def quantity_of(item: Dataset) -> Quantity | None:
    """The quantity that an item of a report holds, of any maker.

    Args:
        item: Of value type NUM.

    Returns:
        ``None`` where it has no name, or says that nothing was measured.

    Example:
        >>> quantity_of(Dataset()) is None
        True
    """
    name, value = code_of(item.get("ConceptNameCodeSequence")), _value(item)
    if name is None or value is None:
        return None
    codes: dict[Code | None, Code | None] = {}
    ends: dict[Code | None, float] = {}
    points: tuple[tuple[float, float, float], ...] = ()
    for child in item.get("ContentSequence") or ():
        what = code_of(child.get("ConceptNameCodeSequence"))
        kind = child.get("ValueType")
        if kind == "CODE":
            codes[_known(what)] = code_of(child.get("ConceptCodeSequence"))
        elif kind == "NUM" and (end := _value(child)) is not None and _unit_of(child) in (_unit_of(item), "1", "%"):
            ends[_known(what)] = end
        elif kind == "SCOORD3D" and child.get("GraphicType") == "POLYLINE":
            flat = [float(x) for x in child.GraphicData]
            points = tuple(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
    above, below = ends.get(_ABOVE, ends.get(_AROUND)), ends.get(_BELOW, ends.get(_AROUND))
    known = above is not None and below is not None
    level = ends.get(_LEVEL)
    return Quantity(
        name,
        value,
        _unit_of(item),
        codes.get(_DERIVATION),
        codes.get(_METHOD),
        value - below if known and below is not None else None,
        value + above if known and above is not None else None,
        level / 100 if known and level is not None else None,
        points,
    )


def _known(code: Code | None) -> Code | None:
    """The same code with our meaning, whatever words the report has for it, or the code of SNOMED RT."""
    if code is None:
        return None
    ours = (_DERIVATION, _METHOD, _ABOVE, _BELOW, _AROUND, _LEVEL)
    return next((one for one in ours if concept(one) == concept(code)), code)


def _line(quantity: Quantity, frame_of_reference: str | None) -> list[Any] | None:
    import numpy as np
    from highdicom.sr import CoordinatesForMeasurement3D

    if frame_of_reference is None or len(quantity.points_mm) < 2:
        return None
    points = np.asarray(quantity.points_mm, np.float32)
    if len(points) > _MOST_POINTS:
        points = points[np.linspace(0, len(points) - 1, _MOST_POINTS).round().astype(int)]
    return [CoordinatesForMeasurement3D("POLYLINE", points, frame_of_reference)]


def _value(item: Dataset) -> float | None:
    values = item.get("MeasuredValueSequence")
    if not values:
        return None  # not measured, which a report may say
    exact = values[0].get("FloatingPointValue")
    return float(values[0].NumericValue if exact is None else exact)


def _unit_of(item: Dataset) -> str:
    values = item.get("MeasuredValueSequence")
    unit = code_of(values[0].get("MeasurementUnitsCodeSequence")) if values else None
    return unit.value if unit else ""


def _unit(unit: str) -> Concept:
    return Concept(unit, "UCUM", _UNITS.get(unit, unit))


def _rounded(value: float) -> float:
    return float(f"{value:.12g}")
