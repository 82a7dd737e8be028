"""Values at vertices in mesh files: out and in again, told to others, refused where a format has no place for them."""

import json
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from bodies import ball, box

from vesalius.errors import DataError, FormatError
from vesalius.mesh.colours import NOTHING, ColourScale, linear_light
from vesalius.mesh.files import FORMATS, HOLD, READ, read_mesh, read_painted, write_mesh, write_meshes
from vesalius.mesh.painted import Painted, paint

BALL = ball(12.0, centre_mm=(-12.5, 101.25, -340.0), steps=8, name="tumour", value=3)
RIB = box((8.0, 4.0, 2.0), centre_mm=(20.0, 60.0, -300.0), name="rib", value=7, colour=(10, 200, 30))
SCALE = ColourScale(-3.0, 3.0, "diverging")
HEIGHTS = BALL.vertices[:, 2] + 340.0
HEIGHTS[5] = np.nan
GROWTH = Painted(BALL, HEIGHTS, "distance to “before”", "mm", SCALE)
BOTH = [name for name in HOLD if name in READ]


@pytest.mark.parametrize("suffix", BOTH)
def test_round_trip(tmp_path, suffix):
    write_mesh([GROWTH, RIB], tmp_path / f"x{suffix}")
    (again,) = read_painted(tmp_path / f"x{suffix}")
    assert (again.name, again.unit, again.scale) == (GROWTH.name, GROWTH.unit, SCALE)
    assert again.label.name == "tumour"
    np.testing.assert_array_equal(np.isnan(again.values), np.isnan(HEIGHTS))
    np.testing.assert_allclose(again.values, HEIGHTS, atol=1e-5)
    # Each value is still at its vertex.
    np.testing.assert_allclose(again.surface.vertices[:, 2] + 340.0, BALL.vertices[:, 2] + 340.0, atol=0.01)
    np.testing.assert_array_equal(again.surface.faces, BALL.faces)


@pytest.mark.parametrize("suffix", BOTH)
def test_who_wants_surfaces_alone_has_them_with_their_own_colours(tmp_path, suffix):
    write_mesh([GROWTH, Painted(RIB, np.arange(8.0), "thickness", "mm", SCALE)], tmp_path / f"x{suffix}")
    tumour, rib = read_mesh(tmp_path / f"x{suffix}")
    assert rib.label == RIB.label
    assert tumour.volume_ml == pytest.approx(BALL.volume_ml, rel=1e-3)
    assert [one.name for one in read_painted(tmp_path / f"x{suffix}")] == [GROWTH.name, "thickness"]
    write_mesh([BALL, RIB], tmp_path / f"plain{suffix}")
    assert read_painted(tmp_path / f"plain{suffix}") == ()


def test_ply_has_a_property_and_colours_that_others_read(tmp_path):
    write_mesh([GROWTH], tmp_path / "x.ply")
    head, _, body = (tmp_path / "x.ply").read_bytes().partition(b"end_header\n")
    assert b"property float distance_to_before_mm\n" in head
    kind = np.dtype([("place", "<f4", 3), ("colour", "u1", 3), ("value", "<f4")])
    rows = np.frombuffer(body, kind, len(BALL.vertices))
    np.testing.assert_array_equal(rows["colour"], GROWTH.colours)
    np.testing.assert_array_equal(rows["value"], HEIGHTS.astype(np.float32))


def test_glb_has_light_and_an_attribute_that_others_read(tmp_path):
    for compression in ("none", "quantised"):
        write_mesh([GROWTH, RIB], tmp_path / "x.glb", compression=compression)
        document, binary = _glb(tmp_path / "x.glb")
        tumour, rib = (mesh["primitives"][0] for mesh in document["meshes"])
        assert set(rib["attributes"]) == {"POSITION", "NORMAL"}
        accessor = document["accessors"][tumour["attributes"]["_DISTANCE_TO_BEFORE_MM"]]
        values = np.frombuffer(
            binary, "<f4", accessor["count"], document["bufferViews"][accessor["bufferView"]]["byteOffset"]
        )
        told = document["nodes"][0]["extras"]["values"]
        assert np.isfinite(values).all()  # glTF has no NaN
        assert np.flatnonzero(values == told["nothing"]).tolist() == [5]
        np.testing.assert_array_equal([values.min(), values.max()], [accessor["min"][0], accessor["max"][0]])
        colour = document["accessors"][tumour["attributes"]["COLOR_0"]]
        view = document["bufferViews"][colour["bufferView"]]
        assert view["byteStride"] == 8
        light = np.frombuffer(binary, "<u2", 4 * colour["count"], view["byteOffset"]).reshape(-1, 4)[:, :3] / 65535
        np.testing.assert_allclose(light, linear_light(GROWTH.colours), atol=1e-5)
        assert document["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] == [1, 1, 1, 1]


def test_vtp_has_an_array_of_the_points_that_is_active(tmp_path):
    write_mesh([GROWTH, RIB], tmp_path / "x.vtp")
    data = (tmp_path / "x.vtp").read_bytes()
    assert b'<PointData Scalars="distance_to_before_mm">' in data
    values = _array(data, "distance_to_before_mm", "<f8")
    np.testing.assert_array_equal(values, [*HEIGHTS, *[np.nan] * 8])
    points = data.index(b"<PointData")
    colours = _array(data[points:], "colour", "u1").reshape(-1, 3)
    assert colours[5].tolist() == list(NOTHING)
    assert colours[-1].tolist() == [10, 200, 30]


@pytest.mark.parametrize("suffix", [name for name in FORMATS if name not in HOLD])
def test_a_format_without_a_place_for_them_refuses(tmp_path, suffix):
    with pytest.raises(FormatError, match="hold no values at vertices"):
        write_mesh([RIB, GROWTH], tmp_path / f"x{suffix}")
    with pytest.raises(FormatError, match="hold no values at vertices"):
        write_meshes([RIB, GROWTH], tmp_path / "many", suffix=suffix)
    assert not [*tmp_path.iterdir()]
    if suffix in READ:
        write_mesh([RIB], tmp_path / f"x{suffix}")
        with pytest.raises(FormatError, match=suffix):
            read_painted(tmp_path / f"x{suffix}")


def test_what_a_file_cannot_tell_apart_is_refused(tmp_path):
    other = Painted(RIB, np.arange(8.0), GROWTH.name, "mm", ColourScale(0.0, 9.0, "sequential"))
    with pytest.raises(FormatError, match="several scales"):
        write_mesh([GROWTH, other], tmp_path / "x.glb")
    with pytest.raises(FormatError, match="Draco"):
        write_mesh([GROWTH], tmp_path / "x.glb", compression="draco")
    with pytest.raises(FormatError, match="there twice"):
        write_mesh([GROWTH, paint(BALL, HEIGHTS, name="height", unit="mm")], tmp_path / "x.ply")
    assert not [*tmp_path.iterdir()]


def test_words_of_the_formats_are_not_taken_by_values(tmp_path):
    names = ("x", "Nz", "red", "2 mm wall", "…", "Δ")
    for name in names:
        write_mesh([paint(RIB, np.arange(8.0), name=name, unit="")], tmp_path / "x.ply")
        (again,) = read_painted(tmp_path / "x.ply")
        assert again.name == name
        np.testing.assert_allclose(again.surface.vertices, RIB.vertices, atol=1e-4)
        np.testing.assert_array_equal(again.values, np.arange(8.0))


def test_numbers_at_vertices_in_files_of_others_are_values(tmp_path):
    (tmp_path / "x.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "property float nx\nproperty float quality\nelement face 1\nproperty list uchar int vertex_indices\n"
        "end_header\n"
        "0 0 0 1 2.5\n1 0 0 1 -3.5\n0 1 0 1 nan\n3 0 1 2\n"
    )
    (again,) = read_painted(tmp_path / "x.ply")
    assert again.title == "quality"
    np.testing.assert_array_equal(again.values, [2.5, -3.5, np.nan])
    assert again.scale.colour_map == "diverging"


@pytest.mark.parametrize("suffix", BOTH)
def test_damage_is_refused_with_the_name_of_the_file(tmp_path, suffix):
    write_mesh([GROWTH], tmp_path / f"whole{suffix}")
    whole = (tmp_path / f"whole{suffix}").read_bytes()
    broken = tmp_path / f"broken{suffix}"
    broken.write_bytes(whole.replace(b'"low"', b'"lox"'))
    read_painted(broken)  # what is told is not ours any more: the values have a scale that fits them
    broken.write_bytes(whole.replace(b'"diverging"', b'"divergent"'[:11]))
    with pytest.raises(FormatError, match=rf"broken{suffix}: the values at the vertices are damaged"):
        read_painted(broken)
    rng = np.random.default_rng(3)
    for at in rng.integers(0, len(whole), 200):
        data = bytearray(whole)
        data[at] = rng.integers(256)
        broken.write_bytes(data)
        with suppress(FormatError):  # nothing else may come
            read_painted(broken)


@pytest.mark.parametrize(
    ("values", "name", "unit", "match"),
    [
        (np.zeros(7), "wall", "mm", "one for each of 8 vertices"),
        (np.full(8, np.inf), "wall", "mm", "infinite"),
        (np.zeros(8), " ", "mm", "have a name"),
        (np.zeros(8), "wall\nend_header", "mm", "have a name"),
        (np.zeros(8), "x" * 61, "mm", "have a name"),
        (np.zeros(8), "wall", "m m", "unit"),
    ],
)
def test_values_that_cannot_be_are_refused(values, name, unit, match):
    with pytest.raises(DataError, match=match):
        paint(RIB, values, name=name, unit=unit)


def test_values_do_not_change_after_they_were_checked():
    mine = np.zeros(8)
    wall = paint(RIB, mine, name="wall", unit="mm")
    mine[0] = 9.0
    assert wall.values[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        wall.values[0] = 1.0


def _glb(path):
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def _array(data: bytes, name: str, kind: str):
    """An array of the appended data, as VTK's description has it."""
    element = data[data.index(f'Name="{name}"'.encode()) :]
    at = int(element[: element.index(b"/>")].split(b'offset="')[1].strip(b'"'))
    appended = data[data.index(b'encoding="raw">') + len(b'encoding="raw">\n_') :][at:]
    count = struct.unpack_from("<Q", appended)[0]
    head = struct.unpack_from(f"<{count}Q", appended, 24)
    start, raw = 24 + 8 * count, b""
    for length in head:
        raw += zlib.decompress(appended[start : start + length])
        start += length
    return np.frombuffer(raw, kind)
