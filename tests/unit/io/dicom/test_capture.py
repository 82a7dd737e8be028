"""Secondary captures: what is drawn, and the file that holds it."""

import numpy as np
import pytest
from hospital import complaints, inconsistencies, phantom_hu, phantom_labels, write_ct
from pydicom import dcmread

from vesalius.errors import DataError
from vesalius.image import Grid, Label, LabelMap, Labels, Meta, Volume
from vesalius.io.dicom import draw, read_origin, read_series, write_capture


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    """The awkward phantom: image, labels, series, folder."""
    labels = phantom_labels()
    folder = write_ct(tmp_path_factory.mktemp("ct"), labels.grid, phantom_hu(labels))
    return read_series(folder), labels, read_origin(folder), folder


def test_the_drawing():
    grid = Grid.from_spacing((6, 5, 1), (1, 1, 1))
    array = np.zeros(grid.shape, np.uint8)
    array[1:5, 1:4] = 1
    labels = LabelMap(array, grid, Labels((Label("a", 1, (200, 0, 100)),)))
    image = Volume(np.full((1, *grid.shape), 50.0), grid)
    picture = draw(image, labels, window=(0, 100), opacity=0.5)[0]
    assert picture.shape == (5, 6, 3)
    assert picture[0, 0].tolist() == [128, 128, 128]  # outside: the image
    assert picture[1, 1].tolist() == [200, 0, 100]  # the outline
    assert picture[2, 2].tolist() == [164, 64, 114]  # inside: half and half


def test_the_file(ct, tmp_path):
    image, labels, origin, folder = ct
    pictures = draw(image, labels)
    write_capture(pictures, tmp_path / "drawn.dcm", origin)
    assert complaints(tmp_path / "drawn.dcm") == []
    files = list(folder.iterdir())
    assert inconsistencies([tmp_path / "drawn.dcm", *files]) == inconsistencies(files)
    made = dcmread(tmp_path / "drawn.dcm")
    np.testing.assert_array_equal(made.pixel_array, pictures)
    assert made.BurnedInAnnotation == "NO"
    assert made.StudyInstanceUID == origin.headers[0].StudyInstanceUID
    found = read_series(tmp_path / "drawn.dcm")  # time is not space: frames become channels
    np.testing.assert_array_equal(found.array.reshape(14, 3, 52, 40).transpose(0, 3, 2, 1), pictures)


def test_what_cannot_be_drawn(ct, tmp_path):
    image, labels, origin, _ = ct
    with pytest.raises(DataError, match="channels"):
        draw(Volume(np.zeros((2, *image.grid.shape)), image.grid), labels)
    with pytest.raises(DataError, match="window"):
        draw(image, labels, window=(1, 1))
    other = LabelMap(labels.array[1:], Grid((51, 40, 14), labels.grid.affine), labels.labels)
    with pytest.raises(DataError, match="another grid"):
        draw(image, other)
    with pytest.raises(DataError, match="pictures must be"):
        write_capture(np.zeros((2, 4, 5, 3), np.uint8), tmp_path / "x.dcm", origin)


def test_unknown_pictures_may_hold_text(tmp_path, dicom, rng):
    pixels = rng.integers(0, 255, (12, 16), dtype=np.uint8)
    made = dicom.image(pixels, ImagePositionPatient=None, ImageOrientationPatient=None, Modality="US")
    path = dicom.write(made)
    image = read_series(path)
    labels = LabelMap((image.array[0] > 99).astype(np.uint8), image.grid, Labels.of([1]))
    write_capture(draw(image, labels), tmp_path / "drawn.dcm", read_origin(path))
    assert dcmread(tmp_path / "drawn.dcm").BurnedInAnnotation == "YES"


def test_colours_stay_colours():
    grid = Grid((6, 5), np.eye(3))
    array = np.arange(90, dtype=np.uint8).reshape(3, 6, 5)
    nothing = LabelMap(np.zeros(grid.shape, np.uint8), grid, Labels.of([1]))
    drawn = draw(Volume(array, grid, Meta(modality="RGB")), nothing)
    np.testing.assert_array_equal(drawn[0], array.transpose(2, 1, 0))
