"""``vesalius measure`` with more than sizes, through the command line, in every format that it writes."""

import csv
import json

import numpy as np
import pytest
from hospital import complaints, phantom_hu, phantom_labels, write_ct

from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import write
from vesalius.io.dicom import read_origin, read_report, write_seg
from vesalius.metrics.shape import measure_shapes
from vesalius.metrics.uptake import measure_uptake


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A CT series and its labels as SEG."""
    folder = tmp_path_factory.mktemp("study")
    labels = phantom_labels()
    write_ct(folder / "ct", labels.grid, phantom_hu(labels))
    write_seg(labels, folder / "seg.dcm", read_origin(folder / "ct"))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A shell with a cavity, a rod beside it, and planes through the shell."""
    folder = tmp_path_factory.mktemp("model")
    grid = Grid.from_spacing((60, 44, 40), (1.0, 1.0, 1.0), origin_mm=(-20, 5, 100))
    at = np.moveaxis(np.indices(grid.shape), 0, -1) - (20, 21.5, 19.5)
    far = np.linalg.norm(at, axis=-1)
    rod = (np.hypot(at[..., 0] - 28, at[..., 1]) < 3) & (abs(at[..., 2]) < 16)
    labels = Labels.of({"wall": 1, "lumen": 2, "vessel": 3}, regions={"organ": (1, 2)})
    write(LabelMap(np.where(rod, 3, (far < 15).astype(int) + (far < 9)), grid, labels), folder / "model.npz")
    (folder / "planes.json").write_text(
        json.dumps(
            {
                "organ": "organ",
                "planes": {
                    "middle": {"point_mm": [0, 0, 0], "normal": [1, 0, 0]},
                    "level": {"points_mm": [[0, 0, 119.5], [9, 0, 119.5], [0, 9, 119.5]], "towards": "head"},
                    "vein": {"labels": ["lumen", "wall"], "towards": "left"},
                },
                "parts": {"upper left": {"middle": "+", "level": "+"}, "lower": {"level": "-"}},
            }
        )
    )
    return folder


def test_without_arguments_nothing_is_added(study, told):
    row = told("measure", study / "seg.dcm", "--image", study / "ct")["sizes"][0]
    assert list(row)[-2:] == ["unit", "code"]
    assert "sphericity" not in row


def test_shape_and_statistics_in_every_format(study, told, printed, tmp_path):
    labels = phantom_labels()
    hu = phantom_hu(labels)
    image = Volume(hu[None], labels.grid, Meta("CT", "HU"))
    shapes, uptakes = measure_shapes(labels, image), measure_uptake(labels, image, share_of_maximum=0.41)
    arguments = (study / "seg.dcm", "--image", study / "ct", "--shape", "--statistics", "--active-above", "41%")
    sizes = told("measure", *arguments, "-o", tmp_path / "all.json")["sizes"]
    assert json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))["sizes"] == sizes
    for row, uptake in zip(sizes, uptakes, strict=True):
        known = (shapes[row["name"]].row() if row["name"] in shapes else {}) | uptake.row()
        for name, value in known.items():
            assert row[name] == (None if value is None else pytest.approx(value, rel=1e-5, abs=1e-6)), name
    assert sizes[4]["sphericity"] is None  # no voxel
    told("measure", *arguments, "-o", tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert float(table[1]["flatness"]) == sizes[1]["flatness"]
    assert table[4]["flatness"] == ""
    shown = printed("measure", *arguments)
    assert "volume_density_hull" in shown
    told("measure", *arguments, "-o", tmp_path / "sr.dcm", "--source", study / "ct")
    liver = next(size for size in read_report(tmp_path / "sr.dcm") if size.name == sizes[1]["name"])
    others = {(one.concept.scheme, one.concept.value): one for one in liver.others}
    assert others["IBSI", "QCFX"].value == pytest.approx(sizes[1]["sphericity"])
    assert others["IBSI", "L0JK"].unit == "mm"
    medians = [one for one in liver.others if one.derivation and one.derivation.meaning == "Median"]
    assert [one.value for one in medians] == [pytest.approx(sizes[1]["median"])]
    assert liver.mean == pytest.approx(sizes[1]["mean"])
    assert complaints(tmp_path / "sr.dcm") == []


def test_walls_tubes_distances_and_parts(model, told, printed, tmp_path):
    arguments = (model / "model.npz", "--wall", "wall", "--cavity", "lumen", "--tubes", "vessel", "--thickness")
    more = ("--distance", "organ", "vessel", "--distance", "lumen", "wall", "--planes", model / "planes.json")
    found = told("measure", *arguments, *more, "-o", tmp_path / "all.json")
    rows = {row["name"]: row for row in found["sizes"]}
    assert rows["wall"]["wall_mean_mm"] == pytest.approx(6, abs=0.5)
    assert rows["lumen"]["wall_mean_mm"] is None
    assert rows["vessel"]["largest_thickness_mm"] == pytest.approx(5, abs=1)
    (branch,) = found["branches"]
    assert branch["length_mm"] == pytest.approx(31, abs=1.5)
    assert branch["mean_diameter_mm"] == pytest.approx(6, abs=0.3)
    assert len(branch["points_mm"]) == len(branch["diameters_mm"])
    near, touching = found["distances"]
    assert near["distance_mm"] == pytest.approx(28 - 15 - 3, abs=1)
    assert touching["distance_mm"] == 0
    parts = {name: row["volume_ml"] for name, row in rows.items() if name.startswith("organ: ")}
    assert list(parts) == ["organ: upper left", "organ: lower", "organ: rest"]
    assert sum(parts.values()) == pytest.approx(rows["organ"]["volume_ml"])
    assert parts["organ: lower"] == pytest.approx(rows["organ"]["volume_ml"] / 2)
    assert json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))["branches"] == found["branches"]
    shown = printed("measure", *arguments, *more, "-o", tmp_path / "all.csv")
    assert "branches" in shown
    assert "wall_mean_mm" in shown
    with (tmp_path / "all-distances.csv").open(encoding="utf-8") as file:
        (row, _) = csv.DictReader(file)
    assert float(row["point_x_mm"]) == near["point_mm"][0]
    with (tmp_path / "all-branches.csv").open(encoding="utf-8") as file:
        assert next(csv.DictReader(file))["name"] == "vessel"


def test_volumes_that_count_parts_of_voxels(tmp_path, told, printed):
    grid = Grid.from_spacing((30, 30, 24), (1.0, 1.0, 1.2))
    far = np.linalg.norm(grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1)) - (14.6, 14.3, 13.9), axis=-1)
    share = np.clip(8.5 - far, 0, 1)
    labels = LabelMap((far < 7.4).astype(int), grid, Labels.of({"cyst": 1, "none": 2}))
    write(labels, tmp_path / "labels.npz")
    write(Volume((200 - 150 * share)[None].astype(np.float32), grid, Meta("MR")), tmp_path / "mr.nii.gz")
    chances = np.stack([1 - share, share, 0 * share]).astype(np.float32)
    write(Volume(chances, grid), tmp_path / "chances.npz")
    arguments = (tmp_path / "labels.npz", "--image", tmp_path / "mr.nii.gz", "--soft-edge")
    found = told("measure", *arguments, "--probabilities", tmp_path / "chances.npz", "-o", tmp_path / "out.csv")
    cyst, none = found["sizes"]
    known = 4 / 3 * np.pi * 8**3 / 1000
    assert cyst["soft_edge_volume_ml"] == pytest.approx(known, rel=0.02)
    assert cyst["expected_volume_ml"] == pytest.approx(known, rel=0.02)
    assert cyst["expected_low_ml"] < known < cyst["expected_high_ml"]
    assert cyst["volume_ml"] < 0.85 * known
    assert (none["soft_edge_volume_ml"], none["expected_volume_ml"]) == (None, 0)
    write(Volume(chances[:2], grid), tmp_path / "chances.npz")
    shown = printed("measure", *arguments, "--probabilities", tmp_path / "chances.npz", code=1)
    assert "not background and 2 labels" in shown
    assert "--image" in printed("measure", tmp_path / "labels.npz", "--soft-edge", code=1)


def test_the_volumes_of_voxels_surfaces_and_probabilities_in_one_table(tmp_path, told, printed):
    grid = Grid.from_spacing((30, 30, 24), (1.0, 1.0, 1.2))
    far = np.linalg.norm(grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1)) - (14.6, 14.3, 13.9), axis=-1)
    share = np.clip(10 - far, 0, 1)
    labels = LabelMap((share > 0.5).astype(int), grid, Labels.of({"cyst": 1, "none": 2}, regions={"all": (1, 2)}))
    write(labels, tmp_path / "labels.npz")
    write(Volume(np.stack([1 - share, share, 0 * share]).astype(np.float32), grid), tmp_path / "chances.npz")
    arguments = (tmp_path / "labels.npz", "--shape", "--mesh", "--probabilities", tmp_path / "chances.npz")
    cyst, none, both = told("measure", *arguments)["sizes"]
    known, area = 4 / 3 * np.pi * 9.5**3 / 1000, 4 * np.pi * 9.5**2
    for name in ("volume_ml", "smooth_volume_ml", "subvoxel_volume_ml", "expected_volume_ml", "mesh_volume_ml"):
        assert cyst[name] == pytest.approx(known, rel=0.02), name
    assert (cyst["smooth_area_mm2"], cyst["subvoxel_area_mm2"]) == pytest.approx((area, area), rel=0.01)
    assert cyst["surface_area_mm2"] > 1.05 * area  # that of the IBSI counts steps
    assert (none["smooth_volume_ml"], none["subvoxel_area_mm2"]) == (0, 0)
    assert both["smooth_area_mm2"] == cyst["smooth_area_mm2"]
    for more, kind in (((), "smooth"), (("--probabilities", tmp_path / "chances.npz"), "subvoxel")):
        (drawn,) = told("mesh", tmp_path / "labels.npz", *more, "-o", tmp_path / f"{kind}.stl")["surfaces"]
        assert cyst[f"{kind}_volume_ml"] == pytest.approx(drawn["volume_ml"], rel=1e-12)
        assert cyst[f"{kind}_area_mm2"] == pytest.approx(drawn["area_mm2"], rel=1e-12)
    write(LabelMap(np.ones((4, 4), int), Grid.from_spacing((4, 4), (1.0, 1.0)), Labels.of([1])), tmp_path / "flat.nii")
    assert "3D label maps" in printed("measure", tmp_path / "flat.nii", "--mesh", code=1)


def test_a_pet_has_a_metabolic_volume(tmp_path, told, study, monkeypatch):
    labels = phantom_labels()
    suv = np.where(labels.array == 2, 5.0, 1.0)
    suv[tuple(np.argwhere(labels.array == 2)[0])] = 20.0
    pet = Volume(suv[None] * 1e3, labels.grid, Meta("PT", "Bq/ml", suv_factor=1e-3))
    monkeypatch.setattr("vesalius.io.read", lambda *_, **__: pet)
    arguments = (study / "seg.dcm", "--image", "pet", "--statistics", "--active-above", "4")
    liver = told("measure", *arguments, "-o", tmp_path / "sr.dcm", "--source", study / "ct")["sizes"][1]
    assert liver["active_volume_ml"] == pytest.approx(liver["volume_ml"])
    assert liver["glycolysis"] == pytest.approx(liver["volume_ml"] * liver["mean"])
    assert liver["peak"] < 20
    size = read_report(tmp_path / "sr.dcm")[1]
    values = {one.concept.meaning: (one.value, one.unit) for one in size.others}
    assert values["Metabolic Volume"] == (pytest.approx(liver["active_volume_ml"]), "cm3")
    assert values["Total Lesion Glycolysis"][1] == "g"
    assert complaints(tmp_path / "sr.dcm") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--statistics"], "--image"),
        (["--active-above", "4"], "--statistics"),
        (["--in-slices"], "--wall"),
        (["--cavity", "lumen"], "--end-systole or --wall"),
        (["--wall", "vessel"], "it encloses nothing"),
        (["--wall", "wall", "--cavity", "vessel"], "not hollow"),
        (["--tubes", "aorta"], "aorta"),
        (["--distance", "wall", "aorta"], "aorta"),
        (["--planes", "missing.json"], "missing.json"),
    ],
)
def test_what_does_not_go(model, printed, monkeypatch, arguments, message):
    monkeypatch.chdir(model)
    before = set(model.iterdir())
    assert message in printed("measure", "model.npz", *arguments, code=1)
    assert set(model.iterdir()) == before


def test_the_segments_of_a_liver(model, told, printed, tmp_path, study):
    planes = {
        name: {"point_mm": [x, 0, 119], "normal": [1, 0, 0]}
        for name, x in (("right hepatic vein", -6.5), ("middle hepatic vein", -0.5), ("left hepatic vein", 5.5))
    }
    planes["portal vein"] = {"point_mm": [0, 0, 119.5], "normal": [0, 0, 1]}
    file = {"organ": "wall", "planes": planes, "parts": "couinaud", "caudate": ["lumen"]}
    (tmp_path / "liver.json").write_text(json.dumps(file))
    arguments = ("measure", model / "model.npz", "--planes", tmp_path / "liver.json")
    rows = {row["name"].removeprefix("wall: "): row for row in told(*arguments)["sizes"]}
    names = ("I", "II", "III", "IVa", "IVb", "V", "VI", "VII", "VIII")
    assert tuple(rows)[4:] == names
    assert rows["I"]["voxels"] == rows["lumen"]["voxels"]
    assert sum(rows[name]["voxels"] for name in names) == rows["organ"]["voxels"]
    assert (rows["I"]["code"], rows["VIII"]["code"], rows["IVa"]["code"]) == ("SCT:71133005", "SCT:277962002", None)
    told(*arguments, "-o", tmp_path / "sr.dcm", "--source", study / "ct")
    codes = {size.name: size.code for size in read_report(tmp_path / "sr.dcm")}
    assert codes["wall: II"].meaning == "Couinaud hepatic segment II"


@pytest.mark.parametrize(
    ("told_planes", "message"),
    [
        ("[]", "must hold organ"),
        ('{"organ": "organ", "planes": {"a": {"point_mm": [0, 0], "normal": [1, 0, 0]}}}', "three numbers"),
        ('{"organ": "organ", "planes": {"a": {"point_mm": "x", "normal": [1, 0, 0]}}}', "lists of numbers"),
        ('{"organ": "organ", "planes": {"a": {"labels": ["wall"]}}}', "must hold point_mm"),
        ('{"organ": "organ", "planes": {"a": {"labels": ["aorta"], "towards": "left"}}}', "aorta"),
        ('{"organ": "organ", "planes": {"a": {"points_mm": [[0, 0, 0]], "towards": "left"}}}', "three points"),
        ('{"organ": "organ", "planes": {}, "parts": "Healey"}', "couinaud"),
        ('{"organ": "organ", "planes": {}, "parts": {"I": "lumen"}}', "list of labels"),
        ('{"organ": "organ", "planes": {}, "parts": "couinaud", "caudate": "lumen"}', "list of labels"),
        ('{"organ": "organ", "planes": {}, "caudate": ["lumen"]}', "parts: couinaud"),
    ],
)
def test_files_of_planes_that_do_not_go(model, printed, tmp_path, told_planes, message):
    (tmp_path / "planes.json").write_text(told_planes)
    assert message in printed("measure", model / "model.npz", "--planes", tmp_path / "planes.json", code=1)
