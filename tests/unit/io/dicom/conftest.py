"""What must not be told of DICOM objects."""

import pytest
from dicoms import SECRETS


@pytest.fixture
def secrets() -> tuple[str, ...]:
    """What no message may hold."""
    return SECRETS
