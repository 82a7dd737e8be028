"""The page of the attack cases names tests that exist, and leaves no case without one."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "development" / "security.md"
ROWS = re.findall(r"^\| (?!case |---)([^|]+?) \| ([^|]+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@cache
def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("case", "tests"), ROWS, ids=[case for case, _ in ROWS])
def test_every_case_has_tests_that_exist(case, tests):
    named = re.findall(r"`([\w/.]+)::(\w+)`", tests)
    assert named
    for path, test in named:
        assert test in names_in(path), f"{path} holds no {test}"


def test_the_page_has_rows():
    assert len(ROWS) >= 40
