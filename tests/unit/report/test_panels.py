import numpy as np
import pytest

from vesalius.image import Label, LabelMap, Labels, Volume
from vesalius.image.grid import Grid
from vesalius.report.panels import Line, Panel, _rows, draw_panels

NONE = Labels(())
RED = Labels((Label("lesion", 1, (255, 0, 0)), Label("organ", 2, (0, 255, 0))))


def panel(image, spacing=(1.0, 1.0), **more) -> Panel:
    return Panel("", np.asarray(image, float), spacing, ("", "", "", ""), **more)


def test_pixels_have_their_true_proportions():
    image = np.zeros((20, 60))
    image[5:15, 10:50] = 1  # 10 rows of 4 mm, 40 columns of 1 mm: a square
    drawn = draw_panels([panel(image, (4.0, 1.0))], NONE, plain=True)
    rows, columns = np.nonzero(drawn[..., 0] > 128)
    assert np.ptp(rows) / np.ptp(columns) == pytest.approx(1, abs=0.01)


def test_a_line_lies_where_it_should_between_pixels():
    """Ten pixels on each millimetre: a line at 31.37 mm is not at a pixel of the image."""
    line = Line("cut", (1.0, 0.0, 0.0), np.array([[31.37, 5.0], [31.37, 55.0]]))
    drawn = draw_panels([panel(np.zeros((60, 60)), lines=(line,))], NONE, size=(600, 600), plain=True)
    red = np.clip(drawn[300, :, 0].astype(float) - 30, 0, None)
    assert (red * (np.arange(red.size) + 0.5)).sum() / red.sum() - 6 == pytest.approx(313.7, abs=0.5)


def test_an_outline_runs_between_pixels_and_a_fill_covers_them():
    labels = np.zeros((30, 30), np.uint8)
    labels[10:20, 0:20] = 1  # up to the border
    outlined = draw_panels([panel(np.zeros((30, 30)), contour=labels)], RED, size=(600, 600), plain=True)
    right = np.where(outlined[306, :, 0] > 60, outlined[306, :, 0], 0).astype(float)[200:]
    assert (right * (np.arange(right.size) + 200.5)).sum() / right.sum() - 6 == pytest.approx(400, abs=0.5)
    filled = draw_panels([panel(np.zeros((30, 30)), fill=labels)], RED, size=(600, 600), plain=True)
    assert filled[306, 206] == pytest.approx([0.38 * 255, 0, 0], abs=2)
    assert filled[306, 420].tolist() == [0, 0, 0]


def test_fine_lines_stay_where_there_are_fewer_pixels_than_voxels():
    image = np.zeros((400, 400))
    image[:, ::8] = 1
    drawn = draw_panels([panel(image)], NONE, size=(130, 130), plain=True)
    inside = drawn[40:100, 40:100, 0]
    assert inside.mean() == pytest.approx(255 / 8, rel=0.1)


@pytest.mark.parametrize(
    ("count", "size", "columns"), [(1, (900, 600), 1), (6, (900, 600), 3), (20, (1500, 1000), 5), (7, (700, 100), 7)]
)
def test_rows_are_as_long_as_leaves_the_panels_largest(count, size, columns):
    places, width, height = _rows([(100.0, 100.0)] * count, size)
    assert len({round(x) for x, *_ in places}) == min(columns, count)
    assert width <= size[0] + 1e-6
    assert height <= size[1] + 1e-6
    edges = [(x, y, x + w, y + h) for x, y, w, h in places]
    for n, a in enumerate(edges):
        for b in edges[:n]:
            assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]


def test_the_bar_is_as_long_as_it_says():
    blank = panel(np.zeros((50, 80)), (2.0, 2.0))
    drawn = draw_panels([blank], NONE, size=(640, 400), bar=True)
    plain = draw_panels([blank], NONE, size=(640, 400))
    new = (drawn != plain).any(axis=2) & (drawn[..., 0] > 200)
    longest = np.nonzero(new[new.sum(axis=1).argmax()])[0]
    # 640 pixels are 160 mm; 20 mm are the longest of 1, 2 and 5 within 0.22 of them.
    assert np.ptp(longest) + 1 == pytest.approx(80, abs=2)


def test_plain_is_the_image_alone_and_told_labels_are_in_the_legend():
    image = np.random.default_rng(0).random((30, 40))
    plain = draw_panels([panel(image)], NONE, size=(400, 300), plain=True, title="x", bar=True)
    assert plain.shape == (312, 412, 3)
    legend = draw_panels([panel(image)], RED, size=(400, 300), told=(2,))
    assert legend.shape == (342, 412, 3)
    strip = legend[-28:].reshape(-1, 3).tolist()
    assert [0, 255, 0] in strip
    assert [255, 0, 0] not in strip


def test_the_same_panels_make_the_same_picture():
    volume = Volume(np.random.default_rng(1).random((1, 20, 20)), Grid.from_spacing((20, 20), (1.0, 1.0)))
    labels = LabelMap((volume.array[0] > 0.5).astype(np.uint8), volume.grid, RED)
    first, second = (
        draw_panels([panel(volume.array[0], fill=labels.array, contour=labels.array)], RED, bar=True) for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
