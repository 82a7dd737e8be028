import itertools

import numpy as np
import pytest

from vesalius.image import Label
from vesalius.mesh import Surface, check
from vesalius.mesh.crossings import crossings

BALL = Label("ball", 1)
CORNERS = np.asarray([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]], np.float64)
FACES = np.asarray([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)


def pierces(start, end, triangle) -> bool:
    """By solving three equations, which is another way than the library's."""
    matrix = np.stack([end - start, triangle[0] - triangle[1], triangle[0] - triangle[2]], axis=1)
    share, a, b = np.linalg.solve(matrix, triangle[0] - start)
    return 0 <= share <= 1 and a >= 0 and b >= 0 and a + b <= 1


@pytest.mark.parametrize("stretch", [1.0, 1000.0])
def test_all_pairs_of_random_triangles_are_found(rng, stretch):
    # Triangles of very different sizes, so that several levels of cells take part.
    sizes = np.repeat(np.exp(rng.uniform(-4, 0.5, 60)), 3)[:, None]
    points = (np.repeat(rng.uniform(size=(60, 3)), 3, axis=0) + rng.normal(size=(180, 3)) * sizes) * stretch
    faces = np.arange(180, dtype=np.int32).reshape(60, 3)

    expected = []
    for i, j in itertools.combinations(range(60), 2):
        one, other = points[faces[i]], points[faces[j]]
        sides = [(one[k], one[k - 1], other) for k in range(3)] + [(other[k], other[k - 1], one) for k in range(3)]
        if any(pierces(*side) for side in sides):
            expected.append((i, j))

    assert len(expected) > 20
    assert sorted(map(tuple, crossings(points, faces).tolist())) == expected
    some = np.arange(60) < 7
    assert sorted(map(tuple, crossings(points, faces, among=some).tolist())) == [p for p in expected if p[0] < 7]


@pytest.mark.parametrize(
    ("points", "faces", "cut"),
    [
        # One corner in common: the far side of one goes through the other, or does not.
        ([[0, 0, 0], [4, 0, 0], [0, 4, 0], [1, 1, 1], [1, 1, -1]], [[0, 1, 2], [0, 3, 4]], True),
        ([[0, 0, 0], [4, 0, 0], [0, 4, 0], [-1, -1, 1], [-1, -1, -1]], [[0, 1, 2], [0, 3, 4]], False),
        ([[0, 0, 0], [4, 0, 0], [0, 4, 0], [1, 1, 1], [1, 1, 2]], [[0, 1, 2], [0, 3, 4]], False),
        # A common edge: folded onto each other, side by side in a plane, at an angle.
        ([[0, 0, 0], [4, 0, 0], [0, 4, 0], [1, 1, 0]], [[0, 1, 2], [1, 0, 3]], True),
        ([[0, 0, 0], [4, 0, 0], [0, 4, 0], [1, -3, 0]], [[0, 1, 2], [1, 0, 3]], False),
        ([[0, 0, 0], [4, 0, 0], [0, 4, 0], [1, 1, 1]], [[0, 1, 2], [1, 0, 3]], False),
        # In one plane: overlapping, apart, with a corner in common.
        ([[0, 0, 0], [4, 0, 0], [0, 4, 0], [1, 1, 0], [5, 1, 0], [1, 5, 0]], [[0, 1, 2], [3, 4, 5]], True),
        ([[0, 0, 0], [4, 0, 0], [0, 4, 0], [4, 4, 0], [5, 4, 0], [4, 5, 0]], [[0, 1, 2], [3, 4, 5]], False),
        ([[0, 0, 0], [4, 0, 0], [0, 4, 0], [-4, 0, 0], [0, -4, 0]], [[0, 1, 2], [0, 3, 4]], False),
        ([[0, 0, 0], [4, 0, 0], [0, 4, 0], [4, 1, 0], [1, 4, 0]], [[0, 1, 2], [0, 3, 4]], True),
    ],
)
def test_triangles_with_common_corners_and_planes(points, faces, cut):
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    for turned in (np.asarray(points, np.float64), np.asarray(points) @ turn + 100):
        assert (len(crossings(turned, np.asarray(faces, np.int32))) > 0) is cut


def test_triangles_beside_each_other_in_nearly_one_plane_do_not_cut():
    """From a smoothed wall: they are 10⁻⁹ mm off its plane, and 0.8 mm from each other."""
    off = np.asarray([1.98348e-10, -1.008491e-9, -8.29902e-10, -7.37935e-10, -6.27654e-10, -2.455889e-9])
    plane = [
        (1.7555725872516632, 3.7141790064051747),
        (2.4630959145724773, 3.700500939041376),
        (2.449340634047985, 5.126362077891827),
        (1.6730940490961075, 5.106194481253624),
        (2.446564741432667, 6.7499999941012385),
        (1.6568707078695297, 6.750000001310935),
    ]
    points = np.column_stack([6.5 + off, plane])
    assert len(crossings(points, np.asarray([[0, 1, 2], [3, 4, 5]], np.int32))) == 0
    points[3, 1:] = 2.2, 4.0  # now one lies over the other
    assert len(crossings(points, np.asarray([[0, 1, 2], [3, 4, 5]], np.int32))) == 1


def test_a_sound_surface_is_proven_by_manifold3d_as_well():
    proof = check(Surface(CORNERS, FACES, BALL))

    assert proof.is_sound
    assert proof.manifold3d == "NoError"


def test_a_surface_without_faces_has_no_defects():
    assert check(Surface(np.zeros((0, 3)), np.zeros((0, 3), np.int32), BALL)).is_sound


def test_each_defect_is_counted():
    hole = check(Surface(CORNERS, FACES[:3], BALL))
    assert (hole.open_edges, hole.is_watertight) == (3, False)

    turned = check(Surface(CORNERS, np.concatenate([FACES[:3], FACES[3:, ::-1]]), BALL))
    assert (turned.turned_edges, turned.is_watertight, turned.is_oriented) == (3, True, False)

    inward = check(Surface(CORNERS, FACES[:, ::-1], BALL))
    assert (inward.turned_edges, inward.is_inward, inward.is_oriented, inward.is_sound) == (0, True, False, False)

    # Two tetrahedra that share the edge from 0 to 3, then only the corner 0.
    below = np.concatenate([CORNERS, -CORNERS[1:]])
    edge = check(Surface(np.concatenate([CORNERS, [[-9, -1, 0], [-1, -9, 0]]]), [*FACES, *_over(0, 4, 5, 3)], BALL))
    assert (edge.crowded_edges, edge.is_watertight) == (1, False)
    corner = check(Surface(below, [*FACES, *_over(0, 5, 4, 6)], BALL))
    assert (corner.is_watertight, corner.pinched_vertices, corner.is_manifold) == (True, 1, False)

    cut = check(Surface(np.concatenate([CORNERS, CORNERS + 1]), np.concatenate([FACES, FACES + 4]), BALL))
    assert cut.self_intersections > 0
    assert (cut.is_manifold, cut.is_sound) == (True, False)
    unknown = check(Surface(CORNERS, FACES, BALL), intersections=False)
    assert (unknown.self_intersections, unknown.is_sound) == (None, False)


def _over(a, b, c, d):
    return [[a, c, b], [a, b, d], [a, d, c], [b, c, d]]
