"""What is in one thick slice alone is never lost when shapes are interpolated between slices."""

import numpy as np
import pytest

from vesalius.image import Grid, LabelMap, Labels
from vesalius.mesh import check, extract


@pytest.mark.parametrize("gap", [2.0, 3.0, 4.0, 5.0])
def test_a_voxel_in_thick_slices(gap):
    array = np.zeros((9, 8, 7), np.uint8)
    array[4, 4, 3] = 1
    lone = extract(LabelMap(array, Grid.from_spacing(array.shape, (1, 1, gap)), Labels.of([1]))).of("label 1")
    assert 1 / gap - 1e-9 <= lone.volume_ml * 1000 / gap <= 1 + 1e-9
    assert check(lone).is_sound
    assert lone.vertices[:, 2].mean() == pytest.approx(3 * gap)


@pytest.mark.parametrize("gap", [2.0, 4.0])
def test_small_lesions_of_an_organ_in_one_slice(gap):
    """One voxel and a cross, in a slice of which the organ is the whole, and once where it is not."""
    array = np.zeros((24, 24, 5), np.uint8)
    array[3:21, 3:21, 1:4] = 1
    array[6, 6, 2] = array[12, 11:14, 2] = array[11:14, 12, 2] = array[22, 22, 2] = 2
    found = extract(LabelMap(array, Grid.from_spacing(array.shape, (1, 1, gap)), Labels.of([1, 2])))
    assert found.of("label 2").pieces == 3
    assert check(found.of("label 2")).is_sound
