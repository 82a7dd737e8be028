"""What an image file holds, before it is called an image or a label map.

Every format module has `read(path) -> Contents` and `write(contents, path)`; `vesalius.io` makes volumes and label
maps of it. Their errors need not name the file: `vesalius.io` puts the name in front.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import FormatError, GeometryError
from vesalius.image import Code, Grid, Label, Labels, Meta, Region

FARTHEST_MM = 1e9
"""Distances beyond are a damaged header."""


@dataclass(frozen=True, eq=False)
class Contents:
    """An array with its place, not yet held to what a `Volume` or a `LabelMap` promises.

    Args:
        array: ``(c, *grid.shape)``; may hold NaN.
        grid: Where each voxel is.
        meta: What the numbers mean.
        labels: The names of the values, where the file holds them.
        indices: ``grid.shape``; of a palette picture, the entries before they became colours: what a label file means.
    """

    array: NDArray[Any]
    grid: Grid
    meta: Meta = field(default_factory=Meta)
    labels: Labels | None = None
    indices: NDArray[Any] | None = None


def fit_type(array: NDArray[Any], allowed: Collection[str], format_name: str) -> NDArray[Any]:
    """The array in a type that a format can hold, without loss.

    Args:
        array: What is to be written.
        allowed: Names of the format's types, for example ``{"uint8", "float32"}``.
        format_name: For the message.

    Returns:
        The array itself when its type is allowed; else the next wider type of the same kind (bool counts as uint8).

    Raises:
        FormatError: No allowed type holds every value of the array's type.

    Example:
        >>> fit_type(np.zeros(2, np.float16), {"float32"}, "NIfTI").dtype
        dtype('float32')
    """
    native = array.dtype.newbyteorder("=")
    if native.name in allowed:
        return array.astype(native, copy=False)
    wider = [np.dtype(name) for name in allowed if np.can_cast(native, name, "safe")]
    same_kind = [dtype for dtype in wider if (dtype.kind == "f") == (native.kind == "f")] or wider
    if not same_kind:
        raise FormatError(
            f"{format_name} cannot hold {native.name} without loss; it holds {', '.join(sorted(allowed))}"
        )
    return array.astype(min(same_kind, key=lambda dtype: (dtype.itemsize, dtype.name)))


def grid_of(shape: Sequence[int], affine: NDArray[np.float64]) -> Grid:
    """A grid of what a header says, which may be anything.

    Raises:
        GeometryError: The affine is singular, not finite, or places the image far from any patient.

    Example:
        >>> grid_of((2, 2), np.diag([1e30, 1.0, 1.0]))
        Traceback (most recent call last):
        ...
        vesalius.errors.GeometryError: the affine holds 1e+30; distances beyond 1e+09 mm are a damaged header
    """
    largest = np.abs(affine).max()
    if largest > FARTHEST_MM:
        raise GeometryError(f"the affine holds {largest:g}; distances beyond {FARTHEST_MM:g} mm are a damaged header")
    return Grid(tuple(shape), affine)


def place(shape: Sequence[int], affine: NDArray[np.float64]) -> tuple[Grid, int]:
    """Tell space from channels in a format whose fourth axis has coordinates like the others.

    Args:
        shape: Points on each axis, 2 to 4 of them, space first.
        affine: ``(n + 1, n + 1)``, index to point, LPS.

    Returns:
        The grid of the axes of space, and the number of channels.

    Raises:
        GeometryError: The fourth axis moves points in space, or the grid is singular.

    Example:
        >>> grid, channels = place([4, 5, 6, 2], np.eye(5))
        >>> grid.shape, channels
        ((4, 5, 6), 2)
    """
    if len(shape) < 4:
        return grid_of(shape, affine), 1
    if len(shape) > 4:
        raise FormatError(f"it has {len(shape)} axes; 2 to 4 can be read")
    if affine[:3, 3].any() or affine[3, :3].any():
        raise GeometryError("its fourth axis moves points in space; only channels or time can be read as a fourth axis")
    return grid_of(shape[:3], affine[np.ix_([0, 1, 2, 4], [0, 1, 2, 4])]), shape[3]


def refuse_geometry(contents: Contents, format_name: str) -> None:
    """Refuse to drop a place in space silently.

    Raises:
        GeometryError: The grid is not the bare lattice of pixel indices, which is all that the format can mean.

    Example:
        >>> refuse_geometry(Contents(np.zeros((1, 2, 2)), Grid((2, 2), np.eye(3))), "PNG")
    """
    grid = contents.grid
    if not np.array_equal(grid.affine, np.eye(grid.ndim + 1)):
        raise GeometryError(
            f"{format_name} cannot hold spacing, origin or direction; write .nii.gz, .nrrd or .mha, "
            "or drop the place on purpose by giving it Grid(shape, identity)"
        )


def labels_to_json(labels: Labels) -> str:
    """Everything that `Labels` says, as JSON text; `labels_from_json` reads it back.

    Example:
        >>> '"name": "liver"' in labels_to_json(Labels.of({"liver": 1}))
        True
    """
    return json.dumps(
        {
            "labels": [
                {
                    "name": label.name,
                    "value": label.value,
                    "colour": label.colour,
                    "code": None if label.code is None else [label.code.scheme, label.code.value, label.code.meaning],
                }
                for label in labels.labels
            ],
            "regions": [{"name": region.name, "values": region.values} for region in labels.regions],
            "ignore": labels.ignore,
        }
    )


def labels_from_json(text: str) -> Labels:
    """Read what `labels_to_json` wrote.

    Raises:
        FormatError: The text is something else.

    Example:
        >>> labels = Labels.of({"liver": 1, "tumour": 2}, regions={"organ": (1, 2)})
        >>> labels_from_json(labels_to_json(labels)) == labels
        True
    """
    try:
        told = json.loads(text)
        return Labels(
            tuple(
                Label(
                    str(label["name"]),
                    int(label["value"]),
                    None if label["colour"] is None else _rgb(label["colour"]),
                    None if label["code"] is None else Code(*map(str, label["code"])),
                )
                for label in told["labels"]
            ),
            tuple(Region(str(region["name"]), tuple(map(int, region["values"]))) for region in told["regions"]),
            None if told["ignore"] is None else int(told["ignore"]),
        )
    except (KeyError, TypeError, ValueError, RecursionError):
        raise FormatError("the label names in the file are damaged; read it with labels=… to name them") from None


def _rgb(numbers: Any) -> tuple[int, int, int]:
    red, green, blue = (int(number) for number in numbers)
    return red, green, blue
