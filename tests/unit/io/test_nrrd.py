"""NRRD: spaces, axes of channels, encodings, detached voxels, and headers that lie."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
from pathlib import Path

import nrrd as pynrrd
import numpy as np
import pytest

from vesalius.errors import FormatError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import read, read_labels, write

ARRAY = np.arange(24, dtype="<i2").reshape(2, 3, 4)  # (i, j, k)
HEADER = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "2 3 4",
    "space directions": "(1,0,0) (0,2,0) (0,0,3)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(10,20,30)",
}


def nrrd(path: Path, data: bytes = ARRAY.tobytes(order="F"), drop: tuple[str, ...] = (), **changes: str) -> Path:
    fields = {name: value for name, value in HEADER.items() if name not in drop}
    fields |= {name.replace("_", " "): value for name, value in changes.items()}
    text = "NRRD0004\n# a comment\n" + "".join(f"{name}: {value}\n" for name, value in fields.items())
    path.write_bytes(text.encode() + b"\n" + data)
    return path


@pytest.mark.parametrize(
    ("space", "signs"),
    [
        ("left-posterior-superior", (1, 1, 1)),
        ("LPS", (1, 1, 1)),
        ("right-anterior-superior", (-1, -1, 1)),
        ("RAS", (-1, -1, 1)),
        ("left-anterior-superior", (1, -1, 1)),
        ("LAS", (1, -1, 1)),
    ],
)
def test_spaces(tmp_path: Path, space: str, signs: tuple[int, ...]) -> None:
    found = read(nrrd(tmp_path / "a.nrrd", space=space))
    assert found.grid.origin_mm == tuple(np.multiply((10, 20, 30), signs))
    assert np.array_equal(found.grid.affine[:3, :3], np.diag(np.multiply((1, 2, 3), signs)))
    assert np.array_equal(found.array[0], ARRAY)
    assert found.meta.notes == ()


def test_a_space_without_anatomy_is_noted(tmp_path: Path) -> None:
    assert "nothing of anatomy" in read(nrrd(tmp_path / "a.nrrd", space="3D-right-handed")).meta.notes[0]


def test_space_units_become_millimetres(tmp_path: Path) -> None:
    found = read(nrrd(tmp_path / "a.nrrd", space_units='"um" "um" "mm"'))
    assert found.grid.spacing_mm == pytest.approx((0.001, 0.002, 3))


@pytest.mark.parametrize("axis", [0, 1, 3])
@pytest.mark.parametrize("kind", ["vector", "list", "RGB-color", "3-vector"])
def test_channels_wherever_they_stand(tmp_path: Path, rng: np.random.Generator, axis: int, kind: str) -> None:
    array = rng.integers(0, 100, (3, 4, 5, 6)).astype("<i2")  # (c, i, j, k)
    stored = np.moveaxis(array, 0, axis)
    directions, kinds = ["(1,0,0)", "(0,2,0)", "(0,0,3)"], ["domain"] * 3
    directions.insert(axis, "none")
    kinds.insert(axis, kind)
    path = nrrd(
        tmp_path / "a.nrrd",
        stored.tobytes(order="F"),
        dimension="4",
        sizes=" ".join(map(str, stored.shape)),
        space_directions=" ".join(directions),
        kinds=" ".join(kinds),
    )
    found = read(path)
    assert np.array_equal(found.array, array)
    assert found.grid.spacing_mm == (1.0, 2.0, 3.0)
    assert found.meta.modality == ("RGB" if kind == "RGB-color" else "OT")


def test_kinds_tell_channels_where_there_are_no_directions(tmp_path: Path) -> None:
    found = read(
        nrrd(tmp_path / "a.nrrd", drop=("space", "space directions", "space origin"), kinds="list domain domain")
    )
    assert found.array.shape == (2, 3, 4)
    assert found.grid == Grid((3, 4), np.eye(3))
    assert not found.meta.calibrated


def test_spacings_without_a_space(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.nrrd", drop=("space", "space directions", "space origin"), spacings="1 2 3")
    found = read(path)
    assert found.grid == Grid.from_spacing((2, 3, 4), (1, 2, 3))
    assert found.meta.calibrated


def test_alpha_is_dropped(tmp_path: Path) -> None:
    data = np.arange(24, dtype=np.uint8)
    path = nrrd(
        tmp_path / "a.nrrd",
        data.tobytes(),
        drop=("space", "space origin", "endian"),
        type="uchar",
        sizes="4 2 3",
        kinds="RGBA-color domain domain",
        space_directions="none (1,0) (0,1)",
        space_dimension="2",
    )
    found = read(path)
    assert found.array.shape == (3, 2, 3)
    assert np.array_equal(found.array[:, 0, 0], [0, 1, 2])
    assert found.meta.notes == ("The alpha channel was dropped.",)


def test_a_picture_in_space_is_one_slice(tmp_path: Path) -> None:
    path = nrrd(
        tmp_path / "a.nrrd",
        dimension="2",
        sizes="2 12",
        kinds="domain domain",
        space_directions="(0,1,0) (0,0,2)",
    )
    found = read(path)
    assert found.grid.shape == (2, 12, 1)
    assert np.allclose(found.grid.affine[:3, 2], (1, 0, 0))
    assert "one slice" in found.meta.notes[0]


@pytest.mark.parametrize("encoding", ["gzip", "gz", "GZIP"])
def test_gzip(tmp_path: Path, encoding: str) -> None:
    path = nrrd(tmp_path / "a.nrrd", gzip.compress(ARRAY.tobytes(order="F")), encoding=encoding)
    assert np.array_equal(read(path).array[0], ARRAY)


@pytest.mark.parametrize(("skip", "before"), [("5", b"12345"), ("-1", b"whatever"), ("0", b"")])
def test_byte_skip(tmp_path: Path, skip: str, before: bytes) -> None:
    path = nrrd(tmp_path / "a.nrrd", before + ARRAY.tobytes(order="F"), byte_skip=skip)
    assert np.array_equal(read(path).array[0], ARRAY)


def test_carriage_returns_and_big_endian(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.nrrd", b"", endian="big")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n") + ARRAY.astype(">i2").tobytes(order="F"))
    assert np.array_equal(read(path).array[0], ARRAY)


@pytest.mark.parametrize("field", ["data_file", "datafile"])
@pytest.mark.parametrize("blank", [True, False])
def test_a_detached_header(tmp_path: Path, field: str, blank: bool) -> None:
    (tmp_path / "voxels.raw").write_bytes(ARRAY.tobytes(order="F"))
    path = nrrd(tmp_path / "a.nhdr", b"", **{field: "voxels.raw"})
    if not blank:
        path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert np.array_equal(read(path).array[0], ARRAY)


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_pynrrd_reads_what_we_write_and_we_what_it_writes(
    tmp_path: Path, rng: np.random.Generator, encoding: str
) -> None:
    array = rng.random((3, 4, 5, 6), dtype=np.float32)
    affine = np.array([[0.9, -0.4, 0.1, 5], [0.5, 1.8, 0, 6], [0, 0.2, 3, 7], [0, 0, 0, 1]])
    name = "ours.nrrd" if encoding == "gzip" else "ours.nhdr"
    write(Volume(array, Grid((4, 5, 6), affine)), tmp_path / name)
    data, header = pynrrd.read(str(tmp_path / name))
    assert header["encoding"] == encoding
    assert np.array_equal(np.moveaxis(data, -1, 0), array)
    assert np.array_equal(header["space directions"][:3], affine[:3, :3].T)
    assert np.array_equal(header["space origin"], affine[:3, 3])
    pynrrd.write(str(tmp_path / "theirs.nrrd"), data, header | {"encoding": encoding}, detached_header=False)
    found = read(tmp_path / "theirs.nrrd")
    assert np.array_equal(found.array, array)
    assert np.array_equal(found.grid.affine, affine)


def test_label_names_are_those_of_slicer(tmp_path: Path) -> None:
    labels = Labels.of({"liver": 1, "tumour\\core": 7})
    grid = Grid((4, 5, 6), np.eye(4))
    array = np.zeros(grid.shape, np.uint8)
    array[0], array[1] = 1, 7
    write(LabelMap(array, grid, labels), tmp_path / "a.seg.nrrd")
    _, header = pynrrd.read(str(tmp_path / "a.seg.nrrd"))
    assert (header["Segment0_Name"], header["Segment0_LabelValue"]) == ("liver", "1")
    assert (header["Segment1_ID"], header["Segment1_Extent"]) == ("Segment_7", "0 3 0 4 0 5")
    assert [float(part) for part in header["Segment0_Color"].split()] == pytest.approx(
        [part / 255 for part in labels.colour(1)], abs=1e-5
    )
    assert read_labels(tmp_path / "a.seg.nrrd").labels == labels


def test_segments_of_slicer_name_the_labels(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.seg.nrrd")
    text = (
        "Segment0_LabelValue:=1\nSegment0_Name:=liver\nSegment0_Color:=1 0.5 0\n"
        "Segment1_LabelValue:=2\nSegment1_Name:=liver\nSegment1_Color:=odd\n"
        "Segment2_LabelValue:=3\n"
    )
    labels = np.tile(np.arange(4, dtype="<i2"), 6)
    path.write_bytes(path.read_bytes().split(b"\n\n")[0] + b"\n" + text.encode() + b"\n" + labels.tobytes())
    found = read_labels(path).labels
    assert found.names == ("liver", "liver (2)", "label 3")
    assert found["liver"].colour == (255, 128, 0)
    assert found["liver (2)"].colour is None


def test_colours_are_known_again(tmp_path: Path, rng: np.random.Generator) -> None:
    image = Volume(rng.integers(0, 256, (3, 4, 5)).astype(np.uint8), Grid((4, 5), np.eye(3)), Meta(modality="RGB"))
    write(image, tmp_path / "a.nrrd")
    found = read(tmp_path / "a.nrrd")
    assert found.meta.modality == "RGB"
    assert np.array_equal(found.array, image.array)


# What cannot be.


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"type": "block"}, FormatError, "type 'block' cannot be read"),
        ({"encoding": "bzip2"}, FormatError, "encoding 'bzip2' cannot be read"),
        ({"encoding": "ascii"}, FormatError, "encoding 'ascii' cannot be read"),
        ({"endian": "middle"}, FormatError, "little or big"),
        ({"dimension": "x"}, FormatError, "'dimension' is missing or does not hold numbers"),
        ({"dimension": "99"}, FormatError, "99 axes"),
        ({"sizes": "2 3"}, FormatError, "2 entries; there are 3 axes"),
        ({"sizes": "2 3 x"}, FormatError, "'sizes'"),
        ({"sizes": "2 3 0"}, FormatError, "shape"),
        ({"sizes": "2 -3 4"}, FormatError, "shape"),
        ({"sizes": "2 3 5"}, FormatError, "declares 60 bytes of voxels, but the file holds 48"),
        ({"sizes": "9999 9999 999999"}, FormatError, "declares"),
        ({"kinds": "complex domain domain"}, FormatError, "complex"),
        ({"space": "martian"}, FormatError, "space 'martian' is unknown"),
        ({"space_directions": "(1,0,0) (0,2,0) (0,0,nan)"}, GeometryError, "NaN"),
        ({"space_directions": "(1,0,0) (0,2,0) (0,0,0)"}, GeometryError, "singular"),
        ({"space_directions": "(1,0,0) (0,2,0) (1e99,0,1)"}, GeometryError, "damaged header"),
        ({"space_directions": "(1,0,0) (0,2,0) (0,1)"}, FormatError, "different numbers of coordinates"),
        ({"space_directions": "(1,0,0) none none"}, FormatError, "2 axes beyond space"),
        ({"space_origin": "(1,x,0)"}, FormatError, "'origin'"),
        ({"byte_skip": "-2"}, FormatError, "cannot skip"),
        ({"line_skip": "1"}, FormatError, "skips lines"),
        ({"data_file": "../a.raw"}, FormatError, "outside its own folder"),
        ({"data_file": "/etc/hostname"}, FormatError, "outside its own folder"),
        ({"data_file": "lost.raw"}, FormatError, r"data file lost\.raw is missing"),
        ({"data_file": "LIST"}, FormatError, "several files"),
        ({"data_file": "a%03d.raw 1 3 1"}, FormatError, "several files"),
    ],
)
def test_headers_that_lie(tmp_path: Path, changes: dict[str, str], error: type, words: str) -> None:
    with pytest.raises(error, match=rf"^a\.nrrd: .*{words}"):
        read(nrrd(tmp_path / "a.nrrd", **changes))


@pytest.mark.parametrize("keep", [3, 9, 100, -1])
def test_a_file_that_is_cut_off(tmp_path: Path, keep: int) -> None:
    path = nrrd(tmp_path / "a.nrrd")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FormatError, match=r"^a\.nrrd: "):
        read(path)


def test_a_header_without_end(tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes(b"NRRD0004\n" + b"# more\n" * 1_000_000)
    with pytest.raises(FormatError, match="does not end"):
        read(tmp_path / "a.nrrd")


def test_a_bomb(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.nrrd", gzip.compress(bytes(300_000_000), 1), encoding="gzip")
    tracemalloc.start()
    assert read(path).array.size == 24
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000


def test_byte_order_is_written(tmp_path: Path) -> None:
    write(Volume(ARRAY[None], Grid((2, 3, 4), np.eye(4))), tmp_path / "a.nrrd")
    assert f"endian: {sys.byteorder}".encode() in (tmp_path / "a.nrrd").read_bytes()
