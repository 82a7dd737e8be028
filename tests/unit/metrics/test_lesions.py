"""Lesion-wise scores against the definition of BraTS 2023, on lesions that can be counted by hand."""

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.metrics import evaluate
from vesalius.metrics.lesions import LesionTask, lesion_wise

LABELS = Labels.of({"oedema": 1, "core": 2}, regions={"whole": (1, 2)}, ignore=9)
SHAPE = (40, 14, 14)
CUBE = 216  # voxels of a lesion of 6 x 6 x 6


def scored(prediction, reference, name="whole", *, spacing=(1.0, 1.0, 1.0), **how):
    grid = Grid.from_spacing(SHAPE, spacing)
    pair = [LabelMap(array.astype(np.uint8), grid, LABELS) for array in (prediction, reference)]
    return lesion_wise(*pair, name, **how)


def cubes(*starts: int, size: int = 6) -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    for start in starts:
        array[start : start + size, 4 : 4 + size, 4 : 4 + size] = 1
    return array


def test_found_missed_and_made_up() -> None:
    """Lesions at 2 and 30; the first is found exactly, the second missed, and one is made up at 16."""
    found = scored(cubes(2, 16), cubes(2, 30))
    assert (found.true_positive, found.false_negative, found.false_positive) == (1, 1, 1)
    assert found.dice == pytest.approx(1 / 3)
    assert found.hd95_mm == pytest.approx((0 + 374 + 374) / 3)
    assert [one.volume_mm3 for one in found.lesions] == [CUBE, CUBE]


def test_a_lesion_moved_by_a_voxel() -> None:
    found = scored(cubes(3), cubes(2))
    assert found.dice == pytest.approx(5 / 6)
    assert found.hd95_mm == 1


def test_pieces_that_meet_when_dilated_are_one_lesion() -> None:
    """A gap of six voxels closes when both sides grow by three; of eight it does not, nor with one step of dilation."""
    assert len(scored(cubes(), cubes(2, 14)).lesions) == 1
    assert len(scored(cubes(), cubes(2, 16)).lesions) == 2
    assert len(scored(cubes(), cubes(2, 14), task="brats-meningioma").lesions) == 2


def test_a_piece_beside_the_lesion_belongs_to_it() -> None:
    """Two voxels away: within the dilation, so neither a false positive nor a miss, but without overlap Dice is 0."""
    reference = cubes(2)
    near = scored(cubes(10), reference)
    assert (near.true_positive, near.false_positive, near.dice) == (1, 0, 0)
    assert near.hd95_mm < 374
    far = scored(cubes(12), reference)
    assert (far.true_positive, far.false_positive) == (0, 1)
    assert far.hd95_mm == 374


def test_dilation_goes_by_faces_and_edges() -> None:
    """Three steps of the 18-neighbourhood reach (3, 3, 0) and (2, 2, 2), but not (3, 3, 3)."""
    reference = np.zeros(SHAPE, np.uint8)
    reference[10:16, 2:8, 2:8] = 1

    def hit(*at: int) -> int:
        prediction = np.zeros(SHAPE, np.uint8)
        prediction[at] = 1
        return scored(prediction, reference).true_positive

    assert [hit(18, 10, 7), hit(17, 9, 9), hit(18, 10, 10), hit(19, 7, 7)] == [1, 1, 0, 0]


def test_one_piece_over_two_lesions_is_scored_against_each() -> None:
    bridge = np.zeros(SHAPE, np.uint8)
    bridge[2:38, 4:10, 4:10] = 1
    found = scored(bridge, cubes(2, 32))
    assert (found.true_positive, found.false_positive) == (2, 0)
    assert found.dice == pytest.approx(2 * 6 / (6 + 36))


def test_pieces_of_one_lesion_are_taken_together() -> None:
    """A lesion of 16 rows said in two pieces of 6: Dice 2 · 12 / (16 + 12), one true positive and nothing made up."""
    reference = np.zeros(SHAPE, np.uint8)
    reference[2:18, 4:10, 4:10] = 1
    found = scored(cubes(2, 12), reference)
    assert (found.true_positive, found.false_positive, found.lesions[0].pieces) == (1, 0, 2)
    assert found.dice == pytest.approx(24 / 28)


def test_all_kinds_together_by_hand() -> None:
    """One found exactly, one moved by a voxel (Dice 5/6, HD95 1 mm), one missed, one made up: four to divide by."""
    shape = (90, 14, 14)
    reference, prediction = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for start, array in ((2, reference), (2, prediction), (20, reference), (21, prediction), (40, reference)):
        array[start : start + 6, 4:10, 4:10] = 1
    prediction[70:76, 4:10, 4:10] = 1
    grid = Grid.from_spacing(shape, (1.0, 1.0, 1.0))
    found = lesion_wise(LabelMap(prediction, grid, LABELS), LabelMap(reference, grid, LABELS), "whole")
    assert (found.true_positive, found.false_negative, found.false_positive) == (2, 1, 1)
    assert found.dice == pytest.approx((1 + 5 / 6 + 0 + 0) / 4)
    assert found.hd95_mm == pytest.approx((0 + 1 + 374 + 374) / 4)


def test_nested_regions_are_counted_each_by_itself() -> None:
    """Two cores in one oedema are one lesion of the whole tumour and two of the core; one core is missed."""
    reference = np.zeros(SHAPE, np.uint8)
    reference[2:38, 3:11, 3:11] = 1
    reference[4:9, 4:9, 4:9] = reference[30:35, 4:9, 4:9] = 2
    prediction = np.where(reference == 2, 1, reference)
    prediction[4:9, 4:9, 4:9] = 2
    whole, core = scored(prediction, reference), scored(prediction, reference, "core")
    assert (len(whole.lesions), whole.dice, whole.hd95_mm) == (1, 1, 0)
    assert (len(core.lesions), core.dice, core.hd95_mm) == (2, 1 / 2, 374 / 2)


def test_what_is_said_of_a_small_lesion_is_not_made_up() -> None:
    """A lesion of 27 mm³ beside one that counts: the piece on it is neither right nor wrong, one elsewhere is wrong."""
    reference = np.maximum(cubes(2), cubes(20, size=3))
    on_it, beside = np.maximum(cubes(2), cubes(20, size=3)), np.maximum(cubes(2), cubes(32, size=3))
    assert (scored(on_it, reference).dice, scored(on_it, reference).false_positive) == (1, 0)
    assert (scored(beside, reference).dice, scored(beside, reference).false_positive) == (1 / 2, 1)


def test_small_lesions_are_left_out_with_what_was_said_of_them() -> None:
    """27 mm³ count for metastases (above 2 mm³) and not for glioma; exactly the least volume does not count."""
    small = cubes(2, size=3)
    assert scored(small, small).lesions[0].counted is False
    nothing = scored(small, small)
    assert (nothing.dice, nothing.hd95_mm, nothing.false_positive) == (1, 0, 0)
    assert scored(cubes(), small).dice == 1
    assert scored(cubes(), small, task="brats-metastases").dice == 0
    assert scored(cubes(), small, task=LesionTask(least_mm3=27.0)).dice == 1
    assert scored(cubes(), small, task=LesionTask(least_mm3=26.9)).dice == 0


def test_volumes_and_distances_are_in_millimetres() -> None:
    found = scored(cubes(3), cubes(2), spacing=(3.0, 1.0, 0.5))
    assert found.lesions[0].volume_mm3 == pytest.approx(CUBE * 1.5)
    assert found.hd95_mm == pytest.approx(3.0)


def test_both_empty() -> None:
    found = scored(cubes(), cubes())
    assert (found.dice, found.hd95_mm, found.lesions) == (1, 0, ())
    wrong = scored(cubes(2), cubes())
    assert (wrong.dice, wrong.hd95_mm) == (0, 374)


def test_a_region_joins_its_labels_and_a_label_is_scored_alone() -> None:
    reference = cubes(2)
    reference[4:6, 6:8, 6:8] = 2
    assert scored(cubes(2), reference).dice == 1
    assert scored(cubes(2), reference, "core", task=LesionTask(least_mm3=0)).dice == 0


def test_what_is_said_where_nobody_looked_is_no_lesion() -> None:
    assert scored(cubes(2), cubes(2) * 9).false_positive == 0


def test_no_dilation_and_bad_settings() -> None:
    assert len(scored(cubes(), cubes(2, 10), task=LesionTask(dilation=0)).lesions) == 2
    with pytest.raises(DataError, match="0 or more"):
        scored(cubes(), cubes(), task=LesionTask(dilation=-1))
    with pytest.raises(DataError, match="did you mean 'brats-glioma'"):
        scored(cubes(), cubes(), task="brats-gliom")
    with pytest.raises(DataError, match="unknown label 'tumour'"):
        scored(cubes(), cubes(), "tumour")
    other = LabelMap(np.zeros((4, 4), np.uint8), Grid.from_spacing((4, 4), (1.0, 1.0)), LABELS)
    with pytest.raises(GeometryError, match="different grids"):
        lesion_wise(other, LabelMap(cubes(), Grid.from_spacing(SHAPE, (1.0, 1.0, 1.0)), LABELS), "whole")


def test_evaluate_has_them_for_every_label_and_region() -> None:
    """Cropped to what is there, and on a grid whose axes lie in memory the other way, they are the same."""
    reference, prediction = cubes(2, 14, 30), cubes(3, 22)
    reference[4:6, 6:8, 6:8] = 2
    grid = Grid.from_spacing(SHAPE, (1.0, 0.5, 2.0))
    for order in "CF":
        pair = [LabelMap(np.asarray(array, np.uint8, order=order), grid, LABELS) for array in (prediction, reference)]
        scores = evaluate(*pair, metrics=("lesion_dice", "lesion_hd95"), lesion_task="brats-metastases")
        for name in ("oedema", "core", "whole"):
            whole = lesion_wise(*pair, name, task="brats-metastases")
            assert scores.values[name]["lesion_dice"] == pytest.approx(whole.dice)
            assert scores.values[name]["lesion_hd95"] == pytest.approx(whole.hd95_mm)
        assert scores.values["whole"] != evaluate(*pair, metrics=("lesion_dice", "lesion_hd95")).values["whole"]
    with pytest.raises(DataError, match="unknown lesion task"):
        evaluate(*pair, lesion_task="brats")
