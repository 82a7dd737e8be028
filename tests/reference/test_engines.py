"""Runtimes that were written by others say what PyTorch says, of every architecture."""

import subprocess
import sys

import pytest
import torch

from vesalius.nets import (
    ARCHITECTURES,
    CNNSpec,
    EncoderUNetSpec,
    FCNSpec,
    MedNeXtSpec,
    MonaiUNetSpec,
    NetworkSpec,
    RecurrentUNetSpec,
    SegResNetSpec,
    SlicesSpec,
    SwinUNETRSpec,
    UNETRSpec,
    UNetSpec,
    build,
)
from vesalius.nets.norm import channels_last
from vesalius.predict.backends import BACKENDS

IMAGE = {"ndim": 3, "in_channels": 1, "out_channels": 3}
FLAT = {"ndim": 2, "in_channels": 2, "out_channels": 3}
PLANE = UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(8, 16))
NETWORKS: list[tuple[NetworkSpec, tuple[int, ...]]] = [
    (UNetSpec.plain(**IMAGE, features=(8, 8, 16), attention=True, residual=True), (4, 8, 12)),
    (UNetSpec.plain(**FLAT, features=(8, 16), norm="group"), (8, 12)),
    (FCNSpec(**FLAT, encoder="resnet18", width=0.05), (32, 64)),
    (
        CNNSpec(**IMAGE, patch=(6, 6, 6), features=(4,), kernels=((3, 3, 3),), pools=((2, 2, 2),), hidden=(8,)),
        (3, 5, 4),
    ),
    (EncoderUNetSpec(**FLAT, encoder="resnet18", width=0.1, features=(8,) * 5), (32, 64)),
    (SegResNetSpec(**IMAGE, features=8, norm="instance"), (8, 8, 16)),
    (SwinUNETRSpec(**FLAT, features=12, window=3, depths=(2, 1, 1, 1)), (32, 64)),
    (UNETRSpec(**FLAT, image_size=(16, 32), features=4, hidden=24, mlp=32, heads=2), (16, 32)),
    (MedNeXtSpec(**FLAT, features=4), (16, 32)),
    (MonaiUNetSpec(**IMAGE, features=(4, 8, 8), strides=((2, 2, 1), (2, 2, 2)), residual_units=2), (8, 8, 4)),
    (
        SlicesSpec(inner=UNetSpec.plain(ndim=2, in_channels=3, out_channels=3, features=(8, 16)), axis=1, context=1),
        (8, 3, 12),
    ),
    (RecurrentUNetSpec(inner=PLANE, axis=2), (8, 4, 3)),
]


def test_no_architecture_is_forgotten():
    assert {spec.architecture for spec, _ in NETWORKS} == set(ARCHITECTURES)


@pytest.mark.parametrize(("spec", "size"), NETWORKS, ids=[f"{spec.architecture}-{spec.ndim}D" for spec, _ in NETWORKS])
def test_openvino_says_what_torch_says(spec, size):
    torch.manual_seed(0)
    network = build(spec).to(memory_format=channels_last(spec.ndim)).eval()
    x = torch.randn(2, spec.in_channels, *size)
    right = BACKENDS["torch-float32"].load([network], x.shape)(x)
    logits = BACKENDS["openvino-float32"].load([network], x.shape)(x)
    torch.testing.assert_close(logits, right, atol=1e-3, rtol=0)
    two = right.topk(2, dim=1).values
    clear = two[:, 0] - two[:, 1] > 2e-3  # no tie
    assert clear.float().mean() > 0.5
    assert torch.equal(logits.argmax(dim=1)[clear], right.argmax(dim=1)[clear])


def test_torch_compiles():
    # In a process of its own: the checks of shapes that the tests put into every function are not compiled.
    call = """
import sys, torch
from vesalius.nets import UNetSpec, build
from vesalius.predict.backends import BACKENDS
spec = UNetSpec.plain(ndim=2, in_channels=1, out_channels=3, features=(8, 16))
why = BACKENDS["torch-compiled"].refuses(spec, torch.device("cpu"))
if why is not None:
    sys.exit(why)
network = [build(spec).eval()]
x = torch.randn(3, 1, 32, 32)
run = BACKENDS["torch-compiled"].load(network, (2, 1, 32, 32))
logits = torch.cat([run(x[:2]), run(x[2:])])
right = BACKENDS["torch-float32"].load(network, x.shape)(x)
assert logits.shape == right.shape and logits.dtype == torch.float32
assert (logits - right).abs().max() < 0.05 * right.abs().max()
"""
    found = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=False)
    if "no C++ compiler" in found.stderr:
        pytest.skip(found.stderr)
    assert found.returncode == 0, found.stderr
