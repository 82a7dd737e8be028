"""What the tests of bundles share."""

import shutil
from pathlib import Path

import pytest

from vesalius.bundle import built_in

DESCRIPTION = Path(__file__).parents[2] / "fixtures" / "bundles" / "version-1.json"


@pytest.fixture
def of_version_1(tmp_path: Path) -> Path:
    """The built-in hippocampus as it first was; its weights have stayed the same."""
    place = tmp_path / "old"
    shutil.copytree(built_in()["hippocampus"], place)
    shutil.copyfile(DESCRIPTION, place / "bundle.json")
    return place
