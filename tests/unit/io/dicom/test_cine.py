"""Multi-frame files, one frame after another."""

import numpy as np
import pytest
from pydicom import examples
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG4HP41, RLELossless, SecondaryCaptureImageStorage, UltrasoundMultiFrameImageStorage

from vesalius.errors import FormatError
from vesalius.io.dicom import pixels, read_series
from vesalius.io.dicom.cine import describe_cine, play
from vesalius.io.footage import open_footage
from vesalius.io.footage.video import new_video


@pytest.fixture
def cine(dicom, rng):
    """Make an ultrasound cine of ``(frames, rows, columns)``."""

    def make(array=None, **elements):
        array = rng.integers(0, 256, (6, 8, 10), np.uint8) if array is None else array
        return dicom.image(array, storage=UltrasoundMultiFrameImageStorage, Modality="US", **elements)

    return make


def test_frames_are_the_channels_of_the_series(cine, dicom):
    path = dicom.write(cine())
    whole = read_series(path)
    with open_footage(path) as footage:
        assert (footage.shape, footage.count, footage.live) == ((10, 8), 6, False)
        frames = list(footage.frames)
    for frame, channel in zip(frames, whole.array, strict=True):
        np.testing.assert_array_equal(frame.image.array[0], channel)
        assert frame.image.grid == whole.grid
        assert (frame.image.meta.modality, frame.image.meta.calibrated) == ("US", False)


def test_a_real_ultrasound_cine():
    path = examples.get_path("ybr_color")
    with open_footage(path) as footage:
        assert (footage.shape, footage.rate_hz, footage.count) == ((320, 240), pytest.approx(30, abs=0.01), 30)
        frames = [frame.image for frame in footage.frames]
    whole = read_series(path).array
    assert len(frames) == 30
    for number, image in enumerate(frames):
        np.testing.assert_array_equal(image.array, whole[3 * number : 3 * number + 3])
    assert (frames[0].meta.modality, frames[0].meta.calibrated) == ("US", True)


def test_compressed_frames_are_decoded_one_at_a_time(cine, dicom, monkeypatch):
    made = cine()
    frames = made.pixel_array.copy()
    made.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    path, decoded, real = dicom.write(made), [], pixels.encapsulate
    monkeypatch.setattr(pixels, "encapsulate", lambda given: decoded.append(len(given)) or real(given))
    for number, image in enumerate(play(describe_cine(path)), start=1):
        np.testing.assert_array_equal(image.array[0].T, frames[number - 1])
        assert len(decoded) == number


@pytest.mark.parametrize(
    ("elements", "rate", "times"),
    [
        ({"FrameTime": "40"}, 25.0, [0, 0.04, 0.08]),
        ({"CineRate": "50"}, 50.0, [0, 0.02, 0.04]),
        ({"RecommendedDisplayFrameRate": "10"}, 10.0, [0, 0.1, 0.2]),
        ({"FrameTimeVector": ["0", "20", "60"]}, 25.0, [0, 0.02, 0.08]),
        ({"FrameTimeVector": ["0", "20"], "FrameTime": "40"}, 25.0, [0, 0.04, 0.08]),
        ({"FrameTimeVector": ["0", "-20", "60"], "CineRate": "50"}, 50.0, [0, 0.02, 0.04]),
        ({"FrameTime": "0"}, None, [None] * 3),
        ({}, None, [None] * 3),
    ],
)
def test_when_frames_are_to_be_seen(cine, dicom, elements, rate, times):
    path = dicom.write(cine(np.zeros((3, 4, 4), np.uint8), **elements))
    with open_footage(path) as footage:
        assert footage.rate_hz == (None if rate is None else pytest.approx(rate))
        assert [frame.at_s for frame in footage.frames] == pytest.approx(times)
    with open_footage(path, rate_hz=4) as footage:
        assert [frame.at_s for frame in footage.frames] == [0, 0.25, 0.5]


def test_values_are_rescaled_as_in_a_series(cine, dicom, rng):
    array = rng.integers(0, 4096, (3, 4, 5), np.uint16)
    for slope, intercept in ((1, -1024), (0.5, 3)):
        path = dicom.write(cine(array, RescaleSlope=slope, RescaleIntercept=intercept))
        found = np.concatenate([image.array for image in play(describe_cine(path))])
        np.testing.assert_array_equal(found, read_series(path).array)


def test_slices_of_a_volume_are_not_footage(dicom, ramp):
    path = dicom.write(dicom.enhanced(ramp, [{"position": (0, 0, 3 * k)} for k in range(5)]))
    with pytest.raises(FormatError, match="slices of a volume"), open_footage(path):
        pass
    path = dicom.write(dicom.enhanced(ramp, [{"position": (0, 0, 3), "time": k} for k in range(5)]), "one.dcm")
    with open_footage(path) as footage:  # at one place, they follow one another in time
        assert [frame.image.array[0, 0, 0] for frame in footage.frames] == ramp[:, 0, 0].tolist()


def test_a_cut_off_cine_is_told(cine, dicom):
    path = dicom.write(cine())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(FormatError, match="cut off"), open_footage(path):
        pass


def test_a_video_inside_a_dicom_file_is_played(dicom, tmp_path):
    smooth = np.broadcast_to(np.linspace(40, 200, 64).astype(np.uint8)[None, :, None], (48, 64, 3))
    with new_video(tmp_path / "endoscopy.mp4", (64, 48), 25) as add:
        for _ in range(4):
            add(smooth)
    video = (tmp_path / "endoscopy.mp4").read_bytes()
    made = dicom.image(np.zeros((48, 64, 3), np.uint8), storage=SecondaryCaptureImageStorage, NumberOfFrames=4)
    made.file_meta.TransferSyntaxUID = MPEG4HP41
    made.PhotometricInterpretation = "YBR_PARTIAL_420"
    made.PixelData = encapsulate([video[:1000], video[1000:]], has_bot=False)
    made["PixelData"].is_undefined_length = True
    path = dicom.write(made)
    with open_footage(path) as footage:
        assert (footage.shape, footage.rate_hz) == ((64, 48), 25.0)
        frames = list(footage.frames)
    assert len(frames) == 4
    assert abs(frames[3].image.array.astype(int) - smooth.transpose(2, 1, 0)).mean() < 4
    with pytest.raises(FormatError, match="no decoder for MPEG-4"):
        read_series(path)
