"""What LiteRT and ExecuTorch refuse, and what is done to a network for them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from phantoms import ball_dataset, drawn_bundle, untrained_bundle
from torch import nn

from vesalius.errors import MissingDependencyError, PlanError
from vesalius.export import executorch, export, litert
from vesalius.nets import SlicesSpec, UNetSpec


@pytest.fixture(scope="module")
def volumes():
    return untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16))


@pytest.fixture(scope="module")
def pictures():
    return untrained_bundle(ball_dataset(2, shape=(32, 40)), patch_size=(16, 24))


@pytest.mark.parametrize("target", ["litert", "executorch"])
def test_without_its_packages_the_extra_is_named(pictures, tmp_path, monkeypatch, target):
    for module in (litert, executorch):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(
        MissingDependencyError,
        match=rf"environment of their own.*vesalius\[{target}\]|environment of its own.*vesalius\[{target}\]",
    ):
        export(pictures, target, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_executorch_refuses_3d_before_it_asks_for_packages(volumes, tmp_path):
    with pytest.raises(PlanError, match="executorch cannot take this bundle: ExecuTorch has no 3D convolution"):
        export(volumes, "executorch", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_litert_takes_both(volumes, pictures):
    assert litert.refuses(volumes) is None
    assert litert.refuses(pictures) is None
    assert executorch.refuses(pictures) is None


def test_executorch_takes_volumes_slice_by_slice(volumes):
    inner = UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(8, 16))
    plan = replace(volumes.plan, configuration="2d", network=SlicesSpec(inner=inner, axis=2), patch_size=(16, 16, 1))
    assert executorch.refuses(drawn_bundle(plan)) is None


@pytest.mark.parametrize("stride", [1, 2, (1, 2, 2)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_lone_channel_is_doubled_where_there_is_a_stride(stride, bias):
    network = nn.Sequential(nn.Conv3d(1, 4, 3, stride=stride, padding=1, bias=bias), nn.ReLU(), nn.Conv3d(4, 2, 1))
    x = torch.randn(2, 1, 6, 8, 10)
    expected = network(x)
    found = litert.without_lone_channels(network)
    torch.testing.assert_close(found(x), expected)
    lone = [m for m in found.modules() if isinstance(m, nn.Conv3d) and m.in_channels == 1]
    assert len(lone) == (1 if stride == 1 else 0)
