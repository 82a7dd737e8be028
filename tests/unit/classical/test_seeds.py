"""Seeds: from texts, files and points; what lies outside is told."""

import json

import numpy as np
import pytest

from vesalius.classical import METHODS, find, only_channel, read_seeds, seeds_at
from vesalius.classical.seeds import seed_values, without_background
from vesalius.errors import DataError, FormatError, GeometryError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import write

GRID = Grid.from_spacing((8, 9, 6), (1.0, 2.0, 3.0), origin_mm=(10.0, 20.0, 30.0))


def test_a_text_is_of_indices_or_of_mm():
    seeds = read_seeds("liver=1,2,3; background=0,0,0 ;liver = 12, 24, 33 mm", GRID)
    assert seeds.labels.names == ("liver", "background")
    assert np.argwhere(seeds.array == 1).tolist() == [[1, 2, 3], [2, 2, 1]]
    assert np.argwhere(seeds.array == 2).tolist() == [[0, 0, 0]]
    assert seeds.grid == GRID


def test_a_radius_is_in_mm_on_each_axis():
    seeds = seeds_at(GRID, {"ball": [GRID.to_points([4, 4, 3])]}, radius_mm=2.0)
    found = {tuple(at) for at in (np.argwhere(seeds.array) - (4, 4, 3)).tolist()}
    # Within 2 mm at a spacing of 1, 2 and 3 mm: two steps on the first axis, one on the second, none on the third.
    assert found == {(-2, 0, 0), (-1, 0, 0), (0, 0, 0), (1, 0, 0), (2, 0, 0), (0, -1, 0), (0, 1, 0)}


def test_a_radius_is_in_mm_on_a_sheared_grid(rng):
    affine = np.eye(4)
    affine[:3, :3] = [[1.0, 0.4, 0.0], [0.0, 1.5, 0.3], [0.2, 0.0, 2.0]]
    grid = Grid((12, 12, 10), affine)
    centre = grid.to_points([6, 6, 5]) + 0.2
    found = seeds_at(grid, {"ball": [centre]}, radius_mm=3.1).array > 0
    apart = np.linalg.norm(grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1)) - centre, axis=-1)
    np.testing.assert_array_equal(found, apart <= 3.1)


def test_a_file_of_points_and_lines(tmp_path):
    told = {
        "space": "index",
        "seeds": [
            {"name": "vessel", "line": [[0, 0, 0], [7, 0, 0], [7, 8, 0]]},
            {"name": "background", "points": [[0, 8, 5]], "radius_mm": 1.0},
        ],
    }
    (tmp_path / "seeds.json").write_text(json.dumps(told))
    seeds = read_seeds(tmp_path / "seeds.json", GRID)
    expected = np.zeros(GRID.shape, int)
    expected[:, 0, 0] = 1
    expected[7, :, 0] = 1
    expected[0, 8, 5] = expected[1, 8, 5] = 2
    np.testing.assert_array_equal(seeds.array, expected)


def test_a_diagonal_line_has_no_gaps(tmp_path):
    told = {"space": "mm", "seeds": [{"name": "a", "line": [[10, 20, 30], [17, 36, 45]]}]}
    (tmp_path / "seeds.json").write_text(json.dumps(told))
    at = np.argwhere(read_seeds(tmp_path / "seeds.json", GRID).array)
    assert at[0].tolist() == [0, 0, 0]
    assert at[-1].tolist() == [7, 8, 5]
    assert all(np.abs(at - one).max(axis=1)[np.abs(at - one).sum(axis=1) > 0].min() == 1 for one in at)


def test_the_later_seed_is_marked_where_two_meet():
    at = GRID.to_points([4, 4, 3])
    assert seeds_at(GRID, {"a": [at, GRID.to_points([0, 0, 0])], "b": [at]}).counts()[1] == 1
    with pytest.raises(DataError, match="nothing is left of the seeds of 'a'"):
        seeds_at(GRID, {"a": [at], "b": [at]})


def test_a_label_file(tmp_path):
    array = np.zeros(GRID.shape, np.uint8)
    array[1, 1, 1], array[2, 2, 2] = 3, 7
    write(LabelMap(array, GRID, Labels.of({"a": 3, "background": 7})), tmp_path / "seeds.nii.gz")
    seeds = read_seeds(str(tmp_path / "seeds.nii.gz"), GRID)
    assert seeds.labels.names == ("a", "background")
    np.testing.assert_array_equal(seeds.array, array)
    with pytest.raises(GeometryError, match="another grid"):
        read_seeds(tmp_path / "seeds.nii.gz", Grid.from_spacing((8, 9, 6), (1.0, 2.0, 3.0)))
    write(LabelMap(array * 0, GRID, Labels(())), tmp_path / "empty.nii.gz")
    with pytest.raises(DataError, match="no seeds"):
        read_seeds(tmp_path / "empty.nii.gz", GRID)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("liver=1,2,30", r"'liver' at \(11, 24, 120\) mm, index \(1, 2, 30\), lies outside .* 0 to \(7, 8, 5\)"),
        ("liver=-1,0,0", "outside"),
        ("liver=1,2", "2 coordinates; the image has 3"),
        ("liver=a,b,c", "written like"),
        ("=1,2,3", "written like"),
        ("liver=nan,2,3", "finite"),
        ("liver", "no such file"),
    ],
)
def test_texts_that_are_refused(text, words):
    with pytest.raises(DataError, match=words):
        read_seeds(text, GRID)


@pytest.mark.parametrize(
    ("told", "error", "words"),
    [
        ("{", FormatError, "not JSON"),
        ("[]", DataError, "written like"),
        ('{"space": "cm", "seeds": []}', DataError, "written like"),
        ('{"space": "mm", "seeds": []}', DataError, "no seeds"),
        ('{"space": "mm", "seeds": [{"name": "a"}]}', DataError, "seed 1 must have"),
        ('{"space": "mm", "seeds": [{"name": "a", "points": [], "line": []}]}', DataError, "seed 1 must have"),
        ('{"space": "mm", "seeds": [{"name": "a", "points": []}]}', DataError, "nothing is left|no seeds"),
        ('{"space": "mm", "seeds": [{"name": "a", "points": [["x", 1, 2]]}]}', DataError, "not a number"),
        ('{"space": "index", "seeds": [{"name": "a", "points": [[99, 1, 2]]}]}', DataError, "outside"),
        (
            '{"space": "index", "seeds": [{"name": "a", "points": [[1, 1, 2]], "radius_mm": -1}]}',
            DataError,
            "at least 0",
        ),
    ],
)
def test_files_that_are_refused(told, error, words, tmp_path):
    (tmp_path / "seeds.json").write_text(told)
    with pytest.raises(error, match=words):
        read_seeds(tmp_path / "seeds.json", GRID)
    with pytest.raises(FormatError, match="cannot be read"):
        read_seeds(tmp_path / "nowhere.json", GRID)


def test_seeds_must_fit_the_image_and_be_enough():
    seeds = read_seeds("cell=1,1,1", GRID)
    assert seed_values(GRID, seeds) == (1,)
    with pytest.raises(DataError, match=r"at least 2 names, and there is 1 \(cell\); mark 'background', too"):
        seed_values(GRID, seeds, least=2)
    with pytest.raises(GeometryError, match="draw them on it"):
        seed_values(Grid.from_spacing((8, 9, 6), (1.0, 1.0, 1.0)), seeds)
    empty = LabelMap(np.zeros(GRID.shape, np.uint8), GRID, Labels(()))
    with pytest.raises(DataError, match="at least 1 name, and there are 0"):
        seed_values(GRID, empty)


def test_the_background_becomes_0_and_others_stay():
    seeds = read_seeds("background=0,0,0; liver=1,1,1; spleen=2,2,2", GRID)
    grown = np.full(GRID.shape, 1)
    grown[0, 0, :3] = [2, 3, 3]
    made = without_background(grown, seeds)
    assert made.labels.names == ("liver", "spleen")
    assert made.counts() == {0: GRID.size - 3, 2: 1, 3: 2}


def test_one_channel():
    image = Volume(np.zeros((3, 2, 2)), Grid.from_spacing((2, 2), (1.0, 1.0)))
    with pytest.raises(DataError, match="--channel"):
        only_channel(image)


def test_methods_are_found_by_name():
    for name in METHODS:
        function = find(name)
        assert function.__name__ == name.replace("-", "_")
        assert find(function.__name__) is function
    with pytest.raises(VesaliusError, match="did you mean 'otsu'"):
        find("otsuu")
