"""What every derived object shares: whose it is, in which characters, and decimals that DICOM can hold."""

import numpy as np
import pytest
from hospital import complaints, phantom_hu, phantom_labels, write_ct
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from vesalius.errors import FormatError
from vesalius.image import LabelMap, Labels
from vesalius.io.dicom import read_origin, read_seg, write_seg
from vesalius.io.dicom.derived import decimal


@pytest.fixture(scope="module")
def labels():
    return phantom_labels()


def _written(labels, folder, **elements):
    write_seg(
        labels, folder / "seg.dcm", read_origin(write_ct(folder / "ct", labels.grid, phantom_hu(labels), **elements))
    )
    return dcmread(folder / "seg.dcm")


@given(st.floats(-1e12, 1e12) | st.floats(-1e-6, 1e-6))
def test_decimals_fit_and_keep_twelve_digits(number):
    text = decimal(number)
    assert len(text) <= 16
    assert float(text) == pytest.approx(number, rel=1e-8, abs=1e-300)


def test_the_characters_of_the_source_are_kept_where_they_do(labels, tmp_path):
    plain = LabelMap(labels.array, labels.grid, Labels.of({"liver": 1, "b": 2, "c": 3, "d": 4, "e": 5}))
    made = _written(plain, tmp_path, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Zoë")
    assert (made.SpecificCharacterSet, str(made.PatientName)) == ("ISO_IR 100", "Müller^Zoë")


def test_names_beyond_the_characters_of_the_source(labels, tmp_path):
    told = LabelMap(labels.array, labels.grid, Labels.of({"肝": 1, "b": 2, "c": 3, "d": 4, "e": 5}))
    made = _written(told, tmp_path, SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Zoë")
    assert (made.SpecificCharacterSet, str(made.PatientName)) == ("ISO_IR 192", "Müller^Zoë")
    assert read_seg(tmp_path / "seg.dcm").labels.names[0] == "肝"


def test_a_source_without_a_frame_of_reference_gets_one_that_stays(labels, tmp_path):
    first = _written(labels, tmp_path, FrameOfReferenceUID=None)
    write_seg(labels, tmp_path / "again.dcm", read_origin(tmp_path / "ct"))
    assert first.FrameOfReferenceUID == dcmread(tmp_path / "again.dcm").FrameOfReferenceUID
    assert complaints(tmp_path / "seg.dcm") == []


def test_what_a_source_does_not_say_is_empty(labels, tmp_path):
    made = _written(labels, tmp_path, PatientBirthDate=None, StudyID=None, ReferringPhysicianName=None, PatientSex=None)
    for keyword in ("PatientBirthDate", "StudyID", "PatientSex"):
        assert made[keyword].value in ("", None)
    assert complaints(tmp_path / "seg.dcm") == []


def test_a_source_without_a_study(labels, tmp_path):
    with pytest.raises(FormatError, match="which study"):
        _written(labels, tmp_path, StudyInstanceUID=None)


def test_an_element_that_nobody_understands_is_left_out(labels, tmp_path):
    origin = read_origin(write_ct(tmp_path / "ct", labels.grid, phantom_hu(labels)))
    tag = Tag("PregnancyStatus")  # three bytes are no 16-bit number
    origin.headers[0]._dict[tag] = RawDataElement(tag, "US", 3, b"abc", 0, False, True)
    write_seg(labels, tmp_path / "seg.dcm", origin)
    assert "PregnancyStatus" not in dcmread(tmp_path / "seg.dcm")
    np.testing.assert_array_equal(read_seg(tmp_path / "seg.dcm").array, labels.array)
