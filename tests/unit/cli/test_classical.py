"""``vesalius classical``: methods by name, on images of all kinds."""

import json

import numpy as np
import pytest

from vesalius.classical import METHODS
from vesalius.image import Grid, Meta, Volume
from vesalius.io import read_labels, write


@pytest.fixture
def ct(tmp_path):
    array = np.full((1, 6, 6, 4), -50, np.int16)
    array[0, 2:4, 2:4, 1:3] = 400
    write(Volume(array, Grid.from_spacing((6, 6, 4), (1, 1, 2.5)), Meta("CT", "HU")), tmp_path / "ct.nii.gz")
    return tmp_path / "ct.nii.gz"


def test_a_volume(ct, tmp_path, told, printed):
    done = told("classical", "threshold", ct, "-o", tmp_path / "bone.nii.gz", "--above", "-10")
    assert done["method"] == "threshold"
    assert done["labels"] == [{"name": "foreground", "value": 1, "voxels": 8, "volume_ml": pytest.approx(0.02)}]
    found = read_labels(tmp_path / "bone.nii.gz")
    assert found.counts() == {0: 136, 1: 8}
    assert found.grid.is_close(Grid.from_spacing((6, 6, 4), (1, 1, 2.5)))
    assert "8 voxels   0.02 ml" in printed("classical", "threshold", ct, "-o", tmp_path / "b.nrrd", "--above", "9")


@pytest.mark.parametrize(("channel", "voxels"), [("0", 4), ("1", 0), ("luminance", 4), ("mean", 4)])
def test_a_picture_in_colour(channel, voxels, tmp_path, told):
    array = np.zeros((3, 5, 5), np.uint8)
    array[0, :2, :2] = 200
    write(Volume(array, Grid((5, 5), np.eye(3)), Meta("RGB", calibrated=False)), tmp_path / "a.png")
    arguments = ("classical", "threshold", tmp_path / "a.png", "-o", tmp_path / "b.png", "--above", 30)
    done = told(*arguments, "--channel", channel)
    assert done["labels"] == [{"name": "foreground", "value": 1, "voxels": voxels}]  # no scale, no area
    assert "--channel" in told(*arguments, code=1)["error"]["message"]
    assert "Known: luminance, mean" in told(*arguments, "--channel", "red", code=1)["error"]["message"]


def test_wrong_use(ct, tmp_path, printed, told):
    assert "invalid choice: 'otzu'" in printed("classical", "otzu", ct, "-o", tmp_path / "x.png", code=2)
    assert "METHOD" in printed("classical", code=2)
    assert "-o" in printed("classical", "threshold", ct, code=2)
    message = told("classical", "threshold", ct, "-o", tmp_path / "x.nii.gz", code=1)["error"]["message"]
    assert message == "threshold needs above, below or both, or a tissue"
    assert not (tmp_path / "x.nii.gz").exists()


def test_the_help_lists_every_method(printed):
    words = printed("classical", "--help")
    assert [name for name in METHODS if f"\n  {name} " not in words] == []
    assert "thresholds:" in words


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_help(name, printed):
    assert f"options of {name}" in printed("classical", name, "--help")


def test_seeds_come_from_a_text_or_a_file(ct, tmp_path, told, printed):
    text = "bone=2,2,1; background=0,0,0; background=5,5,3"
    arguments = ("classical", "graph-cut", ct, "-o", tmp_path / "bone.nii.gz", "--seeds")
    done = told(*arguments, text)
    assert [(row["name"], row["voxels"]) for row in done["labels"]] == [("bone", 8)]
    entries = [{"name": "bone", "points": [[2, 2, 2.5]]}, {"name": "background", "line": [[0, 0, 0], [5, 0, 0]]}]
    points = [{**e, **{k: [[-x, -y, z] for x, y, z in e[k]] for k in e if k != "name"}} for e in entries]
    # Points are LPS: where x and y have the other sign, they lie outside.
    for name, space, seeds in (("mm", "mm", entries), ("mirrored", "mm", points)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"space": space, "seeds": seeds}))
    assert told(*arguments, tmp_path / "mm.json")["labels"] == done["labels"]
    assert "outside the image" in told(*arguments, tmp_path / "mirrored.json", code=1)["error"]["message"]
    assert "lies outside" in told(*arguments, "bone=2,2,99; background=0,0,0", code=1)["error"]["message"]
    assert "--seeds" in printed(*arguments[:-1], code=2)


@pytest.mark.parametrize("method", ["otsu", "watershed", "niblack"])
def test_images_that_cannot_be(method, tmp_path, told):
    np.save(tmp_path / "nan.npy", np.array([[1.0, np.nan]]))
    np.save(tmp_path / "many.npy", np.zeros((2, 2, 2, 2, 2)))
    for name, words in (("nan.npy", "NaN"), ("many.npy", "many.npy"), ("none.npy", "cannot be read")):
        done = told("classical", method, tmp_path / name, "-o", tmp_path / "x.nii.gz", code=1)
        assert words in done["error"]["message"]
