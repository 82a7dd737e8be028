"""The consent register: which patient agreed to what, until when, and who withdrew; kept in SQLite or PostgreSQL.

Nobody's name or identifier is in it: a patient is an HMAC-SHA256 of the identifier that the data set uses, by a key
that is kept beside the database and not in it. What was said is only ever added to: a withdrawal does not remove the
consent that it ends.

Source: the conditions of consent and the right to withdraw it at any time: Regulation (EU) 2016/679, articles 7 and
4(11); that what turns pseudonyms into people is kept apart: article 4(5). HMAC: RFC 2104.
"""

from __future__ import annotations

import datetime
import hmac
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vesalius.errors import DataError, PrivacyError, VesaliusError
from vesalius.privacy.keys import read_secret, write_secret
from vesalius.privacy.tables import connect, describe

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

State = Literal["granted", "withdrawn", "expired", "not yet valid", "never given"]
ALL_PURPOSES = "*"
_PURPOSE = re.compile(r"[a-z][a-z0-9-]{0,63}")
_MANY = 500  # values in one question: SQLite takes at most 999 (Source: sqlite.org/limits.html, older releases)


@dataclass(frozen=True, eq=False)
class Register:
    """An opened register of consent.

    Args:
        id: Drawn when it was made; bundles name it in their lineage.
        key: By which patients are hashed; it is never shown.
        engine: SQLAlchemy's, of the database.
    """

    id: str
    key: bytes = field(repr=False)
    engine: Engine = field(repr=False)

    def hash_of(self, patient: str) -> str:
        """What stands for a patient, in the register and in bundles: 16 bytes in hexadecimal digits."""
        if not patient.strip():
            raise DataError("a patient's identifier must not be empty")
        return hmac.digest(self.key, patient.strip().encode("utf-8"), "sha256")[:16].hex()


@dataclass(frozen=True)
class Training:
    """A training in which patients of the register took part.

    Args:
        place: Where its bundle was to be written.
        purpose: For which their consent was asked.
        begun: When, UTC.
    """

    place: str
    purpose: str
    begun: str


def create_register(url: str, *, key: Path | None = None) -> Register:
    """Make a register.

    Args:
        url: Path of an SQLite file, or ``postgresql://USER@HOST/DATABASE?password_file=FILE``.
        key: File of the key by which patients are hashed; it is made where it is not there. For SQLite the database's
            name with ``.key`` if left out.

    Returns:
        The register, opened.

    Raises:
        PrivacyError: There is a register already, or the key file is needed and not named.
        VesaliusError: The database cannot be reached or written.
        MissingDependencyError: SQLAlchemy, or for PostgreSQL pg8000, is not installed.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     register = create_register(f"{folder}/consent.sqlite")
        ...     grant(register, ["p1"], "training")
        ...     concerned = withdraw(register, ["p1"])
        ...     state(register, "p1", "training"), state(register, "p2", "training")
        ('withdrawn', 'never given')
    """
    place = _key_file(url, key)
    engine = connect(url, new=True)
    with _asking(engine) as ask:
        schema = describe()
        schema.create_all(ask)
        if ask.execute(schema.settings.select()).first() is not None:
            raise PrivacyError("there is a register in this database already; open it, or name another")
        if not place.is_file():
            write_secret(place, secrets.token_hex(32))
        register = Register(secrets.token_hex(16), _read_key(place), engine)
        ask.execute(schema.settings.insert().values(id=register.id, check=_check(register)))
    return register


def open_register(url: str, *, key: Path | None = None) -> Register:
    """Open a register; arguments as for `create_register`.

    Raises:
        PrivacyError: There is no register, or the key is not this register's.
        VesaliusError: The database cannot be reached.
        MissingDependencyError: SQLAlchemy, or for PostgreSQL pg8000, is not installed.
    """
    place = _key_file(url, key)
    engine = connect(url)
    with _asking(engine) as ask:
        schema = describe()
        if not schema.exists(ask):
            raise PrivacyError("there is no register of consent in this database; `vesalius consent create` makes one")
        row = ask.execute(schema.settings.select()).one()
    register = Register(row.id, _read_key(place), engine)
    if not hmac.compare_digest(str(row.check).encode("utf-8", "replace"), _check(register).encode()):
        raise PrivacyError(f"{place.name} is not the key of this register: nobody would be found by it")
    return register


def grant(
    register: Register,
    patients: Iterable[str],
    purpose: str,
    *,
    valid_from: datetime.date | None = None,
    valid_until: datetime.date | None = None,
) -> None:
    """Note that patients agreed to a purpose.

    Args:
        register: Opened.
        patients: Identifiers as the data set uses them.
        purpose: A word in small letters, such as ``training``.
        valid_from: First day, UTC; today if left out.
        valid_until: Last day, UTC; none if left out.

    Raises:
        DataError: The purpose is not a word, or the days are in the wrong order.
    """
    check_purpose(purpose)
    begin = valid_from or _today()
    if valid_until is not None and valid_until < begin:
        raise DataError("a consent's last day must not lie before its first")
    _note(register, patients, "grant", purpose, begin.isoformat(), valid_until.isoformat() if valid_until else None)


def withdraw(register: Register, patients: Iterable[str], purpose: str | None = None) -> tuple[Training, ...]:
    """Note that patients take their consent back, from this moment on.

    Args:
        register: Opened.
        patients: Identifiers as the data set uses them; also of patients who never agreed.
        purpose: For which; for all if left out.

    Returns:
        The trainings in which one of them took part, for this purpose.
    """
    if purpose is not None:
        check_purpose(purpose)
    hashes = _note(register, patients, "withdraw", purpose or ALL_PURPOSES, None, None)
    found = trainings_of(register, hashes)
    return tuple(one for one in found if purpose is None or one.purpose == purpose)


def state(register: Register, patient: str, purpose: str, *, on: datetime.date | None = None) -> State:
    """Whether a patient agrees to a purpose on a day, UTC; today if left out."""
    hashed = register.hash_of(patient)
    return states(register, [hashed], purpose, on=on)[hashed]


def states(
    register: Register, hashes: Sequence[str], purpose: str, *, on: datetime.date | None = None
) -> dict[str, State]:
    """The state of many patients at once, by their hash (`Register.hash_of`); see `state`.

    A withdrawal ends every consent that was given before it, for its purpose or for all; what is granted after it
    counts.
    """
    check_purpose(purpose)
    day = (on or _today()).isoformat()
    said: dict[str, list[Any]] = {one: [] for one in hashes}
    with _asking(register.engine) as ask:
        events = describe().events
        for part in _parts(hashes):
            wanted = events.c.patient.in_(part) & events.c.purpose.in_([purpose, ALL_PURPOSES])
            for row in ask.execute(events.select().where(wanted).order_by(events.c.id)):
                said[row.patient].append(row)
    return {patient: _state(rows, day) for patient, rows in said.items()}


def note_training(register: Register, place: str, purpose: str, hashes: Iterable[str]) -> None:
    """Note before a training begins who takes part in it, so that even one that is killed is found.

    Args:
        register: Opened.
        place: Where its bundle is to be written.
        purpose: For which consent was asked.
        hashes: Of the patients; those of a training at the same place before are kept.
    """
    with _asking(register.engine) as ask:
        schema = describe()
        known = (schema.trainings.c.place == place) & (schema.trainings.c.purpose == purpose)
        row = ask.execute(schema.trainings.select().where(known)).first()
        number = None if row is None else row.id
        if number is None:
            made = ask.execute(schema.trainings.insert().values(place=place, purpose=purpose, begun=now()))
            assert made.inserted_primary_key is not None
            number = made.inserted_primary_key[0]
        part = schema.parts.c
        there = {row.patient for row in ask.execute(schema.parts.select().where(part.training == number))}
        new = [{"training": number, "patient": one} for one in sorted(set(hashes) - there)]
        if new:
            ask.execute(schema.parts.insert(), new)


def trainings_of(register: Register, hashes: Iterable[str]) -> tuple[Training, ...]:
    """The trainings in which one of some patients took part, by their hashes."""
    found = {}
    with _asking(register.engine) as ask:
        schema = describe()
        joined = schema.trainings.join(schema.parts, schema.parts.c.training == schema.trainings.c.id)
        for part in _parts(list(hashes)):
            wanted = schema.trainings.select().select_from(joined).where(schema.parts.c.patient.in_(part))
            for row in ask.execute(wanted):
                found[row.id] = Training(row.place, row.purpose, row.begun)
    return tuple(found[number] for number in sorted(found))


def patients_at(register: Register, place: str, purpose: str | None = None) -> frozenset[str]:
    """The hashes of all who took part in trainings at a place, for a purpose or for any."""
    with _asking(register.engine) as ask:
        schema = describe()
        joined = schema.parts.join(schema.trainings, schema.parts.c.training == schema.trainings.c.id)
        wanted = schema.parts.select().select_from(joined).where(schema.trainings.c.place == place)
        if purpose is not None:
            wanted = wanted.where(schema.trainings.c.purpose == purpose)
        return frozenset(row.patient for row in ask.execute(wanted))


def no_longer_agreeing(register: Register, hashes: Iterable[str], purpose: str) -> frozenset[str]:
    """Of some hashes, those whose patients do not agree to a purpose any more today."""
    found = states(register, sorted(set(hashes)), purpose)
    return frozenset(patient for patient, one in found.items() if one in ("withdrawn", "expired"))


def count_states(register: Register) -> dict[str, dict[State, int]]:
    """How many patients are in which state today, by purpose."""
    with _asking(register.engine) as ask:
        events = describe().events
        rows = list(ask.execute(events.select().order_by(events.c.id)))
    counts: dict[str, dict[State, int]] = {}
    patients = {row.patient for row in rows}
    for purpose in sorted({row.purpose for row in rows} - {ALL_PURPOSES}):
        told = [
            _state([r for r in of if r.purpose in (purpose, ALL_PURPOSES)], _today().isoformat())
            for of in _by_patient(rows, patients)
        ]
        counts[purpose] = {one: told.count(one) for one in dict.fromkeys(told) if one != "never given"}
    return counts


def check_purpose(purpose: str) -> None:
    """Raise unless a purpose is a word.

    Raises:
        DataError: It is not.

    Example:
        >>> check_purpose("quality-control")
    """
    if not _PURPOSE.fullmatch(purpose):
        raise DataError("a purpose is a word in small letters, digits and dashes, such as training")


# --- inside -----------------------------------------------------------------------------------------------------------


def _state(rows: Sequence[Any], day: str) -> State:
    last = max((at for at, row in enumerate(rows) if row.act == "withdraw"), default=-1)
    grants = [row for row in rows[last + 1 :] if row.act == "grant"]
    if any(row.valid_from <= day and (row.valid_until is None or day <= row.valid_until) for row in grants):
        return "granted"
    if any(row.valid_from > day for row in grants):
        return "not yet valid"
    if grants:
        return "expired"
    return "withdrawn" if last >= 0 else "never given"


def _note(
    register: Register, patients: Iterable[str], act: str, purpose: str, begin: str | None, end: str | None
) -> list[str]:
    hashes = list(dict.fromkeys(register.hash_of(patient) for patient in patients))
    if not hashes:
        raise DataError("no patient is named")
    said = {"purpose": purpose, "act": act, "at": now(), "valid_from": begin, "valid_until": end}
    with _asking(register.engine) as ask:
        ask.execute(describe().events.insert(), [{"patient": one, **said} for one in hashes])
    return hashes


def _by_patient(rows: Sequence[Any], patients: Iterable[str]) -> Iterator[list[Any]]:
    said: Mapping[str, list[Any]] = {patient: [] for patient in patients}
    for row in rows:
        said[row.patient].append(row)
    return iter(said.values())


@contextmanager
def _asking(engine: Engine) -> Iterator[Connection]:
    """A transaction, whose errors are told without the statement and its values."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise VesaliusError(f"the register of consent cannot be reached or written ({type(error).__name__})") from None


def _parts(hashes: Sequence[str]) -> Iterator[Sequence[str]]:
    return (hashes[at : at + _MANY] for at in range(0, len(hashes), _MANY))


def _key_file(url: str, key: Path | None) -> Path:
    if key is not None:
        return key
    if "://" in url:
        raise PrivacyError("name the key file of a register that is a server's: patients are hashed by it")
    return Path(f"{url}.key")


def _read_key(place: Path) -> bytes:
    try:
        key = bytes.fromhex(read_secret(place).strip())
    except ValueError:
        key = b""
    if len(key) != 32:
        raise PrivacyError(f"{place.name} is not the key of a register")
    return key


def _check(register: Register) -> str:
    return hmac.digest(register.key, f"vesalius register {register.id}".encode(), "sha256").hex()


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


def now() -> str:
    """This moment, UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
