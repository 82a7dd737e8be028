"""What a folder holds, and how one series of it is chosen."""

import logging
import shutil
import warnings

import numpy as np
import pytest
from pydicom.uid import UID, MRImageStorage, RTStructureSetStorage, SegmentationStorage, generate_uid

from vesalius.errors import FormatError, VesaliusError
from vesalius.io.dicom import list_series, read_series


@pytest.fixture
def two_series(dicom, ramp):
    """A CT and an MR series in one folder."""
    slices = dicom.stack(ramp)
    dicom.series = generate_uid()
    slices += dicom.stack(ramp[:3], storage=MRImageStorage, SeriesNumber=12, SeriesDescription="T1 post")
    return dicom.write_shuffled(slices)


def test_series_are_listed_with_what_they_are(two_series):
    ct, mr = list_series(two_series)
    assert (ct.modality, ct.number, ct.images, ct.shape, ct.spacing_mm) == ("CT", 3, 5, (6, 4, 5), (0.75, 0.5, 2.0))
    assert (mr.modality, mr.number, mr.images, mr.description) == ("MR", 12, 3, "T1 post")


def test_keys_stay_the_same_when_the_files_move(two_series, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(two_series, elsewhere)
    assert [series.key for series in list_series(elsewhere)] == [series.key for series in list_series(two_series)]


def test_several_series_ask_for_a_choice(two_series):
    keys = [series.key for series in list_series(two_series)]
    with pytest.raises(FormatError, match="holds several image series; choose one with series=KEY") as caught:
        read_series(two_series)
    for key, text in zip(keys, ["(CT, 5 images, 6 x 4 x 5)", "(MR, 3 images, 6 x 4 x 3)"], strict=True):
        assert f"{key} {text}" in str(caught.value)


def test_a_series_is_chosen_by_key_number_description_or_uid(two_series, dicom):
    key = list_series(two_series)[1].key
    for selector in (key, "12", "t1 POST", dicom.series, dicom.series[:-2]):
        assert read_series(two_series, series=selector).meta.modality == "MR"


def test_an_unknown_or_ambiguous_selector_lists_the_keys(two_series, dicom):
    keys = [series.key for series in list_series(two_series)]
    for selector, problem in (
        ("99", "no image series fits"),
        (dicom.series[:9], "fits 2 image series"),
        ("", "no image"),
    ):
        with pytest.raises(FormatError, match=problem) as caught:
            read_series(two_series, series=selector)
        assert all(key in str(caught.value) for key in keys)


def test_one_file_stands_for_its_series(two_series, dicom, ramp):
    one = next(path for path in sorted(two_series.rglob("*")) if path.is_file())
    whole = dicom.folder / "flat"
    whole.mkdir()
    for path in [path for path in two_series.rglob("*") if path.is_file()]:
        shutil.copy(path, whole / path.name)
    volume = read_series(whole / one.name)
    assert volume.grid.shape in ((6, 4, 5), (6, 4, 3))
    assert volume.grid.shape == read_series(two_series, series={5: "3", 3: "12"}[volume.grid.shape[2]]).grid.shape


def test_a_localizer_falls_into_selectable_parts(dicom, ramp):
    planes = [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)]
    slices = [made for k, plane in enumerate(planes) for made in dicom.stack(ramp[: k + 1], orientation=plane)]
    for number, made in enumerate(slices):
        made.InstanceNumber = number
    folder = dicom.write_shuffled(slices)
    parts = list_series(folder)
    name = parts[0].key.partition("/")[0]
    assert [part.key for part in parts] == [f"{name}/1", f"{name}/2", f"{name}/3"]
    with pytest.raises(FormatError, match="several image series"):
        read_series(folder)
    with pytest.raises(FormatError, match="the selector fits 3 image series"):
        read_series(folder, series=name)
    assert read_series(folder, series=f"{name}/2").grid.axis_codes == "PIR"
    assert read_series(folder, series=f"{name}/3").grid.shape == (6, 4, 3)


def test_sizes_that_differ_are_parts(dicom, ramp):
    slices = dicom.stack(ramp) + dicom.stack(ramp[:1, :3, :3])
    folder = dicom.write_shuffled(slices)
    assert sorted(part.shape for part in list_series(folder)) == [(3, 3, 1), (6, 4, 5)]


def test_pictures_without_a_place_are_parts(dicom, ramp):
    for number in range(3):
        made = dicom.image(ramp[number], ImagePositionPatient=None, ImageOrientationPatient=None, InstanceNumber=number)
        dicom.write(made, f"{number}.dcm")
    parts = list_series(dicom.folder)
    assert [part.shape for part in parts] == [(6, 4)] * 3
    volume = read_series(dicom.folder, series=parts[1].key)
    np.testing.assert_array_equal(volume.array[0], ramp[1].T - 1024)
    assert volume.grid.spacing_mm == (0.75, 0.5)
    np.testing.assert_array_equal(read_series(dicom.folder / "2.dcm").array[0], ramp[2].T - 1024)


def test_other_files_and_dicomdirs_are_passed_over(dicom, ramp):
    dicom.write_shuffled(dicom.stack(ramp))
    (dicom.folder / "README.txt").write_text("not an image")
    (dicom.folder / "empty").touch()
    (dicom.folder / "chance").write_bytes(b"\x08\x00 starts like a data set, but is none")
    directory = dicom.image(ramp[0])
    directory.file_meta.MediaStorageSOPClassUID = directory.SOPClassUID = UID("1.2.840.10008.1.3.10")
    dicom.write(directory, "DICOMDIR")
    assert read_series(dicom.folder).grid.shape == (6, 4, 5)


def test_objects_beside_the_images_are_noted(dicom, ramp):
    dicom.write_shuffled(dicom.stack(ramp))
    contours = dicom.image(ramp[0], storage=RTStructureSetStorage, Rows=None, Columns=None)
    dicom.write(contours, "contours.dcm")
    assert "left aside in the folder: 1 x an RT structure set (RTSTRUCT)" in read_series(dicom.folder).meta.notes


@pytest.mark.parametrize(
    ("storage", "what"),
    [
        (
            SegmentationStorage,
            r"image\.dcm: is a segmentation \(SEG\), not an image; read its labels with read_labels",
        ),
        (
            RTStructureSetStorage,
            r"is an RT structure set \(RTSTRUCT\).*read it with read_labels on the grid of its image series",
        ),
        (UID("1.2.840.10008.5.1.4.1.1.88.33"), r"is a structured report \(SR\)"),
        (UID("1.2.840.10008.5.1.4.1.1.30"), "is a parametric map"),
        (UID("1.2.840.10008.5.1.4.1.1.88.11"), "is a structured report"),
        (UID("1.2.840.10008.5.1.4.1.1.77.1.6"), "is a whole-slide image"),
        (UID("1.2.840.10008.5.1.4.1.1.6.2"), "is an enhanced ultrasound volume"),
    ],
)
def test_objects_that_are_no_images_say_what_they_are(dicom, ramp, storage, what):
    with pytest.raises(FormatError, match=what):
        read_series(dicom.write(dicom.image(ramp[0], storage=storage)))


def test_a_folder_of_other_objects_says_so(dicom, ramp):
    dicom.write(dicom.image(ramp[0], storage=SegmentationStorage))
    with pytest.raises(FormatError, match=r"holds no DICOM image, only 1 x a segmentation \(SEG\)"):
        read_series(dicom.folder)


def test_a_mosaic_is_refused(dicom, ramp):
    made = dicom.image(ramp[0], ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    with pytest.raises(FormatError, match="is a Siemens mosaic"):
        read_series(dicom.write(made))


def test_nothing_there(dicom):
    assert list_series(dicom.folder) == ()
    with pytest.raises(FormatError, match="holds no DICOM image"):
        read_series(dicom.folder)
    with pytest.raises(FormatError, match="no such file or folder"):
        read_series(dicom.folder / "nowhere")
    (dicom.folder / "note.txt").write_text("hello")
    with pytest.raises(FormatError, match=r"note\.txt: not a DICOM image file"):
        read_series(dicom.folder / "note.txt")


def test_no_message_log_or_warning_tells_who_the_patient_is(dicom, ramp, secrets, caplog, recwarn):
    warnings.simplefilter("always")
    caplog.set_level(logging.DEBUG)
    good = dicom.stack(ramp, positions=[0, 1, 2, 3, 9])
    cases = {
        "gap": good,
        "double": [good[0], dicom.image(ramp[1], ImagePositionPatient=good[0].ImagePositionPatient)],
        "mixed": [good[0], dicom.image(ramp[1, :2])],
        "spacing": [dicom.image(ramp[0], PixelSpacing=[0, 1])],
        "short": [dicom.image(ramp[0], PixelData=b"1234")],
        "other": [dicom.image(ramp[0], storage=SegmentationStorage)],
    }
    hidden = (*secrets, dicom.series, *(made.SOPInstanceUID for slices in cases.values() for made in slices))
    for name, slices in cases.items():
        for number, made in enumerate(slices):
            path = dicom.write(made, f"{name}/{number}")
            # Values that pydicom warns of, with the value in its text.
            path.write_bytes(path.read_bytes().replace(b"19470711", b"DOE^JANE").replace(b"AXIAL ", b"ID-471"))
        with pytest.raises(ValueError, match=r".") as caught:
            read_series(dicom.folder / name)
        assert isinstance(caught.value, VesaliusError)
        listed = repr(list_series(dicom.folder / name)) if name in ("gap", "double", "mixed") else ""
        seen = listed + str(caught.value) + caplog.text + " ".join(str(warning.message) for warning in recwarn)
        assert not [secret for secret in hidden if secret in seen]


def test_a_missing_description_is_no_obstacle(dicom, ramp):
    made = dicom.image(ramp[0], SeriesDescription=None, SeriesNumber=None)
    (series,) = list_series(dicom.write(made))
    assert (series.description, series.number) == ("", None)
