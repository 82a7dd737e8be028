"""Motion: poses composed in k-space."""

import pytest
import torch

from vesalius.augment.motion import move, poses_of_lines


def picture(*shape, seed=0):
    """Smooth, with a flat border: what leaves the patch does not matter."""
    x = torch.zeros(1, *shape)
    x[0][tuple(slice(n // 3, 2 * n // 3) for n in shape)] = 1.0
    return x - 2.0


def whole(*values):
    return torch.tensor([values], dtype=torch.int64)[0]


def test_the_centre_of_k_space_is_from_where_the_patient_lies():
    for times in ([0.2, 0.3], [0.2, 0.7], [0.6, 0.7], [0.5, 0.9]):
        shares = poses_of_lines(torch.tensor(times), 20)
        assert shares.shape == (3, 20)
        assert (shares.sum(dim=0) == 1).all()
        assert shares[0, 0]  # frequency 0 comes first in an FFT
        assert shares.any(dim=1).all()


def test_the_other_poses_follow_in_their_order():
    order = torch.fft.fftshift(poses_of_lines(torch.tensor([0.1, 0.2, 0.7]), 20).int().argmax(dim=0))
    assert order.tolist() == [1] * 2 + [2] * 2 + [0] * 10 + [3] * 6


def test_an_early_move_is_the_pose_of_few_lines_only():
    x = picture(30, 24)
    shift = torch.tensor([[[0.0, 4.0]]])
    late = move(x, torch.zeros(1, 1, 1), shift, torch.tensor([[0.99]]), whole(1))
    early = move(x, torch.zeros(1, 1, 1), shift, torch.tensor([[0.6]]), whole(1))
    torch.testing.assert_close(late, x, rtol=0, atol=1e-4)
    assert (early - x).abs().mean() > 0.01


@pytest.mark.parametrize("axis", [0, 1])
def test_whole_shifts_are_linear_phases(axis):
    x = picture(30, 24)
    shift = torch.zeros(1, 1, 2)
    shift[0, 0, axis] = 3.0
    found = move(x, torch.zeros(1, 1, 1), shift, torch.tensor([[0.6]]), whole(axis))
    spectrum = torch.fft.fft2(x[0] + 2.0)
    moved = torch.fft.fft2((x[0] + 2.0).roll(-3, dims=axis))  # what lies 3 voxels on is seen here
    lines = x.shape[1 + axis]
    late = torch.fft.ifftshift((torch.arange(lines) + 0.5) / lines > 0.6)
    late = late[:, None] if axis == 0 else late
    expected = torch.fft.ifft2(torch.where(late, moved, spectrum)).abs() - 2.0
    torch.testing.assert_close(found[0], expected, rtol=0, atol=1e-4)


def test_channels_move_by_themselves():
    x = picture(20, 20, 8).repeat(2, 1, 1, 1)
    rotation = torch.tensor([[[0.0, 0.0, 0.0]], [[0.2, 0.0, 0.1]]])
    time = torch.tensor([[0.3], [0.3]])
    found = move(x, rotation, torch.zeros(2, 1, 3), time, whole(0, 2))
    torch.testing.assert_close(found[0], x[0], rtol=0, atol=1e-4)
    assert (found[1] - x[1]).abs().max() > 0.05
    torch.testing.assert_close(move(x[1:], rotation[1:], torch.zeros(1, 1, 3), time[1:], whole(2))[0], found[1])
