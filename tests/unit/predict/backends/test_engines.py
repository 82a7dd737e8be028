"""Every engine against PyTorch in float32: several networks, batches of any size, threads; and what each refuses."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from vesalius.errors import MissingDependencyError, PlanError
from vesalius.nets import UNetSpec, build
from vesalius.nets.norm import channels_last
from vesalius.predict.backends import BACKENDS, Backend, Mean, compiled, find_backend, openvino
from vesalius.predict.backends.compiled import Compiled
from vesalius.predict.backends.openvino import OpenVINO

CPU = torch.device("cpu")
FLAT = UNetSpec.plain(ndim=2, in_channels=2, out_channels=3, features=(8, 16))
SOLID = UNetSpec.plain(ndim=3, in_channels=1, out_channels=3, features=(8, 16, 16))
EXACT = ["openvino-float32", "onnxruntime"]


def drawn(spec: UNetSpec, members: int = 1) -> list[nn.Module]:
    """Networks with scores far apart, so that labels are seldom a tie."""
    torch.manual_seed(0)
    networks = [build(spec).to(memory_format=channels_last(spec.ndim)).eval() for _ in range(members)]
    for network in networks:
        for parameter in network.heads[0].parameters():
            parameter.data.mul_(20)
    return networks


def windows(spec: UNetSpec, count: int) -> torch.Tensor:
    size = (16, 24) if spec.ndim == 2 else (8, 12, 16)
    return torch.randn(count, spec.in_channels, *size, generator=torch.Generator().manual_seed(1))


def usable(name: str) -> Backend:
    engine = BACKENDS[name]
    why = engine.refuses(FLAT, CPU)
    if why is not None:
        pytest.skip(why)
    return engine


def agreement(logits: torch.Tensor, right: torch.Tensor) -> float:
    return float((logits.argmax(dim=1) == right.argmax(dim=1)).float().mean())


@pytest.mark.parametrize("name", BACKENDS)
def test_every_engine_is_one(name):
    assert isinstance(find_backend(name), Backend)


@pytest.mark.parametrize("spec", [FLAT, SOLID], ids=["2D", "3D"])
@pytest.mark.parametrize("name", EXACT)
def test_float32_says_what_torch_says(name, spec):
    networks, x = drawn(spec, members=2), windows(spec, 3)
    right = BACKENDS["torch-float32"].load(networks, x.shape)(x)
    logits = usable(name).load(networks, (2, *x.shape[1:]))(x)
    assert logits.shape == right.shape
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, right, atol=1e-3, rtol=0)
    assert agreement(logits, right) > 0.9999


@pytest.mark.parametrize("spec", [FLAT, SOLID], ids=["2D", "3D"])
@pytest.mark.parametrize("name", ["torch-bfloat16", "openvino-bfloat16"])
def test_bfloat16_gives_nearly_the_same_labels(name, spec):
    networks, x = drawn(spec, members=2), windows(spec, 3)
    right = BACKENDS["torch-float32"].load(networks, x.shape)(x)
    logits = usable(name).load(networks, x.shape)(x)
    assert logits.dtype == torch.float32
    assert agreement(logits, right) > 0.97
    assert 0 < (logits - right).abs().max() < 0.05 * right.abs().max()


def test_the_mean_is_of_all_networks():
    networks, x = drawn(FLAT, members=3), windows(FLAT, 1)
    with torch.inference_mode():
        each = torch.stack([network(x) for network in networks])
    for name in ("torch-float32", "openvino-float32"):
        torch.testing.assert_close(BACKENDS[name].load(networks, x.shape)(x), each.mean(dim=0), atol=1e-4, rtol=0)
    assert torch.equal(Mean(networks[:1])(x), networks[0](x))


@pytest.mark.parametrize("name", ["torch-float32", "openvino-float32"])
def test_a_batch_may_be_smaller_or_larger(name):
    networks, x = drawn(FLAT), windows(FLAT, 5)
    run = BACKENDS[name].load(networks, (2, *x.shape[1:]))
    torch.testing.assert_close(torch.cat([run(x[:1]), run(x[1:])]), run(x), atol=1e-4, rtol=0)


def test_windows_need_not_lie_in_order_in_memory():
    networks, x = drawn(SOLID), windows(SOLID, 2)
    run = BACKENDS["openvino-float32"].load(networks, x.shape)
    assert torch.equal(run(x.contiguous(memory_format=torch.channels_last_3d)), run(x))
    assert torch.equal(run(x.flip(3)), run(x.flip(3).clone()))


def test_threads_share_an_engine():
    networks, x = drawn(FLAT), windows(FLAT, 8)
    run = BACKENDS["openvino-float32"].load(networks, (2, *x.shape[1:]))
    alone = [run(x[n : n + 2]) for n in range(7)]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda n: run(x[n : n + 2]), range(7)))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


# --- compiled ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def not_compiled(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """Shapes that a network is asked for that is only said to be compiled, in float32."""
    seen = []

    def watched(network, *, dynamic, options):
        assert not dynamic
        network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
        return network

    monkeypatch.setattr(torch, "compile", watched)
    monkeypatch.setattr(compiled, "fast_dtype", lambda _: torch.float32)
    return seen


def test_a_compiled_network_sees_one_shape_only(not_compiled):
    networks, x = drawn(FLAT, members=2), windows(FLAT, 3)
    run = Compiled().load(networks, (2, *x.shape[1:]))
    right = BACKENDS["torch-float32"].load(networks, x.shape)(x)
    torch.testing.assert_close(torch.cat([run(x[:2]), run(x[2:])]), right, atol=1e-5, rtol=0)
    assert set(not_compiled) == {(2, *x.shape[1:])}


def test_a_network_that_cannot_be_compiled_is_refused_in_words(monkeypatch):
    def broken(network, *, dynamic, options):
        def run(x):
            raise RuntimeError("LoweringException: no such operator\nand a long story")

        return run

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(PlanError, match="torch cannot compile this network: LoweringException"):
        Compiled().load(drawn(FLAT), (1, 2, 16, 24))


def test_compiling_takes_a_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no C++ compiler (no-such-compiler)" in Compiled().refuses(FLAT, CPU)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert "Triton" in Compiled().refuses(FLAT, torch.device("cuda"))
    assert "not for mps" in Compiled().refuses(FLAT, torch.device("mps"))


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["openvino-float32", "openvino-bfloat16", "onnxruntime"])
def test_processors_only(name):
    assert "not on cuda" in BACKENDS[name].refuses(FLAT, torch.device("cuda"))


@pytest.mark.parametrize("name", ["torch-float32", "torch-bfloat16"])
def test_torch_refuses_next_to_nothing(name):
    assert all(BACKENDS[name].refuses(FLAT, torch.device(kind)) is None for kind in ("cpu", "cuda"))
    assert (BACKENDS[name].refuses(FLAT, torch.device("mps")) is None) == (name == "torch-float32")


@pytest.mark.parametrize("name", ["openvino-float32", "onnxruntime"])
def test_a_missing_package_is_named(name, monkeypatch):
    package = name.partition("-")[0]
    monkeypatch.setattr("importlib.util.find_spec", lambda wanted: None if wanted == package else wanted)
    assert "pip install" in BACKENDS[name].refuses(FLAT, CPU)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        BACKENDS[name].load(drawn(FLAT), (1, 2, 16, 24))


def test_a_processor_without_bfloat16_is_told(monkeypatch):
    class Core:
        def get_property(self, device, name):
            return ["FP32", "INT8"]

    monkeypatch.setattr(openvino, "shared_core", Core)
    assert OpenVINO("bf16").refuses(FLAT, CPU) == "this processor has no instructions for bfloat16"
    assert OpenVINO("f32").refuses(FLAT, CPU) is None


class Halved(nn.Module):
    """Means of neighbours, given back to each of them."""

    def forward(self, x):
        half = nn.functional.interpolate(x, size=[n // 2 for n in x.shape[2:]], mode="trilinear")
        return half.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)


def test_an_axis_of_which_one_voxel_is_left():
    x = torch.randn(1, 2, 2, 4, 6)
    right = nn.functional.avg_pool3d(x, 2).repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
    torch.testing.assert_close(OpenVINO("f32").load([Halved()], x.shape)(x), right)


class Odd(nn.Module):
    """Decides by what it sees, which no graph can hold."""

    def forward(self, x):
        return x if x.sum() > 0 else -x


@pytest.mark.parametrize("name", EXACT)
def test_a_network_without_a_graph_is_refused_in_words(name):
    with pytest.raises(PlanError, match="take this network"):
        usable(name).load([Odd()], (1, 1, 4, 4))


def test_an_unknown_engine():
    with pytest.raises(PlanError, match="did you mean 'openvino-bfloat16'"):
        find_backend("openvino-bfloat15")


# --- what it costs to have them ---------------------------------------------------------------------------------------


def test_engines_are_imported_when_asked_for_and_openvino_does_not_report_its_use():
    call = """
import sys, vesalius.predict.backends as b
heavy = ("openvino", "onnx", "onnxscript", "onnxruntime", "torch._dynamo")
assert not [name for name in heavy if name in sys.modules]
b.openvino.import_openvino()
assert "openvino" in sys.modules
assert not [name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module]
"""
    subprocess.run([sys.executable, "-c", call], check=True)
