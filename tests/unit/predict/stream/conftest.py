"""What the tests of streaming share: a small 2D segmenter."""

from __future__ import annotations

from dataclasses import replace

import pytest
from films import FakeClock
from phantoms import ball_dataset, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.predict import Segmenter, load_segmenter


@pytest.fixture(scope="session")
def flat() -> Bundle:
    """An untrained 2D bundle for one channel, without mirroring."""
    made = untrained_bundle(ball_dataset(2, shape=(20, 24)), patch_size=(16, 16))
    return replace(made, plan=replace(made.plan, mirror_axes=()))


@pytest.fixture(scope="session")
def segmenter(flat: Bundle) -> Segmenter:
    return load_segmenter(flat, device="cpu", backend="torch-float32")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
