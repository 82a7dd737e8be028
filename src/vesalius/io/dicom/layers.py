"""Structures that may overlap, put on one label map without losing any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.image import Grid, Label, LabelMap, Labels, Region

_MOST = 65_535


@dataclass(frozen=True, eq=False)
class Layer:
    """One structure as it was drawn, whatever lies over it.

    Args:
        label: Its name, its value, and its colour and code where known.
        start: The first voxel of the box that holds it.
        mask: The box.
    """

    label: Label
    start: tuple[int, ...]
    mask: NDArray[np.bool_]


def flatten(layers: Sequence[Layer], grid: Grid) -> LabelMap:
    """Put structures on one label map.

    A voxel has one value, and structures may overlap. Where they do, what lies in exactly the same structures gets a
    value of its own, and a structure that is made of several such parts becomes a region that joins them. So
    ``labels.targets()`` names every structure, and ``binary`` gives back each as it was drawn. A structure that is one
    part alone (a core within its tumour) stays a label.

    Args:
        layers: The structures, with values and names that differ; those without a voxel are kept as labels.
        grid: Where their boxes lie.

    Returns:
        The label map; without overlaps the labels are those of the layers.

    Raises:
        DataError: They overlap in more ways than there are label values.

    Example:
        >>> grid = Grid((4, 1), np.eye(3))
        >>> tumour = Layer(Label("tumour", 1), (0, 0), np.ones((3, 1), bool))
        >>> found = flatten([tumour, Layer(Label("core", 2), (1, 0), np.ones((1, 1), bool))], grid)
        >>> found.array[:, 0].tolist(), found.labels.names, found.labels.members("tumour")
        ([1, 2, 1, 0], ('tumour alone', 'core'), (1, 2))
    """
    array = np.zeros(grid.shape, dtype=np.uint32)
    members: list[frozenset[int]] = [frozenset()]  # by the number of a part: the structures that it lies in
    numbers = {members[0]: 0}
    for place, layer in enumerate(layers):
        box = array[tuple(slice(at, at + n) for at, n in zip(layer.start, layer.mask.shape, strict=True))]
        beneath = box[layer.mask]
        lookup = np.zeros(len(members), dtype=np.uint32)
        for number in np.flatnonzero(np.bincount(beneath, minlength=1)):
            part = members[number] | {place}
            if part not in numbers:
                numbers[part] = len(members)
                members.append(part)
            lookup[number] = numbers[part]
        box[layer.mask] = lookup[beneath]
    used = [number for number in np.flatnonzero(np.bincount(array.reshape(-1))) if number]
    labels, values = name_parts([layer.label for layer in layers], [members[number] for number in used])
    if max(labels.values, default=0) > _MOST:
        raise DataError(f"{len(layers)} structures overlap in more than {_MOST:,} ways: read some of them at a time")
    lookup = np.zeros(len(members), dtype=np.uint16)
    lookup[used] = values
    return LabelMap(lookup[array], grid, labels)


def name_parts(drawn: Sequence[Label], parts: Sequence[frozenset[int]]) -> tuple[Labels, list[int]]:
    """Labels and regions for the parts that overlapping structures fall into, and the value of each part.

    Args:
        drawn: The structures, with values and names that differ.
        parts: For each part the places in ``drawn`` of the structures that it lies in.
    """
    of_each = {place: [n for n, part in enumerate(parts) if place in part] for place in range(len(drawn))}
    label_of: dict[int, Label] = {}
    regions: list[tuple[str, list[int]]] = []
    empty = []
    for place, label in enumerate(drawn):
        mine = of_each[place]
        if not mine:
            empty.append(label)
        elif len(mine) == 1 and mine[0] not in label_of:
            label_of[mine[0]] = label
        else:
            regions.append((label.name, mine))
    taken = {label.name for label in drawn}
    free = max((label.value for label in drawn), default=0)
    for number, part in enumerate(parts):
        if number in label_of:
            continue
        inside = [drawn[place] for place in sorted(part)]
        if len(inside) == 1:
            (only,) = inside
            label_of[number] = Label(_unused(f"{only.name} alone", taken), only.value, only.colour, only.code)
        else:
            free += 1
            label_of[number] = Label(_unused(" + ".join(one.name for one in inside), taken), free)
    labels = [*label_of.values(), *empty]
    joined = sorted(regions, key=lambda one: -len(one[1]))  # large before small
    values = [label_of[number].value for number in range(len(parts))]
    return (
        Labels(
            tuple(sorted(labels, key=lambda label: label.value)),
            tuple(Region(name, tuple(sorted(values[number] for number in mine))) for name, mine in joined),
        ),
        values,
    )


def _unused(name: str, taken: set[str]) -> str:
    """A name that no other structure has."""
    found, count = name, 2
    while found in taken:
        found, count = f"{name} ({count})", count + 1
    taken.add(found)
    return found
