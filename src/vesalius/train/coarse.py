"""What the coarse stage of a cascade finds in the cases that the fine stage learns from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vesalius.bundle import Bundle
from vesalius.errors import DataError
from vesalius.image import Dataset
from vesalius.io.atomic import atomic_path, explained, make_folder
from vesalius.plan import Plan, prepare
from vesalius.predict import coarse_classes, load_segmenter
from vesalius.train.cache import CachedCase


@dataclass(frozen=True)
class CoarseStage:
    """The first stage of a cascade.

    Args:
        bundle: Trained by cross-validation: a member for each fold.
        folds: The cases of each fold, which its member has not seen.
    """

    bundle: Bundle
    folds: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if len(self.folds) != len(self.bundle.members):
            raise DataError(f"{len(self.folds)} folds need as many networks, not {len(self.bundle.members)}")


def with_coarse_classes(
    cases: Sequence[CachedCase],
    dataset: Dataset,
    plan: Plan,
    stage: CoarseStage,
    folder: Path,
    *,
    device: str,
    progress: Callable[[int, int], None] | None = None,
) -> list[CachedCase]:
    """Give each prepared case what the coarse stage found in it: the network of the fold that had not seen it.

    A network that has seen a case is better on it than it will be on a new patient's, and the fine stage would learn
    to trust it too much.

    Args:
        cases: Prepared for the fine stage, in the data set's order.
        dataset: The same cases.
        plan: Of the fine stage.
        stage: The coarse one.
        folder: Where the arrays go; those that are there are taken up.
        device: Where to compute.
        progress: Called with (done, total).

    Raises:
        DataError: A case belongs to no fold.
        VesaliusError: The folder cannot be written.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z (the cascade learns from cross-validated segmentations).
    """
    make_folder(folder)
    home = {case: number for number, fold in enumerate(stage.folds) for case in fold}
    segmenters = [
        load_segmenter(stage.bundle, device=device, members=(number,)) for number in range(len(stage.bundle.members))
    ]
    found = []
    for number, cached in enumerate(cases):
        if cached.id not in home:
            raise DataError(f"case {cached.id} belongs to no fold of the coarse stage; train both on the same cases")
        path = folder / f"{cached.key}-{home[cached.id]}.npy"
        if not path.is_file():
            image = dataset[number].image
            classes = coarse_classes(image, segmenters[home[cached.id]], prepare(image, plan).grid)
            with explained("the coarse classes"), atomic_path(path) as part, part.open("wb") as file:
                np.save(file, classes, allow_pickle=False)
        found.append(replace(cached, coarse=np.load(path, mmap_mode="r", allow_pickle=False)))
        if progress is not None:
            progress(number + 1, len(cases))
    return found
