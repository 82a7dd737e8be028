"""The register knows who agrees to what on a day, and nobody's name."""

import datetime
import ssl
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from vesalius.errors import DataError, PrivacyError, VesaliusError
from vesalius.privacy.consent import (
    Register,
    count_states,
    create_register,
    grant,
    no_longer_agreeing,
    note_training,
    open_register,
    patients_at,
    state,
    withdraw,
)
from vesalius.privacy.tables import connect, transport

TODAY = datetime.datetime.now(datetime.UTC).date()


def days(count: int) -> datetime.date:
    return TODAY + datetime.timedelta(days=count)


@pytest.fixture
def register(tmp_path) -> Register:
    return create_register(str(tmp_path / "consent.sqlite"))


def test_a_consent_is_for_one_purpose_and_its_days(register):
    grant(register, ["p1"], "training", valid_from=days(1), valid_until=days(3))
    found = {n: state(register, "p1", "training", on=days(n)) for n in range(5)}
    assert found == {0: "not yet valid", 1: "granted", 2: "granted", 3: "granted", 4: "expired"}
    assert state(register, "p1", "research", on=days(1)) == "never given"
    assert state(register, "p2", "training", on=days(1)) == "never given"


@pytest.mark.parametrize("purpose", ["training", None])
def test_a_withdrawal_ends_every_consent_before_it(register, purpose):
    grant(register, ["p1", "p2"], "training")
    grant(register, ["p1"], "training", valid_until=days(9))
    grant(register, ["p1"], "research")
    withdraw(register, ["p1"], purpose)
    assert state(register, "p1", "training") == "withdrawn"
    assert state(register, "p1", "research") == ("withdrawn" if purpose is None else "granted")
    assert state(register, "p2", "training") == "granted"
    grant(register, ["p1"], "training")
    assert state(register, "p1", "training") == "granted"


def test_a_withdrawal_counts_for_who_never_agreed(register):
    withdraw(register, ["p1"])
    assert state(register, "p1", "training") == "withdrawn"


def test_trainings_are_named_to_who_took_part(register):
    hashes = {patient: register.hash_of(patient) for patient in ("p1", "p2", "p3")}
    note_training(register, "models/a", "training", [hashes["p1"], hashes["p2"]])
    note_training(register, "models/b", "training", [hashes["p2"]])
    note_training(register, "models/c", "research", [hashes["p2"]])
    note_training(register, "models/b", "training", [hashes["p2"], hashes["p3"]])  # gone on with
    assert [one.place for one in withdraw(register, ["p2"])] == ["models/a", "models/b", "models/c"]
    assert [one.place for one in withdraw(register, ["p2"], "research")] == ["models/c"]
    assert [one.place for one in withdraw(register, ["p3"])] == ["models/b"]
    assert withdraw(register, ["p9"]) == ()
    assert patients_at(register, "models/b") == {hashes["p2"], hashes["p3"]}
    assert no_longer_agreeing(register, patients_at(register, "models/a"), "training") == {hashes["p2"]}


def test_many_patients_at_once(register):
    patients = [f"p{n}" for n in range(1500)]
    grant(register, patients, "training")
    withdraw(register, patients[:2])
    assert count_states(register) == {"training": {"withdrawn": 2, "granted": 1498}}


def test_nobody_is_in_the_database_or_its_key(register, tmp_path):
    grant(register, ["MRN-4711"], "training")
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"4711" not in held
    assert register.hash_of("MRN-4711").encode() in held
    assert register.hash_of("MRN-4711") == register.hash_of(" MRN-4711\n")
    other = create_register(str(tmp_path / "other.sqlite"))
    assert other.hash_of("MRN-4711") != register.hash_of("MRN-4711")
    assert register.key.hex() not in repr(register)


def test_it_is_opened_with_its_own_key_only(register, tmp_path):
    place, key = tmp_path / "consent.sqlite", tmp_path / "consent.sqlite.key"
    assert open_register(str(place)).id == register.id
    assert key.stat().st_mode & 0o077 == 0
    create_register(str(tmp_path / "other.sqlite"))
    with pytest.raises(PrivacyError, match="is not the key of this register"):
        open_register(str(place), key=tmp_path / "other.sqlite.key")
    key.unlink()
    with pytest.raises(PrivacyError, match="cannot read the secret"):
        open_register(str(place))


def test_what_cannot_be_is_refused(register, tmp_path):
    with pytest.raises(PrivacyError, match="register in this database already"):
        create_register(str(tmp_path / "consent.sqlite"))
    with pytest.raises(PrivacyError, match="there is no register"):
        open_register(str(tmp_path / "nowhere.sqlite"))
    (tmp_path / "empty.sqlite").touch()
    with pytest.raises(PrivacyError, match="no register of consent in this database"):
        open_register(str(tmp_path / "empty.sqlite"), key=tmp_path / "consent.sqlite.key")
    (tmp_path / "text.sqlite").write_text("this is no database at all " * 50)
    with pytest.raises(VesaliusError, match=r"cannot be reached or written \(DatabaseError\)"):
        open_register(str(tmp_path / "text.sqlite"), key=tmp_path / "consent.sqlite.key")
    for patients, purpose in ((["p1"], "Training!"), ([], "training"), ([" "], "training")):
        with pytest.raises(DataError):
            grant(register, patients, purpose)
    with pytest.raises(DataError, match="must not lie before its first"):
        grant(register, ["p1"], "training", valid_until=days(-1))


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://ada:secret@localhost/x", "holds a password: put it in a file"),
        ("mysql://ada@localhost/x", "is the path of an SQLite file, or postgresql://"),
        ("postgresql://localhost", "is the path of an SQLite file, or postgresql://"),
        ("postgresql://ada@localhost/x?sslmode=off", "settings that are not known"),
    ],
)
def test_urls_are_checked_and_never_repeated(url, words):
    with pytest.raises(PrivacyError, match=words) as told:
        connect(url)
    assert "secret" not in str(told.value)
    with pytest.raises(PrivacyError, match="name the key file"):
        open_register(url)


def test_a_server_elsewhere_is_spoken_to_over_tls_only():
    assert [transport(host) for host in ("localhost", "127.0.0.1", "::1", "127.9.9.9")] == [{}] * 4
    for host in ("db.hospital.example", "10.0.0.4", "localhost.evil.example"):
        context = transport(host)["ssl_context"]
        assert context.check_hostname
        assert context.verify_mode == ssl.CERT_REQUIRED


def test_two_processes_write_at_once(register, tmp_path: Path):
    code = textwrap.dedent("""
        import sys
        from vesalius.privacy.consent import grant, open_register
        register = open_register(sys.argv[1])
        for n in range(10):
            grant(register, [f"p{sys.argv[2]}-{n}"], "training")
    """)
    place = str(tmp_path / "consent.sqlite")
    started = [subprocess.Popen([sys.executable, "-c", code, place, str(n)]) for n in range(2)]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    assert count_states(register) == {"training": {"granted": 20}}
