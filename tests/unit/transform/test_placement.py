"""Isotropic spacing and orientation as steps."""

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, Volume
from vesalius.transform import isotropic, orient


def ramp(spacing: tuple[float, ...], shape: tuple[int, ...]) -> Volume:
    """Each value is its place along the last axis, mm."""
    grid = Grid.from_spacing(shape, spacing)
    return Volume(np.broadcast_to(np.arange(shape[-1]) * spacing[-1], shape)[None], grid)


def test_the_finest_spacing_becomes_that_of_all_axes() -> None:
    made = isotropic(ramp((1.0, 2.0, 4.0), (8, 6, 5)))
    np.testing.assert_allclose(made.grid.spacing_mm, 1.0)
    assert made.grid.shape == (8, 12, 20)
    # Thick slices are interpolated, not repeated: in the middle, values are places.
    at = made.grid.to_points(np.stack(np.meshgrid(*map(np.arange, made.grid.shape), indexing="ij"), -1))[..., 2]
    np.testing.assert_allclose(made.array[0, :, :, 4:-4], at[:, :, 4:-4], atol=1e-5)


def test_a_spacing_of_ones_own() -> None:
    source = ramp((1.0, 1.0), (12, 12))
    made = isotropic(source, spacing_mm=3.0)
    assert made.grid.shape == (4, 4)
    plain = isotropic(Volume((source.array * 7) % 5, source.grid), spacing_mm=3.0, antialias=False).array
    assert plain.std() > isotropic(Volume((source.array * 7) % 5, source.grid), spacing_mm=3.0).array.std()


def test_nearest_keeps_the_type() -> None:
    source = Volume(np.arange(8, dtype=np.int16).reshape(1, 2, 4), Grid.from_spacing((2, 4), (2.0, 1.0)))
    made = isotropic(source, interpolation="nearest")
    assert made.array.dtype == np.int16
    assert made.array[0].tolist() == [[0, 1, 2, 3]] * 2 + [[4, 5, 6, 7]] * 2


def test_what_cannot_be() -> None:
    with pytest.raises(DataError, match="spacing_mm"):
        isotropic(ramp((1.0, 1.0), (4, 4)), spacing_mm=0.0)
    with pytest.raises(GeometryError, match="codes"):
        orient(ramp((1.0, 1.0, 1.0), (4, 4, 4)), codes="XYZ")


def test_orientation() -> None:
    made = orient(ramp((1.0, 2.0, 3.0), (2, 3, 4)), codes="IRA")
    assert made.grid.axis_codes == "IRA"
    assert made.grid.shape == (4, 2, 3)
    assert made.array[0, :, 0, 0].tolist() == [9, 6, 3, 0]
