"""What the tests of the node share: a store, and a small CT series to put into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hospital import write_ct

from vesalius.image import Grid
from vesalius.server.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store."""
    with closing(Store(tmp_path / "store")) as made:
        yield made


@pytest.fixture
def ct(tmp_path: Path) -> list[Path]:
    """The files of a CT series of five slices, with a dense block in it."""
    grid = Grid.from_spacing((12, 10, 5), (0.8, 1.1, 2.5), origin_mm=(-4.0, 7.0, -30.0))
    hu = np.full(grid.shape, -900.0)
    hu[3:8, 2:7, 1:4] = 60.0
    return sorted(write_ct(tmp_path / "ct", grid, hu).rglob("*.dcm"))
