"""Memory that stays with the process while a network learns."""

import ctypes
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from vesalius.train import heap

FAULTS = """
import resource, sys
from vesalius.train.heap import kept_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        b"x" * (50 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(open("/proc/self/statm").read().split()[1])

usual = faults()
with kept_memory():
    b"x" * (50 << 20)  # the first time the pages are new
    kept, held = faults(), resident()
print(usual, kept, held - resident())
"""


class Malloc:
    """Stands for glibc, and writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name not in ("mallopt", "malloc_trim"):
            raise AttributeError(name)
        return lambda *values: self.told.append(values)


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without a word on malloc."""
    for name in ("MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_pages_are_not_taken_anew_and_are_given_back_at_the_end() -> None:
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        pytest.skip("this system has another C library than glibc")
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, timeout=60)
    usual, kept, given_back = map(int, done.stdout.split())
    assert usual > 20 * 10_000  # 50 MiB are 12,800 pages; huge pages would be fewer
    assert kept < usual / 10
    assert given_back > 10_000


def test_the_first_in_sets_and_the_last_out_puts_back(plain: pytest.MonkeyPatch) -> None:
    malloc = Malloc()
    plain.setattr(heap, "_glibc", lambda: malloc)
    with heap.kept_memory():
        assert malloc.told == [(-1, (1 << 31) - 1), (-3, 1 << 30)]
        with heap.kept_memory():
            pass
        assert len(malloc.told) == 2
    assert malloc.told[2:] == [(-1, 1 << 26), (-3, 1 << 25), (0,)]


@pytest.mark.parametrize(
    ("name", "value"), [("MALLOC_TRIM_THRESHOLD_", "1000"), ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")]
)
def test_who_sets_malloc_himself_is_left_alone(plain: pytest.MonkeyPatch, name: str, value: str) -> None:
    plain.setenv(name, value)
    assert heap._glibc() is None


def test_other_systems_are_left_alone(plain: pytest.MonkeyPatch) -> None:
    plain.setattr(sys, "platform", "darwin")
    assert heap._glibc() is None
    plain.setattr(sys, "platform", "linux")

    def other(_: Any) -> object:
        return object()  # as musl: without mallopt

    plain.setattr(ctypes, "CDLL", other)
    assert heap._glibc() is None
