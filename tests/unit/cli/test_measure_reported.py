"""``vesalius measure … -o report.dcm``: all that is measured is in the report, with codes, units and intervals."""

from types import SimpleNamespace

import highdicom.sr as hd
import numpy as np
import pytest
from hospital import PATIENT, complaints, write_ct
from pydicom import dcmread
from pydicom.sr.codedict import codes

from vesalius.bundle.calibration import Calibration
from vesalius.image import Code, Grid, LabelMap, Labels, Volume
from vesalius.io import write
from vesalius.io.dicom import read_report

LABELS = Labels.of({"wall": 1, "lumen": 2, "vessel": 3, "none": 4}, regions={"organ": (1, 2)})
PLANES = '{"organ": "organ", "planes": {"middle": {"point_mm": [0, 0, 0], "normal": [1, 0, 0]}}}'


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A shell with a cavity and a rod beside it, in a CT."""
    folder = tmp_path_factory.mktemp("study")
    grid = Grid.from_spacing((48, 30, 20), (1.0, 1.0, 1.5), origin_mm=(-20, 5, 100))
    at = np.moveaxis(np.indices(grid.shape), 0, -1) * grid.spacing_mm - (15, 14.5, 14)
    far = np.linalg.norm(at, axis=-1)
    rod = (np.hypot(at[..., 0] - 24, at[..., 1]) < 4) & (abs(at[..., 2]) < 12)
    labels = LabelMap(np.where(rod, 3, (far < 12).astype(int) + (far < 6)), grid, LABELS)
    write(labels, folder / "labels.npz")
    chances = np.stack([labels.array == value for value in range(5)]).astype(np.float32) * 0.8 + 0.04
    write(Volume(chances, grid), folder / "chances.npz")
    (folder / "planes.json").write_text(PLANES)
    noise = np.random.default_rng(1).normal(0, 4, grid.shape)
    hu = (np.choose(labels.array, [-50, 60, 250, 200]) + noise).round().astype(np.int16)
    write_ct(folder / "ct", grid, hu)
    return folder


@pytest.fixture
def calibrated(monkeypatch):
    """The bundle of a segmenter that promises something of the lumen; only its card is looked at."""
    promise = Calibration(on="10 cases", cases=10, persons=10, level=0.9, factors={"lumen": (0.8, 1.25)})
    bundle = SimpleNamespace(card=SimpleNamespace(calibration=promise, name="shells"))
    monkeypatch.setattr("vesalius.bundle.Bundle.load", lambda _: bundle)


def _by(size):
    """The quantities of a group by what they are, how they were derived and how measured."""
    found = {}
    for one in size.others:
        key = (
            one.concept.value,
            one.derivation.value if one.derivation else "",
            one.method.value if one.method else "",
        )
        assert key not in found, key
        found[key] = one
    return found


def test_everything_is_in_the_report(study, calibrated, told, tmp_path):
    arguments = ["measure", study / "labels.npz", "--image", study / "ct", "--source", study / "ct"]
    arguments += ["--shape", "--mesh", "--statistics", "--active-above", "30", "--thickness", "--soft-edge"]
    arguments += ["--probabilities", study / "chances.npz", "--wall", "wall", "--cavity", "lumen"]
    arguments += ["--tubes", "vessel", "--distance", "organ", "vessel", "--planes", study / "planes.json"]
    arguments += ["--calibration", "shells", "-o", tmp_path / "sr.dcm"]
    tables = told(*arguments)
    rows = {row["name"]: row for row in tables["sizes"]}
    sizes = {size.name: size for size in read_report(tmp_path / "sr.dcm")}
    assert [name for name in rows if name != "none"] == list(sizes)[:6]
    assert list(sizes)[4:] == ["organ: +middle", "organ: -middle", "vessel: branch 1", "organ to vessel"]

    row, found = rows["lumen"], _by(sizes["lumen"])
    assert sizes["lumen"].volume_ml == pytest.approx(row["volume_ml"])
    assert (sizes["lumen"].mean, sizes["lumen"].unit) == (pytest.approx(row["mean"]), "HU")
    volume = "118565006"
    for method, kind in (("SOFT_EDGE", "soft_edge"), ("PROBABILITIES", "expected")):
        one = found[volume, "", method]
        assert (one.value, one.low, one.high, one.level) == (
            *(pytest.approx(row[f"{kind}_{name}"], rel=1e-9) for name in ("volume_ml", "low_ml", "high_ml")),
            0.95,
        )
    promised = found[volume, "", "CONFORMAL"]
    assert (promised.value, promised.low, promised.high, promised.level) == pytest.approx(
        (row["volume_ml"], 0.8 * row["volume_ml"], row["volume_ml"] * 1.25, 0.9)
    )
    assert found[volume, "", "SMOOTH_SURFACE"].value == pytest.approx(row["smooth_volume_ml"])
    assert found["C0JK", "", "SUBVOXEL_SURFACE"].value == pytest.approx(row["subvoxel_area_mm2"])
    assert found["RNU0", "", ""].value == pytest.approx(row["mesh_volume_ml"])
    hu = "112031"
    for code, name, unit in (
        ("373099004", "median", "[hnsf'U]"),
        ("QG58", "percentile_10", "[hnsf'U]"),
        ("C1711260", "variance", "([hnsf'U])2"),
        ("126051", "skewness", "1"),
        ("IPH6", "kurtosis", "1"),
        ("C0681921", "coefficient_of_variation", "1"),
        ("N8CA", "energy", "([hnsf'U])2"),
        ("126031", "peak", "[hnsf'U]"),
        ("VJGA", "local_peak", "[hnsf'U]"),
    ):
        assert (found[hu, code, ""].value, found[hu, code, ""].unit) == (pytest.approx(row[name]), unit), name
    assert found["THRESHOLD", "", ""].value == 30
    assert found[volume, "", "ACTIVE"].value == pytest.approx(row["active_volume_ml"])
    assert _by(sizes["wall"])["WALL_THICKNESS", "373098007", ""].value == pytest.approx(rows["wall"]["wall_mean_mm"])
    assert _by(sizes["wall"])["LOCAL_THICKNESS", "56851009", ""].value == pytest.approx(
        rows["wall"]["largest_thickness_mm"]
    )

    branch, line = tables["branches"][0], _by(sizes["vessel: branch 1"])
    assert line["410668003", "", ""].value == pytest.approx(branch["length_mm"])
    np.testing.assert_allclose(line["410668003", "", ""].points_mm, branch["points_mm"], atol=1e-3)
    assert line["81827009", "255605001", ""].value == pytest.approx(branch["smallest_diameter_mm"])
    (near,) = sizes["organ to vessel"].others
    assert near.concept == Code("DCM", "121206", "Distance")
    assert near.value == pytest.approx(tables["distances"][0]["distance_mm"])
    assert near.points_mm[1] == pytest.approx(tables["distances"][0]["other_point_mm"], abs=1e-4)
    assert complaints(tmp_path / "sr.dcm") == []


def test_what_others_read(study, told, tmp_path):
    arguments = ["--distance", "organ", "vessel", "--image", study / "ct", "--soft-edge"]
    told("measure", study / "labels.npz", "--source", study / "ct", *arguments, "-o", tmp_path / "sr.dcm")
    report = hd.srread(tmp_path / "sr.dcm")
    assert str(report.PatientName) == PATIENT[0]
    groups = report.content.get_image_measurement_groups()
    (far,) = groups[-1].get_measurements()
    assert (far.name, far.unit, far.derivation) == (codes.DCM.Distance, codes.UCUM.Millimeter, codes.SCT.Minimum)
    (line,) = far.referenced_coordinates
    assert line.frame_of_reference_uid == dcmread(next((study / "ct").iterdir())).FrameOfReferenceUID
    assert line.value.shape == (2, 3)
    soft = [one for one in groups[1].get_measurements(codes.SCT.Volume) if one.method is not None]
    above = codes.cid225.RangeOfUpperMeasurementUncertainty
    ends = [item for item in soft[0][0].ContentSequence if item.name == above]
    assert (len(soft), ends[0].unit, ends[0].value > 0) == (1, codes.UCUM.CubicCentimeter, True)
