"""Labels from logits as they come are those from all logits at once, and partners go side by side."""

from dataclasses import replace

import numpy as np
import pytest
from phantoms import drawn_bundle, for_regions

from vesalius.image import Grid, Volume
from vesalius.predict import chances, load_segmenter, segment, stages
from vesalius.predict.chances import add_probabilities, flows_of, mean_blocks, mean_probabilities
from vesalius.predict.stages import Flow, Look, all_logits, classes_on, flow_of, flowing_classes, see
from vesalius.predict.window import Walk

pytestmark = pytest.mark.usefixtures("single_precision")


def anywhere(image):
    """The image stored in another order, off the network's spacing."""
    grid = image.grid.permute((1, 2, 0)).flip((2,))
    array = np.flip(image.array.transpose(0, 2, 3, 1), 3)
    affine = grid.affine.copy()
    affine[:3, :3] = affine[:3, :3] @ np.diag([0.8, 1.3, 1.0])
    return Volume(array, Grid(grid.shape, affine), image.meta)


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_labels_of_a_stream_are_those_of_all_logits(regions, axis, bundle, image):
    plan = for_regions(bundle.plan) if regions else bundle.plan
    ready = load_segmenter(drawn_bundle(plan, seed=4), device="cpu")
    look = Look()
    seen, _ = see(anywhere(image), ready, iter([look]))
    flow = flow_of(seen, ready, look, target=seen.canonical, walk=Walk(axis=axis))
    found = flowing_classes(flow, plan, seen.canonical)
    walk = Walk(axis=axis)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "walk_of", lambda *_, **__: walk)
        with all_logits(seen, ready, look, target=seen.canonical) as (logits, held_as):
            laid = np.moveaxis(np.ascontiguousarray(np.moveaxis(logits, 1 + axis, 1)), 1, 1 + axis)
            expected = classes_on(laid, plan, seen.grid, seen.canonical)
    assert held_as == flow.held_as == "float32"
    assert np.array_equal(found, expected)
    assert len(np.unique(found)) > 1


def flow_from(array, grid, axis, canonical):
    def slabs():
        for low in range(0, grid.shape[axis], 3):
            yield low, array.take(range(low, min(low + 3, grid.shape[axis])), 1 + axis)

    seen = stages.Prepared(array[:1], grid, canonical)
    return Flow(slabs(), axis, len(array), "float32", seen)


@pytest.mark.parametrize("regions", [False, True])
@pytest.mark.parametrize("block", [1, 200, 1 << 20])
def test_blocks_of_a_mean_are_the_mean(regions, block, rng, monkeypatch):
    """Of grids of other spacings, places and orders of axes, one of them from the other end."""
    monkeypatch.setattr(chances, "_BLOCK_VALUES", block)
    canonical = Grid.from_spacing((9, 8, 10), (1.0, 1.2, 0.8))
    grids = [
        canonical.with_spacing((1.7, 1.0, 1.1)),
        canonical.crop((1, 0, -1), (7, 8, 12)).permute((2, 0, 1)).flip((1,)),
        canonical.with_spacing((2.0, 2.0, 2.0)).flip((0, 2)),
    ]
    logits = [rng.normal(size=(3, *grid.shape)).astype(np.float32) * 3 for grid in grids]
    expected = np.zeros((3, *canonical.shape), np.float32)
    for one, grid in zip(logits, grids, strict=True):
        add_probabilities(expected, one.copy(), grid, canonical, regions=regions, share=1 / 3)
    flows = [flow_from(one, g, axis, canonical) for one, g, axis in zip(logits, grids, (0, 1, 0), strict=True)]
    found = np.full_like(expected, np.nan)
    for place, part in mean_blocks(flows, canonical, regions=regions):
        assert part.size <= max(block, part[:, :1].size)
        found[:, *place] = part
    np.testing.assert_allclose(found, expected, atol=1e-6)
    if not regions:
        np.testing.assert_allclose(found.sum(axis=0), 1, atol=1e-5)


def test_partners_that_are_turned_otherwise_run_along_the_same_axis(bundle, image):
    turned = replace(bundle.plan, preparation=replace(bundle.plan.preparation, orientation="stored"))
    several = [load_segmenter(drawn_bundle(plan, seed=5), device="cpu") for plan in (bundle.plan, turned)]
    stored = anywhere(image)
    seen = [see(stored, one, iter([Look()])) for one in several]
    grid = seen[0][0].canonical
    first, second = flows_of(seen, several, grid)
    assert (first.axis, second.axis) == (first.axis, {0: 2, 1: 0, 2: 1}[first.axis])
    total = np.zeros((3, *grid.shape), np.float32)
    mean_probabilities(total, stored, several, grid, iter([Look(), Look()]))
    np.testing.assert_allclose(total.sum(axis=0), 1, atol=1e-5)


def test_partners_go_through_an_image_side_by_side(bundle, monkeypatch):
    """So that no logits or probabilities of a whole image wait for the others."""
    monkeypatch.setattr(chances, "_BLOCK_VALUES", 1 << 15)
    grid = Grid.from_spacing((24, 24, 160), (1.0, 1.0, 1.0))
    image = Volume(np.random.default_rng(0).normal(size=(1, *grid.shape)).astype(np.float32), grid)
    ready = load_segmenter(replace(drawn_bundle(bundle.plan), partners=(drawn_bundle(bundle.plan),)), device="cpu")
    asked = []
    for name, one in (("a", ready), ("b", *ready.partners)):

        def network(x, name=name):
            asked.extend(name * len(x))
            return x.expand(-1, 3, -1, -1, -1)

        object.__setattr__(one, "run", lambda window, count, network=network: network)
    segment(image, ready, overlap=0)
    ahead = np.cumsum([1 if name == "a" else -1 for name in asked])
    assert len(asked) == 2 * 2 * 2 * 10
    assert np.abs(ahead).max() <= 4 * 3  # slabs of four windows: one in use, one that waits, one that is computed
    assert ahead[-1] == 0
