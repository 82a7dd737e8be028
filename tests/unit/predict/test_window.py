"""Windows: where they are, what they weigh, and that the joined result is the network's."""

import itertools
import math
import threading
import weakref

import jaxtyping
import pytest
import torch
import torch.nn.functional as F

from vesalius.errors import PlanError
from vesalius.predict.places import gaussian_line, window_starts
from vesalius.predict.views import View, views_of
from vesalius.predict.window import Walk, iterate_slabs, sliding_window


@pytest.fixture
def without_shape_checks(monkeypatch):
    """Call as a user does, without the checks of annotations, to see our own errors."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def picture(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pointwise(x):
    return torch.cat([x * 2 + 1, x.sin()], dim=1)


def blurring(x):
    """A network that sees its neighbourhood, and the border of its window."""
    weight = picture(3, x.shape[1], *[3] * (x.ndim - 2), seed=9)
    return (F.conv2d if x.ndim == 4 else F.conv3d)(x, weight, padding=1)


def gaussian_weight(patch):
    weight = torch.ones(())
    for n in patch:
        weight = weight[..., None] * gaussian_line(n)
    return weight.float()


def whole_volume(image, network, patch, classes, overlap):
    """The textbook way: pad, add weighted windows into one volume, divide by the added weights."""
    pads = [
        (max(0, p - n) // 2, max(0, p - n) - max(0, p - n) // 2) for n, p in zip(image.shape[1:], patch, strict=True)
    ]
    padded = F.pad(image, [k for pair in reversed(pads) for k in pair])
    weight = gaussian_weight(patch).double()
    total = torch.zeros(classes, *padded.shape[1:], dtype=torch.float64)
    weights = torch.zeros(padded.shape[1:], dtype=torch.float64)
    for corner in itertools.product(*window_starts(padded.shape[1:], patch, overlap=overlap)):
        place = [slice(c, c + p) for c, p in zip(corner, patch, strict=True)]
        total[:, *place] += network(padded[:, *place][None])[0].double() * weight
        weights[*place] += weight
    inside = [slice(low, low + n) for (low, _), n in zip(pads, image.shape[1:], strict=True)]
    return (total / weights)[:, *inside].float()


SHAPES = [
    ((20, 24), (8, 8)),
    ((7, 30), (8, 8)),
    ((5, 6), (8, 9)),
    ((17, 9, 13), (8, 6, 7)),
    ((3, 12, 4), (8, 8, 8)),
    ((16, 16, 16), (16, 16, 16)),
    ((33, 5, 5), (8, 5, 4)),
    ((9, 1, 1), (4, 1, 1)),
]


@pytest.mark.parametrize(("n", "p"), [(1, 4), (4, 4), (5, 4), (100, 7), (101, 64), (64, 1)])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.8, 0.95])
def test_starts_cover_the_axis_evenly_and_overlap_enough(n, p, overlap):
    ((*starts,),) = window_starts((n,), (p,), overlap=overlap)
    assert starts[0] == 0
    assert starts[-1] == max(0, n - p)
    steps = [b - a for a, b in itertools.pairwise(starts)]
    assert all(1 <= step <= math.ceil(max(1, p * (1 - overlap))) for step in steps)
    assert all(step <= p for step in steps)
    assert not steps or max(steps) - min(steps) <= 1


def test_starts_are_nnunets():
    assert window_starts((123, 80, 54), (32, 64, 54)) == ((0, 15, 30, 46, 61, 76, 91), (0, 16), (0,))


@pytest.mark.parametrize(
    ("shape", "patch", "overlap"), [((8,), (4, 4), 0.5), ((8,), (0,), 0.5), ((8,), (4,), 1.0), ((8,), (4,), -0.1)]
)
def test_starts_out_of_range_are_refused(shape, patch, overlap):
    with pytest.raises(PlanError, match=r"overlap|shape"):
        window_starts(shape, patch, overlap=overlap)


def test_the_weight_is_a_symmetric_gaussian():
    weight = gaussian_weight((8, 11, 16))
    assert weight.shape == (8, 11, 16)
    assert weight.dtype == torch.float32
    assert (weight > 0).all()
    assert torch.equal(weight, weight.flip([0, 1, 2]))
    line = weight[4, 5] / weight[4, 5, 8]
    distance = torch.arange(16) - 7.5
    torch.testing.assert_close(line, ((0.5**2 - distance**2) / (2 * 2.0**2)).exp())


@pytest.mark.parametrize("scale", [0.0, -1.0, 0.05])
def test_a_weight_that_would_vanish_is_refused(scale):
    with pytest.raises(PlanError, match="sigma_scale"):
        gaussian_line(8, sigma_scale=scale)


@pytest.mark.parametrize(("shape", "patch"), SHAPES)
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.7])
def test_a_pointwise_network_gives_what_it_gives_directly(shape, patch, overlap):
    image = picture(1, *shape)
    logits = sliding_window(image, pointwise, patch, 2, overlap=overlap, views=views_of((0,)), walk=Walk(batch_size=3))
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, pointwise(image[None])[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("shape", "patch"), SHAPES)
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.7])
def test_slabs_are_the_whole_volume_way(shape, patch, overlap):
    image = picture(2, *shape)
    logits = sliding_window(image, blurring, patch, 3, overlap=overlap, walk=Walk(batch_size=2))
    torch.testing.assert_close(logits, whole_volume(image, blurring, patch, 3, overlap), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("shape", "patch"), SHAPES)
def test_slabs_follow_each_other_and_their_join_is_the_sliding_window(shape, patch):
    image = picture(1, *shape)
    slabs = [(start, slab.clone()) for start, slab in iterate_slabs(image, blurring, patch, 3)]
    at = 0
    for start, slab in slabs:
        assert start == at
        at += slab.shape[1]
        assert slab.shape[1] >= 1
    assert at == shape[0]
    assert torch.equal(torch.cat([slab for _, slab in slabs], dim=1), sliding_window(image, blurring, patch, 3))


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_a_slab_comes_when_no_more_windows_are_run_than_are_allowed_ahead(ahead):
    seen = []

    def network(x):
        seen.append(len(x))
        return x

    slabs = iterate_slabs(picture(1, 40, 8), network, (8, 8), 1, walk=Walk(ahead=ahead))
    next(slabs)
    assert 1 <= len(seen) <= 1 + ahead
    assert len(list(slabs)) == 8
    assert len(seen) == 9


@pytest.mark.parametrize(("shape", "patch"), SHAPES)
def test_slabs_along_any_axis_are_the_same(shape, patch):
    image = picture(2, *shape)
    expected = sliding_window(image, blurring, patch, 3)
    for axis in range(1, len(shape)):
        at = 0
        for start, slab in iterate_slabs(image, blurring, patch, 3, walk=Walk(axis=axis)):
            assert start == at
            at += slab.shape[1 + axis]
            assert slab.shape == (3, *shape[:axis], at - start, *shape[axis + 1 :])
        assert at == shape[axis]
        found = sliding_window(image, blurring, patch, 3, walk=Walk(axis=axis))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_slab_may_be_changed():
    image = picture(1, 40, 8)
    expected = sliding_window(image, blurring, (8, 8), 3, overlap=0.7)
    found = []
    for _, slab in iterate_slabs(image, blurring, (8, 8), 3, overlap=0.7):
        found.append(slab.clone())
        slab.fill_(torch.nan)
    assert torch.equal(torch.cat(found, dim=1), expected)


@pytest.mark.parametrize("walk", [Walk(ahead=0), Walk(ahead=3), Walk(remember=False), Walk(ahead=0, remember=False)])
def test_the_sums_are_the_same_whatever_is_computed_ahead_or_remembered(walk):
    image = picture(1, 20, 9, 11)
    image[:, :12] = -1.5
    expected = sliding_window(image, blurring, (6, 5, 5), 3, views=views_of((0, 2)))
    assert torch.equal(sliding_window(image, blurring, (6, 5, 5), 3, views=views_of((0, 2)), walk=walk), expected)


def test_half_precision_rounds_every_sum_to_eleven_bits():
    image = picture(1, 30, 12)
    expected = sliding_window(image, blurring, (8, 8), 3)
    found = sliding_window(image, blurring, (8, 8), 3, walk=Walk(held_as=torch.float16))
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-2)
    (_, slab), *_ = iterate_slabs(image, blurring, (8, 8), 3, walk=Walk(held_as=torch.float16))
    assert slab.dtype == torch.float16


def test_windows_may_be_weighed_otherwise():
    calls = iter([0.0, 1.0])
    logits = sliding_window(
        picture(1, 6, 4), lambda x: torch.full_like(x, next(calls)), (4, 4), 1, line=lambda n: torch.arange(1, n + 1)
    )
    torch.testing.assert_close(logits[0, :, 0], torch.tensor([0, 0, 1 / 4, 2 / 6, 1, 1]))


# --- windows of a single value ----------------------------------------------------------------------------------------


def counted(network):
    seen = []

    def run(x):
        seen.append(len(x))
        return network(x)

    return run, seen


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("axes", [(), (0, 1)])
def test_the_network_sees_a_window_of_one_value_only_once(batch_size, axes):
    image = picture(2, 40, 24)
    image[0, 8:], image[1, 8:] = 2.0, -1.0
    network, seen = counted(blurring)
    found = sliding_window(image, network, (8, 8), 3, views=views_of(axes), walk=Walk(batch_size=batch_size))
    every, all_seen = counted(blurring)
    walk = Walk(batch_size=batch_size, remember=False)
    expected = sliding_window(image, every, (8, 8), 3, views=views_of(axes), walk=walk)
    # In a batch of other size PyTorch adds in another order.
    assert torch.equal(found, expected) if batch_size == 1 else torch.allclose(found, expected, atol=1e-5)
    assert sum(all_seen) == 9 * 5 * 2 ** len(axes)
    assert sum(seen) == 2 * 5 * 2 ** len(axes) + 1


def test_windows_of_other_values_are_not_taken_for_each_other():
    image = torch.zeros(1, 32, 8)
    image[:, 8:16], image[:, 24:] = 1.0, torch.nan
    network, seen = counted(lambda x: x + 1)
    found = sliding_window(image, network, (8, 8), 1, overlap=0)
    torch.testing.assert_close(found, image + 1, equal_nan=True)
    assert len(seen) == 4


# --- the network on its own thread ------------------------------------------------------------------------------------


def test_what_the_network_raises_comes_through():
    def network(x):
        raise ZeroDivisionError("in the network")

    with pytest.raises(ZeroDivisionError, match="in the network"):
        sliding_window(picture(1, 20, 8), network, (8, 8), 1)


def test_no_thread_is_left_when_nobody_wants_more():
    slabs = iterate_slabs(picture(1, 40, 8), blurring, (8, 8), 3)
    next(slabs)
    slabs.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vesalius-network")]


def test_few_answers_are_held_at_a_time():
    alive, most = set(), 0

    def network(x):
        nonlocal most
        logits = blurring(x)
        storage = logits.untyped_storage()
        alive.add(storage.data_ptr())
        weakref.finalize(storage, alive.discard, storage.data_ptr())
        most = max(most, len(alive))
        return logits

    for ahead in (0, 1, 2):
        most = 0
        sliding_window(picture(1, 90, 8), network, (8, 8), 3, walk=Walk(ahead=ahead))
        assert 1 <= most <= 1 + ahead  # those that are added, wait, or are computed; how many is up to the scheduler


def test_all_logits_of_a_window_count_by_the_gaussian():
    """Two windows that disagree: their mean is weighted by where a voxel lies in each."""
    calls = iter([0.0, 1.0])
    logits = sliding_window(picture(1, 6, 4), lambda x: torch.full_like(x, next(calls)), (4, 4), 1, overlap=0.5)
    g = gaussian_weight((4,))
    expected = torch.tensor([0, 0, g[0] / (g[0] + g[2]), g[1] / (g[1] + g[3]), 1, 1])
    torch.testing.assert_close(logits[0, :, 0], expected)


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_mirroring_makes_the_result_follow_a_mirrored_image(axes):
    image = picture(1, 12, 9, 13)  # sizes at which the windows lie symmetrically

    def run(x, mirrored):
        return sliding_window(x, blurring, (6, 6, 6), 3, views=views_of(mirrored))

    for axis in axes:
        mirrored = run(image.flip([axis + 1]), axes).flip([axis + 1])
        torch.testing.assert_close(mirrored, run(image, axes), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(run(image.flip([1]), ()).flip([1]), run(image, ()), atol=0.01)


def test_an_image_and_its_opposite_have_opposite_answers():
    image = picture(1, 12, 9, 13)
    found = sliding_window(image, blurring, (6, 6, 6), 3, views=views_of((0, 1, 2), "opposite"))
    opposite = sliding_window(image.flip([1, 2, 3]), blurring, (6, 6, 6), 3, views=views_of((0, 1, 2), "opposite"))
    torch.testing.assert_close(opposite.flip([1, 2, 3]), found, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, sliding_window(image, blurring, (6, 6, 6), 3), atol=0.01)


def test_mirroring_averages_every_combination():
    image, seen = picture(1, 4, 4), []

    def network(x):
        seen.append(x.clone())
        return x * 0 + float(len(seen))

    logits = sliding_window(image, network, (4, 4), 1, views=views_of((0, 1)))
    assert [torch.equal(x[0], image.flip(a)) for x, a in zip(seen, ([], [1], [2], [1, 2]), strict=True)] == [True] * 4
    torch.testing.assert_close(logits, torch.full((1, 4, 4), 2.5))


def test_a_small_volume_is_padded_with_zeros_on_both_sides():
    seen = []

    def network(x):
        seen.append(x)
        return x

    image = picture(1, 3, 4)
    sliding_window(image, network, (6, 4), 1)
    expected = torch.zeros(1, 1, 6, 4)
    expected[0, 0, 1:4] = image[0]
    assert torch.equal(seen[0], expected)


def test_windows_come_in_batches_and_are_counted():
    sizes, done = [], []

    def network(x):
        sizes.append(len(x))
        assert x.dtype == torch.float32
        return x

    image = torch.arange(160, dtype=torch.int16).reshape(1, 8, 20)
    logits = sliding_window(image, network, (8, 8), 1, walk=Walk(batch_size=3), progress=lambda *now: done.append(now))
    assert sizes == [3, 1]
    assert done == [(3, 4), (4, 4)]
    torch.testing.assert_close(logits, image.float())


def test_low_precision_logits_are_gathered_in_single():
    image = picture(1, 20, 20)
    logits = sliding_window(image, lambda x: x.bfloat16(), (8, 8), 1)
    torch.testing.assert_close(logits, image.bfloat16().float(), rtol=1e-5, atol=1e-5)


def test_no_gradients_are_kept():
    weight = torch.ones((), requires_grad=True)
    assert not sliding_window(picture(1, 9, 9), lambda x: x * weight, (4, 4), 1).requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 2}, "the network must give"),
        ({"classes": 0}, "classes"),
        ({"walk": Walk(axis=2)}, "axes follow each other along 0 to 1, not 2"),
        ({"views": (View(), View((2,)))}, "views"),
        ({"views": (View((0, 0)),)}, "views"),
        ({"views": (View((0,), (0, 1)),)}, "one place"),
        ({"views": ()}, "one look"),
        ({"overlap": 1.0}, "overlap"),
        ({"patch_size": (4,)}, "shape and patch"),
        ({"image": torch.zeros(1, 8)}, "2 or 3"),
    ],
)
def test_what_cannot_be_is_refused(change, message, without_shape_checks):
    call = {"image": torch.zeros(1, 8, 8), "network": lambda x: x, "patch_size": (4, 4), "classes": 1} | change
    with pytest.raises(PlanError, match=message):
        sliding_window(**call)


@pytest.mark.parametrize(
    "how", [{"batch_size": 0}, {"looks": 0}, {"ahead": -1}, {"axis": -1}, {"held_as": torch.bfloat16}]
)
def test_a_walk_that_cannot_be_is_refused(how):
    with pytest.raises(PlanError, match=r"batch_size and looks must be|held as float32 or float16"):
        Walk(**how)
