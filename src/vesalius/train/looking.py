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
from vesalius.plan.prepare import IGNORE, memberships
from vesalius.predict import as_it_is, logits_of, with_coarse
from vesalius.predict.views import AS_IT_IS, Views, planned_views
from vesalius.train.cache import CachedCase

MARGIN_S = 6.0
"""For writing the bundle and leaving."""


class Looking:
    """Segments the watched cases now and then, and knows how long validating will take."""

    def __init__(self, watched: Sequence[CachedCase], plan: Plan, validations: int, device: torch.device) -> None:
        self.watched, self.plan = watched, plan
        self.reserve_s = MARGIN_S
        if watched:
            # The first run builds the kernels; the second is what each case will take.
            network = build(plan.network).to(device).eval()
            for _ in range(2):
                start = time.monotonic()
                self._says(watched[0], network, planned_views(plan))
                seconds = time.monotonic() - start
            self.reserve_s += 2.5 * seconds * validations
            if plan.budget.time_s is not None:
                self.reserve_s = min(self.reserve_s, MARGIN_S + 0.08 * plan.budget.time_s)

    def _says(self, case: CachedCase, network: nn.Module, views: Views) -> NDArray[np.bool_]:
        """``(outputs, *grid)``: where the network sees each label or region."""
        grid = Grid.from_spacing(case.classes.shape, self.plan.spacing_mm)
        prepared = Prepared(np.array(case.image), grid, grid)
        if case.coarse is not None:
            prepared = with_coarse(prepared, np.asarray(case.coarse), self.plan)
        with logits_of(prepared, as_it_is(network), self.plan, views=views, overlap=self.plan.overlap) as logits:
            if self.plan.regions:
                return np.asarray(logits > 0)
            numbers = np.arange(1, len(logits)).reshape(-1, *(1,) * grid.ndim)
            return np.asarray(numbers == logits.argmax(axis=0))

    def dice(self, network: nn.Module) -> float:
        """Mean Dice of labels or regions over the watched cases, at the network's own resolution."""
        found = []
        belongs = memberships(self.plan)
        for case in self.watched:
            reference = np.asarray(case.classes)
            for mine, values in zip(self._says(case, network, AS_IT_IS), belongs, strict=True):
                theirs = np.isin(reference, np.flatnonzero(values))
                total = int((mine & (reference != IGNORE)).sum() + theirs.sum())
                if total:
                    found.append(2 * int((mine & theirs).sum()) / total)
        return float(np.mean(found)) if found else math.nan
