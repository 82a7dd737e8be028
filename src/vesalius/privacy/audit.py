"""An audit chain: who did what, in lines that are only added, each with the hash of the one before.

```text
AUDIT/
  chain.jsonl    one entry a line, in canonical JSON
  head.json      how many entries there are and the hash of the last: what tells a shortened chain
  key            32 bytes in hexadecimal digits, by which names are hashed; only its owner may read it
```

Under a lock, a line is written and synced, then the head is replaced. A crash between both leaves a line that the head
does not know, a crash within the line a torn one; both are told apart from a shortened chain, whose head knows more
than it has.

What hashes cannot hold against is somebody who writes the chain anew from some entry on, head included. Against that
there are checkpoints: entries that hold an Ed25519 signature of all before, by a key that is kept elsewhere; and
receipts, which are such a signature kept elsewhere, and show even that the chain was cut off before its last
checkpoint.

Source: linked entries: S. Haber, W. S. Stornetta: How to Time-Stamp a Digital Document, Journal of Cryptology 3, 1991
(doi 10.1007/BF00196791). SHA-256: FIPS 180-4; Ed25519: RFC 8032; HMAC: RFC 2104.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vesalius.errors import FormatError, PrivacyError, VesaliusError
from vesalius.io.atomic import explained, make_folder, write_text
from vesalius.privacy.keys import read_secret, write_secret
from vesalius.privacy.locking import alone

CHAIN, HEAD, KEY = "chain.jsonl", "head.json", "key"
FIRST = "0" * 64
"""What the first entry holds in the place of a hash before it."""
_LOCK, _FORMAT = ".lock", "vesalius audit 1"
_LONGEST_LINE = 1 << 16
_FIELDS = {"n", "at", "who", "act", "about", "before", "hash"}


@dataclass(frozen=True)
class Entry:
    """A line of the chain.

    Args:
        n: Its number, from 1.
        at: When, UTC.
        who: Name of the account.
        act: What was done, in a word.
        about: Further facts; never a patient's.
        before: Hash of the entry before.
        hash: Of this entry.
    """

    n: int
    at: str
    who: str
    act: str
    about: Mapping[str, Any] = field(repr=False)
    before: str = field(repr=False)
    hash: str = field(repr=False)


@dataclass(frozen=True)
class Head:
    """Where the chain ends.

    Args:
        count: Entries.
        hash: Of the last one.
        size: Bytes of the file.
        last: Where the last line begins.
    """

    count: int
    hash: str
    size: int
    last: int


def create_chain(path: str | os.PathLike[str], *, who: str | None = None) -> Path:
    """Begin an audit chain.

    Args:
        path: A folder that is new or empty.
        who: Account; that of the process if left out.

    Returns:
        The folder.

    Raises:
        VesaliusError: The folder holds something, or the system refused.
    """
    place = make_folder(path)
    if any(place.iterdir()):
        raise VesaliusError(f"{place.name}: the folder is not empty; name a new one")
    write_secret(place / KEY, secrets.token_hex(32))
    entry = _entry(0, FIRST, who or account(), "created", {"format": _FORMAT, "chain": secrets.token_hex(16)})
    line = write_line(entry)
    with explained(place.name):
        (place / CHAIN).write_bytes(line)
    _write_head(place, Head(1, entry.hash, len(line), 0))
    return place


def append(path: str | os.PathLike[str], act: str, about: Mapping[str, Any] | None = None, *, who: str = "") -> Entry:
    """Add an entry. Several processes may do so at once; each entry is on the disk when this returns.

    What a crash left behind the head is made good first: whole entries that follow are kept, a torn line is cut off,
    and an entry says so.

    Args:
        path: The chain's folder.
        act: What is done, in a word.
        about: Plain JSON values without floating point numbers; no name, identifier or date of a patient (see
            `name_hash`).
        who: Account; that of the process if left out.

    Returns:
        The entry as it stands in the chain.

    Raises:
        PrivacyError: The chain was changed at its end, so that nothing can follow: `vesalius audit verify` says where.
        FormatError: There is no chain.
        VesaliusError: The system refused to write.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     chain = create_chain(Path(folder) / "audit")
        ...     append(chain, "read", {"files": 2}).n
        2
    """
    place = Path(path)
    if not (place / CHAIN).is_file():
        raise FormatError(f"{place.name}: there is no audit chain in this folder; `vesalius audit create` begins one")
    with alone(place / _LOCK), explained(place.name), (place / CHAIN).open("r+b") as file:
        head = read_head(place)
        if head is None:
            raise PrivacyError(f"{place.name}: the head of the audit chain is missing or damaged; nothing can follow")
        file.seek(head.last)
        tail = file.read()
        known, rest = tail[: head.size - head.last], tail[head.size - head.last :]
        last = read_line(known)
        if last is None or (last.n, last.hash) != (head.count, head.hash):
            raise PrivacyError(f"{place.name}: the audit chain was changed at its end; nothing can follow: verify it")
        *whole, torn = rest.split(b"\n")
        for line in whole:  # a process was killed between the line and the head
            following = read_line(line + b"\n")
            if following is None or (following.n, following.before) != (last.n + 1, last.hash):
                raise PrivacyError(f"{place.name}: what follows the last entry is none of this chain: verify it")
            head = Head(following.n, following.hash, head.size + len(line) + 1, head.size)
            last = following
        added = []
        if torn:
            facts = {"torn_bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
            added.append(_entry(last.n, last.hash, who or account(), "recovered", facts))
            last = added[0]
        added.append(_entry(last.n, last.hash, who or account(), act, dict(about or {})))
        file.seek(head.size)
        file.truncate()
        for entry in added:
            line = write_line(entry)
            file.write(line)
            head = Head(entry.n, entry.hash, head.size + len(line), head.size)
        file.flush()
        os.fsync(file.fileno())
        _write_head(place, head)
    return added[-1]


def entries(path: str | os.PathLike[str]) -> Iterator[Entry]:
    """The entries of a chain from the first on, up to a line that is none. Whether they can be trusted: `verify`.

    Raises:
        FormatError: There is no chain.
    """
    place = Path(path)
    try:
        with (place / CHAIN).open("rb") as file:
            while line := file.readline(_LONGEST_LINE + 1):
                entry = read_line(line)
                if entry is None:
                    return
                yield entry
    except FileNotFoundError:
        raise FormatError(f"{place.name}: there is no audit chain in this folder") from None


def name_hash(path: str | os.PathLike[str], name: str) -> str:
    """What stands in the chain for a name that may tell who somebody is: without the chain's key nobody can guess it.

    Args:
        path: The chain's folder.
        name: Of a file or a patient.

    Returns:
        16 bytes in hexadecimal digits: the same for the same name.

    Raises:
        PrivacyError: The key cannot be read.
    """
    key = bytes.fromhex(read_secret(Path(path) / KEY).strip())
    return hmac.digest(key, name.encode("utf-8", "surrogateescape"), "sha256")[:16].hex()


def study_hash(path: str | os.PathLike[str], study: str) -> str:
    """What stands in the chain for a study; see `name_hash`.

    Args:
        path: The chain's folder.
        study: Study Instance UID.
    """
    return name_hash(path, f"study {study}")


def account() -> str:
    """Name of the account that runs this process, as the system knows it: variables that anyone can set do not count.

    Example:
        >>> account() == account() != ""
        True
    """
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container without an entry for its user
        return f"uid {os.getuid()}"


# --- lines ------------------------------------------------------------------------------------------------------------


def write_line(entry: Entry) -> bytes:
    """An entry as a line of the chain."""
    return _canonical({**_said(entry), "hash": entry.hash}) + b"\n"


def read_line(line: bytes) -> Entry | None:
    """An entry whose line is exactly as it was written; None for anything else, a changed letter included."""
    try:
        raw = json.loads(line, parse_float=_refuse_fraction)
        if len(line) > _LONGEST_LINE or set(raw) != _FIELDS:
            return None
        right = isinstance(raw["n"], int) and isinstance(raw["about"], dict)
        entry = Entry(**raw)
        right = right and write_line(entry) == line
        return entry if right and entry.hash == _hash(_said(entry)) else None
    except (ValueError, TypeError, RecursionError):
        return None


def read_head(place: Path) -> Head | None:
    """Where the chain ends, as was noted beside it; None where that is missing or damaged."""
    try:
        raw = json.loads((place / HEAD).read_bytes())
        head = Head(raw["count"], raw["hash"], raw["size"], raw["last"])
        right = all(isinstance(raw[name], int) and raw[name] >= 0 for name in ("count", "size", "last"))
        return head if right and isinstance(raw["hash"], str) and head.last < head.size else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _write_head(place: Path, head: Head) -> None:
    write_text(place / HEAD, json.dumps(head.__dict__) + "\n")


def _entry(n: int, before: str, who: str, act: str, about: Mapping[str, Any]) -> Entry:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    entry = Entry(n + 1, now, who, act, about, before, "")
    with contextlib.suppress(TypeError, ValueError):
        made = Entry(entry.n, now, who, act, about, before, _hash(_said(entry)))
        if read_line(write_line(made)) is not None:
            return made
    raise VesaliusError("an entry of the audit chain holds plain JSON values, no fractions, of at most 64 KiB")


def _refuse_fraction(text: str) -> float:
    raise ValueError(f"programs write fractions of {len(text)} digits in different ways")


def _said(entry: Entry) -> dict[str, Any]:
    return {name: value for name, value in entry.__dict__.items() if name != "hash"}


def _hash(said: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(said)).hexdigest()


def _canonical(said: Mapping[str, Any]) -> bytes:
    """One way of writing for one content. Source: the idea of RFC 8785, for texts, whole numbers, lists and objects."""
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")
