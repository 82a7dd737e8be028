"""``vesalius picture`` through the command line, on images that are made here and on real ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vesalius.cli import main
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import write
from vesalius.mesh import extract
from vesalius.mesh.files import write_mesh


@pytest.fixture
def house(tmp_path, monkeypatch) -> Path:
    """A CT with a bright spleen at the patient's left, thick slices, and its labels and surface."""
    monkeypatch.chdir(tmp_path)
    grid = Grid.from_spacing((40, 36, 12), (2.0, 2.0, 5.0), origin_mm=(-40.0, -30.0, 100.0))
    array = np.full(grid.shape, -1000, np.int16)
    array[4:36, 4:32] = 40
    labels = np.zeros(grid.shape, np.uint8)
    labels[24:32, 14:24, 3:9] = 1
    array[labels == 1] = 300
    drawn = LabelMap(labels, grid, Labels.of({"spleen": 1}))
    write(Volume(array[None], grid, Meta("CT", "HU")), "ct.nii.gz")
    write(drawn, "seg.nii.gz")
    write_mesh([extract(drawn).of("spleen")], "spleen.stl")
    return tmp_path


@pytest.fixture
def told(capsys):
    """What a picture says of itself, and the pixels of its file."""

    def run(*arguments) -> tuple[dict, np.ndarray]:
        capsys.readouterr()
        assert main(["picture", *map(str, arguments), "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        with Image.open(said["output"]) as made:
            assert made.format == "GIF" or made.info == {}  # no text, no time
            picture = np.asarray(made.convert("RGB"))
        assert [*picture.shape[1::-1]] == said["size"]
        return said, picture

    return run


@pytest.fixture
def refused(capsys):
    def run(*arguments) -> str:
        capsys.readouterr()
        assert main(["picture", *map(str, arguments)]) == 1
        return capsys.readouterr().err

    return run


def reddish(picture) -> np.ndarray:
    colours = picture.astype(int)
    return (colours[..., 0] - colours[..., 1] > 60) & (colours[..., 0] - colours[..., 2] > 60)


def test_three_planes_are_what_is_drawn_when_nothing_is_said(house, told):
    said, picture = told("ct.nii.gz", "--seg", "seg.nii.gz", "-o", "a.png")
    assert [name.split(",")[0] for name in said["panels"]] == ["axial 7/12", "coronal 19/36", "sagittal 29/40"]
    assert said["panels"][0].endswith("z = 130.0 mm")
    assert reddish(picture).sum() > 1000
    assert (picture.astype(int)[..., 0] - picture[..., 2] > 60).any(axis=1).mean() > 0.9  # hair lines


def test_the_left_is_on_the_right_unless_it_is_said_otherwise(house, told):
    options = ("ct.nii.gz", "--seg", "seg.nii.gz", "--plane", "axial", "-o", "a.png")
    _, picture = told(*options, "--draw", "tint")
    half = picture.shape[1] // 2
    assert reddish(picture[:-40, :half]).sum() == 0
    assert reddish(picture[:-40, half:]).sum() > 1000
    _, mirrored = told(*options, "--draw", "tint", "--convention", "neurological")
    assert mirrored.shape[0] == picture.shape[0] + 26  # a line that says so
    assert reddish(mirrored[:-40, half:]).sum() == 0


@pytest.mark.parametrize(
    ("arguments", "panel"),
    [
        ("--plane axial --slice 3", "axial 3/12, z = 110.0 mm"),
        ("--plane axial --at 121", "axial 5/12, z = 120.0 mm"),
        ("--plane sagittal --at=-30", "sagittal 6/40, x = -30.0 mm"),
        ("--plane coronal --at=10,-20,120", "coronal 6/36, y = -20.0 mm"),
        ("--plane axial", "axial 7/12, z = 130.0 mm"),
        ("--plane axial --seg seg.nii.gz", "axial 4/12, z = 115.0 mm"),
        ("--plane axial --seg seg.nii.gz --structure spleen --at centre", "axial 7/12, z = 130.0 mm"),
        ("--plane coronal --surface spleen.stl", "coronal 20/36, y = 8.0 mm"),
        ("--normal 0,1,1 --at 0,0,125", "plane across, (0, 0.707, 0.707)"),
        ("--project mean", "mean, coronal"),
        ("--project maximum --view left", "maximum, azimuth 90°, elevation 0°"),
        ("--project minimum --plane axial --slab 12 --at 120", "minimum, axial, 12 mm, z = 120.0 mm"),
    ],
)
def test_what_is_shown_is_what_was_asked_for(house, told, arguments, panel):
    said, _ = told("ct.nii.gz", *arguments.split(), "-o", "a.png")
    assert said["panels"] == [panel]


def test_a_single_slice_is_shown_alone(house, told):
    grid = Grid.from_spacing((1, 20, 30), (5.0, 1.0, 1.0))
    write(Volume(np.ones((1, *grid.shape), np.int16), grid), "one.nii.gz")
    said, _ = told("one.nii.gz", "-o", "a.png")
    assert said["panels"] == ["sagittal 1/1, x = 0.0 mm"]


def test_a_montage_and_its_structure(house, told):
    said, _ = told("ct.nii.gz", "--montage", "5", "--plane", "coronal", "-o", "a.png")
    assert [name.split()[1] for name in said["panels"]] == [f"{n}/36," for n in (4, 11, 19, 26, 33)]
    said, _ = told("ct.nii.gz", "--seg", "seg.nii.gz", "--montage", "99", "-o", "a.png")
    assert [name.split()[1] for name in said["panels"]] == [f"{n}/12," for n in range(4, 10)]


def test_windows(house, told, refused):
    for words, window in (
        ((), [-160, 240]),
        (("--window", "lung"), [-1350, 150]),
        (("--window", "soft-tissue"), [-160, 240]),
        (("--window", "1000/200"), [-300, 700]),
    ):
        said, _ = told("ct.nii.gz", *words, "--plane", "axial", "-o", "a.png")
        # A NIfTI does not say that it is a CT.
        assert said["window"] == window or not words
    _, plain = told("ct.nii.gz", "--plane", "axial", "--window", "1000/200", "--plain", "-o", "a.png")
    _, inverted = told("ct.nii.gz", "--plane", "axial", "--window", "1000/200", "--plain", "--inverted", "-o", "b.png")
    np.testing.assert_allclose(plain[10:-10, 10:-10].astype(int) + inverted[10:-10, 10:-10], 255, atol=1)
    assert "lung" in refused("ct.nii.gz", "--window", "lnug", "-o", "c.png")
    assert "WIDTH/LEVEL" in refused("ct.nii.gz", "--window", "0/40", "-o", "c.png")
    assert not Path("c.png").exists()


def test_a_surface_is_drawn_where_the_labels_are(house, told):
    base = ("ct.nii.gz", "--plane", "coronal", "--plain", "--window", "4000/2000", "-o", "a.png")
    _, cut = told(*base, "--at=8,8,128", "--surface", "spleen.stl")
    _, outlined = told(*base, "--at=8,8,128", "--seg", "seg.nii.gz", "--draw", "outline")
    boxes = []
    for picture in (cut, outlined):
        rows, columns = np.nonzero(reddish(picture))
        boxes.append([rows.min(), rows.max(), columns.min(), columns.max()])
    pixels = cut.shape[1] / 80  # a millimetre
    np.testing.assert_allclose(boxes[0], boxes[1], atol=2.5 * pixels)  # within half a slice


def test_a_turn_is_an_animation(house, told):
    said, _ = told(
        "ct.nii.gz", "--project", "maximum", "--frames", "4", "--seconds", "1", "--seg", "seg.nii.gz", "-o", "t.gif"
    )
    assert said["panels"][1] == "maximum, azimuth 90°, elevation 0°"
    with Image.open("t.gif") as made:
        assert made.n_frames == 4
        assert made.info["duration"] == 250
        where = []
        for number in range(4):
            made.seek(number)
            columns = np.nonzero(reddish(np.asarray(made.convert("RGB"))[:-40]))[1]
            where.append(columns.mean() / made.size[0])
    assert where[0] > 0.6  # the patient's left, from the front
    assert where[2] < 0.4  # and from behind


def test_the_same_bytes_each_time(house):
    for name in ("a.png", "b.png"):
        assert main(["picture", "ct.nii.gz", "--seg", "seg.nii.gz", "--montage", "4", "-o", name]) == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_flat_pictures_and_several_channels(house, told, refused):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (30, 50, 3), np.uint8)).save("eye.png")
    vessels = np.zeros((30, 50), np.uint8)
    vessels[10:20, 10:30] = 255
    Image.fromarray(vessels).save("vessels.png")
    said, picture = told("eye.png", "--seg", "vessels.png", "--labels", "vessel=255", "-o", "a.png")
    assert said["panels"] == [""]
    assert reddish(picture[-30:]).any()  # the legend
    assert "flat picture" in refused("eye.png", "--plane", "axial", "-o", "b.png")
    assert "flat picture" in refused("eye.png", "--surface", "spleen.stl", "-o", "b.png")
    assert "nothing tells" in refused("eye.png", "--convention", "neurological", "-o", "b.png")
    before = Path("eye.png").read_bytes()
    assert "would replace" in refused("eye.png", "-o", "eye.png")
    assert Path("eye.png").read_bytes() == before
    frames = Volume(rng.random((6, 8, 8, 4)).astype(np.float32), Grid.from_spacing((8, 8, 4), (1, 1, 2)))
    write(frames, "cine.nii.gz")
    assert "6 channels or time points" in refused("cine.nii.gz", "-o", "b.png")
    told("cine.nii.gz", "--channel", "5", "-o", "b.png")
    assert "0 to 5, not 6" in refused("cine.nii.gz", "--channel", "6", "-o", "c.png")


def test_labels_of_another_grid_and_of_elsewhere(house, told, refused, capsys):
    labels = np.ones((10, 10, 4), np.uint8)
    write(
        LabelMap(labels, Grid.from_spacing((10, 10, 4), (3, 3, 3), origin_mm=(0, 0, 120)), Labels.of([1])),
        "fine.nii.gz",
    )
    write(
        LabelMap(labels, Grid.from_spacing((10, 10, 4), (3, 3, 3), origin_mm=(900, 0, 120)), Labels.of([1])),
        "off.nii.gz",
    )
    assert main(["picture", "ct.nii.gz", "--seg", "fine.nii.gz", "-o", "a.png"]) == 0
    assert "another grid" in capsys.readouterr().err
    with Image.open("a.png") as made:
        assert reddish(np.asarray(made.convert("RGB"))).sum() > 500
    assert "outside the image" in refused("ct.nii.gz", "--seg", "off.nii.gz", "-o", "b.png")
    write(
        LabelMap(np.zeros((40, 36, 12), np.uint8), Grid.from_spacing((40, 36, 12), (2, 2, 5)), Labels.of([1])),
        "no.nii.gz",
    )
    told("ct.nii.gz", "--seg", "no.nii.gz", "-o", "b.png")  # nothing there is nothing drawn
    assert "no voxel counts" in refused(
        "ct.nii.gz", "--seg", "no.nii.gz", "--project", "mean", "--within", "-o", "c.png"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("-o a.jpg", "pictures are written as"),
        ("-o a.gif", "wants --project"),
        ("-o a.gif --project mean --slab 3", "from all sides"),
        ("-o a.gif --project mean --frames 400", "at most 50 pictures a second"),
        ("-o a.png --slice 3", "say which --plane"),
        ("-o a.png --plane three --slice 3", "say which --plane"),
        ("-o a.png --plane axial --slice 99", "slices 1 to 12, not 99"),
        ("-o a.png --plane axial --slice 3 --at 120", "choose one"),
        ("-o a.png --at 120", "say which --plane"),
        ("-o a.png --at largest", "say which --plane"),
        ("-o a.png --plane axial --at largest", "there is none"),
        ("-o a.png --plane axial --at 500", "lies outside the image"),
        ("-o a.png --normal 0,0,1 --plane axial", "choose one"),
        ("-o a.png --normal 0,0,1 --at 0,0,900", "misses"),
        ("-o a.png --slab 3", "want --project"),
        ("-o a.png --view left", "want --project"),
        ("-o a.png --project mean --plane three", "say which"),
        ("-o a.png --project mean --at 120 --plane axial", "say --slab"),
        ("-o a.png --project mean --slab 3 --plane axial --at 700", "lies outside the image"),
        ("-o a.png --project mean --view left --convention neurological", "leave out --convention"),
        ("-o a.png --project mean --surface spleen.stl", "a projection shows none"),
        ("-o a.png --project mean --montage 3", "has no --slice"),
        ("-o a.png --project mean --within", "name it with --seg"),
        ("-o a.png --plane axial --plain --convention neurological", "must say that it is one"),
        ("-o a.png --montage 0", "one slice or more"),
        ("-o a.png --montage 3 --at 120", "leave out"),
        ("-o a.png --structure spleen", "name it with --seg"),
        ("-o a.png --seg seg.nii.gz --structure spleeen", "spleen"),
    ],
)
def test_what_does_not_go_together_is_told(house, refused, arguments, words):
    assert words in refused("ct.nii.gz", *arguments.split())
    assert not list(house.glob("a.*"))


# --- real images ------------------------------------------------------------------------------------------------------


def test_a_ct_from_dicom_with_its_contours(tmp_path, told, shared_data):
    folder = shared_data / "lung_ct_rtstruct"
    contours = folder / "rtstruct" / "DCM_RS_00060.dcm"
    said, picture = told(folder / "ct", "--seg", contours, "--window", "lung", "-o", tmp_path / "a.png")
    assert said["panels"][0] == "axial 28/60, z = -19.4 mm"
    assert said["window"] == [-1350.0, 150.0]
    green = picture[..., 1].astype(int) - picture[..., 0] > 60
    columns = np.nonzero(green[:, : picture.shape[1] // 2])[1]
    assert columns.mean() / picture.shape[1] == pytest.approx(0.25, abs=0.03)
    said, _ = told(folder / "ct", "--project", "maximum", "--azimuth", "30", "-o", tmp_path / "b.png")
    assert said["window"][1] > 300  # bones: no soft-tissue window


def test_a_heart_in_thick_slices_keeps_its_proportions(tmp_path, told, shared_data):
    case = shared_data / "acdc_cine_mr" / "patient001"
    image, labels = case / "patient001_frame01.nii.gz", case / "patient001_frame01_gt.nii.gz"
    options = (image, "--seg", labels, "--labels", "right=1,muscle=2,left=3", "--plain")
    said, picture = told(*options, "--plane", "coronal", "-o", tmp_path / "a.png")
    # 216 columns of 1.5625 mm and 10 slices of 10 mm, in the frame of 6 pixels
    assert (picture.shape[1] - 12) / (picture.shape[0] - 12) == pytest.approx(337.5 / 100, rel=0.01)
    said, _ = told(*options, "--montage", "9", "-o", tmp_path / "b.png")
    assert len(said["panels"]) == 9


def test_a_retina_with_its_vessels(tmp_path, told, shared_data):
    folder = shared_data / "chasedb1"
    vessels = folder / "Image_01L_1stHO.png"
    options = (folder / "Image_01L.jpg", "--seg", vessels, "--plain", "--size", "999x960")
    _, picture = told(*options, "--draw", "none", "-o", tmp_path / "a.png")
    with Image.open(folder / "Image_01L.jpg") as stored:
        np.testing.assert_allclose(picture[6:-6, 6:-6], np.asarray(stored), atol=1)  # pixel by pixel
    _, tinted = told(*options, "--draw", "tint", "-o", tmp_path / "b.png")
    with Image.open(vessels) as stored:
        changed = (tinted != picture).any(axis=2)[6:-6, 6:-6]
        assert (changed == (np.asarray(stored.convert("L")) > 0)).mean() > 0.999
