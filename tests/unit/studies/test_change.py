"""Before and after: distances known on paper, the right side of the patient, and what cannot be told is not told."""

import numpy as np
import pytest
from bodies import ball

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.register import Alignment
from vesalius.studies.change import Scan, compare, find_place, put
from vesalius.studies.change.measuring import distances_mm

WIDE = Grid.from_spacing((90, 90, 90), (1.0, 1.0, 1.0), origin_mm=(-45.0, -45.0, -45.0))
NAMES = Labels.of({"cyst": 1, "bone": 2}, regions={"both": (1, 2)})
STILL = Alignment(np.eye(4))


def points(grid: Grid) -> np.ndarray:
    return grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1))


def scan(grid: Grid, *balls, labels: Labels = NAMES, image: bool = False) -> Scan:
    """Balls of a radius around a centre, mm; each of a value."""
    array, at = np.zeros(grid.shape, np.uint8), points(grid)
    for radius, centre, value in balls:
        array[np.linalg.norm(at - centre, axis=-1) <= radius] = value
    drawn = Volume((100.0 * array)[None], grid) if image else None
    return Scan(LabelMap(array, grid, labels), drawn)


FINE = Grid.from_spacing((60, 60, 60), (0.6, 0.6, 0.6), origin_mm=(-18.0, -18.0, -18.0))
CENTRE = (0.1, 0.25, -0.2)


def test_distances_between_spheres_are_those_of_the_closed_form():
    one, other = ball(10.0, steps=120), ball(12.0, steps=120)
    np.testing.assert_allclose(distances_mm(one, other, WIDE, WIDE, STILL), 2.0, atol=0.01)
    np.testing.assert_allclose(distances_mm(other, one, WIDE, WIDE, STILL), -2.0, atol=0.01)
    shifted = ball(10.0, centre_mm=(3.0, 0.0, 0.0), steps=120)
    expected = np.linalg.norm(shifted.vertices, axis=1) - 10.0
    np.testing.assert_allclose(distances_mm(one, shifted, WIDE, WIDE, STILL), expected, atol=0.01)


def test_a_sphere_of_voxels_that_grew_by_two_millimetres():
    small, large = scan(FINE, (10, CENTRE, 1)), scan(FINE, (12, CENTRE, 1))
    change = compare(small, large, STILL)
    (cyst,), (shown,) = change.structures, change.distances
    assert cyst.moved.mean_mm == pytest.approx(2.0, abs=0.006)  # a hundredth of a voxel
    off = np.abs(shown.values - 2.0)
    assert np.quantile(off, 0.95) < 0.3  # half a voxel: stairs
    assert off.max() < 0.6
    assert (cyst.verdict, cyst.fate, cyst.lost_ml, cyst.unseen_ml, cyst.beyond_ml) == ("grown", "kept", 0, 0, 0)
    ideal = 4 / 3 * np.pi * (12**3 - 10**3) / 1000
    assert cyst.difference_ml == pytest.approx(ideal, rel=0.01)
    assert cyst.gained_ml == pytest.approx(cyst.difference_ml)
    assert cyst.difference_percent == pytest.approx(100 * ((12 / 10) ** 3 - 1), rel=0.01)
    assert cyst.moved.beyond["1"] == (pytest.approx(1.0), 0.0)
    assert cyst.moved.beyond["5"] == (0.0, 0.0)
    assert cyst.moved.measured == pytest.approx(1.0)
    assert not cyst.moved.is_within_error
    assert change.doubts == ()
    assert np.array_equal(np.unique(change.maps["cyst"].array), [0, 1, 2])


def test_the_other_way_round_flips_the_sign():
    small, large = scan(FINE, (10, CENTRE, 1)), scan(FINE, (12, CENTRE, 1))
    there, back = (compare(*pair, STILL).structures[0] for pair in ((small, large), (large, small)))
    assert back.moved.mean_mm == pytest.approx(-there.moved.mean_mm, abs=0.01)
    assert back.difference_ml == -there.difference_ml
    assert (back.gained_ml, back.lost_ml) == (there.lost_ml, there.gained_ml)
    assert back.verdict == "shrunk"


@pytest.mark.parametrize(
    ("way", "side", "flips"),
    [
        ((1, 0, 0), "left", ()),
        ((-1, 0, 0), "right", (0, 2)),
        ((0, 1, 0), "back", (1,)),
        ((0, -1, 0), "front", ()),
        ((0, 0, 1), "head", (2,)),
    ],
)
def test_growth_to_one_side_is_found_there(way, side, flips):
    grid = FINE.flip(flips) if flips else FINE
    nose = (6.0, 6.0 * np.array(way), 1)
    change = compare(scan(grid, (8, (0, 0, 0), 1)), scan(grid, (8, (0, 0, 0), 1), nose), STILL)
    (cyst,) = change.structures
    assert cyst.moved.outwards.side == side
    assert cyst.moved.outwards.distance_mm == pytest.approx(4.0, abs=0.3)
    np.testing.assert_allclose(cyst.moved.outwards.at_mm, 12.0 * np.array(way), atol=1.5)
    assert cyst.moved.inwards.distance_mm > -0.3


def test_a_lobe_that_is_gone_is_measured_from_where_it_was():
    """The surface after lies but half a lobe's width from the one before; its tip was 8 mm away."""
    whole = scan(FINE, (7, (0, 0, 0), 1), (3, (-8, 0, 0), 1), (3, (-12, 0, 0), 1))
    rest = scan(FINE, (7, (0, 0, 0), 1))
    (gone,) = compare(whole, rest, STILL).structures
    assert gone.moved.inwards.distance_mm > -3.6
    assert gone.moved.receded.distance_mm == pytest.approx(-8.0, abs=0.3)
    assert gone.moved.receded.side == "right"
    (came,) = compare(rest, whole, STILL).structures
    assert came.moved.outwards.distance_mm == pytest.approx(-gone.moved.receded.distance_mm, abs=1e-9)
    assert came.moved.receded.distance_mm > -0.1


def test_the_second_surface_is_moved_and_not_resampled():
    """However the second scan lies, the distances stay what they were, to the last digits."""
    turn = np.eye(4)
    turn[:3, :3] = [[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1]]
    turn[:3, 3] = (5.0, -60.0, 11.0)
    first, second = scan(FINE, (8, CENTRE, 1)), scan(FINE, (9, (1.5, 0, 0), 1))
    plain = compare(first, second, STILL)
    away = Scan(LabelMap(second.labels.array, Grid(FINE.shape, turn @ FINE.affine), NAMES))
    moved = compare(first, away, Alignment(turn))
    np.testing.assert_allclose(moved.distances[0].values, plain.distances[0].values, atol=1e-9)
    np.testing.assert_allclose(moved.distances[0].surface.vertices, plain.distances[0].surface.vertices, atol=1e-9)
    assert moved.structures[0].gained_ml == pytest.approx(plain.structures[0].gained_ml, rel=0.02)


def test_what_is_in_one_scan_only_has_appeared_or_vanished():
    first, second = scan(FINE, (6, (-8, 0, 0), 1)), scan(FINE, (6, (8, 0, 0), 2))
    change = compare(first, second, STILL)
    cyst, bone = change.structures
    assert (cyst.fate, cyst.verdict, cyst.after_ml, cyst.moved) == ("vanished", "gone", 0.0, None)
    assert (bone.fate, bone.verdict, bone.before_ml, bone.difference_percent) == ("appeared", "new", 0.0, None)
    assert change.distances == ()
    assert cyst.lost_ml == cyst.before_ml
    assert bone.gained_ml == bone.after_ml


def test_a_region_is_compared_as_a_whole():
    first = scan(FINE, (8, CENTRE, 1))
    second = scan(FINE, (8, CENTRE, 1), (4, CENTRE, 2))
    change = compare(first, second, STILL, names=["both"])
    (both,) = change.structures
    assert both.verdict == "unchanged"
    assert both.moved.rms_mm < 1e-6
    assert any("moved by more than the voxels' size explains" in doubt for doubt in change.doubts)


def test_what_an_image_cuts_off_is_not_measured():
    """The first scan ends in the middle of a ball, the second one shows the whole: its end is no border."""
    short = Grid.from_spacing((60, 60, 30), (0.6, 0.6, 0.6), origin_mm=(-18.0, -18.0, -18.0))
    change = compare(scan(short, (9, (0, 0, 0), 1)), scan(FINE, (10, (0, 0, 0), 1)), STILL)
    (cyst,), (shown,) = change.structures, change.distances
    heights = shown.surface.vertices[:, 2]
    assert np.isnan(shown.values[heights > 0.5]).all()
    assert np.isfinite(shown.values[heights < -1.5]).all()
    assert cyst.moved.mean_mm == pytest.approx(1.0, abs=0.03)
    assert 0.3 < cyst.moved.measured < 0.55
    assert cyst.beyond_ml == pytest.approx(cyst.after_ml / 2, rel=0.05)
    assert any("cut off by the end of a scan" in doubt for doubt in change.doubts)
    back = compare(scan(FINE, (10, (0, 0, 0), 1)), scan(short, (9, (0, 0, 0), 1)), STILL)
    assert back.structures[0].unseen_ml == pytest.approx(back.structures[0].before_ml / 2, rel=0.05)
    assert back.structures[0].moved.mean_mm == pytest.approx(-1.0, abs=0.03)
    assert 4 in back.maps["cyst"].counts()


def test_error_of_measurement_is_that_of_the_voxels():
    thick = Grid.from_spacing((60, 60, 8), (0.6, 0.6, 5.0), origin_mm=(-18.0, -18.0, -17.5))
    one = compare(scan(FINE, (10, CENTRE, 1)), scan(FINE, (10, CENTRE, 1)), STILL).structures[0].moved
    # On average over directions, a voxel of edge s is 1.5 s wide.
    assert one.error_mm == pytest.approx(1.96 * 1.5 * 0.6 * np.sqrt(2 / 12), rel=0.1)
    assert (one.beyond_error, one.is_within_error) == (0.0, True)
    change = compare(scan(FINE, (10, CENTRE, 1)), scan(thick, (10, CENTRE, 1)), STILL)
    assert change.structures[0].moved.error_mm > 2 * one.error_mm
    assert change.structures[0].moved.is_within_error
    assert any("differ in resolution" in doubt for doubt in change.doubts)
    assert any("second scan are 5 mm thick" in doubt for doubt in change.doubts)


def test_no_overlap_is_said_of_a_structure_and_refused_of_scans():
    change = compare(scan(FINE, (4, (-10, 0, 0), 1)), scan(FINE, (4, (10, 0, 0), 1)), STILL)
    assert any("does not overlap with itself" in doubt for doubt in change.doubts)
    far = Alignment([[1, 0, 0, 500], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    with pytest.raises(DataError, match="do not cover each other"):
        compare(scan(FINE, (4, CENTRE, 1)), scan(FINE, (4, CENTRE, 1)), far)


def test_structures_are_registered_where_there_are_no_images():
    """By what does not change, the growth is found where it is; by itself, half of it goes to the other side."""
    turn = np.eye(4)
    turn[:3, 3] = (7.0, -4.0, 3.0)
    steady = [(5, (-9, -9, 0), 2), (4, (9, -8, 6), 2), (4, (-6, 9, -8), 2)]
    first = scan(FINE, *steady, (5, (2, 4, 2), 1))
    grown = scan(FINE, *steady, (5, (2, 4, 2), 1), (5, (6, 4, 2), 1))
    second = Scan(LabelMap(grown.labels.array, Grid(FINE.shape, turn @ FINE.affine), NAMES))
    found = find_place(first, second, changing=["cyst"])
    corners = points(FINE)[::59, ::59, ::59].reshape(-1, 3)
    assert np.abs(found.to_moving(corners) - (corners + turn[:3, 3])).max() < 0.6
    assert any("by the structures themselves (bone)" in doubt for doubt in found.fitness.doubts)
    (cyst,) = compare(first, second, found, names=["cyst"]).structures
    assert cyst.moved.outwards.side == "left"
    assert cyst.moved.outwards.distance_mm == pytest.approx(4.0, abs=0.5)
    alone = find_place(first, second, changing=["cyst", "bone"])
    assert any("growth to one side looks like growth all around" in doubt for doubt in alone.fitness.doubts)


def test_scans_that_share_no_structure_cannot_be_registered_by_them():
    with pytest.raises(DataError, match="no structure in common"):
        find_place(scan(FINE, (4, CENTRE, 1)), scan(FINE, (4, CENTRE, 2)))


def test_an_alignment_that_would_hide_change_is_refused_or_told():
    first = scan(FINE, (6, CENTRE, 1))
    with pytest.raises(GeometryError, match="mirrors"):
        put(first, first, Alignment(np.diag([-1.0, 1, 1, 1])))
    with pytest.raises(GeometryError, match="bends"):
        put(first, first, Alignment(np.eye(4), Volume(np.zeros((3, *FINE.shape), np.float32), FINE)))
    scaled = put(first, first, Alignment(np.diag([1.1, 1.1, 1.1, 1])))
    assert any("scales volumes by a factor of 1.331" in doubt for doubt in scaled.doubts)


def test_what_cannot_be_compared_is_refused():
    first, empty = scan(FINE, (6, CENTRE, 1)), scan(FINE)
    with pytest.raises(DataError, match="nothing to compare"):
        compare(empty, empty, STILL)
    with pytest.raises(DataError, match="cyts"):
        compare(first, first, STILL, names=["cyts"])
    with pytest.raises(DataError, match="neither scan has a voxel"):
        compare(first, first, STILL, names=["bone"])
    with pytest.raises(DataError, match="found in images"):
        compare(first, first, STILL, growth=True)
    for wrong in ({"limits_mm": [0.0]}, {"range_mm": -1.0}):
        with pytest.raises(DataError, match="above 0"):
            compare(first, first, STILL, **wrong)
    with pytest.raises(GeometryError, match="3D"):
        Scan(LabelMap(np.zeros((4, 4), np.uint8), Grid.from_spacing((4, 4), (1.0, 1.0)), NAMES))
    with pytest.raises(GeometryError, match="different grids"):
        Scan(first.labels, Volume(np.zeros((1, 4, 4, 4)), Grid.from_spacing((4, 4, 4), (1.0, 1.0, 1.0))))
    with pytest.raises(DataError, match="one channel"):
        Scan(first.labels, Volume(np.zeros((2, *FINE.shape), np.float32), FINE))


def test_the_range_of_colours_is_what_was_asked_for_or_a_number_to_read():
    first, second = scan(FINE, (8, CENTRE, 1)), scan(FINE, (11, CENTRE, 1))
    assert compare(first, second, STILL, range_mm=7.5).distances[0].scale.low == -7.5
    assert compare(first, second, STILL).distances[0].scale.high in (3.5, 4.0)


def test_one_voxel_and_values_of_other_names():
    labels = Labels.of({"bone": 1, "cyst": 7})
    array = np.zeros(FINE.shape, np.uint8)
    array[30, 30, 30] = 7
    change = compare(scan(FINE, (0.3, (0, 0, 0), 1)), Scan(LabelMap(array, FINE, labels)), STILL)
    (cyst,) = change.structures
    assert (cyst.name, cyst.verdict) == ("cyst", "unchanged")
    assert cyst.before_ml == cyst.after_ml == pytest.approx(0.216e-3)
    assert cyst.moved.rms_mm < 1e-9
