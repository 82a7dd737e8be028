"""The scanner that watches the whole suite can fail: each way out is tried with a canary, and without."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from canaries import BIRTH_DATE, ID, NAME, found_in
from leaks import Watch

TESTS = Path(__file__).resolve().parents[1]

SUITE = """
import logging, subprocess, sys
import contextlib, io
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from vesalius.errors import FormatError, MissingDependencyError
from vesalius.io.atomic import atomic_folder, write_text

WORDS = ["nothing", "DOE^JANE", "Jane Doe", "id-4711", "1947-07-11", "COLLINS^MARY"]

@pytest.fixture(params=WORDS, scope="session")
def word(request):
    return request.param

@pytest.fixture(scope="session", autouse=True)
def learnt(tmp_path_factory):
    made = Dataset()
    made.PatientName, made.PatientID, made.SOPClassUID, made.SOPInstanceUID = "Collins^Mary", "7", "1.2", "1.2.3"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    made.save_as(tmp_path_factory.mktemp("made") / "a.dcm")

def test_log(word):
    logging.getLogger("somebody").warning("reading %s", word)

def test_log_of_an_exception(word):
    try:
        raise ValueError(word)
    except ValueError:
        logging.getLogger("somebody").exception("it failed")

def test_stdout(word):
    print(word)

def test_stderr(word):
    print(word, file=sys.stderr)

def test_captured(word, capsys):
    print(word)
    capsys.readouterr()

def test_redirected(word):
    with contextlib.redirect_stdout(io.StringIO()):
        print(word)

def test_caught_error(word):
    with pytest.raises(FormatError):
        raise FormatError(f"the patient {word} is unknown")

def test_error_with_two_parents(word):
    with pytest.raises(ImportError) as caught:
        raise MissingDependencyError(word)
    assert caught.value.msg == word

def test_report(word, tmp_path):
    write_text(tmp_path / "report.html", f"<p>{word}")

def test_folder(word, tmp_path):
    with atomic_folder(tmp_path / "results") as folder:
        (folder / "scores.json").write_text(word)

def test_process(word):
    subprocess.run([sys.executable, "-c", f"print({word!r})"], capture_output=True)

@pytest.mark.tells_patients("it is meant to")
def test_marked(word):
    print(word)

def test_picture_of_voxels(word, tmp_path):
    write_text(tmp_path / "image.dcm", word)  # an image may hold its patient
"""


@pytest.mark.tells_patients("the suite that it runs lets canaries out on purpose")
def test_every_way_out_is_watched(tmp_path):
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "conftest.py").touch()
    # The scanner learns from files that tests write; these tests count as ours.
    command = f"import leaks, pytest; leaks._TESTS = {str(tmp_path)!r}; raise SystemExit(pytest.main())"
    found = subprocess.run(
        [sys.executable, "-c", command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(TESTS), "PYTEST_ADDOPTS": "-p leaks -q -rA -p no:cacheprovider"},
        capture_output=True,
        text=True,
        check=False,
    )
    passed, failed = (
        set(re.findall(rf"^{outcome} \S+::(test_\w+\[.*?\])", found.stdout, re.MULTILINE))
        for outcome in ("PASSED", "FAILED")
    )
    tests = set(re.findall(r"^def (test_\w+)", SUITE, re.MULTILINE))
    words = ["DOE^JANE", "Jane Doe", "id-4711", "1947-07-11", "COLLINS^MARY"]
    silent = {"test_marked", "test_picture_of_voxels"}
    assert len(passed | failed) == len(tests) * (len(words) + 1), found.stdout + found.stderr
    assert failed == {f"{test}[{word}]" for test in tests - silent for word in words}


def test_words_that_may_mean_something_else_are_not_learnt():
    watch = Watch()
    watch.learn("Anonymous", "phantom", ("", "2019"))
    watch.see("standard output", "Anonymous phantom of 2019")
    assert watch.take() == []
    watch.learn("Roe^Richard", "MRN 00815", ("20180102",))
    watch.see("standard output", "ROE RICHARD")
    watch.see("standard error", b"mrn 00815, examined on 02.01.2018")
    assert len(watch.take()) == 2
    assert watch.take() == []


def test_a_date_within_a_longer_number_is_none():
    assert found_in(f"seed {BIRTH_DATE}12", {BIRTH_DATE}) == []
    assert found_in(f"{NAME} {ID} ({BIRTH_DATE})", {BIRTH_DATE}) == [BIRTH_DATE]
