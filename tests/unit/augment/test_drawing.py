"""Drawing: chances, ranges, determinism, and that no transform disturbs another's numbers."""

import math
from dataclasses import fields, replace

import pytest
import torch

from vesalius.augment import Augmentation, Parameters, sample
from vesalius.errors import PlanError

MANY = 20_000
OTHERS = {
    "elastic_p": ["elastic"],
    "bias_field_p": ["bias_field"],
    "motion_p": ["motion_rotation", "motion_shift", "motion_time", "motion_axis"],
    "ghosting_p": ["ghosting", "ghosting_count", "ghosting_axis"],
    "spike_p": ["spike", "spike_wave", "spike_phase"],
    "ct_noise_p": ["ct_noise_std", "ct_noise_attenuation", "ct_noise_cutoff", "ct_noise_seed"],
    "colour_p": ["colour"],
    "mix_p": ["mix_partner", "mix_box"],
    "channel_dropout_p": ["channel_kept"],
}
COLOURS = {"colour_channels": (0, 1, 2)}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def same(a, b):
    return all(torch.equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Parameters))


def rows(values):
    return values.flatten(1).any(dim=1)


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


@pytest.mark.parametrize(("batch", "channels"), [(0, 1), (1, 0)])
def test_an_empty_batch_is_refused(batch, channels):
    with pytest.raises(PlanError, match="at least 1"):
        sample(Augmentation(), batch, channels=channels, generator=seeded())


def test_what_nnunet_does_not_have_is_off_by_default():
    drawn = sample(Augmentation(), 64, channels=3, generator=seeded())
    still = Parameters.identity(64, ndim=3, channels=3)
    for names in OTHERS.values():
        assert all(torch.equal(getattr(drawn, name), getattr(still, name)) for name in names)
    assert not drawn.zero_outside.any()


@pytest.mark.parametrize("chance", OTHERS)
def test_switching_on_one_that_nnunet_does_not_have_leaves_all_others_as_they_were(chance):
    everything = {**dict.fromkeys(OTHERS, 0.5), **COLOURS}
    plain, only, full = (
        sample(Augmentation(**chosen), 16, channels=3, generator=seeded())
        for chosen in ({}, {chance: 0.5, **COLOURS}, everything)
    )
    for f in fields(Parameters):
        same_as = full if f.name in OTHERS[chance] else plain
        assert torch.equal(getattr(only, f.name), getattr(same_as, f.name)), f.name
    assert any(not torch.equal(getattr(only, name), getattr(plain, name)) for name in OTHERS[chance])


def test_the_generator_ends_where_it_would_have_without_them():
    plain, more = seeded(), seeded()
    sample(Augmentation(), 8, channels=3, generator=plain)
    sample(Augmentation(**dict.fromkeys(OTHERS, 0.5), **COLOURS), 8, channels=3, generator=more)
    assert torch.equal(plain.get_state(), more.get_state())


def test_each_of_the_others_fires_as_often_as_its_probability_says():
    p = 0.3
    spec = Augmentation(
        **dict.fromkeys(OTHERS, p), **COLOURS, elastic_control_points=4, bias_field_order=1, motion_poses=1
    )
    drawn = sample(spec, MANY, channels=3, generator=seeded())
    shares = {
        "elastic": (rows(drawn.elastic != 0), p),
        "bias field of a channel": (rows(drawn.bias_field[:, 1] != 0), p),
        "bias field of any channel": (rows(drawn.bias_field != 0), 1 - (1 - p) ** 3),
        "motion of a channel": (rows(drawn.motion_shift[:, 2] != 0), p),
        "ghosts of a channel": (drawn.ghosting[:, 0] != 0, p),
        "spike of a channel": (drawn.spike[:, 0] != 0, p),
        "CT noise": (drawn.ct_noise_std != 0, p),
        "colour": (rows(drawn.colour != torch.eye(3)), p),
        "mixing": (drawn.mix_partner != torch.arange(MANY), p),
        "channel dropout": (~drawn.channel_kept[:, 0], p - p**3 / 3),
    }
    for name, (fired, expected) in shares.items():
        deviation = math.sqrt(expected * (1 - expected) / MANY)
        assert abs(float(fired.float().mean()) - expected) < 5 * deviation, name


def test_every_subset_of_the_channels_but_none_is_drawn():
    drawn = sample(Augmentation(channel_dropout_p=0.5), 500, channels=3, generator=seeded()).channel_kept
    assert len({tuple(kept) for kept in drawn.tolist()}) == 2**3 - 1
    assert drawn.any(dim=1).all()
    never = sample(Augmentation(channel_dropout_p=1.0), 300, channels=3, generator=seeded()).channel_kept
    assert (never.sum(dim=1) == 1).all()
    assert (never.sum(dim=0) > 60).all()


def test_a_box_lies_inside_the_patch_and_covers_the_share_asked_for():
    spec = Augmentation(mix_p=1.0, mix_share=(0.2, 0.4))
    drawn = sample(spec, 500, channels=1, generator=seeded())
    edge = drawn.mix_box[..., 1] - drawn.mix_box[..., 0]
    assert (drawn.mix_box >= 0).all()
    assert (drawn.mix_box <= 1 + 1e-6).all()
    assert ((edge.prod(dim=1) > 0.199) & (edge.prod(dim=1) < 0.401)).all()
    assert (drawn.mix_partner != torch.arange(500)).all()
    assert drawn.mix_box[:, :, 0].max() > 0.35  # boxes lie anywhere


def test_an_element_alone_in_its_batch_is_not_mixed():
    drawn = sample(Augmentation(mix_p=1.0), 1, channels=1, generator=seeded())
    assert drawn.mix_partner.tolist() == [0]
    assert not drawn.mix_box.any()


def test_the_polynomial_has_no_constant_and_keeps_to_its_order():
    drawn = sample(Augmentation(bias_field_p=1.0, bias_field_order=2), 4, channels=1, generator=seeded()).bias_field
    used = {tuple(place) for place in (drawn != 0).nonzero()[:, 2:].tolist()}
    assert used == {(i, j, k) for i in range(3) for j in range(3) for k in range(3) if 1 <= i + j + k <= 2}


def test_nothing_is_displaced_or_acquired_along_the_through_plane_axis():
    spec = replace(Augmentation.for_patch((64, 64, 8)), elastic_p=1.0, motion_p=1.0, ghosting_p=1.0)
    drawn = sample(spec, 100, channels=2, generator=seeded())
    assert not drawn.elastic[:, 2].any()
    assert drawn.elastic[:, :2].all()
    assert not drawn.motion_rotation[..., :2].any()
    assert drawn.motion_rotation[..., 2].all()
    assert not drawn.motion_shift[..., 2].any()
    assert set(drawn.motion_axis.unique().tolist()) == set(drawn.ghosting_axis.unique().tolist()) == {0, 1}


def test_poses_are_taken_up_one_after_the_other():
    time = sample(Augmentation(motion_p=1.0, motion_poses=5), 200, channels=1, generator=seeded()).motion_time
    assert (time.diff(dim=-1) > 0).all()
    assert time.min() > 0
    assert time.max() < 1


def test_colours_that_the_images_do_not_have_are_refused():
    with pytest.raises(PlanError, match="among the 2 channels"):
        sample(Augmentation(colour_p=0.1, **COLOURS), 1, channels=2, generator=seeded())


def test_colour_leaves_other_channels_alone():
    spec = Augmentation(colour_p=1.0, colour_channels=(3, 0, 2))
    matrix = sample(spec, 8, channels=4, generator=seeded()).colour
    assert torch.equal(matrix[:, 1], torch.eye(4)[1].expand(8, 4))
    assert torch.equal(matrix[:, :, 1], torch.eye(4)[1].expand(8, 4))
    grey = matrix.sum(dim=2)[:, [3, 0, 2]]
    assert ((grey >= 0.9 - 1e-5) & (grey <= 1.1 + 1e-5)).all()  # the gains, and nothing else
