import numpy as np

from vesalius.image import Grid, LabelMap, Labels
from vesalius.train.clean_up import choose_clean_up
from vesalius.transform.postprocess import KeepLargest, Postprocessing, RemoveSmall, postprocess

LABELS = Labels.of({"organ": 1, "lesion": 2})
GRID = Grid.from_spacing((20, 20), (1.0, 1.0))


def label_map(*boxes: tuple[int, int, int, int, int]) -> LabelMap:
    array = np.zeros(GRID.shape, np.uint8)
    for value, i, j, height, width in boxes:
        array[i : i + height, j : j + width] = value
    return LabelMap(array, GRID, LABELS)


def chosen(pairs: list[tuple[LabelMap, LabelMap]], *, calibrated: bool = True) -> Postprocessing:
    return choose_clean_up(lambda: iter(pairs), LABELS, calibrated=calibrated)


def test_stray_pieces_of_a_single_organ_go() -> None:
    pairs = [
        (label_map((1, 2, 2 + n, 8, 8), (1, 15, 15, 2, 2 + n % 2)), label_map((1, 2, 2 + n, 8, 8))) for n in range(4)
    ]
    how = chosen(pairs)
    assert KeepLargest() in how.steps or KeepLargest(name="organ") in how.steps
    for prediction, reference in pairs:
        assert np.array_equal(postprocess(prediction, how).array, reference.array)


def test_small_false_lesions_go_and_several_true_ones_stay() -> None:
    pairs = [
        (
            label_map((2, 1, 1 + n, 4, 4), (2, 10, 10, 4, 4), (2, 18, 1 + n, 1, 1)),
            label_map((2, 1, 1 + n, 4, 4), (2, 10, 10, 4, 4)),
        )
        for n in range(4)
    ]
    how = chosen(pairs)
    assert [type(step) for step in how.steps] == [RemoveSmall]
    assert how.steps[0].unit == "mm2"  # type: ignore[union-attr]
    assert chosen(pairs, calibrated=False).steps[0].unit == "voxels"  # type: ignore[union-attr]
    for prediction, reference in pairs:
        assert np.array_equal(postprocess(prediction, how).array, reference.array)


def test_what_does_not_help_is_left_alone() -> None:
    two = [(label_map((1, 1, 1, 5, 5), (1, 10, 10, 4, 4 + n)),) * 2 for n in range(4)]
    assert chosen(two).steps == ()


def test_help_by_chance_is_no_help() -> None:
    """One of five cases gains: less than two standard errors."""
    right = [(label_map((1, 1, 1, 6, 6)),) * 2 for _ in range(4)]
    stray = (label_map((1, 1, 1, 6, 6), (1, 15, 15, 1, 1)), label_map((1, 1, 1, 6, 6)))
    assert chosen([*right, stray]).steps == ()


def test_two_cases_tell_nothing() -> None:
    stray = (label_map((1, 1, 1, 6, 6), (1, 15, 15, 1, 1)), label_map((1, 1, 1, 6, 6)))
    assert chosen([stray, stray]).steps == ()


def test_the_first_step_must_not_cost_a_label_anything() -> None:
    """The lesion lies apart from the organ: keeping only the largest piece of all would delete it."""
    pairs = [
        (
            label_map((1, 1, 1, 9, 9), (2, 14, 14, 3, 3), (1, 18, 1 + n, 1, 2)),
            label_map((1, 1, 1, 9, 9), (2, 14, 14, 3, 3)),
        )
        for n in range(4)
    ]
    how = chosen(pairs)
    assert KeepLargest() not in how.steps
    assert any(step.name == "organ" for step in how.steps)
    for prediction, reference in pairs:
        assert np.array_equal(postprocess(prediction, how).array, reference.array)
