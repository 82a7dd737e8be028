"""A volume as a DICOM series: what comes back, what is lost and told, and whose it is."""

import numpy as np
import pytest
from hospital import complaints, inconsistencies, oblique_grid, phantom_hu, phantom_labels, write_ct
from pydicom import dcmread

from vesalius.errors import DataError, FormatError, VesaliusError
from vesalius.image import Grid, Meta, Volume
from vesalius.io.dicom import list_series, read_origin, read_series, write_series

GRID = oblique_grid((9, 7, 5))


@pytest.mark.parametrize("modality", ["CT", "MR", "PT", "OT"])
@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [(np.int16, -1024, 3000), (np.uint16, 0, 65535), (np.float32, -500, 500), (np.uint8, 0, 255), (np.int64, 0, 9)],
)
def test_whole_numbers_come_back(tmp_path, rng, modality, dtype, low, high):
    array = rng.integers(low, high + 1, (1, *GRID.shape)).astype(dtype)
    image = Volume(array, GRID, Meta(modality=modality))
    assert write_series(image, tmp_path / "out") == 0
    found = read_series(tmp_path / "out")
    np.testing.assert_array_equal(found.array, array)
    assert found.grid.corner_distance_mm(GRID) < 1e-6
    assert found.meta.modality == modality
    (series,) = list_series(tmp_path / "out")
    assert series.images == 5


@pytest.mark.parametrize("modality", ["CT", "MR", "OT"])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_other_numbers_lose_what_is_told(tmp_path, rng, modality, scale):
    array = (rng.normal(size=(1, *GRID.shape)) * scale).astype(np.float32)
    told = write_series(Volume(array, GRID, Meta(modality=modality)), tmp_path / "out")
    found = read_series(tmp_path / "out").array
    apart = np.abs(found.astype(np.float64) - array).max()
    assert 0 < told <= 0.51 * np.ptp(array) / 65535
    assert apart <= told + 1e-6 * np.abs(array).max()


@pytest.mark.parametrize("modality", ["CT", "MR", "OT"])
def test_the_validators_find_no_error(tmp_path, rng, modality):
    labels = phantom_labels()
    source = write_ct(tmp_path / "ct", labels.grid, phantom_hu(labels))
    image = Volume(rng.integers(0, 99, (1, *labels.grid.shape)).astype(np.int16), labels.grid, Meta(modality=modality))
    write_series(image, tmp_path / "mine", origin=read_origin(source), description="Filtered")
    write_series(image, tmp_path / "nobodys")
    files = [next((tmp_path / name).iterdir()) for name in ("mine", "nobodys")]
    assert [complaints(file) for file in files] == [[], []]
    assert inconsistencies([*(tmp_path / "mine").iterdir(), *source.iterdir()]) == inconsistencies([*source.iterdir()])


def test_it_belongs_to_the_study_of_its_source(tmp_path, rng):
    labels = phantom_labels()
    origin = read_origin(write_ct(tmp_path / "ct", labels.grid, phantom_hu(labels)))
    image = Volume(phantom_hu(labels)[None], labels.grid, Meta(modality="CT", unit="HU"))
    write_series(image, tmp_path / "out", origin=origin)
    source = origin.headers[0]
    headers = [dcmread(file) for file in sorted((tmp_path / "out").iterdir())]
    assert {header.StudyInstanceUID for header in headers} == {source.StudyInstanceUID}
    assert {header.FrameOfReferenceUID for header in headers} == {source.FrameOfReferenceUID}
    assert {header.PatientID for header in headers} == {source.PatientID}
    assert len({header.SeriesInstanceUID for header in headers}) == 1
    assert len({header.SOPInstanceUID for header in headers}) == 14
    for header, (place, _) in zip(headers, origin.frames, strict=True):
        assert header.SourceImageSequence[0].ReferencedSOPInstanceUID == origin.headers[place].SOPInstanceUID
    found = read_series(tmp_path / "out")
    np.testing.assert_array_equal(found.array, image.array)
    assert found.meta.unit == "HU"


def test_pictures(tmp_path, rng):
    grid = Grid((11, 7), np.eye(3))
    colours = rng.integers(0, 256, (3, 11, 7), dtype=np.uint8)
    write_series(Volume(colours, grid, Meta(modality="RGB", calibrated=False)), tmp_path / "colour")
    found = read_series(tmp_path / "colour")
    np.testing.assert_array_equal(found.array, colours)
    assert (found.meta.modality, found.meta.calibrated) == ("RGB", False)
    grey = Volume(colours[:1], Grid((11, 7), np.diag([0.5, 0.25, 1])), Meta("US"))
    write_series(grey, tmp_path / "grey")
    found = read_series(tmp_path / "grey")
    np.testing.assert_array_equal(found.array, grey.array)
    assert found.grid.spacing_mm == (0.5, 0.25)
    for name in ("colour", "grey"):
        assert complaints(next((tmp_path / name).iterdir())) == []


def test_what_cannot_be_a_series(tmp_path):
    two = Volume(np.zeros((2, *GRID.shape)), GRID)
    with pytest.raises(DataError, match="one channel"):
        write_series(two, tmp_path / "out")
    with pytest.raises(FormatError, match="8 bits"):
        write_series(Volume(np.zeros((3, *GRID.shape)), GRID, Meta(modality="RGB")), tmp_path / "out")
    huge = np.zeros((1, *GRID.shape))
    huge[0, 0, 0, 0] = 1e300
    with pytest.raises(FormatError, match="too large"):
        write_series(Volume(huge, GRID), tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("kept")
    with pytest.raises(VesaliusError, match="there already"):
        write_series(Volume(np.zeros((1, *GRID.shape)), GRID), tmp_path / "full")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_constant_image(tmp_path):
    image = Volume(np.full((1, *GRID.shape), 0.3, np.float32), GRID, Meta(modality="MR"))
    write_series(image, tmp_path / "out")
    np.testing.assert_allclose(read_series(tmp_path / "out").array, image.array, rtol=1e-6)
