"""nnU-Net's labels and regions in our words."""

from __future__ import annotations

from vesalius.errors import BundleError, DataError, PlanError
from vesalius.export.nnunet_plans import Declared
from vesalius.image import Label, Labels, Region
from vesalius.plan.regions import check_order, painted_values, region_outputs


def labels_of(declared: Declared) -> tuple[Labels, bool]:
    """The labels, and whether the network has an output for each region.

    A network for regions has one output for each, in the order of dataset.json, in which they are painted as well. A
    region of one value is a label if that leaves the outputs in their order; labels that have no name of their own are
    called ``label 1`` and so on.

    Args:
        declared: dataset.json.

    Raises:
        BundleError: The labels are not numbered from 0, or regions are painted so that labels could not be told apart.

    Example:
        >>> labels, regions = labels_of(Declared(
        ...     channel_names={"0": "MR"},
        ...     labels={"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": [3]},
        ...     regions_class_order=[1, 2, 3]))
        >>> labels.names, [region.name for region in labels.regions]
        (('label 1', 'label 2', 'enhancing'), ['whole', 'core'])
    """
    names = {name: value for name, value in declared.labels.items() if name != "ignore"}
    ignore = declared.labels.get("ignore")
    if not isinstance(ignore, int | None):
        raise BundleError("dataset.json: the label 'ignore' must be a number")
    if names.pop("background", None) != 0:
        raise BundleError("dataset.json: the label 'background' must be there, and be 0")
    if not all(name.isprintable() for name in names):
        raise BundleError("dataset.json: the labels' names must be printable")
    parts = {name: (value,) if isinstance(value, int) else value for name, value in names.items()}
    values = sorted({value for held in parts.values() for value in held} - {0})
    if values != list(range(1, len(values) + 1)) or ignore not in (None, len(values) + 1):
        raise BundleError("dataset.json: labels must be numbered 1, 2, … without gaps, and 'ignore' come last")
    try:
        if not any(isinstance(value, tuple) and len(value) > 1 for value in names.values()):
            return Labels.of({name: held[0] for name, held in parts.items()}, ignore=ignore), False
        return _regions(parts, values, declared.regions_class_order, ignore), True
    except (DataError, PlanError) as error:
        raise BundleError(f"dataset.json: {error}") from None


def _regions(
    parts: dict[str, tuple[int, ...]], values: list[int], order: tuple[int, ...] | None, ignore: int | None
) -> Labels:
    if order is None or len(order) != len(parts):
        raise BundleError(f"dataset.json: regions_class_order must have an entry for each of {', '.join(parts)}")
    wanted = [tuple(sorted(set(held))) for held in parts.values()]
    single = {held[0]: name for name, held in parts.items() if len(set(held)) == 1}
    for alone in (single, {}):
        labels = Labels(
            tuple(Label(alone.get(value, f"label {value}"), value) for value in values),
            tuple(Region(name, held) for name, held in zip(parts, wanted, strict=True) if name not in alone.values()),
            ignore,
        )
        outputs = region_outputs(labels)
        if [output.values for output in outputs] == wanted:
            break
    else:
        raise BundleError("dataset.json: two regions hold the same labels, or a label is in no region of its own")
    check_order(outputs)
    painted = [left[0] for left in painted_values(outputs)]
    if painted != list(order):
        raise BundleError(
            f"dataset.json: painted in the order of the labels, the regions leave the values {painted}, "
            f"and regions_class_order is {list(order)}: such a map cannot be expressed"
        )
    return labels
