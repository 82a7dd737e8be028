import pytest
import torch
import torch.nn.functional as F

from vesalius.plan.prepare import IGNORE
from vesalius.train.losses import dice_and_cross_entropy, soft_dice_loss, supervised


def textbook_dice(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Soft Dice of the foreground by its formula, with a one-hot target."""
    chances = logits.softmax(1)
    one_hot = F.one_hot(target, logits.shape[1]).movedim(-1, 1).float()
    axes = (0, *range(2, logits.ndim))
    dice = (2 * (chances * one_hot).sum(axes) + 1e-5) / (chances.sum(axes) + one_hot.sum(axes) + 1e-5)
    return 1 - dice[1:].mean()


@pytest.mark.parametrize("shape", [(9, 7), (5, 6, 7)])
def test_soft_dice_is_its_formula(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 4, *shape, requires_grad=True)
    target = torch.randint(0, 4, (3, *shape))
    loss = soft_dice_loss(logits, target)
    assert torch.allclose(loss, textbook_dice(logits, target))
    mine = torch.autograd.grad(loss, logits)[0]
    theirs = torch.autograd.grad(textbook_dice(logits, target), logits)[0]
    assert torch.allclose(mine, theirs, atol=1e-7)


def test_ignored_voxels_change_nothing() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    wide = torch.cat([logits, 100 * torch.randn(2, 3, 8, 4)], dim=3)
    marked = torch.cat([target, torch.full((2, 8, 4), IGNORE)], dim=2)
    assert torch.allclose(dice_and_cross_entropy(wide, marked), dice_and_cross_entropy(logits, target))


def test_nothing_looked_at_costs_nothing() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = dice_and_cross_entropy(logits, torch.full((1, 4, 4), IGNORE))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.isfinite(logits.grad).all()


def test_a_perfect_answer_costs_nothing() -> None:
    target = torch.randint(0, 3, (1, 6, 6, 6))
    logits = 50 * F.one_hot(target, 3).movedim(-1, 1).float()
    assert dice_and_cross_entropy(logits, target).item() == pytest.approx(0, abs=1e-4)


def test_deep_supervision_weighs_finer_levels_more() -> None:
    torch.manual_seed(0)
    target = torch.randint(0, 3, (1, 8, 8))
    fine, coarse = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 4, 4)
    expected = (
        dice_and_cross_entropy(fine, target) + 0.5 * dice_and_cross_entropy(coarse, target[:, 1::2, 1::2])
    ) / 1.5
    assert torch.allclose(supervised([fine, coarse], target), expected)
    assert torch.allclose(supervised(fine, target), dice_and_cross_entropy(fine, target))
