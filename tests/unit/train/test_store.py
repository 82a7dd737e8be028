import errno
import gc
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from vesalius.errors import VesaliusError
from vesalius.train.store import CaseCache, NoRoomError

RANDOM = np.random.default_rng(0)
ARRAY = RANDOM.integers(0, 255, (64, 64)).astype(np.int16)


def put(cache: CaseCache, key: str, array: np.ndarray = ARRAY):  # type: ignore[no-untyped-def]
    return cache.put(key, {"image": array}, {"image": array.shape}, name=f"case {key}", facts={"key": key})


def entries(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("[!.]*/entry.json")}


def litter(folder: Path) -> list[str]:
    return [path.name for path in folder.glob(".part-*")]


def test_what_was_put_is_taken_up_by_a_later_run(tmp_path: Path) -> None:
    put(CaseCache(tmp_path), "a")
    entry = CaseCache(tmp_path).take("a", name="case a")
    assert entry is not None
    assert np.array_equal(np.asarray(entry.arrays["image"]), ARRAY)
    assert entry.facts == {"key": "a"}
    assert entry.stored_bytes == (tmp_path / "a" / "image.b2nd").stat().st_size
    assert CaseCache(tmp_path).take("b", name="case b") is None


@pytest.mark.parametrize("file", ["image.b2nd", "entry.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "remove"])
def test_a_damaged_entry_is_not_taken_up_and_can_be_made_anew(tmp_path: Path, file: str, damage: str) -> None:
    put(CaseCache(tmp_path), "a")
    path = tmp_path / "a" / file
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 4
    path.write_bytes(data if damage == "flip" else data[: len(data) // 2] if damage == "cut" else b"")
    if damage == "remove":
        path.unlink()
    told: list[str] = []
    cache = CaseCache(tmp_path, note=told.append)
    entry = cache.take("a", name="case a")
    if file == "entry.json" and damage == "flip" and entry is not None:
        pytest.skip("the bit was one of a fact")
    assert entry is None
    assert told == ["case a: the prepared data were damaged on disk and are made anew"]
    assert np.array_equal(np.asarray(put(cache, "a").arrays["image"]), ARRAY)
    assert litter(tmp_path) == []


def test_what_a_killed_run_left_half_written_is_never_an_entry_and_is_cleared(tmp_path: Path) -> None:
    CaseCache(tmp_path)
    half = tmp_path / ".part-0123456789ab-cdef0123"
    half.mkdir()
    (half / "image.b2nd").write_bytes(b"half")
    (tmp_path / "users" / "0123456789ab").write_text("a\n")  # its list, which no process locks any more
    cache = CaseCache(tmp_path)
    assert litter(tmp_path) == []
    assert cache.take("a", name="case a") is None
    assert not (tmp_path / "users" / "0123456789ab").exists()


def test_what_a_living_run_is_writing_stays(tmp_path: Path) -> None:
    writing = CaseCache(tmp_path)
    half = tmp_path / f".part-{writing._lease.token}-cdef0123"
    half.mkdir()
    CaseCache(tmp_path)
    assert half.is_dir()


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_while_writing_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    cache = CaseCache(tmp_path)

    def fail(path: Path, text: str) -> int:
        raise failure

    monkeypatch.setattr(Path, "write_text", fail)  # after the arrays, before the entry is whole
    with pytest.raises(VesaliusError if isinstance(failure, OSError) else KeyboardInterrupt) as caught:
        put(cache, "a")
    if isinstance(failure, OSError):
        assert "the disk is full" in str(caught.value)
    assert entries(tmp_path) == set()
    assert litter(tmp_path) == []


def test_threads_that_put_the_same_all_succeed(tmp_path: Path) -> None:
    got = []

    def run(cache: CaseCache) -> None:
        got.extend(put(cache, key) for key in ("a", "b", "c"))

    caches = [CaseCache(tmp_path) for _ in range(4)]
    threads = [threading.Thread(target=run, args=(cache,)) for cache in caches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 12
    assert all(np.array_equal(np.asarray(entry.arrays["image"]), ARRAY) for entry in got)
    assert entries(tmp_path) == {"a", "b", "c"}
    assert litter(tmp_path) == []


def size_gib(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir()) / 2**30


def test_the_least_recently_used_make_room(tmp_path: Path) -> None:
    for age, key in enumerate(["old", "older", "oldest"]):
        put(CaseCache(tmp_path), key)
        os.utime(tmp_path / key / "entry.json", (1e9 - age, 1e9 - age))
    gc.collect()
    CaseCache(tmp_path).take("oldest", name="case")  # now it is the latest
    gc.collect()
    put(CaseCache(tmp_path, limit_gib=3.5 * size_gib(tmp_path / "old")), "new")
    assert entries(tmp_path) == {"old", "oldest", "new"}


def test_what_a_living_run_uses_is_never_removed(tmp_path: Path) -> None:
    other = CaseCache(tmp_path)
    kept = put(other, "kept")
    del other  # the arrays alone hold it
    mine = CaseCache(tmp_path, limit_gib=2.5 * size_gib(tmp_path / "kept"))
    put(mine, "a")
    with pytest.raises(NoRoomError, match="in use take"):
        put(mine, "b")
    assert entries(tmp_path) == {"kept", "a"}
    assert litter(tmp_path) == []
    del kept
    gc.collect()
    put(mine, "b")
    assert entries(tmp_path) == {"a", "b"}


def test_a_killed_process_lets_go_of_its_entries(tmp_path: Path) -> None:
    script = (
        "import sys, time, pathlib, numpy as np\n"
        "from vesalius.train.store import CaseCache\n"
        "cache = CaseCache(pathlib.Path(sys.argv[1]))\n"
        "a = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.int16)\n"
        "cache.put('theirs', {'image': a}, {'image': a.shape}, name='case')\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        mine = CaseCache(tmp_path, limit_gib=1.5 * size_gib(tmp_path / "theirs"))
        with pytest.raises(NoRoomError):
            put(mine, "mine")
        child.send_signal(signal.SIGKILL)
        child.wait()
        put(mine, "mine")
    assert entries(tmp_path) == {"mine"}


def test_a_run_that_ends_leaves_no_list(tmp_path: Path) -> None:
    cache = CaseCache(tmp_path)
    assert len(list((tmp_path / "users").iterdir())) == 1
    del cache
    gc.collect()
    assert list((tmp_path / "users").iterdir()) == []


def test_a_file_system_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(VesaliusError, match="no file locks"):
        CaseCache(tmp_path)


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan")])
def test_a_limit_must_be_positive(tmp_path: Path, limit: float) -> None:
    with pytest.raises(VesaliusError, match="limit_gib"):
        CaseCache(tmp_path, limit_gib=limit)
