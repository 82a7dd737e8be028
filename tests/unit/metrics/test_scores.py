import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.metrics import DEFAULT, METRICS, Scores, evaluate

GRID = Grid.from_spacing((12, 10, 8), (1.0, 2.0, 3.0))
LABELS = Labels.of({"core": 1, "rim": 2}, regions={"whole": (1, 2)})


def maps(**boxes):
    """Two label maps of LABELS; a box is (value, slices)."""
    arrays = [np.zeros(GRID.shape, np.uint8) for _ in range(2)]
    for array, key in zip(arrays, ("prediction", "reference"), strict=True):
        for value, where in boxes.get(key, ()):
            array[where] = value
    return [LabelMap(array, GRID, LABELS) for array in arrays]


BLOCK = np.s_[2:6, 2:6, 2:6]


def test_every_default_metric_for_every_label_and_region():
    prediction, reference = maps(prediction=[(1, BLOCK)], reference=[(1, BLOCK), (2, np.s_[6:8, 2:6, 2:6])])
    scores = evaluate(prediction, reference, case="a")
    assert list(scores.values) == ["core", "rim", "whole"]
    expected = [name for name in DEFAULT if 3 in METRICS[name].dimensions]
    assert all(list(row) == expected for row in scores.values.values())
    assert scores.values["core"]["dice"] == 1.0
    assert scores.values["rim"]["dice"] == 0.0
    assert scores.values["whole"]["iou"] == pytest.approx(64 / 96)
    assert scores.values["whole"]["hausdorff"] == 2.0
    assert scores.values["whole"]["volume_reference_ml"] == pytest.approx(96 * 6 / 1000)
    assert scores.values["whole"]["volume_prediction_ml"] == pytest.approx(64 * 6 / 1000)


def test_one_empty_gets_the_diagonal_and_both_empty_gets_none():
    prediction, reference = maps(reference=[(1, BLOCK)])
    values = evaluate(prediction, reference).values
    assert values["core"]["hd95"] == pytest.approx(math.sqrt(12**2 + 20**2 + 24**2))
    assert values["core"]["surface_dice"] == 0.0
    assert values["rim"]["hd95"] == 0.0
    assert values["rim"]["dice"] == values["rim"]["surface_dice"] == 1.0
    empty, _ = maps()
    assert evaluate(empty, empty).values["whole"]["assd"] == 0.0


def test_the_brats_penalty():
    grid = Grid.from_spacing((240, 240, 155), (1.0, 1.0, 1.0))
    drawn = np.zeros(grid.shape, np.uint8)
    drawn[100, 100, 100] = 1
    labels = Labels.of({"tumour": 1})
    scores = evaluate(LabelMap(np.zeros_like(drawn), grid, labels), LabelMap(drawn, grid, labels), metrics=("hd95",))
    assert scores.values["tumour"]["hd95"] == pytest.approx(373.1287, abs=1e-4)


def test_ignored_voxels_count_nowhere():
    labels = Labels.of({"lesion": 1}, ignore=9)
    drawn, said = np.zeros((2, 6, 6), np.uint8)
    drawn[1:3, 1:3], said[1:3, 1:3] = 1, 1
    drawn[:, 4:], said[:, 4:] = 9, 1
    grid = Grid.from_spacing((6, 6), (1.0, 1.0))
    values = evaluate(LabelMap(said, grid, labels), LabelMap(drawn, grid, labels)).values["lesion"]
    assert values["dice"] == values["accuracy"] == 1.0
    assert values["hausdorff"] == 0.0
    assert values["area_prediction_mm2"] == 4.0


def test_prediction_may_not_hide_in_its_own_ignore_value():
    labels = Labels.of({"lesion": 1}, ignore=9)
    drawn = np.ones((3, 3), np.uint8)
    said = np.full((3, 3), 9, np.uint8)
    grid = Grid.from_spacing((3, 3), (1.0, 1.0))
    assert evaluate(LabelMap(said, grid, labels), LabelMap(drawn, grid, labels)).values["lesion"]["dice"] == 0.0


def test_what_one_side_ignores_may_be_a_label_of_the_other():
    grid = Grid.from_spacing((4, 4), (1.0, 1.0))
    array = np.zeros((4, 4), np.uint8)
    array[:2], array[2] = 1, 2
    both, shy = Labels.of({"a": 1, "b": 2}), Labels.of({"a": 1}, ignore=2)
    values = evaluate(LabelMap(array, grid, shy), LabelMap(array, grid, both)).values
    assert values["a"]["dice"] == 1.0
    assert values["b"]["sensitivity"] == 0.0
    values = evaluate(LabelMap(array, grid, both), LabelMap(array, grid, shy)).values
    assert list(values) == ["a"]
    assert values["a"]["accuracy"] == 1.0


def test_all_ignored_is_nan_but_for_volumes():
    labels = Labels.of({"lesion": 1}, ignore=9)
    grid = Grid.from_spacing((3, 3), (1.0, 1.0))
    drawn = LabelMap(np.full((3, 3), 9, np.uint8), grid, labels)
    values = evaluate(drawn, drawn).values["lesion"]
    assert all(math.isnan(values[name]) for name in ("dice", "accuracy", "hd95", "surface_dice"))
    assert values["area_reference_mm2"] == 0.0


def test_ignored_voxels_beyond_the_foreground_are_no_true_negatives():
    labels = Labels.of({"lesion": 1}, ignore=2)
    drawn, said = np.zeros((2, 10, 10), np.uint8)
    drawn[0, 0] = said[0, 0] = said[0, 1] = 1
    drawn[9] = 2
    grid = Grid.from_spacing((10, 10), (1.0, 1.0))
    values = evaluate(LabelMap(said, grid, labels), LabelMap(drawn, grid, labels)).values["lesion"]
    assert values["specificity"] == pytest.approx(88 / 89)


def test_large_and_unordered_values():
    labels = Labels.of({"b": 60_000, "a": 7}, regions={"both": (7, 60_000)})
    drawn, said = np.zeros((2, 5, 6), np.int64)
    drawn[1:4, 1:4], said[1:4, 1:5] = 60_000, 60_000
    drawn[0, 0], said[0, 0] = 7, 60_000
    grid = Grid.from_spacing((5, 6), (1.0, 1.0))
    values = evaluate(LabelMap(said, grid, labels), LabelMap(drawn, grid, labels)).values
    assert values["b"]["dice"] == pytest.approx(2 * 9 / (9 + 13))
    assert values["a"]["dice"] == 0.0
    assert values["both"]["dice"] == pytest.approx(2 * 10 / (10 + 13))


def test_labels_that_only_the_prediction_declares_are_scored():
    grid = Grid.from_spacing((4, 4), (1.0, 1.0))
    drawn = np.zeros((4, 4), np.uint8)
    drawn[0] = 1
    said = drawn.copy()
    said[3] = 2
    scores = evaluate(LabelMap(said, grid, Labels.of([1, 2])), LabelMap(drawn, grid, Labels.of({"organ": 1})))
    assert list(scores.values) == ["organ", "label 2"]
    assert scores.values["label 2"]["dice"] == 0.0


def test_one_name_for_two_values_is_an_error():
    grid = Grid.from_spacing((2, 2), (1.0, 1.0))
    said = LabelMap(np.ones((2, 2), np.uint8), grid, Labels.of({"liver": 1}))
    drawn = LabelMap(np.full((2, 2), 2, np.uint8), grid, Labels.of({"liver": 2}))
    with pytest.raises(DataError, match="'liver' stands for"):
        evaluate(said, drawn)


def test_grids_must_agree():
    prediction, reference = maps()
    moved = Grid.from_spacing(GRID.shape, GRID.spacing_mm, origin_mm=(0.0, 0.0, 0.5))
    with pytest.raises(GeometryError, match=r"0\.5 mm apart.*resample"):
        evaluate(LabelMap(prediction.array, moved, LABELS), reference)
    with pytest.raises(GeometryError, match="shapes"):
        evaluate(LabelMap(prediction.array[1:], GRID.crop((1, 0, 0), (11, 10, 8)), LABELS), reference)
    nearly = Grid.from_spacing(GRID.shape, GRID.spacing_mm, origin_mm=(0.0, 0.0, 1e-5))
    evaluate(LabelMap(prediction.array, nearly, LABELS), reference)


def test_unknown_metric_names_the_nearest():
    prediction, reference = maps()
    with pytest.raises(VesaliusError, match="did you mean 'hd95'"):
        evaluate(prediction, reference, metrics=("hd96",))


@pytest.mark.parametrize("tolerance", [-1.0, math.nan, math.inf])
def test_tolerance_must_be_sensible(tolerance):
    prediction, reference = maps()
    with pytest.raises(VesaliusError, match="tolerance_mm"):
        evaluate(prediction, reference, tolerance_mm=tolerance)


def test_metrics_that_have_no_meaning_in_2d():
    grid = Grid.from_spacing((4, 4), (0.5, 0.5))
    drawn = LabelMap(np.ones((4, 4), np.uint8), grid, Labels.of({"x": 1}))
    values = evaluate(drawn, drawn).values["x"]
    assert values["area_reference_mm2"] == 4.0
    assert "volume_reference_ml" not in values
    with pytest.raises(GeometryError, match="volume_reference_ml has no meaning on a 2D grid"):
        evaluate(drawn, drawn, metrics=("dice", "volume_reference_ml"))


def test_memory_order_does_not_matter(rng):
    drawn, said = (rng.random((2, *GRID.shape)) > 0.6).astype(np.uint8)
    labels = Labels.of({"x": 1})
    expected = evaluate(LabelMap(said, GRID, labels), LabelMap(drawn, GRID, labels)).values["x"]
    fortran = [np.asfortranarray(a) for a in (said, drawn)]
    for pair in (fortran, (said, fortran[1]), (fortran[0], drawn)):
        found = evaluate(*(LabelMap(a, GRID, labels) for a in pair)).values["x"]
        assert found == pytest.approx(expected, rel=1e-12)


def test_tolerance_reaches_the_surface_dice():
    prediction, reference = maps(prediction=[(1, np.s_[3:7, 2:6, 2:6])], reference=[(1, BLOCK)])
    tight = evaluate(prediction, reference, tolerance_mm=0.5)
    loose = evaluate(prediction, reference, tolerance_mm=1.0)
    assert tight.values["core"]["surface_dice"] < loose.values["core"]["surface_dice"] == 1.0
    assert tight.tolerance_mm == 0.5


def test_to_dict_is_json():
    scores = Scores("a", {"x": {"relative_volume_difference": math.nan, "dice": 0.25}}, tolerance_mm=2.0)
    text = json.dumps(scores.to_dict(), allow_nan=False)
    assert json.loads(text)["values"] == {"x": {"relative_volume_difference": None, "dice": 0.25}}


def rows_of_the_page():
    """The table of metrics as the reference page has it: the cells of each row."""
    page = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
    table = page.read_text(encoding="utf-8").partition("## The table")[2].partition("\n## ")[0]
    rows = [line.replace(r"\|", "") for line in table.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_reference_page_lists_every_metric():
    rows = [cells[0] for cells in rows_of_the_page()]
    assert re.findall(r"`(\w+)`", "".join(rows)) == list(METRICS)


@pytest.mark.parametrize(("column", "prediction", "reference"), [(3, 0, 0), (4, 1, 0), (5, 0, 1)])
def test_empty_masks_score_as_the_reference_page_says(column, prediction, reference):
    pytest.importorskip("skimage")
    pair = maps(
        prediction=[(1, BLOCK)] if prediction else (),
        reference=[(1, BLOCK)] if reference else (),
    )
    names = [name for name, metric in METRICS.items() if 3 in metric.dimensions]
    found = evaluate(*pair, metrics=names).values["core"]
    words = {"diagonal": math.sqrt(12**2 + 20**2 + 24**2), "NaN": math.nan}
    checked = 0
    for cells in rows_of_the_page():
        for name in set(re.findall(r"`(\w+)`", cells[0])) & set(found):
            if cells[column] not in ("as defined", "–"):
                said = cells[column].replace("−", "-")
                expected = words[said] if said in words else float(said)
                assert found[name] == pytest.approx(expected, nan_ok=True), name
                checked += 1
    assert checked >= 17


def test_metrics_that_are_asked_for_by_name():
    pytest.importorskip("skimage")
    line = np.s_[2:10, 4:5, 4:5]
    prediction, reference = maps(prediction=[(1, np.s_[2:8, 4:5, 4:5])], reference=[(1, line)])
    assert "cldice" not in evaluate(prediction, reference).values["core"]
    found = evaluate(prediction, reference, metrics=("cldice", "boundary_iou", "absolute_volume_difference_ml"))
    row = found.values["core"]
    assert row["cldice"] == pytest.approx(2 * 6 / (6 + 8))
    assert row["boundary_iou"] == pytest.approx(6 / 8)
    assert row["absolute_volume_difference_ml"] == pytest.approx(2 * 6 / 1000)
    whole = evaluate(prediction, reference, metrics=("boundary_iou",)).values["whole"]
    assert whole["boundary_iou"] == row["boundary_iou"]
