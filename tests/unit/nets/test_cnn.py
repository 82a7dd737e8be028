"""The patch classifier agrees with itself run over a volume."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from vesalius.errors import PlanError
from vesalius.nets import CNNSpec, build

FLAT = CNNSpec(
    ndim=2,
    in_channels=2,
    out_channels=3,
    patch=(19, 12),
    features=(6, 8),
    kernels=((4, 3), (3, 4)),
    pools=((2, 2), (3, 1)),
    hidden=(16, 12),
)
SOLID = CNNSpec(
    ndim=3,
    in_channels=1,
    out_channels=2,
    patch=(5, 8, 8),
    features=(4, 6),
    kernels=((1, 3, 3), (2, 2, 2)),
    pools=((1, 2, 2), (2, 2, 1)),
    hidden=(8,),
)


def _trained(spec):
    """A network whose batch norm has seen something and whose scores differ."""
    torch.manual_seed(0)
    net = build(spec)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    torch.nn.init.normal_(net.scores.weight)
    return net.eval()


@pytest.mark.parametrize(
    "spec",
    [FLAT, SOLID, replace(FLAT, norm="none"), replace(SOLID, hidden=())],
    ids=["flat", "solid", "without norm", "nothing hidden"],
)
def test_every_voxel_of_a_volume_agrees_with_its_patch(spec):
    net = _trained(spec)
    grid = (9, 11) if spec.ndim == 2 else (4, 5, 6)
    x = torch.randn(1, spec.in_channels, *grid)
    with torch.no_grad():
        dense = net(x)
        assert dense.shape == (1, spec.out_channels, *grid)
        padded = F.pad(x, [m for n in reversed(spec.patch) for m in (n // 2, n - 1 - n // 2)])
        windows = padded
        for axis, n in enumerate(spec.patch):
            windows = windows.unfold(2 + axis, n, 1)
        n = spec.ndim
        windows = windows.movedim(1, 1 + n).reshape(-1, spec.in_channels, *spec.patch)
        each = net.classify(windows).T.reshape(1, spec.out_channels, *grid)
    assert dense.std() > 0.1  # else agreement would mean nothing
    torch.testing.assert_close(dense, each, rtol=1e-5, atol=1e-5)


def test_gradients_reach_every_weight_of_the_classifier():
    torch.manual_seed(0)
    net = build(FLAT)
    loss = F.cross_entropy(net.classify(torch.randn(8, 2, 19, 12)), torch.arange(8) % 3)
    loss.backward()
    assert not [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


def test_dropout_is_for_training():
    torch.manual_seed(0)
    net = build(replace(FLAT, dropout=0.5))
    torch.nn.init.normal_(net.scores.weight)
    patch = torch.randn(2, 2, 19, 12)
    assert not torch.equal(net.classify(patch), net.classify(patch))
    net.eval()
    assert torch.equal(net.classify(patch), net.classify(patch))


def test_a_patch_of_another_size_is_refused():
    with pytest.raises(PlanError, match=r"patches of \(19, 12\), not \(19, 13\)"):
        build(FLAT).classify(torch.zeros(1, 2, 19, 13))
    with pytest.raises(PlanError, match="2 axes"):
        build(FLAT)(torch.zeros(1, 2, 19, 13, 4))
