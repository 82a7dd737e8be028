"""Slices in their places: order, axes, tilt, gaps, duplicates, channels."""

import numpy as np
import pytest

from vesalius.errors import FormatError, GeometryError
from vesalius.io.dicom import list_series, read_series

SAGITTAL = (0, 1, 0, 0, 0, -1)
CORONAL = (1, 0, 0, 0, 0, -1)


def _points(slices, at):
    """Where DICOM itself says that pixel (column, row) of each slice is (PS3.3 C.7.6.2.1.1)."""
    column, row = at
    for made in slices:
        across, down = np.reshape(np.asarray(made.ImageOrientationPatient, float), (2, 3))
        row_mm, column_mm = (float(s) for s in made.PixelSpacing)
        yield np.asarray(made.ImagePositionPatient, float) + across * column_mm * column + down * row_mm * row


@pytest.mark.parametrize(
    "orientation", [(1, 0, 0, 0, 1, 0), SAGITTAL, CORONAL, (-1, 0, 0, 0, -1, 0), (0, 1, 0, 1, 0, 0)]
)
@pytest.mark.parametrize("backwards", [False, True])
def test_slices_are_ordered_by_position_whatever_their_names_and_numbers(dicom, ramp, orientation, backwards):
    slices = dicom.stack(ramp, orientation=orientation)
    if backwards:
        for number, made in enumerate(reversed(slices)):
            made.InstanceNumber = number
    volume = read_series(dicom.write_shuffled(slices))
    assert volume.grid.shape == (6, 4, 5)
    assert volume.grid.spacing_mm == pytest.approx((0.75, 0.5, 2.0), abs=1e-9)
    # A stored value names its voxel; its point on the grid must be the one that DICOM gives it.
    for k, point in enumerate(_points(slices, (4, 2))):
        index = np.argwhere(volume.array[0] == ramp[k, 2, 4] - 1024)[0]
        np.testing.assert_allclose(volume.grid.to_points(index), point, atol=1e-6)


def test_a_gantry_tilt_is_kept_as_a_sheared_grid(dicom, ramp):
    tilt = np.radians(14)
    orientation = (1, 0, 0, 0, np.cos(tilt), -np.sin(tilt))
    slices = dicom.stack(ramp, orientation=orientation, step=(0, 0, 5))
    volume = read_series(dicom.write_shuffled(slices))
    assert not volume.grid.is_orthogonal
    assert volume.meta.notes == ("gantry tilt of 14.0 degrees: read exactly, on a sheared grid",)
    for k, point in enumerate(_points(slices, (5, 3))):
        np.testing.assert_allclose(volume.grid.to_points([5, 3, k]), point, atol=1e-6)


def test_a_missing_slice_is_named_by_its_neighbours(dicom, ramp):
    folder = dicom.write_shuffled(dicom.stack(ramp, positions=[0, 1, 2, 4, 5]))
    with pytest.raises(
        GeometryError, match=r"1 slice missing: the spacing is 2 mm, but nothing lies between 4 and 8 mm"
    ):
        read_series(folder)


def test_the_second_slice_may_be_the_missing_one(dicom, ramp):
    folder = dicom.write_shuffled(dicom.stack(ramp[:3], positions=[0, 3, 4]))
    with pytest.raises(GeometryError, match=r"2 slices missing.*between 0 and 6 mm"):
        read_series(folder)


def test_uneven_spacing_is_refused(dicom, ramp):
    folder = dicom.write_shuffled(dicom.stack(ramp, positions=[0, 1, 2, 3.4, 4.4]))
    with pytest.raises(GeometryError, match=r"not uniform: 2 to 2.8 mm .*between 4 and 6.8 mm"):
        read_series(folder)


def test_rounded_positions_are_accepted_and_noted(dicom, ramp):
    slices = dicom.stack(ramp, positions=[0, 1, 2.02, 3, 4])
    volume = read_series(dicom.write_shuffled(slices))
    assert volume.meta.notes == ("slice positions differ from the uniform grid by up to 0.04 mm",)


def test_slices_that_are_shifted_sideways_are_refused(dicom, ramp):
    slices = dicom.stack(ramp)
    slices[2].ImagePositionPatient[0] += 3
    with pytest.raises(GeometryError, match="shifted against each other within their plane, by up to 3 mm at 4 mm"):
        read_series(dicom.write_shuffled(slices))


def test_a_copy_of_a_file_is_left_aside_and_noted(dicom, ramp):
    slices = dicom.stack(ramp)
    dicom.write_shuffled(slices)
    dicom.write(slices[1], "copy.dcm")
    volume = read_series(dicom.folder)
    assert volume.grid.shape == (6, 4, 5)
    assert volume.meta.notes == ("1 further copies of the same images are left aside",)
    assert [series.images for series in list_series(dicom.folder)] == [5]


def test_copies_that_differ_are_refused(dicom, ramp):
    slices = dicom.stack(ramp)
    dicom.write_shuffled(slices)
    slices[1].PixelData = slices[0].PixelData
    dicom.write(slices[1], "copy.dcm")
    with pytest.raises(FormatError, match=r"\d{3} and copy.dcm: claim to be the same image"):
        read_series(dicom.folder)


def test_a_slice_that_lies_twice_at_a_position_is_refused(dicom, ramp):
    slices = dicom.stack(np.concatenate([ramp, ramp[2:3] + 1]), positions=[0, 1, 2, 3, 4, 2])
    with pytest.raises(GeometryError, match="1 image at each of 4 positions, but another number at 4 mm"):
        read_series(dicom.write_shuffled(slices))


def test_indistinguishable_repetitions_are_refused(dicom, ramp):
    slices = dicom.stack(np.concatenate([ramp, ramp + 1]), positions=[0, 1, 2, 3, 4] * 2)
    with pytest.raises(GeometryError, match=r"2 different images at each position .* nothing in their headers"):
        read_series(dicom.write_shuffled(slices))


def test_echoes_become_channels(dicom, ramp):
    late = dicom.stack(ramp + 200, EchoTime=80)
    early = dicom.stack(ramp, EchoTime=10)
    volume = read_series(dicom.write_shuffled(late + early))
    assert volume.array.shape == (2, 6, 4, 5)
    np.testing.assert_array_equal(volume.array[1], volume.array[0] + 200)
    assert volume.meta.notes == ("2 images at each position are read as channels, by echo time",)


def test_heart_phases_whose_trigger_times_drift_become_channels(dicom, ramp):
    slices = []
    for phase in range(3):
        made = dicom.stack(ramp + 300 * phase)
        for k, one in enumerate(made):
            one.TriggerTime = 100 * phase + k
        slices += made
    volume = read_series(dicom.write_shuffled(slices))
    np.testing.assert_array_equal(volume.array[2], volume.array[0] + 600)


def test_image_types_that_do_not_pair_are_refused(dicom, ramp):
    slices = dicom.stack(ramp, ImageType=["ORIGINAL", "PRIMARY", "M"]) + dicom.stack(
        ramp, ImageType=["ORIGINAL", "PRIMARY", "P"]
    )
    slices[-1].ImageType = ["ORIGINAL", "PRIMARY", "R"]
    with pytest.raises(GeometryError, match="their image type are not the same at all"):
        read_series(dicom.write_shuffled(slices))


def test_a_single_slice_gets_its_thickness(dicom, ramp):
    volume = read_series(dicom.write(dicom.image(ramp[0], SliceThickness=4)))
    assert volume.grid.shape == (6, 4, 1)
    assert volume.grid.spacing_mm == (0.75, 0.5, 4.0)
    assert "slice thickness" in volume.meta.notes[0]


def test_a_single_slice_of_unknown_thickness_says_so(dicom, ramp):
    volume = read_series(dicom.write(dicom.image(ramp[0], SliceThickness=None)))
    assert volume.grid.spacing_mm == (0.75, 0.5, 1.0)
    assert volume.meta.notes == ("a single slice of unknown thickness: 1 mm is assumed along its normal",)


def test_two_slices_are_a_volume(dicom, ramp):
    assert read_series(dicom.write_shuffled(dicom.stack(ramp[:2]))).grid.spacing_mm == (0.75, 0.5, 2.0)


@pytest.mark.parametrize("orientation", [[1, 0, 0, 1, 0, 0], [2, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]])
def test_an_impossible_orientation_is_refused(dicom, ramp, orientation):
    with pytest.raises(GeometryError, match=r"image\.dcm: the image orientation is not two unit vectors"):
        read_series(dicom.write(dicom.image(ramp[0], ImageOrientationPatient=orientation)))


def test_a_spacing_of_zero_is_refused(dicom, ramp):
    with pytest.raises(GeometryError, match="pixel spacing must be above 0"):
        read_series(dicom.write(dicom.image(ramp[0], PixelSpacing=[0, 1])))
