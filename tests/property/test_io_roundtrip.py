"""Whatever is written comes back: values, type, shape and place; and damaged files end in an error of the tree."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vesalius.errors import VesaliusError
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import read, read_labels, write

VOLUMES = [".nii", ".nii.gz", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd", ".npz"]
PICTURES = [".png", ".bmp", ".npy", ".tif"]
# NIfTI-1 keeps the affine in single precision, the others in double; MetaImage apart in direction and spacing.
TOLERANCE_MM = {".nii": 1e-4, ".nii.gz": 1e-4, ".hdr": 1e-4, ".mha": 1e-9, ".mhd": 1e-9}
DTYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]

finite = st.floats(-300, 300).map(lambda x: round(x, 3))


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    """Any rotation, reflection, spacing, mild shear and origin; 2D and 3D."""
    n = draw(st.sampled_from([2, 3]))
    shape = draw(st.tuples(*[st.integers(1, 6)] * n))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.standard_normal((n, n)))
    spacing = draw(st.tuples(*[st.floats(0.01, 20)] * n))
    shear = np.eye(n) + np.triu(rng.uniform(-0.5, 0.5, (n, n)), 1) * draw(st.sampled_from([0.0, 1.0]))
    affine = np.eye(n + 1)
    affine[:n, :n] = turn @ shear * spacing
    affine[:n, n] = draw(st.tuples(*[finite] * n))
    return Grid(shape, affine)


@st.composite
def volumes(draw: st.DrawFn) -> Volume:
    """Every type and memory order, one to four channels."""
    grid = draw(grids())
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    shape = (draw(st.integers(1, 4)), *grid.shape)
    limits = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
    array = draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype, **limits)))
    return Volume(np.asarray(array, order=draw(st.sampled_from("CF"))), grid)


@pytest.mark.parametrize("suffix", VOLUMES)
@settings(deadline=None, max_examples=40)
@given(volume=volumes())
def test_volumes_come_back(suffix: str, volume: Volume) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        write(volume, path)
        found = read(path)
        assert found.array.dtype == volume.array.dtype
        assert found.array.shape == volume.array.shape
        assert np.array_equal(found.array, volume.array)
        if suffix in TOLERANCE_MM:
            assert found.grid.corner_distance_mm(volume.grid) < TOLERANCE_MM[suffix]
        else:
            assert found.grid == volume.grid
        assert {made.suffix for made in Path(folder).iterdir()} <= {Path(path).suffix, ".raw", ".hdr", ".img"}


@pytest.mark.parametrize("suffix", VOLUMES)
@settings(deadline=None, max_examples=25)
@given(grid=grids(), data=st.data())
def test_label_maps_come_back(suffix: str, grid: Grid, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(1, 65_535), min_size=1, max_size=5, unique=True))
    array = data.draw(hnp.arrays(np.int64, grid.shape, elements=st.sampled_from([0, *values])))
    labels = Labels.of({f"name {value}": value for value in values})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{suffix}"
        write(LabelMap(array, grid, labels), path)
        found = read_labels(path, labels)
        assert np.array_equal(found.array, array)
        assert found.array.dtype == (np.uint8 if array.max() < 256 else np.uint16)


@pytest.mark.parametrize("suffix", PICTURES)
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_pictures_come_back(suffix: str, data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
    channels = 1 if suffix == ".npy" else data.draw(st.sampled_from([1, 3]))
    dtype = "u2" if suffix != ".bmp" and channels == 1 and data.draw(st.booleans()) else "u1"
    array = data.draw(hnp.arrays(np.dtype(dtype), (channels, *shape)))
    image = Volume(array, Grid(shape, np.eye(3)), Meta("RGB" if channels == 3 else "OT", calibrated=False))
    with tempfile.TemporaryDirectory() as folder:
        write(image, Path(folder) / f"a{suffix}")
        found = read(Path(folder) / f"a{suffix}")
        assert np.array_equal(found.array, array)
        assert found.array.dtype == array.dtype
        assert found.grid == image.grid
        assert (found.meta.modality, found.meta.calibrated) == (image.meta.modality, False)


def sound_file(folder: Path, suffix: str) -> Path:
    rng = np.random.default_rng(1)
    path = folder / f"a{suffix}"
    if suffix in (".png", ".jpg", ".bmp"):
        image = Volume(rng.integers(0, 256, (3, 16, 17)).astype(np.uint8), Grid((16, 17), np.eye(3)))
    elif suffix in (".tif", ".npy"):
        image = Volume(rng.integers(0, 256, (1, 6, 7, 3)).astype(np.uint16), Grid((6, 7, 3), np.eye(4)))
    else:
        write(LabelMap(rng.integers(0, 3, (6, 7, 3)), Grid((6, 7, 3), np.eye(4)), Labels.of({"a": 1, "b": 2})), path)
        return path
    write(image, path)
    return path


@pytest.mark.parametrize("suffix", [*VOLUMES, ".jpg", ".png", ".bmp", ".tif", ".npy"])
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_damaged_files_end_in_an_error_of_the_tree(suffix: str, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = sound_file(Path(folder), suffix)
        damaged = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, min(len(damaged), 600) - 1))
            damaged[at] = data.draw(st.integers(0, 255))
        if data.draw(st.booleans()):
            del damaged[data.draw(st.integers(0, len(damaged))) :]
        path.write_bytes(damaged)
        for reader in (read, read_labels):
            said = ""
            try:
                found = reader(path)
            except VesaliusError as error:
                said = str(error)
            else:
                assert found.array.size < 10_000_000
            assert not said or said.startswith(path.name)
