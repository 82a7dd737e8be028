"""Structure sets and reports of ours in the eyes of dciodvfy, dcentvfy, DCMTK, dcmqi, highdicom and Matplotlib, and
theirs in ours."""

import json
import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pytest
from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map
from hospital import complaints, inconsistencies, phantom_hu, phantom_labels, tool, write_ct
from matplotlib.path import Path as Outline
from pydicom import dcmread
from scipy.ndimage import gaussian_filter

from vesalius.image import LabelMap, Labels, Meta, Volume
from vesalius.io.dicom import (
    read_origin,
    read_report,
    read_rtstruct,
    read_series,
    write_report,
    write_rtstruct,
    write_seg,
)
from vesalius.metrics.size import measure


def _phantom(folder: Path, shared: Path | None):
    labels = phantom_labels()
    return labels, write_ct(folder / "ct", labels.grid, phantom_hu(labels)), None


def _thresholds(place: Path, series: str | None = None):
    image = read_series(place, series=series)
    smooth = gaussian_filter(image.array[0].astype(np.float32), (1.5, 1.5, 0))
    # The middle alone: dciodvfy looks a minute at ten thousand contours.
    middle = tuple(slice(max(n // 2 - 40, 0), n // 2 + 40) for n in image.grid.shape[:2])
    array = np.zeros(image.grid.shape, np.uint8)
    array[middle] = np.digitize(smooth[middle], np.percentile(smooth[middle], [60, 85, 97]))
    array[:, :, 1:-1] *= np.arange(image.grid.shape[2] - 2) % 5 != 3  # slices without anything
    return LabelMap(array, image.grid, Labels.of({"one": 1, "two": 2, "three": 3})), place, series


def _ct(folder: Path, shared: Path):
    return _thresholds(shared / "lung_ct_rtstruct" / "ct")


def _oblique_mr(folder: Path, shared: Path):
    return _thresholds(shared / "brain_mr_dicom", "11")


def _tilted_ct(folder: Path, shared: Path):
    return _thresholds(shared / "dicom_oddities" / "ct_gantry_tilt")


def _enhanced_mr(folder: Path, shared: Path):
    return _thresholds(shared / "dicom_oddities" / "mr_enhanced_philips")


def _not_square_mr(folder: Path, shared: Path):
    return _thresholds(shared / "dicom_oddities" / "mr_non_square_pixels")


@pytest.fixture(
    scope="module",
    params=[_phantom, _ct, _oblique_mr, _tilted_ct, _enhanced_mr, _not_square_mr],
    ids=lambda made: made.__name__.strip("_"),
)
def case(request, tmp_path_factory):
    """Labels, the series that they were drawn on, its files, and the structure set of both."""
    shared = Path(__file__).resolve().parents[3] / "shared" / "data"
    if request.param is not _phantom and not shared.is_dir():
        pytest.skip("the real data sets of ../shared/data are not here")
    folder = tmp_path_factory.mktemp("case")
    labels, place, series = request.param(folder, shared)
    origin = read_origin(place, series=series)
    uid = origin.headers[0].SeriesInstanceUID
    found = {p: dcmread(p, stop_before_pixels=True, force=True) for p in place.rglob("*") if p.is_file()}
    files = [path for path, header in found.items() if header.get("SeriesInstanceUID") == uid]
    write_rtstruct(labels, folder / "rs.dcm", origin)
    return labels, origin, files, folder / "rs.dcm"


def _errors(lines):
    return [line for line in lines if line.startswith("Error")]


def test_the_validators_find_no_error_in_a_structure_set(case):
    _, _, files, path = case
    # What is wrong in the source stays wrong in what is copied from it: nothing may be added.
    assert [line for line in complaints(path) if line not in complaints(files[0])] == []
    assert _errors(inconsistencies([path, *files])) == _errors(inconsistencies(files))


def test_nothing_that_must_be_there_is_missing(case):
    """Type 1 and 2 of every mandatory module, by the tables of the standard that highdicom's wheel holds."""
    made = dcmread(case[3])
    tables, missing = get_module_attribute_map(), []
    for module in get_iod_module_map()["rt-structure-set"]:
        for element in tables[module["key"]] if module["usage"] == "M" else ():
            items = [made]
            for step in element["path"]:
                items = [inner for item in items for inner in item.get(step) or ()]
            for item in items if element["type"] in ("1", "2") else ():
                found = item.get(element["keyword"], default := object())
                if found is default or (element["type"] == "1" and found in (None, "", [])):
                    missing.append((module["key"], *element["path"], element["keyword"]))
    assert missing == []


def test_dcentvfy_would_find_another_patient(case, tmp_path):
    made = dcmread(case[3])
    made.PatientID = "SOMEBODY-ELSE-1"
    made.save_as(tmp_path / "rs.dcm")
    assert _errors(inconsistencies([tmp_path / "rs.dcm", *case[2]]))


def test_dcmtk_reads_the_structure_set(case):
    done = subprocess.run([tool("drtdump"), str(case[3])], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "RT Structure Set object" in done.stdout
    assert not [line for line in done.stderr.splitlines() if line.startswith(("E:", "F:"))]


def test_the_round_trip_is_exact(case):
    labels, origin, _, path = case
    found = read_rtstruct(path, origin.grid)
    np.testing.assert_array_equal(found.array, labels.array)
    assert found.labels.names == labels.labels.names


def test_matplotlib_fills_the_contours_alike(case):
    """Read with pydicom and filled with Matplotlib: nothing of ours but the grid."""
    labels, origin, _, path = case
    inverse = np.linalg.inv(origin.grid.affine)
    made = dcmread(path)
    names = {item.ROINumber: item.ROIName for item in made.StructureSetROISequence}
    assert list(names.values()) == list(labels.labels.names)
    for item in made.ROIContourSequence:
        filled = np.zeros(origin.grid.shape, bool)
        for contour in item.get("ContourSequence", ()):
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            index = points @ inverse[:3, :3].T + inverse[:3, 3]
            k = round(float(index[:, 2].mean()))
            assert np.abs(index[:, 2] - k).max() < 1e-3
            ring = np.vstack([index[:, :2], index[:1, :2]])
            low, high = np.floor(ring.min(axis=0)).astype(int), np.ceil(ring.max(axis=0)).astype(int) + 1
            low, high = np.maximum(low, 0), np.minimum(high, origin.grid.shape[:2])
            centres = np.stack(np.mgrid[low[0] : high[0], low[1] : high[1]], -1)
            inside = Outline(ring, closed=True).contains_points(centres.reshape(-1, 2))
            filled[low[0] : high[0], low[1] : high[1], k] ^= inside.reshape(centres.shape[:2])
        mask = labels.binary(names[item.ReferencedROINumber])
        overlap = 2 * (filled & mask).sum() / max(filled.sum() + mask.sum(), 1)
        assert overlap > 0.999 or not mask.any()


# --- reports ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(case, tmp_path_factory):
    """Sizes of a case, and their report with the SEG that it refers to."""
    labels, origin, files, _ = case
    folder = tmp_path_factory.mktemp("report")
    write_seg(labels, folder / "seg.dcm", origin)
    values = Volume((phantom_hu(phantom_labels()) if "left lung" in labels.labels.names else labels.array)[None],
                    labels.grid, Meta("CT", "HU"))  # fmt: skip
    sizes = measure(labels, values)
    write_report(sizes, folder / "sr.dcm", origin, segmentation=folder / "seg.dcm")
    return sizes, folder / "sr.dcm", folder / "seg.dcm", files


def test_the_validators_find_no_error_in_a_report(report):
    _, path, seg, files = report
    assert [line for line in complaints(path) if line not in complaints(files[0])] == []
    assert _errors(inconsistencies([path, seg, *files])) == _errors(inconsistencies(files))


def test_dcmtk_reads_the_report(report):
    done = subprocess.run([tool("dsrdump"), str(report[1])], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Imaging Measurement Report" in done.stdout.decode()
    assert not [line for line in done.stderr.decode().splitlines() if line.startswith(("E:", "F:"))]


def _numbers(size):
    """The numbers of a size by the codes of what they are and how they were derived."""
    brightness = "112031"
    found = {
        ("118565006", None): size.volume_ml,
        ("103339001", None): size.long_axis_mm,
        ("103340004", None): size.short_axis_mm,
        (brightness, "373098007"): size.mean,
        (brightness, "386136009"): size.sd,
        (brightness, "255605001"): size.minimum,
        (brightness, "56851009"): size.maximum,
    }
    return {key: pytest.approx(value, rel=1e-9) for key, value in found.items() if value is not None}


def test_dcmqi_reads_the_same_numbers(report, tmp_path):
    sizes, path, seg, _ = report
    arguments = [tool("tid1500reader"), "--inputDICOM", str(path), "--outputMetadata", str(tmp_path / "sr.json")]
    done = subprocess.run(arguments, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    groups = json.loads((tmp_path / "sr.json").read_text(encoding="utf-8"))["Measurements"]
    written = [size for size in sizes if size.voxels]
    assert [group["TrackingIdentifier"] for group in groups] == [size.name for size in written]
    numbers = {item.SegmentLabel: item.SegmentNumber for item in dcmread(seg).SegmentSequence}
    for group, size in zip(groups, written, strict=True):
        found = {
            (item["quantity"]["CodeValue"], item.get("derivationModifier", {}).get("CodeValue")): float(item["value"])
            for item in group["measurementItems"]
        }
        assert found == _numbers(size)
        assert group["ReferencedSegment"] == numbers[size.name]
        assert group["segmentationSOPInstanceUID"] == dcmread(seg).SOPInstanceUID


def test_highdicom_reads_the_same_numbers(report):
    sizes, path, seg, _ = report
    content = highdicom.sr.srread(path).content
    groups = content.get_volumetric_roi_measurement_groups()
    written = [size for size in sizes if size.voxels]
    assert [group.tracking_identifier for group in groups] == [size.name for size in written]
    for group, size in zip(groups, written, strict=True):
        found = {
            (m.name.value, None if m.derivation is None else m.derivation.value): m.value
            for m in group.get_measurements()
        }
        assert found == _numbers(size)
        assert group.referenced_segment.referenced_sop_instance_uid == dcmread(seg).SOPInstanceUID


def test_reports_that_dcmqi_writes(tmp_path):
    labels, place, _ = _phantom(tmp_path, None)
    seg = tmp_path / "seg.dcm"
    write_seg(labels, seg, read_origin(place))
    files = sorted(place.iterdir())

    def code(scheme, value, meaning):
        return {"CodingSchemeDesignator": scheme, "CodeValue": value, "CodeMeaning": meaning}

    volume = {
        "value": "1500.5",
        "quantity": code("SCT", "118565006", "Volume"),
        "units": code("UCUM", "mm3", "cubic millimeter"),
    }
    mean = {
        "value": "37.25",
        "quantity": code("DCM", "112031", "Attenuation Coefficient"),
        "units": code("UCUM", "[hnsf'U]", "Hounsfield unit"),
        "derivationModifier": code("SCT", "373098007", "Mean"),
    }
    told = {
        "SeriesDescription": "Measurements",
        "SeriesNumber": "1001",
        "InstanceNumber": "1",
        "compositeContext": [seg.name],
        "imageLibrary": [file.name for file in files],
        "observerContext": {"ObserverType": "PERSON", "PersonObserverName": "Reader"},
        "VerificationFlag": "UNVERIFIED",
        "CompletionFlag": "COMPLETE",
        "activitySession": "1",
        "timePoint": "1",
        "Measurements": [
            {
                "SourceSeriesForImageSegmentation": dcmread(files[0]).SeriesInstanceUID,
                "segmentationSOPInstanceUID": dcmread(seg).SOPInstanceUID,
                "TrackingIdentifier": "mass in segment VI",
                "ReferencedSegment": 2,
                "Finding": code("SCT", "4147007", "Mass"),
                "measurementItems": [volume, mean],
            }
        ],
    }
    (tmp_path / "told.json").write_text(json.dumps(told), encoding="utf-8")
    arguments = [
        *(tool("tid1500writer"), "--inputMetadata", str(tmp_path / "told.json")),
        *("--inputImageLibraryDirectory", str(files[0].parent), "--inputCompositeContextDirectory", str(seg.parent)),
        *("--outputDICOM", str(tmp_path / "sr.dcm")),
    ]
    done = subprocess.run(arguments, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = read_report(tmp_path / "sr.dcm")
    assert (found.name, found.value, found.code.meaning) == ("mass in segment VI", 2, "Mass")
    assert (found.volume_ml, found.mean, found.unit) == (1.5005, 37.25, "HU")


# --- contours of others -----------------------------------------------------------------------------------------------


def test_a_clinical_structure_set(shared_data):
    """The IBSI phantom's tumour: its reference volume is 358 ml (3.58e5 mm³ by counting voxels)."""
    place = shared_data / "lung_ct_rtstruct"
    origin = read_origin(place / "ct")
    found = read_rtstruct(next((place / "rtstruct").iterdir()), origin.grid)
    (size,) = measure(found)
    assert size.name == "GTV-1"
    assert np.flatnonzero(found.array.any(axis=(0, 1))).size == 26
    assert size.volume_ml == pytest.approx(358, abs=1)
