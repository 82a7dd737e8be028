import base64
import hashlib
import json
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from bodies import ball, box, flipped

from vesalius.errors import DataError, VesaliusError
from vesalius.image import Grid, Label, LabelMap, Labels
from vesalius.mesh import Surface, extract
from vesalius.mesh.colours import ColourScale
from vesalius.mesh.painted import Painted
from vesalius.mesh.rendering import Camera
from vesalius.report.view import page as page_module
from vesalius.report.view import view_html
from vesalius.report.view.packing import pack

EVIL = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"'`&<!--",
    "line\u2028paragraph\u2029end",
    "\u202eturned round",
    "{{ 7 * 7 }}",
]


def unpacked(packed):
    """What the page does, in Python: points (mm), triangles and values of each structure."""
    data = zlib.decompress(packed.data)
    at, found = 0, []

    def number():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    for part in packed.parts:
        faces, first = [], 0
        for _ in range(part["faces"]):
            first += number()
            faces.append((first, first + number(), first + number()))
        count = part["vertices"]
        planes = np.frombuffer(data, np.uint8, 6 * count, at).reshape(2, 3, count).astype(np.int64)
        at += 6 * count
        zigzag = planes[0] | planes[1] << 8
        lattice = np.cumsum((zigzag >> 1) ^ -(zigzag & 1), axis=1) & 0xFFFF
        values = None
        if "low" in part:
            words = np.frombuffer(data, "<u2", count, at).astype(float)
            at += 2 * count
            values = np.where(words == 0, np.nan, part["low"] + (words - 1) / 65534 * (part["high"] - part["low"]))
        found.append((np.array(packed.origin_mm) + lattice.T * packed.step_mm, np.array(faces), values))
    assert at == len(data)
    return found


def triangles(points, faces):
    """The corners of each triangle, the smallest first, in a fixed order of triangles."""
    corners = np.asarray(points)[np.asarray(faces)]
    turned = [corners[k].tolist() for k in range(len(corners))]
    return sorted(min(one[k:] + one[:k] for k in range(3)) for one in turned)


def neighbours():
    array = np.zeros((14, 12, 10), np.uint8)
    array[3:7, 3:9, 2:8], array[7:11, 2:10, 3:7] = 1, 2
    grid = Grid.from_spacing(array.shape, (0.7, 0.9, 2.5), origin_mm=(-512.3, 87.7, 1403.1))
    return extract(LabelMap(array, grid, Labels.of({"liver": 1, "tumour": 2}))).surfaces()


def test_triangles_and_points_come_back_within_the_bound():
    surfaces = [*neighbours(), ball(7.0, centre_mm=(-500.0, 90.0, 1400.0)), box(centre_mm=(205.0, 5.0, 5.0))]
    packed = pack(surfaces)
    bounds = np.array([surface.bounds_mm for surface in surfaces])
    assert packed.error_mm == pytest.approx(np.ptp(bounds, axis=(0, 1)).max() / 65535 / 2)
    for surface, (points, faces, values) in zip(surfaces, unpacked(packed), strict=True):
        # Each face in turn: sorted by its vertices, which keep their order.
        first = surface.faces.argmin(axis=1)
        turned = np.array([np.roll(face, -k) for face, k in zip(surface.faces, first, strict=True)])
        np.testing.assert_array_equal(faces, sorted(turned.tolist()))
        assert np.abs(points - surface.vertices).max() <= packed.error_mm * (1 + 1e-9)
        assert values is None


def test_neighbours_share_their_points_to_the_bit():
    one, other = (points for points, _, _ in unpacked(pack(neighbours())))
    before = {tuple(p) for p in neighbours()[0].vertices} & {tuple(p) for p in neighbours()[1].vertices}
    assert len(before) > 20
    assert len({tuple(p) for p in one} & {tuple(p) for p in other}) == len(before)


def test_vertices_that_no_triangle_uses_are_left_out_with_their_values():
    points = np.array([[9e5, 0, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0.0]])
    surface = Surface(points, np.array([[1, 2, 3]]), Label("a", 1))
    painted = Painted(surface, np.array([99.0, 1, 2, 3]), "depth", "mm", ColourScale(0, 3, "sequential"))
    ((found, faces, values),) = unpacked(pack([painted]))
    np.testing.assert_allclose(found, points[1:], atol=1 / 65535)
    np.testing.assert_array_equal(faces, [[0, 1, 2]])
    np.testing.assert_allclose(values, [1, 2, 3])


def test_far_numbers_take_several_bytes(rng):
    points = rng.uniform(-50, 50, (70_000, 3))
    faces = np.stack([rng.permutation(70_000) for _ in range(3)], axis=1)
    faces = faces[[len(set(face)) == 3 for face in faces.tolist()]]
    surface = Surface(points, faces, Label("noise", 1))
    ((found, back, _),) = unpacked(pack([surface]))
    np.testing.assert_allclose(found, points, atol=100 / 65535 / 2 * 1.01)
    first = faces.argmin(axis=1)
    turned = np.stack([faces[np.arange(len(faces)), (first + k) % 3] for k in range(3)], axis=1)
    np.testing.assert_array_equal(back, turned[np.lexsort(turned.T[::-1])])


def test_values_come_back_and_missing_ones_stay_missing(rng):
    surface = ball(9.0)
    values = rng.normal(0, 3, len(surface.vertices))
    values[5:9] = np.nan
    scale = ColourScale(-1.0, 1.0, "diverging")
    alike = Painted(surface, np.full(len(values), 4.25), "depth", "mm", scale)
    nothing = Painted(surface, np.full(len(values), np.nan), "depth", "mm", scale)
    packed = pack([Painted(surface, values, "depth", "mm", scale), alike, nothing])
    found = [values for _, _, values in unpacked(packed)]
    bound = (np.nanmax(values) - np.nanmin(values)) / 65534 / 2
    np.testing.assert_allclose(found[0], values, atol=bound * 1.001)
    assert (found[1] == 4.25).all()
    assert np.isnan(found[2]).all()


def test_it_is_small():
    surface = ball(50.0, name="smooth")
    assert len(pack([surface]).data) < 7 * len(surface.faces)  # 36 in STL's bytes, and 12 in a quantised GLB


# --- the page ---------------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self._in = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._in = dict(attrs).get("id") or tag

    def handle_data(self, data):
        self.text[self._in] = self.text.get(self._in, "") + data


def written(tmp_path, surfaces, **how):
    view_html(surfaces, tmp_path / "view.html", **how)
    return (tmp_path / "view.html").read_text(encoding="utf-8")


def test_equal_surfaces_make_equal_bytes(tmp_path):
    view_html(neighbours(), tmp_path / "a.html", opacity={"liver": 0.5})
    view_html(neighbours(), tmp_path / "b.html", opacity={"liver": 0.5})
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_names_from_files_are_text(tmp_path):
    surfaces = [replace(ball(5.0), label=Label(name, k + 1)) for k, name in enumerate(EVIL)]
    text = written(tmp_path, surfaces, title=EVIL[0])
    found = Elements(text)
    plain = Elements(written(tmp_path, [ball(5.0)] * len(EVIL)))
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in plain.tags]
    assert [one["name"] for one in json.loads(found.text["scene"])["structures"]] == EVIL
    assert found.text["title"].strip() == EVIL[0]
    assert "\u2028" not in text


def test_only_its_own_script_runs_and_nothing_is_asked_for(tmp_path):
    text = written(tmp_path, neighbours())
    found = Elements(text)
    policy = next(attrs["content"] for tag, attrs in found.tags if attrs.get("http-equiv"))
    for tag, word in (("script", "script-src"), ("style", "style-src")):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{word} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert [name for _, attrs in found.tags for name in attrs if name.startswith("on") or name == "style"] == []
    # A namespace is a name and is not fetched.
    assert set(re.findall(r"https?://[^\"' <]+", text)) == {"http://www.w3.org/2000/svg"}


def test_it_tells_volumes_of_what_is_closed(tmp_path):
    whole = ball(10.0, name="whole")
    hole = Surface(whole.vertices, whole.faces[1:], Label("open", 2))
    inward = replace(flipped(whole), label=Label("inward", 3))
    told = json.loads(Elements(written(tmp_path, [whole, hole, inward])).text["scene"])["structures"]
    assert told[0]["volume"] == pytest.approx(whole.volume_ml, rel=1e-5)
    assert [one["volume"] for one in told[1:]] == [None, None]
    assert [one["closed"] for one in told] == [True, False, False]


def test_scales_stand_once_in_the_page(tmp_path):
    one, other, third = ball(5.0, name="a"), ball(6.0, name="b"), ball(7.0, name="c")
    scale = ColourScale(-2.0, 2.0, "diverging")
    painted = [Painted(s, np.zeros(len(s.vertices)), "depth", "mm", scale) for s in (one, other)]
    further = Painted(third, np.zeros(len(third.vertices)), "depth", "", scale)
    told = json.loads(Elements(written(tmp_path, [*painted, further, box(name="d")])).text["scene"])
    assert [one.get("scale") for one in told["structures"]] == [0, 0, 1, None]
    assert [bar["title"] for bar in told["scales"]] == ["depth (mm)", "depth"]
    colours = np.frombuffer(bytes.fromhex(told["scales"][0]["colours"]), np.uint8).reshape(-1, 3)
    np.testing.assert_array_equal(colours[[0, 255]], scale.colours([-2.0, 2.0]))


def test_the_bound_that_is_told_is_one(tmp_path):
    for side in (1.0, 31.0, 170.3, 1e4):
        surface = box((side, 1.0, 0.5))
        text = written(tmp_path, [surface])
        bound = float(re.search(r"kept to (\S+) mm", text)[1])
        assert pack([surface]).error_mm <= bound <= 1.1 * pack([surface]).error_mm


def test_what_cannot_be_shown_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    empty = Surface(np.zeros((0, 3)), np.zeros((0, 3), np.int32), Label("none", 1))
    with pytest.raises(DataError, match="every structure is empty"):
        view_html([empty], tmp_path / "view.html")
    with pytest.raises(DataError, match="unknown structure"):
        view_html([ball(5.0, name="liver")], tmp_path / "view.html", opacity={"lifer": 0.5})
    with pytest.raises(DataError, match="between 0 and 1"):
        view_html([ball(5.0, name="liver")], tmp_path / "view.html", opacity={"liver": 1.5})
    monkeypatch.setattr(page_module, "LARGEST_TRIANGLES", 11)
    with pytest.raises(DataError, match=r"12 triangles are more than the 11 .*--max-error"):
        view_html([box()], tmp_path / "view.html")
    monkeypatch.setattr(page_module, "MOST_STRUCTURES", 1)
    with pytest.raises(DataError, match="choose some of them"):
        view_html([box(), box()], tmp_path / "view.html")
    with pytest.raises(VesaliusError, match="folder does not exist"):
        monkeypatch.undo()
        view_html([box()], tmp_path / "nowhere" / "view.html")
    assert list(tmp_path.iterdir()) == []


def test_the_first_camera_stands_in_the_page(tmp_path):
    camera = Camera.of("left", perspective=True, zoom=2.0)
    told = json.loads(Elements(written(tmp_path, [box()], camera=camera)).text["scene"])
    assert told["first"] == {"axes": [0, 1, 0, 0, 0, 1, 1, 0, 0], "perspective": True, "zoom": 2.0}
    assert told["views"]["left"] == told["first"]["axes"]


def test_empty_structures_are_left_out(tmp_path):
    empty = Surface(np.zeros((0, 3)), np.zeros((0, 3), np.int32), Label("none", 1))
    told = json.loads(
        Elements(written(tmp_path, [empty, ball(5.0, name="liver")], opacity={"none": 0.3})).text["scene"]
    )
    assert [one["name"] for one in told["structures"]] == ["liver"]
