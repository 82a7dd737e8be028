"""Watches the whole suite: no log, output, error or report may hold a patient's name, identifier or date.

The patients are those of `canaries`, and those of every DICOM file that a test writes. What is looked through: log
records, standard output and error of the process and of those it starts, the text of every error of Vesalius (caught or
not), and every file of text that Vesalius writes. A test in which one turns up fails, whatever it asserts. What is to
tell the patient (an authorised re-identification) carries ``@pytest.mark.tells_patients("why")``.
"""

from __future__ import annotations

import contextlib
import io
import logging
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from canaries import CANARIES, forms, found_in

import vesalius.io.atomic
from vesalius.errors import VesaliusError

_TESTS = str(Path(__file__).resolve().parent)
_TEXTS = {".html", ".json", ".jsonl", ".csv", ".txt", ".md", ".svg", ".log", ".xml", ".yaml", ".toml"}
_LARGEST = 8 << 20
_LONGEST_SHOWN = 200


class Watch:
    """What was seen since the last test, as far as it holds a canary."""

    def __init__(self) -> None:
        self.canaries: set[str] = set().union(*map(forms, CANARIES))
        self.leaks: list[str] = []

    def learn(self, name: str, identifier: str, dates: tuple[str, ...]) -> None:
        """Take the patient of a file for a canary, as far as the words are none that mean something else, too."""
        today = date.today().strftime("%Y%m%d")
        words = [day for day in dates if len(day) == 8 and day.isdecimal() and day != today]
        words += [name] if "^" in name.strip("^") and len(name) > 6 else []
        words += [identifier] if len(identifier) > 5 and any(sign.isdigit() for sign in identifier) else []
        for word in words:
            self.canaries |= forms(word)

    def see(self, channel: str, text: str | bytes | None) -> None:
        """Look through what came out of a channel."""
        if not text:
            return
        told = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        if found := found_in(told, self.canaries):
            at = told.casefold().find(found[0])
            around = told[max(0, at - _LONGEST_SHOWN // 2) : at + _LONGEST_SHOWN // 2]
            self.leaks.append(f"{channel} tells {', '.join(map(repr, found))}: …{around}…")

    def take(self) -> list[str]:
        """The leaks, which are forgotten with that."""
        found, self.leaks = self.leaks, []
        return found


class _Records(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += "".join(traceback.format_exception(record.exc_info[1]))
        _watch.see(f"the log of {record.name}", text)


_watch = Watch()


@contextlib.contextmanager
def _patched(owner: Any, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    own = name in vars(owner)
    original = getattr(owner, name)
    setattr(owner, name, wrap(original))
    try:
        yield
    finally:
        if own:
            setattr(owner, name, original)
        else:
            delattr(owner, name)


def _of_errors(_original: Any) -> Any:
    def begin(self: Any, *args: Any, **kwargs: Any) -> None:
        _watch.see(f"an error ({type(self).__name__})", " ".join(map(str, args)))
        super(VesaliusError, self).__init__(*args, **kwargs)  # the next in line differs from error to error

    return begin


def _of_files(original: Any) -> Any:
    def _sync(path: Path) -> None:
        original(path)
        if path.suffix.lower() in _TEXTS and path.is_file() and path.stat().st_size <= _LARGEST:
            _watch.see(f"a file that was written (*{path.suffix})", path.read_bytes())

    return _sync


def _of_capture(original: Any) -> Any:
    def readouterr(self: Any) -> Any:
        found = original(self)
        _watch.see("standard output", found.out)
        _watch.see("standard error", found.err)
        return found

    return readouterr


def _of_redirection(original: Any) -> Any:
    def end(self: Any, *how: Any) -> Any:
        if isinstance(self._new_target, io.StringIO):
            _watch.see(self._stream, self._new_target.getvalue())
        return original(self, *how)

    return end


def _of_processes(original: Any) -> Any:
    def communicate(self: Any, *args: Any, **kwargs: Any) -> Any:
        out, err = original(self, *args, **kwargs)
        # Tools of others (dcmdump …) show files to the test and to nobody else.
        named = self.args if isinstance(self.args, str) else " ".join(map(str, self.args))
        if "vesalius" in named or sys.executable in named:
            _watch.see("standard output of a process", out)
            _watch.see("standard error of a process", err)
        return out, err

    return communicate


def _of_dicom(original: Any) -> Any:
    def save_as(self: Any, *args: Any, **kwargs: Any) -> Any:
        if sys._getframe(1).f_code.co_filename.startswith(_TESTS):
            name, identifier = (str(self.get(of) or "") for of in ("PatientName", "PatientID"))
            _watch.learn(name, identifier, tuple(str(self.get(of) or "") for of in ("PatientBirthDate", "StudyDate")))
        return original(self, *args, **kwargs)

    return save_as


_stack = contextlib.ExitStack()
_records = _Records(logging.NOTSET)


def pytest_configure(config: pytest.Config) -> None:
    """Begin to watch."""
    logging.getLogger().addHandler(_records)
    _stack.callback(logging.getLogger().removeHandler, _records)
    _stack.enter_context(_patched(VesaliusError, "__init__", _of_errors))
    _stack.enter_context(_patched(vesalius.io.atomic, "_sync", _of_files))
    _stack.enter_context(_patched(pytest.CaptureFixture, "readouterr", _of_capture))
    _stack.enter_context(_patched(contextlib._RedirectStream, "__exit__", _of_redirection))  # type: ignore[attr-defined]
    _stack.enter_context(_patched(subprocess.Popen, "communicate", _of_processes))


def pytest_unconfigure() -> None:
    """End it."""
    _stack.close()


def pytest_collection_finish() -> None:
    """By now whoever makes DICOM files has loaded pydicom; whoever does not need not wait for it."""
    if (pydicom := sys.modules.get("pydicom.dataset")) is not None:
        _stack.enter_context(_patched(pydicom.Dataset, "save_as", _of_dicom))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """A test, or what sets it up, fails when a canary has turned up meanwhile."""
    report = yield
    for title, text in report.sections:
        if title in (f"Captured stdout {report.when}", f"Captured stderr {report.when}"):
            _watch.see(title.lower(), text)
    leaks = _watch.take()
    if leaks and report.passed and item.get_closest_marker("tells_patients") is None:
        report.outcome = "failed"
        report.longrepr = "A patient could be known again:\n" + "\n".join(dict.fromkeys(leaks))
    return report
