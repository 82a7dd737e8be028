"""Parameters and their drawing: ranges, chances, determinism."""

import math
from dataclasses import fields, replace

import pytest
import torch

from vesalius.augment import Augmentation, Parameters, sample
from vesalius.errors import PlanError

MANY = 20_000


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def same(a, b):
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Parameters))


def test_each_transform_fires_as_often_as_its_probability_says():
    drawn = sample(Augmentation(), MANY, channels=2, generator=seeded())
    shares = {
        "rotation": ((drawn.rotation != 0).any(1), 0.2),
        "scale": ((drawn.scale != 1).any(1), 0.2),
        "mirror": (drawn.mirror[:, 1], 0.5),
        "noise": (drawn.noise_std != 0, 0.1),
        "blur": (drawn.blur_sigma[:, 0, 0] != 0, 0.2 * 0.5),
        "blur of any channel": ((drawn.blur_sigma != 0).flatten(1).any(1), 0.2 * 0.75),
        "brightness": (drawn.brightness[:, 0] != 1, 0.15),
        "contrast": (drawn.contrast[:, 0] != 1, 0.15),
        "low resolution": (drawn.low_resolution[:, 0, 0] != 1, 0.25 * 0.5),
        "inverted gamma": (drawn.inverted_gamma[:, 0] != 1, 0.1),
        "gamma": (drawn.gamma[:, 0] != 1, 0.3),
    }
    for name, (fired, p) in shares.items():
        deviation = math.sqrt(p * (1 - p) / MANY)
        assert abs(float(fired.float().mean()) - p) < 5 * deviation, name


def test_factors_lie_below_and_above_one_equally_often():
    drawn = sample(Augmentation(gamma_p=1.0), MANY, channels=1, generator=seeded()).gamma
    assert abs(float((drawn < 1).float().mean()) - 0.5) < 5 * math.sqrt(0.25 / MANY)
    assert float(drawn.min()) < 0.71
    assert float(drawn.max()) > 1.49


@pytest.mark.parametrize("low_high", [(1.1, 1.3), (0.6, 0.9), (1.0, 1.0)])
def test_a_range_on_one_side_of_one_is_kept_to(low_high):
    drawn = sample(Augmentation(brightness_p=1.0, brightness=low_high), MANY, channels=1, generator=seeded())
    assert low_high[0] <= float(drawn.brightness.min()) <= float(drawn.brightness.max()) <= low_high[1] + 1e-6


def test_the_through_plane_axis_is_neither_scaled_nor_made_coarser_nor_turned_into():
    spec = replace(
        Augmentation.for_patch((64, 64, 8)),
        rotation_p=1.0,
        scale_p=1.0,
        low_resolution_p=1.0,
        low_resolution_channel_p=1.0,
    )
    drawn = sample(spec, 100, channels=1, generator=seeded())
    assert (drawn.scale[:, 2] == 1).all()
    assert (drawn.low_resolution[:, :, 2] == 1).all()
    assert (drawn.rotation[:, :2] == 0).all()
    assert (drawn.scale[:, :2] != 1).all()
    assert (drawn.rotation[:, 2] != 0).all()


def test_scale_and_resolution_are_the_same_on_all_axes_and_blur_is_not():
    spec = Augmentation(scale_p=1.0, blur_p=1.0, blur_channel_p=1.0, low_resolution_p=1.0, low_resolution_channel_p=1.0)
    drawn = sample(spec, 50, channels=2, generator=seeded())
    assert torch.equal(drawn.scale[:, 0], drawn.scale[:, 2])
    assert torch.equal(drawn.low_resolution[..., 0], drawn.low_resolution[..., 2])
    assert (drawn.blur_sigma[..., 0] != drawn.blur_sigma[..., 2]).all()
    assert (drawn.low_resolution[:, 0] != drawn.low_resolution[:, 1]).all()  # each channel by itself


def test_only_the_axes_that_may_be_mirrored_are():
    drawn = sample(Augmentation(mirror_axes=(1,), mirror_p=1.0), 10, channels=1, generator=seeded())
    assert drawn.mirror.all(dim=0).tolist() == [False, True, False]


def test_the_same_seed_gives_the_same_and_another_seed_another():
    first, again = (sample(Augmentation(), 64, channels=2, generator=seeded(3)) for _ in range(2))
    assert same(first, again)
    assert not same(first, sample(Augmentation(), 64, channels=2, generator=seeded(4)))


def test_switching_one_transform_off_leaves_the_others_as_they_were():
    full = sample(Augmentation(), 64, channels=2, generator=seeded())
    less = sample(Augmentation(blur_p=0.0, rotation_p=0.0), 64, channels=2, generator=seeded())
    still = Parameters.identity(64, ndim=3, channels=2)
    assert same(less, replace(full, blur_sigma=still.blur_sigma, rotation=still.rotation))


def test_the_global_random_state_is_neither_used_nor_changed():
    before = torch.get_rng_state()
    sample(Augmentation(), 8, channels=1, generator=seeded())
    assert torch.equal(before, torch.get_rng_state())


def test_select_takes_the_named_elements_in_order():
    drawn = sample(Augmentation(noise_p=1.0), 8, channels=2, generator=seeded())
    picked = drawn.select([5, 2])
    assert all(torch.equal(getattr(picked, f.name), getattr(drawn, f.name)[[5, 2]]) for f in fields(Parameters))


@pytest.mark.parametrize(("batch", "channels"), [(0, 1), (1, 0)])
def test_an_empty_batch_is_refused(batch, channels):
    with pytest.raises(PlanError, match="at least 1"):
        sample(Augmentation(), batch, channels=channels, generator=seeded())
