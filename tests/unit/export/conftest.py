"""Small bundles to export."""

import pytest
from phantoms import ball_dataset, drawn_bundle, untrained_bundle

from vesalius.bundle import Bundle


@pytest.fixture(scope="session")
def solid() -> Bundle:
    """A 3D U-Net for windows of 8 x 16 x 8."""
    return untrained_bundle(ball_dataset(2), patch_size=(8, 16, 8))


@pytest.fixture(scope="session")
def flat() -> Bundle:
    """A 2D U-Net for windows of 16 x 16, of two networks."""
    one = untrained_bundle(ball_dataset(2, shape=(32, 24)), patch_size=(16, 16))
    return drawn_bundle(one.plan, members=2)
