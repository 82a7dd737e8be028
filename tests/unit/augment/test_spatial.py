"""Crop and warp: exactness, directions, alignment of images and labels."""

import math

import pytest
import torch

from vesalius.augment.spatial import crop, patch_to_source, warp


def matrix(ndim, *, degrees=None, scale=1.0, mirror=()):
    turns = 3 if ndim == 3 else 1
    rotation = torch.zeros(1, turns) if degrees is None else torch.tensor([degrees], dtype=torch.float32).deg2rad()
    reverse = torch.tensor([[axis in mirror for axis in range(ndim)]])
    return patch_to_source(rotation, torch.full((1, ndim), scale), reverse)


def pair(*shape, channels=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(1, channels, *shape, generator=generator)
    return images, torch.randint(0, 5, (1, *shape), generator=generator)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("size", [6, 7])
def test_a_quarter_turn_of_a_cube_is_rot90(axis, size):
    images, labels = pair(size, size, size, channels=2)
    degrees = [90.0 if a == axis else 0.0 for a in range(3)]
    turned, turned_labels = warp(images, labels, matrix(3, degrees=degrees), (size,) * 3)
    plane = [a for a in range(3) if a != axis]
    torch.testing.assert_close(turned, images.rot90(1, [a + 2 for a in plane]), rtol=0, atol=1e-5)
    assert torch.equal(turned_labels, labels.rot90(1, [a + 1 for a in plane]))


@pytest.mark.parametrize("quarters", [-1, 1, 2, 3])
def test_quarter_turns_of_a_square_are_rot90(quarters):
    images, labels = pair(9, 9, channels=3)
    turned, turned_labels = warp(images, labels, matrix(2, degrees=[90.0 * quarters]), (9, 9))
    torch.testing.assert_close(turned, images.rot90(quarters, [2, 3]), rtol=0, atol=1e-5)
    assert torch.equal(turned_labels, labels.rot90(quarters, [1, 2]))


@pytest.mark.parametrize("shapes", [((9, 12), (9, 12)), ((12, 13), (7, 6)), ((10, 9, 11), (5, 4, 11))])
@pytest.mark.parametrize("mirror", [(), (0,), (0, 1)])
def test_a_warp_that_only_mirrors_is_the_crop(shapes, mirror):
    source, patch = shapes
    images, labels = pair(*source, channels=2)
    reverse = torch.tensor([[axis in mirror for axis in range(len(source))]])
    expected, expected_labels = crop(images, labels, reverse, patch)
    warped, warped_labels = warp(images, labels, matrix(len(source), mirror=mirror), patch)
    torch.testing.assert_close(warped, expected, rtol=0, atol=1e-5)
    assert torch.equal(warped_labels, expected_labels)


def test_the_crop_is_the_middle_and_exact_in_every_type():
    for dtype in (torch.float32, torch.bfloat16, torch.int16, torch.uint8):
        images = torch.arange(120, dtype=dtype).view(1, 1, 10, 12)
        labels = torch.arange(120, dtype=torch.int16).view(1, 10, 12)
        patch, patch_labels = crop(images, labels, torch.zeros(1, 2, dtype=torch.bool), (5, 8))
        assert patch.dtype == torch.float32
        assert torch.equal(patch, images[..., 2:7, 2:10].float())
        assert torch.equal(patch_labels, labels[:, 2:7, 2:10])


def test_a_larger_scale_sees_more_and_makes_things_smaller():
    ramp = torch.arange(41.0).expand(41, 41)[None, None]
    labels = torch.zeros(1, 41, 41, dtype=torch.int64)
    wide = warp(ramp, labels, matrix(2, scale=2.0), (11, 11))[0][0, 0, 5]
    torch.testing.assert_close(wide, 20 + 2.0 * torch.arange(-5, 6), rtol=0, atol=1e-4)
    close = warp(ramp, labels, matrix(2, scale=0.5), (11, 11))[0][0, 0, 5]
    torch.testing.assert_close(close, 20 + 0.5 * torch.arange(-5, 6), rtol=0, atol=1e-4)


def test_a_linear_image_is_turned_without_error():
    angle = math.radians(30)
    i, j = torch.meshgrid(torch.arange(31.0) - 15, torch.arange(31.0) - 15, indexing="ij")
    turned, _ = warp(i[None, None], torch.zeros(1, 31, 31, dtype=torch.uint8), matrix(2, degrees=[30.0]), (15, 15))
    expected = (math.cos(angle) * i + math.sin(angle) * j)[8:23, 8:23]
    torch.testing.assert_close(turned[0, 0], expected, rtol=0, atol=1e-4)


def test_beyond_the_source_images_are_zero_and_labels_are_the_fill():
    images, labels = torch.ones(1, 1, 8, 8), torch.ones(1, 8, 8, dtype=torch.int16)
    far, far_labels = warp(images, labels, matrix(2, scale=4.0), (8, 8), outside_label=-1)
    assert torch.equal(far_labels[0, 3:5, 3:5], torch.ones(2, 2, dtype=torch.int16))
    assert (far_labels[0, 0] == -1).all()
    assert (far[0, 0, 0] == 0).all()
    assert set(far_labels.unique().tolist()) == {-1, 1}


def test_large_labels_survive_exactly():
    labels = torch.tensor([2**40 + 1, 2**40 + 3, 7]).repeat(3, 1)[None]
    _, turned = warp(torch.zeros(1, 1, 3, 3), labels, matrix(2, degrees=[90.0]), (3, 3))
    assert torch.equal(turned, labels.rot90(1, [1, 2]))


def test_turns_are_about_the_axes_from_the_last_to_the_first():
    images, labels = pair(5, 5, 5)
    both, _ = warp(images, labels, matrix(3, degrees=[90.0, 0.0, 90.0]), (5, 5, 5))
    expected = images.rot90(1, [3, 4]).rot90(1, [2, 3])
    torch.testing.assert_close(both, expected, rtol=0, atol=1e-5)
