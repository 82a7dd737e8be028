"""What hostile objects make the node say: nothing of what they hold."""

import time
import warnings
from contextlib import closing

import numpy as np
import pytest
from canaries import CANARIES, NAME
from hospital import write_ct
from pydicom import dcmread

from vesalius.image import Grid

pytest.importorskip("pynetdicom", reason="the node needs pynetdicom, which is not installed")

from pynetdicom import AE

from vesalius.server.node.limits import Limits
from vesalius.server.node.listen import Door, listening
from vesalius.server.store import Store


@pytest.mark.parametrize(
    "keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyDate", "PatientBirthDate", "PatientAge"]
)
def test_values_that_are_none_are_not_quoted(tmp_path, capfd, caplog, keyword):
    """pydicom warns of them in their own words, in the node's thread: a name in the place of a date would be told."""
    grid = Grid.from_spacing((4, 5, 2), (1.0, 1.0, 2.0))
    path = min(write_ct(tmp_path / "ct", grid, np.zeros(grid.shape)).rglob("*.dcm"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        made = dcmread(path)
        made[keyword]._value = NAME
        with closing(Store(tmp_path / "store")) as store, listening(Door(port=0), store) as port:
            caller = AE("CALLER")
            caller.add_requested_context(made.SOPClassUID, "1.2.840.10008.1.2.1")
            association = caller.associate("127.0.0.1", port, ae_title="VESALIUS")
            before = len(told)
            with warnings.catch_warnings():
                status = association.send_c_store(made).get("Status")
            association.release()
        assert status is not None
    out = "".join(capfd.readouterr()) + caplog.text + " ".join(str(one.message) for one in told[before:])
    assert not [word for word in CANARIES if word in out]


def test_too_many_associations_are_refused_and_the_rest_goes_on(tmp_path):
    limits = Limits(associations=2, answer_s=10.0)
    with closing(Store(tmp_path / "store")) as store, listening(Door(port=0, limits=limits), store) as port:

        def call():
            caller = AE("CALLER")
            caller.add_requested_context("1.2.840.10008.1.1")
            return caller.associate("127.0.0.1", port, ae_title="VESALIUS")

        held = [call() for _ in range(2)]
        more = [call() for _ in range(10)]
        assert [one.is_established for one in held] == [True, True]
        assert not any(one.is_established for one in more)
        assert [one.send_c_echo().Status for one in held] == [0, 0]
        for one in held:
            one.release()
        until = time.monotonic() + 30
        while not (last := call()).is_established:
            assert time.monotonic() < until
            time.sleep(0.1)
        last.release()
