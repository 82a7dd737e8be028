"""The cases that are watched while a network learns, and the time that validating will take."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from vesalius.image import Grid
from vesalius.nets import build
from vesalius.plan import Plan, Prepared
from vesalius.predict import logits_of
from vesalius.train.cache import CachedCase

MARGIN_S = 6.0
"""For writing the bundle and leaving."""


class Looking:
    """Segments the watched cases now and then, and knows how long validating will take."""

    def __init__(self, watched: Sequence[CachedCase], plan: Plan, validations: int, device: torch.device) -> None:
        self.watched, self.plan, self.taken = watched, plan, 0
        self.reserve_s = MARGIN_S
        if watched:
            # The first run builds the kernels; the second is what each case will take.
            network = build(plan.network).to(device).eval()
            for _ in range(2):
                start = time.monotonic()
                self._classes(watched[0], network, plan.mirror_axes)
                seconds = time.monotonic() - start
            self.reserve_s += 2.5 * seconds * validations
            if plan.budget.time_s is not None:
                self.reserve_s = min(self.reserve_s, MARGIN_S + 0.08 * plan.budget.time_s)

    def _classes(self, case: CachedCase, network: nn.Module, mirror_axes: tuple[int, ...]) -> NDArray[np.int64]:
        grid = Grid.from_spacing(case.classes.shape, self.plan.spacing_mm)
        prepared = Prepared(np.array(case.image), grid, grid)
        with logits_of(prepared, network, self.plan, mirror_axes=mirror_axes, overlap=self.plan.overlap) as logits:
            return np.asarray(logits.argmax(axis=0))

    def dice(self, network: nn.Module) -> float:
        """Mean foreground Dice over the watched cases, at the network's own resolution."""
        self.taken += 1
        found = []
        for case in self.watched:
            predicted = self._classes(case, network, ())
            reference = np.asarray(case.classes)
            predicted[reference < 0] = -1
            for number in range(1, len(self.plan.labels) + 1):
                mine, theirs = predicted == number, reference == number
                total = int(mine.sum() + theirs.sum())
                if total:
                    found.append(2 * int((mine & theirs).sum()) / total)
        return float(np.mean(found)) if found else math.nan
