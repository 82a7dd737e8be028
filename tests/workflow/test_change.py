"""Before and after by the command line: real scans with a growth that is known, a beating heart, and bad input."""

import json

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from vesalius.cli import main
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import read, read_labels, write
from vesalius.mesh.files import read_painted
from vesalius.transform import resample

NODULE = Labels.of({"nodule": 1, "other": 2})
AT = np.array([24.0, 32.0, 20.0])  # white matter on the left
RADIUS, PULL, REACH = 12.0, 0.14, 14.0
TURN = np.eye(4)
TURN[:3, :3] = Rotation.from_euler("xyz", (4, -6, 9), degrees=True).as_matrix()
TURN[:3, 3] = (6, -4, 5)


def back(points):
    """Where a point of the second scan was before: tissue grew around `AT`."""
    off = points - AT
    return AT + off * (1 - PULL * np.exp(-np.square(off).sum(axis=-1, keepdims=True) / (2 * REACH**2)))


def growth_at(points):
    """The factor by which tissue at points of the first scan grows: one over that of the way back."""
    after = points.copy()
    for _ in range(60):
        after += points - back(after)
    far = np.linalg.norm(after - AT, axis=-1)
    bump = PULL * np.exp(-(far**2) / (2 * REACH**2))
    return 1 / ((1 - bump) ** 2 * (1 - bump + bump * far**2 / REACH**2))


def places(grid: Grid):
    return grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1))


@pytest.fixture(scope="module")
def brain(shared_data, tmp_path_factory):
    """A real brain in slices of 2.5 mm, and the same after tissue grew and the head turned: files, and the truth."""
    folder = tmp_path_factory.mktemp("brain")
    image = read(shared_data / "ms_lesion_mr" / "mni_patient19" / "FLAIR.nii.gz")
    grid = image.grid.with_spacing((2.5, 2.5, 2.5))
    image = resample(image, grid, antialias=True)
    at, turned = places(grid), Grid(grid.shape, TURN @ grid.affine)
    grown = ndimage.map_coordinates(image.array[0], grid.to_index(back(at).reshape(-1, 3)).T, order=3)
    write(image, folder / "before.nii.gz")
    write(Volume(grown.reshape(1, *grid.shape).astype(np.float32), turned, image.meta), folder / "after.nii.gz")
    inside = [(np.linalg.norm(where - AT, axis=-1) <= RADIUS) for where in (at, back(at))]
    write(LabelMap(inside[0], grid, NODULE), folder / "before-labels.nii.gz")
    write(LabelMap(inside[1], turned, NODULE), folder / "after-labels.nii.gz")
    return folder, growth_at(at), inside[0]


def change(folder, *more) -> list[str]:
    labels = ["--labels-before", f"{folder}/before-labels.nii.gz", "--labels-after", f"{folder}/after-labels.nii.gz"]
    return ["change", f"{folder}/before.nii.gz", f"{folder}/after.nii.gz", *labels, *more]


def test_growth_in_a_real_brain_is_found_behind_a_turn_of_the_head(brain, tmp_path, capsys):
    folder, truth, inside = brain
    more = ["--structure", "nodule", "--growth", "--format", "ply", "glb", "vtp", "--beyond", "0.5", "--json"]
    assert main(change(folder, "-o", str(tmp_path / "out"), *more)) == 0
    found = json.loads(capsys.readouterr().out)

    # The head's turn is taken away first: no point of the brain is off by more than a fifth of a voxel.
    points = places(read(folder / "before.nii.gz").grid)[::20, ::20, ::20].reshape(-1, 3)
    matrix = np.array(found["matrix"])
    moved, right = (points @ one[:3, :3].T + one[:3, 3] for one in (matrix, TURN))
    assert np.linalg.norm(moved - right, axis=1).max() < 0.5

    (nodule,) = found["structures"]
    expected = truth[inside].mean()
    assert nodule["verdict"] == "grown"
    assert nodule["after_ml"] / nodule["before_ml"] == pytest.approx(expected, rel=0.02)
    # The border of a ball goes from its radius to where the way back leads to it.
    beyond = np.array([[r, 0.0, 0.0] for r in np.arange(RADIUS, RADIUS + 4, 0.001)]) + AT
    outer = RADIUS + 0.001 * int(np.argmin(np.abs(np.linalg.norm(back(beyond) - AT, axis=1) - RADIUS)))
    assert nodule["moved"]["mean_mm"] == pytest.approx(outer - RADIUS, abs=0.15)
    assert nodule["moved"]["beyond"]["0.5"]["out"] > 0.85
    # Growth of tissue: rather too near to 1 than too far from it.
    assert 0.75 < (nodule["growth"] - 1) / (expected - 1) < 1.1
    assert 0.97 < found["growth"]["median"] < 1.03
    assert found["growth"]["folded"] == 0.0
    assert found["registration"]["doubts"] == []

    names = ["after-labels.nii.gz", "after.nii.gz", "change.json", "distance.glb", "distance.ply", "distance.vtp"]
    assert {*names, "growth.nii.gz", "maps/nodule.nii.gz", "report.html", "transform.txt"} <= {*found["files"]}
    assert json.loads((tmp_path / "out" / "change.json").read_text())["structures"] == found["structures"]
    factor = read(tmp_path / "out" / "growth.nii.gz").array[0]
    assert np.corrcoef(factor[truth > 1.02], truth[truth > 1.02])[0, 1] > 0.85
    for suffix in ("ply", "glb"):
        (shown,) = read_painted(tmp_path / "out" / f"distance.{suffix}")
        assert (shown.label.name, shown.name, shown.unit) == ("nodule", "distance to before", "mm")
        assert np.nanmean(shown.values) == pytest.approx(nodule["moved"]["mean_mm"], abs=0.05)
    said = (tmp_path / "out" / "report.html").read_text()
    assert "How the tissue has grown" in said
    assert said.count("data:image/png") == found["pictures"].count("drawn") + 4

    # The transform that was written says the same without a search, and swapped scans shrink.
    again = ["--transform", str(tmp_path / "out" / "transform.txt"), "--structure", "nodule", "--json"]
    assert main(change(folder, "-o", str(tmp_path / "again"), *again)) == 0
    same = json.loads(capsys.readouterr().out)["structures"][0]
    assert same["moved"]["mean_mm"] == pytest.approx(nodule["moved"]["mean_mm"], abs=1e-4)
    assert same["growth"] is None


def test_the_heart_of_a_real_patient_contracts(shared_data, tmp_path, capsys):
    heart = shared_data / "acdc_cine_mr" / "patient001"
    full, empty = heart / "patient001_frame01_gt.nii.gz", heart / "patient001_frame12_gt.nii.gz"
    names = ["--labels", "right=1,wall=2,left=3", "--aligned", "--json"]
    assert main(["change", str(full), str(empty), "-o", str(tmp_path / "out"), *names]) == 0
    found = json.loads(capsys.readouterr().out)
    right, wall, left = found["structures"]
    beat = ["measure", str(full), "--end-systole", str(empty), "--cavity", "label 3", "--json"]
    assert main(beat) == 0
    told = json.loads(capsys.readouterr().out)["ejection"]
    assert left["before_ml"] == pytest.approx(told["end_diastolic_ml"])
    assert -left["difference_ml"] == pytest.approx(told["stroke_volume_ml"])
    assert -left["difference_percent"] == pytest.approx(told["ejection_fraction_percent"])
    # Cavities narrow, and the wall between them gets thicker.
    assert [one["verdict"] for one in (right, wall, left)] == ["shrunk", "grown", "shrunk"]
    assert left["moved"]["mean_mm"] < -1
    assert left["moved"]["beyond"]["2"]["in"] > 5 * left["moved"]["beyond"]["2"]["out"]
    assert any("10 mm thick" in doubt for doubt in found["doubts"])
    assert found["registration"] is None
    drawn = read_labels(tmp_path / "out" / "maps" / "left.nii.gz")
    assert drawn.labels.names[:3] == ("stable", "gained", "lost")
    assert drawn.counts()[3] * drawn.grid.voxel_volume_mm3 / 1000 == pytest.approx(left["lost_ml"])


@pytest.fixture
def drawn(tmp_path):
    """Two small label maps: a ball that grew, and something that came."""
    grid = Grid.from_spacing((30, 30, 30), (1.0, 1.0, 1.0))
    at = places(grid)
    for name, radius in (("one", 6), ("two", 8)):
        array = (np.linalg.norm(at - (12, 14, 15), axis=-1) <= radius).astype(np.uint8)
        if name == "two":
            array[24:28, 3:6, 3:6] = 2
        write(LabelMap(array, grid, NODULE), tmp_path / f"{name}.nii.gz")
    return [str(tmp_path / "one.nii.gz"), str(tmp_path / "two.nii.gz")]


def test_label_maps_alone_and_people_who_read(drawn, tmp_path, capsys):
    names = ["--labels", "nodule=1,other=2"]
    assert main(["change", *drawn, "-o", str(tmp_path / "out"), *names]) == 0
    said = capsys.readouterr()
    assert "grown" in said.out
    assert "new" in said.out
    assert "registered by the structures themselves (nodule)" in said.err
    page = (tmp_path / "out" / "report.html").read_text()
    assert "registered by the structures themselves" in page
    assert "nodule" in page
    assert not (tmp_path / "out" / "after.nii.gz").exists()
    assert main(["change", *drawn, "-o", str(tmp_path / "same"), "--aligned", "--range", "3", *names, "--json"]) == 0
    (shown,) = read_painted(tmp_path / "same" / "distance.ply")
    assert (shown.scale.low, shown.scale.high) == (-3.0, 3.0)
    assert np.nanmean(shown.values) == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["--labels-before", "x.nii.gz"], "both scans"),
        (["--growth"], "found in images"),
        (["--aligned", "--range", "0"], "--range must be above 0"),
        (["--aligned", "--beyond", "-1"], "--beyond must be above 0"),
        (["--aligned", "--structure", "nodul"], "did you mean|known|nodule"),
        (["--transform", "none.txt"], "no such file"),
        (["--transform", "one.nii.gz"], "transforms are files"),
    ],
)
def test_wrong_use_is_refused(drawn, refused, tmp_path, more, match):
    said = refused("change", *drawn, "-o", str(tmp_path / "out"), *more)
    assert any(word in said for word in match.split("|"))


def test_nothing_is_written_over(drawn, refused, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert "something is there already" in refused("change", *drawn, "-o", str(tmp_path / "out"), "--aligned")


def test_scans_that_hold_nothing_are_refused(drawn, refused, tmp_path):
    grid = Grid.from_spacing((8, 8, 8), (1.0, 1.0, 1.0))
    write(LabelMap(np.zeros(grid.shape, np.uint8), grid, NODULE), tmp_path / "empty.nii.gz")
    empty = str(tmp_path / "empty.nii.gz")
    assert "nothing to compare" in refused("change", empty, empty, "-o", str(tmp_path / "out"), "--aligned")
    assert "no structure in common" in refused("change", drawn[0], empty, "-o", str(tmp_path / "out"))


def test_dicom_says_other_patients_frames_and_order(dicom, tmp_path, capsys):
    """Doubts and the days between; no name, number or date of a patient, anywhere."""
    from pydicom.uid import generate_uid

    array = np.zeros((24, 24, 10), np.uint8)
    array[8:16, 8:16, 3:7] = 1
    grey = np.random.default_rng(2).integers(0, 60, array.shape).astype(np.int16) + 1000 + 100 * array
    folders = []
    for name, day, patient in (("one", "20210304", "P-77"), ("two", "20210301", "P-78")):
        dicom.series, frame, study = generate_uid(), generate_uid(), generate_uid()
        for k in range(10):
            place = {"ImagePositionPatient": [0, 0, 2.0 * k], "FrameOfReferenceUID": frame, "InstanceNumber": k + 1}
            who = {"StudyDate": day, "PatientID": patient, "StudyInstanceUID": study}
            dicom.write(dicom.image(grey[:, :, k].T.copy(), **place, **who), f"{name}/{k}.dcm")
        folders.append(dicom.folder / name)
    grid = read(folders[0]).grid
    write(LabelMap(array, grid, Labels.of({"node": 1})), tmp_path / "node.nii.gz")
    labels = ["--labels-before", str(tmp_path / "node.nii.gz"), "--labels-after", str(tmp_path / "node.nii.gz")]
    scans = [str(folder) for folder in folders]
    assert main(["change", *scans, *labels, "--aligned", "-o", str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["days"] == -3
    said = " ".join(found["doubts"])
    for words in ("of different patients", "different frames of reference", "the wrong way round"):
        assert words in said
    page = (tmp_path / "out" / "report.html").read_text()
    for secret in ("P-77", "P-78", "20210304", "20210301", "2021"):
        assert secret not in page + json.dumps(found)
