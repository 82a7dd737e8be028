"""Planes through boxes, balls and a liver of eight parts."""

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.transform.partition import COUINAUD, Plane, partition, plane_through


def ball(spacing=(1.0, 1.2, 2.0), radius=20.0, seed=2):
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    grid = Grid.from_spacing([round(48 / step) for step in spacing], spacing, direction=turn, origin_mm=(3, 90, -40))
    middle = grid.to_points((np.array(grid.shape) - 1) / 2)
    far = np.linalg.norm(grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1)) - middle, axis=-1)
    return LabelMap((far < radius).astype(np.uint8), grid, Labels.of({"liver": 1, "spleen": 2})), middle


def volumes(labels):
    counts = labels.counts()
    return {one.name: counts.get(one.value, 0) * labels.grid.voxel_volume_mm3 for one in labels.labels.labels}


def test_caps_of_a_ball():
    labels, middle = ball()
    way = np.array([1.0, 2.0, -2.0]) / 3
    found = volumes(partition(labels, "liver", {"cut": Plane(tuple(middle + 8 * way), tuple(way * 7))}))
    cap = np.pi * 12**2 * (3 * 20 - 12) / 3  # of height 12
    assert found["+cut"] == pytest.approx(cap, rel=0.02)
    assert sum(found.values()) == pytest.approx(labels.counts()[1] * labels.grid.voxel_volume_mm3)


def test_the_segments_of_a_liver():
    labels, middle = ball()
    x, y, z = middle
    planes = {
        "right hepatic vein": Plane((x - 8, y, z), (1, 0, 0)),
        "middle hepatic vein": Plane((x, y, z), (1, 0, 0)),
        "left hepatic vein": Plane((x + 8, y, z), (1, 0, 0)),
        "portal vein": Plane((x, y, z), (0, 0, 1)),
    }
    parts = partition(labels, "liver", planes, parts=COUINAUD)
    assert parts.labels.names == tuple(COUINAUD)
    found = volumes(parts)
    cap, half = np.pi * 12**2 * 48 / 3, 2 / 3 * np.pi * 20**3
    for name in ("VI", "VII", "II", "III"):
        assert found[name] == pytest.approx(cap / 2, rel=0.05)
    for name in ("V", "VIII", "IVa", "IVb"):
        assert found[name] == pytest.approx((half - cap) / 2, rel=0.05)
    at = {
        one.name: parts.grid.to_points(np.argwhere(parts.array == one.value)).mean(0) - middle
        for one in parts.labels.labels
    }
    assert at["VII"][0] < at["VIII"][0] < 0 < at["IVa"][0] < at["II"][0]  # from the patient's right to the left
    assert at["VIII"][2] > 0 > at["V"][2]


@pytest.mark.parametrize("how", ["label inside the organ", "label beside it", "planes"])
def test_the_caudate_lobe_comes_first(how):
    labels, middle = ball()
    x, y, z = middle
    points = labels.grid.to_points(np.moveaxis(np.indices(labels.grid.shape), 0, -1))
    lobe = (labels.array == 1) & (points[..., 1] > y + 10) & (points[..., 0] > x - 5)
    planes = {
        "right hepatic vein": Plane((x - 8, y, z), (1, 0, 0)),
        "middle hepatic vein": Plane((x, y, z), (1, 0, 0)),
        "left hepatic vein": Plane((x + 8, y, z), (1, 0, 0)),
        "portal vein": Plane((x, y, z), (0, 0, 1)),
        "ligamentum venosum": Plane((x, y + 10, z), (0, 1, 0)),
        "vena cava": Plane((x - 5, y, z), (1, 0, 0)),
    }
    whole = partition(labels, "liver", planes, parts=COUINAUD)
    array = labels.array.copy()
    if how != "planes":
        array[lobe] = 3
    organ = {"label inside the organ": "organ"}.get(how, "liver")
    known = Labels.of({"liver": 1, "caudate": 3}, regions={"organ": (1, 3)})
    own = LabelMap(array, labels.grid, labels.labels if how == "planes" else known)
    caudate = {"ligamentum venosum": "+", "vena cava": "+"} if how == "planes" else ["caudate"]
    made = partition(own, organ, planes, parts={"I": caudate, **COUINAUD})
    assert made.labels.names == ("I", *COUINAUD)
    np.testing.assert_array_equal(made.array == 1, lobe)
    np.testing.assert_array_equal(made.array[~lobe], np.where(whole.array, whole.array + 1, 0)[~lobe])


def test_planes_of_landmarks():
    rng = np.random.default_rng(0)
    known = Plane((5, -3, 8), (3, 1, -1))
    across = np.linalg.svd(np.array([known.normal]))[2][1:]
    points = np.array(known.point_mm) + rng.normal(size=(200, 2)) * 20 @ across + rng.normal(size=(200, 3)) * 0.1
    found = plane_through(points, towards="right")
    np.testing.assert_allclose(found.normal, -np.array(known.normal), atol=0.01)
    assert abs(known.side_mm(found.point_mm)) < 0.1
    assert found.side_mm(np.array(known.point_mm) - 10 * np.array(known.normal)) == pytest.approx(10, abs=0.2)


def test_parts_that_leave_something_out():
    labels, middle = ball()
    parts = {"top": {"level": "+"}, "all": {}}
    found = volumes(partition(labels, "liver", {"level": Plane(tuple(middle), (0, 0, 1))}, parts=parts))
    assert list(found) == ["top", "all"]
    rest = partition(labels, "liver", {"level": Plane(tuple(middle), (0, 0, 1))}, parts={"top": {"level": "+"}})
    assert rest.labels.names == ("top", "rest")
    empty = partition(labels, "spleen", {"level": Plane(tuple(middle), (0, 0, 1))}, parts=parts)
    assert sum(empty.counts().get(one.value, 0) for one in empty.labels.labels) == 0


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        (lambda labels: partition(labels, "kidney", {"a": Plane((0, 0, 0), (1, 0, 0))}), DataError, "kidney"),
        (lambda labels: partition(labels, "liver", {}), DataError, "no plane"),
        (
            lambda labels: partition(labels, "liver", {"a": Plane((0, 0, 0), (1, 0, 0))}, parts={"x": {"b": "+"}}),
            DataError,
            "'b' is no plane",
        ),
        (
            lambda labels: partition(labels, "liver", {"a": Plane((0, 0, 0), (1, 0, 0))}, parts={"x": ["lobe"]}),
            DataError,
            "lobe",
        ),
        (lambda _: Plane((0, 0, 0), (0, 0, 0)), GeometryError, "no length"),
        (lambda _: Plane((0, 0, np.nan), (0, 0, 1)), GeometryError, "finite"),
        (lambda _: plane_through([[0, 0, 0], [1, 1, 1], [2, 2, 2]], towards="head"), GeometryError, "in a line"),
        (lambda _: plane_through([[0, 0, 0], [1, 0, 0], [0, 0, 1]], towards="head"), GeometryError, "along"),
        (lambda _: plane_through([[0, 0, 0]], towards="up"), DataError, "head"),
    ],
)
def test_what_does_not_go(how, error, message):
    with pytest.raises(error, match=message):
        how(ball()[0])
