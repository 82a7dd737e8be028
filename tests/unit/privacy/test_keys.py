"""Keys lock and open, and tell nothing."""

import stat

import pytest

from vesalius.errors import PrivacyError
from vesalius.privacy.keys import (
    Identity,
    Passphrase,
    Recipient,
    lock_away,
    new_identity,
    open_lock,
    read_key,
    recipient_of,
    write_secret,
)

KEY, WORDS = bytes(range(32)), Passphrase("correct horse battery staple")


def test_a_passphrase_locks_and_opens():
    locked = lock_away(KEY, WORDS, context=b"vault")
    assert open_lock(locked, WORDS, context=b"vault") == KEY
    assert open_lock(locked, Passphrase("correct horse battery stable"), context=b"vault") is None
    assert open_lock(locked, WORDS, context=b"another") is None
    assert open_lock(locked, new_identity()[0], context=b"vault") is None
    assert KEY.hex() not in str(locked)


def test_its_parameters_are_those_of_rfc_9106():
    locked = lock_away(KEY, WORDS, context=b"")
    assert (locked["times"], locked["lanes"], locked["memory_kib"]) == (3, 4, 64 * 1024)
    assert (len(locked["salt"]), len(locked["nonce"])) == (32, 24)
    assert locked["salt"] != lock_away(KEY, WORDS, context=b"")["salt"]


def test_an_identity_opens_what_its_recipient_locked():
    identity, recipient = new_identity()
    locked = lock_away(KEY, recipient, context=b"vault")
    assert open_lock(locked, identity, context=b"vault") == KEY
    assert open_lock(locked, identity, context=b"another") is None
    assert open_lock(locked, new_identity()[0], context=b"vault") is None
    assert open_lock(locked, WORDS, context=b"vault") is None
    assert recipient_of(identity) == recipient


@pytest.mark.parametrize("name", ["kind", "times", "salt", "nonce", "key"])
def test_a_lock_that_was_changed_does_not_open(name):
    locked = lock_away(KEY, WORDS, context=b"")
    changed = {**locked, name: 2 if name == "times" else "zz" if name == "kind" else locked[name][:-2] + "00"}
    if changed[name] == locked[name]:
        changed[name] = locked[name][:-2] + "01"
    assert open_lock(changed, WORDS, context=b"") is None
    assert open_lock({n: v for n, v in locked.items() if n != name}, WORDS, context=b"") is None


@pytest.mark.parametrize("more", [{"memory_kib": 1 << 30}, {"times": 10**9}, {"lanes": 1 << 20}])
def test_a_lock_cannot_make_us_compute_for_hours(more):
    with pytest.raises(PrivacyError, match="more work or memory"):
        open_lock({**lock_away(KEY, WORDS, context=b""), **more}, WORDS, context=b"")


def test_two_ways_of_typing_an_accent_are_one_passphrase():
    locked = lock_away(KEY, Passphrase("\u00e9l\u00e8ve " * 4), context=b"")
    assert open_lock(locked, Passphrase("e\u0301le\u0300ve " * 4), context=b"") == KEY


def test_weak_and_wrong_locks_are_refused():
    with pytest.raises(PrivacyError, match="at least 15 characters, and this one 14"):
        lock_away(KEY, Passphrase("a" * 14), context=b"")
    with pytest.raises(PrivacyError, match="is written age1"):
        lock_away(KEY, Recipient("age1nobody"), context=b"")
    with pytest.raises(PrivacyError, match="is damaged"):
        recipient_of(Identity("AGE-SECRET-KEY-1NOBODY"))


def test_key_files_are_for_their_owner_only(tmp_path):
    place = tmp_path / "key"
    write_secret(place, WORDS.text)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert read_key(place) == WORDS
    with pytest.raises(PrivacyError, match="never replaced"):
        write_secret(place, "another")
    place.chmod(0o640)
    with pytest.raises(PrivacyError, match="others may read it: chmod 600 key"):
        read_key(place)


def test_an_identity_file_of_age_keygen_is_read(tmp_path):
    identity, recipient = new_identity()
    write_secret(tmp_path / "key", f"# created: today\n# public key: {recipient.text}\n{identity.text}\n")
    assert read_key(tmp_path / "key") == identity
    write_secret(tmp_path / "two", f"{identity.text}\n{identity.text}\n")
    with pytest.raises(PrivacyError, match="2 identities"):
        read_key(tmp_path / "two")


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00", b"a" * 70_000])
def test_files_that_are_no_secret_are_refused(content, tmp_path):
    place = tmp_path / "key"
    place.touch(mode=0o600)
    place.write_bytes(content)
    with pytest.raises(PrivacyError, match="key"):
        read_key(place)


def test_secrets_do_not_show():
    identity, _ = new_identity()
    assert identity.text not in repr(identity)
    assert WORDS.text not in repr(WORDS)
