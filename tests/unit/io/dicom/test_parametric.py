"""Parametric maps: our own round trip, others' ways to scale values, and what is refused."""

import numpy as np
import pytest
from hospital import phantom_hu, phantom_labels, write_ct
from pydicom import dcmread

from vesalius.errors import DataError, FormatError, GeometryError, VesaliusError
from vesalius.image import Grid, Meta, Volume
from vesalius.io import read, write
from vesalius.io.dicom import read_origin, read_parametric_map, read_series, write_parametric_map


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    """The series of the awkward phantom, and a map of two channels on its grid."""
    labels = phantom_labels()
    origin = read_origin(write_ct(tmp_path_factory.mktemp("ct"), labels.grid, phantom_hu(labels)))
    array = np.random.default_rng(1).normal(size=(2, *labels.grid.shape)).astype(np.float32)
    return Volume(array, labels.grid, Meta(unit="HU")), origin


def _edited(path, change):
    made = dcmread(path)
    change(made)
    made.save_as(path, enforce_file_format=True)
    return path


def test_a_round_trip_keeps_every_number(ct, tmp_path):
    image, origin = ct
    write_parametric_map(image, tmp_path / "map.dcm", origin, names=["liver", "spleen"])
    found = read(tmp_path / "map.dcm")
    np.testing.assert_array_equal(found.array, image.array)
    assert found.array.dtype == np.float32
    assert found.grid.corner_distance_mm(origin.grid) < 1e-6
    assert found.meta.unit == "HU"
    assert "liver, spleen" in found.meta.notes[0]


def test_the_common_face_writes_one(ct, tmp_path):
    image, origin = ct
    write(image, tmp_path / "map.dcm", origin=origin)
    np.testing.assert_array_equal(read_parametric_map(tmp_path / "map.dcm").array, image.array)


def test_long_names_stay_apart(ct, tmp_path):
    image, origin = ct
    write_parametric_map(image, tmp_path / "map.dcm", origin, names=["a" * 20 + "1", "a" * 20 + "2"])
    np.testing.assert_array_equal(read_parametric_map(tmp_path / "map.dcm").array, image.array)


def test_real_world_values_of_whole_numbers(ct, tmp_path):
    """Others store maps as 16 bits with a slope."""
    image, origin = ct
    write_parametric_map(image.with_array(image.array[:1]), tmp_path / "map.dcm", origin)
    stored = np.arange(image.grid.size, dtype=np.uint16).reshape(image.grid.shape[::-1]) % 999

    def whole(made):
        del made.FloatPixelData
        made.PixelData = stored.tobytes()
        made["PixelData"].VR = "OW"
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
        for item in made.PerFrameFunctionalGroupsSequence:
            mapping = item.RealWorldValueMappingSequence[0]
            mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept = 0.25, -10.0

    found = read_parametric_map(_edited(tmp_path / "map.dcm", whole))
    np.testing.assert_allclose(found.array[0], stored.T * 0.25 - 10, rtol=1e-6)


def test_nan_is_an_error_that_says_what_to_do(ct, tmp_path):
    image, origin = ct
    write_parametric_map(image, tmp_path / "map.dcm", origin)

    def poison(made):
        made.FloatPixelData = np.array([np.nan], "<f4").tobytes() + made.FloatPixelData[4:]

    path = _edited(tmp_path / "map.dcm", poison)
    with pytest.raises(DataError, match="NaN"):
        read(path)
    assert read(path, replace_nan=7).array[0, 0, 0, 0] == 7


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda made: setattr(made, "FloatPixelData", made.FloatPixelData[:-400]), "cut off"),
        (lambda made: made.PerFrameFunctionalGroupsSequence.pop(), "frames"),
        (lambda made: delattr(made, "PerFrameFunctionalGroupsSequence"), "frames"),
        (lambda made: setattr(made, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"), "no DICOM parametric map"),
    ],
)
def test_damage(ct, tmp_path, change, words):
    image, origin = ct
    write_parametric_map(image, tmp_path / "map.dcm", origin)
    with pytest.raises(VesaliusError, match=words):
        read_parametric_map(_edited(tmp_path / "map.dcm", change))


def test_floating_point_is_for_maps_alone(ct, tmp_path):
    image, origin = ct
    write_parametric_map(image, tmp_path / "map.dcm", origin)
    path = _edited(tmp_path / "map.dcm", lambda made: setattr(made, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.4.1"))
    with pytest.raises(FormatError, match="floating point"):
        read_series(path)


def test_what_a_map_cannot_be_of(ct, tmp_path):
    image, origin = ct
    with pytest.raises(GeometryError, match="resample"):
        write_parametric_map(
            Volume(image.array[:, 1:], Grid((51, 40, 14), image.grid.affine)), tmp_path / "map.dcm", origin
        )
    with pytest.raises(DataError, match="names for 1"):
        write_parametric_map(image, tmp_path / "map.dcm", origin, names=["one"])
    with pytest.raises(FormatError, match="float32"):
        write_parametric_map(image.with_array(np.full(image.array.shape, 1e300)), tmp_path / "map.dcm", origin)
    with pytest.raises(FormatError, match="float32"):
        write_parametric_map(image.with_array(np.full(image.array.shape, (1 << 24) + 1)), tmp_path / "map.dcm", origin)
    flat = Volume(np.zeros((1, 4, 5)), Grid((4, 5), np.eye(3)))
    with pytest.raises(GeometryError, match="picture"):
        write_parametric_map(flat, tmp_path / "map.dcm", origin)
    assert not list(tmp_path.iterdir())
