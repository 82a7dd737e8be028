"""Apply: the batch is its elements, identity is the crop, bad input is refused."""

from dataclasses import replace

import pytest
import torch

from vesalius.augment import Augmentation, Parameters, apply, sample, source_size
from vesalius.errors import PlanError

EVERYTHING = {
    "rotation_p": 0.5,
    "scale_p": 0.5,
    "noise_p": 0.5,
    "blur_p": 0.7,
    "brightness_p": 0.5,
    "contrast_p": 0.5,
    "low_resolution_p": 0.7,
    "inverted_gamma_p": 0.5,
    "gamma_p": 0.5,
}


def batch(b, c, source, *, seed=0, dtype=torch.int64):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(b, c, *source, generator=generator)
    return images, torch.randint(0, 4, (b, *source), generator=generator, dtype=dtype)


@pytest.mark.parametrize("patch", [(12, 14), (10, 12, 8), (16, 16, 4)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_batch_is_its_elements_alone(patch, channels):
    spec = replace(Augmentation.for_patch(patch), **EVERYTHING)
    images, labels = batch(12, channels, source_size(spec, patch))
    parameters = sample(spec, 12, channels=channels, generator=torch.Generator().manual_seed(1))
    together, together_labels = apply(images, labels, parameters, patch)
    for k in range(12):
        alone, alone_labels = apply(images[k : k + 1], labels[k : k + 1], parameters.select([k]), patch)
        torch.testing.assert_close(together[k], alone[0], rtol=0, atol=1e-5)
        assert torch.equal(together_labels[k], alone_labels[0])


@pytest.mark.parametrize(("source", "patch"), [((12, 15), (8, 9)), ((9, 9, 12), (9, 8, 5))])
def test_identity_is_the_centre_crop_exactly(source, patch):
    images, labels = batch(3, 2, source)
    parameters = Parameters.identity(3, ndim=len(patch), channels=2)
    cropped, cropped_labels = apply(images, labels, parameters, patch)
    window = [slice((s - p) // 2, (s - p) // 2 + p) for s, p in zip(source, patch, strict=True)]
    assert torch.equal(cropped, images[:, :, *window])
    assert torch.equal(cropped_labels, labels[:, *window])


def test_a_switched_off_spec_is_the_identity():
    off = dict.fromkeys((*EVERYTHING, "mirror_p"), 0.0)
    images, labels = batch(4, 1, (8, 8, 8))
    parameters = sample(Augmentation(**off), 4, channels=1, generator=torch.Generator().manual_seed(0))
    kept, kept_labels = apply(images, labels, parameters, (8, 8, 8))
    assert torch.equal(kept, images)
    assert torch.equal(kept_labels, labels)


@pytest.mark.parametrize("field", ["noise_std", "blur_sigma", "brightness", "contrast", "low_resolution", "gamma"])
def test_an_intensity_transform_changes_its_element_only_and_no_label(field):
    images, labels = batch(3, 2, (10, 11))
    still = Parameters.identity(3, ndim=2, channels=2)
    values = getattr(still, field).clone()
    values[1] = 0.6
    changed, changed_labels = apply(images, labels, replace(still, **{field: values}), (10, 11))
    assert torch.equal(changed[[0, 2]], images[[0, 2]])
    assert (changed[1] != images[1]).flatten(1).any(dim=1).all()
    assert torch.equal(changed_labels, labels)


def test_a_channel_can_change_without_its_neighbour():
    images, labels = batch(1, 2, (10, 11))
    parameters = replace(Parameters.identity(1, ndim=2, channels=2), brightness=torch.tensor([[1.0, 2.0]]))
    changed, _ = apply(images, labels, parameters, (10, 11))
    assert torch.equal(changed[0, 0], images[0, 0])
    assert torch.equal(changed[0, 1], images[0, 1] * 2)


def test_mirroring_is_exact_and_twice_is_nothing():
    images, labels = batch(2, 1, (6, 7, 8))
    mirror = torch.tensor([[True, False, True], [False, True, False]])
    parameters = replace(Parameters.identity(2, ndim=3, channels=1), mirror=mirror)
    once, once_labels = apply(images, labels, parameters, (6, 7, 8))
    assert torch.equal(once[0], images[0].flip([1, 3]))
    assert torch.equal(once_labels[1], labels[1].flip([1]))
    twice, twice_labels = apply(once, once_labels, parameters, (6, 7, 8))
    assert torch.equal(twice, images)
    assert torch.equal(twice_labels, labels)


@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_paired_labels_change_places_where_left_and_right_are_mirrored(angle):
    images, _ = batch(3, 1, (6, 7, 8))
    labels = torch.randint(-1, 4, (3, 6, 7, 8), dtype=torch.int16)
    mirror = torch.tensor([[True, False, True], [False, True, False], [True, False, False]])
    still = Parameters.identity(3, ndim=3, channels=1)
    parameters = replace(still, mirror=mirror, rotation=torch.full_like(still.rotation, angle))
    plain_images, plain = apply(images, labels, parameters, (6, 7, 8), outside_label=-1)
    found_images, found = apply(images, labels, parameters, (6, 7, 8), outside_label=-1, mirrored_labels=(0, 3, 2, 1))
    assert torch.equal(found_images, plain_images)
    assert torch.equal(found[1], plain[1])
    swapped = {-1: -1, 0: 0, 1: 3, 2: 2, 3: 1}
    for k in (0, 2):
        assert found[k].flatten().tolist() == [swapped[value] for value in plain[k].flatten().tolist()]


def test_mirroring_comes_after_turning():
    images, labels = batch(1, 1, (7, 7))
    turned = replace(Parameters.identity(1, ndim=2, channels=1), rotation=torch.tensor([[0.4]]))
    both = replace(turned, mirror=torch.tensor([[True, False]]))
    expected, expected_labels = apply(images, labels, turned, (7, 7))
    found, found_labels = apply(images, labels, both, (7, 7))
    torch.testing.assert_close(found, expected.flip([2]), rtol=0, atol=1e-5)
    assert torch.equal(found_labels, expected_labels.flip([1]))


def test_the_input_is_left_alone_and_nothing_is_shared_with_it():
    spec = replace(Augmentation.for_patch((8, 8)), **EVERYTHING)
    images, labels = batch(6, 1, (8, 8))
    before, before_labels = images.clone(), labels.clone()
    parameters = sample(spec, 6, channels=1, generator=torch.Generator().manual_seed(2))
    result, result_labels = apply(images, labels, parameters, (8, 8))
    result.zero_()
    result_labels.zero_()
    assert torch.equal(images, before)
    assert torch.equal(labels, before_labels)


def test_labels_keep_their_type_and_take_the_fill():
    images, labels = batch(1, 1, (8, 8), dtype=torch.int8)
    turned = replace(Parameters.identity(1, ndim=2, channels=1), rotation=torch.tensor([[0.7]]))
    _, found = apply(images, labels, turned, (8, 8), outside_label=-1)
    assert found.dtype == torch.int8
    assert found[0, 0, 0] == -1
    assert set(found.unique().tolist()) <= {-1, 0, 1, 2, 3}


def test_half_precision_images_are_worked_on_in_single():
    spec = replace(Augmentation.for_patch((12, 12)), **EVERYTHING)
    images, labels = batch(8, 1, (16, 16))
    images = images.to(torch.bfloat16)
    parameters = sample(spec, 8, channels=1, generator=torch.Generator().manual_seed(0))
    found, _ = apply(images, labels, parameters, (12, 12))
    expected, _ = apply(images.float(), labels, parameters, (12, 12))
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": torch.zeros(2, 9, 8, dtype=torch.int64)}, "labels must be"),
        ({"labels": torch.zeros(2, 8, 8)}, "integers"),
        ({"labels": torch.zeros(2, 8, 8, dtype=torch.uint8), "outside_label": -1}, "does not fit"),
        ({"patch_size": (9, 8)}, "patch_size"),
        ({"patch_size": (8,)}, "patch_size"),
        ({"patch_size": (8, 0)}, "patch_size"),
        ({"parameters": Parameters.identity(3, ndim=2, channels=1)}, "parameters are for"),
        ({"parameters": Parameters.identity(2, ndim=2, channels=2)}, "parameters are for"),
        ({"parameters": Parameters.identity(2, ndim=3, channels=1)}, "parameters are for"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message, without_shape_checks):
    images, labels = batch(2, 1, (8, 8))
    call = {"labels": labels, "parameters": Parameters.identity(2, ndim=2, channels=1), "patch_size": (8, 8)} | change
    with pytest.raises(PlanError, match=message):
        apply(images, **call)
