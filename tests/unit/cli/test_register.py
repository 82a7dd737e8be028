"""The verb: what it writes, what it says, what it refuses."""

import json

import numpy as np
import pytest
from scipy import ndimage

from vesalius.cli import main
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import read, read_labels, write

pytest.importorskip("SimpleITK")


@pytest.fixture
def pictures(tmp_path):
    """An image, the same 6 mm and 4 mm away with a label map on it, and where the label belongs."""
    x, y, z = np.indices((32, 36, 24))
    head = 60.0 * ((x - 15) ** 2 / 144 + (y - 18) ** 2 / 225 + (z - 12) ** 2 / 100 < 1)
    head[18:22, 10:16, 8:13] = 120
    head[8:12, 20:23, 12:16] = 30
    head = ndimage.gaussian_filter(head, 0.7)[None].astype(np.float32)
    here = Grid.from_spacing((32, 36, 24), (2.0, 2.0, 2.0))
    there = Grid.from_spacing((32, 36, 24), (2.0, 2.0, 2.0), origin_mm=(6.0, -4.0, 0.0))
    write(Volume(head, here, Meta("MR")), tmp_path / "fixed.nii.gz")
    write(Volume(head, there, Meta("MR")), tmp_path / "moving.nii.gz")
    drawn = (head[0] > 100).astype(np.uint8)
    write(LabelMap(drawn, there, Labels.of({"lesion": 1})), tmp_path / "lesion.nii.gz")
    return tmp_path, drawn


def test_image_labels_and_map_are_written(pictures, capsys):
    folder, drawn = pictures
    names = {name: str(folder / f"{name}.nii.gz") for name in ("moving", "fixed", "out", "lesion", "there", "again")}
    told = ["register", names["moving"], names["fixed"], "-o", names["out"], "--kind", "rigid", "--json"]
    labels = ["--labels", names["lesion"], names["there"]]
    assert main([*told, *labels, "--save-transform", str(folder / "map.txt")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert np.allclose(np.array(said["matrix"])[:3, 3], (6, -4, 0), atol=0.1)
    assert said["after"] > said["before"]
    assert said["doubts"] == []
    assert np.abs(read(names["out"]).array - read(names["fixed"]).array).max() < 5
    assert np.array_equal(read_labels(names["there"]).array, drawn)
    assert read(names["out"]).grid == read(names["fixed"]).grid
    # What was found is applied again without a search.
    command = ["register", names["moving"], names["fixed"], "-o", names["again"]]
    assert main([*command, "--transform", str(folder / "map.txt")]) == 0
    assert np.array_equal(read(names["again"]).array, read(names["out"]).array)
    assert "written to" in capsys.readouterr().out


def test_labels_of_another_image_are_refused(pictures, capsys):
    folder, _ = pictures
    fixed = str(folder / "fixed.nii.gz")
    command = ["register", fixed, fixed, "-o", str(folder / "out.nii.gz")]
    assert main([*command, "--labels", str(folder / "lesion.nii.gz"), str(folder / "there.nii.gz")]) == 1
    assert "another grid than MOVING" in capsys.readouterr().err
    assert not (folder / "out.nii.gz").exists()
