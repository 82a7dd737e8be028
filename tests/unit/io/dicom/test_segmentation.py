"""SEG: our own round trip in each kind, overlaps, and what other software leaves out or gets wrong."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hospital import PATIENT, oblique_grid, phantom_hu, phantom_labels, write_ct
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from vesalius.errors import DataError, FormatError, GeometryError, VesaliusError
from vesalius.image import Grid, Label, LabelMap, Labels, Volume
from vesalius.io import read, read_labels, write
from vesalius.io.dicom import read_fractions, read_origin, read_seg, write_seg

KINDS = ("binary", "fractional", "labelmap")


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    """The awkward phantom: its labels, and the series that they were drawn on."""
    labels = phantom_labels()
    return labels, read_origin(write_ct(tmp_path_factory.mktemp("ct"), labels.grid, phantom_hu(labels)))


def _edited(path: Path, change) -> Path:
    """The file after another program was at it."""
    made = dcmread(path)
    change(made)
    made.save_as(path, enforce_file_format=True)
    return path


def _forget(made) -> None:
    del made[0x0063, 0x0010]
    del made[0x0063, 0x1001]


def _far(made, mm: float) -> None:
    """The last frame lies elsewhere."""
    place = made.PerFrameFunctionalGroupsSequence[-1].PlanePositionSequence[0]
    normal = oblique_grid().direction[:, 2]
    place.ImagePositionPatient = [
        f"{float(x) + mm * n:.9f}"[:16] for x, n in zip(place.ImagePositionPatient, normal, strict=True)
    ]


def _turn(made) -> None:
    (shared,) = made.SharedFunctionalGroupsSequence
    items = made.PerFrameFunctionalGroupsSequence
    for item in items:
        item.PlaneOrientationSequence = shared.PlaneOrientationSequence
    turned = Dataset()
    turned.ImageOrientationPatient = [0, 1, 0, 0, 0, 1]
    items[-1].PlaneOrientationSequence = [turned]
    del shared.PlaneOrientationSequence


def _regions(labels: LabelMap) -> LabelMap:
    named = {"core": 1, "oedema": 2, "enhancing": 3}
    regions = {"whole": (1, 2, 3), "tumour": (1, 3)}
    return LabelMap(labels.array % 4, labels.grid, Labels.of(named, regions=regions))


@pytest.mark.parametrize("kind", KINDS)
def test_a_round_trip_keeps_everything(ct, tmp_path, kind):
    labels, origin = ct
    write_seg(labels, tmp_path / "seg.dcm", origin, kind=kind)
    found = read_labels(tmp_path / "seg.dcm")
    np.testing.assert_array_equal(found.array, labels.array)
    assert found.array.dtype == np.uint8
    assert found.grid.corner_distance_mm(origin.grid) < 1e-6
    assert found.labels == labels.labels


@pytest.mark.parametrize("kind", KINDS)
def test_values_survive_that_segment_numbers_are_not(ct, tmp_path, kind):
    labels, origin = ct
    values = np.array([0, 7, 300, 2, 40_000, 9], np.uint16)
    told = Labels(tuple(replace(label, value=int(values[label.value])) for label in labels.labels.labels))
    wide = LabelMap(values[labels.array], labels.grid, told)
    write_seg(wide, tmp_path / "seg.dcm", origin, kind=kind)
    found = read_seg(tmp_path / "seg.dcm")
    np.testing.assert_array_equal(found.array, wide.array)
    assert found.labels == told
    numbers = [item.SegmentNumber for item in dcmread(tmp_path / "seg.dcm").SegmentSequence]
    assert numbers == ([0, *told.values] if kind == "labelmap" else [1, 2, 3, 4, 5])


def test_without_our_own_element_a_segment_is_worth_its_number(ct, tmp_path):
    labels, origin = ct
    write_seg(labels, tmp_path / "seg.dcm", origin)
    found = read_seg(_edited(tmp_path / "seg.dcm", _forget))
    np.testing.assert_array_equal(found.array, labels.array)
    assert found.labels.names == labels.labels.names
    first, *_, fifth = found.labels.labels
    assert first.colour == (200, 30, 90)
    assert (fifth.code.scheme, fifth.code.value) == ("SCT", "78961009")  # the spleen was found by its name


def test_what_the_header_says(ct, tmp_path):
    labels, origin = ct
    write_seg(labels, tmp_path / "seg.dcm", origin, algorithm="semiautomatic", algorithm_name="brush")
    made, source = dcmread(tmp_path / "seg.dcm"), origin.headers[0]
    assert (made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex) == PATIENT
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID", "AccessionNumber", "StudyID", "PatientAge"):
        assert made[keyword].value == source[keyword].value
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    assert made.Manufacturer == "Vesalius"
    assert {item.SegmentAlgorithmType for item in made.SegmentSequence} == {"SEMIAUTOMATIC"}
    assert made.SegmentSequence[0].SegmentAlgorithmName == "brush"
    assert made.SpecificCharacterSet == "ISO_IR 192"
    assert made.SegmentSequence[2].SegmentLabel == "Gefäß"
    referenced = made.ReferencedSeriesSequence[0]
    assert referenced.SeriesInstanceUID == source.SeriesInstanceUID
    assert {one.ReferencedSOPInstanceUID for one in referenced.ReferencedInstanceSequence} == {
        header.SOPInstanceUID for header in origin.headers
    }
    # Each frame refers to the image of its own slice.
    at = {header.SOPInstanceUID: np.array(header.ImagePositionPatient, float) for header in origin.headers}
    for item in made.PerFrameFunctionalGroupsSequence:
        uid = item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        place = np.array(item.PlanePositionSequence[0].ImagePositionPatient, float)
        assert np.linalg.norm(place - at[uid]) < 1e-6


def test_empty_slices_are_left_out_but_for_the_ends(ct, tmp_path):
    labels, origin = ct
    only = LabelMap((labels.array == 3).astype(np.uint8), labels.grid, Labels.of({"a": 1, "b": 2}))
    write_seg(only, tmp_path / "seg.dcm", origin)
    filled = set(np.flatnonzero(only.array.any(axis=(0, 1)))) | {0, labels.grid.shape[2] - 1}
    assert dcmread(tmp_path / "seg.dcm").NumberOfFrames == len(filled)
    found = read_seg(tmp_path / "seg.dcm")
    assert found.grid.is_close(labels.grid, tolerance_mm=1e-6)
    np.testing.assert_array_equal(found.array, only.array)


def test_nothing_found_is_a_segmentation_too(ct, tmp_path):
    labels, origin = ct
    write_seg(LabelMap(np.zeros_like(labels.array), labels.grid, labels.labels), tmp_path / "seg.dcm", origin)
    found = read_seg(tmp_path / "seg.dcm")
    assert not found.array.any()
    assert (found.grid.shape, found.labels) == (labels.grid.shape, labels.labels)


def test_regions_are_segments_that_overlap(ct, tmp_path):
    labels, origin = ct
    told = _regions(labels)
    write_seg(told, tmp_path / "seg.dcm", origin, regions=True)
    made = dcmread(tmp_path / "seg.dcm")
    assert made.SegmentsOverlap == "YES"
    assert [item.SegmentLabel for item in made.SegmentSequence] == ["whole", "tumour"]
    # "core" and "enhancing" cannot be told apart by these regions: what overlaps is kept all the same.
    found = read_seg(tmp_path / "seg.dcm")
    for name in ("whole", "tumour"):
        np.testing.assert_array_equal(found.binary(name), told.binary(name))


def test_regions_that_tell_every_label_apart_come_back_as_they_were(ct, tmp_path):
    labels, origin = ct
    regions = {"whole": (1, 2, 3), "tumour": (1, 3), "enhancing part": (3,)}
    told = _regions(labels)
    told = LabelMap(told.array, told.grid, Labels.of({"core": 1, "oedema": 2, "enhancing": 3}, regions=regions))
    write_seg(told, tmp_path / "seg.dcm", origin, regions=True)
    found = read_seg(tmp_path / "seg.dcm")
    np.testing.assert_array_equal(found.array, told.array)
    assert found.labels == told.labels


def test_overlaps_of_others_are_kept(ct, tmp_path):
    labels, origin = ct
    told = _regions(labels)
    write_seg(told, tmp_path / "seg.dcm", origin, regions=True)
    found = read_seg(_edited(tmp_path / "seg.dcm", _forget))
    assert found.labels.names == ("whole alone", "tumour")
    for name in ("whole", "tumour"):
        np.testing.assert_array_equal(found.binary(name), told.binary(name))


def test_segments_can_be_chosen(ct, tmp_path):
    labels, origin = ct
    write_seg(labels, tmp_path / "seg.dcm", origin)
    found = read_seg(tmp_path / "seg.dcm", segments=["liver", "seeds"])
    np.testing.assert_array_equal(found.array, np.where(np.isin(labels.array, (2, 4)), labels.array, 0))
    with pytest.raises(DataError, match="did you mean 'liver'"):
        read_seg(tmp_path / "seg.dcm", segments=["lever"])


def test_probabilities(ct, tmp_path, rng):
    labels, origin = ct
    shares = rng.dirichlet(np.ones(6), labels.grid.shape).astype(np.float32).transpose(3, 0, 1, 2)
    write_seg(labels, tmp_path / "p.dcm", origin, kind="fractional", probabilities=Volume(shares, labels.grid))
    found = read_fractions(tmp_path / "p.dcm")
    assert np.abs(found.array - shares[1:]).max() <= 0.5 / 255 + 1e-6
    assert "left lung, liver" in found.meta.notes[0]
    np.testing.assert_array_equal(read(tmp_path / "p.dcm").array, found.array)
    kept = np.rint(shares[1:] * np.float32(255))
    expected = np.where(kept.max(0) >= 127.5, kept.argmax(0) + 1, 0)
    np.testing.assert_array_equal(read_labels(tmp_path / "p.dcm").array, expected)
    assert dcmread(tmp_path / "p.dcm").SegmentationFractionalType == "PROBABILITY"


def test_a_picture_without_a_place(tmp_path, dicom, rng):
    pixels = rng.integers(0, 99, (20, 31), dtype=np.uint8)
    path = dicom.write(dicom.image(pixels, ImagePositionPatient=None, ImageOrientationPatient=None))
    origin = read_origin(path)
    array = (pixels.T > 50).astype(np.uint8)
    labels = LabelMap(array, origin.grid, Labels.of({"polyp": 1}))
    write_seg(labels, tmp_path / "seg.dcm", origin)
    found = read_seg(tmp_path / "seg.dcm")
    np.testing.assert_array_equal(found.array, array)
    assert found.grid == origin.grid
    assert "FrameOfReferenceUID" not in dcmread(tmp_path / "seg.dcm")


def test_a_tilted_gantry(tmp_path, dicom, ramp):
    slices = dicom.stack(ramp, step=(0.0, 0.8, 3.0))
    origin = read_origin(dicom.write_shuffled(slices))
    labels = LabelMap((ramp.T % 3).astype(np.uint8), origin.grid, Labels.of([1, 2]))
    write_seg(labels, tmp_path / "seg.dcm", origin)
    found = read_seg(tmp_path / "seg.dcm")
    np.testing.assert_array_equal(found.array, labels.array)
    assert found.grid.corner_distance_mm(origin.grid) < 1e-6


def test_an_enhanced_source_is_referred_to_frame_by_frame(tmp_path, dicom, ramp):
    frames = [{"position": (1.0, 2.0, 3.0 * k)} for k in (2, 0, 1, 4, 3)]
    origin = read_origin(dicom.write(dicom.enhanced(ramp.astype(np.uint16), frames)))
    labels = LabelMap(np.ones(origin.grid.shape, np.uint8), origin.grid, Labels.of([1]))
    write_seg(labels, tmp_path / "seg.dcm", origin)
    made = dcmread(tmp_path / "seg.dcm")
    told = [
        item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber
        for item in made.PerFrameFunctionalGroupsSequence
    ]
    assert told == [2, 3, 1, 5, 4]


def test_a_sparse_file_of_another_program(ct, tmp_path):
    labels, origin = ct
    only = LabelMap(np.isin(labels.array, (1,)).astype(np.uint8), labels.grid, Labels.of({"a": 1}))
    write_seg(only, tmp_path / "seg.dcm", origin, kind="fractional")

    def thin(made) -> None:
        """Slices 3, 5 and 9 alone, and no word of the spacing."""
        items = made.PerFrameFunctionalGroupsSequence
        size = made.Rows * made.Columns
        at = [item.FrameContentSequence[0].DimensionIndexValues[-1] - 1 for item in items]
        kept = [n for n, slice_ in enumerate(at) if slice_ in (3, 5, 9)]
        made.PixelData = b"".join(made.PixelData[n * size : (n + 1) * size] for n in kept)
        made.PerFrameFunctionalGroupsSequence = [items[n] for n in kept]
        made.NumberOfFrames = len(kept)
        del made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices

    found = read_seg(_edited(tmp_path / "seg.dcm", thin))
    assert found.grid.spacing_mm == pytest.approx((0.7, 1.3, 6.2))
    np.testing.assert_array_equal(found.array, only.array[..., [3, 5, 7, 9]] * np.array([1, 1, 0, 1], np.uint8))


def test_what_a_segmentation_cannot_be_of(ct, tmp_path):
    labels, origin = ct
    other = LabelMap(labels.array[:-1], Grid((51, 40, 14), labels.grid.affine), labels.labels)
    with pytest.raises(GeometryError, match="resample"):
        write_seg(other, tmp_path / "seg.dcm", origin)
    ignored = LabelMap(labels.array, labels.grid, Labels.of({"a": 1, "b": 2, "c": 3, "d": 4}, ignore=5))
    write_seg(ignored, tmp_path / "unused.dcm", origin)  # no voxel has it
    looked = LabelMap(np.where(labels.array == 4, 5, labels.array), labels.grid, ignored.labels)
    with pytest.raises(DataError, match="ignored"):
        write_seg(looked, tmp_path / "seg.dcm", origin)
    with pytest.raises(DataError, match="no label"):
        write_seg(LabelMap(np.zeros_like(labels.array), labels.grid, Labels(())), tmp_path / "seg.dcm", origin)
    with pytest.raises(DataError, match="may overlap"):
        write_seg(labels, tmp_path / "seg.dcm", origin, kind="labelmap", regions=True)
    with pytest.raises(FormatError, match="unknown kind"):
        write_seg(labels, tmp_path / "seg.dcm", origin, kind="labels")  # type: ignore[arg-type]
    with pytest.raises(FormatError, match="--source"):
        write(labels, tmp_path / "seg.dcm")
    assert [path.name for path in tmp_path.iterdir()] == ["unused.dcm"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda made: delattr(made, "SegmentSequence"), "no segment"),
        (lambda made: setattr(made, "SegmentationType", "SECRET"), "segmentation type"),
        (lambda made: delattr(made, "PerFrameFunctionalGroupsSequence"), "frames"),
        (lambda made: made.PerFrameFunctionalGroupsSequence.pop(), "frames"),
        (lambda made: setattr(made, "NumberOfFrames", 1 << 22), "Frames"),
        (lambda made: setattr(made.SegmentSequence[1], "SegmentNumber", 1), "differ"),
        (lambda made: setattr(made.SegmentSequence[1], "SegmentNumber", 9), "not described"),
        (lambda made: setattr(made, "PixelData", made.PixelData[:-40]), "cut off"),
        (lambda made: setattr(made, "BitsAllocated", 8), "binary|cut off"),
        (lambda made: _far(made, 1e5), "evenly spaced|span|regular"),
        (lambda made: _far(made, 3.1e6), "span"),
        (_turn, "different directions"),
    ],
)
def test_damage_is_told_without_a_value(ct, tmp_path, change, words):
    labels, origin = ct
    write_seg(labels, tmp_path / "seg.dcm", origin)
    with pytest.raises(VesaliusError, match=words) as caught:
        read_seg(_edited(tmp_path / "seg.dcm", change))
    assert "seg.dcm" in str(caught.value)
    assert not any(secret in str(caught.value) for secret in (*PATIENT[:3], "SECRET"))


def test_other_objects_are_refused(ct, tmp_path, dicom, ramp):
    path = dicom.write(dicom.image(ramp[0]))
    with pytest.raises(FormatError, match="no DICOM segmentation"):
        read_seg(path)
    (tmp_path / "text.dcm").write_text("a letter")
    with pytest.raises(FormatError, match="no DICOM segmentation"):
        read_seg(tmp_path / "text.dcm")


def test_two_segments_of_one_name(ct, tmp_path):
    labels, origin = ct
    write_seg(labels, tmp_path / "seg.dcm", origin)

    def same(made) -> None:
        _forget(made)
        made.SegmentSequence[3].SegmentLabel = "liver"

    assert read_seg(_edited(tmp_path / "seg.dcm", same)).labels.names[1::2] == ("liver", "liver (4)")


def test_long_names_are_shortened_for_others_alone(ct, tmp_path):
    labels, origin = ct
    long = Labels((Label("a" * 90, 1), Label("b" * 90, 2), *labels.labels.labels[2:]))
    write_seg(LabelMap(labels.array, labels.grid, long), tmp_path / "seg.dcm", origin)
    assert read_seg(tmp_path / "seg.dcm").labels == long


def test_each_file_is_an_object_of_its_own(ct, tmp_path):
    labels, origin = ct
    uids = set()
    for name in "ab":
        write_seg(labels, tmp_path / f"{name}.dcm", origin)
        uids.add(dcmread(tmp_path / f"{name}.dcm").SOPInstanceUID)
    assert len(uids) == 2
    assert generate_uid() not in uids
