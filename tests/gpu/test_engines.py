"""Engines on a CUDA device: what computes there, and what says that it does not."""

import importlib.util

import pytest
import torch

from vesalius.nets import UNetSpec, build
from vesalius.predict.backends import BACKENDS
from vesalius.predict.segmenter import lines_for

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

SPEC = UNetSpec.plain(ndim=3, in_channels=1, out_channels=3, features=(8, 16, 16))
CUDA = torch.device("cuda")


@pytest.mark.parametrize(
    ("name", "most"), [("torch-float32", 0.005), ("torch-bfloat16", 0.05), ("torch-compiled", 0.05)]
)
def test_it_says_what_the_processor_says(name: str, most: float) -> None:
    engine = BACKENDS[name]
    why = engine.refuses(SPEC, CUDA)
    if why is not None:
        assert name == "torch-compiled"
        assert importlib.util.find_spec("triton") is None
        pytest.skip(why)
    torch.manual_seed(0)
    network = build(SPEC).eval()
    x = torch.randn(3, 1, 16, 16, 24)
    right = BACKENDS["torch-float32"].load([network], x.shape)(x)
    run = engine.load([network.to(CUDA)], (2, *x.shape[1:]))
    logits = torch.cat([run(x[:2]), run(x[2:])])
    assert logits.device.type == "cpu"
    assert (logits - right).abs().max() < most * right.abs().max()


def test_other_runtimes_stay_on_the_processor() -> None:
    assert all("not on cuda" in str(BACKENDS[name].refuses(SPEC, CUDA)) for name in BACKENDS if "torch" not in name)
    assert lines_for(CUDA)[0][1:] == ["torch-compiled"]
