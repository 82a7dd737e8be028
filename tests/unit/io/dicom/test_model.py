"""STL in DICOM: the standard's modules, what dciodvfy says, the way out again, and nothing of the patient beyond."""

import struct

import pytest
from bodies import ball
from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map
from hospital import PATIENT, complaints, inconsistencies, phantom_hu, phantom_labels, write_ct
from pydicom import dcmread

from vesalius.errors import FormatError
from vesalius.io.dicom import read_model, read_origin, write_model
from vesalius.mesh.files import stl


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    labels = phantom_labels()
    origin = read_origin(write_ct(folder / "ct", labels.grid, phantom_hu(labels)))
    data = stl.encode([ball(12.0, centre_mm=(-40.0, 20.0, -300.0), steps=9)])
    write_model(data, folder / "model.dcm", origin, title="Heart")
    return folder, origin, data


def test_the_way_out_again(written):
    folder, _, data = written
    assert read_model(folder / "model.dcm") == data


def test_dciodvfy_and_dcentvfy_find_no_error(written):
    folder, _, _ = written
    assert complaints(folder / "model.dcm") == []
    assert inconsistencies([folder / "model.dcm", *sorted((folder / "ct").iterdir())]) == []


def test_every_module_of_the_standard_has_what_it_must_have(written):
    folder, origin, data = written
    made = dcmread(folder / "model.dcm")
    attributes = get_module_attribute_map()
    for module in get_iod_module_map()["encapsulated-stl"]:
        if module["usage"] == "M":
            for one in attributes[module["key"]]:
                if not one["path"] and one["type"] in ("1", "2"):
                    assert one["keyword"] in made, one["keyword"]
                    assert one["type"] == "2" or made[one["keyword"]].value not in (None, "", []), one["keyword"]
    assert made.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.3"
    assert (made.Modality, made.MIMETypeOfEncapsulatedDocument, made.DocumentTitle) == ("M3D", "model/stl", "Heart")
    (unit,) = made.MeasurementUnitsCodeSequence
    assert (unit.CodeValue, unit.CodingSchemeDesignator) == ("mm", "UCUM")
    source = origin.headers[0]
    assert made.StudyInstanceUID == source.StudyInstanceUID
    assert made.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    assert str(made.PatientName) == PATIENT[0]  # of the study that it belongs to
    assert len(made.SourceInstanceSequence) == len(origin.headers)
    assert made.EncapsulatedDocumentLength == len(data)
    assert made.RecognizableVisualFeatures == "YES"  # until somebody says otherwise


def test_an_odd_length_is_filled_up_and_taken_off(tmp_path, written):
    _, origin, _ = written
    odd = stl.encode([ball(steps=9)])
    odd = odd[:80] + struct.pack("<I", 1) + odd[84:134]
    write_model(odd, tmp_path / "a.dcm", origin, recognisable=False)
    assert read_model(tmp_path / "a.dcm") == odd
    made = dcmread(tmp_path / "a.dcm")
    assert made.RecognizableVisualFeatures == "NO"
    del made.EncapsulatedDocumentLength  # as older writers do
    made.save_as(tmp_path / "b.dcm")
    assert read_model(tmp_path / "b.dcm") == odd


def test_what_is_refused(tmp_path, written):
    folder, origin, data = written
    for broken in (data[:-1], b"", b"solid" + data[5:]):
        with pytest.raises(FormatError, match="whole binary STL"):
            write_model(broken, tmp_path / "x.dcm", origin)
    assert not (tmp_path / "x.dcm").exists()
    with pytest.raises(FormatError, match="no encapsulated STL"):
        read_model(next((folder / "ct").iterdir()))
    made = dcmread(folder / "model.dcm")
    made.MeasurementUnitsCodeSequence[0].CodeValue = "um"
    made.save_as(tmp_path / "um.dcm")
    with pytest.raises(FormatError, match="not the millimetre"):
        read_model(tmp_path / "um.dcm")
