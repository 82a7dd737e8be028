"""From a label map to a printer by the command line: mesh files, DICOM, solids, proofs and their exit codes."""

import json

import numpy as np
import pytest
from hospital import complaints, phantom_hu, phantom_labels, write_ct

from vesalius.cli import main
from vesalius.image import Grid, LabelMap, Labels
from vesalius.io import write
from vesalius.io.dicom import read_model
from vesalius.mesh.files import read_mesh, stl

pytest.importorskip("manifold3d")


@pytest.fixture(scope="module")
def heart(tmp_path_factory):
    """A ventricle's wall around its blood."""
    grid = Grid.from_spacing((40, 36, 24), (1.0, 1.0, 1.5), origin_mm=(-90.0, 12.0, 300.0))
    away = np.linalg.norm((np.stack(np.indices(grid.shape), -1) - (20, 18, 12)) * (1, 1, 1.5), axis=-1)
    array = np.where(away < 8, 2, np.where(away < 14, 1, 0)).astype(np.uint8)
    path = tmp_path_factory.mktemp("heart") / "heart.nii.gz"
    write(LabelMap(array, grid, Labels.of({"wall": 1, "blood": 2})), path)
    return [str(path), "--labels", "wall=1,blood=2"]


def _said(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_mesh_files_by_the_command_line(heart, tmp_path, capsys):
    assert main(["mesh", *heart, "-o", str(tmp_path / "a.glb"), "--opacity", "wall=0.4", "--json"]) == 0
    assert _said(capsys)["files"] == ["a.glb"]
    assert [one.label.name for one in read_mesh(tmp_path / "a.glb")] == ["wall", "blood"]
    assert main(["mesh", *heart, "-o", str(tmp_path / "a.ply"), "--axes", "ras", "--json"]) == 0
    assert main(["mesh", *heart, "-o", str(tmp_path / "each"), "--each", "obj", "--json"]) == 0
    assert sorted(path.name for path in (tmp_path / "each").iterdir()) == [
        "blood.mtl",
        "blood.obj",
        "wall.mtl",
        "wall.obj",
    ]
    (glb, _), (ply, _) = read_mesh(tmp_path / "a.glb"), read_mesh(tmp_path / "a.ply")
    np.testing.assert_allclose(ply.bounds_mm, glb.bounds_mm, atol=0.01)  # turned around in the file, and back


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "a.step"], "surfaces are written as"),
        (["-o", "a.dcm"], "--source"),
        (["-o", "a.stl", "--source", "ct"], "ends in .dcm"),
        (["-o", "a.stl", "--each", "ply"], "for a folder"),
        (["-o", "folder", "--each", "step"], "--each must be one of"),
        (["-o", "a.glb", "--opacity", "wall"], "like liver=0.3"),
        (["-o", "a.glb", "--opacity", "hall=0.5"], "unknown structure 'hall'"),
    ],
)
def test_what_mesh_refuses(heart, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["mesh", *heart, *arguments, "--json"]) == 1
    assert message in _said(capsys)["error"]["message"]
    assert not list(tmp_path.iterdir())


def test_a_surface_goes_to_the_study_of_its_series(tmp_path, capsys):
    labels = phantom_labels()
    write(labels, tmp_path / "seg.nii.gz")
    series = write_ct(tmp_path / "ct", labels.grid, phantom_hu(labels))
    named = ",".join(f"{label.name.replace(' ', '_')}={label.value}" for label in labels.labels.labels)
    assert main(["mesh", str(tmp_path / "seg.nii.gz"), "--labels", named, "-o", str(tmp_path / "a.dcm"), "--source",
                 str(series), "--json"]) == 0  # fmt: skip
    told = _said(capsys)
    (again,) = stl.decode(read_model(tmp_path / "a.dcm"), tmp_path / "a.dcm")
    assert again.volume_ml == pytest.approx(sum(one["volume_ml"] for one in told["surfaces"]), rel=1e-4)
    assert complaints(tmp_path / "a.dcm") == []


def test_a_solid_is_cut_hollowed_and_proven(heart, tmp_path, capsys):
    out = tmp_path / "parts.3mf"
    wanted = [
        "--unite",
        "--scale",
        "0.9",
        "--base",
        "--cut",
        "axial=0.6",
        "--hollow",
        "1.5",
        "--build-volume",
        "250,210,210",
    ]
    assert main(["print", *heart, *wanted, "--printable", "-o", str(out), "--json"]) == 0
    told = _said(capsys)
    assert told["printable"]
    assert told["drains"] >= told["cavities"] >= 2
    assert [solid["name"] for solid in told["solids"]] == ["model, part 1", "model, part 2"]
    parts = read_mesh(out)
    assert [part.label.name for part in parts] == ["model, part 1", "model, part 2"]
    for part, solid in zip(parts, told["solids"], strict=True):
        assert part.volume_ml == pytest.approx(solid["volume_cm3"], rel=1e-5)
        assert part.bounds_mm[0][2] == pytest.approx(0, abs=1e-5)


def test_what_cannot_be_printed_is_told_and_not_written(heart, tmp_path, capsys):
    thin = ["--structure", "wall", "--least-wall", "50"]
    assert main(["print", *heart, *thin, "--printable", "-o", str(tmp_path / "a.stl"), "--json"]) == 1
    told = _said(capsys)
    assert not told["printable"]
    assert told["files"] == []
    assert "less than 50 mm" in told["solids"][0]["problems"][0]
    assert not (tmp_path / "a.stl").exists()
    # Without --printable it is written, and said all the same.
    assert main(["print", *heart, *thin, "-o", str(tmp_path / "a.stl")]) == 0
    caught = capsys.readouterr()
    assert "thinnest wall" in caught.err
    assert "written to" in caught.out
    # A mesh with a hole.
    whole = (tmp_path / "a.stl").read_bytes()
    count = int.from_bytes(whole[80:84], "little")
    (tmp_path / "hole.stl").write_bytes(whole[:80] + (count - 1).to_bytes(4, "little") + whole[84:-50])
    assert main(["print", str(tmp_path / "hole.stl"), "--printable"]) == 1
    assert "not watertight: 3 edges" in capsys.readouterr().err
    assert main(["print", str(tmp_path / "hole.stl"), "-o", str(tmp_path / "b.stl"), "--json"]) == 1
    assert "encloses no solid" in _said(capsys)["error"]["message"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 1),
        (["--printable", "--fit"], 1),
        (["-o", "a.step"], 1),
        (["-o", "a.stl", "--cut", "oblique"], 2),
        (["-o", "a.stl", "--cut", "axial=2"], 2),
        (["-o", "a.stl", "--build-volume", "250,210"], 2),
        (["-o", "a.stl", "--scale", "-1"], 1),
        (["-o", "a.stl", "--connectors", "2"], 1),
        (["-o", "a.stl", "--structure", "hall"], 1),
    ],
)
def test_wrong_use_of_print(heart, tmp_path, capsys, monkeypatch, arguments, code):
    monkeypatch.chdir(tmp_path)
    assert main(["print", *heart, *arguments]) == code
    capsys.readouterr()
    assert not list(tmp_path.iterdir())
