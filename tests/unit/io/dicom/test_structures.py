"""RT structure sets: our own round trip, and contours as other software writes them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hospital import PATIENT, oblique_grid, phantom_hu, phantom_labels, write_ct
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from vesalius.errors import DataError, FormatError, GeometryError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.io.dicom.contours import read_rtstruct, read_structures
from vesalius.io.dicom.origin import read_origin
from vesalius.io.dicom.structures import write_rtstruct

GRID = Grid.from_spacing((20, 16, 8), (1.0, 1.5, 3.0), origin_mm=(-7.0, 3.0, 40.0))


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    """The awkward phantom: its labels, and the series that they were drawn on."""
    labels = phantom_labels()
    return labels, read_origin(write_ct(tmp_path_factory.mktemp("ct"), labels.grid, phantom_hu(labels)))


def _foreign(path: Path, structures: dict[str, list], **elements) -> Path:
    """A structure set as another program writes it: ``{name: [(kind, points in mm), …]}``, slices in any order."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    made.PatientName, made.PatientID, made.PatientBirthDate, _ = PATIENT
    made.StructureSetROISequence, made.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(structures.items(), start=1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        drawn.ReferencedROINumber, drawn.ContourSequence = number, []
        for kind, points in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = kind, len(points)
            contour.ContourData = [f"{x:.7g}" for x in np.ravel(points)]
            drawn.ContourSequence.append(contour)
        made.StructureSetROISequence.append(roi)
        made.ROIContourSequence.append(drawn)
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    made.save_as(path, enforce_file_format=True)
    return path


def _square(k: float, low=(4.3, 3.3), high=(9.6, 8.8), grid: Grid = GRID) -> np.ndarray:
    """A square in indices, its corners between pixel centres, as points in mm."""
    (a, b), (c, d) = low, high
    return grid.to_points([[a, b, k], [c, b, k], [c, d, k], [a, d, k]])


@pytest.mark.parametrize("holes", ["keyhole", "xor"])
def test_the_round_trip_is_exact(ct, tmp_path, holes):
    labels, origin = ct
    write_rtstruct(labels, tmp_path / "rs.dcm", origin, holes=holes)
    again = read_rtstruct(tmp_path / "rs.dcm", origin.grid)
    np.testing.assert_array_equal(again.array, labels.array)
    for one, other in zip(labels.labels.labels, again.labels.labels, strict=True):
        assert replace(other, colour=None) == replace(one, colour=None)
        assert other.colour == labels.labels.colour(one.value)
    # What was drawn in single slices far apart stands for these alone, also where they are read on others.
    twice = labels.grid.with_spacing((0.7, 1.3, 3.1 / 2))
    fine = read_rtstruct(tmp_path / "rs.dcm", twice, structures=["seeds"])
    assert fine.counts()[4] == 2 * labels.counts()[4]


def test_values_are_short_and_what_must_be_there_is(ct, tmp_path):
    labels, origin = ct
    write_rtstruct(labels, tmp_path / "rs.dcm", origin)
    made = dcmread(tmp_path / "rs.dcm")
    assert (made.Modality, made.Manufacturer, str(made.PatientName)) == ("RTSTRUCT", "Vesalius", PATIENT[0])
    for keyword in ("OperatorsName", "StructureSetLabel", "StructureSetDate", "StructureSetTime", "SeriesNumber"):
        assert keyword in made
    (frame,) = made.ReferencedFrameOfReferenceSequence
    (series,) = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
    assert series.SeriesInstanceUID == origin.headers[0].SeriesInstanceUID
    assert len(series.ContourImageSequence) == labels.grid.shape[2]
    for item in made.ROIContourSequence:
        for contour in item.get("ContourSequence", ()):
            raw = contour.get_item("ContourData").value
            assert max(map(len, raw.split(b"\\"))) <= 16
            assert contour.NumberOfContourPoints == len(raw.split(b"\\")) // 3 >= 3
            # The image that it names lies in its plane.
            named = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
            k = float(origin.grid.to_index(np.array(contour.ContourData[:3], float))[2])
            place = [header.SOPInstanceUID for header in origin.headers].index(named)
            assert origin.frames.index((place, 1)) == pytest.approx(k, abs=1e-3)
    assert [item.ROIGenerationAlgorithm for item in made.StructureSetROISequence] == ["AUTOMATIC"] * 5
    volume = labels.counts()[1] * labels.grid.voxel_volume_mm3 / 1000
    assert float(made.StructureSetROISequence[0].ROIVolume) == pytest.approx(volume)


def test_many_corners_fit(tmp_path):
    grid = Grid.from_spacing((200, 200, 2), (0.9765625, 0.9765625, 3), origin_mm=(-249.51171875, -402.0, -1234.5))
    array = (np.random.default_rng(1).random(grid.shape) < 0.62).astype(np.uint8)
    array[60:, :, 1] = 0
    labels = LabelMap(array, grid, Labels.of({"sponge": 1}))
    origin = read_origin(write_ct(tmp_path / "ct", grid, array.astype(np.int16)))
    write_rtstruct(labels, tmp_path / "rs.dcm", origin)
    longest = max(len(one.points) for one in read_structures(tmp_path / "rs.dcm")[0].contours)
    assert longest * 3 * 8 > 1 << 16  # more than explicit encoding has room for
    np.testing.assert_array_equal(read_rtstruct(tmp_path / "rs.dcm", grid).array, array)


def test_gantry_tilt(tmp_path, ct):
    labels, origin = ct
    affine = labels.grid.affine.copy()
    affine[:3, 2] += 0.4 * affine[:3, 1]
    tilted = Grid(labels.grid.shape, affine)
    moved = replace(origin, grid=tilted)
    write_rtstruct(LabelMap(labels.array, tilted, labels.labels), tmp_path / "rs.dcm", moved)
    np.testing.assert_array_equal(read_rtstruct(tmp_path / "rs.dcm", tilted).array, labels.array)


def test_regions_are_written_when_asked_for(ct, tmp_path):
    _, origin = ct
    labels = Labels.of({"oedema": 1, "core": 2}, regions={"whole": (1, 2)})
    array = np.zeros(origin.grid.shape, np.uint8)
    array[5:20, 5:20, 3:9], array[8:12, 8:12, 4:6] = 1, 2
    write_rtstruct(LabelMap(array, origin.grid, labels), tmp_path / "rs.dcm", origin, regions=True)
    again = read_rtstruct(tmp_path / "rs.dcm", origin.grid)
    for name in ("oedema", "core", "whole"):
        np.testing.assert_array_equal(again.binary(name), np.isin(array, labels.members(name)))
    write_rtstruct(LabelMap(array, origin.grid, labels), tmp_path / "rs.dcm", origin)
    assert [one.label.name for one in read_structures(tmp_path / "rs.dcm")] == ["oedema", "core"]


def test_what_cannot_be_written(ct, tmp_path):
    labels, origin = ct
    with pytest.raises(GeometryError, match="resample"):
        write_rtstruct(LabelMap(np.zeros(GRID.shape, int), GRID, labels.labels), tmp_path / "rs.dcm", origin)
    ignored = LabelMap(np.full(origin.grid.shape, 7), origin.grid, Labels.of({"a": 1}, ignore=7))
    with pytest.raises(DataError, match="looked at by nobody"):
        write_rtstruct(ignored, tmp_path / "rs.dcm", origin)
    with pytest.raises(FormatError, match="way to write holes"):
        write_rtstruct(labels, tmp_path / "rs.dcm", origin, holes="none")
    flat = Grid((4, 4), np.eye(3))
    with pytest.raises(GeometryError, match="2D"):
        write_rtstruct(
            LabelMap(np.zeros((4, 4), int), flat, Labels(())), tmp_path / "rs.dcm", replace(origin, grid=flat)
        )
    far = Grid.from_spacing(origin.grid.shape, (1e-6,) * 3, origin_mm=(1e7, 1e7, 1e7))
    with pytest.raises(FormatError, match="too far"):
        write_rtstruct(LabelMap(labels.array, far, labels.labels), tmp_path / "rs.dcm", replace(origin, grid=far))
    assert not list(tmp_path.iterdir())


def test_slices_in_any_order_and_corners_anywhere(tmp_path):
    contours = [("CLOSED_PLANAR", _square(k)) for k in (5, 2, 4, 3)]
    found = read_rtstruct(_foreign(tmp_path / "rs.dcm", {"x": contours}), GRID)
    expected = np.zeros(GRID.shape, np.uint8)
    expected[5:10, 4:9, 2:6] = 1
    np.testing.assert_array_equal(found.array, expected)


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_a_contour_inside_another_is_a_hole_and_one_inside_that_an_island(tmp_path, kind):
    rings = [_square(2, (a, a), (b, b)) for a, b in ((1.5, 12.5), (3.5, 10.5), (5.5, 8.5))]
    found = read_rtstruct(_foreign(tmp_path / "rs.dcm", {"x": [(kind, ring) for ring in rings]}), GRID)
    assert found.array[2, 2, 2] == 1
    assert found.array[4, 4, 2] == 0
    assert found.array[6, 6, 2] == 1


def test_a_contour_that_is_stored_twice_counts_once(tmp_path):
    square = _square(2)
    found = read_rtstruct(_foreign(tmp_path / "rs.dcm", {"x": [("CLOSED_PLANAR", square)] * 2}), GRID)
    assert found.counts()[1] == 25
    twice = _foreign(tmp_path / "rs.dcm", {"x": [("CLOSEDPLANAR_XOR", square)] * 2, "y": [("CLOSED_PLANAR", square)]})
    assert read_rtstruct(twice, GRID).counts() == {0: GRID.size - 25, 2: 25}  # combined by exclusive or, it says


def test_points_open_lines_and_slivers_have_the_voxels_that_they_pass_through(tmp_path):
    path = _foreign(
        tmp_path / "rs.dcm",
        {
            "isocentre": [("POINT", GRID.to_points([[3.2, 4.4, 5.1]]))],
            "needle": [("OPEN_NONPLANAR", GRID.to_points([[1, 1, 1], [1, 1, 6]]))],
            "nerve": [("CLOSED_PLANAR", _square(4, (7.1, 2.2), (7.4, 9.4)))],
            "outside": [("POINT", GRID.to_points([[300, 4, 5]]))],
            "nothing": [],
        },
    )
    found = read_rtstruct(path, GRID)
    assert np.argwhere(found.array == 1).tolist() == [[3, 4, 5]]
    assert np.argwhere(found.array == 2).tolist() == [[1, 1, k] for k in range(1, 7)]
    assert np.argwhere(found.array == 3).tolist() == [[7, j, 4] for j in range(2, 10)]
    assert found.labels.names == ("isocentre", "needle", "nerve", "outside", "nothing")


def test_thinner_and_thicker_slices_than_the_contours_were_drawn_on(tmp_path):
    path = _foreign(tmp_path / "rs.dcm", {"x": [("CLOSED_PLANAR", _square(k)) for k in range(2, 6)]})
    thin = GRID.with_spacing((1.0, 1.5, 1.0))
    found = read_rtstruct(path, thin)
    filled = np.flatnonzero(found.array.any(axis=(0, 1)))
    assert filled.tolist() == list(range(6, 18))  # the same 12 mm, without a gap
    thick = GRID.with_spacing((1.0, 1.5, 6.0))
    assert np.flatnonzero(read_rtstruct(path, thick).array.any(axis=(0, 1))).tolist() == [1, 2]
    # Two planes alone do not tell how thick they are; their neighbours in the file do, or the user.
    sparse = {"two": [("CLOSED_PLANAR", _square(k)) for k in (1, 6)]}
    count = {}
    for name, others in {"alone": {}, "beside": {"x": [("CLOSED_PLANAR", _square(k)) for k in range(2, 6)]}}.items():
        found = read_rtstruct(_foreign(tmp_path / "rs.dcm", sparse | others), thin, structures=["two"])
        count[name] = len(np.flatnonzero(found.array.any(axis=(0, 1))))
    assert count == {"alone": 2, "beside": 6}
    told = read_rtstruct(_foreign(tmp_path / "rs.dcm", sparse), thin, slab_mm=5)
    assert len(np.flatnonzero(told.array.any(axis=(0, 1)))) == 10


@pytest.mark.parametrize("order", [(0, 2, 1), (2, 1, 0), (1, 0, 2)])
def test_grids_whose_slices_run_across_the_contours(tmp_path, order):
    path = _foreign(tmp_path / "rs.dcm", {"x": [("CLOSED_PLANAR", _square(k)) for k in range(2, 6)]})
    straight = read_rtstruct(path, GRID)
    turned = read_rtstruct(path, GRID.permute(order).flip((0, 2)))
    np.testing.assert_array_equal(np.flip(turned.array, (0, 2)), straight.array.transpose(order))


def test_grids_that_are_oblique_to_the_contours(ct, tmp_path):
    labels, origin = ct
    write_rtstruct(labels, tmp_path / "rs.dcm", origin)
    upright = Grid.from_spacing((64, 68, 60), (1.0,) * 3, origin_mm=origin.grid.to_points((25, 20, 7)) - (32, 34, 30))
    found = read_rtstruct(tmp_path / "rs.dcm", upright)
    index = np.rint(origin.grid.to_index(upright.to_points(np.argwhere(np.ones(upright.shape, bool))))).astype(int)
    inside = ((index >= 0) & (index < origin.grid.shape)).all(axis=1)
    nearest = np.zeros(len(index), int)
    nearest[inside] = labels.array[tuple(index[inside].T)]
    assert (found.array.reshape(-1) != nearest).mean() < 1e-4  # but for ties half-way between slices
    assert (found.array == 1).sum() * upright.voxel_volume_mm3 == pytest.approx(
        labels.counts()[1] * labels.grid.voxel_volume_mm3, rel=0.02
    )


def test_overlaps_and_names(tmp_path):
    path = _foreign(
        tmp_path / "rs.dcm",
        {"body": [("CLOSED_PLANAR", _square(3, (0.5, 0.5), (15.5, 12.5)))], "tumour": [("CLOSED_PLANAR", _square(3))]},
    )
    found = read_rtstruct(path, GRID)
    assert found.labels.names == ("body alone", "tumour")
    assert found.binary("body").sum() == 15 * 12
    assert read_rtstruct(path, GRID, structures=["body"]).labels.names == ("body",)
    with pytest.raises(DataError, match="did you mean 'tumour'"):
        read_rtstruct(path, GRID, structures=["tumor"])
    made = dcmread(path)
    for item, name in zip(made.StructureSetROISequence, ("", ""), strict=True):
        item.ROIName = name
    made.StructureSetROISequence[1].ROINumber = made.ROIContourSequence[1].ReferencedROINumber = 70_000
    made.save_as(path)
    assert read_rtstruct(path, GRID).labels.names == ("structure 1 alone", "structure 70000")


def _with_data(path, value):
    made = dcmread(path)
    element = made.ROIContourSequence[0].ContourSequence[0]
    element.ContourData = value
    made.save_as(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: _with_data(p, ["1", "2"]), "three finite numbers"),
        (lambda p: p.write_bytes(p.read_bytes().replace(b"-2.7\\7.95", b"-2.7\\NaN ")), "three finite numbers"),
        (lambda p: p.write_bytes(p.read_bytes().replace(b"-2.7\\7.95", b"9e99\\1.50")), "three finite numbers"),
        (lambda p: p.write_bytes(p.read_bytes().replace(b"-2.7\\7.95", b"DOE^JANE\\")), "something else than numbers"),
        (lambda p: p.write_bytes(p.read_bytes().replace(b"CLOSED_PLANAR ", b"CANARY^PLANAR ")), "does not know"),
        (lambda p: p.write_bytes(p.read_bytes()[:-30]), "damaged"),
        (lambda p: p.write_bytes(b"no DICOM at all"), "no RT structure set"),
        (lambda p: p.unlink(), "cannot be read"),
    ],
)
def test_damaged_files_are_refused_without_quoting_them(tmp_path, spoil, message):
    path = _foreign(tmp_path / "rs.dcm", {"x": [("CLOSED_PLANAR", _square(2))]})
    before = path.read_bytes()
    assert b"-2.7\\7.95" in before
    spoil(path)
    with pytest.raises(FormatError, match=message) as raised:
        read_rtstruct(path, GRID)
    assert not any(secret in str(raised.value) for secret in (*PATIENT[:3], "CANARY", "DOE"))


def test_structures_that_make_no_sense(tmp_path):
    path = _foreign(tmp_path / "rs.dcm", {"x": [("CLOSED_PLANAR", _square(2))], "y": []})
    for number, message in ((1, "same number"), (9, "not declared")):
        made = dcmread(path)
        made.StructureSetROISequence[1].ROINumber = number
        if number == 9:
            made.ROIContourSequence[1].ReferencedROINumber = 5
        made.save_as(tmp_path / "bad.dcm")
        with pytest.raises(FormatError, match=message):
            read_rtstruct(tmp_path / "bad.dcm", GRID)
    away = GRID.crop((500, 0, 0), GRID.shape)
    with pytest.raises(GeometryError, match="no contour lies on the grid"):
        read_rtstruct(path, away)
    with pytest.raises(GeometryError, match="2D"):
        read_rtstruct(path, Grid((4, 4), np.eye(3)))
    with pytest.raises(DataError, match="slab_mm"):
        read_rtstruct(path, GRID, slab_mm=0)
    bent = GRID.to_points([[1, 1, 1], [5, 1, 3], [5, 5, 1], [1, 5, 3]])
    for points, message in ((bent, "not planar"), (GRID.to_points([[0, 0, 0], [4, 4, 4], [2, 2, 2]]), "straight")):
        with pytest.raises(GeometryError, match=f"structure 1.*{message}"):
            read_rtstruct(_foreign(tmp_path / "rs.dcm", {"x": [("CLOSED_PLANAR", points)]}), GRID)


def test_an_image_is_no_structure_set(ct, tmp_path):
    folder = write_ct(tmp_path / "ct", oblique_grid((4, 5, 2)), np.zeros((4, 5, 2), np.int16))
    with pytest.raises(FormatError, match="no RT structure set"):
        read_structures(next(folder.iterdir()))
    with pytest.raises(VesaliusError):
        read_structures(folder)
