"""Who may not be used is left out before a file is read."""

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.image import Grid, Volume
from vesalius.io import write
from vesalius.io.layouts import index


@pytest.fixture
def folder(tmp_path):
    """Two patients with two pictures each, told by their names; one picture cannot be read."""
    for place in ("images", "labels"):
        (tmp_path / place).mkdir()
        for name in ("07L", "07R", "09L", "09R"):
            picture = np.random.default_rng(int(name[:2]) + ord(name[2])).integers(0, 255, (1, 8, 8), np.uint8)
            values = picture // 128 if place == "labels" else picture
            write(Volume(values, Grid((8, 8), np.eye(3))), tmp_path / place / f"{name}.png")
    (tmp_path / "images" / "09R.png").write_bytes(b"unreadable")
    return tmp_path


@pytest.mark.parametrize("check", [True, False])
def test_the_reason_is_theirs_and_no_file_of_theirs_is_read(folder, check):
    asked = []

    def admit(records):
        asked.extend((record.id, record.patient) for record in records)
        return {record.id: "did not agree" for record in records if record.patient == "09"}

    dataset = index(folder, admit=admit, check=check)
    assert asked == [("07L", "07"), ("07R", "07"), ("09L", "09"), ("09R", "09")]
    assert dataset.ids == ("07L", "07R")
    assert [(case.id, case.reason) for case in dataset.left_out] == [(n, "did not agree") for n in ("09L", "09R")]


def test_a_patient_stays_who_was_asked_for(folder):
    """Of the two cases that are left, no two names have a patient in common: alone they would be their own."""
    dataset = index(folder, admit=lambda records: {r.id: "no" for r in records if r.id not in ("07L", "09L")})
    assert dataset.patients == ("07", "09")
    assert index(folder, admit=lambda records: {}).patients == ("07", "09")


def test_where_nobody_agrees_there_is_no_data_set(folder):
    with pytest.raises(DataError, match=r"no case can be used.*\n.*did not agree"):
        index(folder, admit=lambda records: {record.id: "did not agree" for record in records})
