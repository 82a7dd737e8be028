"""Folders of DICOM files that are no single, sound acquisition of one patient."""

import struct

import numpy as np
import pytest
from canaries import CANARIES
from pydicom.datadict import tag_for_keyword

from vesalius.cli import main
from vesalius.errors import FormatError, GeometryError
from vesalius.io import read
from vesalius.io.dicom import list_series
from vesalius.io.dicom.origin import read_origin


def test_slices_of_two_patients_are_never_one_image(dicom, ramp, capsys):
    slices = dicom.stack(ramp)
    slices[2].PatientID = "ID-4712"
    folder = dicom.write_shuffled(slices)
    for reader in (read, read_origin):
        with pytest.raises(FormatError, match="the images of the series name 2 different patients") as caught:
            reader(folder)
        assert not [word for word in (*CANARIES, "ID-4712") if word in str(caught.value)]
    with pytest.raises(FormatError, match="2 different patients"):
        read(next(folder.rglob("0*")))
    assert main(["show", str(folder)]) == 1
    assert "2 different patients" in capsys.readouterr().err


def test_a_copy_that_names_another_patient_is_no_copy(dicom, ramp):
    slices = dicom.stack(ramp)
    for number, made in enumerate(slices):
        dicom.write(made, f"{number}.dcm")
    slices[1].PatientID = "ID-4712"
    dicom.write(slices[1], "copy.dcm")
    with pytest.raises(FormatError, match="2 different patients"):
        read(dicom.folder)


@pytest.mark.parametrize("spelling", ["ID-4711", "ID-4711 ", " ID-4711", ""])
def test_one_patient_may_be_spelt_with_blanks_or_left_out(dicom, ramp, spelling):
    slices = dicom.stack(ramp)
    slices[2].PatientID = spelling
    assert read(dicom.write_shuffled(slices)).grid.shape == (6, 4, 5)


def test_series_of_two_patients_in_one_folder_are_two_series(dicom, ramp):
    first = dicom.stack(ramp)
    for made in first:
        dicom.write(made, f"a/{made.InstanceNumber}.dcm")
    dicom.series = "1.2.3.4"
    for made in dicom.stack(ramp[:3]):
        made.PatientID = "ID-4712"
        dicom.write(made, f"b/{made.InstanceNumber}.dcm")
    keys = {found.images: found.key for found in list_series(dicom.folder)}
    assert read(dicom.folder, series=keys[5]).grid.shape == (6, 4, 5)
    assert read(dicom.folder, series=keys[3]).grid.shape == (6, 4, 3)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400"])
@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"])
def test_numbers_of_the_header_that_are_none(dicom, ramp, keyword, value):
    """NaN and infinity where the affine, or every value, comes from."""
    path = dicom.write(dicom.image(ramp[0], RescaleSlope="1.25"))
    data, tag = path.read_bytes(), tag_for_keyword(keyword)
    begin = data.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF) + b"DS") + 6
    (length,) = struct.unpack_from("<H", data, begin)
    sound = data[begin + 2 : begin + 2 + length]
    wrong = b"\\".join([value.encode(), *sound.split(b"\\")[1:]])
    wrong += b" " * (len(wrong) % 2)
    path.write_bytes(data[:begin] + struct.pack("<H", len(wrong)) + wrong + data[begin + 2 + length :])
    with pytest.raises(FormatError, match=rf"image\.dcm: {keyword} must hold"):
        read(path)


def test_a_position_at_the_edge_of_what_numbers_hold(dicom, ramp):
    slices = dicom.stack(ramp[:3])
    for made, place in zip(slices, ("-1e308", "0", "1e308"), strict=True):
        made.ImagePositionPatient = ["0", "0", place]
    with pytest.raises((FormatError, GeometryError)):
        read(dicom.write_shuffled(slices))


@pytest.mark.parametrize("left", [0, 3, 6])
def test_many_files_that_are_no_slices_do_not_hide_one(dicom, ramp, left):
    """What is plainly not DICOM is passed over; a file that ends right behind its mark may have been a slice."""
    dicom.write_shuffled(dicom.stack(ramp))
    rubbish = (b"", b"\x02\x00", b"\x08\x00" * 70, b"\x00\x08" * 70, bytes(200), b"GIF89a", b"\x89PNG\r\n\x1a\n")
    for number, begin in enumerate(rubbish):
        (dicom.folder / f"rubbish{number}").write_bytes(begin)
    assert read(dicom.folder).grid.shape == (6, 4, 5)
    (dicom.folder / "damaged.dcm").write_bytes(bytes(128) + b"DICM" + b"\x02\x00\x00\x00UL"[:left])
    with pytest.raises(FormatError, match=r"damaged\.dcm"):
        read(dicom.folder)


def test_a_link_that_leads_in_a_circle(dicom, ramp):
    dicom.write_shuffled(dicom.stack(ramp))
    (dicom.folder / "a" / "loop").symlink_to(dicom.folder, target_is_directory=True)
    (dicom.folder / "gone").symlink_to(dicom.folder / "nowhere")
    (dicom.folder / "itself").symlink_to(dicom.folder / "itself")
    np.testing.assert_array_equal(read(dicom.folder).grid.shape, (6, 4, 5))
