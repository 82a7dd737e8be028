"""What a network said of a batch, beside what it should have said: what losses are made of, each number made once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vesalius.plan.prepare import IGNORE
from vesalius.train.losses.sums import class_sums


@dataclass(frozen=True, eq=False)
class Classes:
    """One class a voxel: softmax. A voxel costs its own class something.

    Args:
        logits: Of background and structures.
        classes: 0 for the background, 1 … for the structures, `IGNORE` where nobody looked: such voxels count for
            nothing.
        background: How many outputs come before those of the structures.
    """

    logits: Float[Tensor, "b outputs *grid"]
    classes: Int[Tensor, "b *grid"]
    background: int = 1

    @cached_property
    def counted(self) -> Bool[Tensor, "b 1 *grid"]:
        """Where somebody looked."""
        return (self.classes != IGNORE).unsqueeze(1)

    @cached_property
    def chances(self) -> Float[Tensor, "b structures *grid"]:
        """Chances of the structures; 0 where nobody looked."""
        return self._all_chances[:, 1:]

    @cached_property
    def reference(self) -> Bool[Tensor, "b structures *grid"]:
        """Where the structures are; nowhere where nobody looked."""
        return torch.stack([self.classes == number for number in range(1, self.logits.shape[1])], dim=1)

    @cached_property
    def overlaps(self) -> Float[Tensor, "3 outputs"]:
        """Sums over the batch, for every output: chance within the reference, chance, and reference."""
        within, chance, _, voxels = self._sums
        return torch.stack([within, chance, voxels])

    @cached_property
    def surprise(self) -> Float[Tensor, "2 outputs"]:
        """Sums over the batch, for every output: minus the logarithms of its voxels' own chances, and how many."""
        return self._sums[2:]

    def costs(self, price: Callable[[Tensor], Tensor]) -> Float[Tensor, "2 outputs"]:
        """Sums over the batch, for every output: what its voxels cost, and how many they are.

        Args:
            price: Of the logarithm of the chance that the truth was given.
        """
        return torch.stack([self._by_class(price(self._own)), self._by_class(torch.ones_like(self._own))])

    @cached_property
    def _sums(self) -> Tensor:
        return class_sums(self.logits, self.classes, ignored=IGNORE)

    @cached_property
    def _log_chances(self) -> Tensor:
        return self.logits.float().log_softmax(1)

    @cached_property
    def _all_chances(self) -> Tensor:
        return self._log_chances.exp() * self.counted

    @cached_property
    def _own(self) -> Tensor:
        return self._log_chances.gather(1, self.classes.clamp(min=0).long().unsqueeze(1)).squeeze(1)

    @cached_property
    def _bins(self) -> Tensor:
        """A bin for each class of each image: sums over one image are rounded less. The first is for ignored voxels."""
        images = torch.arange(len(self.classes), device=self.classes.device) * (self.logits.shape[1] + 1)
        return ((images - IGNORE).unsqueeze(1) + self.classes.flatten(1)).flatten()

    def _by_class(self, values: Tensor) -> Tensor:
        images, classes = self.logits.shape[:2]
        sums = values.new_zeros(images * (classes + 1)).scatter_add(0, self._bins, values.flatten())
        return sums.reshape(images, classes + 1).sum(0)[1:]


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions that may overlap: a sigmoid each. A voxel costs something for each of them.

    Args:
        logits: Of the regions.
        classes: 0 for the background, 1 … for the plan's labels, `IGNORE` where nobody looked.
        memberships: Which classes belong to each region.
        background: How many outputs come before those of the regions.
    """

    logits: Float[Tensor, "b outputs *grid"]
    classes: Int[Tensor, "b *grid"]
    memberships: Bool[Tensor, "outputs labels"]
    background: int = 0

    @cached_property
    def counted(self) -> Bool[Tensor, "b 1 *grid"]:
        """Where somebody looked."""
        return (self.classes != IGNORE).unsqueeze(1)

    @cached_property
    def chances(self) -> Float[Tensor, "b structures *grid"]:
        """Chances of the regions; 0 where nobody looked."""
        return self.logits.float().sigmoid() * self.counted

    @cached_property
    def reference(self) -> Bool[Tensor, "b structures *grid"]:
        """Where the regions are; nowhere where nobody looked."""
        return self.memberships.T[self.classes.clamp(min=0).long()].movedim(-1, 1) & self.counted

    @cached_property
    def overlaps(self) -> Float[Tensor, "3 outputs"]:
        """Sums over the batch, for every output: chance within the reference, chance, and reference."""
        return torch.stack([self._sum(x) for x in (self.chances * self.reference, self.chances, self.reference)])

    @cached_property
    def surprise(self) -> Float[Tensor, "2 outputs"]:
        """Sums over the batch, for every output: minus the logarithms of the chances of the truth, and how many."""
        return self.costs(torch.neg)

    def costs(self, price: Callable[[Tensor], Tensor]) -> Float[Tensor, "2 outputs"]:
        """Sums over the batch, for every output: what the voxels cost, and how many they are.

        Args:
            price: Of the logarithm of the chance that the truth was given.
        """
        logits = self.logits.float()
        own = F.logsigmoid(torch.where(self.reference, logits, -logits))
        return torch.stack([self._sum(price(own) * self.counted), self._sum(self.counted.expand_as(logits))])

    def _sum(self, values: Tensor) -> Tensor:
        return values.sum(dim=(0, *range(2, values.ndim)), dtype=torch.float32)


Answer = Classes | Regions
"""Either; losses do not ask which."""
