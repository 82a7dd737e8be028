"""One SQLite file: what the store holds, what has to be done, and how far it is."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vesalius.errors import FormatError

VERSION = 1

_TABLES = """
CREATE TABLE studies (
    uid TEXT PRIMARY KEY,
    header TEXT NOT NULL                -- DICOM JSON of what is asked for
);
CREATE TABLE series (
    study TEXT NOT NULL,
    uid TEXT NOT NULL,
    header TEXT NOT NULL,
    touched REAL NOT NULL,              -- when its last object came, seconds since 1970
    enrolled TEXT NOT NULL DEFAULT '',  -- digest of the objects for which the rules were asked
    PRIMARY KEY (study, uid)
);
CREATE TABLE instances (
    uid TEXT PRIMARY KEY,
    study TEXT NOT NULL,
    series TEXT NOT NULL,
    storage TEXT NOT NULL,              -- SOP class
    syntax TEXT NOT NULL,
    sha256 TEXT NOT NULL,               -- of the data set, without preamble and meta group
    header TEXT NOT NULL
);
CREATE INDEX instances_of_series ON instances (study, series);
CREATE TABLE work (
    id INTEGER PRIMARY KEY,
    rule TEXT NOT NULL,
    study TEXT NOT NULL,
    series TEXT NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL,                -- due, begun, made, failed
    tries INTEGER NOT NULL DEFAULT 0,
    next_try REAL NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    UNIQUE (rule, study, series, digest)
);
CREATE TABLE results (
    uid TEXT PRIMARY KEY,
    work INTEGER NOT NULL REFERENCES work (id),
    place INTEGER NOT NULL,             -- in the order of sending
    kind TEXT NOT NULL,
    storage TEXT NOT NULL,
    study TEXT NOT NULL,
    series TEXT NOT NULL
);
CREATE TABLE deliveries (
    result TEXT NOT NULL REFERENCES results (uid),
    peer TEXT NOT NULL,
    state TEXT NOT NULL,                -- due, begun, sent, asked, committed, refused
    tries INTEGER NOT NULL DEFAULT 0,
    next_try REAL NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    asked TEXT NOT NULL DEFAULT '',     -- transaction UID of the request for storage commitment
    PRIMARY KEY (result, peer)
);
"""


class Database:
    """A connection that several threads share, one at a time.

    What is committed stays when the process is killed, and when the power fails: the journal is written ahead and
    synchronised with each transaction.

    Args:
        path: The file; made when it is missing.

    Raises:
        FormatError: The file is no such database, or one of a later release.

    Source: SQLite, "Write-Ahead Logging" and ``PRAGMA synchronous``: FULL is durable in WAL mode.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            # None: transactions are begun below, by name, not by sqlite3's guess.
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute("PRAGMA foreign_keys=ON")
            with self.transaction() as sql:
                version = sql.execute("PRAGMA user_version").fetchone()[0]
                if version == 0:
                    for statement in _TABLES.split(";"):
                        sql.execute(statement)
                    sql.execute(f"PRAGMA user_version={VERSION}")
        except sqlite3.DatabaseError:
            raise FormatError(f"{path.name}: not a database of this node; name another store") from None
        if version > VERSION:
            raise FormatError(f"{path.name}: made by a later release of Vesalius; use that one")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection; all that is done in the block is kept, or nothing."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, statement: str, *values: object) -> list[sqlite3.Row]:
        """What a query finds."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def close(self) -> None:
        """Give the file back."""
        with self._lock:
            self._connection.close()
