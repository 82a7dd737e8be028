"""Which object a file is, and what the common face makes of it."""

import numpy as np
import pytest
from hospital import phantom_hu, phantom_labels, write_ct

from vesalius.errors import FormatError
from vesalius.image import Volume
from vesalius.io import holds_labels, is_dicom, read, read_labels, write
from vesalius.io.dicom import read_origin, write_parametric_map, write_rtstruct, write_seg
from vesalius.io.dicom.objects import kind_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One object of each kind, and the series behind them."""
    place = tmp_path_factory.mktemp("objects")
    labels = phantom_labels()
    origin = read_origin(write_ct(place / "ct", labels.grid, phantom_hu(labels)))
    write_seg(labels, place / "binary.dcm", origin)
    write_seg(labels, place / "labelmap.dcm", origin, kind="labelmap")
    write_seg(labels, place / "fractional.dcm", origin, kind="fractional")
    write_rtstruct(labels, place / "contours.dcm", origin)
    write_parametric_map(Volume(np.zeros((1, *labels.grid.shape)), labels.grid), place / "map.dcm", origin)
    write(labels, place / "named.nii.gz")
    write(Volume(labels.array[None], labels.grid), place / "plain.nii.gz")
    return place


@pytest.mark.parametrize(
    ("name", "kind", "labelled"),
    [
        ("ct", "image", False),
        ("ct/000.dcm", "image", False),
        ("binary.dcm", "segmentation", True),
        ("labelmap.dcm", "segmentation", True),
        ("fractional.dcm", "fractions", False),
        ("contours.dcm", "structure set", True),
        ("map.dcm", "parametric map", False),
    ],
)
def test_kinds(folder, name, kind, labelled):
    assert kind_of(folder / name) == kind
    assert is_dicom(folder / name)
    assert holds_labels(folder / name) == labelled


def test_files_that_are_not_dicom(folder):
    assert holds_labels(folder / "named.nii.gz")
    assert not holds_labels(folder / "plain.nii.gz")
    assert not is_dicom(folder / "plain.nii.gz")


def test_a_segmentation_as_an_image_is_its_values(folder):
    for name in ("binary.dcm", "labelmap.dcm"):
        np.testing.assert_array_equal(read(folder / name).array[0], phantom_labels().array)


def test_contours_need_a_grid(folder):
    with pytest.raises(FormatError, match=r"contours\.dcm: is an RT structure set, .*--source"):
        read(folder / "contours.dcm")
    with pytest.raises(FormatError, match="--source"):
        read_labels(folder / "contours.dcm")
    found = read_labels(folder / "contours.dcm", grid=read(folder / "ct").grid)
    np.testing.assert_array_equal(found.array, phantom_labels().array)


def test_a_series_is_chosen_among_images_alone(folder):
    with pytest.raises(FormatError, match="is for image series; this is a segmentation"):
        read(folder / "binary.dcm", series="4")


def test_names_may_be_given_to_what_has_others(folder):
    from vesalius.image import Labels

    told = Labels.of({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5})
    assert read_labels(folder / "binary.dcm", told).labels == told
