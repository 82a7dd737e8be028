"""Measures as coded quantities: each statistic has a code of its own, and a unit that goes with it."""

import numpy as np
import pytest
from pydicom.sr._concepts_dict import concepts

from vesalius.image import Code, Grid, LabelMap, Labels, Meta, Size, Volume
from vesalius.metrics.branches import Branch
from vesalius.metrics.clearance import Clearance
from vesalius.metrics.shape import shape_of
from vesalius.metrics.thickness import Thickness
from vesalius.metrics.uptake import Uptake, measure_uptake
from vesalius.report.quantities import (
    branch_sizes,
    distance_size,
    promised_quantity,
    surface_quantities,
    uptake_quantities,
    wall_quantities,
)
from vesalius.transform.partition import COUINAUD_CODES


def uptake(threshold=None):
    grid = Grid.from_spacing((6, 6, 6), (2.0, 2.0, 2.0))
    values = np.random.default_rng(0).gamma(2, 3, grid.shape)
    labels = LabelMap(np.ones(grid.shape, int), grid, Labels.of({"lesion": 1}))
    return measure_uptake(labels, Volume(values[None], grid, Meta("CT", "HU")), **threshold or {})[0]


@pytest.mark.parametrize(
    ("modality", "unit", "one", "square"),
    [("CT", "HU", "[hnsf'U]", "([hnsf'U])2"), ("PT", "g/ml", "g/ml{SUVbw}", "(g/ml{SUVbw})2"), ("MR", "", "1", "1")],
)
def test_every_statistic_has_a_code(modality, unit, one, square):
    found = uptake()
    told = uptake_quantities(found, Size("lesion", modality=modality, unit=unit))
    rows = {quantity.derivation: quantity for quantity in told if quantity.derivation}
    row = found.row()
    names = set(row) - {"active_volume_ml", "active_mean", "glycolysis", "threshold"}
    assert len(rows) == len(names)
    assert {quantity.value for quantity in rows.values()} == {row[name] for name in names}
    units = {code.value: quantity.unit for code, quantity in rows.items()}
    assert (units["126031"], units["126051"], units["C1711260"]) == (one, "1", square)
    assert all(len(quantity.unit) <= 16 for quantity in told)  # what a code value holds
    assert all(len(code.value) <= 16 and len(code.meaning) <= 64 for code in rows)


def test_codes_are_called_as_dicom_calls_them():
    """Against pydicom's tables of PS3.16; the IBSI's statistics of intensity and our own codes are not in them."""
    grid = Grid.from_spacing((4, 5, 6), (1.0, 1.0, 2.0))
    mask = np.random.default_rng(1).random(grid.shape) < 0.6
    shape = shape_of(mask, grid, np.arange(mask.size, dtype=float).reshape(mask.shape))
    told = [quantity.concept for quantity in (*shape.quantities(), *surface_quantities(1.0, 2.0, "smooth"))]
    told += [one.derivation for one in uptake_quantities(uptake(), Size("lesion", modality="CT", unit="HU"))]
    told += [one.derivation for one in wall_quantities(Thickness("wall", 1, 1, 1, 1, 9))]
    told += [one.concept for one in distance_size(Clearance("a", "b", 2.0, (0.0,) * 3, (2.0,) * 3)).others]
    told += COUINAUD_CODES.values()
    known = 0
    for code in told:
        names = [of_cid[code.value][0] for of_cid in concepts.get(code.scheme, {}).values() if code.value in of_cid]
        assert not names or code.meaning in names, (code, names)
        known += bool(names)
    assert known >= 45


def test_what_is_active():
    ct, pet = (Size("lesion", modality=one, unit=unit) for one, unit in (("CT", "HU"), ("PT", "g/ml")))
    codes = {quantity.concept.value for quantity in uptake_quantities(uptake(), ct)}
    assert codes == {"112031"}  # all of it is active: nothing new
    told = uptake_quantities(uptake({"threshold": 4.0}), ct)
    assert [one.method.value for one in told if one.method] == ["ACTIVE", "ACTIVE"]
    assert [one.value for one in told if one.concept.value == "THRESHOLD"] == [4.0]
    assert {one.concept.value for one in uptake_quantities(uptake(), pet)} >= {"126032", "126033"}
    assert uptake_quantities(Uptake("nothing"), pet) == ()


def test_flat_structures_have_no_points_in_space():
    line = np.array([[0.0, 0], [0, 4]])
    (size,) = branch_sizes(
        "vessel", [Branch(0, 0, line, np.array([2.0, 3]), (False, False))], code=Code("SCT", "1", "v")
    )
    assert [one.concept.meaning for one in size.others] == ["Length", *["Diameter"] * 3]  # a ring has no tortuosity
    assert (size.others[0].points_mm, size.code.value) == ((), "1")
    assert distance_size(Clearance("a", "b", 2.0, (0.0, 0.0), (2.0, 0.0))).others[0].points_mm == ()


def test_what_is_promised_of_areas_and_of_pictures():
    area = promised_quantity(Size("polyp", area_mm2=12.0), 10.0, 15.0, 0.9)
    assert (area.concept.meaning, area.unit, area.low, area.high) == ("Area", "mm2", 10, 15)
    assert promised_quantity(Size("polyp", voxels=12), 10, 15, 0.9) is None
