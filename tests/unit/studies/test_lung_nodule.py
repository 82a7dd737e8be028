"""The parts of the study of lung nodules: what is amiss in data is told, candidates are taught, growth is followed."""

import numpy as np
import pytest
from chests import COARSE_MM, small_chest

from vesalius.classical.lungs import LUNGS
from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import write
from vesalius.io.points import Mark, write_marks
from vesalius.metrics.froc import Finding
from vesalius.studies import find_study
from vesalius.studies.lung_nodule.growth import days_of, follow
from vesalius.studies.lung_nodule.learning import confidence, taught
from vesalius.studies.lung_nodule.measuring import Nodule, label_map
from vesalius.studies.lung_nodule.scans import Scan, read_scans
from vesalius.studies.lung_nodule.search import Searched, check_places
from vesalius.studies.study import Setting
from vesalius.transform.blobs import Blob

GRID = Grid.from_spacing((40, 30, 20), (2.0, 2.0, 3.0), origin_mm=(-90.0, 30.0, -200.0))


@pytest.fixture
def luna(tmp_path):
    for number, name in enumerate(("1.1", "1.2")):
        place = tmp_path / f"subset{number}"
        place.mkdir()
        write(Volume(np.full((1, *GRID.shape), -900 - number, np.int16), GRID), place / f"{name}.mhd")
    write_marks(
        [Mark("1.1", (-60.0, 50.0, -180.0), 8.0), Mark("9.9", (0.0, 0.0, 0.0), 8.0)], tmp_path / "annotations.csv"
    )
    write_marks([Mark("1.1", (-50.0, 50.0, -180.0), -1.0)], tmp_path / "annotations_excluded.csv")
    write_marks(
        [Mark("1.1", (-60.0, 51.0, -180.0), kind=1), Mark("1.2", (-60.0, 51.0, -180.0), kind=0)],
        tmp_path / "candidates_V2.csv",
    )
    return tmp_path


def test_luna16_is_read_by_the_challenges_rules(luna):
    (first, second), repairs, layout = read_scans(luna)
    assert layout == "luna16"
    assert first.findings == (
        Finding("1.1", (-60.0, 50.0, -180.0), 8.0),
        Finding("1.1", (-50.0, 50.0, -180.0), 10.0, irrelevant=True),
    )
    assert (first.subset, second.subset) == ("0", "1")
    assert [mark.kind for scan in (first, second) for mark in scan.said] == [1, 0]
    assert any("not there" in repair for repair in repairs), "series 9.9"


def test_candidates_without_a_class_are_left_out_and_told(luna):
    write_marks([Mark("1.1", (-60.0, 50.0, -180.0))], luna / "candidates_V2.csv")
    (first, _), repairs, _ = read_scans(luna)
    assert first.said == ()
    assert any("1 candidates have no class" in repair for repair in repairs)


def test_annotations_that_cannot_serve(luna):
    write_marks([Mark("1.1", (-60.0, 50.0, -180.0))], luna / "annotations.csv")
    with pytest.raises(DataError, match="diameter_mm"):
        read_scans(luna)
    write_marks([Mark("9.9", (-60.0, 50.0, -180.0), 5.0)], luna / "annotations.csv")
    with pytest.raises(DataError, match="none of its nodules"):
        read_scans(luna)


def test_data_without_nodules_are_for_trained_networks_only(tmp_path):
    for name in "ab":
        write(Volume(np.zeros((1, *GRID.shape), np.int16), GRID), tmp_path / f"{name}.nii.gz")
    with pytest.raises(DataError, match="--trained"):
        read_scans(tmp_path)
    scans, _, _ = read_scans(tmp_path, references=False)
    assert [scan.id for scan in scans] == ["a", "b"]
    assert read_scans(tmp_path / "a.nii.gz", references=False)[0][0].id == "a"
    with pytest.raises(DataError, match="no such"):
        read_scans(tmp_path / "c")


def searched(folder, points):
    array = np.zeros(GRID.shape, np.uint8)
    array[2:12, 5:25, 3:17], array[26:38, 5:25, 3:17] = 2, 1
    write(LabelMap(array, GRID, LUNGS), folder / "lungs.nii.gz")
    findings = tuple(Finding("a", tuple(float(c) for c in point), 6.0) for point in points)
    return Searched(Scan("a", folder / "a.mhd", findings=findings), folder / "lungs.nii.gz", GRID, ())


INDICES = [(5, 10, 10), (8, 20, 5), (30, 12, 12), (35, 6, 9)]


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda p, index: (-p[0], -p[1], p[2]), "read as RAS"),
        (lambda p, index: index, "read as voxel indices"),
        (lambda p, index: index[::-1], "read as voxel indices k, j, i"),
        (lambda p, index: (p[2], p[1], p[0]), "read as z, y, x"),
        (lambda p, index: (p[0] + 900, p[1], p[2]), "only 0 lie in a lung. The points"),
    ],
    ids=["RAS", "voxels", "voxels turned", "axes swapped", "elsewhere"],
)
def test_annotations_of_another_frame_are_noticed(tmp_path, turn, words):
    points = [turn(GRID.to_points(index), index) for index in INDICES]
    with pytest.raises(DataError, match=words):
        check_places([searched(tmp_path, points)])


def test_annotations_in_the_lungs_are_right(tmp_path):
    right = [GRID.to_points(index) for index in INDICES]
    check_places([searched(tmp_path, right)])
    check_places([searched(tmp_path, [*right[:2], (500.0, 0.0, 0.0)])])  # one of three may lie elsewhere


def test_nodules_and_false_alarms_are_taught_and_nothing_else(tmp_path):
    nodule, alarm = GRID.to_points((8, 10, 10)), GRID.to_points((30, 12, 12))
    near = nodule + np.array([6.0, 0, 0])
    one = searched(tmp_path, [nodule])
    blobs = tuple(Blob(tuple(float(c) for c in p), 6.0, 90.0) for p in (nodule, near, alarm))
    one = Searched(one.scan, one.lungs, GRID, blobs)
    array = taught(one, GRID).array
    assert array[8, 10, 10] == 1
    assert array[30, 12, 12] == 0
    assert array[11, 10, 10] == 2, "beside a nodule nobody says what it is"
    assert (array != 2).sum() < 40


def test_candidates_are_ranked_by_what_the_network_says():
    plain, bright = Blob((0.0, 0.0, 0.0), 6.0, 100.0), Blob((0.0, 0.0, 0.0), 6.0, 300.0)
    assert confidence(plain, 0.9) > confidence(bright, 0.1)
    assert confidence(bright, 0.5) > confidence(plain, 0.5)


def shape_at(centre, radius):
    side = 2 * int(radius) + 5
    grid = Grid.from_spacing((side,) * 3, (1.0,) * 3, origin_mm=[float(c) - side // 2 for c in centre])
    points = grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1))
    inside = np.linalg.norm(points - np.asarray(centre), axis=-1) < radius
    return LabelMap(inside.astype(np.uint8), grid, Labels.of({"nodule": 1}))


def nodule_at(scan, number, centre, radius):
    volume = 4 / 3 * np.pi * radius**3 / 1000
    shape = shape_at(centre, radius)
    return Nodule(scan, number, tuple(centre), 0.9, volume, 2 * radius, 2 * radius, 2 * radius, "2", shape)


def test_each_nodule_has_its_number_in_the_label_map():
    some = [nodule_at("a", 1, (-60.0, 50.0, -180.0), 5.0), nodule_at("a", 2, (-30.0, 60.0, -170.0), 0.4)]
    found = label_map(some, GRID)
    assert found.labels.names == ("nodule 1", "nodule 2")
    assert found.counts()[1] * GRID.voxel_volume_mm3 == pytest.approx(4 / 3 * np.pi * 125, rel=0.25)
    assert found.counts()[2] >= 1, "smaller than a voxel, it still has its place"


def test_growth_between_two_scans_of_a_patient(tmp_path):
    chest = small_chest(5, nodules=2)
    moved = Grid.from_spacing(
        chest.image.grid.shape, COARSE_MM, origin_mm=np.add(chest.image.grid.origin_mm, (6, -4, 5))
    )
    write(chest.image, tmp_path / "then.nii.gz")
    write(Volume(chest.image.array, moved), tmp_path / "now.nii.gz")
    scans = [
        Scan(name, tmp_path / f"{name}.nii.gz", patient="p", groups={"day": day})
        for name, day in (("now", "100"), ("then", "0"))
    ]
    first, second = (np.array(one.centre_mm) for one in chest.nodules)
    shift = np.array((6.0, -4.0, 5.0))
    nodules = {
        "then": [nodule_at("then", 1, first, 3.0)],
        "now": [nodule_at("now", 1, first + shift, 3.0 * 2 ** (1 / 3)), nodule_at("now", 2, second + shift, 3.5)],
    }
    found = follow(nodules, scans, days_of(scans))
    assert found["then"][0].course is None
    grown, new = found["now"]
    assert grown.doubling_days == pytest.approx(100.0)
    assert grown.course == "growing", "from 6 to 7.56 mm: by more than 1.5"
    assert new.course == "new"
    assert new.size_class == "4A", "a new nodule of 7 mm"
    with pytest.raises(DataError, match="number of days"):
        days_of([Scan("x", tmp_path, groups={"day": "yesterday"})])
    with pytest.raises(DataError, match="same day"):
        follow(nodules, scans, {"then": 1.0, "now": 1.0})


def test_one_subset_is_not_enough(luna, tmp_path):
    for path in (luna / "subset1").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="one subset is held out"):
        find_study("lung-nodule").run(luna, tmp_path / "out", Setting(steps=1))
