"""Surfaces by the command line, from real segmentations, judged by programs of others."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import trimesh

from vesalius.cli import main
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import write

REAL = {
    "vertebrae": "spine_samples/vertebra_ct/sub-ct_seg-vert_label-22_msk.nii.gz",
    "heart": "acdc_cine_mr/patient061/patient061_frame01_gt.nii.gz",
}


def told(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def two(tmp_path):
    array = np.zeros((14, 12, 10), np.uint8)
    array[2:7, 2:10, 2:8], array[7:12, 2:10, 2:8] = 1, 2
    path = tmp_path / "two.nii.gz"
    write(LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 1.5)), Labels.of({"liver": 1, "spleen": 2})), path)
    return path


def test_structures_become_files_and_a_table(two, tmp_path, capsys):
    assert main(["mesh", str(two), "-o", str(tmp_path / "out"), "--json"]) == 0

    found = told(capsys)
    assert found["files"] == ["liver.stl", "spleen.stl"]
    assert [row["volume_ml"] for row in found["surfaces"]] == pytest.approx([0.36, 0.36], rel=0.005)
    for row in found["surfaces"]:
        assert (row["sound"], row["self_intersections"], row["manifold3d"], row["genus"]) == (True, 0, "NoError", 0)
        mesh = trimesh.load_mesh(tmp_path / "out" / f"{row['name']}.stl")
        assert mesh.is_watertight
        assert mesh.volume / 1000 == pytest.approx(row["volume_ml"], rel=1e-5)

    one = str(tmp_path / "one.3mf")
    assert main(["mesh", str(two), "-o", one, "--structure", "spleen", "--max-error", "0.1"]) == 0
    assert "spleen" in capsys.readouterr().out
    names = ["--labels", "left=1,right=2,none=3", "--no-check", "--smoothing-steps", "0", "--slices", "keep"]
    assert main(["mesh", str(two), "-o", str(tmp_path / "named"), *names, "--json"]) == 0
    found = told(capsys)
    assert ([row["sound"] for row in found["surfaces"]], found["empty"]) == ([None, None], ["none"])


def test_probabilities_move_the_surface_between_voxels(tmp_path, capsys):
    likely = np.clip((9.8 - np.arange(16)) / 8 + 0.5, 0, 1)[:, None, None] * np.ones((1, 6, 6))
    grid = Grid.from_spacing(likely.shape, (1, 1, 1))
    write(LabelMap(likely > 0.5, grid, Labels.of({"half": 1})), tmp_path / "labels.nii.gz")
    write(Volume(np.stack([1 - likely, likely]).astype(np.float32), grid), tmp_path / "likely.nii.gz")
    given = ["--probabilities", str(tmp_path / "likely.nii.gz")]
    assert main(["mesh", str(tmp_path / "labels.nii.gz"), "-o", str(tmp_path / "out"), *given, "--json"]) == 0

    assert told(capsys)["surfaces"][0]["volume_ml"] == pytest.approx(36 * 10.3 / 1000, rel=0.002)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-o", "a.xyz"], "written as"),
        (["-o", "a.stl", "--structure", "livre"], "did you mean 'liver'"),
        (["-o", "a.stl", "--max-error", "-1"], "0 mm or more"),
        (["-o", "a.stl", "--smoothing-steps", "-1"], "0 to 1000"),
        (["-o", "a.stl", "--labels", "liver=1,spleen=2,air=3", "--structure", "air"], "no voxel of air"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_written(two, tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert main(["mesh", str(two), *arguments]) == 1
    assert words in capsys.readouterr().err
    assert not list(tmp_path.glob("a.*"))


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("max_error", ["0", "0.2"])
def test_real_segmentations_pass_the_programs_of_printers(shared_data, tmp_path, capsys, name, max_error):
    out = tmp_path / "out"
    source = shared_data / REAL[name]
    if not source.is_file():
        pytest.skip(f"{REAL[name]} is not here")
    assert main(["mesh", str(source), "-o", str(out), "--max-error", max_error, "--json"]) == 0

    found = told(capsys)
    assert len(found["files"]) == 3
    assert all(row["sound"] for row in found["surfaces"])
    for file in found["files"]:
        mesh = trimesh.load_mesh(out / file)
        assert mesh.is_watertight
        assert mesh.is_winding_consistent
        assert mesh.is_volume
    if shutil.which("admesh"):
        for file in found["files"]:
            said = subprocess.run(["admesh", out / file], capture_output=True, text=True, check=True).stdout
            counts = dict(re.findall(r"^([A-Z][\w ]+?)\s*:\s+(\d+)", said, re.MULTILINE))
            keys = ("Degenerate facets", "Edges fixed", "Facets removed", "Facets added", "Facets reversed")
            assert {key: counts[key] for key in keys} == dict.fromkeys(keys, "0"), file
    if shutil.which("prusa-slicer"):
        for file in found["files"]:
            info = subprocess.run(["prusa-slicer", "--info", out / file], capture_output=True, text=True, check=True)
            assert "manifold = yes" in info.stdout
