"""Windows: where they are, what they weigh, and that the joined result is the network's."""

import itertools
import math

import jaxtyping
import pytest
import torch
import torch.nn.functional as F

from vesalius.errors import PlanError
from vesalius.predict.window import gaussian_weight, iterate_slabs, sliding_window, window_starts


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
        gaussian_weight((8, 8, 8), sigma_scale=scale)


@pytest.mark.parametrize(("shape", "patch"), SHAPES)
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.7])
def test_a_pointwise_network_gives_what_it_gives_directly(shape, patch, overlap):
    image = picture(1, *shape)
    logits = sliding_window(image, pointwise, patch, 2, overlap=overlap, mirror_axes=(0,), batch_size=3)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, pointwise(image[None])[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("shape", "patch"), SHAPES)
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.7])
def test_slabs_are_the_whole_volume_way(shape, patch, overlap):
    image = picture(2, *shape)
    logits = sliding_window(image, blurring, patch, 3, overlap=overlap, batch_size=2)
    torch.testing.assert_close(logits, whole_volume(image, blurring, patch, 3, overlap), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("shape", "patch"), SHAPES)
def test_slabs_follow_each_other_and_their_join_is_the_sliding_window(shape, patch):
    image = picture(1, *shape)
    slabs = list(iterate_slabs(image, blurring, patch, 3))
    at = 0
    for start, slab in slabs:
        assert start == at
        at += slab.shape[1]
        assert slab.shape[1] >= 1
    assert at == shape[0]
    assert torch.equal(torch.cat([slab for _, slab in slabs], dim=1), sliding_window(image, blurring, patch, 3))


def test_a_slab_comes_before_the_next_windows_are_run_and_stays_as_it_was():
    seen = []

    def network(x):
        seen.append(len(x))
        return x

    slabs = iterate_slabs(picture(1, 40, 8), network, (8, 8), 1)
    _, first = next(slabs)
    assert len(seen) == 1
    before = first.clone()
    rest = list(slabs)
    assert len(seen) == 9
    assert len(rest) == 8
    assert torch.equal(first, before)


def test_all_logits_of_a_window_count_by_the_gaussian():
    """Two windows that disagree: their mean is weighted by where a voxel lies in each."""
    calls = iter([0.0, 1.0])
    logits = sliding_window(torch.zeros(1, 6, 4), lambda x: torch.full_like(x, next(calls)), (4, 4), 1, overlap=0.5)
    g = gaussian_weight((4,))
    expected = torch.tensor([0, 0, g[0] / (g[0] + g[2]), g[1] / (g[1] + g[3]), 1, 1])
    torch.testing.assert_close(logits[0, :, 0], expected)


@pytest.mark.parametrize("axes", [(0,), (1, 2), (0, 1, 2)])
def test_mirroring_makes_the_result_follow_a_mirrored_image(axes):
    image = picture(1, 12, 9, 13)  # sizes at which the windows lie symmetrically

    def run(x, mirror_axes):
        return sliding_window(x, blurring, (6, 6, 6), 3, mirror_axes=mirror_axes)

    for axis in axes:
        mirrored = run(image.flip([axis + 1]), axes).flip([axis + 1])
        torch.testing.assert_close(mirrored, run(image, axes), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(run(image.flip([1]), ()).flip([1]), run(image, ()), atol=0.01)


def test_mirroring_averages_every_combination():
    image, seen = picture(1, 4, 4), []

    def network(x):
        seen.append(x.clone())
        return x * 0 + float(len(seen))

    logits = sliding_window(image, network, (4, 4), 1, mirror_axes=(0, 1))
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

    image = torch.ones(1, 8, 20, dtype=torch.int16)
    logits = sliding_window(image, network, (8, 8), 1, batch_size=3, progress=lambda *now: done.append(now))
    assert sizes == [3, 1]
    assert done == [(3, 4), (4, 4)]
    torch.testing.assert_close(logits, torch.ones(1, 8, 20))


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
        ({"batch_size": 0}, "batch_size"),
        ({"mirror_axes": (2,)}, "mirror_axes"),
        ({"mirror_axes": (0, 0)}, "mirror_axes"),
        ({"overlap": 1.0}, "overlap"),
        ({"patch_size": (4,)}, "shape and patch"),
        ({"image": torch.zeros(1, 8)}, "2 or 3"),
    ],
)
def test_what_cannot_be_is_refused(change, message, without_shape_checks):
    call = {"image": torch.zeros(1, 8, 8), "network": lambda x: x, "patch_size": (4, 4), "classes": 1} | change
    with pytest.raises(PlanError, match=message):
        sliding_window(**call)
