"""Connected components, and what is kept of them."""

import tracemalloc

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.transform import connected_to, keep_largest, label_components, remove_small

PICTURE = np.array(
    [
        [1, 1, 0, 0, 2],
        [0, 0, 1, 0, 2],
        [0, 0, 0, 0, 0],
        [2, 0, 0, 1, 1],
    ],
    np.uint8,
)


def labelmap(array: np.ndarray = PICTURE, **options: object) -> LabelMap:
    labels = Labels.of({"organ": 1, "tumour": 2}, **options)  # type: ignore[arg-type]
    return LabelMap(array, Grid.from_spacing(array.shape, (2.0,) * array.ndim), labels)


@pytest.mark.parametrize("connectivity", [1, 3, None])
def test_what_is_connected_to_marks_are_the_pieces_that_hold_one(connectivity: int | None) -> None:
    rng = np.random.default_rng(0)
    binary = np.zeros((9, 14, 12), bool)
    binary[2:8, 3:13, 1:11] = rng.random((6, 10, 10)) < 0.15
    pieces, sizes = label_components(binary, connectivity=connectivity)
    assert len(sizes) > 4
    for wanted in ([], [2], [1, 3, len(sizes)]):
        marked = ~binary & (rng.random(binary.shape) < 0.1)  # beside the pieces: counts for nothing
        for number in wanted:
            marked[tuple(np.argwhere(pieces == number)[0])] = True
        found = connected_to(binary, marked, connectivity=connectivity)
        np.testing.assert_array_equal(found, np.isin(pieces, wanted) & binary)
    assert not connected_to(np.zeros((3, 4)), np.ones((3, 4), bool)).any()
    with pytest.raises(GeometryError, match="connectivity"):
        connected_to(binary, binary, connectivity=4)


def test_connectivity_decides_what_touches() -> None:
    _, corners = label_components(PICTURE == 1)
    _, faces = label_components(PICTURE == 1, connectivity=1)
    assert corners.tolist() == [3, 2]
    assert sorted(faces.tolist()) == [1, 2, 2]


def test_pieces_are_numbered_where_they_lie() -> None:
    pieces, sizes = label_components(PICTURE)
    assert pieces.dtype == np.int32
    assert pieces.shape == PICTURE.shape
    assert np.array_equal(pieces > 0, PICTURE > 0)
    assert np.bincount(pieces.ravel())[1:].tolist() == sizes.tolist()


@pytest.mark.parametrize("shape", [(4, 5), (3, 4, 5)])
def test_an_empty_picture_has_no_pieces(shape: tuple[int, ...]) -> None:
    pieces, sizes = label_components(np.zeros(shape, bool))
    assert pieces.shape == shape
    assert not pieces.any()
    assert sizes.size == 0


def test_corner_neighbours_in_3d() -> None:
    binary = np.zeros((3, 3, 3), bool)
    binary[0, 0, 0] = binary[1, 1, 1] = True
    assert [len(label_components(binary, connectivity=n)[1]) for n in (1, 2, 3)] == [2, 2, 1]
    binary = np.asfortranarray(binary)[::-1]
    assert [len(label_components(binary, connectivity=n)[1]) for n in (1, 2, 3)] == [2, 2, 1]


@pytest.mark.parametrize("connectivity", [0, 3])
def test_a_connectivity_that_does_not_exist(connectivity: int) -> None:
    with pytest.raises(GeometryError, match="1 to 2"):
        label_components(PICTURE, connectivity=connectivity)


def test_keep_the_largest_of_all_labels_together() -> None:
    kept = keep_largest(labelmap())
    # The organ's three voxels are the largest piece whatever their label.
    assert kept.array.tolist() == (PICTURE * [[1, 1, 1, 0, 0], [1, 1, 1, 0, 0], [0] * 5, [0] * 5]).tolist()


def test_keep_the_largest_of_each_label() -> None:
    kept = keep_largest(labelmap(), names=["organ", "tumour"])
    assert kept.counts() == {0: 15, 1: 3, 2: 2}
    assert kept.array[3].tolist() == [0, 0, 0, 0, 0]


def test_only_the_named_label_is_cleaned() -> None:
    kept = keep_largest(labelmap(), names=["tumour"])
    assert np.array_equal(kept.array == 1, PICTURE == 1)
    assert (kept.array == 2).sum() == 2


def test_a_region_is_one_structure() -> None:
    array = np.array([[1, 2, 0, 2, 0, 1]], np.uint8)
    kept = keep_largest(labelmap(array, regions={"whole": (1, 2)}), names=["whole"])
    assert kept.array.tolist() == [[1, 2, 0, 0, 0, 0]]


def test_of_equal_pieces_the_first_stays() -> None:
    array = np.array([[0, 1, 0, 1]], np.uint8)
    assert keep_largest(labelmap(array)).array.tolist() == [[0, 1, 0, 0]]


def test_voxels_to_ignore_are_left_alone() -> None:
    array = np.array([[1, 1, 0, 1, 9]], np.uint8)
    assert keep_largest(labelmap(array, ignore=9)).array.tolist() == [[1, 1, 0, 0, 9]]


def test_nothing_to_clean() -> None:
    empty = labelmap(np.zeros((3, 4, 5), np.uint8))
    assert not keep_largest(empty).array.any()
    assert not remove_small(empty, 1.0).array.any()


def test_the_source_is_not_changed() -> None:
    source = labelmap()
    keep_largest(source)
    assert np.array_equal(source.array, PICTURE)


def test_remove_pieces_by_area() -> None:
    # Pixels of 4 mm²: pieces of 12, 8, 8 and 4 mm² when labels count by themselves.
    kept = remove_small(labelmap(), min_area_mm2=8.0, names=["organ", "tumour"])
    assert kept.counts() == {0: 13, 1: 5, 2: 2}
    kept = remove_small(labelmap(), min_area_mm2=8.1, names=["organ", "tumour"])
    assert kept.counts() == {0: 17, 1: 3}


def test_remove_pieces_by_volume() -> None:
    array = np.zeros((5, 5, 5), np.uint8)
    array[0, 0, :3] = 1
    array[4, 4, 4] = 2
    # Voxels of 8 mm³.
    assert remove_small(labelmap(array), 0.024).counts() == {0: 122, 1: 3}
    assert remove_small(labelmap(array), 0.008).counts() == {0: 121, 1: 3, 2: 1}
    assert remove_small(labelmap(array), 0.025).counts() == {0: 125}


@pytest.mark.parametrize(
    "sizes", [{}, {"min_volume_ml": 1.0}, {"min_volume_ml": 1.0, "min_area_mm2": 1.0}, {"min_area_mm2": -1.0}]
)
def test_the_size_must_fit_the_dimensions(sizes: dict[str, float]) -> None:
    with pytest.raises(GeometryError, match="min_area_mm2 alone"):
        remove_small(labelmap(), **sizes)


def test_an_unknown_name() -> None:
    with pytest.raises(DataError, match="did you mean 'tumour'"):
        keep_largest(labelmap(), names=["tumor"])


# --- only what is needed ----------------------------------------------------------------------------------------------


def test_what_needs_no_cleaning_is_returned_as_it_is() -> None:
    clean = labelmap(np.array([[1, 1, 0], [0, 0, 0], [2, 2, 2]], np.uint8))
    assert keep_largest(clean, names=("organ", "tumour")) is clean
    assert remove_small(clean, min_area_mm2=1.0) is clean
    nothing = labelmap(np.zeros((4, 4), np.uint8))
    assert keep_largest(nothing) is nothing


def test_only_the_box_that_holds_the_structure_is_worked_on() -> None:
    array = np.zeros((160, 160, 160), np.uint8)
    array[80:90, 80:90, 80:90] = 1
    array[95, 95, 95] = 1
    tracemalloc.start()
    cleaned = keep_largest(labelmap(array))
    top = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert cleaned.array[95, 95, 95] == 0
    assert cleaned.counts()[1] == 1000
    assert top < 2.5 * array.nbytes  # a copy, and slabs; numbers of pieces alone would be four times the array


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_however_an_array_lies_in_memory(order: tuple[int, ...], rng: np.random.Generator) -> None:
    array = rng.choice(np.array([0, 1, 2], np.uint8), (9, 8, 7), p=[0.8, 0.1, 0.1])
    laid = np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))
    names = ("organ", "tumour")
    assert np.array_equal(
        keep_largest(labelmap(laid), names=names).array, keep_largest(labelmap(array), names=names).array
    )
    flipped = keep_largest(labelmap(np.flip(array, 1)), names=("tumour",), connectivity=1).array
    again = keep_largest(labelmap(np.flip(array, 1).copy()), names=("tumour",), connectivity=1).array
    assert np.array_equal(flipped, again)


def test_structures_of_many_labels() -> None:
    labels = Labels.of({f"part {n}": n for n in range(1, 41)}, regions={"all": tuple(range(1, 41))})
    array = np.zeros((50, 3), np.uint8)
    array[:40, 0] = np.arange(1, 41)
    array[45, 2] = 40
    cleaned = keep_largest(LabelMap(array, Grid.from_spacing((50, 3), (1.0, 1.0)), labels), names=("all",)).array
    assert cleaned[:40, 0].tolist() == list(range(1, 41))
    assert cleaned[45, 2] == 0
