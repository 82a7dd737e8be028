import hashlib

import numpy as np
import pytest
from PIL import Image

from vesalius.errors import DataError, FormatError
from vesalius.io.footage import open_footage
from vesalius.io.footage.animation import write_animation


def shots(count=5, shape=(17, 23), *, coloured=False):
    """A square that wanders over a ramp of greys."""
    ramp = np.broadcast_to(np.arange(shape[1], dtype=np.uint8)[None, :, None] * 9, (*shape, 3))
    made = []
    for number in range(count):
        picture = ramp.copy()
        picture[4:8, 2 + number : 6 + number] = (250, 30, 30) if coloured else 250
        made.append(picture)
    return made


def frames_of(path):
    with Image.open(path) as made:
        for number in range(made.n_frames):
            made.seek(number)
            yield np.asarray(made.convert("RGB")), made.info


def test_greys_come_back_as_they_are(tmp_path):
    drawn = shots()
    write_animation(drawn, tmp_path / "a.gif", rate_hz=10)
    found = list(frames_of(tmp_path / "a.gif"))
    assert len(found) == 5
    for (picture, info), expected in zip(found, drawn, strict=True):
        np.testing.assert_array_equal(picture, expected)
        assert info["duration"] == 100
    assert found[0][1]["loop"] == 0
    assert "comment" not in found[0][1]


def test_colours_are_nearly_kept(tmp_path):
    drawn = shots(coloured=True)
    write_animation(drawn, tmp_path / "a.gif")
    for (picture, _), expected in zip(frames_of(tmp_path / "a.gif"), drawn, strict=True):
        assert np.abs(picture.astype(int) - expected).max() <= 8


def test_colours_of_a_legend_are_kept(tmp_path):
    """However small it is: of large pictures not every pixel is looked at when colours are chosen."""
    shades = np.zeros((1024, 2048, 3), np.uint8)
    shades[..., 0], shades[..., 1] = np.meshgrid(np.arange(2048) // 8, np.arange(1024) // 4)
    shades[0, 1] = swatch = (30, 40, 250)
    away = {}
    for name, kept in (("a.gif", [swatch]), ("b.gif", [])):
        write_animation([shades], tmp_path / name, kept=kept)
        (picture, _) = next(frames_of(tmp_path / name))
        away[name] = np.abs(picture[0, 1].astype(int) - swatch).max()
    assert away["a.gif"] == 0
    assert away["b.gif"] > 100


def test_bytes_depend_on_the_pictures_alone(tmp_path):
    for name in ("a.gif", "b.gif"):
        write_animation(shots(coloured=True), tmp_path / name)
    a, b = (hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a.gif", "b.gif"))
    assert a == b


@pytest.mark.parametrize("shape", [(32, 48), (33, 47)])
def test_a_video_has_every_picture(tmp_path, shape):
    pytest.importorskip("cv2")
    write_animation(shots(7, shape), tmp_path / "a.mp4", rate_hz=10)
    with open_footage(tmp_path / "a.mp4") as footage:
        assert footage.shape == (shape[1] + shape[1] % 2, shape[0] + shape[0] % 2)
        assert footage.rate_hz == 10
        assert len(list(footage.frames)) == 7


def test_what_is_no_animation(tmp_path):
    for pictures, name, rate, error in (
        ([], "a.gif", 10, DataError),
        ([np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4, 3), np.uint8)], "a.gif", 10, DataError),
        ([np.zeros((4, 5), np.uint8)], "a.gif", 10, DataError),
        (shots(), "a.gif", 0, DataError),
        (shots(), "a.gif", 60, DataError),
        (shots(), "a.webp", 10, FormatError),
    ):
        with pytest.raises(error):
            write_animation(pictures, tmp_path / name, rate_hz=rate)
    assert list(tmp_path.iterdir()) == []
