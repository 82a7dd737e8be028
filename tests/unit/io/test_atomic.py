"""Files appear whole or not at all."""

import errno
import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from vesalius.errors import VesaliusError
from vesalius.io.atomic import atomic_folder, atomic_path, write_bytes, write_text


def names(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.iterdir())


def test_the_temporary_file_lies_beside_the_target_with_its_suffixes(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "case.v1.nii.gz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith(".nii.gz")
        assert temporary.name.startswith(".")
        assert not (tmp_path / "case.v1.nii.gz").exists()
        temporary.write_bytes(b"done")
    assert names(tmp_path) == ["case.v1.nii.gz"]
    assert (tmp_path / "case.v1.nii.gz").read_bytes() == b"done"


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_failed_block_leaves_the_old_file(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "scores.json"
    target.write_text("old")
    with pytest.raises(failure), atomic_path(target) as temporary:
        temporary.write_text("half of the n")
        raise failure
    assert names(tmp_path) == ["scores.json"]
    assert target.read_text() == "old"


def test_text_and_bytes(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "5 µm\n")
    write_bytes(tmp_path / "a.bin", memoryview(b"abc"))
    assert (tmp_path / "a.txt").read_bytes() == "5 µm\n".encode()
    assert (tmp_path / "a.bin").read_bytes() == b"abc"


def test_the_mode_follows_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(old)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_a_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "store" / "real.txt")
    write_text(tmp_path / "link.txt", "x")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "store" / "real.txt").read_text() == "x"


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "big.bin"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(VesaliusError, match=r"cannot write big\.bin: the disk is full"):
        write_bytes(target, b"new")
    assert names(tmp_path) == ["big.bin"]
    assert target.read_bytes() == b"old"


def test_a_file_size_limit_stops_a_write_half_way(tmp_path: Path) -> None:
    code = """
        import resource, sys
        from vesalius.errors import VesaliusError
        from vesalius.io.atomic import write_bytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            write_bytes(sys.argv[1], bytes(100_000))
        except VesaliusError as error:
            sys.exit(0 if "big.bin" in str(error) and "larger" in str(error) else 3)
        sys.exit(4)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "big.bin")], check=False)
    assert done.returncode == 0
    assert names(tmp_path) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 4096


def test_a_read_only_file_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "locked.txt"
    target.write_text("old")
    target.chmod(0o444)
    with pytest.raises(VesaliusError, match=r"locked\.txt.*read-only"):
        write_text(target, "new")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["locked.txt"]


@pytest.mark.parametrize(("code", "words"), [(errno.EROFS, "read-only"), (errno.EACCES, "permission denied")])
def test_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> None:
    def refuse(path: object, *_: object) -> int:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(os, "open", refuse)  # root may write anywhere, so that a chmod would prove nothing
    with pytest.raises(VesaliusError, match=rf"cannot write a\.txt: .*{words}"):
        write_text(tmp_path / "a.txt", "x")


def test_a_missing_folder_and_a_folder_as_target(tmp_path: Path) -> None:
    with pytest.raises(VesaliusError, match="folder does not exist"):
        write_text(tmp_path / "no" / "a.txt", "x")
    with pytest.raises(VesaliusError, match="it is a folder"):
        write_text(tmp_path, "x")


def test_an_error_about_another_file_passes(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="elsewhere"), atomic_path(tmp_path / "a.txt"):
        (tmp_path / "elsewhere").read_text()
    assert names(tmp_path) == []


# --- folders ----------------------------------------------------------------------------------------------------------


def test_a_folder_appears_when_it_is_full(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "results") as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith(".")
        (folder / "inner").mkdir()
        (folder / "inner" / "a.txt").write_text("a")
        assert not (tmp_path / "results").exists()
    assert names(tmp_path) == ["results"]
    assert (tmp_path / "results" / "inner" / "a.txt").read_text() == "a"


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, VesaliusError])
def test_a_failed_block_leaves_no_folder(tmp_path: Path, failure: type[BaseException]) -> None:
    with pytest.raises(failure), atomic_folder(tmp_path / "results") as folder:
        (folder / "a.txt").write_text("a")
        raise failure
    assert names(tmp_path) == []


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    with atomic_folder(tmp_path / "results") as folder:
        (folder / "a.txt").write_text("a")
    assert names(tmp_path / "results") == ["a.txt"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_stands_there_is_not_replaced(tmp_path: Path, kind: str) -> None:
    standing = tmp_path / "results"
    if kind == "folder":
        standing.mkdir()
        (standing / "mine.txt").write_text("mine")
    else:
        standing.write_text("mine")
    with (
        pytest.raises(VesaliusError, match="cannot write the folder results: it is there already"),
        atomic_folder(standing),
    ):
        pytest.fail("nothing may be written")
    assert names(tmp_path) == ["results"]


def test_a_full_disk_is_told_in_our_words(tmp_path: Path) -> None:
    full = pytest.raises(VesaliusError, match="cannot write results: the disk is full")
    with full, atomic_folder(tmp_path / "results") as folder:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "a.bin"))
    assert names(tmp_path) == []


def test_a_folder_needs_one_above_it(tmp_path: Path) -> None:
    missing = pytest.raises(VesaliusError, match="cannot write results: its folder does not exist")
    with missing, atomic_folder(tmp_path / "nowhere" / "results"):
        pytest.fail("nothing may be written")
