"""Images painted from maps of kinds: what is drawn, what is painted, and what happens to the labels."""

from dataclasses import fields, replace

import pytest
import torch

from vesalius.augment import Augmentation, Generation, Parameters, apply, sample, source_size
from vesalius.augment.paint import HIGH, LOW, paint, strip, to_unit_range
from vesalius.augment.thick_slices import thicken_slices
from vesalius.errors import PlanError
from vesalius.transform.normalise import _PERCENTILES

HOW = Generation(
    kinds=6, tissues=((1, (1.0, 0.0)), (2, (0.0, 1.0)), (3, (0.25, 0.75))), tissue_p=1.0, outside=(5,), fluid=(4,)
)
QUIET = dict.fromkeys(
    ("rotation_p", "scale_p", "mirror_p", "noise_p", "blur_p", "brightness_p", "contrast_p", "low_resolution_p",
     "inverted_gamma_p", "gamma_p"),
    0.0,
)  # fmt: skip


def drawn(how, *, batch=200, seed=0, channels=1, **chances):
    spec = Augmentation(generation=how, **{**QUIET, **chances})
    return sample(spec, batch, channels=channels, generator=torch.Generator().manual_seed(seed))


def maps(batch, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 6, (batch, 1, *[n // 4 for n in shape]), generator=generator).float()
    kinds = torch.nn.functional.interpolate(coarse, size=shape, mode="nearest")
    return kinds, kinds[:, 0].to(torch.int16) * 2


def test_means_and_deviations_stay_in_their_ranges_and_mixtures_lie_between_their_tissues():
    p = drawn(replace(HOW, mean=(0.2, 0.8), std=(0.05, 0.1), tissue_spread=0.0, dark_p=0.0))
    assert p.kinds == 6
    assert float(p.kind_mean.min()) >= 0.2
    assert float(p.kind_mean.max()) <= 0.8
    torch.testing.assert_close(p.kind_mean[..., 3], 0.25 * p.kind_mean[..., 1] + 0.75 * p.kind_mean[..., 2])
    assert float(p.kind_std[..., 1:].min()) >= 0.05
    # Drawn evenly: a fifth of the draws in each fifth of the range, within four standard errors.
    counts = torch.histc(p.kind_mean[..., 1], 5, 0.2, 0.8)
    assert float((counts / 200 - 0.2).abs().max()) < 4 * (0.2 * 0.8 / 200) ** 0.5


def test_kinds_are_independent_where_images_are_not_painted_by_tissues():
    p = drawn(replace(HOW, tissue_p=0.0))
    mixed = 0.25 * p.kind_mean[..., 1] + 0.75 * p.kind_mean[..., 2]
    assert float((p.kind_mean[..., 3] - mixed).abs().mean()) > 0.1
    both = drawn(replace(HOW, tissue_p=0.5, tissue_spread=0.0))
    by_tissue = torch.isclose(both.kind_mean[..., 3], 0.25 * both.kind_mean[..., 1] + 0.75 * both.kind_mean[..., 2])
    assert 0.35 < float(by_tissue.float().mean()) < 0.65


def test_the_air_is_black_as_often_as_asked_for():
    assert not drawn(replace(HOW, dark_p=1.0)).kind_mean[..., 0].any()
    assert 0.5 < float((drawn(replace(HOW, dark_p=0.7)).kind_mean[..., 0] == 0).float().mean()) < 0.85


def test_the_fluid_is_stripped_only_with_what_is_outside():
    p = drawn(replace(HOW, strip_p=0.5, strip_fluid_p=0.5))
    assert p.kind_kept[:, :4].all()
    outside, fluid = p.kind_kept[:, 5], p.kind_kept[:, 4]
    assert not (outside & ~fluid).any()
    assert 0.35 < float((~outside).float().mean()) < 0.65
    assert 0.1 < float((~fluid).float().mean()) < 0.4


def test_a_generator_repeats_and_painting_changes_no_other_draw():
    one, again, other = drawn(HOW, batch=4), drawn(HOW, batch=4), drawn(HOW, batch=4, seed=1)
    without = sample(Augmentation(**QUIET), 4, channels=1, generator=torch.Generator().manual_seed(0))
    for f in fields(Parameters):
        assert torch.equal(getattr(one, f.name), getattr(again, f.name)), f.name
        if not f.name.startswith(("kind_", "paint_")):
            assert torch.equal(getattr(one, f.name), getattr(without, f.name)), f.name
    assert not torch.equal(one.kind_mean, other.kind_mean)


def test_each_kind_is_painted_from_its_own_normal_distribution():
    kinds = torch.cat([torch.full((1, 1, 40, 50, 20), float(kind)) for kind in range(3)], dim=4)
    mean, std = torch.tensor([[[0.2, 0.5, 0.8]]]), torch.tensor([[[0.0, 0.02, 0.05]]])
    painted = paint(kinds, mean, std, torch.tensor([3]))
    for kind in range(3):
        inside = painted[kinds == kind]
        assert float(inside.mean()) == pytest.approx(float(mean[0, 0, kind]), abs=1e-3)
        assert float(inside.std()) == pytest.approx(float(std[0, 0, kind]), rel=0.02, abs=1e-6)


def test_what_is_stripped_becomes_air_and_background_and_the_rest_stays():
    kinds, labels = maps(2, 8, 8, 8)
    kept = torch.ones(2, 6, dtype=torch.bool)
    kept[1, 5] = False
    left, left_labels = strip(kinds, labels, kept, ignored=-1)
    assert torch.equal(left[0], kinds[0])
    assert torch.equal(left_labels[0], labels[0])
    gone = kinds[1] == 5
    assert gone.any()
    assert not left[1][gone].any()
    assert not left_labels[1][gone[0]].any()
    assert torch.equal(left_labels[1][~gone[0]], labels[1][~gone[0]])


def test_voxels_that_nobody_looked_at_stay_ignored_though_they_are_stripped():
    labels = torch.tensor([[[[-1, 3]]]], dtype=torch.int16)
    kept = torch.tensor([[True, True, True, True, True, False]])
    assert strip(torch.full((1, 1, 1, 1, 2), 5.0), labels, kept, ignored=-1)[1].tolist() == [[[[-1, 0]]]]


@pytest.mark.parametrize("channels", [1, 2])
def test_the_batch_is_its_elements_alone(channels):
    spec = Augmentation(
        generation=HOW, rotation_p=0.6, elastic_p=0.6, bias_field_p=0.5, thick_slices_p=0.5, noise_p=0.5, gamma_p=0.5
    )
    patch = (12, 16, 12)
    kinds, labels = maps(6, *source_size(spec, patch))
    kinds = kinds.expand(-1, channels, -1, -1, -1).contiguous()
    p = sample(spec, 6, channels=channels, generator=torch.Generator().manual_seed(1))
    together, together_labels = apply(kinds, labels, p, patch, outside_label=-1)
    for k in range(6):
        alone, alone_labels = apply(kinds[[k]], labels[[k]], p.select([k]), patch, outside_label=-1)
        torch.testing.assert_close(together[k], alone[0], rtol=0, atol=1e-5)
        assert torch.equal(together_labels[k], alone_labels[0])
    assert float(together.min()) == 0.0
    assert float(together.max()) == 1.0


def test_labels_are_moved_as_without_painting_and_kinds_are_never_interpolated():
    turns = {"rotation_p": 1.0, "elastic_p": 1.0, "scale_p": 1.0}
    kinds, labels = maps(3, 24, 24, 24)
    bright = replace(HOW, strip_p=0.0, std=(0.0, 0.0), dark_p=0.0, tissue_p=0.0)
    p, bare = (
        drawn(bright, batch=3, **turns),
        sample(Augmentation(**{**QUIET, **turns}), 3, channels=1, generator=torch.Generator().manual_seed(0)),
    )
    images, moved = apply(kinds, labels, p, (16, 16, 16), outside_label=-1)
    _, moved_bare = apply(kinds, labels, bare, (16, 16, 16), outside_label=-1)
    assert torch.equal(moved, moved_bare)
    for image, of in zip(images, moved, strict=True):
        for value in of[of >= 0].unique():  # without noise every voxel of a kind has one brightness, to its borders
            assert len(image[0][of == value].unique()) == 1


def test_the_quantiles_are_those_of_the_scheme_that_segments():
    assert (100 * LOW, 100 * HIGH) == _PERCENTILES
    values = torch.linspace(-3, 5, 1001)[None]
    scaled = to_unit_range(values)
    assert (float(scaled.min()), float(scaled.max())) == (0.0, 1.0)
    assert float(scaled[0, 500]) == pytest.approx(0.5)
    assert not to_unit_range(torch.full((1, 9), 4.0)).any()


def test_thick_slices_average_across_their_axis_alone():
    x = torch.rand(2, 12, 12, 12, generator=torch.Generator().manual_seed(0))
    thick = thicken_slices(x, torch.tensor([[1.0, 1.0, 4.0], [1.0, 1.0, 1.0]]))
    assert torch.equal(thick[1], x[1])
    assert float(thick[0].diff(dim=2).abs().mean()) < 0.3 * float(x[0].diff(dim=2).abs().mean())
    flat = x[:, :1].expand(-1, 12, -1, -1).contiguous()
    torch.testing.assert_close(thicken_slices(flat, torch.tensor([[5.0, 1.0, 1.0]] * 2)), flat)


def test_thick_slices_fire_on_one_axis():
    p = drawn(None, thick_slices_p=1.0, thick_slices=(2.0, 3.0))
    assert ((p.thick_slices > 1).sum(dim=2) == 1).all()
    assert float(p.thick_slices.max()) <= 3.0
    assert (p.thick_slices > 1).flatten(0, 1).any(dim=0).all()  # every axis comes up


@pytest.mark.parametrize(
    "wrong",
    [
        {"kinds": 1},
        {"kinds": 3, "outside": (3,)},
        {"kinds": 3, "fluid": (0,)},
        {"kinds": 3, "outside": (1, 1)},
        {"kinds": 3, "tissues": ((1, (0.5, 0.4)),)},
        {"kinds": 3, "tissues": ((1, (1.0,)), (2, (0.5, 0.5)))},
        {"kinds": 3, "strip_p": 1.5},
        {"kinds": 3, "std": (0.2, 0.1)},
        {"kinds": 3, "tissue_spread": -1.0},
    ],
)
def test_what_cannot_be_painted_is_refused(wrong):
    with pytest.raises(PlanError):
        Generation(**wrong)
