import sys

import numpy as np
import pytest

from vesalius.errors import MissingDependencyError
from vesalius.metrics.centreline import cldice


def test_width_does_not_matter():
    pytest.importorskip("skimage")
    thin, thick = np.zeros((2, 11, 40), bool)
    thin[5, 2:38], thick[4:7, 2:38] = True, True
    assert cldice(thin, thick) > 0.95  # Dice is 0.5; the skeleton's ends fork


def test_a_gap_and_a_stray_line_on_paper():
    pytest.importorskip("skimage")
    # Lines one voxel wide are their own skeletons: 30 of the reference's 40 voxels are met, and 30 of 35 predicted.
    reference, prediction = np.zeros((2, 9, 44), bool)
    reference[4, 2:42] = True
    prediction[4, 2:32], prediction[7, 10:15] = True, True
    assert cldice(reference, prediction) == pytest.approx(2 * 30 / (40 + 35))


def test_empty_and_apart():
    pytest.importorskip("skimage")
    line, other, empty = np.zeros((3, 7, 7, 7), bool)
    line[3, 3, 1:6], other[1, 1, 1:6] = True, True
    assert cldice(empty, empty) == 1.0
    assert cldice(line, empty) == cldice(empty, line) == cldice(line, other) == 0.0


def test_a_cube_that_thinning_leaves_nothing_of():
    pytest.importorskip("skimage")
    cube = np.zeros((6, 6, 6), bool)
    cube[1:5, 1:5, 1:5] = True
    assert cldice(cube, cube) == 1.0


def test_scikit_image_is_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.morphology", None)
    line = np.zeros((3, 5), bool)
    line[1, 1:4] = True
    with pytest.raises(MissingDependencyError, match=r"vesalius\[classical\]"):
        cldice(line, line)
