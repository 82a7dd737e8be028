"""DICOM objects made on the spot, and what must not be told of them."""

from pathlib import Path

import numpy as np
import pytest
from dicoms import SECRETS, Maker
from numpy.typing import NDArray


@pytest.fixture
def dicom(tmp_path: Path) -> Maker:
    """A maker of DICOM files below a temporary folder."""
    return Maker(tmp_path)


@pytest.fixture
def ramp() -> NDArray[np.int16]:
    """Five slices of 4 x 6, every voxel different: ``(k, rows, columns)``."""
    return np.arange(5 * 4 * 6, dtype=np.int16).reshape(5, 4, 6)


@pytest.fixture
def secrets() -> tuple[str, ...]:
    """What no message may hold."""
    return SECRETS
