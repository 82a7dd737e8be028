"""What the tests of the verbs share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from vesalius.cli import main

Told = Callable[..., Any]


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Told:
    """Run a verb with ``--json``; returns what it tells, which must be strict JSON, and nothing else."""

    def refuse(word: str) -> float:
        raise AssertionError(f"{word} is not JSON")

    def run(*arguments: Any, code: int = 0) -> Any:
        capsys.readouterr()
        assert main([*map(str, arguments), "--json"]) == code
        return json.loads(capsys.readouterr().out, parse_constant=refuse)

    return run


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a verb; returns all that it prints, results first."""

    def run(*arguments: Any, code: int = 0) -> str:
        capsys.readouterr()
        assert main([str(a) for a in arguments]) == code
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return captured.out + captured.err

    return run


@pytest.fixture
def quick_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans are made without timing the machine."""
    monkeypatch.setattr("vesalius.plan.measure.step_seconds", lambda *_, **__: 0.01)
