"""``vesalius render SURFACES -o view.html``."""

import json
import re

import numpy as np
import pytest
from bodies import ball, box

from vesalius.cli import main
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import write
from vesalius.mesh.files import write_mesh
from vesalius.mesh.painted import paint
from vesalius.report.view import page


def scene_of(path):
    return json.loads(re.search(r'id="scene">(.*?)</script>', path.read_text(encoding="utf-8"))[1])


@pytest.fixture
def mesh(tmp_path):
    write_mesh([box(name="chest", value=2), ball(4.0, name="heart", value=5)], tmp_path / "organs.glb")
    return str(tmp_path / "organs.glb")


def test_a_mesh_becomes_a_page(mesh, tmp_path, capsys):
    out = tmp_path / "view.html"
    how = ["--opacity", "chest=0.3", "--view", "left", "--perspective", "--zoom", "2", "--title", "A < B"]
    assert main(["render", mesh, "-o", str(out), *how, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["structures"] == ["chest", "heart"]
    assert told["triangles"] == 12 + len(ball(4.0).faces)
    assert told["size"] is None
    scene = scene_of(out)
    assert [(one["name"], one["opacity"]) for one in scene["structures"]] == [("chest", 0.3), ("heart", 1.0)]
    assert scene["first"] == {"axes": scene["views"]["left"], "perspective": True, "zoom": 2.0}
    assert "<title>A &lt; B</title>" in out.read_text(encoding="utf-8")


def test_a_label_map_becomes_a_page_and_its_empty_structures_are_named(tmp_path, capsys):
    array = np.zeros((12, 10, 10), np.uint8)
    array[2:8, 2:8, 2:8] = 1
    labels = LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 2)), Labels.of({"liver": 1}))
    write(labels, tmp_path / "smith_john.nii.gz")
    given = ["render", str(tmp_path / "smith_john.nii.gz"), "--labels", "liver=1,spleen=2"]
    assert main([*given, "-o", str(tmp_path / "view.html")]) == 0
    assert "nothing to see of: spleen" in capsys.readouterr().out
    assert [one["name"] for one in scene_of(tmp_path / "view.html")["structures"]] == ["liver"]
    assert (
        "smith" not in (tmp_path / "view.html").read_text(encoding="utf-8").lower()
    )  # what a file is called stays here


def test_values_at_vertices_go_into_the_page(tmp_path):
    surface = ball(10.0, name="liver")
    write_mesh([paint(surface, surface.vertices[:, 2], name="height", unit="mm")], tmp_path / "liver.ply")
    assert main(["render", str(tmp_path / "liver.ply"), "-o", str(tmp_path / "view.html")]) == 0
    scene = scene_of(tmp_path / "view.html")
    assert scene["scales"][0]["title"] == "height (mm)"
    assert scene["structures"][0]["low"] == pytest.approx(-10.0, abs=1e-5)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--size", "640x480"], "--size is of pictures"),
        (["--clip", "left"], "--clip is of pictures"),
        (["--frames", "4"], "--frames is of pictures"),
        (["--opacity", "liver=0.5"], "unknown structure"),
    ],
)
def test_what_a_page_does_not_have_is_refused(mesh, tmp_path, capsys, given, told):
    assert main(["render", mesh, "-o", str(tmp_path / "view.html"), *given]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "view.html").exists()


def test_a_picture_has_no_title(mesh, tmp_path, capsys):
    assert main(["render", mesh, "-o", str(tmp_path / "view.png"), "--title", "x"]) == 1
    assert "write an .html" in capsys.readouterr().err


def test_too_much_is_refused_with_advice(mesh, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(page, "LARGEST_TRIANGLES", 100)
    assert main(["render", mesh, "-o", str(tmp_path / "view.html")]) == 1
    assert "--max-error" in capsys.readouterr().err


def test_a_scan_goes_into_the_page_without_what_it_is_called(mesh, tmp_path, capsys):
    values = np.zeros((20, 20, 20), np.int16)
    values[10:] = 80
    grid = Grid.from_spacing(values.shape, (8.0, 8.0, 8.0), origin_mm=(-76.0,) * 3)
    write(Volume(values[None], grid), tmp_path / "smith_john.nii.gz")
    out = tmp_path / "view.html"
    given = ["render", mesh, "--image", str(tmp_path / "smith_john.nii.gz"), "-o", str(out)]
    assert main([*given, "--window", "200/50"]) == 0
    scan = scene_of(out)["scan"]
    assert scan["shape"] == [20, 20, 20]
    assert scan["window"] == [-50.0, 150.0]
    assert "smith" not in out.read_text(encoding="utf-8").lower()
    capsys.readouterr()
    far = Grid.from_spacing(values.shape, (8.0, 8.0, 8.0), origin_mm=(900.0,) * 3)
    write(Volume(values[None], far), tmp_path / "far.nii.gz")
    assert main(["render", mesh, "--image", str(tmp_path / "far.nii.gz"), "-o", str(tmp_path / "far.html")]) == 1
    assert "another patient's" in capsys.readouterr().err
    assert not (tmp_path / "far.html").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--image", "scan.nii.gz", "-o", "a.png"], "shown in a page"),
        (["--window", "lung", "-o", "view.html"], "name it with --image"),
        (["--channel", "1", "-o", "view.html"], "name it with --image"),
    ],
)
def test_a_scan_is_of_a_page_and_its_greys_of_a_scan(mesh, capsys, given, told):
    assert main(["render", mesh, *given]) == 1
    assert told in capsys.readouterr().err
