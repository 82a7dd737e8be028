"""Elastic deformation: what the control points do, and that nothing folds, tears or is interpolated twice."""

from dataclasses import replace

import pytest
import torch

from vesalius.augment import Augmentation, Parameters, apply, sample
from vesalius.augment.elastic import displacements


def control(ndim, *, points=7, largest=0.4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return largest * (2 * torch.rand(ndim, *[points] * ndim, generator=generator) - 1)


@pytest.mark.parametrize("patch", [(24, 40), (16, 20, 24)])
def test_points_that_all_move_alike_shift_the_patch(patch):
    shifted = displacements(torch.full((len(patch), *[6] * len(patch)), 0.3), patch)
    for axis, n in enumerate(patch):
        torch.testing.assert_close(shifted[axis], torch.full(patch, 0.3 * n / 3))


def test_points_on_a_line_stretch_evenly():
    points = torch.zeros(2, 8, 8)
    points[0] = 0.1 * torch.arange(8.0)[:, None]
    stretched = displacements(points, (50, 30))[0]
    torch.testing.assert_close(stretched.diff(dim=0), torch.full((49, 30), 0.1), rtol=0, atol=1e-5)
    torch.testing.assert_close(stretched.diff(dim=1), torch.zeros(50, 29), rtol=0, atol=1e-5)


@pytest.mark.parametrize("points", [4, 7, 12])
def test_no_voxel_moves_further_than_the_control_points(points):
    moved = displacements(control(2, points=points), (60, 40))
    assert moved[0].abs().max() <= 0.4 * 60 / (points - 3)
    assert moved[1].abs().max() <= 0.4 * 40 / (points - 3)


@pytest.mark.parametrize("seed", range(5))
def test_nothing_folds(seed):
    extreme = 0.4 * control(3, largest=1.0, seed=seed).sign()  # every point as far as it may
    moved = displacements(extreme, (32, 32, 32))
    gradient = torch.stack([torch.stack(torch.gradient(part)) for part in moved], dim=-1).flatten(1, 3)
    jacobian = torch.eye(3)[..., None] + gradient.permute(0, 2, 1).reshape(3, 3, -1)
    assert torch.linalg.det(jacobian.permute(2, 0, 1)).min() > 0


def test_labels_and_images_are_bent_alike_and_once():
    ramp = torch.stack(torch.meshgrid(torch.arange(60.0), torch.arange(50.0), indexing="ij"))[None]
    still = Parameters.identity(1, ndim=2, channels=2)
    bent = replace(still, elastic=control(2)[None])
    found, _ = apply(ramp, torch.zeros(1, 60, 50, dtype=torch.int64), bent, (40, 30))
    # A linear image is interpolated without error: it tells where each voxel was looked up.
    places = ramp[:, :, 10:50, 10:40] + displacements(bent.elastic[0], (40, 30))
    torch.testing.assert_close(found, places, rtol=0, atol=1e-3)
    numbers = torch.arange(60 * 50).view(1, 60, 50)
    _, labels = apply(ramp, numbers, bent, (40, 30))
    i, j = places[0].round().long()
    rounded = (places[0] - places[0].round()).abs().amax(dim=0) < 0.499  # halves may go either way
    assert torch.equal(labels[0][rounded], (i * 50 + j)[rounded])


def test_the_deformation_comes_before_the_turn():
    ramp = torch.stack(torch.meshgrid(torch.arange(60.0), torch.arange(60.0), indexing="ij"))[None]
    labels = torch.zeros(1, 60, 60, dtype=torch.int64)
    still = Parameters.identity(1, ndim=2, channels=2)
    both = replace(still, elastic=control(2)[None], rotation=torch.tensor([[torch.pi / 2]]))
    found, _ = apply(ramp, labels, both, (30, 30))
    moved = displacements(both.elastic[0], (30, 30))
    turned, _ = apply(ramp, labels, replace(still, rotation=both.rotation), (30, 30))
    # A quarter turn takes a step along the first axis of the patch to one against the second of the window.
    expected = turned + torch.stack([moved[1], -moved[0]])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def test_a_small_structure_survives_with_its_size():
    labels = torch.zeros(1, 64, 64, dtype=torch.uint8)
    labels[:, 28:36, 28:36] = 1
    spec = Augmentation(rotation_degrees=((0.0, 0.0),), mirror_axes=(), rotation_p=0.0, scale_p=0.0, elastic_p=1.0)
    images = labels[:, None].float()
    areas = []
    for seed in range(20):
        drawn = sample(spec, 1, channels=1, generator=torch.Generator().manual_seed(seed))
        bent = replace(Parameters.identity(1, ndim=2, channels=1), elastic=drawn.elastic)
        areas.append(int(apply(images, labels, bent, (64, 64))[1].sum()))
    assert min(areas) > 0.6 * 64
    assert max(areas) < 1.6 * 64
    assert len(set(areas)) > 5
