"""Bounded reading and writing of bytes."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from vesalius.errors import FormatError
from vesalius.io.stream import beside, encode, encoding_of, read_array, read_start, refuse_unholdable


def test_encode_is_what_zlib_reads(rng: np.random.Generator) -> None:
    array = rng.integers(0, 4, 3_000_000).astype(np.uint8)
    whole = b"head" + array.tobytes()
    assert b"".join(encode([b"head", array], "raw")) == whole
    assert gzip.decompress(b"".join(encode([b"head", array], "gzip"))) == whole
    assert zlib.decompress(b"".join(encode([b"head", array], "zlib"))) == whole


def test_the_same_content_makes_the_same_bytes() -> None:
    array = np.arange(10_000)
    assert list(encode([array], "gzip")) == list(encode([array], "gzip"))


@pytest.mark.parametrize("encoding", ["raw", "gzip", "zlib"])
@pytest.mark.parametrize("count", [10, 2_000_000])
@pytest.mark.parametrize("start", [0, 3])
def test_reading_at_an_offset(tmp_path: Path, encoding: str, count: int, start: int) -> None:
    array = np.arange(count, dtype=">u4")
    data = b"".join(encode([b"skipped!", array], encoding))
    (tmp_path / "a").write_bytes(b"x" * start + data)
    found = read_array(tmp_path / "a", ">u4", count, offset=8, start=start, encoding=encoding)
    assert found.dtype == np.dtype("u4")
    assert np.array_equal(found, array)


def test_the_start_of_a_stream(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"abcdef"))
    assert encoding_of(tmp_path / "a.gz") == "gzip"
    assert read_start(tmp_path / "a.gz", 4, encoding="gzip") == b"abcd"
    assert read_start(tmp_path / "a.gz", 400, encoding="gzip") == b"abcdef"


@pytest.mark.parametrize("members", [1, 3, 200])
def test_members_of_a_gzip_at_every_chunk_border(tmp_path: Path, members: int) -> None:
    noise = os.urandom(20_000)
    (tmp_path / "a.gz").write_bytes(b"".join(gzip.compress(noise, 0) for _ in range(members)))
    found = read_array(tmp_path / "a.gz", "u1", len(noise) * members, encoding="gzip")
    assert found.tobytes() == noise * members


def test_more_than_deflate_can_hold_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"abc"))
    with pytest.raises(FormatError, match="the file holds at most"):
        read_array(tmp_path / "a.gz", "u1", 1_000_000, encoding="gzip")


def test_more_than_the_machine_has(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="more than this machine's memory"):
        refuse_unholdable(1 << 50)
    refuse_unholdable(1 << 20)


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.raw", "x/../../a.raw"])
def test_a_header_names_no_file_elsewhere(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.raw").touch()
    (tmp_path / "in").mkdir()
    with pytest.raises(FormatError, match="outside its own folder"):
        beside(tmp_path / "in" / "a.mhd", name)


def test_a_header_names_a_file_beside_or_below(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.raw").touch()
    assert beside(tmp_path / "a.mhd", "raw/a.raw") == tmp_path / "raw" / "a.raw"
    with pytest.raises(FormatError, match=r"its data file b\.raw is missing"):
        beside(tmp_path / "a.mhd", "b.raw")
