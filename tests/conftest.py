"""Fixtures and settings that every kind of test uses."""

import os
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import install_import_hook

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
def rng() -> np.random.Generator:
    """A random generator with a fixed seed."""
    return np.random.default_rng(20261122)
