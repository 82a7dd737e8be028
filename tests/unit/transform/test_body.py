"""Masks of body and brain: phantoms whose answer is known, and what cannot be found."""

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.image import Grid, Volume
from vesalius.transform import body, body_mask, brain, brain_mask, reorient


def torso() -> tuple[np.ndarray, np.ndarray]:
    """A trunk with lungs that reach both ends, a table below it, air around; and where the trunk is."""
    x, y, _ = np.meshgrid(np.arange(60) - 30, np.arange(50) - 20, np.arange(12), indexing="ij")
    trunk = (x / 22) ** 2 + (y / 15) ** 2 < 1
    array = np.where(trunk, 40, -1000).astype(np.int16)
    for side in (-9, 9):
        array[((x - side) / 6) ** 2 + (y / 8) ** 2 < 1] = -850
    array[5:55, 40:42] = 300  # table
    array[28:32, 34:40] = -300  # what it stands on, touching the back
    return array, trunk


def test_body_with_its_lungs_and_without_the_table() -> None:
    array, trunk = torso()
    volume = Volume(array[None], Grid.from_spacing(array.shape, (2.0, 2.0, 5.0)))
    found = body_mask(volume)
    assert found.labels.names == ("body",)
    assert (found.array[trunk] == 1).mean() > 0.995
    assert found.array[~trunk].mean() < 0.01
    assert not found.array[:, 40:42].any()
    turned = reorient(volume, "SAR")
    np.testing.assert_array_equal(reorient(body_mask(turned), "LPS").array, found.array)


def test_outside_is_blanked() -> None:
    array, trunk = torso()
    volume = Volume(array[None], Grid.from_spacing(array.shape, (2.0, 2.0, 5.0)))
    made = body(volume)
    assert made.array.dtype == np.int16
    assert (made.array[0, 5:25, 40:42] == -1000).all()
    assert (made.array[0][trunk] == array[trunk]).mean() > 0.995
    assert body(volume, outside="zero").array[0, 0, 0, 0] == 0
    with pytest.raises(DataError, match="'least' or 'zero'"):
        body(volume, outside="none")  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(9, 9), (9, 9, 5)])
def test_no_body_and_nothing_but_body(shape: tuple[int, ...]) -> None:
    grid = Grid.from_spacing(shape, (1.0,) * len(shape))
    assert not body_mask(Volume(np.full((1, *shape), -1000), grid)).array.any()
    assert body_mask(Volume(np.full((1, *shape), 40), grid)).array.all()


def test_a_body_thinner_than_the_opening() -> None:
    array = np.full((1, 20, 20), -1000)
    array[0, 9:11, 2:18] = 40
    found = body_mask(Volume(array, Grid.from_spacing((20, 20), (1.0, 1.0))))
    assert found.array.sum() == 32


def head(scalp: float, *, shape: tuple[int, int, int] = (64, 72, 40)) -> tuple[np.ndarray, np.ndarray]:
    """Grey and white matter, ventricles, fluid, skull, scalp, a bridge to the neck; and where the brain is."""
    spacing = (3.0, 3.0, 4.0)
    axes = np.meshgrid(*((np.arange(n) - n / 2) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    r = np.sqrt((axes[0] / 0.9) ** 2 + axes[1] ** 2 + (axes[2] / 0.95) ** 2)
    layers = [r < 14, r < 45, r < 60, r < 63, r < 69, r < 77]
    array = np.select(layers, [20.0, 110.0, 80.0, 25.0, 6.0, scalp], 0.0)
    stem = (np.hypot(axes[0], axes[1]) < 10) & (axes[2] < -50)
    array[stem] = 90
    return array, (r < 60) & ~stem


@pytest.mark.parametrize("scalp", [90.0, 180.0, 500.0])
def test_brain_whatever_the_scalp_is_like(rng: np.random.Generator, scalp: float) -> None:
    array, truth = head(scalp)
    noisy = np.abs(array + rng.normal(0, 4, array.shape))
    found = brain_mask(Volume(noisy[None], Grid.from_spacing(array.shape, (3.0, 3.0, 4.0)))).array
    dice = 2 * (found[truth] == 1).sum() / (found.sum() + truth.sum())
    assert dice > 0.95
    assert (found[array == scalp] == 1).mean() < 0.04  # where the stem leaves the skull


def test_outside_of_the_brain_is_blanked() -> None:
    array, truth = head(180.0)
    made = brain(Volume(array[None].astype(np.int16), Grid.from_spacing(array.shape, (3.0, 3.0, 4.0))))
    assert made.array.dtype == np.int16
    assert (made.array[0][array == 180] > 0).mean() < 0.03
    assert (made.array[0][truth] == array[truth]).mean() > 0.97


def test_where_there_is_no_brain() -> None:
    grid = Grid.from_spacing((6, 6, 6), (1.0, 1.0, 1.0))
    assert not brain_mask(Volume(np.full((1, 6, 6, 6), 7), grid)).array.any()
    assert not brain_mask(Volume(np.zeros((1, 6, 6, 6)), grid)).array.any()
    speck = np.zeros((1, 6, 6, 6))
    speck[0, 3, 3, 3] = 9
    assert brain_mask(Volume(speck, grid)).array.sum() <= 1
    with pytest.raises(DataError, match="3D"):
        brain_mask(Volume(np.zeros((1, 4, 4)), Grid.from_spacing((4, 4), (1.0, 1.0))))
    for settings in ({"erosion_mm": 0.0}, {"closing_mm": -1.0}):
        with pytest.raises(DataError, match="mm must be"):
            brain_mask(Volume(speck, grid), **settings)
    for mask in (brain_mask, body_mask):
        with pytest.raises(DataError, match="choose one with grey"):
            mask(Volume(np.zeros((2, 6, 6, 6)), grid))
    with pytest.raises(DataError, match="opening_mm"):
        body_mask(Volume(speck, grid), opening_mm=-1.0)
