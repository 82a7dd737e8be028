"""Meshes of other programs by the command line: repaired, smoothed, simplified, converted."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import trimesh
from bodies import ball, box, flipped

from vesalius.cli import main
from vesalius.io import read_labels
from vesalius.mesh.files import read_mesh, write_mesh
from vesalius.mesh.surface import Surface


def told(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def broken(tmp_path):
    """A ball with a hole, and with some faces turned."""
    whole = ball(10.0, steps=24, name="heart")
    faces = np.delete(whole.faces, [100, 101, 300], axis=0)
    faces[50:60] = faces[50:60][:, ::-1]
    path = tmp_path / "heart.stl"
    write_mesh([Surface(whole.vertices, faces, whole.label)], path)
    return path


def test_a_broken_mesh_is_refused_until_it_is_repaired(broken, tmp_path, capsys):
    out = str(tmp_path / "out.stl")
    assert main(["mesh", str(broken), "-o", out]) == 1
    assert "--repair mends it" in capsys.readouterr().err
    assert main(["mesh", str(broken), "-o", out, "--repair", "--json"]) == 0

    (row,) = told(capsys)["surfaces"]
    assert (row["sound"], row["name"]) == (True, "heart")
    assert row["repaired"]["turned_faces"] == 10
    assert row["repaired"]["filled_holes"] in (2, 3)
    assert row["repaired"]["resolved"] == "none"
    assert row["volume_ml"] == pytest.approx(ball(10.0, steps=24).volume_ml, rel=0.01)
    assert trimesh.load_mesh(out).is_watertight
    if shutil.which("admesh"):
        said = subprocess.run(["admesh", out], capture_output=True, text=True, check=True).stdout
        counts = dict(re.findall(r"^([A-Z][\w ]+?)\s*:\s+(\d+)", said, re.MULTILINE))
        assert {counts[key] for key in ("Edges fixed", "Facets added", "Facets reversed", "Facets removed")} == {"0"}

    assert main(["mesh", str(broken), "-o", str(tmp_path / "told.3mf"), "--repair"]) == 0
    assert "10 faces turned" in capsys.readouterr().out
    assert main(["mesh", out, "-o", str(tmp_path / "same.ply"), "--repair"]) == 0
    assert "was sound" in capsys.readouterr().out


def test_a_mesh_is_smoothed_simplified_and_converted(tmp_path, capsys, rng):
    whole = ball(20.0, name="liver", value=4)
    rough = Surface(whole.vertices * rng.normal(1, 0.004, (len(whole.vertices), 1)), whole.faces, whole.label)
    write_mesh([rough], tmp_path / "rough.3mf")
    for method in ("taubin", "sinc"):
        out = tmp_path / f"{method}.glb"
        given = ["--smooth", method, "--smoothing-steps", "30", "--max-error", "0.1", "--json"]
        assert main(["mesh", str(tmp_path / "rough.3mf"), "-o", str(out), *given]) == 0
        (row,) = told(capsys)["surfaces"]
        assert (row["sound"], row["name"], row["value"]) == (True, "liver", 4)
        assert row["volume_ml"] == pytest.approx(rough.volume_ml, rel=0.005)
        assert row["faces"] < 0.8 * len(rough.faces)
        (again,) = read_mesh(out)
        assert np.linalg.norm(again.vertices, axis=1).std() < 0.7 * np.linalg.norm(rough.vertices, axis=1).std()


def test_neighbours_in_one_file_keep_their_wall(tmp_path, capsys):
    left = box((8, 8, 8), name="left", value=1)
    right = box((8, 8, 8), centre_mm=(8, 0, 0), name="right", value=2)
    write_mesh([left, right], tmp_path / "two.3mf")
    given = ["--smooth", "taubin", "--structure", "right", "--structure", "left"]
    assert main(["mesh", str(tmp_path / "two.3mf"), "-o", str(tmp_path / "out.ply"), *given, "--json"]) == 0

    assert [row["volume_ml"] for row in told(capsys)["surfaces"]] == pytest.approx([0.512, 0.512], rel=0.005)
    one, other = read_mesh(tmp_path / "out.ply")
    shared = {tuple(p) for p in one.vertices.tolist()} & {tuple(p) for p in other.vertices.tolist()}
    assert len(shared) == 4


def test_labels_are_smoothed_freely_on_request(shared_data, tmp_path, capsys):
    source = shared_data / "spine_samples/vertebra_ct/sub-ct_seg-vert_label-22_msk.nii.gz"
    if not source.is_file():
        pytest.skip("the vertebrae are not here")
    labels = read_labels(source)
    given = ["--smooth", "sinc", "--json"]
    assert main(["mesh", str(source), "-o", str(tmp_path / "out"), *given]) == 0
    for row in told(capsys)["surfaces"]:
        voxels = labels.counts()[row["value"]] * labels.grid.voxel_volume_mm3 / 1000
        assert row["sound"]
        assert row["volume_ml"] == pytest.approx(voxels, rel=0.005)
        assert row["repaired"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--smoothing-steps", "5"], "say with --smooth"),
        (["--labels", "a=1"], "for label maps"),
        (["--largest-hole", "5"], "for --repair"),
        (["--repair", "--largest-hole", "0.1"], "mm across"),
        (["--structure", "haert"], "did you mean 'heart'"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_written(broken, tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main(["mesh", str(broken), "-o", "a.stl", *arguments]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "a.stl").exists()


def test_labels_are_not_repaired_and_cavities_come_through(tmp_path, capsys):
    write_mesh([ball(9.0, steps=24, name="shell")], tmp_path / "a.ply")
    outer, inner = ball(9.0, steps=24), flipped(ball(4.0, steps=12))
    both = Surface(
        np.concatenate([outer.vertices, inner.vertices]),
        np.concatenate([outer.faces[3:], inner.faces + len(outer.vertices)]),
        outer.label,
    )
    write_mesh([both], tmp_path / "b.stl")
    assert main(["mesh", str(tmp_path / "b.stl"), "-o", str(tmp_path / "c.stl"), "--repair", "--json"]) == 0
    assert told(capsys)["surfaces"][0]["pieces"] == 2
    assert main(["mesh", "labels.nii.gz", "-o", str(tmp_path / "d.stl"), "--repair"]) == 1
    assert "is sound" in capsys.readouterr().err
