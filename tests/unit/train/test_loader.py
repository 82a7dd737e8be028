import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from phantoms import ball_dataset

from vesalius.errors import DataError, PlanError
from vesalius.plan import Budget, Plan, fingerprint, make_plan, with_settings
from vesalius.train import loader as home
from vesalius.train.batches import RawBatch, draw_windows
from vesalius.train.cache import CachedCase, build_cache
from vesalius.train.loader import Loader
from vesalius.train.tiles import TiledArray


@pytest.fixture(scope="module")
def drawn_from(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, list[CachedCase]]:
    made = make_plan(fingerprint(ball_dataset(4)), Budget(steps=2), step_seconds=lambda *_: 0.01)
    plan = with_settings(made, ["batch_size=3", "network.features=8,16,16", "patch_size=16,16,16"])
    return plan, build_cache(ball_dataset(4), plan, tmp_path_factory.mktemp("cases"), memory_gib=0)


def running() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("loader")]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_batches_and_their_order_do_not_depend_on_the_threads(drawn_from, workers: int) -> None:
    plan, cases = drawn_from
    with Loader(cases, plan, seed=5, start=2, workers=workers) as loader:
        for step in range(2, 8):
            assert loader.step == step
            batch, alone = next(loader), draw_windows(cases, plan, seed=5, step=step)
            assert torch.equal(batch.images, alone.images)
            assert torch.equal(batch.classes, alone.classes)
    assert running() == []


def test_rows_are_those_of_the_whole_batch(drawn_from) -> None:
    plan, cases = drawn_from
    with Loader(cases, plan, seed=5, rows=slice(1, 3), workers=1) as loader:
        assert torch.equal(next(loader).images, draw_windows(cases, plan, seed=5, step=0).images[1:3])


def test_threads_run_ahead_and_no_further_than_they_may(drawn_from, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, cases = drawn_from
    drawn: list[int] = []

    def draw(*arguments, step: int, **how) -> RawBatch:  # type: ignore[no-untyped-def]
        drawn.append(step)
        return draw_windows(*arguments, step=step, **how)

    monkeypatch.setattr(home, "draw_windows", draw)
    with Loader(cases, plan, seed=0, workers=2, depth=3) as loader:
        next(loader)
        wait_until(lambda: len(drawn) == 3)
        time.sleep(0.05)
        assert sorted(drawn) == [0, 1, 2]


def wait_until(happened) -> None:  # type: ignore[no-untyped-def]
    for _ in range(500):
        if happened():
            return
        time.sleep(0.01)
    pytest.fail("it did not happen in five seconds")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_case_that_can_no_longer_be_read_stops_the_run_by_name(drawn_from, tmp_path: Path, workers: int) -> None:
    plan, cases = drawn_from
    image = cases[2].image
    assert isinstance(image, TiledArray)
    (tmp_path / "cut.b2nd").write_bytes(image.path.read_bytes()[:100])
    broken = [*cases[:2], replace(cases[2], image=replace(image, path=tmp_path / "cut.b2nd")), cases[3]]
    with (
        pytest.raises(DataError, match=r"^case case2: the prepared image can no longer be read .*checksum"),
        Loader(broken, plan, seed=0, workers=workers) as loader,
    ):
        for _ in range(4):  # every case comes within two batches
            next(loader)
    assert running() == []


class Unreadable:
    """Stands for an array whose reading fails in a way that nobody thought of."""

    shape, dtype, nbytes = (1, 24, 28, 20), np.dtype(np.float32), 0

    def __getitem__(self, window: object) -> np.ndarray:
        raise MemoryError

    def __array__(self, dtype: object = None) -> np.ndarray:
        raise MemoryError


def test_any_cause_is_told_with_the_case(drawn_from) -> None:
    plan, cases = drawn_from
    broken = [replace(case, image=Unreadable()) for case in cases[:1]]
    with (
        pytest.raises(DataError, match=r"^case case0: MemoryError") as caught,
        Loader(broken, plan, seed=0, workers=1) as loader,
    ):
        next(loader)
    assert isinstance(caught.value.__cause__, MemoryError)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_whatever_ends_the_block_ends_the_threads(drawn_from, error: type[BaseException]) -> None:
    plan, cases = drawn_from
    with pytest.raises(error), Loader(cases, plan, seed=0, workers=2) as loader:
        next(loader)
        raise error
    assert running() == []


def test_a_loader_that_is_forgotten_ends(drawn_from) -> None:
    plan, cases = drawn_from
    next(Loader(cases, plan, seed=0, workers=2))
    wait_until(lambda: running() == [])


@pytest.mark.parametrize(
    "how", [{"seed": -1}, {"workers": -1}, {"start": -1}, {"depth": 0}, {"workers": 5, "depth": 4}]
)
def test_numbers_out_of_range_are_refused(drawn_from, how: dict[str, int]) -> None:
    plan, cases = drawn_from
    with pytest.raises(PlanError, match="depth"):
        Loader(cases, plan, **{"seed": 0, **how})


def test_no_case_is_refused(drawn_from) -> None:
    with pytest.raises(PlanError, match="no case"):
        Loader([], drawn_from[0], seed=0)
