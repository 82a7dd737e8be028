"""Anisotropic diffusion: the heat equation where there is no edge, nothing over an edge, nothing out of the image."""

import numpy as np
import pytest

from vesalius.errors import DataError, VesaliusError
from vesalius.image import Grid, Volume
from vesalius.transform import anisotropic_diffusion


def volume(array: np.ndarray, spacing: tuple[float, ...]) -> Volume:
    return Volume(array, Grid.from_spacing(array.shape[1:], spacing))


@pytest.mark.parametrize("conduction", ["exponential", "quadratic"])
def test_without_edges_a_point_spreads_like_a_gaussian_in_mm(conduction: str) -> None:
    array = np.zeros((1, 41, 31, 25))
    array[0, 20, 15, 12] = 1
    spacing, step = (0.8, 1.0, 2.0), 0.15
    made = anisotropic_diffusion(
        volume(array, spacing), iterations=20, contrast=1e6, step_mm2=step, conduction=conduction
    ).array[0]
    assert made.sum() == pytest.approx(1, abs=1e-4)
    for axis, mm in enumerate(spacing):
        at = (np.arange(made.shape[axis]) - made.shape[axis] // 2) * mm
        across = tuple(a for a in range(3) if a != axis)
        assert (made.sum(axis=across) * at**2).sum() == pytest.approx(2 * 20 * step, rel=1e-3)


def test_one_step_on_paper() -> None:
    # Values 0, 4 in voxels 2 mm apart: gradient 2 per mm, edge 3 by 2 mm; flux 2 exp(-(2/1.5)²) per mm.
    made = anisotropic_diffusion(
        volume(np.array([[[0.0, 4.0]]]), (2.0, 2.0)), iterations=1, contrast=3.0, step_mm2=0.5
    ).array[0, 0]
    moved = 0.5 * 2 * np.exp(-((2 / 1.5) ** 2)) / 2
    np.testing.assert_allclose(made, [moved, 4 - moved], rtol=1e-5)


def test_the_mean_stays(rng: np.random.Generator) -> None:
    array = rng.normal(100, 30, (1, 12, 13))
    made = anisotropic_diffusion(volume(array, (1.0, 3.0)), iterations=30).array
    assert made.mean() == pytest.approx(array.mean(), rel=1e-6)
    assert made.std() < array.std()


def test_no_iteration_changes_nothing() -> None:
    array = np.arange(6, dtype=np.int16).reshape(1, 2, 3)
    made = anisotropic_diffusion(volume(array, (1.0, 1.0)), iterations=0).array
    assert made.tolist() == array.tolist()


def test_a_step_that_would_not_be_stable() -> None:
    with pytest.raises(DataError, match=r"at most 0\.25"):
        anisotropic_diffusion(volume(np.zeros((1, 3, 3)), (1.0, 1.0)), step_mm2=0.3)


def test_a_conduction_that_does_not_exist() -> None:
    with pytest.raises(VesaliusError, match="did you mean 'quadratic'"):
        anisotropic_diffusion(volume(np.zeros((1, 3, 3)), (1.0, 1.0)), conduction="quadratik")  # type: ignore[arg-type]
