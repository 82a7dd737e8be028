import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.image import Label, Labels
from vesalius.mesh import Interfaces, Surface

CORNERS = np.asarray([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]], np.float64)
FACES = np.asarray([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
STONE = Label("stone", 2)


def test_a_tetrahedron_on_paper():
    surface = Surface(CORNERS + 1e6, FACES, STONE)

    assert surface.volume_ml == pytest.approx(1 / 6)
    assert surface.area_mm2 == pytest.approx(150 + np.sqrt(3) / 2 * 100)
    assert (surface.euler, surface.genus, surface.pieces) == (2, 0, 1)
    assert surface.bounds_mm == ((1e6, 1e6, 1e6), (1e6 + 10, 1e6 + 10, 1e6 + 10))
    assert Surface(CORNERS, FACES[:, ::-1], STONE).volume_ml == pytest.approx(-1 / 6)


def test_pieces_that_share_nothing_are_counted_and_vertices_without_faces_are_not():
    vertices = np.concatenate([CORNERS, [[99, 99, 99]], CORNERS + 50])
    surface = Surface(vertices, np.concatenate([FACES, FACES + 5]), STONE)

    assert (surface.pieces, surface.euler, surface.genus) == (2, 4, 0)
    assert surface.bounds_mm[1] == (60, 60, 60)


def test_an_empty_surface_has_no_volume_and_no_pieces():
    empty = Surface(np.zeros((0, 3)), np.zeros((0, 3), np.int32), STONE)

    assert (empty.is_empty, empty.volume_ml, empty.area_mm2, empty.pieces, empty.genus) == (True, 0, 0, 0, 0)
    assert empty.bounds_mm == ((0, 0, 0), (0, 0, 0))


def test_values_are_read_only_and_those_of_the_caller_are_not():
    vertices, faces = CORNERS.copy(), FACES.astype(np.int32)
    surface = Surface(vertices, faces, STONE)

    with pytest.raises(ValueError, match="read-only"):
        surface.vertices[0] = 1
    vertices[0], faces[0] = 0, 0  # still theirs


@pytest.mark.parametrize(
    ("vertices", "faces", "words"),
    [
        (CORNERS[:, :2], FACES, "must be"),
        (np.where(CORNERS == 10, np.nan, CORNERS), FACES, "not finite"),
        (CORNERS, FACES.astype(float), "whole numbers"),
        (CORNERS, FACES + 1, "0 to 3"),
        (CORNERS, FACES - 1, "0 to 3"),
        (CORNERS, [[0, 1, 1]], "twice"),
    ],
)
def test_what_is_no_surface_is_refused(vertices, faces, words):
    with pytest.raises(DataError, match=words):
        Surface(vertices, faces, STONE)


LABELS = Labels.of({"liver": 1, "stone": 2}, regions={"all": (1, 2)})


@pytest.mark.parametrize(
    ("sides", "words"),
    [
        ([[2, 0]] * 3, "pair of values"),
        ([[2, 3]] * 4, "neither"),
        ([[2, 2]] * 4, "both sides"),
        ([[-1, 2]] * 4, "neither"),
    ],
)
def test_sides_are_checked(sides, words):
    with pytest.raises(DataError, match=words):
        Interfaces(CORNERS, FACES, sides, LABELS)


def test_neighbours_see_their_wall_from_both_sides():
    # Two tetrahedra back to back: the stone above, the liver below, face 0 between them.
    vertices = np.concatenate([CORNERS, [[0, 0, -10]]])
    faces = [*FACES.tolist(), [0, 4, 1], [0, 2, 4], [1, 4, 2]]
    made = Interfaces(vertices, faces, [[2, 1], *[[2, 0]] * 3, *[[1, 0]] * 3], LABELS)

    stone, liver, both = made.of("stone"), made.of("liver"), made.of("all")
    assert stone.volume_ml == pytest.approx(1 / 6)
    assert liver.volume_ml == pytest.approx(1 / 6)
    assert both.volume_ml == pytest.approx(1 / 3)
    assert (len(stone.faces), len(liver.faces), len(both.faces)) == (4, 4, 6)
    assert (both.label.name, both.label.value) == ("all", 1)
    assert [surface.label.name for surface in made.surfaces()] == ["liver", "stone"]
    with pytest.raises(DataError, match="did you mean 'liver'"):
        made.of("livre")
