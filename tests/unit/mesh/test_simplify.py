import numpy as np
import pytest
import trimesh
from bodies import ball

from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.mesh import check, extract, simplify
from vesalius.mesh.crossings import crossings
from vesalius.mesh.surface import Interfaces


@pytest.fixture(scope="module")
def organs():
    """A sphere in two halves with a ball inside one of them, and a torus around it that touches nothing."""
    x, y, z = np.meshgrid(*[np.arange(-26, 27)] * 3, indexing="ij")
    away = np.sqrt(x**2 + y**2 + z**2)
    array = np.where(away < 14, np.where(x < 0.4 * y, 1, 2), 0)
    array[np.sqrt((x + 6) ** 2 + y**2 + z**2) < 4] = 3
    array[np.hypot(np.hypot(x, y) - 21, z) < 3.5] = 4
    names = Labels.of({"left": 1, "right": 2, "lesion": 3, "ring": 4}, regions={"organ": (1, 2, 3)})
    return extract(LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 1)), names))


@pytest.mark.parametrize("bound", [0.05, 0.3])
def test_few_triangles_are_left_within_the_bound_and_all_is_sound(organs, bound):
    few = simplify(organs, max_error_mm=bound)

    assert len(few.faces) < (0.85 if bound < 0.1 else 0.5) * len(organs.faces)
    assert len(crossings(few.vertices, few.faces)) == 0
    for name in ("left", "right", "lesion", "ring", "organ"):
        before, after = organs.of(name), few.of(name)
        assert check(after).is_sound, name
        assert (after.genus, after.pieces) == (before.genus, before.pieces)
        assert after.volume_ml == pytest.approx(before.volume_ml, rel=bound / 4)  # the lesion's radius is 4 mm
        # Both ways: from every vertex before to the triangles after, and from points on these to those before.
        points = trimesh.Trimesh(after.vertices, after.faces, process=False).sample(80, seed=1)
        assert farthest(before.vertices[::50], after) <= bound
        assert farthest(points, before) <= bound


def farthest(points, surface) -> float:
    """The largest distance from points to triangles, all against all."""
    triangles = surface.vertices[surface.faces]
    largest = 0.0
    for point in points:
        near = triangles[np.square(triangles.mean(axis=1) - point).sum(axis=1).argsort()[:60]]
        closest = trimesh.triangles.closest_point(near, np.repeat(point[None], len(near), axis=0))
        largest = max(largest, float(np.linalg.norm(closest - point, axis=1).min()))
    return largest


def test_walls_stay_shared_and_vertices_where_they_were(organs):
    few = simplify(organs, max_error_mm=0.3)

    known = {tuple(point) for point in organs.vertices}
    assert {tuple(point) for point in few.vertices} <= known
    whole = few.of("left").volume_ml + few.of("right").volume_ml + few.of("lesion").volume_ml
    assert whole == pytest.approx(few.of("organ").volume_ml, rel=1e-9)
    assert (few.sides > 0).all(axis=1).sum() > 20


def test_flat_faces_need_few_triangles_and_edges_stay_sharp():
    cube = LabelMap(np.ones((9, 9, 9), np.uint8), Grid.from_spacing((9, 9, 9), (1, 1, 1)), Labels.of([1]))
    few = simplify(extract(cube, smoothing_steps=0), max_error_mm=1e-6).of("label 1")

    assert len(few.faces) < 100
    assert few.volume_ml == pytest.approx(0.729, rel=1e-9)


def test_random_labels_stay_sound(rng):
    array = rng.integers(0, 3, (8, 8, 8)).astype(np.uint8)
    found = extract(LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 1)), Labels.of([1, 2])))
    few = simplify(found, max_error_mm=0.5)

    assert len(few.faces) < len(found.faces)
    for before, after in zip(found.surfaces(), few.surfaces(), strict=True):
        assert check(after).is_sound
        assert (after.genus, after.pieces) == (before.genus, before.pieces)


def test_a_bound_of_nothing_leaves_what_is_not_flat_and_a_negative_one_is_refused(organs):
    assert len(simplify(organs, max_error_mm=0).faces) > 0.95 * len(organs.faces)
    for bound in (-1, float("nan")):
        with pytest.raises(DataError, match="0 or more"):
            simplify(organs, max_error_mm=bound)


def test_thin_walls_get_simpler_too_though_triangles_come_to_cut_each_other():
    """A labyrinth of sheets one voxel thick, and a bound as large: it was given back as it came, without a word."""
    x, y, z = np.meshgrid(*[np.arange(14) * 2 * np.pi / 7] * 3, indexing="ij")
    gyroid = np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)
    array = np.where(gyroid >= 0.35, 2, np.where(np.abs(gyroid) < 0.35, 1, 0)).astype(np.uint8)
    fine = extract(LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 1)), Labels.of([1, 2])))

    few = simplify(fine, max_error_mm=1.0)

    assert len(few.faces) < 0.6 * len(fine.faces)
    assert len(crossings(few.vertices, few.faces)) == 0
    assert simplify(fine, max_error_mm=1.0).faces.tolist() == few.faces.tolist()
    assert len(simplify(fine, max_error_mm=1.0, seed=1).faces) != len(few.faces)


def test_what_cut_itself_before_is_left_and_the_rest_gets_simpler():
    one, other = ball(10.0), ball(10.0, centre_mm=(12.0, 0.0, 0.0))
    vertices = np.concatenate([one.vertices, other.vertices])
    faces = np.concatenate([one.faces, other.faces + len(one.vertices)])
    crossing = Interfaces(vertices, faces, np.tile([1, 0], (len(faces), 1)), Labels.of([1]))
    before = crossings(vertices, faces)
    assert len(before) > 0

    few = simplify(crossing, max_error_mm=0.3)

    assert len(few.faces) < 0.8 * len(faces)
    kept = {tuple(point) for point in few.vertices}
    assert {tuple(point) for point in vertices[faces[before]].reshape(-1, 3)} <= kept
