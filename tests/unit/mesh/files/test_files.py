"""Mesh files: what goes out comes back, whatever the format; units, axes, names and colours; equal bytes."""

import json
import struct

import numpy as np
import pytest
from bodies import ball, box, ring

from vesalius.errors import DataError, FormatError, VesaliusError
from vesalius.image import Label
from vesalius.mesh.files import FORMATS, READ, read_mesh, write_mesh, write_meshes
from vesalius.mesh.surface import Surface

HEART = ball(30.0, centre_mm=(-12.5, 101.25, -340.0), name="heart", value=3)
RIB = box((8.0, 4.0, 2.0), centre_mm=(20.0, -30.0, -300.0), name="rib <7> & co", value=7, colour=(10, 200, 30))
STENT = ring(name="stent")
NAMED = (".3mf", ".ply", ".glb")


@pytest.mark.parametrize("suffix", READ)
def test_round_trip(tmp_path, suffix):
    path = tmp_path / f"one{suffix}"
    write_mesh([HEART, RIB], path)
    again = read_mesh(path)
    assert sum(one.volume_ml for one in again) == pytest.approx(HEART.volume_ml + RIB.volume_ml, rel=1e-4)
    places = np.concatenate([one.vertices for one in again])
    for surface in (HEART, RIB):
        low, high = surface.bounds_mm
        near = ((places > np.array(low) - 0.01) & (places < np.array(high) + 0.01)).all(axis=1)
        assert near.sum() == len(surface.vertices)
    if suffix in NAMED:
        assert [(one.label.name, one.label.value) for one in again] == [("heart", 3), ("rib <7> & co", 7)]
        assert again[1].label.colour == (10, 200, 30)
    if suffix != ".stl":  # which has no objects
        assert len(again) == 2
        np.testing.assert_array_equal([one.genus for one in again], [0, 0])


@pytest.mark.parametrize("suffix", [suffix for suffix in READ if suffix != ".stl"])
def test_faces_keep_their_corners_and_their_way_round(tmp_path, suffix):
    write_mesh([STENT], tmp_path / f"stent{suffix}")
    (again,) = read_mesh(tmp_path / f"stent{suffix}")
    order = np.lexsort(np.round(STENT.vertices, 1).T), np.lexsort(np.round(again.vertices, 1).T)
    assert again.genus == 1
    assert again.volume_ml == pytest.approx(STENT.volume_ml, rel=1e-4)
    limit = 52 / 65535 if suffix == ".glb" else 1e-5  # a step of the lattice of 16 bits
    assert np.abs(STENT.vertices[order[0]] - again.vertices[order[1]]).max() < limit


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if suffix != ".glb"])
def test_axes_are_told_in_the_file_and_turned_back(tmp_path, suffix):
    path = tmp_path / f"ras{suffix}"
    write_mesh([RIB], path, axes="ras")
    said = b"SPACE=RAS"
    if suffix == ".vtp":
        said = b"82 65 83 0"
    if suffix != ".3mf":  # compressed
        assert said in path.read_bytes()
    if suffix in READ:
        (again,) = read_mesh(path, axes="lps")  # what the file says counts
        np.testing.assert_allclose(again.bounds_mm, RIB.bounds_mm, atol=1e-4)
        assert again.volume_ml > 0


def test_a_file_that_tells_no_axes_is_taken_as_it_is_said(tmp_path):
    path = tmp_path / "their.obj"
    path.write_text("v 1 2 3\nv 2 2 3\nv 1 3 3\nv 1 2 4\nf 1 3 2\nf 1/1 2/2 4/4\nf -4//1 -1//2 -2//3\nf 2 3 4\n")
    (plain,), (turned,) = read_mesh(path), read_mesh(path, axes="ras")
    assert plain.bounds_mm == ((1, 2, 3), (2, 3, 4))
    assert turned.bounds_mm == ((-2, -3, 3), (-1, -2, 4))
    assert plain.volume_ml == turned.volume_ml == pytest.approx(1 / 6000)
    assert plain.label.name == "their"


@pytest.mark.parametrize("suffix", FORMATS)
def test_equal_surfaces_make_equal_bytes(tmp_path, suffix):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_mesh([HEART, RIB], tmp_path / name / f"x{suffix}", opacity={"heart": 0.25})
    first, second = ((tmp_path / name / f"x{suffix}").read_bytes() for name in ("a", "b"))
    assert first == second


def test_stl_says_its_units_and_does_not_begin_with_solid(tmp_path):
    write_mesh([RIB], tmp_path / "rib.stl")
    data = (tmp_path / "rib.stl").read_bytes()
    assert not data.startswith(b"solid")
    assert b"units mm" in data[:80]
    assert struct.unpack("<I", data[80:84]) == (12,)
    assert len(data) == 84 + 12 * 50
    (again,) = read_mesh(tmp_path / "rib.stl")
    assert len(again.vertices) == 8  # corners at one place became one
    assert again.label.name == "rib"


def test_text_stl_and_text_and_big_endian_ply_of_others(tmp_path):
    corners = [[0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4]]
    faces = [[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]
    facets = "".join(
        "facet normal 0 0 0\nouter loop\n"
        + "".join("vertex {} {} {}\n".format(*corners[at]) for at in face)
        + "endloop\nendfacet\n"
        for face in faces
    )
    (tmp_path / "text.stl").write_text(f"solid SPACE=RAS\n{facets}endsolid\n")
    head = (
        "ply\nformat {} 1.0\nelement vertex 4\nproperty double x\nproperty double y\nproperty double z\n"
        "property int q\n"
        "element face {}\nproperty list uchar int vertex_index\nend_header\n"
    )
    text = "".join(f"{x} {y} {z} 9\n" for x, y, z in corners) + "".join("3 {} {} {}\n".format(*f) for f in faces)
    (tmp_path / "text.ply").write_text(head.format("ascii", 4) + text)
    binary = head.format("binary_big_endian", 3).encode()
    binary += b"".join(struct.pack(">3di", *place, 9) for place in corners)
    # A square among triangles: rows of different lengths.
    binary += struct.pack(">B3i", 3, *faces[0]) + struct.pack(">B4i", 4, 0, 1, 3, 2) + struct.pack(">B3i", 3, 1, 2, 3)
    (tmp_path / "big.ply").write_bytes(binary)
    (stl,), (ply,), (big,) = (read_mesh(tmp_path / name) for name in ("text.stl", "text.ply", "big.ply"))
    assert stl.volume_ml == ply.volume_ml == pytest.approx(4**3 / 6 / 1000)
    assert stl.bounds_mm == ((-4, -4, 0), (0, 0, 4))
    assert len(big.faces) == 4


def test_glb_stands_upright_in_metres_and_keeps_the_patient(tmp_path):
    head = box((2, 2, 2), centre_mm=(0, 0, 900), name="head")  # superior: +z of LPS
    nose = box((1, 1, 1), centre_mm=(0, -100, 880), name="nose", value=2)  # anterior: -y
    left = box((1, 1, 1), centre_mm=(70, 0, 880), name="left ear", value=4)  # +x
    write_mesh([head, nose, left], tmp_path / "x.glb", opacity={"nose": 0.5}, compression="none")
    data = (tmp_path / "x.glb").read_bytes()
    document = json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])
    root = document["nodes"][document["scenes"][0]["nodes"][0]]
    world = np.array(root["matrix"]).reshape(4, 4).T
    assert np.linalg.det(world[:3, :3]) > 0
    np.testing.assert_allclose(world @ [0, 0, 900, 1], [0, 0.9, 0, 1])  # up
    np.testing.assert_allclose(world @ [0, -100, 0, 1], [0, 0, 0.1, 1])  # towards the viewer
    np.testing.assert_allclose(world @ [70, 0, 0, 1], [0.07, 0, 0, 1])  # the patient's left is at the viewer's right
    assert document["asset"]["extras"]["frame"] == "LPS"
    assert [node["name"] for node in document["nodes"]][:3] == ["head", "nose", "left ear"]
    assert [material.get("alphaMode", "OPAQUE") for material in document["materials"]] == ["OPAQUE", "BLEND", "OPAQUE"]
    assert [one.label.value for one in read_mesh(tmp_path / "x.glb")] == [1, 2, 4]


@pytest.mark.parametrize(("compression", "step_mm"), [("none", 1e-4), ("quantised", 0.01), ("draco", 0.01)])
def test_compressed_glb_is_as_exact_as_it_says(tmp_path, compression, step_mm):
    if compression == "draco":
        pytest.importorskip("DracoPy")
    write_mesh([HEART, RIB], tmp_path / "x.glb", compression=compression)
    heart, rib = read_mesh(tmp_path / "x.glb")
    far = np.linalg.norm(heart.vertices - (-12.5, 101.25, -340.0), axis=1)
    assert np.abs(far - 30).max() < step_mm
    assert heart.genus == 0
    np.testing.assert_allclose(rib.bounds_mm, RIB.bounds_mm, atol=step_mm)


def test_neighbours_stay_together_on_the_lattice_of_a_glb(tmp_path):
    rng = np.random.default_rng(1)
    shared = rng.uniform(-200, 200, (50, 3))
    sheet = np.arange(48)[:, None] + np.arange(3)
    for number, compression in enumerate(("quantised", "none")):
        one = Surface(shared, sheet, Label("one", 1))
        two = Surface(
            np.concatenate([shared, [[999.0, 0, 0]]]), np.concatenate([sheet[:, ::-1], [[0, 1, 50]]]), Label("two", 2)
        )
        write_mesh([one, two], tmp_path / f"{number}.glb", compression=compression)
        again = read_mesh(tmp_path / f"{number}.glb")
        np.testing.assert_array_equal(again[0].vertices[:50], again[1].vertices[:50])


def test_a_file_for_each_structure(tmp_path):
    twin = box(name="Rib <7> & Co", value=9)
    names = write_meshes([HEART, RIB, twin], tmp_path / "out", suffix=".ply")
    assert len({name.lower() for name in names}) == 3
    assert sorted(names) == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert read_mesh(tmp_path / "out" / names[0])[0].label.name == "heart"
    with pytest.raises(VesaliusError, match="there already"):
        write_meshes([HEART], tmp_path / "out")


def test_names_cannot_leave_the_folder(tmp_path):
    (name,) = write_meshes([box(name="../../etc/passwd")], tmp_path / "out")
    assert "/" not in name
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_obj_has_its_colours_beside_it(tmp_path):
    write_mesh([HEART, RIB], tmp_path / "two.obj", opacity={"heart": 0.3})
    library = (tmp_path / "two.mtl").read_text()
    assert "newmtl rib_<7>_&_co\nKd 0.0392 0.7843 0.1176" in library
    assert "d 0.3" in library
    assert "mtllib two.mtl" in (tmp_path / "two.obj").read_text()


def test_what_cannot_be_written(tmp_path):
    empty = Surface(np.zeros((0, 3)), np.zeros((0, 3), np.int32), Label("empty", 1))
    with pytest.raises(DataError, match="every structure is empty"):
        write_mesh([empty], tmp_path / "x.stl")
    with pytest.raises(FormatError, match=r"unknown mesh format '\.stp'"):
        write_mesh([RIB], tmp_path / "x.stp")
    with pytest.raises(DataError, match="unknown structure 'hart'"):
        write_mesh([HEART], tmp_path / "x.glb", opacity={"hart": 0.5})
    with pytest.raises(DataError, match="between 0 and 1"):
        write_mesh([HEART], tmp_path / "x.glb", opacity={"heart": 5})
    with pytest.raises(FormatError, match="axes of its own"):
        write_mesh([HEART], tmp_path / "x.glb", axes="ras")
    with pytest.raises(FormatError, match="orientation of axes"):
        write_mesh([HEART], tmp_path / "x.stl", axes="lpi")
    with pytest.raises(FormatError, match="compression"):
        write_mesh([HEART], tmp_path / "x.glb", compression="zip")
    assert not list(tmp_path.iterdir())
    write_mesh([empty, RIB], tmp_path / "x.3mf")
    assert len(read_mesh(tmp_path / "x.3mf")) == 1
