"""Labels and overlapping regions as the outputs of a network, and back."""

from __future__ import annotations

from collections.abc import Sequence

from vesalius.errors import PlanError
from vesalius.image import Labels, Region


def label_outputs(labels: Labels) -> tuple[Region, ...]:
    """One output for each label."""
    return tuple(Region(label.name, (label.value,)) for label in labels.labels)


def region_outputs(labels: Labels) -> tuple[Region, ...]:
    """One output for each region, in its order, and one for each label that the regions do not tell apart.

    A label that lies in no region is not told from the background. Of several labels that lie in the same regions, the
    first needs no output: it is what the innermost of them paints where no other label lies on top.

    Args:
        labels: With regions, in the order in which they are painted: large before small.

    Example:
        >>> labels = Labels.of({"core": 1, "oedema": 2, "enhancing": 3, "vessel": 4},
        ...                    regions={"whole": (1, 2, 3), "inner": (1, 3)})
        >>> [output.name for output in region_outputs(labels)]
        ['whole', 'inner', 'enhancing', 'vessel']

    Source: the regions of BraTS and nnU-Net's ``region_based_training.md``, where a region of one value is a label.
    """
    told: set[frozenset[str]] = {frozenset()}
    alone = []
    for label in labels.labels:
        holders = frozenset(region.name for region in labels.regions if label.value in region.values)
        if holders in told:
            alone.append(Region(label.name, (label.value,)))
        told.add(holders)
    return (*labels.regions, *alone)


def painted_values(outputs: Sequence[Region]) -> tuple[tuple[int, ...], ...]:
    """The values that each output leaves on the map when later ones are painted over it.

    Args:
        outputs: In the order in which they are painted.

    Example:
        >>> painted_values((Region("whole", (1, 2)), Region("core", (2,))))
        ((1,), (2,))
    """
    left = []
    for number, output in enumerate(outputs):
        over = {value for later in outputs[number + 1 :] for value in later.values}
        left.append(tuple(value for value in output.values if value not in over))
    return tuple(left)


def check_order(outputs: Sequence[Region]) -> None:
    """Make sure that painting the outputs in order gives every label back.

    Raises:
        PlanError: An output would be covered by later ones, or stands for several labels that no later one tells
            apart; the message says how to order them.
    """
    for output, values in zip(outputs, painted_values(outputs), strict=True):
        if not values:
            raise PlanError(
                f"region {output.name!r} would be painted over entirely by later ones: "
                "name large regions before those that lie inside them"
            )
        if len(values) > 1:
            raise PlanError(
                f"where region {output.name!r} is painted, the values {list(values)} cannot be told apart: "
                f"after it, name a region for each of {list(values[1:])} alone"
            )
