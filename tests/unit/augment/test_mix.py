"""Mixing: boxes, partners, parts of a batch; dropout of channels afterwards."""

from dataclasses import replace

import pytest
import torch

from vesalius.augment import Augmentation, Parameters, apply, sample
from vesalius.augment.mix import paste


def batch(b, *size, channels=1):
    """Every voxel tells which element it is from."""
    labels = torch.arange(b).view(b, *[1] * len(size)).expand(b, *size).clone()
    return labels[:, None].expand(b, channels, *size).float().clone() + 10, labels


def test_a_box_is_pasted_with_its_labels():
    images, labels = batch(3, 8, 10)
    box = torch.tensor([[[0.0, 0.5], [0.2, 0.6]], [[0.0, 0.0]] * 2, [[0.0, 0.0]] * 2])
    found, found_labels = paste(images, labels, torch.tensor([2, 1, 2]), box)
    expected = labels.clone()
    expected[0, :4, 2:6] = 2
    assert torch.equal(found_labels, expected)
    assert torch.equal(found[:, 0], expected.float() + 10)
    assert torch.equal(labels, batch(3, 8, 10)[1])


def test_what_is_pasted_is_the_partner_before_it_was_pasted_into():
    images, labels = batch(3, 4, 4, 4)
    everywhere = torch.tensor([[0.0, 1.0]]).expand(3, 3, 2)
    _, found = paste(images, labels, torch.tensor([1, 2, 0]), everywhere)
    assert found[:, 0, 0, 0].tolist() == [1, 2, 0]


@pytest.mark.parametrize("patch", [(12, 14), (8, 9, 10)])
def test_a_part_of_a_batch_with_its_partners_is_that_part_of_the_batch(patch):
    images, labels = batch(6, *patch)
    spec = replace(Augmentation.for_patch(patch), mix_p=0.8, gamma_p=0.0, noise_p=1.0)
    parameters = sample(spec, 6, channels=1, generator=torch.Generator().manual_seed(3))
    whole, whole_labels = apply(images, labels, parameters, patch)
    for rows in ([0, 1], [2, 3], [4, 5], [5]):
        needed = [*rows, *parameters.partners(rows)]
        found, found_labels = apply(images[needed], labels[needed], parameters.select(needed), patch)
        torch.testing.assert_close(found[: len(rows)], whole[rows], rtol=0, atol=1e-5)
        assert torch.equal(found_labels[: len(rows)], whole_labels[rows])


def test_the_partner_is_mixed_in_as_it_was_augmented():
    images, labels = batch(2, 6, 6)
    still = Parameters.identity(2, ndim=2, channels=1)
    mixed = replace(
        still,
        mix_partner=torch.tensor([1, 1]),
        mix_box=torch.tensor([[[0.0, 0.5], [0.0, 1.0]], [[0.0, 0.0]] * 2]),
        brightness=torch.tensor([[1.0], [2.0]]),
    )
    found, _ = apply(images, labels, mixed, (6, 6))
    assert torch.equal(found[0, 0, :3], torch.full((3, 6), 22.0))
    assert torch.equal(found[0, 0, 3:], torch.full((3, 6), 10.0))


def test_a_dropped_channel_is_zero_in_the_box_too():
    images, labels = batch(2, 6, 6, channels=2)
    still = Parameters.identity(2, ndim=2, channels=2)
    both = replace(
        still,
        mix_partner=torch.tensor([1, 1]),
        mix_box=torch.tensor([[[0.0, 0.5], [0.0, 1.0]], [[0.0, 0.0]] * 2]),
        channel_kept=torch.tensor([[True, False], [True, True]]),
    )
    found, _ = apply(images, labels, both, (6, 6))
    assert not found[0, 1].any()
    assert torch.equal(found[0, 0, :3], torch.full((3, 6), 11.0))
    assert found[1].all()
