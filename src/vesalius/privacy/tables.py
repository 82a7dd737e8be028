"""The tables of the consent register, and the way to the database that holds them."""

from __future__ import annotations

import functools
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from vesalius.errors import MissingDependencyError, PrivacyError
from vesalius.privacy.keys import read_secret

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine, MetaData, Table

_WAIT_S = 30  # for another process that writes
_PASSWORD_FILE = "password_file"


@dataclass(frozen=True, eq=False)
class Schema:
    """The tables.

    Args:
        everything: All of them.
        settings: One row: the register's id, and a check of its key.
        events: What was said, in order: a patient (hashed), a purpose, grant or withdraw, when, from which day to
        which. trainings: What was trained: place, purpose, when. parts: Who took part in a training.
    """

    everything: MetaData
    settings: Table
    events: Table
    trainings: Table
    parts: Table

    def create_all(self, connection: Connection) -> None:
        """Make the tables that are not there."""
        self.everything.create_all(connection)

    def exists(self, connection: Connection) -> bool:
        """Whether they are there."""
        from sqlalchemy import inspect

        return bool(inspect(connection).has_table(self.settings.name))


@functools.cache
def describe() -> Schema:
    """The tables as SQLAlchemy knows them.

    Raises:
        MissingDependencyError: SQLAlchemy is not installed.
    """
    sql = _sqlalchemy()
    everything = sql.MetaData()
    settings = sql.Table(
        "consent_settings",
        everything,
        sql.Column("id", sql.String(32), primary_key=True),
        sql.Column("check", sql.Text),
    )
    events = sql.Table(
        "consent_events",
        everything,
        sql.Column("id", sql.Integer, primary_key=True, autoincrement=True),
        sql.Column("patient", sql.String(32), nullable=False, index=True),
        sql.Column("purpose", sql.String(64), nullable=False),
        sql.Column("act", sql.String(8), nullable=False),
        sql.Column("at", sql.String(32), nullable=False),
        sql.Column("valid_from", sql.String(10)),
        sql.Column("valid_until", sql.String(10)),
    )
    trainings = sql.Table(
        "consent_trainings",
        everything,
        sql.Column("id", sql.Integer, primary_key=True, autoincrement=True),
        sql.Column("place", sql.Text, nullable=False),
        sql.Column("purpose", sql.String(64), nullable=False),
        sql.Column("begun", sql.String(32), nullable=False),
    )
    parts = sql.Table(
        "consent_parts",
        everything,
        sql.Column("training", sql.ForeignKey(trainings.c.id), primary_key=True),
        sql.Column("patient", sql.String(32), primary_key=True, index=True),
    )
    return Schema(everything, settings, events, trainings, parts)


def connect(url: str, *, new: bool = False) -> Engine:
    """An engine for a path (SQLite) or a URL (PostgreSQL).

    Args:
        url: ``consent.sqlite``, or ``postgresql://USER@HOST:PORT/DATABASE?password_file=FILE``. A password in the URL
        is
            refused: commands are seen by everybody on the machine and kept in histories.
        new: Whether an SQLite file may be made.

    Raises:
        PrivacyError: The URL is none of these, or holds a password, or there is no such file.
        MissingDependencyError: SQLAlchemy, or for PostgreSQL pg8000, is not installed.
    """
    sql = _sqlalchemy()
    if "://" not in url:
        place = Path(url).absolute()
        if not new and not place.is_file():
            raise PrivacyError(f"{place.name}: there is no register of consent; `vesalius consent create` makes one")
        if not place.parent.is_dir():
            raise PrivacyError(f"{place.name}: its folder does not exist; create it first")
        at = sql.URL.create("sqlite", database=str(place))
        return _engine(at, {"timeout": _WAIT_S})
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not parts.path.strip("/"):
        raise PrivacyError(
            "a register is the path of an SQLite file, or postgresql://USER@HOST/DATABASE?password_file=FILE"
        )
    if parts.password is not None:
        raise PrivacyError(f"the register's URL holds a password: put it in a file and add ?{_PASSWORD_FILE}=FILE")
    settings = dict(parse_qsl(parts.query))
    secret = settings.pop(_PASSWORD_FILE, None)
    if settings:
        raise PrivacyError(f"the register's URL has settings that are not known; {_PASSWORD_FILE} is")
    try:
        import pg8000  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError("PostgreSQL needs pg8000: pip install 'vesalius[privacy]'") from error
    at = sql.URL.create(
        "postgresql+pg8000",
        username=parts.username,
        password=None if secret is None else read_secret(secret).strip("\r\n"),
        host=parts.hostname,
        port=parts.port,
        database=parts.path.strip("/"),
    )
    return _engine(at, {"timeout": _WAIT_S, **transport(parts.hostname)})


def transport(host: str) -> dict[str, ssl.SSLContext]:
    """How a server is spoken to: over TLS, its certificate checked, unless it is this machine.

    Example:
        >>> transport("localhost"), list(transport("db.hospital.example"))
        ({}, ['ssl_context'])
    """
    try:
        here = ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost"
    return {} if here else {"ssl_context": ssl.create_default_context()}


def _engine(at: Any, how: dict[str, Any]) -> Engine:
    """No connection outlives its question, and no error quotes what was asked."""
    sql = _sqlalchemy()
    engine: Engine = sql.create_engine(at, connect_args=how, hide_parameters=True, poolclass=sql.NullPool)
    return engine


def _sqlalchemy() -> Any:
    try:
        import sqlalchemy
    except ImportError as error:
        raise MissingDependencyError(
            "the consent register needs SQLAlchemy: pip install 'vesalius[privacy]'"
        ) from error
    return sqlalchemy
