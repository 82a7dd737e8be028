"""Whole pictures: sizes, backgrounds, marks, determinism, and what is refused."""

import numpy as np
import pytest
from bodies import ball, box

from vesalius.errors import DataError
from vesalius.image import Label
from vesalius.mesh import Surface
from vesalius.mesh.colours import ColourScale
from vesalius.mesh.painted import Painted, paint
from vesalius.mesh.rendering import Camera, Clip, arrange, picture, render, turn
from vesalius.mesh.rendering.marks import bar_mm

pytest.importorskip("cv2")
EMPTY = Surface(np.zeros((0, 3)), np.zeros((0, 3), int), Label("nothing", 9))


@pytest.mark.parametrize("size", [(1, 1), (10, 10), (10, 300), (300, 10), (160, 160), (401, 163)])
@pytest.mark.parametrize("marked", [False, True])
def test_every_size_is_drawn(size, marked):
    for background, channels in (((255, 255, 255), 3), (None, 4)):
        found = render([ball(10.0, steps=12)], size=size, background=background, marked=marked)
        assert found.shape == (size[1], size[0], channels)
        assert found.dtype == np.uint8


def test_the_background_shows_beside_the_figure_and_through_it():
    one = box(colour=(200, 0, 0))
    found = render([one], size=(60, 60), background=(10, 20, 30), marked=False)
    assert found[0, 0].tolist() == [10, 20, 30]
    clear = render([one], size=(60, 60), background=None, marked=False)
    assert clear[0, 0].tolist() == [0, 0, 0, 0]
    assert clear[30, 30, 3] == 255
    np.testing.assert_array_equal(clear[30, 30, :3], found[30, 30])
    half = render([one], size=(60, 60), background=None, marked=False, opacity={"box": 0.5})
    assert half[30, 30, 3] == 128
    np.testing.assert_allclose(half[30, 30, :3], found[30, 30], atol=6)  # its own colour; shadows are of what is opaque


def test_the_same_bytes_each_time():
    surfaces = [ball(10.0, steps=24), box(centre_mm=(20, 5, 3), name="box", value=2)]
    made = {render(surfaces, Camera(20, 10), size=(240, 180), opacity={"box": 0.4}).tobytes() for _ in range(3)}
    assert len(made) == 1


def test_the_scale_bar_is_as_long_as_it_says():
    """A box of 40 mm is twice as wide as a bar of 20 mm."""
    found = render([box((40, 40, 40), colour=(250, 0, 0))], size=(400, 300)).astype(int)
    red = found[..., 0] - found[..., 1] > 80
    width = red[150].nonzero()[0]
    width = width[width < 330]  # without the legend's colour
    bar = (found[270:, :120].max(axis=2) < 60).sum(axis=1).max()
    length = bar_mm(40 / len(width), 330)
    assert bar == pytest.approx(length / 40 * len(width), abs=1.5)
    far = render([box((40, 40, 40))], Camera(perspective=True), size=(400, 300)).astype(int)
    assert (far[285:, :100].max(axis=2) < 60).sum() == 0  # nothing there: no one length is true


@pytest.mark.parametrize(("per_px", "columns"), [(0.1, 1000), (0.17, 640), (1.0, 200), (3.3, 500), (1e-4, 333)])
def test_a_scale_bar_has_a_round_length_and_fits(per_px, columns):
    length = bar_mm(per_px, columns)
    assert f"{length:.0e}"[0] in "125"
    assert 0.4 * 0.22 * per_px * columns <= length <= 0.22 * per_px * columns * (1 + 1e-9)


def test_marks_are_dark_on_light_and_light_on_dark():
    one = [ball(10.0, steps=12)]
    for background, is_light in (((255, 255, 255), True), ((0, 0, 0), False)):
        marked = render(one, size=(320, 240), background=background).astype(int)
        corner = marked[210:, :120]
        assert (corner.min() < 60) if is_light else (corner.max() > 200)


def test_names_stand_beside_their_colours_and_do_not_cover_the_figure():
    colours = {"left": (250, 10, 10), "right": (10, 250, 10)}
    surfaces = [
        Surface(one.vertices, one.faces, Label(name, 1, colours[name]))
        for name, x in (("left", 30.0), ("right", -30.0))
        for one in [ball(10.0, centre_mm=(x, 0, 0), steps=12)]
    ]
    found = render(surfaces, size=(400, 300))
    exact = {name: np.argwhere((found == colour).all(axis=2)) for name, colour in colours.items()}
    for name, swatch in exact.items():
        assert len(swatch) >= 100, name
        assert swatch[:, 1].min() > 300
    assert exact["left"][:, 0].max() < exact["right"][:, 0].min()  # in the order that was given


def test_many_and_long_names_are_cut_and_told():
    many = [ball(3.0, centre_mm=(4.0 * n, 0, 0), steps=6, name=f"{n} " + "very " * 40, value=n + 1) for n in range(60)]
    found = render(many, size=(300, 200))
    assert found.shape == (200, 300, 3)
    assert (found[:, :190] != 255).any()  # the figure keeps two thirds
    # The cube has its corner for itself, whatever there is to list.
    few = render(many[:1], size=(300, 200))
    np.testing.assert_array_equal(found[-26:, -26:], few[-26:, -26:])


def test_names_of_files_of_others_are_written_on_one_line():
    """A name that ends a line, or turns the way of writing, does not reach into its neighbours."""
    one = ball(10.0, steps=12)
    plain, odd = (
        render([Surface(one.vertices, one.faces, Label(name, 1))], size=(300, 200))
        for name in ("a b c d", "a\nb\x00c\u202ed")
    )
    np.testing.assert_array_equal(plain, odd)


def test_values_bring_a_bar_of_their_colours():
    one = ball(10.0, steps=24)
    painted = paint(one, one.vertices[:, 2], name="height", unit="mm")
    found = render([painted], size=(400, 300))
    ends = painted.scale.colours([painted.scale.high, painted.scale.low])
    rows = [np.argwhere((found[:, 250:] == end).all(axis=2))[:, 0] for end in ends]
    assert rows[0].size
    assert rows[1].size
    assert rows[0].min() < rows[1].max()  # high is up
    other = paint(box(name="b", value=2), np.zeros(8), name="thickness", unit="mm")
    with pytest.raises(DataError, match="different kinds"):
        render([painted, other])


def test_scales_are_joined():
    one, two = ball(10.0, steps=12), box(centre_mm=(30, 0, 0), name="b", value=2)
    rising = Painted(one, np.linspace(1, 4, len(one.vertices)), "d", "mm", ColourScale(1.0, 4.0, "sequential"))
    signed = paint(two, np.linspace(-2, 9, 8), name="d", unit="mm")
    assert arrange([rising, signed]).scale.low == -9.0
    assert arrange([rising, signed]).scale.colour_map == "diverging"
    twice = paint(two, np.linspace(2, 9, 8), name="d", unit="mm")
    assert (arrange([rising, twice]).scale.low, arrange([rising, twice]).scale.high) == (1.0, 9.0)


def test_a_turn_shows_all_sides_and_one_size():
    one = box((40, 10, 20), colour=(200, 30, 30))
    frames = list(turn(arrange([one]), Camera(), frames=4, size=(200, 160), marked=False))
    assert len(frames) == 4
    widths = [len((frame[80] != 255).any(axis=1).nonzero()[0]) for frame in frames]
    heights = [len((frame[:, 100] != 255).any(axis=1).nonzero()[0]) for frame in frames]
    assert len(set(heights)) == 1
    assert widths[0] == widths[2]
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.05)
    again = picture(arrange([one]), Camera.of("left"), size=(200, 160), marked=False, turning=True)
    np.testing.assert_array_equal(frames[1], again)


def test_what_cannot_be_drawn():
    one = ball(10.0, steps=12)
    for wrong in (
        {"surfaces": []},
        {"surfaces": [EMPTY]},
        {"opacity": {"bal": 0.5}},
        {"opacity": {"ball": 1.5}},
        {"opacity": {"ball": np.nan}},
        {"opacity": {"ball": 0.0}},
        {"whole": ["bal"]},
        {"size": (0, 10)},
        {"size": (20_000, 10)},
        {"size": (8000, 8000)},
        {"samples": 0},
        {"samples": 9},
        {"background": (0, 0, 300)},
    ):
        with pytest.raises(DataError):
            render(**{"surfaces": [one], **wrong})
    with pytest.raises(DataError, match="taken away"):
        render([one, EMPTY], clips=[Clip("left", 0.6), Clip("right", 0.6)])
    for frames in (1, 10**6):
        with pytest.raises(DataError, match="turn-table"):
            list(turn(arrange([one]), Camera(), frames=frames))


def test_empty_structures_are_passed_over():
    one = ball(10.0, steps=12)
    np.testing.assert_array_equal(render([one, EMPTY], size=(200, 200)), render([one], size=(200, 200)))
