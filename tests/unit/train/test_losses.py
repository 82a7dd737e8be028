from itertools import product
from typing import get_args

import pytest
import torch
import torch.nn.functional as F

from vesalius.errors import PlanError
from vesalius.plan import Loss
from vesalius.plan.prepare import IGNORE
from vesalius.plan.recipe import LossKind
from vesalius.train.losses import LOSSES, sums, supervised
from vesalius.train.losses.distance import signed_distances
from vesalius.train.losses.skeleton import soft_skeleton

KINDS = get_args(LossKind)
# Of the labels 1, 2 and 3: a whole, a part of it, and one beside it.
MEMBERSHIPS = torch.tensor([[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.bool)
BOTH = pytest.mark.parametrize("memberships", [None, MEMBERSHIPS], ids=["classes", "regions"])
EACH = pytest.mark.parametrize("kind", KINDS)


def batch(
    shape: tuple[int, ...] = (12, 10), *, images: int = 2, memberships: torch.Tensor | None = None, ignored: float = 0.1
) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits, and classes 0 to 3 in blocks with a tenth that nobody looked at."""
    torch.manual_seed(0)
    classes = torch.zeros(images, *shape, dtype=torch.int16)
    classes[(slice(None), *(slice(1, 8),) * len(shape))] = 1
    classes[(slice(None), *(slice(2, 5),) * len(shape))] = 2
    classes[..., -2:] = 3
    classes[torch.rand(classes.shape) < ignored] = IGNORE
    return torch.randn(images, 4 if memberships is None else 3, *shape, requires_grad=True), classes


def perfect(classes: torch.Tensor, memberships: torch.Tensor | None) -> torch.Tensor:
    number = classes.clamp(min=0).long()
    table = torch.eye(4) if memberships is None else memberships.T.float()
    return 100 * table[number].movedim(-1, 1) - 50


def textbook(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Soft Dice of the foreground and cross-entropy by their formulas, with a one-hot reference."""
    counted = (classes != IGNORE).unsqueeze(1)
    chances = logits.softmax(1) * counted
    one_hot = F.one_hot(classes.clamp(min=0).long(), logits.shape[1]).movedim(-1, 1) * counted
    axes = (0, *range(2, logits.ndim))
    dice = (2 * (chances * one_hot).sum(axes) + 1e-5) / (chances.sum(axes) + one_hot.sum(axes) + 1e-5)
    return 1 - dice[1:].mean() + F.cross_entropy(logits, classes.long(), ignore_index=IGNORE)


# --- every loss -------------------------------------------------------------------------------------------------------


def test_every_kind_is_in_the_table() -> None:
    assert set(LOSSES) == set(KINDS)


@EACH
@BOTH
@pytest.mark.parametrize("shape", [(12, 10), (10, 9, 11)], ids=["2D", "3D"])
def test_a_perfect_answer_costs_nothing_and_any_other_something(kind, memberships, shape) -> None:
    logits, classes = batch(shape, memberships=memberships)
    loss = Loss(kind=kind)
    assert supervised(perfect(classes, memberships), classes, loss, memberships=memberships).item() == pytest.approx(
        0, abs=1e-3
    )
    assert supervised(logits, classes, loss, memberships=memberships).item() > 0.1


@EACH
@BOTH
def test_ignored_voxels_change_nothing(kind, memberships) -> None:
    logits, classes = batch(memberships=memberships)
    loss = Loss(kind=kind)
    ignored = (classes == IGNORE).unsqueeze(1)
    value = supervised(logits, classes, loss, memberships=memberships)
    value.backward()
    assert logits.grad is not None
    assert (logits.grad[ignored.expand_as(logits)] == 0).all()
    assert (logits.grad[~ignored.expand_as(logits)] != 0).any()
    other = torch.where(ignored, 7 * torch.randn_like(logits), logits.detach())
    assert supervised(other, classes, loss, memberships=memberships).item() == value.item()


@EACH
@BOTH
@pytest.mark.parametrize("number", [IGNORE, 0, 1])
def test_a_batch_of_one_kind_has_a_finite_slope(kind, memberships, number) -> None:
    logits, _ = batch(memberships=memberships)
    half = logits.detach().bfloat16().requires_grad_()
    classes = torch.full((2, 12, 10), number, dtype=torch.int16)
    value = supervised(half, classes, Loss(kind=kind), memberships=memberships)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.isfinite(value)
    assert half.grad is not None
    assert torch.isfinite(half.grad).all()
    if number == IGNORE:
        assert value.item() == pytest.approx(0, abs=1e-6)
        assert (half.grad == 0).all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_voxels_taken_in_many_blocks_cost_the_textbooks_loss(monkeypatch, layout) -> None:
    monkeypatch.setattr(sums, "_BLOCK", 4 * 37)  # 37 voxels at a time, and fewer in the last block
    logits, classes = batch()
    logits = logits.detach().to(memory_format=layout).requires_grad_()
    value, wanted = supervised(logits, classes), textbook(logits, classes)
    assert value.item() == pytest.approx(wanted.item(), abs=1e-5)
    slope, wanted_slope = torch.autograd.grad(value, logits)[0], torch.autograd.grad(wanted, logits)[0]
    torch.testing.assert_close(slope, wanted_slope, atol=1e-6, rtol=1e-4)


@EACH
@BOTH
def test_processes_that_add_up_their_sums_agree_with_one(kind, memberships) -> None:
    logits, classes = batch(images=3, memberships=memberships)
    classes[2, 3:] = IGNORE  # the last process counts far fewer voxels
    how = {"memberships": memberships, "spacing_mm": (1.0, 2.0)}
    coarse = logits.detach()[:, :, ::2, ::2].clone().requires_grad_()
    loss = Loss(kind=kind)
    together = supervised([logits, coarse], classes, loss, **how)
    expected = torch.autograd.grad(together, [logits, coarse])
    sent = []
    supervised([logits[2:], coarse[2:]], classes[2:], loss, **how, reduce=lambda sums: sent.append(sums) or sums)
    assert len(sent) == 1  # one message a step
    split = supervised([logits[:2], coarse[:2]], classes[:2], loss, **how, reduce=lambda sums: sums + sent[0])
    assert split.item() == pytest.approx(together.item(), rel=1e-5)
    for mine, theirs in zip(torch.autograd.grad(split, [logits, coarse]), expected, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-7)


@EACH
@BOTH
def test_the_layout_in_memory_does_not_matter(kind, memberships) -> None:
    logits, classes = batch(memberships=memberships)
    last = logits.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    values = [supervised(x, classes, Loss(kind=kind), memberships=memberships) for x in (logits, last)]
    assert values[0].item() == pytest.approx(values[1].item(), rel=1e-5)
    first, second = (torch.autograd.grad(v, x)[0] for v, x in zip(values, (logits, last), strict=True))
    assert torch.allclose(first, second, atol=1e-7)


@EACH
def test_steps_down_the_slope_lower_the_loss(kind) -> None:
    logits, classes = batch()
    losses = []
    for _ in range(20):
        value = supervised(logits, classes, Loss(kind=kind))
        losses.append(value.item())
        with torch.no_grad():
            logits -= 0.2 * torch.autograd.grad(value, logits)[0].sign()
    assert losses[-1] < 0.5 * losses[0]


# --- Dice and cross-entropy -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(12, 10), (10, 9, 11)])
def test_the_default_is_soft_dice_and_cross_entropy(shape) -> None:
    logits, classes = batch(shape)
    mine, theirs = supervised(logits, classes), textbook(logits, classes)
    assert mine.item() == pytest.approx(theirs.item(), rel=1e-6)
    assert torch.allclose(torch.autograd.grad(mine, logits)[0], torch.autograd.grad(theirs, logits)[0], atol=1e-7)


def test_deep_supervision_weighs_finer_levels_more() -> None:
    fine, classes = batch((8, 8))
    middle, coarse = torch.randn(2, 4, 4, 8), torch.randn(2, 4, 2, 4)
    expected = (
        textbook(fine, classes)
        + 0.5 * textbook(middle, classes[:, 1::2])
        + 0.25 * textbook(coarse, classes[:, 2::4, 1::2])
    ) / 1.75
    assert torch.allclose(supervised([fine, middle, coarse], classes), expected)
    assert torch.equal(supervised([fine], classes), supervised(fine, classes))


def test_class_weights_are_those_of_cross_entropy() -> None:
    logits, classes = batch()
    weights = (0.5, 1.0, 3.0, 0.0)
    expected = F.cross_entropy(logits, classes.long(), torch.tensor(weights), ignore_index=IGNORE)
    mine = supervised(logits, classes, Loss(kind="cross_entropy", class_weights=weights))
    assert mine.item() == pytest.approx(expected.item(), rel=1e-5)
    both = supervised(logits, classes, Loss(class_weights=weights))
    assert both.item() == pytest.approx(expected.item() + supervised(logits, classes, Loss(kind="dice")).item())


def test_weights_of_regions_weigh_their_binary_cross_entropy() -> None:
    logits, classes = batch(memberships=MEMBERSHIPS)
    counted = classes != IGNORE
    reference = MEMBERSHIPS.float()[:, classes.clamp(min=0).long()].movedim(0, 1)
    costs = F.binary_cross_entropy_with_logits(logits, reference, reduction="none")
    each = torch.stack([costs[:, number][counted].mean() for number in range(3)])
    for weights in ((), (1.0, 2.0, 0.0)):
        loss = Loss(kind="cross_entropy", class_weights=weights)
        expected = (each * torch.tensor(weights or (1.0, 1.0, 1.0))).sum() / 3
        assert supervised(logits, classes, loss, memberships=MEMBERSHIPS).item() == pytest.approx(expected.item())


def test_regions_that_exclude_each_other_have_the_dice_of_their_classes() -> None:
    logits, classes = batch()
    alone = torch.eye(4, dtype=torch.bool)[1:]
    odds = (logits.softmax(1)[:, 1:]).logit()  # the sigmoid of which is the softmax
    for kind in ("dice", "tversky", "boundary", "cldice"):
        values = [
            supervised(logits, classes, Loss(kind=kind)),
            supervised(odds, classes, Loss(kind=kind), memberships=alone),
        ]
        assert values[0].item() == pytest.approx(values[1].item(), rel=1e-4)


@pytest.mark.parametrize("kind", ["focal", "dice_focal"])
@BOTH
def test_without_gamma_focal_loss_is_cross_entropy(kind, memberships) -> None:
    logits, classes = batch(memberships=memberships)
    plain = Loss(kind=kind.replace("focal", "cross_entropy"))
    values = [
        supervised(logits, classes, loss, memberships=memberships) for loss in (Loss(kind=kind, focal_gamma=0), plain)
    ]
    assert values[0].item() == pytest.approx(values[1].item(), rel=1e-6)


@BOTH
def test_a_small_gamma_has_a_finite_slope_where_nothing_is_wrong(memberships) -> None:
    _, classes = batch()
    logits = perfect(classes, memberships).requires_grad_()
    supervised(logits, classes, Loss(kind="focal", focal_gamma=0.5), memberships=memberships).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_tversky_with_equal_prices_is_dice_and_its_exponent_a_power() -> None:
    logits, classes = batch()
    dice = supervised(logits, classes, Loss(kind="dice")).item()
    equal = supervised(logits, classes, Loss(kind="tversky", tversky_alpha=0.5, tversky_beta=0.5)).item()
    assert equal == pytest.approx(dice, rel=1e-5)
    one = torch.tensor([[0, 1]], dtype=torch.bool)
    classes = (classes == 1).short()
    plain = supervised(logits[:, :1], classes, Loss(kind="tversky"), memberships=one).item()
    raised = supervised(logits[:, :1], classes, Loss(kind="tversky", tversky_exponent=0.75), memberships=one).item()
    assert raised == pytest.approx(plain**0.75, rel=1e-5)


def test_a_structure_that_is_missed_costs_more_than_one_too_many() -> None:
    _, classes = batch(ignored=0.0)
    small, large = classes.clone(), classes.clone()
    small[:, 2:5, 4] = 0
    large[:, 9, 2:5] = 2
    missed, invented = (supervised(perfect(x, None), classes, Loss(kind="tversky")).item() for x in (small, large))
    assert missed > invented
    other = Loss(kind="tversky", tversky_alpha=0.99, tversky_beta=0.01)
    missed, invented = (supervised(perfect(x, None), classes, other).item() for x in (small, large))
    assert missed < invented


# --- boundary ---------------------------------------------------------------------------------------------------------


def test_distances_are_those_to_the_nearest_voxel_across_the_boundary() -> None:
    torch.manual_seed(1)
    spacing = torch.tensor([1.0, 2.5, 0.7])
    inside = torch.rand(2, 2, 4, 5, 6) < 0.3
    counted = torch.rand(2, 1, 4, 5, 6) < 0.8
    inside &= counted
    inside[0, 1] = False  # nowhere
    places = torch.cartesian_prod(*(torch.arange(n) for n in (4, 5, 6))) * spacing
    expected = torch.zeros(inside.shape)
    for image, structure in product(range(2), range(2)):
        here, known = inside[image, structure].flatten(), counted[image, 0].flatten()
        if here.any():
            far = torch.cdist(places, places)
            signed = torch.where(here, -far[:, known & ~here].amin(1), far[:, here].amin(1))
            expected[image, structure] = signed.reshape(4, 5, 6)
    assert torch.allclose(signed_distances(inside, counted, spacing.tolist()), expected, atol=1e-5)


def test_a_structure_with_no_end_in_sight_has_no_boundary() -> None:
    inside = torch.tensor([[[[False, True, True]]]])
    counted = torch.tensor([[[[False, True, True]]]])
    assert signed_distances(inside, counted, (1.0, 1.0))[0, 0, 0].tolist() == [1.0, 0.0, 0.0]


def test_the_boundary_loss_is_a_mean_of_distances_and_grows_with_the_spacing() -> None:
    classes = torch.tensor([[[0, 0, 1, 1, 0, 0]]], dtype=torch.int16)
    shifted = perfect(torch.tensor([[[0, 0, 0, 0, 1, 1]]]), None)[:, :2]
    loss = Loss(kind="boundary", boundary_share=1.0)
    # Of six voxels, two are wrongly out at distance 1 inside; two are wrongly in at distances 1 and 2.
    assert supervised(shifted, classes, loss).item() == pytest.approx((1 + 1 + 1 + 2) / 6, rel=1e-5)
    assert supervised(shifted, classes, loss, spacing_mm=(1.0, 3.0)).item() == pytest.approx(15 / 6, rel=1e-5)


def test_coarser_levels_have_wider_voxels() -> None:
    _, classes = batch((8, 8), ignored=0.0)
    loss = Loss(kind="boundary", boundary_share=1.0)
    coarse = torch.randn(2, 4, 4, 4)
    alone = supervised(coarse, classes[:, 1::2, 1::2], loss, spacing_mm=(2.0, 4.0))
    assert supervised([perfect(classes, None), coarse], classes, loss, spacing_mm=(1.0, 2.0)).item() == pytest.approx(
        alone.item() / 3, rel=1e-4
    )


def test_at_the_start_the_boundary_loss_is_dice(monkeypatch) -> None:
    logits, classes = batch()
    start, end = (Loss(kind="boundary", boundary_share=0.4).at(progress) for progress in (0.0, 1.0))
    dice, boundary = (supervised(logits, classes, Loss(kind="boundary", boundary_share=s)).item() for s in (0, 1))
    assert supervised(logits, classes, end).item() == pytest.approx(0.6 * dice + 0.4 * boundary)
    monkeypatch.setattr("vesalius.train.losses.terms.signed_distances", None)  # needed no more
    assert supervised(logits, classes, start).item() == supervised(logits, classes, Loss(kind="dice")).item()


# --- centrelines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_skeleton_is_thin_and_as_long_as_the_tube(ndim) -> None:
    tube = torch.zeros(1, 1, *(11,) * (ndim - 1), 30)
    tube[(..., *(slice(3, 8),) * (ndim - 1), slice(4, 26))] = 1
    skeleton = soft_skeleton(tube, iterations=4)
    middle = (0, 0, *(5,) * (ndim - 1))
    assert (skeleton[(*middle, slice(8, 22))] == 1).all()
    across = (0, 0, *(slice(None),) * (ndim - 1), 15)
    assert skeleton[across].sum() == 1


def test_a_cut_tube_costs_more_in_centreline_dice_than_a_thinner_one() -> None:
    classes = torch.zeros(1, 15, 40, dtype=torch.int16)
    classes[:, 5:10, 2:38] = 1
    cut, thin = classes.clone(), classes.clone()
    cut[:, :, 18:22] = 0
    thin[:, 5] = 0
    thin[:, 9] = 0
    kind = Loss(kind="cldice", cldice_share=1.0)
    cut_cost, thin_cost = (supervised(perfect(x, None)[:, :2], classes, kind).item() for x in (cut, thin))
    assert thin_cost < 0.02 < cut_cost
    dice = Loss(kind="cldice", cldice_share=0.0)
    assert (
        supervised(perfect(cut, None)[:, :2], classes, dice).item()
        < supervised(perfect(thin, None)[:, :2], classes, dice).item()
    )


# --- what is wrong is said --------------------------------------------------------------------------------------------


def test_wrong_numbers_of_outputs_are_refused() -> None:
    logits, classes = batch()
    with pytest.raises(PlanError, match="class_weights must be 4, one an output, not 2"):
        supervised(logits, classes, Loss(class_weights=(1.0, 2.0)))
    with pytest.raises(PlanError, match="memberships must have 4 rows"):
        supervised(logits, classes, memberships=MEMBERSHIPS)
