"""What the attack cases share."""

from pathlib import Path

import numpy as np
import pytest
from dicoms import Maker
from numpy.typing import NDArray


@pytest.fixture
def dicom(tmp_path: Path) -> Maker:
    """A maker of DICOM files below a temporary folder."""
    return Maker(tmp_path)


@pytest.fixture
def ramp() -> NDArray[np.int16]:
    """Five slices of 4 x 6, every voxel different: ``(k, rows, columns)``."""
    return np.arange(5 * 4 * 6, dtype=np.int16).reshape(5, 4, 6)
