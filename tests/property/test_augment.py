"""Invariants of augmentation over many specs, shapes and seeds."""

from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vesalius.augment import Augmentation, Parameters, apply, sample, source_size

seeds = st.integers(0, 2**32 - 1)
chances = st.floats(0, 1)


def ranges(low, high):
    return st.tuples(st.floats(low, high), st.floats(low, high)).map(lambda pair: (min(pair), max(pair)))


# The strategies draw plain values and the tests build from them: the checks of annotations must not run in a strategy.
def fields(ndim):
    probabilities = [name for name in Augmentation.__dataclass_fields__ if name.endswith("_p")]
    return st.fixed_dictionaries(
        dict.fromkeys(probabilities, chances)
        | {
            "rotation_degrees": st.tuples(*[ranges(-180, 180)] * (3 if ndim == 3 else 1)),
            "scale": ranges(0.25, 4),
            "elastic_displacement": ranges(0, 0.4),
            "elastic_control_points": st.integers(4, 8),
            "bias_field": ranges(-1, 1),
            "bias_field_order": st.integers(1, 3),
            "motion_poses": st.integers(1, 3),
            "motion_degrees": ranges(-90, 90),
            "motion_shift": ranges(-5, 5),
            "ghosting": ranges(0, 1),
            "ghosting_count": st.tuples(st.integers(2, 5), st.integers(5, 9)),
            "spike": ranges(0, 3),
            "ct_noise_std": ranges(0, 2),
            "ct_noise_attenuation": ranges(0, 4),
            "ct_noise_cutoff": ranges(0.05, 1),
            "colour_channels": st.permutations(range(3)).map(tuple),
            "colour_hue_degrees": ranges(-180, 180),
            "colour_saturation": ranges(0, 4),
            "colour_gain": ranges(0.25, 4),
            "zero_outside": st.booleans(),
            "mix_share": ranges(0, 1),
            "mirror_axes": st.sets(st.integers(0, ndim - 1)).map(tuple),
            "noise_std": ranges(0, 2),
            "blur_sigma": ranges(0.1, 8),
            "brightness": ranges(0.1, 3),
            "contrast": ranges(0.1, 3),
            "low_resolution": ranges(0.05, 1),
            "gamma": ranges(0.1, 4),
        }
    )


cases = st.sampled_from([2, 3]).flatmap(
    lambda ndim: st.tuples(
        fields(ndim), st.tuples(*[st.integers(1, 9)] * ndim), st.integers(1, 4), st.integers(3, 4), seeds
    )
)


def build(case):
    values, patch, b, c, seed = case
    spec = Augmentation(**values)
    window = source_size(spec, patch)
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(b, c, *window, generator=generator)
    images[..., : window[-1] // 3] = 0.0  # nothing was imaged there
    labels = torch.randint(0, 3, (b, *window), generator=generator)
    return patch, images, labels, sample(spec, b, channels=c, generator=generator)


def within(values, low_high, still):
    low, high = low_high
    return bool((((values >= low - 1e-5) & (values <= high + 1e-5)) | (values == still)).all())


@given(values=fields(3), seed=seeds)
@settings(max_examples=50, deadline=None)
def test_drawn_values_lie_in_their_ranges(values, seed):
    spec = Augmentation(**values)
    drawn = sample(spec, 16, channels=3, generator=torch.Generator().manual_seed(seed))
    for axis, low_high in enumerate(spec.rotation_degrees):
        assert within(drawn.rotation[:, axis].rad2deg(), (low_high[0] - 1e-4, low_high[1] + 1e-4), 0.0)
    assert within(drawn.scale, spec.scale, 1.0)
    assert float(drawn.elastic.abs().max()) <= spec.elastic_displacement[1]
    assert within(drawn.bias_field, spec.bias_field, 0.0)
    assert within(drawn.motion_rotation.rad2deg(), (spec.motion_degrees[0], spec.motion_degrees[1] + 1e-4), 0.0)
    assert within(drawn.motion_shift, spec.motion_shift, 0.0)
    assert within(drawn.ghosting, spec.ghosting, 0.0)
    assert within(drawn.ghosting_count, spec.ghosting_count, 2)
    assert within(drawn.spike, spec.spike, 0.0)
    assert within(drawn.ct_noise_std, spec.ct_noise_std, 0.0)
    assert within(drawn.ct_noise_attenuation, spec.ct_noise_attenuation, 0.0)
    assert within(drawn.ct_noise_cutoff, spec.ct_noise_cutoff, 0.5)
    assert ((drawn.mix_box >= 0) & (drawn.mix_box <= 1 + 1e-5)).all()
    assert drawn.channel_kept.any(dim=1).all()
    assert within(drawn.noise_std, spec.noise_std, 0.0)
    assert within(drawn.blur_sigma, spec.blur_sigma, 0.0)
    assert within(drawn.brightness, spec.brightness, 1.0)
    assert within(drawn.contrast, spec.contrast, 1.0)
    assert within(drawn.low_resolution, spec.low_resolution, 1.0)
    assert within(drawn.inverted_gamma, spec.gamma, 1.0)
    assert within(drawn.gamma, spec.gamma, 1.0)
    assert not drawn.mirror[:, [axis for axis in range(3) if axis not in spec.mirror_axes]].any()


@given(case=cases)
@settings(max_examples=60, deadline=None)
def test_whatever_is_drawn_the_result_is_sound(case):
    patch, images, labels, parameters = build(case)
    found, found_labels = apply(images, labels, parameters, patch, outside_label=-1)
    assert tuple(found.shape) == (*images.shape[:2], *patch)
    assert found.isfinite().all()
    assert found_labels.dtype == labels.dtype
    for element, k, partner in zip(found_labels, range(len(labels)), parameters.mix_partner.tolist(), strict=True):
        assert set(element.unique().tolist()) <= set(labels[[k, partner]].unique().tolist()) | {-1}


@given(case=cases)
@settings(max_examples=30, deadline=None)
def test_the_same_parameters_give_the_same_result(case):
    patch, images, labels, parameters = build(case)
    first, again = (apply(images, labels, parameters, patch) for _ in range(2))
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


@given(case=cases)
@settings(max_examples=40, deadline=None)
def test_the_batch_is_its_elements(case):
    patch, images, labels, parameters = build(case)
    found, found_labels = apply(images, labels, parameters, patch)
    for k in range(len(images)):
        rows = [k, *parameters.partners([k])]  # who gives a box has to be there
        alone, alone_labels = apply(images[rows], labels[rows], parameters.select(rows), patch)
        torch.testing.assert_close(found[k], alone[0], rtol=1e-4, atol=1e-4)
        assert torch.equal(found_labels[k], alone_labels[0])


@given(case=cases)
@settings(max_examples=30, deadline=None)
def test_what_was_not_imaged_stays_zero(case):
    patch, images, labels, parameters = build(case)
    still = Parameters.identity(len(images), ndim=len(patch), channels=images.shape[1])
    moved = {name: getattr(parameters, name) for name in ("rotation", "scale", "elastic", "mirror")}
    kept = replace(parameters, zero_outside=torch.ones(len(images), dtype=torch.bool), mix_partner=still.mix_partner)
    found, _ = apply(images, labels, kept, patch)
    # Nearest neighbours say where the image was, as they do for labels.
    _, imaged = apply(images, (images[:, 0] != 0).long(), replace(still, **moved), patch)
    assert (found[:, 0][imaged == 0] == 0).all()


@given(ndim=st.sampled_from([2, 3]), seed=seeds)
@settings(max_examples=15, deadline=None)
def test_image_and_label_move_together(ndim, seed):
    """Wherever a blob is taken, its centre of mass is the same in both.

    Whole voxels move a centre by up to half a voxel, at random: over a batch that averages out, a shift would not.
    Small angles without mirroring, so that a shift would not average out either.
    """
    generator = torch.Generator().manual_seed(seed)
    size, many = 37, 16
    axes = torch.stack(torch.meshgrid(*[torch.arange(float(size))] * ndim, indexing="ij"))
    centres = 15 + 6 * torch.rand(many, ndim, generator=generator)
    distance = (axes - centres.view(many, ndim, *[1] * ndim)).norm(dim=1)
    images, labels = (7.5 - distance).clamp(0, 1)[:, None], (distance < 7).long()
    spec = Augmentation(
        rotation_degrees=((-25.0, 25.0),) * (3 if ndim == 3 else 1), mirror_axes=(), rotation_p=1.0, scale_p=1.0
    )
    drawn = sample(spec, many, channels=1, generator=generator)
    still = Parameters.identity(many, ndim=ndim, channels=1)
    parameters = replace(still, rotation=drawn.rotation, scale=drawn.scale)
    found, found_labels = apply(images, labels, parameters, (size,) * ndim)

    def centroids(weights):
        return (axes * weights[:, None]).flatten(2).sum(2) / weights.flatten(1).sum(1, keepdim=True)

    apart = centroids(found[:, 0]) - centroids(found_labels.float())
    assert float(apart.abs().max()) < 0.6
    assert float(apart.mean(dim=0).abs().max()) < 0.15
    moved = centroids(found[:, 0]) - centres
    assert float(moved.abs().mean()) > 0.1  # the test sees movement


@given(angle=st.floats(-3.1, 3.1), seed=seeds)
@settings(max_examples=30, deadline=None)
def test_turning_back_gives_the_middle_of_a_smooth_image_again(angle, seed):
    phase = torch.rand(2, generator=torch.Generator().manual_seed(seed)) * 6
    i, j = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    images = ((i / 9 + phase[0]).sin() + (j / 9 + phase[1]).cos())[None, None]
    labels = torch.zeros(1, 64, 64, dtype=torch.int64)
    still = Parameters.identity(1, ndim=2, channels=1)
    for turn in (angle, -angle):
        images, labels = apply(images, labels, replace(still, rotation=torch.tensor([[turn]])), (64, 64))
    expected = (i / 9 + phase[0]).sin() + (j / 9 + phase[1]).cos()
    torch.testing.assert_close(images[0, 0, 24:40, 24:40], expected[24:40, 24:40], rtol=0, atol=0.02)
