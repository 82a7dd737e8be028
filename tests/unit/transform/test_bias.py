"""N4: a known field goes, the image stays."""

import sys

import numpy as np
import pytest

from vesalius.errors import DataError, MissingDependencyError, VesaliusError
from vesalius.image import Grid, Meta, Volume
from vesalius.transform import n4

sitk = pytest.importorskip("SimpleITK")


def head(shape: tuple[int, ...], spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Two tissues in an ellipse, and a field that varies by a factor of two over it."""
    axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    radius = np.sqrt(sum(a**2 for a in axes))
    tissue = np.select([radius < 0.45, radius < 0.8], [60.0, 100.0], 0.0)
    return tissue, np.exp(0.35 * axes[0] - 0.2 * axes[1] ** 2)


@pytest.mark.parametrize(("shape", "spacing"), [((48, 40), (1.0, 1.2)), ((32, 36, 12), (1.0, 1.0, 3.0))])
def test_a_known_field_goes(rng: np.random.Generator, shape: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    tissue, field = head(shape, spacing)
    shaded = tissue * field * (1 + 0.01 * rng.normal(size=shape))
    made = n4(Volume(shaded[None], Grid.from_spacing(shape, spacing)), shrink=2).array[0]
    for value in (60.0, 100.0):
        inside = tissue == value
        before = shaded[inside].std() / shaded[inside].mean()
        assert made[inside].std() / made[inside].mean() < 0.4 * before
    assert made.dtype == np.float32


def test_channels_are_corrected_alone_and_the_same_twice(rng: np.random.Generator) -> None:
    tissue, field = head((32, 32), (1.0, 1.0))
    shaded = np.stack([tissue * field, (tissue * field[::-1]) + 5])
    grid = Grid.from_spacing((32, 32), (1.0, 1.0))
    made = n4(Volume(shaded, grid), shrink=1).array
    np.testing.assert_array_equal(n4(Volume(shaded, grid), shrink=1).array, made)
    np.testing.assert_array_equal(n4(Volume(shaded[1:], grid), shrink=1).array[0], made[1])


def test_a_single_slice_is_a_picture(rng: np.random.Generator) -> None:
    tissue, field = head((32, 36), (1.0, 2.0))
    shaded = tissue * field
    flat = n4(Volume(shaded[None], Grid.from_spacing((32, 36), (1.0, 2.0)))).array
    for axis, spacing in ((1, (5.0, 1.0, 2.0)), (2, (1.0, 5.0, 2.0)), (3, (1.0, 2.0, 5.0))):
        thin = np.expand_dims(shaded[None], axis)
        made = n4(Volume(thin, Grid.from_spacing(thin.shape[1:], spacing))).array
        np.testing.assert_allclose(made, np.expand_dims(flat, axis), rtol=1e-6)
    with pytest.raises(DataError, match="two axes"):
        n4(Volume(rng.random((1, 1, 9)), Grid.from_spacing((1, 9), (1.0, 1.0))))


@pytest.mark.parametrize("mask", ["otsu", "nonzero"])
@pytest.mark.parametrize("value", [0, 7])
def test_a_flat_image_has_no_field(mask: str, value: int) -> None:
    made = n4(Volume(np.full((1, 16, 16), value, np.int16), Grid.from_spacing((16, 16), (1.0, 1.0))), mask=mask)
    np.testing.assert_array_equal(made.array, value)


def test_what_n4_cannot_do() -> None:
    grid = Grid.from_spacing((8, 8), (1.0, 1.0))
    ct = Volume(np.full((1, 8, 8), -1000), grid)
    with pytest.raises(DataError, match="is it an MR"):
        n4(ct)
    with pytest.raises(DataError, match="is it an MR"):
        n4(Volume(np.ones((1, 8, 8)), grid, Meta("CT", "HU")))
    mr = Volume(np.ones((1, 8, 8)), grid)
    with pytest.raises(VesaliusError, match="did you mean 'otsu'"):
        n4(mr, mask="otzu")  # type: ignore[arg-type]
    for settings in ({"shrink": 0}, {"iterations": ()}, {"iterations": (0,)}, {"tolerance": 0.0}, {"width": 0.0}):
        with pytest.raises(DataError):
            n4(mr, **settings)


def test_without_simpleitk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(MissingDependencyError, match=r"vesalius\[classical\]"):
        n4(Volume(np.ones((1, 8, 8)), Grid.from_spacing((8, 8), (1.0, 1.0))))
