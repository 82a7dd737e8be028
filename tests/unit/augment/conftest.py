"""Fixtures of the augmentation tests."""

import jaxtyping
import pytest


@pytest.fixture
def without_shape_checks(monkeypatch):
    """Call as a user does, without the checks of annotations, to see our own errors."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
