"""Multi-frame objects: enhanced, cine, nuclear medicine."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import NuclearMedicineImageStorage, UltrasoundMultiFrameImageStorage

from vesalius.errors import FormatError, GeometryError
from vesalius.io.dicom import list_series, read_series


def _at(*z, **more):
    return [{"position": (1, 2, 3 * k), **{name: values[n] for name, values in more.items()}} for n, k in enumerate(z)]


def test_frames_are_sorted_by_position(dicom, ramp):
    path = dicom.write(dicom.enhanced(ramp, _at(4, 2, 0, 1, 3)))
    volume = read_series(path)
    np.testing.assert_array_equal(volume.array[0], ramp[[2, 3, 1, 4, 0]].T)
    assert volume.grid.spacing_mm == (0.75, 0.5, 3.0)
    assert volume.grid.origin_mm == (1, 2, 0)
    assert volume.meta.notes == ()
    assert volume.meta.modality == "MR"


def test_each_frame_has_its_own_slope(dicom, ramp):
    volume = read_series(dicom.write(dicom.enhanced(ramp, _at(0, 1, 2, 3, 4, slope=[1, 2, 3, 4, 5]))))
    np.testing.assert_allclose(volume.array[0], (ramp * np.arange(1, 6)[:, None, None]).T)


def test_echoes_and_times_become_channels(dicom):
    pixels = np.arange(8 * 6, dtype=np.uint16).reshape(8, 2, 3)
    frames = _at(0, 0, 0, 0, 1, 1, 1, 1, echo=[9, 5] * 4, time=[1, 1, 2, 2] * 2)
    volume = read_series(dicom.write(dicom.enhanced(pixels, frames)))
    # Early echo first, and within it early time first.
    np.testing.assert_array_equal(volume.array, pixels[[[1, 5], [3, 7], [0, 4], [2, 6]]].transpose(0, 3, 2, 1))
    assert volume.meta.notes == ("4 images at each position are read as channels, by echo time, temporal position",)


def test_an_incomplete_echo_is_refused(dicom, ramp):
    made = dicom.enhanced(ramp, _at(0, 0, 1, 1, 2, echo=[1, 2, 1, 2, 1]))
    with pytest.raises(GeometryError, match="2 images at each of 2 positions, but another number at 6 mm"):
        read_series(dicom.write(made))


def test_a_gap_between_frames_is_refused(dicom, ramp):
    with pytest.raises(GeometryError, match="1 slice missing"):
        read_series(dicom.write(dicom.enhanced(ramp, _at(0, 1, 2, 4, 5))))


def test_stacks_of_several_orientations_are_parts(dicom, ramp):
    frames = _at(0, 1, 2, 0, 1)
    for frame in frames[3:]:
        frame["orientation"] = [0, 1, 0, 0, 0, -1]
        frame["position"] = (frame["position"][2], 2, 3)
    path = dicom.write(dicom.enhanced(ramp, frames))
    first, second = list_series(path)
    assert (first.shape, second.shape) == ((6, 4, 3), (6, 4, 2))
    volume = read_series(path, series=second.key)
    assert volume.grid.axis_codes == "PIR"
    assert sorted(volume.array[0, 0, 0].tolist()) == ramp[3:, 0, 0].tolist()


def test_a_number_of_frames_that_lies_is_refused(dicom, ramp):
    with pytest.raises(FormatError, match="describes 4 frames, but declares 5"):
        read_series(dicom.write(dicom.enhanced(ramp, _at(0, 1, 2, 3))))


def test_an_enhanced_object_without_positions_is_channels_without_a_place(dicom, ramp):
    made = dicom.enhanced(ramp, _at(0, 1, 2, 3, 4))
    del made.PerFrameFunctionalGroupsSequence
    del made.SharedFunctionalGroupsSequence
    volume = read_series(dicom.write(made))
    assert volume.array.shape == (5, 6, 4)
    assert not volume.meta.calibrated
    assert volume.meta.notes[0] == "5 frames without positions are read as channels"


def _region(x_cm, y_cm, units=3):
    region = Dataset()
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = units
    region.PhysicalDeltaX, region.PhysicalDeltaY = x_cm, y_cm
    return region


def test_frames_of_a_cine_are_channels_in_their_order(dicom, ramp):
    made = dicom.image(ramp.astype(np.uint8), storage=UltrasoundMultiFrameImageStorage, Modality="US")
    made.SequenceOfUltrasoundRegions = [_region(0.02, 0.03), _region(1, 1, units=4)]
    volume = read_series(dicom.write(made))
    np.testing.assert_array_equal(volume.array, ramp.transpose(0, 2, 1))
    assert volume.grid.spacing_mm == pytest.approx((0.2, 0.3))
    assert volume.meta.calibrated
    assert volume.meta.notes == (
        "5 frames without positions are read as channels",
        "the spacing is that of the ultrasound region",
    )


def test_ultrasound_regions_that_differ_give_no_spacing(dicom, ramp):
    made = dicom.image(ramp.astype(np.uint8), storage=UltrasoundMultiFrameImageStorage, Modality="US")
    made.SequenceOfUltrasoundRegions = [_region(0.02, 0.03), _region(0.01, 0.01)]
    assert not read_series(dicom.write(made)).meta.calibrated


def test_colours_of_a_cine_are_channels_frame_by_frame(dicom, rng):
    movie = rng.integers(0, 256, (2, 4, 6, 3), np.uint8)
    made = dicom.image(movie[0], storage=UltrasoundMultiFrameImageStorage, Modality="US", NumberOfFrames=2)
    made.PixelData = movie.tobytes()
    volume = read_series(dicom.write(made))
    np.testing.assert_array_equal(volume.array, movie.transpose(0, 3, 2, 1).reshape(6, 6, 4))


@pytest.mark.parametrize("step", [4.0, -4.0])
def test_a_nuclear_tomogram_is_a_volume(dicom, ramp, step):
    made = dicom.image(ramp, storage=NuclearMedicineImageStorage, Modality="NM", PixelSpacing=[2, 2])
    made.ImageType = ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]
    made.FrameIncrementPointer, made.SpacingBetweenSlices = 0x00540080, step
    made.SliceVector = [1, 2, 3, 4, 5]
    detector = Dataset()
    detector.ImagePositionPatient, detector.ImageOrientationPatient = [5, 6, 7], [1, 0, 0, 0, 1, 0]
    made.DetectorInformationSequence = [detector]
    volume = read_series(dicom.write(made))
    np.testing.assert_array_equal(volume.array[0], (ramp if step > 0 else ramp[::-1]).T)
    assert volume.grid.origin_mm == (5, 6, 7 if step > 0 else 7 - 16)
    assert volume.grid.spacing_mm == (2, 2, 4)
