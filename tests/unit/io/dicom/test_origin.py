"""The series that derived objects refer to."""

import numpy as np
import pytest
from pydicom.uid import UltrasoundMultiFrameImageStorage, generate_uid

from vesalius.errors import FormatError
from vesalius.io.dicom import read_series
from vesalius.io.dicom.origin import read_origin


def test_headers_follow_the_slices_and_hold_no_pixels(dicom, ramp):
    folder = dicom.write_shuffled(dicom.stack(ramp))
    origin = read_origin(folder)
    assert origin.grid == read_series(folder).grid
    heights = [float(origin.headers[at].ImagePositionPatient[2]) for at, _ in origin.frames]
    assert heights == sorted(heights)
    assert {number for _, number in origin.frames} == {1}
    assert [at for at, _ in origin.frames] == list(range(len(ramp)))
    assert all("PixelData" not in header for header in origin.headers)
    assert str(origin.headers[0].PatientName) == "DOE^JANE"


def test_a_cine_has_one_header_and_counts_its_frames_from_one(dicom):
    cine = dicom.image(np.zeros((3, 4, 5), np.uint8), storage=UltrasoundMultiFrameImageStorage, Modality="US")
    origin = read_origin(dicom.write(cine))
    assert len(origin.headers) == 1
    assert origin.frames == ((0, 1), (0, 2), (0, 3))
    assert origin.grid.ndim == 2


def test_one_of_several_series_is_chosen(dicom, ramp):
    slices = dicom.stack(ramp)
    dicom.series = generate_uid()
    folder = dicom.write_shuffled(slices + dicom.stack(ramp[:3], SeriesNumber=12))
    assert len(read_origin(folder, series="12").headers) == 3
    with pytest.raises(FormatError, match="choose one"):
        read_origin(folder)


def test_the_patient_is_not_shown(dicom, ramp, secrets):
    told = repr(read_origin(dicom.write_shuffled(dicom.stack(ramp))))
    assert not any(secret in told for secret in secrets)
