"""Ghosts: copies along one axis."""

import pytest
import torch

from vesalius.augment.ghosting import add_ghosts


def ones(*values):
    return torch.tensor(values)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_there_are_as_many_copies_as_lines_are_counted(axis):
    size = [5, 5, 5]
    size[axis] = 24
    x = torch.zeros(1, *size)
    place = [2, 2, 2]
    place[axis] = 7
    x[0, *place] = 1.0
    found = add_ghosts(x, ones(1.0), ones(4), ones(axis))[0]
    line = found.movedim(axis, -1)[2, 2]
    ghosts = {int(k) for k in (line > 0.15).nonzero()}
    assert ghosts == {(7 + 6 * k) % 24 for k in range(4)}
    assert line[7] == line.max()
    others = found.movedim(axis, -1).clone()
    others[2, 2] = 0.0
    torch.testing.assert_close(others, torch.zeros_like(others), rtol=0, atol=1e-6)


def test_half_the_loss_gives_half_the_ghost():
    x = torch.zeros(2, 24)
    x[:, 7] = 1.0
    found = add_ghosts(x, ones(1.0, 0.5), ones(4, 4), ones(0, 0))
    torch.testing.assert_close(found[1, 13] * 2, found[0, 13], rtol=0.2, atol=0)


def test_a_constant_stays_what_it_is_and_each_channel_is_by_itself():
    generator = torch.Generator().manual_seed(0)
    x = torch.cat([torch.full((1, 16, 12), -1.5), torch.randn(1, 16, 12, generator=generator)])
    found = add_ghosts(x, ones(1.0, 0.7), ones(3, 5), ones(0, 1))
    torch.testing.assert_close(found[0], x[0])
    torch.testing.assert_close(found[1:], add_ghosts(x[1:], ones(0.7), ones(5), ones(1)))
