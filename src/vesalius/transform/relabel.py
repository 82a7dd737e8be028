"""Say the same in the words of other labels."""

from __future__ import annotations

import numpy as np

from vesalius.image import LabelMap, Labels


def relabel(found: LabelMap, labels: Labels) -> LabelMap:
    """Give a label map the values that other labels have for the same structures.

    Args:
        found: Any label map.
        labels: The labels of the result. What they do not know becomes background; see `Labels.places_in` for what is
            the same.

    Returns:
        A map with these labels, on the same grid.

    Example:
        >>> from vesalius.image import Grid
        >>> grid = Grid.from_spacing((1, 3), (1.0, 1.0))
        >>> found = LabelMap(np.array([[0, 1, 2]]), grid, Labels.of({"liver": 1, "tumour": 2}))
        >>> relabel(found, Labels.of({"liver": 6})).array.tolist()
        [[0, 6, 0]]
    """
    kind = np.uint8 if max(labels.declared) < 256 else np.uint16
    table = np.zeros(max(found.labels.declared) + 1, kind)
    for value, place in found.labels.places_in(labels).items():
        table[value] = labels.values[place]
    if found.labels.ignore is not None and labels.ignore is not None:
        table[found.labels.ignore] = labels.ignore
    return LabelMap(table[found.array], found.grid, labels)
