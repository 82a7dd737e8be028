"""What the tests of inference share."""

from dataclasses import replace

import pytest
import torch
from phantoms import ball_case, ball_dataset, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.image import Volume


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    made = untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16))
    return replace(made, plan=replace(made.plan, mirror_axes=()))  # eight times as fast


@pytest.fixture(scope="session")
def image() -> Volume:
    return ball_case(1, shape=(20, 18, 16)).image


@pytest.fixture
def single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers on every processor."""
    monkeypatch.setattr("vesalius.predict.backends.eager.fast_dtype", lambda _device: torch.float32)
