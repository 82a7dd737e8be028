"""The convolutional LSTM: which way it looks, and that a reversed stack gives a reversed output."""

import torch

from vesalius.nets.conv_lstm import BidirectionalConvLSTM, ConvLSTM


def test_it_knows_what_came_before_and_nothing_else():
    torch.manual_seed(0)
    x = torch.randn(1, 5, 2, 4, 4)
    changed = x.clone()
    changed[:, 2] += 1
    for reverse, untouched, touched in ((False, [0, 1], [2, 3, 4]), (True, [3, 4], [0, 1, 2])):
        net = ConvLSTM(2, 3, 3, reverse=reverse)
        before, after = net(x), net(changed)
        assert torch.equal(before[:, untouched], after[:, untouched])
        assert all((before[:, at] - after[:, at]).abs().max() > 1e-4 for at in touched)


def test_a_reversed_stack_gives_a_reversed_output_when_the_directions_are_swapped():
    torch.manual_seed(0)
    net, swapped = BidirectionalConvLSTM(6, 3), BidirectionalConvLSTM(6, 3)
    swapped.ahead.load_state_dict(net.back.state_dict())
    swapped.back.load_state_dict(net.ahead.state_dict())
    x = torch.randn(2, 4, 6, 5, 5)
    ahead, back = net(x).chunk(2, dim=2)
    found = torch.cat([back, ahead], dim=2)  # forward comes first, so the halves change places, too
    torch.testing.assert_close(swapped(x.flip(1)).flip(1), found)


def test_gradients_reach_every_weight_even_with_a_single_slice():
    net = BidirectionalConvLSTM(4, 3)
    net(torch.randn(1, 1, 4, 4, 4)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_the_memory_lasts_at_first():
    net = ConvLSTM(1, 2, 1)
    assert net.look.bias.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
