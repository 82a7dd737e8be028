"""The gate on a skip connection."""

import torch

from vesalius.nets.attention import AttentionGate


def test_a_gate_is_open_at_first_and_closes_where_it_is_told_to():
    gate = AttentionGate(8, 16, (2, 2))
    skip, below = torch.randn(1, 8, 8, 8), torch.randn(1, 16, 4, 4)
    with torch.no_grad():
        gate.open.weight.zero_()
        torch.testing.assert_close(gate(skip, below), skip * torch.sigmoid(torch.tensor(3.0)))
        # Where the coarser stage's first channel is large, the sum falls far below zero.
        gate.fine.weight.zero_()
        gate.coarse.weight.zero_()
        gate.coarse.weight[:, 0] = 1
        gate.open.weight.fill_(-100)
        below.zero_()
        below[:, 0, :2] = 1
        passed = gate(skip, below)
    assert passed[:, :, :3].abs().max() < 1e-6  # away from the border, where the openness is interpolated
    torch.testing.assert_close(passed[:, :, 5:], skip[:, :, 5:] * torch.sigmoid(torch.tensor(3.0)))
