"""Fixtures and settings that every kind of test uses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from jaxtyping import install_import_hook

if TYPE_CHECKING:
    from dicoms import Maker
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"

# Shapes in annotations are checked here and nowhere else: users do not pay for it.
install_import_hook(
    ["vesalius.nets", "vesalius.augment", "vesalius.predict", "vesalius.train"], typechecker="shapes.checked"
)
pytest_plugins = ["leaks"]  # no name, identifier or date of a patient in what the suite prints, logs and reports
collect_ignore = ["fixtures"]  # what made them needs packages that the tests do not
os.environ["MPLBACKEND"] = "agg"  # there may be no screen


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip("the real data sets of ../shared/data are not here")
    return SHARED


@pytest.fixture
def dicom(tmp_path: Path) -> Maker:
    """A maker of DICOM files below a temporary folder."""
    from dicoms import Maker

    return Maker(tmp_path)


@pytest.fixture
def ramp() -> NDArray[np.int16]:
    """Five slices of 4 x 6, every voxel different: ``(k, rows, columns)``."""
    return np.arange(5 * 4 * 6, dtype=np.int16).reshape(5, 4, 6)


@pytest.fixture
def rng() -> np.random.Generator:
    """A random generator with a fixed seed."""
    return np.random.default_rng(20261122)
