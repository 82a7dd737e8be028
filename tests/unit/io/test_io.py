"""The public face: formats by suffix, NaN, label maps, and errors that name the file."""

from __future__ import annotations

import importlib
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from vesalius.errors import DataError, FormatError, GeometryError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.io import FORMATS, format_of, read, read_labels, write

GRID = Grid.from_spacing((4, 5, 6), (1.0, 2.0, 3.0))
READ_ONLY = {".gif", ".ppm", ".pgm", ".pbm"}
WRITABLE = sorted(suffix for suffix in FORMATS if suffix not in {".dcm", *READ_ONLY})
VOLUMES = sorted(set(WRITABLE) - {".png", ".jpg", ".jpeg", ".bmp", ".npy", ".tif", ".tiff"})


@pytest.mark.parametrize("suffix", WRITABLE)
def test_every_format_of_the_table_has_a_module(suffix: str) -> None:
    module = importlib.import_module(FORMATS[suffix])
    assert callable(module.read)
    assert callable(module.write)


def test_reading_imports_no_format_that_is_not_asked_for() -> None:
    code = """
        import sys, vesalius.io
        heavy = {"tifffile", "PIL", "pydicom", "nibabel", "SimpleITK", "scipy", "torch"} & set(sys.modules)
        sys.exit(f"imported: {heavy}" if heavy else 0)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("A.NII.GZ", ".nii.gz"), ("a.nii", ".nii"), ("a.b.mha", ".mha"), ("a.gz", None), ("nii", None), ("a.PNG", ".png")],
)
def test_suffixes(name: str, suffix: str | None) -> None:
    assert format_of(name) == suffix


def test_an_unknown_suffix_lists_the_known(tmp_path: Path) -> None:
    (tmp_path / "scan.nifti").write_bytes(b"abc")
    with pytest.raises(
        FormatError, match=r"scan\.nifti: unknown suffix '\.nifti': did you mean '\.nii'\? Known: .*\.mha"
    ):
        read(tmp_path / "scan.nifti")
    with pytest.raises(FormatError, match=r"cannot write scan\.nifti: unknown suffix"):
        write(Volume(np.zeros((1, 4, 5, 6)), GRID), tmp_path / "scan.nifti")
    with pytest.raises(FormatError, match=r"cannot write scan\.dcm: .*name the series"):
        write(Volume(np.zeros((1, 4, 5, 6)), GRID), tmp_path / "scan.dcm")


@pytest.mark.parametrize("suffix", WRITABLE)
def test_a_missing_file(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(FormatError, match=rf"none\{suffix}: the file cannot be read: No such file"):
        read(tmp_path / f"none{suffix}")


@pytest.mark.parametrize("suffix", WRITABLE)
@pytest.mark.parametrize("content", [b"", b"\0" * 1000, b"hello, world\n" * 50, b"\x1f\x8b\x08" + b"\xff" * 500])
def test_rubbish(tmp_path: Path, suffix: str, content: bytes) -> None:
    for name in (f"bad{suffix}", "bad.hdr", "bad.img"):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=rf"^bad\{suffix}: "):
        read(tmp_path / f"bad{suffix}")
    with pytest.raises(FormatError, match=rf"^bad\{suffix}: "):
        read_labels(tmp_path / f"bad{suffix}")


def test_a_series_of_what_has_none(tmp_path: Path) -> None:
    write(Volume(np.zeros((1, 4, 5, 6)), GRID), tmp_path / "a.nii")
    with pytest.raises(FormatError, match="is for DICOM"):
        read(tmp_path / "a.nii", series="1.2.3")


def test_dicom_goes_to_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dicom = importlib.import_module("vesalius.io.dicom")
    expected = Volume(np.zeros((1, 4, 5, 6)), GRID)
    asked = []

    def read_series(path: Path, *, series: str | None = None) -> Volume:
        asked.append((path.name, series))
        return expected

    monkeypatch.setattr(dicom, "read_series", read_series, raising=False)
    (tmp_path / "folder").mkdir()
    (tmp_path / "IM0001").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "a.dcm").write_bytes(b"no preamble")
    for name in ("folder", "IM0001", "a.dcm"):
        assert read(tmp_path / name, series="7") is expected
    assert asked == [("folder", "7"), ("IM0001", "7"), ("a.dcm", "7")]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".npz"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_is_an_error_that_says_what_to_do(tmp_path: Path, suffix: str, bad: float) -> None:
    array = np.ones((1, 4, 5, 6), np.float32)
    good = Volume(array.copy(), GRID)
    write(good, tmp_path / f"a{suffix}")
    array[0, 0, 0, :3] = bad
    forged = Volume(np.ones_like(array), GRID)
    object.__setattr__(forged, "array", array)
    write(forged, tmp_path / f"a{suffix}")
    with pytest.raises(DataError, match=rf"^a\{suffix}: 3 of 120 voxels are NaN or infinite; pass replace_nan=0"):
        read(tmp_path / f"a{suffix}")
    found = read(tmp_path / f"a{suffix}", replace_nan=-5)
    assert found.array[0, 0, 0].tolist() == [-5, -5, -5, 1, 1, 1]
    assert found.array.dtype == np.float32
    assert found.meta.notes[-1] == "3 voxels that were NaN or infinite were replaced by -5."
    with pytest.raises(DataError, match="finite"):
        read(tmp_path / f"a{suffix}", replace_nan=np.nan)


# Label maps.


@pytest.mark.parametrize("suffix", WRITABLE)
def test_label_maps_in_every_format(tmp_path: Path, suffix: str) -> None:
    flat = suffix in {".png", ".jpg", ".jpeg", ".bmp"}
    grid = Grid((40, 50) if flat else (4, 5, 6), np.eye(3 if flat else 4))
    array = np.zeros(grid.shape, np.int32)
    array[1], array[2] = 1, 2
    reference = LabelMap(array, grid, Labels.of({"a": 1, "b": 2}))
    if suffix in {".jpg", ".jpeg"}:
        with pytest.raises(FormatError, match="JPEG changes values"):
            write(reference, tmp_path / f"a{suffix}")
        assert list(tmp_path.iterdir()) == []
        return
    write(reference, tmp_path / f"a{suffix}")
    found = read_labels(tmp_path / f"a{suffix}")
    assert found.array.dtype == np.uint8
    assert np.array_equal(found.array, array)
    assert found.grid.is_close(grid)
    keeps_names = suffix in {".nii", ".nii.gz", ".hdr", ".img", ".nrrd", ".nhdr", ".npz"}
    assert found.labels.names == (("a", "b") if keeps_names else ("label 1", "label 2"))
    assert read_labels(tmp_path / f"a{suffix}", Labels.of({"x": 1, "y": 2, "z": 3})).labels.names == ("x", "y", "z")
    with pytest.raises(DataError, match=rf"^a\{suffix}: the label map holds values that are not declared: 2"):
        read_labels(tmp_path / f"a{suffix}", Labels.of({"x": 1}))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".tif", ".npz"])
@pytest.mark.parametrize(("largest", "dtype"), [(1, np.uint8), (255, np.uint8), (256, np.uint16), (65_535, np.uint16)])
def test_label_maps_are_stored_in_the_smallest_type(tmp_path: Path, suffix: str, largest: int, dtype: type) -> None:
    grid = Grid((4, 5, 6), np.eye(4))
    array = np.zeros(grid.shape, np.int64)
    array[0, 0, 0] = largest
    write(LabelMap(array, grid, Labels.of([largest])), tmp_path / f"a{suffix}")
    assert read(tmp_path / f"a{suffix}").array.dtype == dtype
    assert np.array_equal(read_labels(tmp_path / f"a{suffix}").array, array)


def image_of(tmp_path: Path, array: np.ndarray, name: str = "a.npz") -> Path:
    write(Volume(array[None] if array.ndim == 3 else array, GRID), tmp_path / name)
    return tmp_path / name


def test_whole_numbers_stored_as_floats(tmp_path: Path) -> None:
    array = np.zeros(GRID.shape)
    array[0], array[1] = 0.99999997, 2.0004
    found = read_labels(image_of(tmp_path, array))
    assert found.array.dtype == np.uint8
    assert found.counts() == {0: 60, 1: 30, 2: 30}


def test_fractions_are_not_labels(tmp_path: Path) -> None:
    array = np.zeros(GRID.shape, np.float32)
    array[0, 0, :3] = 0.5
    with pytest.raises(DataError, match=r"a\.npz: 3 of 120 voxels are not whole numbers"):
        read_labels(image_of(tmp_path, array))


def test_nan_is_not_a_label(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[0.0, np.nan], [1.0, 1.0]]))
    with pytest.raises(DataError, match=r"1 of 4 voxels are not whole numbers"):
        read_labels(tmp_path / "a.npy")
    with pytest.raises(DataError, match=r"1 of 4 voxels are NaN: neither above 0\.5 nor not"):
        read_labels(tmp_path / "a.npy", binarise_above=0.5)


@pytest.mark.parametrize("value", [-1, 65_536, 2**40])
def test_values_that_no_label_may_have(tmp_path: Path, value: int) -> None:
    array = np.zeros(GRID.shape, np.int64)
    array[0, 0, 0] = value
    with pytest.raises(DataError, match="labels must be 0 to 65,535"):
        read_labels(image_of(tmp_path, array))


def test_grey_masks_are_binarised(tmp_path: Path) -> None:
    array = np.array([0, 3, 127, 128, 250, 255], np.uint8) * np.ones((4, 5, 1), np.uint8)
    found = read_labels(image_of(tmp_path, array), Labels.of({"polyp": 1}), binarise_above=127)
    assert found.array[0, 0].tolist() == [0, 0, 0, 1, 1, 1]
    assert found.labels.names == ("polyp",)
    assert read_labels(tmp_path / "a.npz", binarise_above=127).labels.values == (1,)


def test_an_empty_label_map(tmp_path: Path) -> None:
    found = read_labels(image_of(tmp_path, np.zeros(GRID.shape, np.uint8)))
    assert found.labels.values == ()
    assert found.counts() == {0: 120}


def test_channels_that_agree_are_one_label_map(tmp_path: Path, rng: np.random.Generator) -> None:
    grey = rng.integers(0, 2, GRID.shape).astype(np.uint8)
    assert np.array_equal(read_labels(image_of(tmp_path, np.stack([grey] * 3))).array, grey)
    with pytest.raises(DataError, match="this file holds 3 that differ"):
        read_labels(image_of(tmp_path, np.stack([grey, grey, 1 - grey])))


# Whole or not at all.


@pytest.mark.parametrize("suffix", VOLUMES)
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, suffix: str) -> None:
    """A limit on the size of files stands in for the full disk: the system refuses in the midst of writing."""
    code = """
        import resource, sys
        import numpy as np
        from vesalius.errors import VesaliusError
        from vesalius.image import Grid, Volume
        from vesalius.io import write
        grid = Grid((100, 100, 10), np.eye(4))
        write(Volume(np.ones((1, *grid.shape), np.uint8), grid), sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        noise = np.random.default_rng(0).integers(0, 255, (1, *grid.shape)).astype(np.uint8)
        try:
            write(Volume(noise, grid), sys.argv[1])
        except VesaliusError as error:
            sys.exit(0 if "cannot write" in str(error) and "larger than files" in str(error) else f"odd: {error}")
        sys.exit("it was written")
    """
    path = tmp_path / f"a{suffix}"
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(path)], check=True)
    assert (read(path).array == 1).all()
    pair = {".hdr": 2, ".img": 2, ".nhdr": 2, ".mhd": 2}.get(suffix, 1)
    assert len(list(tmp_path.iterdir())) == pair
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 50_000


@pytest.mark.parametrize("suffix", [".tif", ".png", ".npy"])
def test_a_full_disk_with_writers_of_others(tmp_path: Path, suffix: str) -> None:
    code = """
        import resource, sys
        import numpy as np
        from vesalius.errors import VesaliusError
        from vesalius.image import Grid, Volume
        from vesalius.io import write
        grid = Grid((300, 400), np.eye(3))
        noise = np.random.default_rng(0).integers(0, 255, (1, *grid.shape)).astype(np.uint8)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            write(Volume(noise, grid), sys.argv[1])
        except VesaliusError as error:
            sys.exit(0 if "cannot write" in str(error) else f"odd: {error}")
        sys.exit("it was written")
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path / f"a{suffix}")], check=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", VOLUMES)
def test_a_read_only_target(tmp_path: Path, suffix: str) -> None:
    image = Volume(np.zeros((1, 4, 5, 6)), GRID)
    write(image, tmp_path / f"a{suffix}")
    before = {found: found.read_bytes() for found in tmp_path.iterdir()}
    for found in before:
        found.chmod(0o444)
    with pytest.raises(VesaliusError, match="read-only"):
        write(Volume(np.ones((1, 4, 5, 6)), GRID), tmp_path / f"a{suffix}")
    assert {found: found.read_bytes() for found in tmp_path.iterdir()} == before


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(VesaliusError, match=r"cannot write a\.nii: its folder does not exist"):
        write(Volume(np.zeros((1, 4, 5, 6)), GRID), tmp_path / "none" / "a.nii")


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".npy", ".tif"])
def test_a_place_is_never_dropped_silently(tmp_path: Path, suffix: str) -> None:
    turned = Grid.from_spacing((40, 50), (1.0, 1.0), origin_mm=(5.0, 0.0))
    with pytest.raises(GeometryError, match=rf"cannot write a\{suffix}: .*cannot hold.*drop the place on purpose"):
        write(Volume(np.zeros((1, 40, 50), np.uint8), turned), tmp_path / f"a{suffix}")
    assert list(tmp_path.iterdir()) == []
