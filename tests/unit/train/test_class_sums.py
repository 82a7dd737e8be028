"""The sums that Dice and cross-entropy are made of, against their definition."""

import pytest
import torch
import torch.nn.functional as F

from vesalius.train.losses import sums
from vesalius.train.losses.sums import class_sums


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
@pytest.mark.parametrize("block", [7, 5 * 7, 1 << 13])
def test_sums_and_gradients_are_those_of_the_definition(layout, block, monkeypatch):
    monkeypatch.setattr(sums, "_BLOCK", block)
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, 3, 4, 5, generator=generator, dtype=torch.float64).float()
    logits = logits.contiguous(memory_format=layout).requires_grad_()
    classes = torch.randint(-1, 5, (2, 3, 4, 5), generator=generator, dtype=torch.int16)
    weights = torch.randn(4, 5, generator=generator)
    found = class_sums(logits, classes, ignored=-1)
    (gradient,) = torch.autograd.grad((found * weights).sum(), logits)

    exact = logits.detach().double().requires_grad_()
    log_chances, counted = exact.log_softmax(1), (classes >= 0)[:, None]
    own = F.one_hot(classes.clamp(min=0).long(), 5).movedim(-1, 1) * counted
    terms = (log_chances.exp() * own, log_chances.exp() * counted, -log_chances * own, own.double())
    expected = torch.stack([term.sum((0, 2, 3, 4)) for term in terms])
    (slope,) = torch.autograd.grad((expected * weights).sum(), exact)
    torch.testing.assert_close(found.double(), expected.detach(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(gradient.double(), slope, rtol=1e-4, atol=1e-6)
    assert not gradient.movedim(1, -1)[classes < 0].any()


def test_logits_of_half_precision_get_gradients_of_theirs():
    logits = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    class_sums(logits, torch.zeros(1, 8, dtype=torch.int64), ignored=-1)[2].sum().backward()
    assert logits.grad is not None
    assert logits.grad.dtype == torch.bfloat16
    chances = logits.detach().float().softmax(1)
    chances[:, 0] -= 1
    torch.testing.assert_close(logits.grad.float(), chances, rtol=0.01, atol=0.01)


def test_where_nothing_counts_all_sums_are_zero():
    assert not class_sums(torch.randn(1, 2, 4), torch.full((1, 4), -1), ignored=-1).any()
