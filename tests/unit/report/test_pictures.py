import numpy as np
import pytest
from PIL import Image

from vesalius.errors import DataError, GeometryError, VesaliusError
from vesalius.image import Grid, Label, LabelMap, Labels, Meta, Volume
from vesalius.report import overlay
from vesalius.report.panels import _lead
from vesalius.report.pictures import _slices
from vesalius.report.scene import Scene

RED = Labels((Label("lesion", 1, (255, 0, 0)), Label("organ $x^2$ 肝", 2, (0, 255, 0))))


def scene(shape=(20, 30, 10), spacing=(1.0, 1.0, 3.0), *, meta=None, value=100.0):
    grid = Grid.from_spacing(shape, spacing)
    image = np.zeros((1, *shape), np.float32)
    image[0, 2:-2, 2:-2] = value
    return Volume(image, grid, meta or Meta("MR")), np.zeros(shape, np.uint8), grid


def reddish(picture):
    return (picture[..., 0].astype(int) - picture[..., 1] > 60) & (picture[..., 0].astype(int) - picture[..., 2] > 60)


def test_the_patients_right_is_on_the_left_and_the_head_on_top():
    volume, array, grid = scene((40, 40, 40), (1.0, 1.0, 1.0))
    array[2:8, 2:8, 30:36] = 1  # LPS: low i is right, low j is anterior, high k is superior
    picture = overlay(volume, LabelMap(array, grid, RED))
    panels = _slices(Scene(volume, (0, 1), fill=LabelMap(array, grid, RED)))
    axial, coronal, sagittal = (np.argwhere(panel.fill).mean(axis=0) / 39 for panel in panels)
    assert (axial < 0.3).all()  # rows from anterior down, columns from right to left
    assert coronal[0] < 0.3  # superior on top
    assert coronal[1] < 0.3  # right on the left
    assert sagittal[0] < 0.3
    assert sagittal[1] < 0.3  # anterior on the left
    assert [panel.letters for panel in panels] == [tuple("RLAP"), tuple("RLSI"), tuple("APSI")]
    assert reddish(picture).sum() > 500


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAL", "PIR"])
def test_storage_does_not_change_the_picture(codes):
    from vesalius.transform import reorient

    rng = np.random.default_rng(5)
    grid = Grid.from_spacing((14, 18, 9), (1.0, 1.2, 3.0))
    volume = Volume(rng.random((1, *grid.shape)).astype(np.float32), grid, Meta("MR"))
    array = np.zeros(grid.shape, np.uint8)
    array[3:8, 4:12, 2:6] = 1
    labels = LabelMap(array, grid, RED)
    expected = overlay(volume, labels)
    np.testing.assert_array_equal(overlay(reorient(volume, codes), reorient(labels, codes)), expected)


def test_slices_show_most_disagreement_then_most_foreground():
    volume, array, grid = scene()
    array[5:10, 5:10, 2:5] = 1
    array[5:15, 5:15, 3] = 1
    said = array.copy()
    said[6:8, 6:8, 7] = 1
    reference, prediction = LabelMap(array, grid, RED), LabelMap(said, grid, RED)

    def first(fill, contour):
        return _slices(Scene(volume, (0, 1), fill=fill, contour=contour))[0].name.partition("\n")[0]

    nothing = LabelMap(np.zeros_like(array), grid, RED)
    assert first(prediction, reference) == "axial 8/10"
    assert first(reference, reference) == "axial 4/10"
    assert first(reference, None) == "axial 4/10"
    assert first(nothing, nothing) == "axial 6/10"


def test_panels_share_one_scale():
    places, width, height = _lead([(100.0, 200.0), (100.0, 50.0), (200.0, 50.0)], (900, 520))
    scale = places[0][2] / 100.0
    assert [(round(w / scale), round(h / scale)) for _, _, w, h in places] == [(100, 200), (100, 50), (200, 50)]
    assert width <= 900 + 1e-9
    assert height <= 520 + 1e-9
    assert all(0 <= x and x + w <= width + 1e-9 and 0 <= y and y + h <= height + 1e-9 for x, y, w, h in places)


def test_a_picture_keeps_its_colours_and_orientation():
    grid = Grid.from_spacing((60, 40), (1.0, 1.0))
    image = np.zeros((3, 60, 40), np.uint8)
    image[2] = 200
    array = np.zeros((60, 40), np.uint8)
    array[:20, :10] = 1  # i to the right, j down: the upper left corner
    picture = overlay(Volume(image, grid, Meta("RGB", calibrated=False)), LabelMap(array, grid, RED))
    rows, columns = picture.shape[:2]
    at = np.argwhere(picture[..., 0] > 60)
    at = at[at[:, 0] < rows - 40]  # without the legend
    assert (at.mean(axis=0) < (0.35 * rows, 0.35 * columns)).all()
    assert (picture[rows // 2, columns // 2] == (0, 0, 200)).all()


def test_reference_is_a_line_and_prediction_a_fill():
    volume, array, grid = scene((64, 64), (1.0, 1.0))
    array[20:44, 20:44] = 1
    empty = LabelMap(np.zeros_like(array), grid, RED)
    drawn = LabelMap(array, grid, RED)
    legend = np.s_[:-45]
    filled = reddish(overlay(volume, drawn)[legend]).sum()
    line = reddish(overlay(volume, empty, drawn)[legend]).sum()
    assert 0 < line < filled / 5


def test_window():
    volume, array, grid = scene(meta=Meta("CT", "HU"), value=40.0)
    labels = LabelMap(array, grid, RED)
    soft = overlay(volume, labels)
    grey = soft[soft.shape[0] // 2, soft.shape[1] // 4]
    np.testing.assert_allclose(grey, 128, atol=3)  # 40 HU is the middle of the soft-tissue window
    lung = overlay(volume, labels, window=(-1000.0, 40.0))
    assert (lung[soft.shape[0] // 2, soft.shape[1] // 4] == 255).all()


def test_a_constant_image_is_no_trouble():
    grid = Grid.from_spacing((5, 5), (1.0, 1.0))
    labels = LabelMap(np.zeros((5, 5), np.uint8), grid, RED)
    assert overlay(Volume(np.full((1, 5, 5), 7.0), grid), labels).size
    assert overlay(Volume(np.zeros((1, 5, 5)), grid), labels).size


def test_a_single_slice_is_still_seen():
    volume, array, grid = scene((40, 40, 1), (1.0, 1.0, 0.1))
    assert overlay(volume, LabelMap(array, grid, RED)).size


def test_names_are_not_formulas():
    volume, array, grid = scene()
    array[5:10, 5:10, 2:5] = 2
    picture = overlay(volume, LabelMap(array, grid, RED), title="$\\frac{1$ 案例")  # invalid as a formula
    assert picture.dtype == np.uint8


def test_many_labels_fit_the_legend():
    volume, array, grid = scene()
    array[..., 4] = np.arange(600).reshape(20, 30) % 118
    labels = Labels.of({f"structure number {n}": n for n in range(1, 118)})
    picture = overlay(volume, LabelMap(array, grid, labels), LabelMap(array, grid, labels))
    assert picture.shape[1] <= 912


def test_png_holds_the_picture(tmp_path):
    volume, array, grid = scene()
    array[5:10, 5:10, 2:5] = 1
    picture = overlay(volume, LabelMap(array, grid, RED), path=tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as stored:
        np.testing.assert_array_equal(np.asarray(stored), picture)
        assert stored.info == {}  # no metadata


def test_what_cannot_be_drawn(tmp_path):
    volume, array, grid = scene()
    labels = LabelMap(array, grid, RED)
    moved = LabelMap(array, Grid.from_spacing(grid.shape, grid.spacing_mm, origin_mm=(5.0, 0.0, 0.0)), RED)
    with pytest.raises(GeometryError, match=r"the prediction .* resample"):
        overlay(volume, moved)
    with pytest.raises(GeometryError, match=r"the reference .* resample"):
        overlay(volume, labels, moved)
    with pytest.raises(DataError, match="channel must be 0 to 0"):
        overlay(volume, labels, channel=1)
    with pytest.raises(DataError, match="window"):
        overlay(volume, labels, window=(3.0, 3.0))
    with pytest.raises(VesaliusError, match="cannot write"):
        overlay(volume, labels, path=tmp_path / "nowhere" / "a.png")
    assert list(tmp_path.iterdir()) == []
