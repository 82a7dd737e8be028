"""What the tests of the executable share."""

from __future__ import annotations

import io
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from vesalius.cli import main

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
