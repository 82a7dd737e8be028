"""The frame around the verbs: help, exit codes, errors. A made-up module stands in for the verb ``index``."""

import json
import os
import re
import subprocess
import sys
import warnings
from types import ModuleType
from typing import Any

import pytest

from vesalius.cli import VERBS, main
from vesalius.errors import FormatError


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The verb ``index``, replaced by one that does nothing; a test gives it its own ``run``."""
    module: Any = ModuleType("vesalius.cli.index")
    module.HELP = "Index a folder, at length."
    module.add_arguments = lambda parser: parser.add_argument("folder")
    module.run = lambda args: 0
    monkeypatch.setitem(sys.modules, "vesalius.cli.index", module)
    return module


def raising(error: BaseException) -> Any:
    def run(args: object) -> int:
        raise error

    return run


def test_help_lists_every_verb(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    # A long name has a line of its own.
    assert [name for name in VERBS if not re.search(rf"^    {name}\s", shown, re.MULTILINE)] == []


def test_help_of_a_verb_is_its_own(verb, capsys):
    assert main(["index", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Index a folder, at length." in shown
    assert "--json" in shown
    assert "--verbose" in shown


@pytest.mark.parametrize("argv", [[], ["--colour"], ["index"], ["index", "a", "b"], ["index", "a", "--js"]])
def test_wrong_use_is_2(verb, capsys, argv):
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "usage: vesalius" in captured.err


def test_unknown_verb_names_the_nearest(capsys):
    assert main(["sgement", "scan.nii"]) == 2
    assert "unknown verb 'sgement': did you mean 'segment'?" in capsys.readouterr().err


def test_exit_code_and_arguments_are_the_verbs(verb):
    seen = []

    def run(args: Any) -> int:
        seen.append((args.folder, args.json, args.verbose))
        return 1

    verb.run = run  # type: ignore[attr-defined]
    assert main(["index", "here", "--json"]) == 1
    assert seen == [("here", True, False)]


def test_an_error_of_ours_is_told_as_it_is(verb, capsys):
    verb.run = raising(FormatError("scan.nii is cut off"))
    assert main(["index", "x"]) == 1
    captured = capsys.readouterr()
    assert captured.err == "vesalius: error: scan.nii is cut off\n"
    assert captured.out == ""


def test_json_errors_go_to_stdout_too(verb, capsys):
    verb.run = raising(FormatError("scan.nii is cut off"))
    assert main(["index", "x", "--json"]) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"error": {"type": "FormatError", "message": "scan.nii is cut off"}}
    assert "scan.nii is cut off" in captured.err


def test_verbose_adds_the_traceback(verb, capsys):
    verb.run = raising(FormatError("scan.nii is cut off"))
    assert main(["index", "x", "--verbose"]) == 1
    shown = capsys.readouterr().err
    assert "Traceback (most recent call last)" in shown
    assert shown.endswith("vesalius: error: scan.nii is cut off\n")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device", "out.nii.gz"), "No space left on device: out.nii.gz"),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (MemoryError(), "out of memory"),
        (KeyboardInterrupt(), "interrupted"),
    ],
)
def test_the_systems_errors_are_told_in_a_line(verb, capsys, error, said):
    verb.run = raising(error)
    assert main(["index", "x"]) == 1
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown


def test_an_unforeseen_error_does_not_quote_the_data(verb, capsys):
    verb.run = raising(ValueError("invalid PatientName 'DOE^JANE'"))
    assert main(["index", "x", "--json"]) == 1
    captured = capsys.readouterr()
    assert "DOE" not in captured.out + captured.err
    assert "unexpected ValueError in test_main.py:" in captured.err
    assert "--verbose" in captured.err


@pytest.mark.parametrize(("flags", "shown"), [([], False), (["--verbose"], True)])
def test_warnings_of_libraries_are_for_verbose(verb, flags, shown):
    def run(args: object) -> int:
        warnings.warn("invalid PatientName 'DOE^JANE'", stacklevel=1)
        return 0

    verb.run = run  # type: ignore[attr-defined]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert main(["index", "x", *flags]) == 0
    assert bool(caught) is shown


def test_a_closed_pipe_is_quiet():
    # The verb's output is larger than a pipe's buffer and nobody reads it.
    script = (
        "import sys, types; from vesalius.cli import main\n"
        "m = types.ModuleType('vesalius.cli.index'); m.HELP = ''; m.add_arguments = lambda p: None\n"
        "def run(args): print('x' * 1_000_000); return 0\n"
        "m.run = run; sys.modules['vesalius.cli.index'] = m; sys.exit(main(['index']))"
    )
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as stderr:
        told = stderr.read()
    assert process.wait() == 1
    assert told == b""


def test_the_module_runs_as_the_executable():
    shown = subprocess.run(
        [sys.executable, "-m", "vesalius.cli", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith("vesalius ")


@pytest.mark.parametrize(
    ("set_before", "spin_count"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
    ids=["nothing", "the count", "the policy"],
)
def test_threads_that_wait_spin_briefly_unless_somebody_says_how(monkeypatch, set_before, spin_count) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that what main sets is taken back
        monkeypatch.delenv(name)
    for name, value in set_before.items():
        monkeypatch.setenv(name, value)
    assert main(["--version"]) == 0
    assert os.environ.get("GOMP_SPINCOUNT") == spin_count
