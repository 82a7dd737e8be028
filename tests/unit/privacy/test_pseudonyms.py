import pytest

from vesalius.errors import PrivacyError
from vesalius.privacy.pseudonyms import Pseudonyms, is_uid, stretch

ONE, OTHER = Pseudonyms(b"one key, 16 bytes and more"), Pseudonyms(b"another key, of 16 and more")


def test_a_key_gives_the_same_names_and_another_key_others():
    assert ONE.name("4711") == Pseudonyms(b"one key, 16 bytes and more").name("4711") != OTHER.name("4711")
    assert ONE.name("4711", of="file") != ONE.name("4711") != ONE.name("4712")
    assert ONE.uid("1.2.3") == ONE.uid("1.2.3") != OTHER.uid("1.2.3")


def test_pseudonyms_are_known_again_by_their_key_only():
    name, uid = ONE.name("4711"), ONE.uid("1.2.3")
    assert (ONE.name(name), ONE.uid(uid), ONE.days(name)) == (name, uid, 0)
    assert OTHER.name(name) != name
    assert OTHER.uid(uid) != uid
    assert OTHER.days(name) > 0
    wrong = name[:-1] + ("A" if name[-1] != "A" else "B")
    assert ONE.name(wrong) != wrong
    forged = uid[:-1] + str((int(uid[-1]) + 1) % 10)
    assert ONE.uid(forged) != forged


def test_uids_are_valid_and_differ():
    made = {ONE.uid(f"1.2.{number}") for number in range(2000)}
    assert len(made) == 2000
    assert all(is_uid(uid) and len(uid) <= 64 for uid in made)


def test_shifts_are_whole_days_within_ten_years():
    shifts = {ONE.days(f"patient {number}") for number in range(500)}
    assert min(shifts) >= 1
    assert max(shifts) <= 3650
    assert len(shifts) > 400


def test_short_keys_are_refused():
    with pytest.raises(PrivacyError, match="at least 16 bytes"):
        Pseudonyms(b"short")
    with pytest.raises(PrivacyError, match="needs 16"):
        stretch("short")


def test_a_key_is_not_shown():
    assert "one key" not in repr(ONE)


def test_an_identity_that_no_text_can_hold_has_a_pseudonym_too():
    assert ONE.name("J\udcffne") != ONE.name("Jane")
