"""Looking coarsely first: where the boxes are, what they hold, and that the rest is background."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from phantoms import as_cascade, drawn_bundle, for_regions

from vesalius.image import Grid, Volume
from vesalius.plan import Prepared, prepare
from vesalius.predict import load_segmenter, segment
from vesalius.predict.focus import FACTOR, count_windows, cropped, focus_boxes
from vesalius.predict.stages import Look

pytestmark = pytest.mark.usefixtures("single_precision")

SHAPE = (72, 64, 48)


def spots(*centres, radius=4.0, shape=SHAPE, spacing=(1.0, 1.0, 1.0)):
    """Bright balls on next to nothing."""
    grid = Grid.from_spacing(shape, spacing)
    points = grid.to_points(np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1))
    array = np.random.default_rng(0).uniform(0.05, 0.15, shape)
    for centre in centres:
        array[((points - centre) ** 2).sum(axis=-1) < radius**2] = 10
    return Volume(array[None].astype(np.float32), grid)


class Bright(torch.nn.Module):
    """The first label where the image is bright."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return torch.cat([-x[:, :1] + 1, x[:, :1] - 1, torch.full_like(x[:, :1], -99)], dim=1)


@pytest.fixture
def bright(bundle):
    """A segmenter of what is bright, and the network, which counts."""
    ready = load_segmenter(drawn_bundle(bundle.plan), device="cpu")
    network = Bright()
    object.__setattr__(ready, "run", lambda window, count: network)
    return ready, network


def test_what_is_found_is_the_same_and_less_is_looked_at(bright):
    ready, network = bright
    image = spots((12, 12, 12), (58, 50, 36))
    whole = segment(image, ready)
    all_windows, network.seen = network.seen, 0
    found = segment(image, ready, focus=True)
    assert np.array_equal(found.labels.array, whole.labels.array)
    assert set(np.unique(found.labels.array)) == {0, 1}
    assert network.seen < all_windows / 2
    assert found.provenance["focus"]["boxes"] == 2
    assert 0.05 < found.provenance["focus"]["share"] < 0.5
    assert whole.provenance["focus"] is None


def test_beyond_the_boxes_all_is_background_even_what_a_close_look_would_see(bright):
    ready, _ = bright
    image = spots((12, 12, 12))
    hidden = image.array.copy()
    hidden[0, 60, 50, 30] = 3  # one voxel: the coarse look averages it away
    found = segment(Volume(hidden, image.grid), ready, focus=True).labels.array
    assert found[12, 12, 12] == 1
    assert found[60, 50, 30] == 0
    assert segment(Volume(hidden, image.grid), ready).labels.array[60, 50, 30] == 1


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.9, 1.4)])
def test_a_box_has_its_margin_and_at_least_a_window(bright, spacing):
    ready, _ = bright
    image = spots((20, 20, 20), spacing=spacing, shape=(90, 80, 60))
    seen = prepare(image, ready.bundle.plan)
    ((start, shape),) = focus_boxes(seen, ready, Look())
    low, high = (image.grid.to_points(at) for at in (np.array(start), np.array(start) + shape - 1))
    patch = np.array(ready.bundle.plan.patch_size)
    assert (low < 20 - 4 - patch / 4).all()
    assert (high > 20 + 4 + patch / 4).all()
    assert (high - low < 8 + patch / 2 + 8 * FACTOR).all()
    assert (np.array(cropped(seen, (start, shape)).grid.shape) >= patch).all()


def test_boxes_that_meet_become_one(bright):
    ready, _ = bright
    image = spots((20, 20, 20), (20, 34, 20))
    (box,) = focus_boxes(prepare(image, ready.bundle.plan), ready, Look())
    assert box[1][1] > 14 + 8


@pytest.mark.parametrize(
    "image",
    [
        spots(radius=0.0),
        spots((8, 8, 8), shape=(18, 18, 18)),
        spots((36, 32, 24), radius=30.0),
    ],
    ids=["nothing is found", "one window holds it all", "it is everywhere"],
)
def test_the_whole_image_is_looked_at_where_focus_saves_nothing(bright, image):
    ready, _ = bright
    assert focus_boxes(prepare(image, ready.bundle.plan), ready, Look()) is None
    found = segment(image, ready, focus=True)
    assert found.provenance["focus"] is None
    assert np.array_equal(found.labels.array, segment(image, ready).labels.array)


def test_a_crop_lies_where_it_lay(bundle):
    image = spots((20, 20, 20), spacing=(0.7, 0.9, 1.4))
    seen = prepare(image, bundle.plan)
    box = ((10, 5, 3), (21, 30, 17))
    part = cropped(seen, box)
    assert part.canonical.shape == box[1]
    start = np.rint(seen.grid.to_index(part.grid.to_points((0, 0, 0)))).astype(int)
    inside = tuple(slice(a, a + n) for a, n in zip(start, part.grid.shape, strict=True))
    assert np.array_equal(part.array, seen.array[:, *inside])
    # Every voxel of the box lies within the extent of what is seen of it.
    for corner in ((0, 0, 0), (20, 29, 16)):
        at = part.grid.to_index(part.canonical.to_points(corner))
        assert (at > -0.5 - 1e-6).all()
        assert (at < np.array(part.grid.shape) - 0.5 + 1e-6).all()


def test_probabilities_beyond_the_boxes_are_of_background(bright):
    ready, _ = bright
    found = segment(spots((12, 12, 12)), ready, focus=True, probabilities=True)
    chances = found.probabilities.array
    np.testing.assert_allclose(chances.sum(axis=0), 1, atol=1e-5)
    assert (chances[0, 50:] == 1).all()
    assert chances[1, 12, 12, 12] > 0.9
    assert np.array_equal(chances.argmax(axis=0), found.labels.array)


def test_partners_and_regions_look_into_the_same_boxes(bundle, bright):
    ready, _ = bright
    image = spots((12, 12, 12))
    plan = replace(bundle.plan, spacing_mm=(1.5, 1.5, 1.5))
    partner = replace(ready, bundle=drawn_bundle(plan))
    object.__setattr__(partner, "run", ready.run)
    told = []
    both = segment(image, _with(ready, partner), focus=True, progress=lambda d, t: told.append(d / t))
    assert both.provenance["focus"]["boxes"] == 1
    assert both.labels.array[12, 12, 12] == 1
    assert told == sorted(told)
    assert told[-1] == 1
    regions = replace(ready, bundle=drawn_bundle(for_regions(bundle.plan)))
    object.__setattr__(regions, "run", lambda window, count: lambda x: x[:, :1].expand(-1, 2, -1, -1, -1) - 1)
    assert segment(image, regions, focus=True).provenance["focus"]["boxes"] == 1


def _with(segmenter, partner):
    made = replace(segmenter, partners=(partner,))
    object.__setattr__(made, "run", segmenter.run)
    return made


def test_the_coarse_stage_of_a_cascade_has_looked_already(bundle, bright):
    ready, network = bright
    plan = as_cascade(bundle.plan)
    fine = replace(ready, bundle=replace(drawn_bundle(plan), coarse=ready.bundle), coarse=ready)
    object.__setattr__(fine, "run", lambda window, count: network)
    image = spots((12, 12, 12))
    seen = Prepared(np.zeros((3, *SHAPE), np.float32), image.grid, image.grid)
    seen.array[1, 10:14, 10:14, 10:14] = 1
    before = network.seen
    (box,) = focus_boxes(seen, fine, Look())
    assert network.seen == before
    assert box[0] == (3, 3, 3) or all(low <= 4 for low in box[0])
    assert segment(image, fine, focus=True).provenance["focus"]["boxes"] == 1


def test_windows_are_counted(bundle):
    assert count_windows(bundle.plan, (16, 16, 32), 0.5) == 3
