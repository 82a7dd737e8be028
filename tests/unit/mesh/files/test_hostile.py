"""Mesh files that are damaged or mean harm: a clear error, and no memory or time beyond the file's own."""

import io
import json
import struct
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from bodies import ball, box

from vesalius.errors import FormatError
from vesalius.mesh.files import READ, read_mesh, write_mesh

MODEL = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"
TRIANGLE = (
    '<mesh><vertices><vertex x="0" y="0" z="0"/><vertex x="1" y="0" z="0"/><vertex x="0" y="1" z="0"/></vertices>'
    '<triangles><triangle v1="0" v2="1" v3="2"/></triangles></mesh>'
)


def _refused(path, match: str, data: bytes | None = None) -> None:
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(FormatError, match=match) as caught:
        read_mesh(path)
    assert str(caught.value).startswith(f"{path.name}: ")


@pytest.mark.parametrize("suffix", READ)
def test_every_cut_is_noticed(tmp_path, suffix):
    write_mesh([box()], tmp_path / f"whole{suffix}")
    whole = (tmp_path / f"whole{suffix}").read_bytes()
    faces = len(read_mesh(tmp_path / f"whole{suffix}")[0].faces)
    cut = tmp_path / f"cut{suffix}"
    for length in [0, 1, 10, *range(20, len(whole) - 2, max(1, len(whole) // 60))]:
        cut.write_bytes(whole[:length])
        try:
            found = read_mesh(cut)
        except FormatError:
            continue
        # A text without an end can be cut between two faces: what is left is then read, and is not closed.
        assert suffix == ".obj"
        assert len(found[0].faces) < faces


@pytest.mark.parametrize("suffix", READ)
def test_any_byte_may_be_wrong(tmp_path, suffix):
    write_mesh([ball(steps=4)], tmp_path / f"whole{suffix}")
    whole = (tmp_path / f"whole{suffix}").read_bytes()
    rng = np.random.default_rng(5)
    broken = tmp_path / f"broken{suffix}"
    for at in rng.integers(0, len(whole), 150):
        data = bytearray(whole)
        data[at] = rng.integers(256)
        broken.write_bytes(data)
        with suppress(FormatError):  # nothing else may come
            read_mesh(broken)


def test_counts_that_do_not_fit_the_file(tmp_path):
    _refused(tmp_path / "x.stl", "has 4294967295 facets|4294967295 facets", b"x" * 80 + b"\xff" * 4 + b"y" * 50)
    head = b"ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\nproperty float x\nend_header\n"
    _refused(tmp_path / "x.ply", "4000000000 of vertex", head)
    head = (
        b"ply\nformat binary_little_endian 1.0\nelement vertex 1\n"
        b"property float x\nproperty float y\nproperty float z\nelement face 1\n"
        b"property list uint int vertex_indices\nend_header\n"
    )
    _refused(tmp_path / "y.ply", "longer than the file", head + bytes(12) + b"\xff\xff\xff\xff" + bytes(12))
    _refused(tmp_path / "z.ply", "cut off", head + bytes(5))


def test_faces_and_places_that_cannot_be(tmp_path):
    head = (
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    )
    _refused(tmp_path / "a.ply", "vertex that is not there", (head + "0 0 0\n1 0 0\n0 1 0\n3 0 1 3\n").encode())
    _refused(tmp_path / "b.ply", "finite", (head + "0 0 nan\n1 0 0\n0 1 0\n3 0 1 2\n").encode())
    _refused(tmp_path / "c.ply", "damage", (head + "0 0 1e30\n1 0 0\n0 1 0\n3 0 1 2\n").encode())
    _refused(tmp_path / "d.ply", "no number", (head + "0 0 zero\n1 0 0\n0 1 0\n3 0 1 2\n").encode())
    _refused(tmp_path / "a.obj", "vertex that is not there", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n")
    _refused(tmp_path / "b.obj", "cut off or no number", b"v 0 0\n")
    _refused(tmp_path / "c.obj", "0 objects with faces", b"v 0 0 0\n")
    _refused(tmp_path / "d.obj", "cut off or no number", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 0 2\n")


def _package(model: str | bytes, *, name: str = "3D/3dmodel.model") -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr(name, model)
    return made.getvalue()


def _model(objects: str, build: str, unit: str = "millimeter") -> str:
    return f'<model unit="{unit}" xmlns="{MODEL}"><resources>{objects}</resources><build>{build}</build></model>'


def test_packages_that_mean_harm(tmp_path):
    path = tmp_path / "x.3mf"
    _refused(path, "would grow to", _package(b" " * (300 << 20)))
    bomb = f'<!DOCTYPE model [<!ENTITY a "aaaaaaaa">]>{_model("", "")}'
    _refused(path, "document type or entities", _package(bomb))
    _refused(path, "nested too deeply", _package("<a>" * 500))
    _refused(path, "no 3D model", _package("", name="../../etc/passwd"))
    _refused(path, "not a 3MF package", b"PK\x03\x04 but no more")
    lying = bytearray(_package(_model("", "")))
    at = lying.rindex(b"PK\x01\x02")
    lying[at + 24 : at + 28] = struct.pack("<I", 50)  # the size that the directory tells
    _refused(path, "size that it tells|damaged one", bytes(lying))


def test_models_that_mean_harm(tmp_path):
    path = tmp_path / "x.3mf"
    item = '<item objectid="1"/>'
    itself = '<object id="1"><components><component objectid="1"/></components></object>'
    _refused(path, "holds itself", _package(_model(itself, item)))
    # Twenty layers, ten copies each: 10^20 triangles.
    layers = f'<object id="0">{TRIANGLE}</object>' + "".join(
        f'<object id="{n}"><components>' + f'<component objectid="{n - 1}"/>' * 10 + "</components></object>"
        for n in range(1, 12)
    )
    _refused(path, "over and over|more than 65535", _package(_model(layers, '<item objectid="11"/>')))
    _refused(path, "not there", _package(_model("", item)))
    _refused(
        path,
        "element 'vertex'",
        _package(_model('<object id="1"><mesh><vertices><vertex x="1"/></vertices></mesh></object>', item)),
    )
    _refused(path, "element 'model'", _package(_model("", "", unit="parsec")))
    _refused(path, "two objects", _package(_model(f'<object id="1">{TRIANGLE}</object>' * 2, item)))
    _refused(
        path,
        "element 'item'",
        _package(_model(f'<object id="1">{TRIANGLE}</object>', '<item objectid="1" transform="1 2"/>')),
    )
    _refused(path, "nothing that has triangles", _package(_model(f'<object id="1">{TRIANGLE}</object>', "")))


def test_places_units_and_mirrors_of_others(tmp_path):
    path = tmp_path / "x.3mf"
    item = '<item objectid="2" transform="1 0 0 0 1 0 0 0 1 10 0 0"/>'
    inner = '<component objectid="1" transform="-1 0 0 0 1 0 0 0 1 0 5 0"/>'
    objects = f'<object id="1">{TRIANGLE}</object><object id="2"><components>{inner}</components></object>'
    path.write_bytes(_package(_model(objects, item, unit="centimeter")))
    (found,) = read_mesh(path)
    # Mirrored, then moved by (0, 5, 0), then by (10, 0, 0), in centimetres.
    np.testing.assert_allclose(found.bounds_mm, [[90, 50, 0], [100, 60, 0]])
    normal = np.cross(*(found.vertices[found.faces[0, k]] - found.vertices[found.faces[0, 0]] for k in (1, 2)))
    assert normal[2] > 0  # as in the object: it was turned inside out by the mirror, and is turned back


def _glb(document: dict, binary: bytes = b"") -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def _plain(**changes) -> dict:
    document = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}],
        "bufferViews": [{"buffer": 0, "byteLength": 36}],
        "buffers": [{"byteLength": 36}],
    }
    return {**document, **changes}


def test_glb_that_means_harm(tmp_path):
    path = tmp_path / "x.glb"
    corners = np.eye(3, dtype="<f4").tobytes()
    path.write_bytes(_glb(_plain(), corners))
    assert len(read_mesh(path)[0].faces) == 1  # as it is, it is read
    accessor = _plain()["accessors"][0]
    harm = [
        ({"accessors": [{**accessor, "count": 1 << 40}]}, "reaches beyond"),
        ({"accessors": [{**accessor, "byteOffset": -4}]}, "reaches beyond"),
        ({"accessors": [{**accessor, "sparse": {}}]}, "sparse"),
        ({"accessors": [{**accessor, "componentType": 1}]}, "damaged"),
        ({"accessors": []}, "damaged"),
        ({"bufferViews": [{"byteLength": 1 << 30}]}, "reaches beyond"),
        ({"bufferViews": [{"byteLength": 36, "byteStride": 1}]}, "reaches beyond"),
        ({"buffers": [{"byteLength": 36, "uri": "file:///etc/passwd"}]}, "other files"),
        ({"nodes": [{"mesh": 0, "children": [0]}]}, "no tree"),
        ({"nodes": [{"mesh": -1}], "meshes": []}, "damaged"),
        ({"nodes": "x"}, "damaged"),
        ({"nodes": [{"mesh": 0, "matrix": [1]}]}, "damaged"),
        ({"nodes": [{"mesh": 0, "scale": [1e300, 1e300, 1e300]}]}, "finite|damage"),
        ({"extensionsRequired": ["EXT_meshopt_compression"]}, "EXT_meshopt_compression"),
        ({"nodes": [{}]}, "no triangles"),
    ]
    for changes, match in harm:
        _refused(path, match, _glb(_plain(**changes), corners))
    _refused(path, "JSON", struct.pack("<4sIII4s", b"glTF", 2, 24, 4, b"JSON") + b"[[[[")
    _refused(path, "not a GLB file", b"solid")


def test_draco_that_lies(tmp_path):
    pytest.importorskip("DracoPy")
    write_mesh([box()], tmp_path / "x.glb", compression="draco")
    data = (tmp_path / "x.glb").read_bytes()
    length = struct.unpack("<I", data[12:16])[0]
    document = json.loads(data[20 : 20 + length])
    binary = data[28 + length :]
    document["accessors"][0]["count"] = 9
    _refused(tmp_path / "y.glb", "other counts", _glb(document, binary))
    document["accessors"][0]["count"] = 1 << 40
    _refused(tmp_path / "y.glb", "cannot hold", _glb(document, binary))
    document["accessors"][0]["count"] = 8
    _refused(tmp_path / "y.glb", "damaged", _glb(document, b"\0" * len(binary)))


def test_large_files_are_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr("vesalius.mesh.files.LARGEST_BYTES", 100)
    _refused(tmp_path / "x.stl", "larger than", b"x" * 101)
    _refused(tmp_path / "none.stl", "cannot be read")
