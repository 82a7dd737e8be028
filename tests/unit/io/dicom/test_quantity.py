"""Measured numbers of reports: the round trip, and what other makers write of uncertainty."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from vesalius.image import Code, Quantity
from vesalius.io.dicom.quantity import measurement, quantity_of

VOLUME = Code("SCT", "118565006", "Volume")
SPACE = "1.2.826.0.1.3680043.8.498.1"


def test_the_round_trip():
    method = Code("99VESALIUS", "SOFT_EDGE", "Partial volume")
    line = tuple((float(x), 0.5, -3.25) for x in range(4))
    mean = Code("SCT", "373098007", "Mean")
    for quantity in (
        Quantity(VOLUME, 5.0, "cm3", mean, method, 4.5, 6.25, 0.95, line),
        Quantity(VOLUME, -5.0, "[hnsf'U]", low=-7.0, high=-5.0),
        Quantity(VOLUME, 1 / 3, "mm"),
    ):
        (item,) = measurement(quantity, frame_of_reference=SPACE)
        found = quantity_of(item)
        assert found.value == pytest.approx(quantity.value, rel=1e-11)
        assert (found.low, found.high, found.level) == (quantity.low, quantity.high, quantity.level)
        assert (found.method, found.derivation, found.points_mm) == (
            quantity.method, quantity.derivation, quantity.points_mm
        )  # fmt: skip


def test_points_need_a_space_and_room():
    long = tuple((float(x), 0.0, 0.0) for x in range(12_001))
    bare = Quantity(Code("SCT", "410668003", "Length"), 12_000.0, "mm", points_mm=long)
    assert quantity_of(measurement(bare, frame_of_reference=None)[0]).points_mm == ()
    kept = quantity_of(measurement(bare, frame_of_reference=SPACE)[0]).points_mm
    assert (len(kept), kept[0], kept[-1]) == (5000, long[0], long[-1])
    assert np.all(np.diff([x for x, _, _ in kept]) <= 3)
    one = Quantity(VOLUME, 1.0, "cm3", points_mm=long[:1])
    assert "ContentSequence" not in measurement(one, frame_of_reference=SPACE)[0]


def _code(scheme, value):
    made = Dataset()
    made.CodingSchemeDesignator, made.CodeValue, made.CodeMeaning = scheme, value, "said otherwise"
    return made


def _number(code, value, unit):
    made, measured = Dataset(), Dataset()
    made.ValueType, made.ConceptNameCodeSequence = "NUM", [code]
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, [_code("UCUM", unit)]
    made.MeasuredValueSequence = [measured]
    return made


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ([("SCT", "371886008", "2", "mm"), ("SCT", "371885007", "1", "mm")], (9, 12)),
        ([("SCT", "371884006", "0.5", "1")], (9.5, 10.5)),  # highdicom writes no unit
        ([("SRT", "R-00363", "0.5", "mm")], (9.5, 10.5)),  # SNOMED RT
        ([("SCT", "371886008", "2", "mm")], (None, None)),  # how far below is not said
        ([("SCT", "371884006", "0.5", "cm")], (None, None)),  # of another unit than the value
        ([("DCM", "121405", "8", "mm")], (None, None)),  # something else
    ],
)
def test_what_others_say_of_uncertainty(ends, expected):
    item = _number(_code("SCT", "410668003"), "10", "mm")
    item.ContentSequence = [_number(_code(scheme, code), value, unit) for scheme, code, value, unit in ends]
    found = quantity_of(item)
    assert (found.value, found.low, found.high, found.level) == (10, *expected, None)


def test_what_was_not_measured():
    item = _number(_code("SCT", "410668003"), "10", "mm")
    item.MeasuredValueSequence = []
    assert quantity_of(item) is None
