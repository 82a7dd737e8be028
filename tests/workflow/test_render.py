"""Pictures of surfaces by the command line, from real segmentations: left is left, and files hold what they should."""

import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from bodies import ball, box
from PIL import Image

from vesalius.cli import main
from vesalius.image import LabelMap, Labels
from vesalius.io import read_labels, write
from vesalius.mesh.colours import ColourScale
from vesalius.mesh.files import write_mesh
from vesalius.mesh.painted import Painted

pytest.importorskip("cv2")
ORGANS = {"liver": 5, "spleen": 1, "kidney_left": 3, "kidney_right": 2}
"""Of the real label map; four colours that are far from each other."""
SHOWN = {
    "anterior": ((0, 1), (2, -1)), "posterior": ((0, -1), (2, -1)), "left": ((1, 1), (2, -1)),
    "right": ((1, -1), (2, -1)), "superior": ((0, -1), (1, 1)), "inferior": ((0, 1), (1, 1)),
}  # fmt: skip
"""By view, which axis of LPS runs to the right of the picture and which down, and whether with it or against it."""


def told(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def two(tmp_path):
    path = str(tmp_path / "two.ply")
    write_mesh([ball(10.0, steps=16), box((10, 20, 30), centre_mm=(25, 0, 0), name="box", value=2)], path)
    return path


@pytest.fixture(scope="module")
def organs(shared_data, tmp_path_factory):
    """Four organs of a real CT, as a mesh, and where they lie in the patient."""
    drawn = read_labels(shared_data / "totalsegmentator_samples" / "ct_seg.nii.gz")
    labels = Labels.of(ORGANS)
    kept = np.where(np.isin(drawn.array, labels.values), drawn.array, 0).astype(np.uint8)
    folder = tmp_path_factory.mktemp("organs")
    write(LabelMap(kept, drawn.grid, labels), folder / "organs.nii.gz")
    names = ",".join(f"{name}={value}" for name, value in ORGANS.items())
    mesh = str(folder / "organs.ply")
    assert main(["mesh", str(folder / "organs.nii.gz"), "--labels", names, "-o", mesh, "--no-check"]) == 0
    indices = {name: np.argwhere(kept == value).mean(axis=0) for name, value in ORGANS.items()}
    return mesh, {name: drawn.grid.to_points(at[None])[0] for name, at in indices.items()}


@pytest.mark.parametrize("view", SHOWN)
def test_real_organs_are_on_the_side_where_the_label_map_has_them(view, organs, tmp_path, capsys):
    mesh, places = organs
    capsys.readouterr()
    out = str(tmp_path / "a.png")
    centres = {}
    whole = ["--size", "300x240", "--view", view, "--plain", "-o", out, "--json"]
    for name in ORGANS:
        # The others are there, so that the picture has one frame, and hardly to be seen.
        faint = [part for other in ORGANS if other != name for part in ("--opacity", f"{other}=0.001")]
        assert main(["render", mesh, *whole, *faint]) == 0
        assert set(told(capsys)["structures"]) == set(ORGANS)
        centres[name] = np.argwhere((np.array(Image.open(out)) < 250).any(axis=2)).mean(axis=0)[::-1]
    compared = 0
    for direction, (axis, sign) in enumerate(SHOWN[view]):
        for one in ORGANS:
            for other in ORGANS:
                apart = sign * (places[one] - places[other])[axis]
                if apart > 30:  # mm: far enough that the middle of what is seen is on the same side
                    assert centres[one][direction] > centres[other][direction], (one, other)
                    compared += 1
    assert compared >= 4
    if view == "anterior":  # face to face
        assert centres["spleen"][0] > centres["kidney_right"][0]
        assert centres["spleen"][0] > centres["liver"][0]


def test_a_real_heart_is_drawn_from_its_label_map(shared_data, tmp_path, capsys):
    source = shared_data / "acdc_cine_mr" / "patient061" / "patient061_frame01_gt.nii.gz"
    names = "right ventricle=1,myocardium=2,left ventricle=3"
    how = ["--opacity", "myocardium=0.3", "--clip", "superior=0.3", "--whole", "left ventricle", "--azimuth", "30"]
    out = tmp_path / "heart.png"
    assert main(["render", str(source), "-o", str(out), "--labels", names, *how, "--size", "400x300", "--json"]) == 0
    found = told(capsys)
    assert found["structures"] == ["right ventricle", "myocardium", "left ventricle"]
    assert found["triangles"] > 20_000
    picture = np.array(Image.open(out))
    assert picture.shape == (300, 400, 3)
    assert 0.05 < (picture != 255).any(axis=2).mean() < 0.9


def test_the_same_command_writes_the_same_bytes(two, tmp_path):
    made = []
    for name in ("a.png", "b.png"):
        assert main(["render", two, "-o", str(tmp_path / name), "--size", "240x180", "--elevation", "20"]) == 0
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_turn_table_has_its_frames(two, suffix, tmp_path, capsys):
    import cv2

    out = tmp_path / f"turn{suffix}"
    how = ["--frames", "8", "--seconds", "1", "--size", "201x161", "--json"]
    assert main(["render", two, "-o", str(out), *how]) == 0
    assert told(capsys)["structures"] == ["ball", "box"]
    if suffix == ".gif":
        with Image.open(out) as made:
            assert (made.n_frames, made.size, made.info["duration"]) == (8, (201, 161), 120)
            frames = []
            for number in range(8):
                made.seek(number)
                frames.append(np.array(made.convert("RGB")))
    else:
        video = cv2.VideoCapture(str(out))
        frames = [video.read()[1][:161, :201, ::-1] for _ in range(8)]
        assert not video.read()[0]
        video.release()
    assert len({frame.tobytes() for frame in frames}) == 8
    for frame in frames:  # letters, names and the cube stay where they are
        assert np.abs(frame[:, 190:].astype(int) - frames[0][:, 190:]).mean() < 40


def test_values_of_a_file_are_shown_and_can_be_left_out(tmp_path, capsys):
    one = ball(10.0, steps=24)
    scale = ColourScale(-10.0, 10.0, "diverging")
    path = str(tmp_path / "a.ply")
    write_mesh([Painted(one, one.vertices[:, 2], "height", "mm", scale)], path)
    how = ["--size", "200x200", "--plain", "-o", str(tmp_path / "a.png")]
    top, low = {}, {}
    for values in ([], ["--values", "height"], ["--values", "none"]):
        assert main(["render", path, *how, *values]) == 0
        picture = np.array(Image.open(tmp_path / "a.png")).astype(int)
        top[len(top)], low[len(low)] = picture[30, 100], picture[170, 100]
    assert top[0].tolist() == top[1].tolist()
    assert top[0][0] - top[0][2] > 60  # red above
    assert low[0][2] - low[0][0] > 60  # blue below
    assert (top[2][0] > top[2][2]) == (low[2][0] > low[2][2])
    capsys.readouterr()
    assert main(["render", path, *how, "--values", "width"]) == 1
    assert "height" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-o", "a.jpg"], 1, ".png, .gif, .mp4"),
        (["-o", "a"], 1, ".png"),
        (["-o", "a.png", "--structure", "bal"], 1, "ball"),
        (["-o", "a.png", "--opacity", "ball"], 1, "liver=0.3"),
        (["-o", "a.png", "--opacity", "ball=0", "--opacity", "box=0"], 1, "nothing to draw"),
        (["-o", "a.png", "--whole", "x"], 1, "ball, box"),
        (["-o", "a.png", "--size", "0x9"], 1, "0 x 9"),
        (["-o", "a.png", "--zoom", "0"], 1, "0.001 to 1000"),
        (["-o", "a.png", "--size", "99999x99999"], 1, "pixels"),
        (["-o", "a.png", "--size", "9"], 2, "1024x768"),
        (["-o", "a.png", "--clip", "front"], 2, "anterior"),
        (["-o", "a.png", "--clip", "left=1.5"], 2, "anterior=0.3"),
        (["-o", "a.png", "--background", "#12"], 2, "#10203f"),
        (["-o", "a.png", "--view", "front"], 2, "anterior"),
        (["-o", "a.png", "--view", "superior", "--elevation", "5"], 1, "-90 to 90"),
        (["-o", "nowhere/a.png"], 1, "create it first"),
        (["-o", "a.gif", "--background", "transparent"], 1, "GIF"),
        (["-o", "a.png", "--frames", "9"], 1, "turn-table"),
        (["-o", "a.gif", "--frames", "1"], 1, "turn-table"),
        (["-o", "a.mp4", "--seconds", "nan"], 1, "50 pictures a second"),
        (["-o", "a.mp4", "--frames", "100", "--seconds", "1"], 1, "50 pictures a second"),
        (["-o", "a.mp4", "--seconds", "0"], 1, "50 pictures a second"),
    ],
)
def test_what_cannot_be_done_is_told_and_leaves_nothing(two, arguments, code, words, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert main(["render", two, *arguments]) == code
    assert words in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_nothing_drawn_on_a_label_map_is_told(tmp_path, capsys):
    from vesalius.image import Grid

    path = tmp_path / "empty.nii.gz"
    write(LabelMap(np.zeros((8, 8, 8), np.uint8), Grid.from_spacing((8, 8, 8), (1, 1, 1)), Labels.of({"a": 1})), path)
    assert main(["render", str(path), "-o", str(tmp_path / "a.png"), "--labels", "a=1"]) == 1
    assert "nothing to draw" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["full.png", "full.gif"])
def test_a_full_disk_leaves_no_part_of_a_picture(two, name, tmp_path):
    """By the limit on the size of files: the system refuses to write further."""
    code = """
        import resource, sys
        from vesalius.cli import main
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        sys.exit(main(["render", *sys.argv[1:], "--size", "200x160"]))
    """
    run = [sys.executable, "-c", textwrap.dedent(code), two, "-o", str(tmp_path / name)]
    run += ["--frames", "2"] if name.endswith(".gif") else []
    done = subprocess.run(run, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "larger than files may be here" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["two.ply"]
