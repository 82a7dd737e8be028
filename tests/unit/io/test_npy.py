"""NumPy files: bare arrays, our own archives, and archives that lie."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from vesalius.errors import FormatError
from vesalius.image import Code, Grid, Label, LabelMap, Labels, Meta, Region, Volume
from vesalius.io import read, read_labels, write

OBLIQUE = np.array([[0.9, -0.4, 0.1, 5], [0.5, 1.8, 0, 6], [0, 0.2, 3, 7], [0, 0, 0, 1]])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 6), (2, 4, 5, 6)])
@pytest.mark.parametrize("dtype", ["<f4", ">i2", "?"])
def test_bare_arrays_are_in_index_order(
    tmp_path: Path, rng: np.random.Generator, shape: tuple[int, ...], order: str, dtype: str
) -> None:
    array = np.asarray(rng.integers(0, 2, shape).astype(dtype), order=order)
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", anything=array)
    for name in ("a.npy", "a.npz"):
        found = read(tmp_path / name)
        assert np.array_equal(found.array, array if len(shape) == 4 else array[None])
        assert found.array.dtype.isnative
        assert np.array_equal(found.grid.affine, np.eye(found.grid.ndim + 1))
        assert not found.meta.calibrated
        assert "no place in space" in found.meta.notes[0]


def test_our_archive_carries_everything(tmp_path: Path, rng: np.random.Generator) -> None:
    meta = Meta("CT", "HU", calibrated=False, notes=("a", "b"))
    image = Volume(rng.random((2, 4, 5, 6)), Grid((4, 5, 6), OBLIQUE), meta)
    write(image, tmp_path / "a.npz")
    found = read(tmp_path / "a.npz")
    assert np.array_equal(found.array, image.array)
    assert (found.grid, found.meta) == (image.grid, meta)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert np.array_equal(archive["affine"], OBLIQUE)


def test_labels_survive_whole(tmp_path: Path) -> None:
    labels = Labels(
        (Label("liver", 1, (1, 2, 3), Code("SCT", "10200004", "Liver")), Label("ü", 900)), (Region("all", (1, 900)),), 7
    )
    reference = LabelMap(np.array([[0, 1], [900, 7]]), Grid((2, 2), np.eye(3)), labels)
    write(reference, tmp_path / "a.npz")
    assert read_labels(tmp_path / "a.npz").labels == labels


def test_the_same_contents_make_the_same_file(tmp_path: Path) -> None:
    image = Volume(np.ones((1, 4, 5, 6)), Grid((4, 5, 6), OBLIQUE))
    write(image, tmp_path / "a.npz")
    write(image, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_known_name_is_chosen_among_several(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", data=np.ones((3, 4)), other=np.zeros((3, 4)), scalar=np.array(3))
    assert (read(tmp_path / "a.npz").array == 1).all()
    np.savez(tmp_path / "b.npz", left=np.ones((3, 4)), right=np.zeros((3, 4)))
    with pytest.raises(FormatError, match=r"b\.npz: it holds left, right; .* one named array, data"):
        read(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", only=np.ones((3, 4)), scalar=np.array(3))
    assert read(tmp_path / "c.npz").array.shape == (1, 3, 4)


def test_several_channels_need_an_archive(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"holds one channel, not 2; write \.npz"):
        write(Volume(np.zeros((2, 4, 5)), Grid((4, 5), np.eye(3))), tmp_path / "a.npy")


@pytest.mark.parametrize(
    "array", [np.zeros(3), np.zeros((1, 2, 3, 4, 5)), np.zeros((2, 2), complex), np.array([["a"]])]
)
def test_what_is_no_image(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(FormatError, match=r"a\.npy: an image must be"):
        read(tmp_path / "a.npy")


class Trap:
    """Would write a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def test_objects_are_never_loaded(tmp_path: Path) -> None:
    trap = np.empty((2, 2), object)
    trap[:] = Trap(tmp_path / "sprung")
    np.save(tmp_path / "a.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "a.npz", trap=trap)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    for name in ("a.npy", "a.npz", "b.npy"):
        with pytest.raises(FormatError, match=name):
            read(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def npy_bytes(shape: tuple[int, ...], data: bytes) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return stream.getvalue() + data


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_a_header_that_declares_gigabytes(tmp_path: Path, name: str) -> None:
    data = npy_bytes((3000, 3000, 250), bytes(100))
    (tmp_path / "a.npy").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", data)
    tracemalloc.start()
    with pytest.raises(FormatError, match=rf"{name}: .*declares 18,000,000,000 bytes"):
        read(tmp_path / name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("part", [0.0, 0.1, 0.6, 0.97])
def test_a_file_that_is_cut_off(tmp_path: Path, rng: np.random.Generator, name: str, part: float) -> None:
    write(Volume(rng.random((1, 8, 8)), Grid((8, 8), np.eye(3))), tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * part)])
    with pytest.raises(FormatError, match=f"^{name}: "):
        read(tmp_path / name)


def test_an_affine_that_does_not_fit(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", array=np.zeros((1, 4, 5, 6)), affine=np.eye(3))
    with pytest.raises(FormatError, match="does not fit"):
        read(tmp_path / "a.npz")


def test_damaged_meta(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", array=np.zeros((1, 4, 5, 6)), affine=np.eye(4), meta=np.array("[1"))
    with pytest.raises(FormatError, match="its meta is damaged"):
        read(tmp_path / "a.npz")


def test_a_damaged_member(tmp_path: Path, rng: np.random.Generator) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=rng.random((50, 50)))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(FormatError, match="damaged"):
        read(tmp_path / "a.npz")
