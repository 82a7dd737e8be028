import math
from collections.abc import Sequence

import pytest
import torch
from phantoms import FACTS

from vesalius.nets import NetworkSpec, UNetSpec
from vesalius.plan import Budget, make_plan, measure
from vesalius.plan.choice import wanted_steps
from vesalius.plan.measure import Crowding, step_seconds

NET = UNetSpec.plain(ndim=2, in_channels=1, out_channels=2, features=(8, 16))


def test_a_step_is_timed_and_leaves_random_numbers_alone() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    crowding = Crowding()
    assert 0 < step_seconds(NET, (16, 16), 2, device="cpu", repeats=2, crowding=crowding) < 60
    assert torch.equal(before, torch.random.get_rng_state())
    assert 1 <= crowding.least < math.inf


class Clocks:
    """A network whose steps take, and let each thread compute, so many seconds as are listed."""

    def __init__(self, steps: Sequence[tuple[float, float]], monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = list(steps)
        self.now = self.computed = 0.0
        monkeypatch.setattr(measure, "fast_dtype", lambda _: torch.float32)
        monkeypatch.setattr(measure, "build", lambda _: self)
        monkeypatch.setattr(measure.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(measure.time, "process_time", lambda: self.computed * torch.get_num_threads())

    def to(self, *_: object, **__: object) -> "Clocks":
        return self

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        taken, computed = self.steps.pop(0)
        self.now += taken
        self.computed += computed
        return image.clone().requires_grad_()


def test_waiting_counts_as_at_the_least_disturbed_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    crowding = Crowding()
    # After the one that warms up, steps compute 2 s; others make them take 8, 3 and 12 s: at best 1.5 times as long.
    Clocks([(20, 10), (8, 2), (3, 2), (12, 2)], monkeypatch)
    assert step_seconds(NET, (4, 4), 1, device="cpu", repeats=3, most_s=1e9, crowding=crowding) == pytest.approx(3)
    # What was found once holds for the next network, though it is disturbed all the time.
    Clocks([(20, 10), (8, 4), (9, 4)], monkeypatch)
    assert step_seconds(NET, (4, 4), 1, device="cpu", repeats=2, most_s=1e9, crowding=crowding) == pytest.approx(6)


def test_timing_takes_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Clocks([(20, 20), (8, 8)], monkeypatch)
    assert step_seconds(NET, (4, 4), 1, device="cpu", most_s=10.0) == pytest.approx(20)  # the first alone took longer
    assert len(slow.steps) == 1
    quick = Clocks([(4, 4), (3, 3), (3, 3), (3, 3)], monkeypatch)
    assert step_seconds(NET, (4, 4), 1, device="cpu", most_s=10.0) == pytest.approx(3)
    assert len(quick.steps) == 1


def test_what_was_missed_narrowly_is_timed_again() -> None:
    largest = make_plan(FACTS, Budget(steps=10, memory_gib=64), step_seconds=lambda *_: 1.0)
    budget = Budget(time_s=1200, memory_gib=64)
    voxels = math.prod(largest.patch_size) * largest.batch_size
    calm = (
        1200 * 0.85 / (1.2 * wanted_steps(1200) * voxels)
    )  # seconds a voxel at which the largest gets 1.2 times enough
    asked: list[NetworkSpec] = []

    def disturbed_at_first(spec: NetworkSpec, patch_size: Sequence[int], batch_size: int) -> float:
        asked.append(spec)
        return calm * math.prod(patch_size) * batch_size * (1.5 if len(asked) == 1 else 1.0)

    assert make_plan(FACTS, budget, step_seconds=disturbed_at_first).network == largest.network
    assert asked.count(largest.network) == 2
