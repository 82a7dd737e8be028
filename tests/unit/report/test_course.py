import math

import numpy as np
import pytest
from PIL import Image

from vesalius.errors import DataError
from vesalius.report import curves
from vesalius.report.course import _smoothed


def history(count):
    return [
        {
            "step": 10 * i,
            "time_s": 6.0 * i,
            "loss": 1 / (i + 1),
            "learning_rate": 1.0,
            "validation_dice": 0.1 * i if i % 2 else math.nan,
        }
        for i in range(count)
    ]


def test_picture_is_written(tmp_path):
    picture = curves(history(9), tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as stored:
        np.testing.assert_array_equal(np.asarray(stored), picture)


def test_more_history_is_more_ink(tmp_path):
    empty = curves([], tmp_path / "a.png")
    some = curves(history(9), tmp_path / "b.png")
    blue = [((p[..., 2].astype(int) - p[..., 0]) > 40).sum() for p in (empty, some)]
    assert blue[0] == 0 < blue[1]


def test_what_was_not_measured_is_left_out(tmp_path):
    rows = [row | {"loss": math.nan, "validation_dice": math.nan} for row in history(4)]
    assert curves(rows, tmp_path / "a.png").shape == (520, 860, 3)
    assert curves([row | {"loss": math.inf} for row in history(4)], tmp_path / "b.png").size


def test_smoothing_is_an_unbiased_moving_average():
    np.testing.assert_allclose(_smoothed(np.full(5, 3.0), 0.9), 3.0)
    np.testing.assert_allclose(_smoothed(np.array([1.0, 2.0]), 0.5), [1.0, (0.25 * 1 + 0.5 * 2) / 0.75])
    np.testing.assert_allclose(_smoothed(np.array([1.0, 5.0, 2.0]), 0.0), [1.0, 5.0, 2.0])


def test_bad_arguments(tmp_path):
    with pytest.raises(DataError, match="smoothing"):
        curves(history(3), tmp_path / "a.png", smoothing=1.0)
    with pytest.raises(DataError, match="lacks loss"):
        curves([{k: v for k, v in history(2)[1].items() if k != "loss"}], tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []
