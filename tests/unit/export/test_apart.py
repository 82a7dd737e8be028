"""Converters and runtimes that crash: the export tells, and leaves nothing."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from vesalius.errors import PlanError
from vesalius.export import apart

MODULE = """
import os, signal
from pathlib import Path

def convert(program, window, path):
    print("chatter that nobody wants to read")
    if os.environ.get("APART") == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if os.environ.get("APART") == "fail":
        raise RuntimeError("no kernel for this")
    (found,) = program.module()(image=window).values()
    Path(path).write_text(f"{tuple(found.shape)} {float(found.sum()):.3f}")

def start(path):
    def run(window):
        print("more chatter", flush=True)
        os.write(1, b"and some from below")
        if window.max() > 9:
            os.kill(os.getpid(), signal.SIGABRT)
        if window.max() > 5:
            raise ValueError("too bright")
        return 2 * window
    return run
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A target of our own, which the other process can import."""
    place = tmp_path / "targets"
    place.mkdir()
    (place / "a_target.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(place), prepend=os.pathsep)
    return "a_target"


NETWORK = nn.Conv2d(1, 2, 1)
WINDOW = torch.ones(1, 1, 4, 6)


def test_converts_in_another_process(module, tmp_path, capfd, monkeypatch):
    (tmp_path / "torch.py").write_text("raise SystemExit('what lies in the current folder is not imported')")
    monkeypatch.chdir(tmp_path)
    apart.convert_apart(module, NETWORK, WINDOW, tmp_path / "a")
    assert (tmp_path / "a").read_text() == f"(1, 2, 4, 6) {NETWORK(WINDOW).sum().item():.3f}"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("crash", r"the converter crashed \(SIGSEGV\) on this network"),
        ("fail", "failed: RuntimeError: no kernel for this"),
    ],
)
def test_a_converter_that_does_not_make_it(module, tmp_path, monkeypatch, how, told):
    monkeypatch.setenv("APART", how)
    with pytest.raises(PlanError, match=told):
        apart.convert_apart(module, NETWORK, WINDOW, tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_runs_one_window_after_the_other(module, tmp_path, capfd):
    run = apart.run_apart(module, tmp_path / "a")
    windows = torch.randn(3, 1, 2, 5)
    assert torch.equal(run(windows), 2 * windows)
    assert torch.equal(run(windows[:1]), 2 * windows[:1])
    process = run._process
    assert process.poll() is None
    del run
    gc.collect()
    assert process.returncode == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("value", "told"), [(7, "failed: ValueError: too bright"), (10, r"crashed \(SIGABRT\)")])
def test_a_runtime_that_does_not_make_it(module, tmp_path, value, told):
    run = apart.run_apart(module, tmp_path / "a")
    for _ in range(2):  # it tells again whoever asks again
        with pytest.raises(PlanError, match=f"the runtime {told}"):
            run(torch.full((1, 1, 2, 2), value, dtype=torch.float32))


def test_a_network_that_cannot_be_traced(module, tmp_path):
    class Fickle(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(PlanError, match="PyTorch cannot trace this network"):
        apart.convert_apart(module, Fickle(), WINDOW, tmp_path / "a")


def test_channels_last_weights_are_laid_out_plainly(module, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(torch.export, "export", lambda network, *_: seen.append(network) or _stop())
    network = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
    with pytest.raises(PlanError, match="PyTorch cannot trace this network: enough"):
        apart.convert_apart(module, network, torch.ones(1, 2, 4, 4), tmp_path / "a")
    assert seen[0].network.weight.is_contiguous()


def _stop() -> None:
    raise RuntimeError("enough")
