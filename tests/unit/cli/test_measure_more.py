"""``vesalius measure --circumference`` and ``--end-systole``; ``--pixel-size`` of pictures."""

import csv
import json
import math

import numpy as np
import pytest

from vesalius.image import Grid, LabelMap, Labels
from vesalius.io import read, write

HEART = Labels.of({"myocardium": 1, "left ventricle": 2})


@pytest.fixture
def head(tmp_path):
    """A circle 100 pixels across, as a PNG."""
    far = np.linalg.norm(np.indices((160, 140)).T - (70, 60), axis=-1).T
    write(
        LabelMap((far < 50).astype(np.uint8), Grid((160, 140), np.eye(3)), Labels.of({"head": 1})), tmp_path / "h.png"
    )
    return tmp_path / "h.png"


@pytest.fixture
def beat(tmp_path):
    """A ventricle of 40 ml and of 16 ml, each in a file."""
    for name, voxels in (("ed", 1000), ("es", 400)):
        array = np.zeros((20, 20, 5), np.uint8)
        array.reshape(-1)[:voxels] = 2
        array.reshape(-1)[-10:] = 1
        write(LabelMap(array, Grid.from_spacing(array.shape, (2.0, 2.0, 10.0)), HEART), tmp_path / f"{name}.nii.gz")
    return tmp_path / "ed.nii.gz", tmp_path / "es.nii.gz"


def test_a_circumference_needs_a_scale_and_takes_the_pixels(head, told, printed, tmp_path):
    (size,) = told("measure", head, "--circumference", "--pixel-size", "0.2", "-o", tmp_path / "t.csv")["sizes"]
    assert size["circumference_mm"] == pytest.approx(math.pi * 20, rel=0.005)
    assert size["long_axis_mm"] == pytest.approx(20, rel=0.02)
    with (tmp_path / "t.csv").open(encoding="utf-8") as file:
        assert float(next(csv.DictReader(file))["circumference_mm"]) == size["circumference_mm"]
    assert "around, mm" in printed("measure", head, "--circumference", "--pixel-size", "0.2")
    (of_1_mm,) = told("measure", head, "--circumference", "--pixel-size", "1")["sizes"]
    assert of_1_mm["circumference_mm"] == pytest.approx(5 * size["circumference_mm"])
    assert "no scale" in printed("measure", head, "--circumference", code=1)
    assert "above 0" in printed("measure", head, "--pixel-size", "0", code=1)
    assert told("measure", head, "--pixel-size", "0.2")["sizes"][0]["circumference_mm"] is None


def test_convert_gives_a_picture_its_scale(head, told, printed, tmp_path):
    told("convert", head, tmp_path / "h.nii.gz", "--pixel-size", "0.2", "--labels", "head=1")
    (size,) = told("measure", tmp_path / "h.nii.gz", "--circumference")["sizes"]
    assert (size["name"], size["circumference_mm"]) == ("head", pytest.approx(math.pi * 20, rel=0.005))
    told("convert", head, tmp_path / "image.nii.gz", "--pixel-size", "0.2", "--to", "image")
    image = read(tmp_path / "image.nii.gz")
    assert (image.meta.calibrated, image.grid.spacing_mm) == (True, pytest.approx((0.2, 0.2)))
    again = ("convert", tmp_path / "image.nii.gz", tmp_path / "b.nii.gz", "--pixel-size", "0.3")
    assert "has a scale already" in printed(*again, code=1)


def test_an_ejection_fraction(beat, told, printed, tmp_path):
    arguments = ("measure", beat[0], "--end-systole", beat[1], "--cavity", "left ventricle")
    found = told(*arguments, "-o", tmp_path / "t.json")["ejection"]
    assert found == pytest.approx(
        {"end_diastolic_ml": 40, "end_systolic_ml": 16, "stroke_volume_ml": 24, "ejection_fraction_percent": 60}
    )
    assert json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))["ejection"] == found
    assert "stroke volume 24.0 ml, ejection fraction 60.0 %" in printed(*arguments)
    assert "ejection" not in told("measure", beat[0])


def test_what_is_wrong_with_a_beat(beat, printed, tmp_path):
    full, empty = beat
    assert "myocardium, left ventricle" in printed("measure", full, "--end-systole", empty, code=1)
    cavity = ("--cavity", "left ventricle")
    assert "exchanged" in printed("measure", empty, "--end-systole", full, *cavity, code=1)
    assert "wants --end-systole" in printed("measure", full, *cavity, code=1)
    assert "no such file" in printed("measure", full, "--end-systole", tmp_path / "no.nii", *cavity, code=1)
    table = printed("measure", full, "--end-systole", empty, *cavity, "-o", tmp_path / "t.csv", code=1)
    assert ".json" in table
    assert not (tmp_path / "t.csv").exists()
