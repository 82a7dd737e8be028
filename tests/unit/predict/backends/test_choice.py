"""Which engine is chosen, and when: engines take as long as they are told to, and a clock waits for them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from vesalius.errors import PlanError
from vesalius.predict.backends.choice import REFERENCE, Choice, alike, labels_of

FAST, SLOW, EXACT = "openvino-bfloat16", "torch-bfloat16", "openvino-float32"
LINES = [[SLOW, FAST], [REFERENCE, EXACT]]


class Workshop:
    """Engines by name: seconds a window, and how many voxels of each window they get wrong."""

    def __init__(
        self, seconds: dict[str, float], wrong: dict[str, int] | None = None, broken: Sequence[str] = ()
    ) -> None:
        self.now, self.loaded, self.kept = 0.0, [], []
        self.seconds, self.wrong, self.broken = {REFERENCE: 10.0, **seconds}, wrong or {}, broken

    def load(self, name):
        if name in self.broken:
            raise PlanError("it does not take this network")
        self.loaded.append(name)

        def run(windows):
            self.now += self.seconds[name] * len(windows)
            logits = torch.stack([torch.full_like(windows[:, 0], 0.5), windows[:, 0]], dim=1)
            logits[:, 1].flatten(1)[:, : self.wrong.get(name, 0)] *= -1
            return logits

        return run

    def choice(self, lines=LINES, price_s: float = 10.0, **how) -> Choice:
        return Choice(
            lines, self.load, price_s=lambda _: price_s, settled=self.kept.append, clock=lambda: self.now, **how
        )


def windows(count: int = 1, found: bool = True) -> torch.Tensor:
    """Of 100 x 100 voxels, of which a tenth is foreground, first in memory, or none."""
    made = torch.zeros(count, 1, 100, 100)
    made[:, :, :10] = float(found)
    return made


def names(choice: Choice, batches: int, *, count: int = 1, ahead: int | None = None, found: bool = True) -> list[str]:
    """Who computed each batch; ``ahead`` are known to follow the last."""
    steps = range(batches - 1, -1, -1)
    return [choice.compute(windows(count, found), ahead=0 if ahead is None else ahead + step)[1] for step in steps]


# --- when it pays -----------------------------------------------------------------------------------------------------


def test_little_work_stays_with_what_is_ready():
    shop = Workshop({SLOW: 1.0, FAST: 0.1})
    assert names(shop.choice(), 10, ahead=0) == [SLOW] * 10
    assert shop.loaded == [SLOW]


def test_much_work_is_handed_over_after_the_first_batch():
    shop = Workshop({SLOW: 1.0, FAST: 0.1})
    assert names(shop.choice(), 10, ahead=15) == [SLOW, *[FAST] * 9]


def test_work_that_nobody_announced_is_handed_over_when_its_half_would_have_paid():
    shop = Workshop({SLOW: 1.0, FAST: 0.1})
    assert names(shop.choice(price_s=10.0), 30) == [*[SLOW] * 21, *[FAST] * 9]


def test_windows_count_and_not_batches():
    shop = Workshop({SLOW: 1.0, FAST: 0.1})
    assert names(shop.choice(), 4, count=4, ahead=4) == [SLOW, *[FAST] * 3]
    assert names(Workshop({SLOW: 1.0, FAST: 0.1}).choice(), 4, count=2, ahead=4) == [SLOW] * 4


def test_one_image_after_the_other_is_one_piece_of_work():
    choice = Workshop({SLOW: 1.0, FAST: 0.1}).choice()
    found = [name for _ in range(15) for name in names(choice, 2, ahead=0)]
    assert found == [*[SLOW] * 20, *[FAST] * 10]


# --- which stays ------------------------------------------------------------------------------------------------------


def test_a_rival_that_is_slower_is_sent_away():
    shop = Workshop({SLOW: 1.0, FAST: 1.5})
    assert names(shop.choice(), 10, ahead=90) == [SLOW, *[FAST] * 3, *[SLOW] * 6]
    assert shop.kept == [SLOW]


def test_the_first_batch_of_an_engine_is_not_held_against_it():
    shop = Workshop({SLOW: 1.0, FAST: 0.1})
    choice = shop.choice()
    names(choice, 1, ahead=99)
    shop.seconds[FAST] = 5.0
    names(choice, 1, ahead=98)
    shop.seconds[FAST] = 0.5
    assert names(choice, 5, ahead=90) == [FAST] * 5


def test_a_rival_that_does_not_take_the_network_is_forgotten():
    shop = Workshop({SLOW: 1.0}, broken=[FAST])
    assert names(shop.choice(), 10, ahead=90) == [SLOW] * 10
    assert shop.loaded == [SLOW]


def test_it_is_told_once_what_stays():
    shop = Workshop({SLOW: 1.0, FAST: 0.1})
    names(shop.choice(), 20, ahead=90)
    assert shop.kept == [FAST]


def test_what_was_chosen_before_is_taken_without_a_trial():
    shop = Workshop({SLOW: 1.0, FAST: 5.0})
    assert names(shop.choice([[SLOW, FAST]], proven=True), 8, ahead=90) == [SLOW, *[FAST] * 7]
    assert shop.loaded == [SLOW, FAST]  # and not the reference
    assert shop.kept == []


def test_one_that_was_named_is_all_there_is():
    shop = Workshop({FAST: 0.1}, wrong={FAST: 500})
    assert names(shop.choice([[FAST]]), 5, ahead=90) == [FAST] * 5
    assert shop.loaded == [FAST]


# --- honesty ----------------------------------------------------------------------------------------------------------


def test_wrong_labels_are_found_out_and_not_given():
    shop = Workshop({SLOW: 1.0, FAST: 0.1, EXACT: 3.0}, wrong={FAST: 11, SLOW: 11})
    choice = shop.choice()
    assert names(choice, 1, ahead=90) == [SLOW]
    logits, name = choice.compute(windows(), ahead=89)
    assert name == REFERENCE
    assert labels_of(logits, regions=False).sum() == 1000
    assert names(choice, 8, ahead=80) == [*[EXACT] * 8]
    assert shop.kept == [EXACT]


def test_engines_that_are_wrong_in_every_number_format_leave_the_reference():
    shop = Workshop({SLOW: 1.0, FAST: 0.1, EXACT: 3.0}, wrong={FAST: 11, EXACT: 11})
    assert names(shop.choice(), 6, ahead=90) == [SLOW, *[REFERENCE] * 5]


def test_who_wins_the_trial_is_checked_as_well():
    shop = Workshop({SLOW: 1.0, FAST: 2.0, EXACT: 20.0}, wrong={SLOW: 11})
    assert names(shop.choice(), 6, ahead=90)[:4] == [SLOW, *[FAST] * 3]
    assert shop.kept == []
    assert names(shop.choice(), 12, ahead=90)[4:] == [REFERENCE, *[EXACT] * 3, *[REFERENCE] * 4]


def test_nothing_found_says_nothing():
    shop = Workshop({SLOW: 1.0, FAST: 0.1}, wrong={FAST: 11})
    choice = shop.choice()
    assert names(choice, 6, ahead=90, found=False) == [SLOW, *[FAST] * 5]
    assert shop.kept == []
    assert names(choice, 1, ahead=80) == [REFERENCE]


def test_the_window_with_the_most_in_it_is_looked_at():
    shop = Workshop({SLOW: 1.0, FAST: 0.1}, wrong={FAST: 11})
    several = torch.cat([windows(found=False), windows()])
    choice = shop.choice()
    assert [choice.compute(several, ahead=90)[1] for _ in range(2)] == [SLOW, REFERENCE]


def test_what_counts_as_alike():
    right = torch.zeros(1, 1, 200, 200)
    right[..., :50, :] = 1
    for wrong, same in ((40, True), (41, False)):  # one in a thousand
        labels = right.clone()
        labels.flatten()[:wrong] = 2
        assert alike(labels, right) == same
    small = torch.zeros(1, 1, 200, 200)
    small.flatten()[:2000] = 1
    for wrong, same in ((20, True), (21, False)):  # one in a hundred of what is found
        labels = small.clone()
        labels.flatten()[:wrong] = 0
        assert alike(labels, small) == same


def test_regions_are_compared_one_by_one():
    logits = torch.full((1, 2, 100, 100), -1.0)
    logits[:, 0, :50] = 1.0
    other = logits.clone()
    other[:, 1, :50] = 1.0
    right, found = (labels_of(one, regions=True) for one in (logits, other))
    assert alike(right, right)
    assert not alike(found, right)


def test_threads_share_a_choice():
    shop = Workshop({SLOW: 1.0, FAST: 0.1, EXACT: 3.0}, wrong={FAST: 11})
    choice = shop.choice()

    def work(number: int) -> bool:
        logits, _ = choice.compute(windows(), ahead=90)
        return int(labels_of(logits, regions=False).sum()) == 1000

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(40)))
    assert shop.loaded.count(FAST) == 1


@pytest.mark.parametrize("fault", [ValueError, RuntimeError])
def test_a_fault_is_not_hidden(fault):
    def load(name):
        raise fault("broken")

    with pytest.raises(fault):
        Choice(LINES, load, price_s=lambda _: 1.0)
