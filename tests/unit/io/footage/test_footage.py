"""Cameras, videos and folders of pictures, frame by frame."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vesalius.errors import FormatError, MissingDependencyError
from vesalius.image import Grid, Volume
from vesalius.io import write
from vesalius.io.footage import open_footage, opencv, to_grey
from vesalius.io.footage.video import new_video


def picture(value: int, shape: tuple[int, int] = (6, 4)) -> Volume:
    return Volume(np.full((1, *shape), value, np.uint8), Grid.from_spacing(shape, (1.0, 1.0)))


@pytest.fixture
def colours(rng):
    """Five pictures ``(rows, columns, red green blue)``."""
    return rng.integers(0, 256, (5, 48, 64, 3), np.uint8)


def film(path: Path, pictures, rate_hz: float = 20) -> Path:
    with new_video(path, (pictures.shape[2], pictures.shape[1]), rate_hz) as add:
        for one in pictures:
            add(one)
    return path


# --- folders of pictures ----------------------------------------------------------------------------------------------


def test_pictures_come_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 9, 1, 100):
        write(picture(number), tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    write(picture(7), tmp_path / ".hidden.png")
    with open_footage(tmp_path) as footage:
        assert (footage.shape, footage.count, footage.rate_hz, footage.live) == ((6, 4), 4, None, False)
        seen = [(f.index, f.at_s, f.image.array[0, 0, 0].item()) for f in footage.frames]
    assert seen == [(0, None, 1), (1, None, 9), (2, None, 10), (3, None, 100)]
    with open_footage(tmp_path, rate_hz=10) as footage:
        assert [f.at_s for f in footage.frames] == [0.0, 0.1, 0.2, 0.3]


def test_pictures_of_another_size_and_volumes_are_named(tmp_path):
    write(picture(1), tmp_path / "a.png")
    write(picture(2, (5, 4)), tmp_path / "b.png")
    with open_footage(tmp_path) as footage:
        assert next(footage.frames).index == 0
        with pytest.raises(FormatError, match=r"b\.png: has 1 x 5 x 4, and the first picture 1 x 6 x 4"):
            next(footage.frames)
    write(Volume(np.zeros((1, 3, 4, 5), np.uint8), Grid.from_spacing((3, 4, 5), (1, 1, 1))), tmp_path / "0.tif")
    with pytest.raises(FormatError, match=r"0\.tif: is a volume"), open_footage(tmp_path):
        pass


@pytest.mark.parametrize("rate", [0.0, -1.0, 2000.0, float("nan")])
def test_what_cannot_be_watched_is_told(tmp_path, rate):
    with pytest.raises(FormatError, match="holds no picture"), open_footage(tmp_path):
        pass
    with pytest.raises(FormatError, match="rate_hz must be above 0"):
        open_footage(tmp_path, rate_hz=rate)
    with pytest.raises(FormatError, match=r"none\.mp4: the file cannot be read"):
        open_footage(tmp_path / "none.mp4")


# --- videos -----------------------------------------------------------------------------------------------------------


def test_a_lossless_video_comes_back_as_it_was(tmp_path, colours):
    with open_footage(film(tmp_path / "a.mkv", colours)) as footage:
        assert (footage.name, footage.shape, footage.rate_hz, footage.live) == ("a.mkv", (64, 48), 20.0, False)
        frames = list(footage.frames)
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose([frame.at_s for frame in frames], np.arange(5) / 20, atol=1e-3)
    for frame, colour in zip(frames, colours, strict=True):
        np.testing.assert_array_equal(frame.image.array, colour.transpose(2, 1, 0))
    assert frames[0].image.meta.modality == "RGB"
    assert not frames[0].image.meta.calibrated


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_other_videos_lose_little(tmp_path, suffix):
    smooth = np.broadcast_to(np.linspace(40, 200, 64).astype(np.uint8)[None, None, :, None], (5, 48, 64, 3))
    with open_footage(film(tmp_path / f"a{suffix}", smooth), rate_hz=50) as footage:
        assert footage.rate_hz == 50
        frames = list(footage.frames)
    assert [frame.at_s for frame in frames] == [0.0, 0.02, 0.04, 0.06, 0.08]
    assert abs(frames[2].image.array.astype(int) - smooth[0].transpose(2, 1, 0)).mean() < 4


@pytest.mark.parametrize(
    "content",
    [b"#EXTM3U\n#EXTINF:1,\nfile:secret.mp4\n", b"ffconcat version 1.0\nfile secret.mp4\n", b"", b"\x89PNG\r\n\x1a\n"],
    ids=["playlist", "concat", "empty", "picture"],
)
def test_what_is_not_a_video_is_not_given_to_ffmpeg(tmp_path, content, monkeypatch):
    monkeypatch.setattr(opencv, "captured", lambda *_: pytest.fail("it was opened"))
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.mp4: is not a video"), open_footage(path):
        pass


def test_a_damaged_video_is_told(tmp_path, colours):
    whole = film(tmp_path / "a.mp4", colours).read_bytes()
    for cut in (40, len(whole) // 2):
        (tmp_path / "cut.mp4").write_bytes(whole[:cut])
        with pytest.raises(FormatError, match=r"cut\.mp4: cannot be opened"), open_footage(tmp_path / "cut.mp4"):
            pass


def test_a_video_is_whole_or_not_at_all(tmp_path, colours):
    def fail():
        with new_video(tmp_path / "a.avi", (64, 48), 20) as add:
            add(colours[0])
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FormatError, match=r"unknown kind of video '\.wmv'"), new_video(tmp_path / "a.wmv", (8, 8), 20):
        pass


def test_opencv_is_asked_for_when_it_is_needed(tmp_path, colours, monkeypatch):
    path = film(tmp_path / "a.avi", colours)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingDependencyError, match=r"vesalius\[stream\]"), open_footage(path):
        pass


# --- cameras ----------------------------------------------------------------------------------------------------------


class FakeCamera:
    """A capture device of OpenCV's kind that gives some pictures and is then unplugged."""

    def __init__(self, pictures, size=(64, 48)):
        self.pictures, self.size = list(pictures), size
        self.told, self.released = {}, False

    def isOpened(self):
        return self.size is not None

    def get(self, what):
        return {"width": self.size[0], "height": self.size[1], "rate": 30.0}[what]

    def set(self, what, value):
        self.told[what] = value

    def read(self):
        return (True, self.pictures.pop(0)) if self.pictures else (False, None)

    def release(self):
        self.released = True


@pytest.fixture
def plug_in(monkeypatch):
    """Put a fake camera where OpenCV would be."""

    def plug(camera, asked=None):
        def open_device(source, api):
            (asked if asked is not None else []).append((source, api))
            return camera

        logging = SimpleNamespace(getLogLevel=lambda: 3, setLogLevel=lambda _: None, LOG_LEVEL_SILENT=0)
        fake = SimpleNamespace(
            VideoCapture=open_device,
            utils=SimpleNamespace(logging=logging),
            CAP_ANY="any",
            CAP_PROP_FRAME_WIDTH="width",
            CAP_PROP_FRAME_HEIGHT="height",
            CAP_PROP_FPS="rate",
            CAP_PROP_BUFFERSIZE="buffer",
        )
        monkeypatch.setitem(sys.modules, "cv2", fake)
        return camera

    return plug


@pytest.mark.parametrize("source", [1, "1", "/dev/video1"])
def test_a_camera_gives_frames_until_it_is_unplugged(plug_in, colours, source):
    asked = []
    camera = plug_in(FakeCamera(colours[:2, ..., ::-1]), asked)
    with open_footage(source, rate_hz=25) as footage:
        assert (footage.name, footage.shape, footage.live, footage.count) == ("camera 1", (64, 48), True, None)
        for index in range(2):
            frame = next(footage.frames)
            assert (frame.index, frame.at_s) == (index, None)
            np.testing.assert_array_equal(frame.image.array, colours[index].transpose(2, 1, 0))
        with pytest.raises(FormatError, match="camera 1: gives no pictures any more"):
            next(footage.frames)
    assert asked == [(1, "any")]
    assert camera.told == {"buffer": 1, "rate": 25}
    assert camera.released


@pytest.mark.parametrize(("size", "why"), [(None, "cannot be opened"), ((0, 0), "no size"), ((10**7, 10**7), "GiB")])
def test_a_camera_that_cannot_be_used_is_told_and_released(plug_in, size, why):
    camera = plug_in(FakeCamera([], size))
    with pytest.raises(FormatError, match=why), open_footage(0):
        pass
    assert camera.released


# --- grey -------------------------------------------------------------------------------------------------------------


def test_grey_is_that_of_pillow(colours):
    grey = to_grey(Volume(colours[0].transpose(2, 1, 0), Grid.from_spacing((64, 48), (1, 1))))
    pillow = np.asarray(Image.fromarray(colours[0]).convert("L")).T
    assert abs(grey.array[0].astype(int) - pillow).max() <= 1
    assert grey.meta.notes == ("Colours were turned to grey (BT.601).",)
    bright = Volume(np.full((3, 2, 2), 65535, np.uint16), Grid.from_spacing((2, 2), (1, 1)))
    assert (to_grey(bright).array == 65535).all()
