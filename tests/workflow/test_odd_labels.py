"""Labels that are empty, one voxel, cut by the image's border, or thousands of islands: measured, meshed, printed."""

import json
from pathlib import Path

import numpy as np
import pytest
from hospital import complaints, write_ct

from vesalius.cli import main
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import write
from vesalius.io.dicom import read_report

LABELS = Labels.of({"a": 1, "b": 2}, regions={"both": (1, 2)})
SPACING = (1.0, 1.2, 2.4)
PLANES = {"organ": "both", "planes": {"middle": {"point_mm": [5, 5, 5], "normal": [1, 0, 0]}}}
EVERYTHING = ["--shape", "--mesh", "--statistics", "--active-above", "41%", "--thickness", "--soft-edge", "--distance"]
EVERYTHING += ["a", "b", "--tubes", "a", "--tubes", "both", "--planes", "planes.json"]


def _half_a_ball():
    at = np.moveaxis(np.indices((24, 20, 10)), 0, -1) * SPACING - (0, 12, 23)  # its centre on an edge of the image
    far = np.linalg.norm(at, axis=-1)
    return (far < 11).astype(int) + (far < 6)


def _single(*place):
    array = np.zeros((9, 8, 7), int)
    array[place] = 1
    return array


def _islands():
    array = np.zeros((66, 66, 66), int)
    array[::3, ::3, ::3] = 1
    array[33:] *= 2
    return array


CASES = {
    "empty": np.zeros((9, 8, 7), int),
    "one voxel": _single(4, 3, 3),
    "one voxel in a corner": _single(0, 7, 0),
    "one slice": _single(slice(None), slice(None), 3),
    "a line": _single(slice(2, 7), 3, 3),
    "the whole image": np.ones((9, 8, 7), int),
    "half a ball": _half_a_ball(),
}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Write a label map with an image and probabilities beside it; a verb's answer, strict JSON."""
    monkeypatch.chdir(tmp_path)

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    def tell(*arguments, code=0):
        capsys.readouterr()
        assert main([*map(str, arguments), "--json"]) == code
        return json.loads(capsys.readouterr().out, parse_constant=refuse)

    return tell


def _write(array, *, spacing=SPACING):
    grid = Grid.from_spacing(array.shape, spacing)
    write(LabelMap(array.astype(np.uint8), grid, LABELS), "labels.npz")
    noise = np.random.default_rng(0).normal(100, 5, array.shape)
    write(Volume((noise + 80 * array)[None].astype(np.float32), grid, Meta("CT", "HU")), "image.npz")
    write(Volume(np.stack([array == value for value in range(3)]).astype(np.float32), grid), "chances.npz")
    Path("planes.json").write_text(json.dumps(PLANES))
    return grid


@pytest.mark.parametrize("case", CASES)
def test_measured(run, case):
    array = CASES[case]
    grid = _write(array)
    command = ["measure", "labels.npz", "--image", "image.npz", "--probabilities", "chances.npz", *EVERYTHING]
    found = run(*command)
    rows = {row["name"]: row for row in found["sizes"]}
    assert set(rows) >= {"a", "b", "both"}
    for name, members in (("a", [1]), ("b", [2]), ("both", [1, 2])):
        row, count = rows[name], int(np.isin(array, members).sum())
        volume = count * grid.voxel_volume_mm3 / 1000
        assert (row["voxels"], row["volume_ml"]) == (count, pytest.approx(volume))
        assert row["expected_volume_ml"] == pytest.approx(volume, rel=1e-6)
        if not count:
            known = {
                key for key, value in row.items() if value not in (None, 0) and key not in ("name", "value", "unit")
            }
            assert known == set(), name
            continue
        # What lies in one thick slice alone ends before the slice does; all else keeps its volume.
        least = 0.3 if "slice" in case or "voxel" in case or "line" in case else 0.85
        assert least * volume < row["smooth_volume_ml"] < 1.4 * volume
        assert 0 < row["sphericity"] <= 1
        assert row["minimum"] <= row["percentile_5"] <= row["median"] <= row["maximum"]
        assert row["largest_thickness_mm"] >= min(SPACING) - 1e-6
        assert row["long_axis_mm"] >= row["short_axis_mm"] > 0
    both = "half" in case
    assert (found["distances"][0]["distance_mm"] == 0) if both else (found["distances"][0]["distance_mm"] is None)
    assert run(*command, "-o", "all.csv")["sizes"] == found["sizes"]


def test_reported(run, tmp_path):
    """What is empty is not in a report; there is none of nothing."""
    grid = _write(CASES["one voxel"])
    write_ct(tmp_path / "ct", grid, np.full(grid.shape, 100, np.int16))
    command = ["measure", "labels.npz", "--image", "image.npz", *EVERYTHING, "--source", "ct", "-o", "sr.dcm"]
    run(*command)
    # In slices of 2.4 mm a voxel is a rod.
    names = ["a", "both", "both: -middle", "a: branch 1", "both: branch 1"]
    assert [size.name for size in read_report("sr.dcm")] == names
    assert complaints(tmp_path / "sr.dcm") == []
    _write(CASES["empty"])
    assert "at least one measurement" in run(*command[:-1], "none.dcm", code=1)["error"]["message"]
    assert not (tmp_path / "none.dcm").exists()


@pytest.mark.parametrize("case", CASES)
def test_meshed_and_printed(run, case):
    array = CASES[case]
    _write(array)
    if not array.any():
        assert "no voxel" in run("mesh", "labels.npz", "-o", "a.stl", code=1)["error"]["message"]
        assert "nothing to print" in run("print", "labels.npz", "-o", "b.stl", code=1)["error"]["message"]
        return
    found = run("mesh", "labels.npz", "-o", "a.3mf", "--slices", "keep")
    assert [row["name"] for row in found["surfaces"]] == [
        name for name, k in (("a", 1), ("b", 2)) if (array == k).any()
    ]
    volumes = [(array == row["value"]).sum() * np.prod(SPACING) / 1000 for row in found["surfaces"]]
    # The inner part of the half ball has 77 voxels, and the image's border holds it on two sides: it loses 1.2 %.
    near = 0.015 if case == "half a ball" else 0.005
    assert [row["volume_ml"] for row in found["surfaces"]] == pytest.approx(volumes, rel=near)
    assert all(row["sound"] for row in found["surfaces"])
    printed = run("print", "a.3mf", "-o", "b.stl")
    assert sum(one["volume_cm3"] for one in printed["solids"]) == pytest.approx(sum(volumes), rel=near)


def test_ten_thousand_islands(run):
    array = _islands()
    grid = _write(array, spacing=(1.0, 1.0, 1.0))
    command = ["measure", "labels.npz", "--image", "image.npz", "--probabilities", "chances.npz", *EVERYTHING]
    found = run(*command)
    rows = {row["name"]: row for row in found["sizes"]}
    assert rows["both"]["voxels"] == 22**3 == 10_648
    assert rows["both"]["smooth_volume_ml"] == pytest.approx(10.648 * grid.voxel_volume_mm3, rel=0.005)
    assert rows["both"]["longest_diameter_mm"] == pytest.approx(63 * np.sqrt(3), abs=1)
    assert rows["a"]["largest_thickness_mm"] == pytest.approx(1)
    assert (rows["a"]["long_axis_mm"], rows["a"]["short_axis_mm"]) == pytest.approx((1, 1))  # of one island
    assert found["branches"] == []
    assert found["distances"][0]["distance_mm"] == pytest.approx(2)
    found = run("mesh", "labels.npz", "-o", "a.3mf")
    assert [(row["pieces"], row["sound"]) for row in found["surfaces"]] == [(5324, True)] * 2
    printed = run("print", "labels.npz", "--printable")
    assert (printed["printable"], [one["name"] for one in printed["solids"]]) == (True, ["a", "b"])
