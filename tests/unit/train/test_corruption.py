import numpy as np
import pytest
import torch
from scipy import ndimage

from vesalius.train.corruption import _change_shapes, _drop_pieces, corrupt, grow


def ball(radius: int, ndim: int) -> np.ndarray:
    axes = np.meshgrid(*[np.arange(-radius, radius + 1)] * ndim, indexing="ij")
    return sum(axis**2 for axis in axes) <= radius**2


@pytest.mark.parametrize("radius", [1, 2, 5, 8])
@pytest.mark.parametrize("shape", [(30, 41), (17, 9, 21)])
def test_growing_is_a_dilation_by_a_ball(rng: np.random.Generator, radius: int, shape: tuple[int, ...]) -> None:
    points = rng.random(shape) < 0.01
    points[tuple(n // 2 for n in shape)] = True
    expected = ndimage.binary_dilation(points, ball(radius, len(shape)))
    assert np.array_equal(grow(torch.from_numpy(points), radius).numpy(), expected)


def test_nothing_grows_to_nothing() -> None:
    assert not grow(torch.zeros(5, 6, dtype=torch.bool), 8).any()


def coarse(batch: int = 1) -> torch.Tensor:
    classes = torch.zeros(batch, 40, 40, 24, dtype=torch.int16)
    classes[:, 5:25, 5:25, 4:20] = 1
    classes[:, 10:15, 10:15, 8:12] = 2
    classes[:, 30:34, 30:34, 4:8] = 2
    return classes


def test_most_elements_stay_as_they_are_and_the_shares_are_right() -> None:
    count = 400
    small = torch.zeros(count, 12, 12, dtype=torch.int16)
    small[:, 3:9, 3:6] = 1
    small[:, 3:9, 6:9] = 2
    exact = torch.stack([small == 1, small == 2], dim=1).float()
    spoilt = corrupt(small, 2, [np.random.default_rng((0, n)) for n in range(count)])
    assert spoilt.shape == (count, 2, 12, 12)
    assert set(spoilt.unique().tolist()) == {0.0, 1.0}
    changed = (spoilt != exact).flatten(1).any(dim=1).float().mean()
    # 0.4 · (1 − 0.5²) by morphology, unless it changes nothing; both pieces are smaller than 15 %: dropped with 0.2.
    assert 0.25 < float(changed) < 1 - (1 - 0.4 * 0.75) * (1 - 0.2) + 0.06


def test_an_element_does_not_depend_on_the_others() -> None:
    batch = coarse(6)
    together = corrupt(batch, 2, [np.random.default_rng((7, n)) for n in range(6)])
    for n in range(6):
        assert torch.equal(corrupt(batch[n : n + 1], 2, [np.random.default_rng((7, n))])[0], together[n])


def test_what_one_class_gains_the_others_lose() -> None:
    for seed in range(30):
        channels = torch.stack([coarse()[0] == 1, coarse()[0] == 2])
        _change_shapes(channels, np.random.default_rng(seed))
        assert int(channels.sum(dim=0).max()) <= 1


def test_the_four_operations_all_come() -> None:
    seen = set()
    for seed in range(40):
        channels = torch.stack([coarse()[0] == 2])
        before = channels.clone()
        _change_shapes(channels, np.random.default_rng(seed))
        seen.add((bool((channels & ~before).any()), bool((before & ~channels).any())))
    assert {(True, False), (False, True)} <= seen


def test_one_small_piece_is_dropped_and_a_large_one_never() -> None:
    kept = set()
    for seed in range(20):
        channels = torch.stack([coarse()[0] == 1, coarse()[0] == 2])
        large, pieces = channels[0].clone(), channels[1].clone()
        _drop_pieces(channels, np.random.default_rng(seed))
        assert torch.equal(channels[0], large)  # 6,400 of 38,400 voxels, less the hole: more than 15 %
        assert not (channels[1] & ~pieces).any()
        kept.add(int(channels[1].sum()))
    assert kept == {100, 64}


def test_a_class_that_is_not_there_stays_away() -> None:
    nothing = torch.zeros(4, 16, 16, dtype=torch.int16)
    assert not corrupt(nothing, 3, [np.random.default_rng(n) for n in range(4)]).any()
