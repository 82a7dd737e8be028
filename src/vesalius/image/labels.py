"""Names, values, colours and codes of what a label map shows."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vesalius.errors import DataError, unknown_name

_LARGEST_VALUE = 65_535


@dataclass(frozen=True)
class Code:
    """A coded concept, for example SNOMED CT ``Code("SCT", "10200004", "Liver")``."""

    scheme: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """One structure: its name, its value in the array, and optionally a colour (RGB, 0 to 255) and a code."""

    name: str
    value: int
    colour: tuple[int, int, int] | None = None
    code: Code | None = None


@dataclass(frozen=True)
class Region:
    """A union of label values that is scored or trained as one; regions may overlap (whole tumour ⊃ core)."""

    name: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class Labels:
    """What the values of a `LabelMap` mean.

    Args:
        labels: The foreground structures; values are unique, 1 to 65,535.
        regions: Optional unions of labels, in the order in which they are painted.
        ignore: A value that marks voxels nobody looked at: left out of losses and scores.

    The background is always 0 and is not listed.

    Raises:
        DataError: Two labels share a value or a name, a value is out of range, or a region names no known value.

    Example:
        >>> labels = Labels.of({"liver": 1, "tumour": 2}, regions={"organ": (1, 2)})
        >>> labels.values, labels["tumour"].value
        ((1, 2), 2)
    """

    labels: tuple[Label, ...]
    regions: tuple[Region, ...] = ()
    ignore: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        object.__setattr__(self, "regions", tuple(self.regions))
        values = [label.value for label in self.labels] + ([] if self.ignore is None else [self.ignore])
        for value in values:
            if not 1 <= value <= _LARGEST_VALUE:
                raise DataError(f"a label's value must be 1 to {_LARGEST_VALUE} (0 is the background), not {value}")
        if len(set(values)) != len(values):
            raise DataError(f"two labels share a value: {sorted(values)}")
        names = [label.name for label in self.labels] + [region.name for region in self.regions]
        if len(set(names)) != len(names) or not all(names):
            raise DataError(f"labels and regions need names that differ: {names}")
        known = set(self.values)
        for region in self.regions:
            if not region.values or not set(region.values) <= known:
                raise DataError(
                    f"region {region.name!r} joins {list(region.values)}, of which only {sorted(known)} are labels"
                )

    @classmethod
    def of(
        cls,
        values: Mapping[str, int] | Iterable[int],
        *,
        regions: Mapping[str, Iterable[int]] | None = None,
        ignore: int | None = None,
    ) -> Labels:
        """Build labels from plain mappings.

        Args:
            values: ``{name: value}``, or bare values, which are named ``"label 1"`` and so on.
            regions: ``{name: values}`` of the regions, in the order in which they are painted.
            ignore: The value of voxels that nobody looked at.

        Raises:
            DataError: As for the class.
        """
        pairs = values.items() if isinstance(values, Mapping) else ((f"label {v}", v) for v in values)
        return cls(
            tuple(Label(name, int(value)) for name, value in pairs),
            tuple(Region(name, tuple(int(v) for v in members)) for name, members in (regions or {}).items()),
            ignore,
        )

    @property
    def values(self) -> tuple[int, ...]:
        """The foreground values, in order of declaration."""
        return tuple(label.value for label in self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        """The foreground names, in order of declaration."""
        return tuple(label.name for label in self.labels)

    @property
    def declared(self) -> frozenset[int]:
        """Every value that may stand in the array: background, labels and the ignore value."""
        return frozenset((0, *self.values)) | (frozenset() if self.ignore is None else {self.ignore})

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, name: str) -> Label:
        for label in self.labels:
            if label.name == name:
                return label
        raise DataError(unknown_name("label", name, self.names))

    def members(self, name: str) -> tuple[int, ...]:
        """The values that a label or a region of this name stands for."""
        for region in self.regions:
            if region.name == name:
                return region.values
        return (self[name].value,)

    def targets(self) -> dict[str, tuple[int, ...]]:
        """Everything that can be scored: each label and each region, with the values it stands for."""
        found = {label.name: (label.value,) for label in self.labels}
        return found | {region.name: region.values for region in self.regions}

    def places_in(self, other: Labels) -> dict[int, int]:
        """For each label here that another set of labels has as well: its place there.

        Labels are the same when they have the same name, whatever their values. A label that nobody named
        (``"label 3"``) is known by its value alone, and is the same as the label of that value.

        Args:
            other: For example those of a plan.

        Returns:
            ``{value here: place in other.labels, from 0}``.

        Example:
            >>> Labels.of({"liver": 6, "spleen": 1}).places_in(Labels.of({"liver": 1}))
            {6: 0}
            >>> Labels.of([2]).places_in(Labels.of({"liver": 1, "spleen": 2}))
            {2: 1}
        """
        found = {}
        for label in self.labels:
            same = [place for place, theirs in enumerate(other.labels) if theirs.name == label.name]
            alike = [
                place
                for place, theirs in enumerate(other.labels)
                if theirs.value == label.value and (_is_unnamed(label) or _is_unnamed(theirs))
            ]
            if same or alike:
                found[label.value] = (same or alike)[0]
        return found

    def colour(self, value: int) -> tuple[int, int, int]:
        """The declared colour of a value, or one from a fixed wheel of well-separated hues."""
        for position, label in enumerate(self.labels):
            if label.value == value:
                if label.colour is not None:
                    return label.colour
                return wheel(position)
        return (255, 255, 255)


def wheel(position: int) -> tuple[int, int, int]:
    """A colour from a fixed wheel of well-separated hues, for what has none of its own.

    Args:
        position: Of the label among others, from 0.

    Example:
        >>> wheel(0), wheel(1)
        ((255, 38, 38), (38, 101, 255))
    """
    # Golden-ratio steps keep neighbouring values far apart on the wheel.
    red, green, blue = colorsys.hsv_to_rgb((0.0 + position * 0.618034) % 1.0, 0.85, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def _is_unnamed(label: Label) -> bool:
    return label.name == f"label {label.value}"
