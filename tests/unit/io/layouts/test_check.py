import threading
from pathlib import Path

import pytest

from vesalius.errors import FormatError
from vesalius.image import LeftOut, Record
from vesalius.io.layouts.check import read_all
from vesalius.io.layouts.facts import Facts

RECORDS = [Record(str(n), (Path(f"{n}.nii.gz"),)) for n in range(50)]


def test_what_fails_is_left_out_in_order():
    def examine(record):
        if record.id in ("3", "40"):
            raise FormatError(f"{record.images[0].name}: damaged")
        return Facts()

    facts, left_out = read_all(RECORDS, examine, None)
    assert list(facts) == [r.id for r in RECORDS if r.id not in ("3", "40")]
    assert left_out == [LeftOut("3", "3.nii.gz: damaged"), LeftOut("40", "40.nii.gz: damaged")]


def test_after_an_interruption_the_rest_is_not_read():
    seen = []
    gate = threading.Event()

    def examine(record):
        seen.append(record.id)
        if record.id != "0":
            gate.wait(10)
        return Facts()

    def interrupt(done, total):
        threading.Timer(0.1, gate.set).start()  # only after the rest has been called off
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_all(RECORDS, examine, interrupt)
    assert len(seen) <= 4


def test_a_defect_of_the_program_is_not_hidden():
    def examine(record):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        read_all(RECORDS, examine, None)
