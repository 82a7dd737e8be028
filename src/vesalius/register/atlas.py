"""Segmentation by atlases: labelled images are registered to the target, and their labels, brought there, vote."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from vesalius.errors import DataError, GeometryError, VesaliusError, unknown_name
from vesalius.image import LabelMap, Volume
from vesalius.register.alignment import Fitness, Kind
from vesalius.register.apply import align
from vesalius.register.likeness import Measure
from vesalius.register.registration import Start, register
from vesalius.transform.consensus import majority, staple

Fusion = Literal["majority", "staple"]
"""How votes are counted: each alike, or weighed by how well an atlas agrees with all."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """An image whose structures somebody has labelled.

    Args:
        image: One channel.
        labels: On the image's grid.

    Raises:
        GeometryError: The grids differ.
    """

    image: Volume
    labels: LabelMap

    def __post_init__(self) -> None:
        if not self.image.grid.is_close(self.labels.grid, tolerance_mm=0.1):
            raise GeometryError(
                f"an atlas's image {self.image.grid.shape} and labels {self.labels.grid.shape} lie on different grids"
            )


@dataclass(frozen=True, eq=False)
class AtlasLabels:
    """What the atlases say together.

    Args:
        labels: On the target's grid.
        fitness: Of each atlas's registration, in order.
    """

    labels: LabelMap
    fitness: tuple[Fitness, ...]


def segment_with_atlases(
    target: Volume,
    atlases: Sequence[Atlas],
    *,
    kind: Kind = "deformable",
    fusion: Fusion = "majority",
    measure: Measure = "mutual-information",
    start: Start = "search",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> AtlasLabels:
    """Carry the labels of several atlases onto an image, and let them vote.

    Made for structures whose brightness does not tell them from their neighbours while their place does, and for the
    first labels of a data set: five to ten atlases are worth far more than one. An atlas of the same kind of image, cut
    to the same field of view, fits best.

    Args:
        target: 2D or 3D, one channel.
        atlases: One or more, of as many dimensions; their labels are known by value.
        kind: How an atlas may move: see `vesalius.register.register`.
        fusion: How votes are counted.
        measure: What the linear part of the registration makes large.
        start: Where it begins.
        seed: Of the places at which it is taken.
        progress: Told how many atlases are done, of how many.

    Returns:
        The labels, and how well each atlas fits.

    Raises:
        DataError: There is no atlas, or what `vesalius.register.register` raises.
        VesaliusError: The fusion is unknown.
        MissingDependencyError: SimpleITK is not installed.

    Example:
        >>> import numpy as np
        >>> from vesalius.image import Grid, Labels
        >>> x, y = np.meshgrid(np.arange(48.0), np.arange(48.0), indexing="ij")
        >>> def ellipse(centre):
        ...     grid = Grid.from_spacing((48, 48), (1.0, 1.0))
        ...     inside = (x - centre) ** 2 / 196 + (y - 24) ** 2 / 81 < 1
        ...     image = Volume(np.where(inside, 100.0, 10.0)[None], grid)
        ...     return Atlas(image, LabelMap(inside.astype(np.uint8), grid, Labels.of({"kidney": 1})))
        >>> wanted = ellipse(22)
        >>> found = segment_with_atlases(wanted.image, [ellipse(25), ellipse(20)], kind="rigid")
        >>> bool((found.labels.array == wanted.labels.array).mean() > 0.99)
        True

    Source: Heckemann et al., NeuroImage 33:115 (2006), doi:10.1016/j.neuroimage.2006.05.061 (several atlases and a
    vote); Rohlfing et al., NeuroImage 21:1428 (2004), doi:10.1016/j.neuroimage.2003.11.010 (STAPLE for atlases).
    """
    if fusion not in get_args(Fusion):
        raise VesaliusError(unknown_name("fusion", fusion, get_args(Fusion)))
    if not atlases:
        raise DataError("atlas segmentation needs an atlas: an image and its labels")
    carried, fitness = [], []
    for number, atlas in enumerate(atlases, start=1):
        found = register(atlas.image, target, kind=kind, measure=measure, start=start, seed=seed)
        carried.append(align(atlas.labels, found, target.grid))
        assert found.fitness is not None  # a registration has judged itself
        fitness.append(found.fitness)
        if progress is not None:
            progress(number, len(atlases))
    if fusion == "majority" or len(carried) == 1:
        return AtlasLabels(majority(carried), tuple(fitness))
    return AtlasLabels(staple(carried).consensus, tuple(fitness))
