"""The documentation is run: what it shows works, and where it points there is something.

In a page, blocks of these kinds run, in order, in one folder with the data sets at ``../shared/data`` as beside a
checkout. All other kinds are only looked at.

- ```` ```python ````: with ``>>>`` as a doctest, else as a program. The blocks of a page share their names.
- ```` ```console run ````: every line that starts with ``$ vesalius`` must end with exit code 0, or with N in a block
  ```` ```console run exit=N ````. Lines below a command, if any, are its output; ``...`` stands for anything.
"""

import contextlib
import doctest
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from vesalius.cli import main

ROOT = Path(__file__).resolve().parents[1]
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
PAGES = [*READMES, ROOT / "CONTRIBUTING.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    """A fenced block: its info string, its text and the number of the line after the fence."""

    info: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    for found in re.finditer(r"^```(\S[^\n]*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        yield Block(found[1].strip(), found[2], page.count("\n", 0, found.start(2)) + 1)


def run_python(block: Block, names: dict[str, Any], where: str) -> None:
    """Run a block of Python; doctests compare what they print."""
    if ">>>" not in block.text:
        exec(compile("\n" * (block.line - 1) + block.text, where, "exec"), names)
        return
    test = doctest.DocTestParser().get_doctest(block.text, names, where, where, block.line - 1)
    told = io.StringIO()
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=told.write, clear_globs=False)
    names.update(test.globs)
    assert result.failed == 0, told.getvalue()


def run_console(block: Block) -> None:
    """Run the commands of a block in this process."""
    expected_code = int((re.search(r"exit=(\d)", block.info) or ["", "0"])[1])
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        program, *arguments = shlex.split(command, comments=True)
        assert program == "vesalius", f"only vesalius is run, not {program}"
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(arguments)
        shown = out.getvalue() + err.getvalue()
        assert code == expected_code, f"$ {command}\n{shown}"
        if expected.strip():
            assert doctest.OutputChecker().check_output(expected, shown, FLAGS), f"$ {command}\n{shown}"


def run_page(page: Path) -> int:
    """Run the blocks of a page and return how many there were."""
    names: dict[str, Any] = {"__name__": "page"}
    count = 0
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.info == "python":
            run_python(block, names, page.name)
        elif block.info.startswith("console run"):
            run_console(block)
        else:
            continue
        count += 1
    return count


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A folder with the shared data where they are beside a checkout."""
    folder = tmp_path / "vesalius"
    folder.mkdir()
    (tmp_path / "shared").symlink_to(ROOT.parent / "shared", target_is_directory=True)
    monkeypatch.chdir(folder)
    return folder


def runs(page: Path) -> bool:
    return any(b.info == "python" or b.info.startswith("console run") for b in blocks(page.read_text("utf-8")))


@pytest.mark.parametrize("page", [p for p in PAGES if runs(p)], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_page_runs(page, house, request):
    if "../shared/" in page.read_text(encoding="utf-8"):
        request.getfixturevalue("shared_data")
    assert run_page(page) > 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)", text)
    inside = [t for t in targets if not re.match(r"[a-z]+:", t)]
    assert [t for t in inside if not (page.parent / t).exists()] == []


def test_the_readmes_are_in_step():
    english, chinese = (page.read_text(encoding="utf-8") for page in READMES)
    assert [b[:2] for b in blocks(english)] == [b[:2] for b in blocks(chinese)]
    for mark in (r"^#+ ", r"^\| ", r"^- "):
        assert len(re.findall(mark, english, re.MULTILINE)) == len(re.findall(mark, chinese, re.MULTILINE)), mark


def test_the_benchmarks_are_listed():
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    there = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py"))
    assert sorted(re.findall(r"^\| `(\w+\.py)` \| ", page, re.MULTILINE)) == there


def test_every_page_is_reached_from_the_index():
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = [p.relative_to(ROOT / "docs").as_posix() for p in PAGES if p.is_relative_to(ROOT / "docs")]
    assert [p for p in pages if p != "index.md" and f"]({p})" not in index] == []


# --- the runner itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "```python\nassert 1 == 2\n```\n",
        "```python\n>>> 1 + 1\n3\n\n```\n",
        "```console run\n$ vesalius --version\nvesalius 99\n```\n",
        "```console run\n$ vesalius --colour\n```\n",
        "```console run\n$ rm -r everything\n```\n",
    ],
    ids=["program", "doctest", "output", "exit code", "other program"],
)
def test_a_page_that_lies_is_found_out(text, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError):
        run_page(page)


def test_a_page_runs_in_order_and_shares_names(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nx = 2\n```\ntext\n```python\n>>> x + 1\n3\n\n```\n```bash\nexit 1\n```\n"
        "```console run exit=2\n$ vesalius sgement  # wrong on purpose\n...did you mean 'segment'?...\n```\n",
        encoding="utf-8",
    )
    assert run_page(page) == 3
