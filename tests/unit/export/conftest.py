"""Small bundles to export."""

import math

import pytest
from phantoms import ball_dataset, drawn_bundle, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.export.parity import TOLERANCES, Tolerance


@pytest.fixture(scope="session")
def solid() -> Bundle:
    """A 3D U-Net for windows of 8 x 16 x 8."""
    return untrained_bundle(ball_dataset(2), patch_size=(8, 16, 8))


@pytest.fixture(scope="session")
def flat() -> Bundle:
    """A 2D U-Net for windows of 16 x 16, of two networks."""
    one = untrained_bundle(ball_dataset(2, shape=(32, 24)), patch_size=(16, 16))
    return drawn_bundle(one.plan, members=2)


@pytest.fixture
def undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn weights decide by a hair everywhere: fewer bits change more labels than in earnest."""
    monkeypatch.setitem(TOLERANCES, "fp16", Tolerance(2e-2, 0.99))
    monkeypatch.setitem(TOLERANCES, "int8", Tolerance(math.inf, 0.8))
