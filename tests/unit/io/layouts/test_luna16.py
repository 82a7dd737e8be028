"""LUNA16's folders are recognised, and what is amiss in them is said."""

import numpy as np
import pytest

from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import write
from vesalius.io.layouts import index
from vesalius.io.layouts.luna16 import find_table
from vesalius.io.points import Mark, write_marks

GRID = Grid.from_spacing((6, 5, 4), (1.0, 1.0, 2.0), origin_mm=(-3.0, 4.0, 5.0))
LUNG = Labels.of({"left": 3, "right": 4, "trachea": 5})


@pytest.fixture
def luna(tmp_path):
    for number, name in enumerate(("1.1", "1.2", "1.3")):
        place = tmp_path / f"subset{number}"
        place.mkdir()
        array = np.full((1, *GRID.shape), -1000 + number, np.int16)
        write(Volume(array, GRID), place / f"{name}.mhd")
    (tmp_path / "seg-lungs-LUNA16").mkdir()
    for name in ("1.1", "1.2"):
        array = np.zeros(GRID.shape, np.uint8)
        array[0, 0], array[5, 0] = 3, 4
        write(LabelMap(array, GRID, LUNG), tmp_path / "seg-lungs-LUNA16" / f"{name}.mhd")
    write_marks([Mark("1.1", (0.0, 4.0, 5.0), diameter_mm=5.0)], tmp_path / "annotations.csv")
    return tmp_path


def test_scans_subsets_and_lungs(luna):
    dataset = index(luna)
    assert dataset.layout == "luna16"
    assert dataset.ids == ("1.1", "1.2", "1.3")
    assert [record.groups["subset"] for record in dataset.records] == ["0", "1", "2"]
    assert dataset.labels.names == ("left lung", "right lung", "trachea")
    assert [record.reference is not None for record in dataset.records] == [True, True, False]
    assert dataset[0].reference.counts()[3] == GRID.shape[2]
    assert dataset.patients == ("1.1", "1.2", "1.3")


def test_a_series_in_two_subsets_is_used_once(luna):
    for ending in ("mhd", "raw"):
        (luna / "subset2" / f"1.1.{ending}").write_bytes((luna / "subset0" / f"1.1.{ending}").read_bytes())
    dataset = index(luna)
    assert dataset.ids == ("1.1", "1.2", "1.3")
    (left,) = dataset.left_out
    assert left.id == "subset2/1.1"
    assert "subset0" in left.reason


def test_points_of_series_that_are_not_there_are_told(luna):
    write_marks([Mark("1.1", (0, 0, 0), 5.0), Mark("9.9", (0, 0, 0), 5.0)], luna / "annotations.csv")
    assert any("1 points lie in 1 series that are not there" in note for note in index(luna).notes)


def test_a_cut_off_raw_is_left_out(luna):
    raw = luna / "subset1" / "1.2.raw"
    raw.write_bytes(raw.read_bytes()[:40])
    dataset = index(luna)
    assert dataset.ids == ("1.1", "1.3")
    assert dataset.left_out[0].id == "1.2"


def test_tables_of_the_evaluation_script_are_found_below(luna):
    assert find_table(luna, "annotations_excluded.csv") is None
    place = luna / "evaluationScript" / "annotations"
    place.mkdir(parents=True)
    write_marks([Mark("1.1", (0, 0, 0), -1.0)], place / "annotations_excluded.csv")
    assert find_table(luna, "annotations_excluded.csv") == place / "annotations_excluded.csv"
