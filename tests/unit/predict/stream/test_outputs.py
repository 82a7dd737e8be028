"""What is kept of results, read back by the readers of the formats."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from films import SHAPE, footage_of, picture

from vesalius.errors import FormatError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import read_labels
from vesalius.io.footage import Frame, open_footage
from vesalius.predict.stream import FramePrediction, open_output
from vesalius.predict.stream.drawing import draw

LABELS = Labels.of({"ball": 1, "core, inner": 3})


def found(index, *, value=1, stale=False, spacing=(1.0, 1.0)):
    """A result: a square in the frame of this number."""
    grid = Grid.from_spacing(SHAPE, spacing)
    array = np.zeros(SHAPE, np.uint8)
    array[2:8, 4:9] = value
    image = Volume(picture(index).array, grid)
    return FramePrediction(
        Frame(index, image, index / 25),
        LabelMap(array, grid, LABELS),
        waited_s=0.001,
        computed_s=0.02,
        latency_s=0.0215,
        stale=stale,
        dropped=2 * index,
        anew=index == 0,
    )


def keep(path, results, rate_hz=25.0):
    with open_output(path, footage_of([], rate_hz=rate_hz)) as take:
        for one in results:
            take(one)
    return path


RESULTS = [found(0), found(1, value=3), found(4, stale=True)]


def test_a_video_shows_what_was_dropped_as_the_picture_before(tmp_path):
    path = keep(tmp_path / "a.mkv", RESULTS)
    with open_footage(path) as footage:
        assert footage.rate_hz == 25
        shown = [frame.image.array for frame in footage.frames]
    expected = [draw(one.frame.image, one.labels, stale=one.stale) for one in RESULTS]
    order = [0, 1, 1, 1, 2]
    assert len(shown) == len(order)
    for array, number in zip(shown, order, strict=True):
        np.testing.assert_array_equal(array, expected[number].transpose(2, 1, 0))


def test_a_video_of_other_values_has_one_window(tmp_path):
    wide = [
        replace(one, frame=replace(one.frame, image=_wide(one.frame.image, by)))
        for one, by in zip(RESULTS, (8, 16, 8), strict=True)
    ]
    with open_footage(keep(tmp_path / "a.mkv", wide)) as footage:
        first, second, *_ = (frame.image.array for frame in footage.frames)
    assert first.min() == 0
    assert first.max() == 255
    assert second.mean() > first.mean() + 40  # twice as bright, and shown so


def _wide(image, by):
    return image.with_array(image.array.astype(np.int16) * by)


@pytest.mark.parametrize("name", ["a.tif", "A.TIFF"])
def test_a_stack_holds_the_label_maps_page_by_page(tmp_path, name):
    stack = read_labels(keep(tmp_path / name, RESULTS), LABELS)
    assert stack.array.shape == (*SHAPE, 3)
    for page, one in enumerate(RESULTS):
        np.testing.assert_array_equal(stack.array[..., page], one.labels.array)


def test_a_folder_holds_a_picture_a_frame(tmp_path):
    folder = keep(tmp_path / "labels", [found(0), found(12, spacing=(0.3, 0.4))])
    assert sorted(path.name for path in folder.iterdir()) == ["000000.png", "000012.png"]
    np.testing.assert_array_equal(read_labels(folder / "000012.png", LABELS).array, found(12).labels.array)


def test_a_table_holds_times_and_sizes(tmp_path):
    with keep(tmp_path / "a.csv", RESULTS).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["0", "1", "4"]
    assert rows[2] == {
        "frame": "4",
        "at_s": "0.1600",
        "waited_ms": "1.000",
        "computed_ms": "20.000",
        "latency_ms": "21.500",
        "stale": "1",
        "dropped": "8",
        "anew": "0",
        "pixels of ball": "30",
        "pixels of core, inner": "0",
    }


@pytest.mark.parametrize("name", ["a.mkv", "a.tif", "a.csv"])
def test_files_appear_whole_or_not_at_all(tmp_path, name):
    def fail():
        with open_output(tmp_path / name, footage_of([], rate_hz=25)) as take:
            take(RESULTS[0])
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_kept_is_told(tmp_path):
    with pytest.raises(FormatError, match=r"unknown kind of output '\.gif'.*\.avi, \.csv, \.mkv, \.mp4, \.tif"):
        open_output(tmp_path / "a.gif", footage_of([]))
    with pytest.raises(FormatError, match="nobody knows how many frames a second"):
        keep(tmp_path / "a.mp4", [], rate_hz=None)
    with pytest.raises(VesaliusError, match="its folder does not exist"):
        keep(tmp_path / "none" / "a.csv", [])


# --- drawing ----------------------------------------------------------------------------------------------------------


def test_labels_are_filled_lightly_and_outlined_fully():
    one = found(0)
    drawn, plain = draw(one.frame.image, one.labels), one.frame.image.array[0].T
    colour = np.array(LABELS.colour(1))
    inside = np.zeros(SHAPE, bool).T
    inside[5:8, 3:7] = True
    mixed = plain[inside][:, None] + (colour - plain[inside][:, None]) * 90 / 256
    assert abs(drawn[inside] - mixed).max() <= 1
    for corner in ((4, 2), (4, 7), (8, 2), (8, 7)):
        assert drawn[corner].tolist() == colour.tolist()
    outside = np.ones(SHAPE, bool).T
    outside[4:9, 2:8] = False
    # The pixels around the square belong to the background, which has no colour to draw.
    np.testing.assert_array_equal(drawn[outside], np.repeat(plain[outside][:, None], 3, axis=1))


def test_what_is_stale_has_a_border():
    one = found(0)
    fresh, stale = draw(one.frame.image, one.labels), draw(one.frame.image, one.labels, stale=True)
    assert (stale[[0, -1]] == (255, 140, 0)).all()
    assert (stale[:, [0, -1]] == (255, 140, 0)).all()
    np.testing.assert_array_equal(stale[4:-4, 4:-4], fresh[4:-4, 4:-4])
