"""What has to be done, and how far it is: every step is one transaction, so that a crash falls between two of them.

```text
series ──enrol──▶ work: due ──▶ begun ──▶ made      (or failed: new images start new work)
                                            │
        deliveries, one for each result and peer: due ──▶ begun ──▶ sent ──▶ asked ──▶ committed
                                                            │                  └─▶ due (the peer has it not)
                                                            └─▶ refused
```

``begun`` after a restart means that nobody knows whether it was done: results are made again unless they are there
whole, and of an object in doubt the peer is asked before it is sent again.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesalius.errors import FormatError
from vesalius.server.database import Database
from vesalius.server.identity import folded, made_uid
from vesalius.server.rules import Rule, Rules, values_of

LONGEST_WAIT_S = 600.0
"""Between two tries."""


@dataclass(frozen=True)
class Work:
    """A rule to be carried out on a series.

    Args:
        id: In the database.
        rule: Name of the rule.
        study, series: UIDs.
        digest: Of the objects that the series had.
        tries: How often it has been begun, this time included.
    """

    id: int
    rule: str
    study: str
    series: str
    digest: str
    tries: int

    @property
    def name(self) -> str:
        """Of the folder of its results."""
        return folded("/".join((self.rule, self.study, self.series, self.digest)))

    def uid(self, what: str) -> str:
        """A UID for something that this work makes: the same whenever it is made."""
        return made_uid("vesalius", what, self.rule, self.study, self.series, self.digest)


@dataclass(frozen=True)
class Result:
    """An object that was made.

    Args:
        uid: SOP Instance UID.
        kind: One of `vesalius.server.rules.RESULTS`.
        storage: SOP Class UID.
        study, series: UIDs of where it belongs.
    """

    uid: str
    kind: str
    storage: str
    study: str
    series: str


@dataclass(frozen=True)
class Delivery:
    """A result on its way to a peer.

    Args:
        result: What.
        work: Name of the folder that it lies in.
        place: In the order of its work.
        peer: Name of the peer.
        in_doubt: Whether sending it was begun before, and nobody knows how it ended.
        tries: How often it was begun.
    """

    result: Result
    work: str
    place: int
    peer: str
    in_doubt: bool
    tries: int


def digest_of(database: Database, study: str, series: str) -> tuple[str, int]:
    """A digest of the objects of a series, whatever the order in which they came; and their number."""
    rows = database.rows("SELECT uid, sha256 FROM instances WHERE study = ? AND series = ? ORDER BY uid", study, series)
    made = hashlib.sha256("".join(f"{row['uid']} {row['sha256']}\n" for row in rows).encode())
    return made.hexdigest()[:32], len(rows)


def enrol(
    database: Database,
    rules: Rules,
    *,
    now: float,
    since: float = 0.0,
    unfinished: Collection[tuple[str, str]] = frozenset(),
) -> int:
    """Find series that are complete and that a rule wants.

    Args:
        database: Of the store.
        rules: What is wanted.
        now: Seconds since 1970.
        since: When the node began to listen: whoever was cut off when it ended gets time to come back.
        unfinished: Series to which more may come at any moment.

    Returns:
        How many pieces of work were added. The same objects are not enrolled twice under one rule, and the rules are
        asked once: a rule that is written later does not reach back.
    """
    added = 0
    shortest = min((rule.settle_s for rule in rules.rules), default=0.0)
    rows = database.rows(
        "SELECT series.*, studies.header AS study_header FROM series JOIN studies ON studies.uid = series.study "
        "WHERE series.enrolled = '' AND series.touched <= ?",
        now - shortest,
    )
    for row in rows:
        if (row["study"], row["uid"]) in unfinished:
            continue
        wanted = [rule for rule in rules.rules if rule.fits(values_of((row["study_header"], row["header"])))]
        if any(max(row["touched"], since) > now - rule.settle_s for rule in wanted):
            continue
        digest, images = digest_of(database, row["study"], row["uid"])
        with database.transaction() as sql:
            # What came meanwhile makes the series open again, and another digest.
            changed = sql.execute(
                "UPDATE series SET enrolled = ? WHERE study = ? AND uid = ? AND touched = ?",
                (digest, row["study"], row["uid"], row["touched"]),
            ).rowcount
            ours = sql.execute("SELECT 1 FROM results WHERE series = ?", (row["uid"],)).fetchone()
            if changed and not ours:  # a result that comes back is none of the images
                added += sum(_added(sql, rule, row, digest) for rule in wanted if images >= rule.images)
    return added


def _added(sql: sqlite3.Connection, rule: Rule, row: sqlite3.Row, digest: str) -> int:
    return sql.execute(
        "INSERT OR IGNORE INTO work (rule, study, series, digest, state) VALUES (?, ?, ?, ?, 'due')",
        (rule.name, row["study"], row["uid"], digest),
    ).rowcount


def take_work(database: Database, *, now: float, retry_s: float) -> Work | None:
    """The next piece of work, marked as begun; None when there is none that may be tried now.

    That it is tried is written down first: what ends the process each time (out of memory) is tried less and less
    often, and does not keep the rest from being done.
    """
    with database.transaction() as sql:
        row = sql.execute(
            "SELECT * FROM work WHERE state IN ('due', 'begun') AND next_try <= ? ORDER BY next_try, id LIMIT 1", (now,)
        ).fetchone()
        if row is None:
            return None
        tries = row["tries"] + 1
        sql.execute(
            "UPDATE work SET state = 'begun', tries = ?, next_try = ? WHERE id = ?",
            (tries, now + wait_s(tries, retry_s), row["id"]),
        )
    return Work(row["id"], row["rule"], row["study"], row["series"], row["digest"], tries)


def finish_work(database: Database, work: Work, results: Sequence[Result], peers: Iterable[str]) -> None:
    """Note what was made, and that it is to be sent."""
    with database.transaction() as sql:
        for place, result in enumerate(results):
            sql.execute(
                "INSERT OR IGNORE INTO results VALUES (?, ?, ?, ?, ?, ?, ?)",
                (result.uid, work.id, place, result.kind, result.storage, result.study, result.series),
            )
            for peer in peers:
                sql.execute(
                    "INSERT OR IGNORE INTO deliveries (result, peer, state) VALUES (?, ?, 'due')", (result.uid, peer)
                )
        sql.execute("UPDATE work SET state = 'made', error = '' WHERE id = ?", (work.id,))


def end_work(database: Database, work: Work, error: str) -> None:
    """Note that a piece of work cannot be done."""
    with database.transaction() as sql:
        sql.execute("UPDATE work SET state = 'failed', error = ? WHERE id = ?", (error, work.id))


def deliveries(database: Database, *, now: float) -> list[Delivery]:
    """What is to be sent now, by peer and in order."""
    rows = database.rows(
        "SELECT deliveries.state, deliveries.peer, deliveries.tries, results.*, work.rule, work.study AS work_study, "
        "work.series AS work_series, work.digest FROM deliveries JOIN results ON results.uid = deliveries.result "
        "JOIN work ON work.id = results.work "
        "WHERE deliveries.state IN ('due', 'begun') AND deliveries.next_try <= ? "
        "ORDER BY deliveries.peer, results.work, results.place",
        now,
    )
    return [
        Delivery(
            Result(row["uid"], row["kind"], row["storage"], row["study"], row["series"]),
            Work(row["work"], row["rule"], row["work_study"], row["work_series"], row["digest"], 0).name,
            row["place"],
            row["peer"],
            row["state"] == "begun",
            row["tries"],
        )
        for row in rows
    ]


def mark(database: Database, ones: Iterable[tuple[str, str]], state: str, **more: Any) -> None:
    """Set the state of deliveries.

    Args:
        database: Of the store.
        ones: UID of the result and name of the peer.
        state: The new one.
        **more: Further columns: ``tries``, ``next_try``, ``error``, ``asked``.
    """
    columns = ", ".join(f"{name} = ?" for name in ("state", *more))
    with database.transaction() as sql:
        for result, peer in ones:
            sql.execute(
                f"UPDATE deliveries SET {columns} WHERE result = ? AND peer = ?", (state, *more.values(), result, peer)
            )


def hurry(database: Database) -> None:
    """Try all deliveries again at once: the network may be another one after a restart."""
    with database.transaction() as sql:
        sql.execute("UPDATE deliveries SET next_try = 0 WHERE state IN ('due', 'begun', 'sent')")


def put_off(database: Database, ones: Iterable[tuple[str, str]], tries: int, until: float) -> None:
    """Try deliveries again later, in the state that they are in."""
    with database.transaction() as sql:
        for result, peer in ones:
            sql.execute(
                "UPDATE deliveries SET tries = ?, next_try = ? WHERE result = ? AND peer = ?",
                (tries, until, result, peer),
            )


def to_commit(database: Database, peer: str, rules: Collection[str], *, now: float) -> list[tuple[str, str]]:
    """SOP class and instance UID of what a peer has to answer for: sent under these rules and not asked for lately."""
    if not rules:
        return []
    marks = ", ".join("?" * len(rules))
    rows = database.rows(
        "SELECT results.storage, results.uid FROM deliveries JOIN results ON results.uid = deliveries.result "
        "JOIN work ON work.id = results.work WHERE deliveries.peer = ? AND deliveries.state IN ('sent', 'asked') "
        f"AND deliveries.next_try <= ? AND work.rule IN ({marks}) ORDER BY results.uid",
        peer,
        now,
        *rules,
    )
    return [(row["storage"], row["uid"]) for row in rows]


def committed(database: Database, transaction: str, kept: Iterable[str], missing: Iterable[str]) -> None:
    """Note a report on storage commitment; what the peer has not is to be sent again.

    Only what was asked for under this transaction is changed.
    """
    with database.transaction() as sql:
        for uid in kept:
            sql.execute(
                "UPDATE deliveries SET state = 'committed' WHERE result = ? AND asked = ? AND state = 'asked'",
                (uid, transaction),
            )
        for uid in missing:
            sql.execute(
                "UPDATE deliveries SET state = 'due', next_try = 0 WHERE result = ? AND asked = ? AND state = 'asked'",
                (uid, transaction),
            )


def wait_s(tries: int, retry_s: float) -> float:
    """Seconds until the next try: doubled each time, ten minutes at most.

    Example:
        >>> [wait_s(n, 10) for n in (1, 2, 3, 20)]
        [10.0, 20.0, 40.0, 600.0]
    """
    return min(retry_s * float(1 << min(tries - 1, 20)), LONGEST_WAIT_S)


def summary(database: Database) -> dict[str, dict[str, int]]:
    """How many objects, pieces of work and deliveries there are, by state."""
    return {
        "objects": {"kept": database.rows("SELECT COUNT(*) AS n FROM instances")[0]["n"]},
        "work": _counts(database, "work"),
        "deliveries": _counts(database, "deliveries"),
    }


def _counts(database: Database, table: str) -> dict[str, int]:
    rows = database.rows(f"SELECT state, COUNT(*) AS n FROM {table} GROUP BY state ORDER BY state")
    return {row["state"]: row["n"] for row in rows}


def look(folder: Path) -> dict[str, dict[str, int]]:
    """`summary` of a store that another process may have open.

    Args:
        folder: Of the store.

    Raises:
        FormatError: There is no store.
    """
    path = folder / "node.sqlite"
    if not path.is_file():
        raise FormatError(f"{folder.name}: there is no store of a node here")
    with contextlib.closing(Database(path)) as database:
        return summary(database)
