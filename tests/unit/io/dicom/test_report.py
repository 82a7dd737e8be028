"""Structured reports: our own round trip, and what other software writes."""

from dataclasses import replace

import pytest
from hospital import PATIENT, phantom_hu, phantom_labels, write_ct
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, generate_uid

from vesalius.errors import DataError, FormatError
from vesalius.image import Code, Meta, Quantity, Size, Volume
from vesalius.io.dicom import read_origin, read_report, write_report, write_rtstruct, write_seg
from vesalius.metrics.size import measure

FIELDS = (
    *("volume_ml", "area_mm2", "long_axis_mm", "short_axis_mm", "circumference_mm"),
    *("mean", "sd", "minimum", "maximum"),
)


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    """The phantom's sizes, its series, and a SEG of it."""
    folder = tmp_path_factory.mktemp("report")
    labels = phantom_labels()
    origin = read_origin(write_ct(folder / "ct", labels.grid, phantom_hu(labels)))
    write_seg(labels, folder / "seg.dcm", origin)
    sizes = measure(labels, Volume(phantom_hu(labels)[None], labels.grid, Meta("CT", "HU")))
    return sizes, origin, folder / "seg.dcm"


def _same(found, written):
    assert found.name == written.name
    assert (found.unit, found.modality) == (written.unit, written.modality)
    for field in FIELDS:
        value = getattr(written, field)
        assert getattr(found, field) == (None if value is None else pytest.approx(value, rel=1e-11))


@pytest.mark.parametrize("refer", [True, False])
def test_the_round_trip(ct, tmp_path, refer):
    sizes, origin, seg = ct
    write_report(sizes, tmp_path / "sr.dcm", origin, segmentation=seg if refer else None)
    found = read_report(tmp_path / "sr.dcm")
    assert [one.name for one in found] == ["left lung", "liver", "Gefäß", "seeds"]  # the spleen has no voxel
    for one, written in zip(found, sizes, strict=False):
        _same(one, written)
        assert one.code == written.code
        assert one.value == (written.value if refer else None)
    made = dcmread(tmp_path / "sr.dcm")
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    named = {
        item.ReferencedSOPInstanceUID for one in study.ReferencedSeriesSequence for item in one.ReferencedSOPSequence
    }
    assert {header.SOPInstanceUID for header in origin.headers} <= named
    assert (dcmread(seg).SOPInstanceUID in named) is refer
    assert (str(made.PatientName), made.Modality, made.Manufacturer) == (PATIENT[0], "SR", "Vesalius")


@pytest.mark.parametrize(
    ("modality", "unit"), [("CT", "HU"), ("PT", "g/ml"), ("PT", "Bq/ml"), ("PT", "counts"), ("MR", ""), ("OT", "")]
)
def test_brightness_of_every_kind(ct, tmp_path, modality, unit):
    size = replace(ct[0][0], modality=modality, unit=unit)
    write_report([size], tmp_path / "sr.dcm", ct[1])
    _same(read_report(tmp_path / "sr.dcm")[0], size)


def test_areas_and_what_else_was_measured(ct, tmp_path):
    other = Quantity(Code("DCM", "126033", "Total Lesion Glycolysis"), 12.5, "g", Code("SCT", "373098007", "Mean"))
    size = Size("polyp", area_mm2=12.25, long_axis_mm=1 / 3, circumference_mm=12.5, others=(other,))
    write_report([size], tmp_path / "sr.dcm", ct[1])
    (found,) = read_report(tmp_path / "sr.dcm")
    _same(found, size)
    assert found.others == (other,)


def test_what_cannot_be_written(ct, tmp_path):
    sizes, origin, seg = ct
    with pytest.raises(DataError, match="no structure with a voxel"):
        write_report([sizes[4]], tmp_path / "sr.dcm", origin)
    labels = phantom_labels()
    write_rtstruct(labels, tmp_path / "rs.dcm", origin)
    with pytest.raises(FormatError, match="no DICOM segmentation"):
        write_report(sizes, tmp_path / "sr.dcm", origin, segmentation=tmp_path / "rs.dcm")
    elsewhere = read_origin(write_ct(tmp_path / "ct", labels.grid, phantom_hu(labels)))
    with pytest.raises(DataError, match="another study"):
        write_report(sizes, tmp_path / "sr.dcm", elsewhere, segmentation=seg)
    assert not (tmp_path / "sr.dcm").exists()


def _item(kind: str, name: tuple[str, str, str], **elements) -> Dataset:
    made = Dataset()
    made.ValueType, made.RelationshipType = kind, "CONTAINS"
    made.ConceptNameCodeSequence = [_code(*name)]
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def _code(scheme: str, value: str, meaning: str) -> Dataset:
    made = Dataset()
    made.CodingSchemeDesignator, made.CodeValue, made.CodeMeaning = scheme, value, meaning
    return made


def _number(name, value, unit, derivation=None):
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, [_code("UCUM", unit, unit)]
    made = _item("NUM", name, MeasuredValueSequence=[measured] if value is not None else [])
    if derivation:
        made.ContentSequence = [
            _item("CODE", ("DCM", "121401", "Derivation"), ConceptCodeSequence=[_code(*derivation)])
        ]
    return made


def _foreign(path, groups):
    made = _item("CONTAINER", ("DCM", "126000", "Imaging Measurement Report"))
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = ComprehensiveSRStorage, generate_uid()
    made.PatientName = PATIENT[0]
    inside = _item("CONTAINER", ("DCM", "126010", "Imaging Measurements"))
    inside.ContentSequence = [
        _item("CONTAINER", ("DCM", "125007", "Measurement Group"), ContentSequence=children)
        for children in groups or ()
    ]
    made.ContentSequence = [inside] if groups is not None else []
    made.save_as(path, enforce_file_format=True)
    return path


def test_other_units_older_codes_and_missing_numbers(tmp_path):
    mean, sd = ("SRT", "R-00317", "Mean"), ("SRT", "R-10047", "Standard Deviation")
    hu = ("DCM", "112031", "Attenuation Coefficient")
    first = [
        _item("CODE", ("DCM", "121071", "Finding"), ConceptCodeSequence=[_code("SCT", "4147007", "Mass")]),
        _number(("SRT", "G-D705", "Volume"), "1500", "mm3"),
        _number(("SCT", "103339001", "Long Axis"), "2.5", "cm"),
        _number(("SCT", "103340004", "Short Axis"), None, "mm"),  # says that it was not measured
        _number(hu, "40", "[hnsf'U]", mean),
        _number(hu, "7", "[hnsf'U]", sd),
        _number(("DCM", "126401", "SUVbw"), "3.5", "g/ml{SUVbw}", mean),
        _number(("SCT", "118565006", "Volume"), "9", "[gal_us]"),
    ]
    second = [_number(("SCT", "118565006", "Volume"), "2", "mL"), _number(("SCT", "118565006", "Volume"), "3", "ml")]
    one, other = read_report(_foreign(tmp_path / "sr.dcm", [first, second]))
    assert (one.name, one.code, one.volume_ml, one.long_axis_mm) == (
        "Mass", Code("SCT", "4147007", "Mass"), 1.5, 25,
    )  # fmt: skip
    assert (one.short_axis_mm, one.mean, one.sd, one.unit, one.modality) == (None, 40, 7, "HU", "CT")
    assert [(q.concept.meaning, q.value, q.unit) for q in one.others] == [
        ("SUVbw", 3.5, "g/ml{SUVbw}"),
        ("Volume", 9, "[gal_us]"),
    ]
    assert (other.name, other.volume_ml, [q.value for q in other.others]) == ("group 2", 2, [3])
    assert read_report(_foreign(tmp_path / "sr.dcm", [])) == ()


def test_what_is_no_report_of_measurements(ct, tmp_path):
    with pytest.raises(FormatError, match="no structured report"):
        read_report(ct[2])
    with pytest.raises(FormatError, match="cannot be read"):
        read_report(tmp_path / "missing.dcm")
    with pytest.raises(FormatError, match="does not follow TID 1500"):
        read_report(_foreign(tmp_path / "sr.dcm", None))
    path = _foreign(tmp_path / "sr.dcm", [[_number(("SCT", "118565006", "Volume"), "2", "mL")]])
    path.write_bytes(path.read_bytes().replace(b"2 \x08\x00", b"X \x08\x00", 1)[:-7])
    with pytest.raises(FormatError, match="damaged") as raised:
        read_report(path)
    assert PATIENT[0] not in str(raised.value)
