"""Slices in files: their order, their gaps, and what cannot be a stack."""

from pathlib import Path

import numpy as np
import pytest

from vesalius.errors import DataError, FormatError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import write
from vesalius.io.slices import matching, number_slices, read_image_slices, read_label_slices, slice_files


def drawn(folder, numbers, name="s{}.png", shape=(6, 5)):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        array = np.full(shape, number % 3, np.uint8)
        write(LabelMap(array, Grid(shape, np.eye(3)), Labels.of([1, 2])), folder / name.format(number))
    return folder


def test_files_are_ordered_by_number_and_gaps_are_told(tmp_path):
    files = number_slices(slice_files([drawn(tmp_path / "a", (9, 10, 8, 12))]))
    found = read_label_slices(files, spacing_mm=2.5, pixel_mm=0.5)

    assert [path.name for path in files.paths] == ["s8.png", "s9.png", "s10.png", "s12.png"]
    assert [files.number(k) for k in files.missing] == [11]
    assert found.grid.shape == (6, 5, 5)
    assert found.grid.spacing_mm == (0.5, 0.5, 2.5)
    assert found.array[0, 0].tolist() == [2, 0, 1, 0, 0]
    assert found.labels.names == ("label 1", "label 2")


def test_a_common_step_is_from_slice_to_slice_and_constant_numbers_do_not_count(tmp_path):
    files = number_slices(slice_files([drawn(tmp_path / "a", (30, 10, 20), "case7_{}_v2.png")]))
    assert (files.places, files.missing, files.number(1)) == ((0, 1, 2), (), 20)


def test_images_are_found_by_their_numbers(tmp_path):
    files = number_slices(slice_files([drawn(tmp_path / "a", (1, 2, 4))]))
    (tmp_path / "b").mkdir()
    for number in range(1, 6):
        write(
            Volume(np.full((1, 6, 5), 10 * number, np.uint8), Grid((6, 5), np.eye(3))), tmp_path / f"b/{number:03}.png"
        )
    images = read_image_slices(matching(files, slice_files([tmp_path / "b"])), spacing_mm=2, pixel_mm=1)
    assert images.array[0, 0, 0].tolist() == [10, 20, 0, 40]
    with pytest.raises(FormatError, match="slice 4 has no image"):
        matching(files, [tmp_path / "b" / "001.png", tmp_path / "b" / "002.png"])


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["s1.png"], "two slices or more"),
        ([], "two slices or more"),
        (["s1.png", "s01.png"], "slice 1 is there 2 times"),
        (["a.png", "b.png"], "number in the same place"),
        (["s1.png", "s2_3.png"], "number in the same place"),
        (["s1_1.png", "s2_2.png"], "several numbers differ"),
    ],
)
def test_names_that_tell_no_order_are_refused(names, words):
    with pytest.raises(DataError, match=words):
        number_slices([Path(name) for name in names])


def test_slices_that_do_not_fit_are_refused(tmp_path):
    drawn(tmp_path / "a", (1, 2))
    drawn(tmp_path / "a", (3,), shape=(6, 6))
    files = number_slices(slice_files([tmp_path / "a"]))
    with pytest.raises(DataError, match=r"s3.png has 6 × 6 pixels, and s1.png 6 × 5"):
        read_label_slices(files, spacing_mm=1, pixel_mm=1)
    fits = number_slices([tmp_path / "a" / "s1.png", tmp_path / "a" / "s2.png"])
    with pytest.raises(DataError, match="--pixel-size"):
        read_label_slices(fits, spacing_mm=1)
    with pytest.raises(DataError, match="above 0 mm"):
        read_label_slices(fits, spacing_mm=-1, pixel_mm=1)
    deep = LabelMap(np.ones((6, 5, 2), np.uint8), Grid.from_spacing((6, 5, 2), (1, 1, 1)), Labels.of([1]))
    write(deep, tmp_path / "d4.nii.gz")
    with pytest.raises(DataError, match="one slice; this one is 6 × 5 × 2"):
        read_label_slices(number_slices([tmp_path / "a" / "s1.png", tmp_path / "d4.nii.gz"]), spacing_mm=1, pixel_mm=1)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no file in a format"):
        slice_files([tmp_path / "none"])
    with pytest.raises(DataError, match="no such file"):
        slice_files([tmp_path / "nowhere"])
