"""Which engine computes windows of one shape: found out while they are computed."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jaxtyping import Float, Shaped
from torch import Tensor

from vesalius.errors import MissingDependencyError, PlanError
from vesalius.predict.backends.engine import Run

REFERENCE = "torch-float32"
"""The engine whose labels are right."""

_TRIAL = 3  # batches of an engine before it is judged; the first, in which memory is taken, is not timed
_HOPED = 2.0  # times as fast is what a rival is hoped to be before it has been tried
_ALIKE = 0.999  # share of a window's voxels that get the reference's label
_ALIKE_INSIDE = 0.99  # the same, of those that either calls foreground
_FEW, _ENOUGH = 10, 100  # foreground voxels that may differ in any case, and that there must be to say something


@dataclass
class _Pace:
    """How fast an engine has been.

    Args:
        run: The engine, ready.
        batches: It has computed.
        spent_s: It took for them.
        first_s: For a window of the first batch, in which memory was taken.
        least_s: For a window of the others, at their least disturbed by other programs.
    """

    run: Run
    batches: int = 0
    spent_s: float = 0.0
    first_s: float = math.inf
    least_s: float = math.inf

    @property
    def window_s(self) -> float:
        """For a window, as far as is known."""
        return self.least_s if self.batches > 1 else self.first_s

    def note(self, took_s: float, windows: int) -> None:
        """Another batch."""
        self.batches += 1
        self.spent_s += took_s
        if self.batches == 1:
            self.first_s = took_s / windows
        else:
            self.least_s = min(self.least_s, took_s / windows)


class Choice:
    """The engine for windows of one shape, for one image after the other.

    It begins with an engine that needs no making ready. A rival is made ready when that pays: when half of the time
    that the windows so far have taken and those to come will take is more than its price, so that a rival twice as fast
    earns it, or would have earned it by now. Whatever comes, that costs about twice at most what knowing the future
    would have cost. Rivals are tried on the windows at hand, whose logits are used, and the fastest stays.

    Once rivals are tried, every engine but the reference is checked against it, on the first batch in which it finds
    a hundred voxels. One that gives other labels to more than one voxel in a thousand, or to more than one in a hundred
    (and more than ten) of those that either calls foreground, is given up with all of its line, and so are its logits
    of that batch.

    Args:
        lines: Engines, by name: of each line the one to begin with and its rivals. The next line is for when an engine
            of this one gives other labels than the reference.
        load: Makes an engine ready.
        price_s: What that takes, seconds.
        regions: Whether logits are of regions that overlap, each by itself.
        proven: The first line has been through this before: its last engine is taken as soon as it pays, unchecked.
        settled: Called with the engine that stays, when rivals have been tried and it has been checked.
        clock: Seconds.

    Source: Karlin et al. 1988, doi:10.1007/BF01762111 (when to pay a price for going faster: ski rental).
    """

    def __init__(
        self,
        lines: Sequence[Sequence[str]],
        load: Callable[[str], Run],
        *,
        price_s: Callable[[str], float],
        regions: bool = False,
        proven: bool = False,
        settled: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._lines = [list(line) for line in lines]
        self._load, self._price_s, self._regions = load, price_s, regions
        self._proven, self._settled, self._clock = proven, settled, clock
        self._checked = {REFERENCE}
        self._on_trial = False
        self._changing = threading.Lock()
        self._start_line()

    def compute(self, windows: Tensor, *, ahead: int) -> tuple[Tensor, str]:
        """Logits of windows, and the engine that computed them.

        Args:
            windows: ``(b, c, *patch)``.
            ahead: Batches that are known to follow.
        """
        while True:
            with self._changing:
                if self._rivals and self._pays(self._rivals[0], ahead * len(windows)):
                    self._try(self._rivals.pop(0))
                name, pace = self._now, self._paces[self._now]
            began = self._clock()
            logits = pace.run(windows)
            took_s = self._clock() - began
            with self._changing:
                pace.note(took_s, len(windows))
                if not self._on_trial or self._is_honest(name, windows, logits):
                    self._judge()
                    return logits, name
                if name in self._paces:  # no other thread has found it out
                    self._start_line()

    def _start_line(self) -> None:
        self._now, *self._rivals = self._lines.pop(0) if self._lines else [REFERENCE]
        self._paces = {self._now: _Pace(self._load(self._now))}

    def _pays(self, rival: str, windows_ahead: int) -> bool:
        window_s = self._paces[self._now].window_s
        if math.isinf(window_s):
            return False  # nothing is known yet
        work_s = sum(pace.spent_s for pace in self._paces.values()) + windows_ahead * window_s
        return work_s * (1 - 1 / _HOPED) > self._price_s(rival)

    def _try(self, rival: str) -> None:
        try:
            self._paces[rival] = _Pace(self._load(rival))
        except (PlanError, MissingDependencyError):
            return  # the engine that is at work takes every network
        self._now = rival
        self._on_trial = not self._proven

    def _is_honest(self, name: str, windows: Tensor, logits: Tensor) -> bool:
        """Whether an engine gives the reference's labels; it is believed as long as it finds next to nothing."""
        if name in self._checked:
            return True
        labels = labels_of(logits, regions=self._regions)
        found = labels.flatten(1).count_nonzero(dim=1)
        most = int(found.argmax())
        if found[most] < _ENOUGH:
            return True
        right = labels_of(self._load(REFERENCE)(windows[most : most + 1]), regions=self._regions)
        if not alike(labels[most : most + 1], right):
            return False
        self._checked.add(name)
        return True

    def _judge(self) -> None:
        """Go on with the fastest, once the one on trial has shown what it can; all is settled when that was checked."""
        if not self._on_trial or self._paces[self._now].batches < _TRIAL:
            return
        self._now = min(self._paces, key=lambda name: self._paces[name].window_s)
        if not self._rivals and self._now in self._checked and self._paces[self._now].batches >= _TRIAL:
            self._on_trial = False
            self._paces = {self._now: self._paces[self._now]}
            self._settled(self._now)


def labels_of(logits: Float[Tensor, "b outputs *grid"], *, regions: bool) -> Shaped[Tensor, "b _ *grid"]:
    """The label at each voxel, 0 for background; for regions whether it is in each."""
    return logits > 0 if regions else logits.argmax(dim=1, keepdim=True)


def alike(labels: Shaped[Tensor, "b c *grid"], right: Shaped[Tensor, "b c *grid"]) -> bool:
    """Whether labels are as good as those of the reference; see `Choice`.

    Args:
        labels: See `labels_of`.
        right: The reference's.

    Example:
        >>> import torch
        >>> right = torch.zeros(1, 1, 100, 100)
        >>> right[..., 40:60, 40:60] = 1
        >>> one = right.clone()
        >>> one[..., 40, 40:44] = 0
        >>> alike(one, right), alike(one.roll(1, -1), right)
        (True, False)
    """
    wrong = (labels != right).any(dim=1)
    inside = ((labels != 0) | (right != 0)).any(dim=1)
    count = int(wrong.sum())
    return count <= (1 - _ALIKE) * wrong.numel() and count <= max(_FEW, (1 - _ALIKE_INSIDE) * int(inside.sum()))
