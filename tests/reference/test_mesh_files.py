"""Mesh files and solids of ours in the eyes of trimesh, lib3mf, manifold3d, admesh and PrusaSlicer."""

import os
import re
import subprocess

import numpy as np
import pytest
from bodies import ball, box, ring
from hospital import tool

from vesalius.mesh.colours import ColourScale
from vesalius.mesh.files import write_mesh
from vesalius.mesh.painted import Painted
from vesalius.mesh.printing import Base, Connectors, Cut, Hollowing, prepare

trimesh = pytest.importorskip("trimesh")
lib3mf = pytest.importorskip("lib3mf")
manifold3d = pytest.importorskip("manifold3d")

BALL = ball(12.0, centre_mm=(-12.0, 101.0, -340.0), name="ball", steps=24)
RIB = box((8.0, 4.0, 2.0), centre_mm=(20.0, 60.0, -300.0), name="rib <7> & co", value=7, colour=(10, 200, 30))
RING = ring(name="ring")
VOLUME = BALL.volume_ml * 1000 + RIB.volume_ml * 1000 + RING.volume_ml * 1000


@pytest.mark.parametrize("suffix", [".stl", ".ply", ".obj", ".glb"])
def test_trimesh_reads_the_same_solid(tmp_path, suffix):
    write_mesh([BALL, RIB, RING], tmp_path / f"x{suffix}")
    found = trimesh.load(tmp_path / f"x{suffix}")
    found = found.to_geometry() if isinstance(found, trimesh.Scene) else found
    scale = 1e9 if suffix == ".glb" else 1.0  # metres
    assert found.is_watertight
    assert found.is_winding_consistent
    assert found.volume * scale == pytest.approx(VOLUME, rel=1e-3)
    bounds = np.array(
        [np.min([s.bounds_mm[0] for s in (BALL, RIB, RING)], 0), np.max([s.bounds_mm[1] for s in (BALL, RIB, RING)], 0)]
    )
    if suffix == ".glb":  # (x, z, -y) / 1000
        low, high = bounds[:, [0, 2, 1]] * (1, 1, -1) / 1000
        bounds = np.array([np.minimum(low, high), np.maximum(low, high)])
    np.testing.assert_allclose(found.bounds, bounds, atol=1e-2 if suffix != ".glb" else 1e-5)


def test_trimesh_reads_the_values_at_the_vertices(tmp_path):
    shown = Painted(BALL, BALL.vertices[:, 2] + 340, "height", "mm", ColourScale(-12, 12, "diverging"))
    for suffix in (".ply", ".glb"):
        write_mesh([shown], tmp_path / f"x{suffix}")
    glb = trimesh.load(tmp_path / "x.glb", process=False).geometry["ball"]
    np.testing.assert_allclose(glb.vertex_attributes["_HEIGHT_MM"].ravel(), shown.values, atol=1e-5)
    ply = trimesh.load(tmp_path / "x.ply", process=False)
    np.testing.assert_array_equal(ply.visual.vertex_colors[:, :3], shown.colours)
    read = ply.metadata["_ply_raw"]["vertex"]["data"]["height_mm"]
    np.testing.assert_allclose(read, shown.values, atol=1e-5)


def test_lib3mf_finds_no_fault_in_its_strict_mode(tmp_path):
    write_mesh([BALL, RIB, RING], tmp_path / "x.3mf", opacity={"ball": 0.4})
    model = lib3mf.get_wrapper().CreateModel()
    reader = model.QueryReader("3mf")
    reader.SetStrictModeActive(True)
    reader.ReadFromFile(str(tmp_path / "x.3mf"))
    assert reader.GetWarningCount() == 0
    assert model.GetUnit() == lib3mf.ModelUnit.MilliMeter
    meshes = model.GetMeshObjects()
    found = {}
    while meshes.MoveNext():
        mesh = meshes.GetCurrentMeshObject()
        found[mesh.GetName()] = (mesh.GetTriangleCount(), mesh.IsManifoldAndOriented(), mesh.GetPartNumber())
    assert found == {
        "ball": (len(BALL.faces), True, "1"),
        "rib <7> & co": (12, True, "7"),
        "ring": (len(RING.faces), True, "1"),
    }
    groups = model.GetBaseMaterialGroups()
    assert groups.MoveNext()
    group = groups.GetCurrentBaseMaterialGroup()
    shades = {group.GetName(at): group.GetDisplayColor(at) for at in group.GetAllPropertyIDs()}
    rib = shades["rib <7> & co"]
    assert (rib.Red, rib.Green, rib.Blue, rib.Alpha) == (10, 200, 30, 255)
    assert shades["ball"].Alpha == 102


def test_manifold3d_takes_every_solid_that_was_prepared():
    made = prepare(
        [ball(20.0, steps=24)],
        base=Base(),
        cut_at=Cut("axial", 0.6),
        connectors=Connectors(diameter_mm=4, length_mm=4),
        hollowing=Hollowing(2.0),
    )
    assert made.connectors == 2
    for surface in made.surfaces:
        mesh = manifold3d.Mesh64(surface.vertices.copy(), surface.faces.astype(np.uint64))
        solid = manifold3d.Manifold(mesh)
        assert solid.status() == manifold3d.Error.NoError
        assert solid.volume() / 1000 == pytest.approx(surface.volume_ml, rel=1e-9)
        assert 1 - solid.genus() - 1 == -surface.genus  # of one piece
        other = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
        assert other.is_watertight
        assert other.is_winding_consistent
        assert other.volume / 1000 == pytest.approx(surface.volume_ml, rel=1e-9)


def test_admesh_has_nothing_to_mend(tmp_path):
    admesh = tool("admesh")
    made = prepare([BALL, RIB, RING], hollowing=Hollowing(2.0, drains=1, drain_mm=2))
    write_mesh(made.surfaces, tmp_path / "x.stl")
    said = subprocess.run([admesh, str(tmp_path / "x.stl")], capture_output=True, text=True, check=True).stdout
    for fault in (
        "Total disconnected facets",
        "Degenerate facets",
        "Edges fixed",
        "Facets reversed",
        "Backwards edges",
    ):
        assert re.search(rf"{fault}\s*:\s*0\b", said), fault
    assert int(re.search(r"Number of parts\s*:\s*(\d+)", said)[1]) == 3


def test_prusa_slicer_slices_it(tmp_path):
    slicer = tool("prusa-slicer")
    made = prepare([box((20, 16, 12), name="block")], cut_at=Cut("axial"), connectors=Connectors(1, 4, 3))
    write_mesh(made.surfaces, tmp_path / "x.3mf", assembled=False)
    quiet = {**os.environ, "HOME": str(tmp_path)}
    said = subprocess.run(
        [slicer, "--info", str(tmp_path / "x.3mf")], capture_output=True, text=True, check=True, env=quiet
    ).stdout
    volumes = [float(number) for number in re.findall(r"volume = ([\d.]+)", said)]
    assert volumes == [pytest.approx(surface.volume_ml * 1000, rel=1e-4) for surface in made.surfaces]
    assert said.count("manifold = yes") == 2
    subprocess.run(
        [slicer, "--export-gcode", "-o", str(tmp_path / "x.gcode"), str(tmp_path / "x.3mf")],
        capture_output=True,
        check=True,
        env=quiet,
    )
    code = (tmp_path / "x.gcode").read_text()
    heights = [float(z) for z in re.findall(r"^G1 Z([\d.]+)", code, re.MULTILINE)]
    assert 9 < max(heights) < 12  # the half with the pin: 6 mm and 3 mm
