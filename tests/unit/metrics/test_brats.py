"""BraTS' scores of three nested regions, worked out by hand on cubes."""

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.metrics.brats import REGIONS, brats_scores

LABELS = Labels.of(
    {"necrotic core": 1, "oedema": 2, "enhancing tumour": 4}, regions={"whole tumour": (1, 2, 4), "tumour core": (1, 4)}
)
GRID = Grid.from_spacing((48, 16, 16), (1.0, 1.0, 1.0))


def tumour(start: int, *, enhancing: bool = True) -> np.ndarray:
    """12 × 12 × 12 of oedema, in it 8³ of core, in it 4 × 8 × 8 that enhance."""
    array = np.zeros(GRID.shape, np.uint8)
    array[start : start + 12, 2:14, 2:14] = 2
    array[start + 2 : start + 10, 4:12, 4:12] = 1
    if enhancing:
        array[start + 2 : start + 6, 4:12, 4:12] = 4
    return array


def scored(said: np.ndarray, drawn: np.ndarray):
    return brats_scores(LabelMap(said, GRID, LABELS), LabelMap(drawn, GRID, LABELS), case="a").values


def test_each_region_is_scored_by_itself() -> None:
    """The core is drawn as oedema: the whole is right, core and enhancing tumour are missed altogether."""
    drawn = tumour(2)
    values = scored(np.where(drawn > 0, 2, 0).astype(np.uint8), drawn)
    assert tuple(values) == REGIONS
    assert (values["whole tumour"]["dice"], values["whole tumour"]["hd95"]) == (1, 0)
    assert (values["tumour core"]["dice"], values["tumour core"]["hd95"]) == (0, 374)
    assert values["enhancing tumour"]["volume_reference_ml"] == pytest.approx(4 * 8 * 8 / 1000)


def test_nothing_drawn_and_nothing_said_is_right() -> None:
    drawn = tumour(2, enhancing=False)
    values = scored(drawn, drawn)["enhancing tumour"]
    assert [values[name] for name in ("dice", "hd95", "lesion_dice", "lesion_hd95")] == [1, 0, 1, 0]
    made_up = scored(tumour(2), drawn)["enhancing tumour"]
    assert [made_up[name] for name in ("dice", "hd95", "lesion_dice", "lesion_hd95")] == [0, 374, 0, 374]


def test_whole_image_and_lesion_by_lesion() -> None:
    """Two equal tumours, one found: Dice of the image is 2/3, of the lesions (1 + 0) / 2; HD95 (0 + 374) / 2."""
    both = np.maximum(tumour(2), tumour(30))
    values = scored(tumour(2), both)
    for region in REGIONS:
        assert values[region]["dice"] == pytest.approx(2 / 3)
        assert values[region]["lesion_dice"] == pytest.approx(1 / 2)
        assert values[region]["lesion_hd95"] == pytest.approx(374 / 2)
        assert values[region]["sensitivity"] == pytest.approx(1 / 2)
        assert values[region]["specificity"] == 1


def test_a_piece_apart_costs_lesion_by_lesion_only() -> None:
    """A made-up cube of 3³ far away: (1 + 0) / 2 for the lesions, 2 · 1728 / (2 · 1728 + 27) for the image."""
    said = tumour(2)
    said[40:43, 6:9, 6:9] = 2
    values = scored(said, tumour(2))["whole tumour"]
    assert values["dice"] == pytest.approx(3456 / 3483)
    assert values["lesion_dice"] == pytest.approx(1 / 2)
    assert scored(said, tumour(2))["tumour core"]["lesion_dice"] == 1


def test_values_must_mean_the_same() -> None:
    other = Labels.of({"necrotic core": 1, "oedema": 2, "enhancing tumour": 3})
    said = LabelMap(np.zeros(GRID.shape, np.uint8), GRID, other)
    with pytest.raises(DataError):
        brats_scores(said, LabelMap(tumour(2), GRID, LABELS))
