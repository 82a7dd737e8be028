"""What the tests of the executable share."""

from __future__ import annotations

import io
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vesalius.cli import main
from vesalius.plan import make_plan

Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path) -> Refused:
    """Run a verb that must fail: exit code 1, one clear line, no traceback, nothing written below the test's folder.

    Returns the message.
    """

    def listing() -> dict[Path, int]:
        return {path: path.stat().st_size for path in tmp_path.rglob("*")}

    def run(*arguments: Any) -> str:
        before = listing()
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main([str(a) for a in arguments])
        told = err.getvalue()
        assert code == 1, (code, out.getvalue(), told)
        assert "Traceback" not in told
        assert "this is a defect" not in told, told
        assert told.count("vesalius: error: ") == 1, told
        assert listing() == before
        return told.rpartition("vesalius: error: ")[2]

    return run


@pytest.fixture
def quick_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans are made without timing the machine."""
    monkeypatch.setattr("vesalius.plan.measure.step_seconds", lambda *_, **__: 0.01)


@pytest.fixture
def shrink(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let a study's module plan three small stages, with what else is given: enough to learn in seconds."""

    def shrunk(module: Any, **changes: Any) -> None:
        def small(*facts: Any, **how: Any) -> Any:
            plan = make_plan(*facts, **how)
            few = {"features": (8, 16, 32), "encoder_blocks": (1, 1, 1), "decoder_blocks": (1, 1)}
            network = replace(plan.network, **few, strides=plan.network.strides[:3], kernels=plan.network.kernels[:3])
            return replace(plan, network=network, **changes)

        monkeypatch.setattr(module, "make_plan", small)

    return shrunk


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The nearest that a test comes to a full disk: the system refuses to let a file grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk() -> Callable[[int], Any]:
    """`no_file_larger_than`, for tests."""
    return no_file_larger_than
