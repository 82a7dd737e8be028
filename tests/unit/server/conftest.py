"""What the tests of the node share: a store, and a small CT series to put into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from dicoms import Maker
from dicomweb_client.api import DICOMwebClient
from guards import Kept, Keys, make_keys, serving
from hospital import write_ct
from numpy.typing import NDArray
from pydicom.uid import MultiFrameGrayscaleByteSecondaryCaptureImageStorage

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


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Roles, tokens and an audit chain."""
    return make_keys(tmp_path / "keys")


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    """Makes DICOM objects."""
    return Maker(tmp_path / "made")


@pytest.fixture
def url(store: Store, keys: Keys) -> Iterator[str]:
    """A DICOMweb server on the store."""
    with serving(store, keys.guard) as made:
        yield made


@pytest.fixture
def client(url: str, keys: Keys) -> DICOMwebClient:
    """An independent client of it."""
    return DICOMwebClient(url, headers={"Authorization": f"Bearer {keys.reader}"})


@pytest.fixture
def five(store: Store, make: Maker) -> tuple[Kept, NDArray[np.uint16]]:
    """Five frames of 16 bits, not compressed."""
    pixels = np.random.default_rng(5).integers(0, 4096, (5, 6, 8)).astype(np.uint16)
    made = make.image(pixels, storage=MultiFrameGrayscaleByteSecondaryCaptureImageStorage)
    return Kept(store, make.write(made, "five.dcm")), pixels
