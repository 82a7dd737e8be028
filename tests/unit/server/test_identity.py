"""UIDs: what is let in, what stands for them on disk, and how ours are made."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vesalius.errors import FormatError
from vesalius.server.identity import checked_uid, folded, made_uid


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "1.", ".1", "1..2", "../../x", "/etc/x", "1.2/3", "1.2\0", "1.2 ", " 1.2", "1.2\n", "1.a", "1,2"),
        *("1" * 65, "1." * 32 + "1", "١.٢", "1.2\\3", "..", "~", "1.2.3;rm"),
    ],
)
def test_what_is_no_uid_is_refused_without_being_quoted(text):
    with pytest.raises(FormatError) as caught:
        checked_uid(text, "SOP Instance UID")
    assert not text.strip(" .") or text not in str(caught.value)


@pytest.mark.parametrize("text", ["1", "1.2", "1.02.3", "2.25." + "9" * 59, "0"])
def test_what_is_one_is_let_through(text):
    assert checked_uid(text, "any") == text


@given(st.text())
def test_names_on_disk_hold_nothing_but_hexadecimal_digits(text):
    name = folded(text)
    assert len(name) == 32
    assert set(name) <= set("0123456789abcdef")


def test_made_uids_are_uids_and_follow_from_their_parts():
    made = made_uid("segmentation", "1.2.3")
    assert checked_uid(made, "any") == made == made_uid("segmentation", "1.2.3")
    assert made == f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, '12:segmentation5:1.2.3').int}"
    others = [("segmentation", "1.2.4"), ("report", "1.2.3"), ("segmentation1", ".2.3"), ("segmentation1.2.3",)]
    assert len({made, *(made_uid(*parts) for parts in others)}) == 5
