"""``vesalius measure``: tables and reports, through the command line."""

import csv
import json

import numpy as np
import pytest
from hospital import phantom_hu, phantom_labels, write_ct

from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import write
from vesalius.io.dicom import read_origin, read_report, write_rtstruct, write_seg


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A CT series, and its labels as NIfTI, SEG and structure set."""
    folder = tmp_path_factory.mktemp("study")
    labels = phantom_labels()
    write_ct(folder / "ct", labels.grid, phantom_hu(labels))
    origin = read_origin(folder / "ct")
    write_seg(labels, folder / "seg.dcm", origin)
    write_rtstruct(labels, folder / "rs.dcm", origin)
    write(labels, folder / "labels.nii.gz")
    return folder


@pytest.mark.parametrize("name", ["labels.nii.gz", "seg.dcm", "rs.dcm"])
def test_all_formats_of_labels_measure_the_same(study, told, name):
    labels = phantom_labels()
    sizes = told("measure", study / name, "--image", study / "ct")["sizes"]
    assert [row["name"] for row in sizes] == list(labels.labels.names)
    assert [row["voxels"] for row in sizes] == [labels.counts().get(value, 0) for value in labels.labels.values]
    liver = sizes[1]
    assert liver["volume_ml"] == pytest.approx(labels.counts()[2] * labels.grid.voxel_volume_mm3 / 1000)
    assert liver["mean"] == pytest.approx(phantom_hu(labels)[labels.array == 2].mean())
    assert (liver["unit"], sizes[4]["mean"], sizes[4]["long_axis_mm"]) == ("HU", None, None)


def test_tables_and_reports_say_what_is_printed(study, told, printed, tmp_path):
    shown = printed("measure", study / "seg.dcm", "--image", study / "ct", "-o", tmp_path / "sizes.csv")
    assert "mean, HU" in shown
    assert "left lung" in shown
    with (tmp_path / "sizes.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    told_sizes = told("measure", study / "seg.dcm", "--image", study / "ct", "-o", tmp_path / "sizes.json")["sizes"]
    saved = json.loads((tmp_path / "sizes.json").read_text(encoding="utf-8"))
    assert saved["sizes"] == told_sizes
    assert saved["provenance"]["labels"] == "seg.dcm"
    report = ("-o", tmp_path / "sr.dcm", "--source", study / "ct")
    told("measure", study / "seg.dcm", "--image", study / "ct", *report)
    reported = read_report(tmp_path / "sr.dcm")
    for row, cells, size in zip(told_sizes, table, reported, strict=False):
        assert float(cells["volume_ml"]) == row["volume_ml"]
        assert size.volume_ml == pytest.approx(row["volume_ml"])
        assert size.value == row["value"]  # the number of its segment
    told("measure", study / "rs.dcm", *report)
    assert [size.value for size in read_report(tmp_path / "sr.dcm")] == [None] * 4
    told("measure", study / "rs.dcm", *report, "--segmentation", study / "seg.dcm")
    assert [size.value for size in read_report(tmp_path / "sr.dcm")] == [1, 2, 3, 4]


def test_an_image_on_another_grid_is_interpolated(study, told, printed, tmp_path):
    labels = phantom_labels()
    points = labels.grid.to_points(np.moveaxis(np.indices(labels.grid.shape), 0, -1))
    coarse = labels.grid.with_spacing((1.4, 1.3, 3.1))
    ramp = coarse.to_points(np.moveaxis(np.indices(coarse.shape), 0, -1))[..., 0]
    write(Volume(ramp[None].astype(np.float32), coarse, Meta("MR")), tmp_path / "mr.nii.gz")
    lung = told("measure", study / "labels.nii.gz", "--image", tmp_path / "mr.nii.gz")["sizes"][0]
    assert lung["mean"] == pytest.approx(points[labels.array == 1][:, 0].mean(), abs=1e-3)
    assert "was interpolated" in printed("measure", study / "labels.nii.gz", "--image", tmp_path / "mr.nii.gz")
    away = Volume(ramp[None].astype(np.float32), coarse.crop((9, 0, 0), coarse.shape))
    write(away, tmp_path / "away.nii.gz")
    shown = printed("measure", study / "labels.nii.gz", "--image", tmp_path / "away.nii.gz", code=1)
    assert "reach beyond the image" in shown


@pytest.mark.parametrize(("factor", "unit", "mean"), [(2e-4, "g/ml", 1.0), (None, "Bq/ml", 5000.0)])
def test_a_pet_is_measured_in_suv_where_its_header_allows_it(study, told, monkeypatch, factor, unit, mean):
    grid = phantom_labels().grid
    pet = Volume(np.full((1, *grid.shape), 5000.0), grid, Meta("PT", "Bq/ml", suv_factor=factor))
    monkeypatch.setattr("vesalius.io.read", lambda *_, **__: pet)
    liver = told("measure", study / "labels.nii.gz", "--image", "pet")["sizes"][1]
    assert (liver["unit"], liver["mean"]) == (unit, pytest.approx(mean))


def test_pictures_and_their_channels(tmp_path, told, printed):
    grid = Grid((6, 5), np.eye(3))
    mask = np.zeros(grid.shape, np.uint8)
    mask[1:4, 1:3] = 1
    write(LabelMap(mask, grid, Labels.of({"polyp": 1})), tmp_path / "mask.npz")
    colours = np.stack([np.full(grid.shape, n, np.uint8) for n in (10, 20, 30)])
    write(Volume(colours, grid, Meta("RGB", calibrated=False)), tmp_path / "film.png")
    assert "3 channels" in printed("measure", tmp_path / "mask.npz", "--image", tmp_path / "film.png", code=1)
    (polyp,) = told("measure", tmp_path / "mask.npz", "--image", tmp_path / "film.png", "--channel", "1")["sizes"]
    assert (polyp["voxels"], polyp["mean"], polyp["area_mm2"], polyp["long_axis_mm"]) == (6, 20, None, None)


def test_names_that_a_spreadsheet_would_run(tmp_path, told):
    grid = Grid.from_spacing((3, 3), (1, 1))
    write(LabelMap(np.ones((3, 3), int), grid, Labels.of({"=HYPERLINK(1)": 1})), tmp_path / "mask.npz")
    told("measure", tmp_path / "mask.npz", "-o", tmp_path / "sizes.csv")
    assert "\n'=HYPERLINK" in (tmp_path / "sizes.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.nii.gz"], "no such file"),
        (["rs.dcm"], "--source"),
        (["seg.dcm", "-o", "x.xlsx"], ".csv, .json, .dcm"),
        (["seg.dcm", "-o", "x.dcm"], "--source"),
        (["seg.dcm", "--segmentation", "seg.dcm"], "--segmentation"),
        (["seg.dcm", "--channel", "1"], "--image"),
    ],
)
def test_what_does_not_go(study, printed, monkeypatch, arguments, message):
    monkeypatch.chdir(study)
    before = set(study.iterdir())
    assert message in printed("measure", *arguments, code=1)
    assert set(study.iterdir()) == before
