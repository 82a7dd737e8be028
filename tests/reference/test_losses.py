"""Losses against MONAI's, and distances against SimpleITK's."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.losses import (
    DiceCELoss,
    DiceLoss,
    FocalLoss,
    GeneralizedDiceLoss,
    SoftclDiceLoss,
    TverskyLoss,
)

from vesalius.plan import Loss
from vesalius.train.losses import supervised
from vesalius.train.losses.distance import signed_distances

WEIGHTS = (0.3, 1.0, 2.0)
SUMMED = {"batch": True, "smooth_nr": 1e-5, "smooth_dr": 1e-5}
SOFTMAX = {"softmax": True, "to_onehot_y": True}
STRUCTURES = {**SOFTMAX, **SUMMED, "include_background": False}
# Their focal loss is a mean over classes as well as voxels, so that it is a third of the textbook's.
CLASSES = {
    "dice": (Loss(kind="dice"), DiceLoss(**STRUCTURES), 1),
    "dice and cross-entropy": (Loss(), DiceCELoss(**STRUCTURES), 1),
    "cross-entropy": (Loss(kind="cross_entropy"), DiceCELoss(**STRUCTURES, lambda_dice=0.0), 1),
    "weighed cross-entropy": (
        Loss(kind="cross_entropy", class_weights=WEIGHTS),
        torch.nn.CrossEntropyLoss(torch.tensor(WEIGHTS)),
        1,
    ),
    "focal": (Loss(kind="focal"), FocalLoss(use_softmax=True, to_onehot_y=True), 3),
    "focal 3.5": (Loss(kind="focal", focal_gamma=3.5), FocalLoss(use_softmax=True, to_onehot_y=True, gamma=3.5), 3),
    "tversky": (Loss(kind="tversky"), TverskyLoss(**STRUCTURES, alpha=0.3, beta=0.7), 1),
    "generalised dice": (
        Loss(kind="generalised_dice"),
        GeneralizedDiceLoss(**SOFTMAX, batch=True, smooth_nr=0.0, smooth_dr=0.0),
        1,
    ),
}
REGIONS = {
    "dice": (Loss(kind="dice"), DiceLoss(sigmoid=True, **SUMMED)),
    "cross-entropy": (Loss(kind="cross_entropy"), torch.nn.BCEWithLogitsLoss()),
    "focal": (Loss(kind="focal"), FocalLoss()),
    "tversky": (Loss(kind="tversky"), TverskyLoss(sigmoid=True, **SUMMED, alpha=0.3, beta=0.7)),
    "generalised dice": (
        Loss(kind="generalised_dice"),
        GeneralizedDiceLoss(sigmoid=True, batch=True, smooth_nr=0.0, smooth_dr=0.0),
    ),
}
MEMBERSHIPS = torch.tensor([[False, True, True], [False, False, True]])


def batch(shape: tuple[int, ...], outputs: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    blobs = torch.nn.functional.interpolate(torch.rand(2, 1, *(4,) * len(shape)), size=shape)[:, 0]
    return 2 * torch.randn(2, outputs, *shape, requires_grad=True), (3 * blobs).long().clamp(max=2)


def agree(mine: torch.Tensor, theirs: torch.Tensor, logits: torch.Tensor) -> None:
    assert mine.item() == pytest.approx(theirs.item(), rel=1e-5)
    slopes = [torch.autograd.grad(value, logits)[0] for value in (mine, theirs)]
    assert torch.allclose(*slopes, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("shape", [(14, 11), (8, 9, 7)], ids=["2D", "3D"])
@pytest.mark.parametrize("name", CLASSES)
def test_losses_of_classes_are_monais(name, shape) -> None:
    loss, theirs, factor = CLASSES[name]
    logits, classes = batch(shape, 3)
    target = classes if isinstance(theirs, torch.nn.CrossEntropyLoss) else classes.unsqueeze(1)
    agree(supervised(logits, classes, loss), factor * theirs(logits, target), logits)


@pytest.mark.parametrize("name", REGIONS)
def test_losses_of_regions_are_monais(name) -> None:
    loss, theirs = REGIONS[name]
    logits, classes = batch((14, 11), 2)
    reference = MEMBERSHIPS.float()[:, classes].movedim(0, 1)
    agree(supervised(logits, classes, loss, memberships=MEMBERSHIPS), theirs(logits, reference), logits)


def test_generalised_dice_of_what_is_not_there_is_monais() -> None:
    logits, classes = batch((14, 11), 4)  # no voxel of class 3
    theirs = GeneralizedDiceLoss(**SOFTMAX, batch=True, smooth_nr=0.0, smooth_dr=0.0)
    agree(supervised(logits, classes, Loss(kind="generalised_dice")), theirs(logits, classes.unsqueeze(1)), logits)


@pytest.mark.parametrize("shape", [(14, 21), (12, 13, 17)], ids=["2D", "3D"])
@pytest.mark.parametrize("iterations", [1, 3])
def test_centreline_dice_is_monais(shape, iterations) -> None:
    logits, classes = batch(shape, 1)
    reference = (classes == 1).float().unsqueeze(1)
    loss = Loss(kind="cldice", cldice_share=1.0, cldice_iterations=iterations)
    one = torch.tensor([[False, True, False]])
    for image in range(2):  # theirs is a mean over images
        mine = supervised(logits[image : image + 1], classes[image : image + 1], loss, memberships=one)
        theirs = SoftclDiceLoss(sigmoid=True, iter_=iterations, smooth=1e-12)
        agree(mine, theirs(logits[image : image + 1], reference[image : image + 1]), logits)


def test_signed_distances_are_those_of_simpleitk() -> None:
    spacing = (0.8, 1.5, 3.0)
    _, classes = batch((14, 11, 9), 1)
    inside = (classes == 1)[:, None].numpy()
    expected = np.zeros(inside.shape, np.float32)
    for image in range(2):
        for where, sign in ((inside[image, 0], 1), (~inside[image, 0], -1)):
            picture = sitk.GetImageFromArray(where.astype(np.uint8))
            picture.SetSpacing(spacing[::-1])
            away = sitk.SignedMaurerDistanceMap(picture, squaredDistance=False, useImageSpacing=True)
            expected[image, 0] += sign * np.maximum(sitk.GetArrayFromImage(away), 0)
    made = signed_distances(torch.from_numpy(inside), torch.ones(2, 1, 14, 11, 9, dtype=torch.bool), spacing)
    assert np.allclose(made.numpy(), expected, atol=1e-4)
