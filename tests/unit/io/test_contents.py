"""What files hold: types without loss, channels apart from space, label names as text."""

from __future__ import annotations

import numpy as np
import pytest

from vesalius.errors import FormatError, GeometryError
from vesalius.image import Code, Grid, Label, Labels, Region
from vesalius.io.contents import Contents, fit_type, labels_from_json, labels_to_json, place, refuse_geometry


@pytest.mark.parametrize(
    ("dtype", "allowed", "expected"),
    [
        ("uint8", {"uint8", "int16"}, "uint8"),
        ("bool", {"uint8", "int16", "float32"}, "uint8"),
        ("float16", {"float32", "float64"}, "float32"),
        ("uint16", {"int16", "int32", "float32"}, "int32"),
        ("int8", {"uint8", "int16"}, "int16"),
        (">i2", {"int16"}, "int16"),
        ("int16", {"uint8", "float32", "float64"}, "float32"),
    ],
)
def test_the_next_type_without_loss(dtype: str, allowed: set[str], expected: str) -> None:
    array = np.array([0, 1]).astype(dtype)
    found = fit_type(array, allowed, "X")
    assert found.dtype.name == expected
    assert found.dtype.isnative
    assert np.array_equal(found, array)


@pytest.mark.parametrize(("dtype", "allowed"), [("int64", {"int32", "float32"}), ("float64", {"float32", "int64"})])
def test_no_type_without_loss(dtype: str, allowed: set[str]) -> None:
    with pytest.raises(FormatError, match=f"X cannot hold {dtype} without loss"):
        fit_type(np.zeros(2, dtype), allowed, "X")


def test_a_fourth_axis_is_channels() -> None:
    affine = np.diag([1.0, 2.0, 3.0, 0.5, 1.0])
    affine[3, 4] = 7
    assert place([4, 5, 6, 2], affine) == (Grid.from_spacing((4, 5, 6), (1, 2, 3)), 2)
    affine[0, 3] = 0.1
    with pytest.raises(GeometryError, match="fourth axis"):
        place([4, 5, 6, 2], affine)
    with pytest.raises(FormatError, match="5 axes"):
        place([4, 5, 6, 2, 2], np.eye(6))


def test_geometry_is_refused_unless_bare() -> None:
    array = np.zeros((1, 4, 5))
    refuse_geometry(Contents(array, Grid((4, 5), np.eye(3))), "X")
    with pytest.raises(GeometryError, match="X cannot hold spacing"):
        refuse_geometry(Contents(array, Grid.from_spacing((4, 5), (1, 2))), "X")


@pytest.mark.parametrize(
    "labels",
    [
        Labels(()),
        Labels.of({"a": 1, "b\n\\": 65_535}),
        Labels(
            (Label("a", 1, (0, 255, 9), Code("SCT", "1", "A ü")), Label("b", 2)), (Region("both", (1, 2)),), ignore=9
        ),
    ],
)
def test_label_names_survive(labels: Labels) -> None:
    assert labels_from_json(labels_to_json(labels)) == labels


@pytest.mark.parametrize(
    "text",
    [
        *["", "{", "[]", "null", "{}", '{"labels": 3}', "[" * 100_000],
        '{"labels": [{"name": "a", "value": 0, "colour": null, "code": null}], "regions": [], "ignore": null}',
    ],
)
def test_damaged_label_names(text: str) -> None:
    with pytest.raises(FormatError, match="label names"):
        labels_from_json(text)
