"""The folder of a vault: how it is opened, and how one generation takes the place of another.

```text
VAULT/
  vault.json     who can open it: the vault's key, locked away for each person; a generation; the file of the index
  index-…        sealed: the list of members with name, size and file
  objects/…      the members, each sealed under a key of its own
```

What is new goes to new names first; then ``vault.json`` is replaced in one rename; then what it no longer names goes.
Whenever that ends, the vault is the one from before or the new one.

What it holds against: whoever has the files and no key reads nothing, and changes, swaps, cuts off, renames or takes
away nothing unnoticed. What it cannot hold against: somebody who puts *all* files back as they were at an earlier
moment. The generation tells where it was noted elsewhere: `vesalius.privacy.vault.noted`.

Source: the key of a purpose by HKDF (RFC 5869). ``vault.json`` is under HMAC-SHA256 (RFC 2104), which commits to
the key, as AES-GCM alone does not (J. Len, P. Grubbs, T. Ristenpart: Partitioning Oracle Attacks, USENIX Security
2021).
"""

from __future__ import annotations

import contextlib
import hmac
import io
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vesalius.errors import FormatError, PrivacyError, VesaliusError
from vesalius.io.atomic import atomic_path, make_folder, write_text
from vesalius.privacy.inside import HEAD
from vesalius.privacy.keys import Key, Lock, lock_away, open_lock
from vesalius.privacy.locking import alone
from vesalius.privacy.sealed import KEY_BYTES, derive, new_stream, seal, seal_chunks, unseal

_OBJECTS, _INDEX, _LOCK = "objects", "index-", ".lock"
_FORMAT, _VERSION = "vesalius vault", 1
_MOST_LOCKS, _LARGEST_HEAD = 64, 1 << 20
_LONGEST_NAME = 1024
_UNSAFE = re.compile(r"[\\\x00-\x1f]")
_STREAM = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Sealed:
    """A member of a vault.

    Args:
        stream: Id of its sealed stream, which names its file.
        size: Bytes of plain text.
    """

    stream: str
    size: int


@dataclass(frozen=True, eq=False)
class Vault:
    """An opened vault as it is in one generation. What changes the folder gives a new one.

    Args:
        path: The folder.
        id: Drawn when the vault was made.
        generation: Counts the changes, from 1.
        members: By name: relative, with ``/`` between folders.
        locks: As ``vault.json`` holds them.
        key: Of the vault; it is never shown.
    """

    path: Path
    id: str
    generation: int
    members: Mapping[str, Sealed] = field(repr=False)  # names may tell who somebody is
    locks: tuple[Mapping[str, Any], ...] = field(repr=False)
    key: bytes = field(repr=False)


def create_vault(path: str | os.PathLike[str], locks: Sequence[Lock]) -> Vault:
    """Make an empty vault.

    Args:
        path: A folder that is new or empty.
        locks: Who can open it: a passphrase or an age recipient for each.

    Returns:
        The vault, opened.

    Raises:
        PrivacyError: There is no lock, there are too many, or one is too weak.
        VesaliusError: The folder holds something, or the system refused.
    """
    vault_id, key = secrets.token_hex(16), secrets.token_bytes(KEY_BYTES)
    locked = lock_all(key, locks, vault_id)
    place = make_folder(path)
    if any(place.iterdir()):
        raise VesaliusError(f"{place.name}: the folder is not empty; name a new one")
    make_folder(place / _OBJECTS)
    return commit(Vault(place, vault_id, 0, {}, locked, key))


def open_vault(path: str | os.PathLike[str], key: Key) -> Vault:
    """Open a vault.

    Args:
        path: The folder.
        key: A passphrase or an age identity for which it was locked.

    Returns:
        The vault, its list of members read and found to be genuine.

    Raises:
        FormatError: It is no vault, or of a version that this release cannot read, or its head or its list was changed.
        PrivacyError: The key opens none of its locks.

    Example:
        >>> import tempfile
        >>> from vesalius.privacy.keys import new_identity
        >>> identity, recipient = new_identity()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = create_vault(folder, [recipient])
        ...     open_vault(folder, identity).generation
        1
    """
    place = Path(path)
    head = _read_head(place)
    context = _context(head["id"])
    opened = (open_lock(lock, key, context=context) for lock in head["locks"])
    found = next((one for one in opened if one is not None), None)
    if found is None:
        raise PrivacyError(
            f"{place.name}: this key opens none of its {len(head['locks'])} locks, or these are damaged: "
            f"take another key, or a copy of {HEAD}"
        )
    if not hmac.compare_digest(_mac(head, found).encode(), str(head["mac"]).encode("utf-8", "replace")):
        raise FormatError(f"{place.name}: {HEAD} was changed: take a copy of it")
    try:
        listed = _read_list(place, head, found)
    except FileNotFoundError:
        if _read_head(place) != head:  # somebody changed the vault this very moment
            return open_vault(path, key)
        raise FormatError(f"{place.name}: the list of its members is missing: take it from a copy") from None
    return Vault(place, head["id"], head["generation"], MappingProxyType(listed), tuple(head["locks"]), found)


# --- what changes of a vault are made of ------------------------------------------------------------------------------


@contextmanager
def changing(vault: Vault) -> Iterator[None]:
    """Hold the vault alone for the block, and remove what an interrupted change left.

    Raises:
        PrivacyError: Somebody else changed it since it was opened.
    """
    with alone(vault.path / _LOCK):
        if _read_head(vault.path)["generation"] != vault.generation:
            raise PrivacyError(f"{vault.path.name}: somebody changed it since it was opened; open it again")
        _sweep(vault)
        yield


def put(vault: Vault, chunks: Iterator[bytes]) -> Sealed:
    """Seal the chunks of a file into the folder. It is a member only once it is committed."""
    stream = new_stream()
    with atomic_path(vault.path / _OBJECTS / stream) as temporary, temporary.open("wb") as file:
        size = seal_chunks(chunks, file, key=vault.key, purpose=_purpose(vault.id, "member"), stream=stream)
    return Sealed(stream, size)


def opened(vault: Vault, name: str) -> Iterator[bytes]:
    """The plain text of a member in chunks; what came before an error must be thrown away.

    Raises:
        FormatError: It is missing, was changed, cut off or put in another's place.
        PrivacyError: Somebody changed the vault, and took it away, since it was opened.
    """
    about = vault.members[name]
    words = f"{vault.path.name}: the member {list(vault.members).index(name) + 1} of {len(vault.members)}"
    try:
        with (vault.path / _OBJECTS / about.stream).open("rb") as file:
            yield from unseal(file, key=vault.key, purpose=_purpose(vault.id, "member"), stream=about.stream)
    except FileNotFoundError:
        if _read_head(vault.path)["generation"] != vault.generation:
            raise PrivacyError(f"{vault.path.name}: somebody changed it since it was opened; open it again") from None
        raise FormatError(f"{words}: its file is missing; take it from a copy of the vault") from None
    except FormatError as error:
        raise FormatError(f"{words}: {error}; take its file from a copy of the vault") from None


def commit(vault: Vault, **changes: Any) -> Vault:
    """Write the next generation, and remove what it no longer names.

    Args:
        vault: As it was.
        **changes: Of its ``members``, ``locks`` and ``key``.
    """
    made = replace(vault, generation=vault.generation + 1, **changes)
    members = {name: {"stream": one.stream, "size": one.size} for name, one in sorted(made.members.items())}
    raw = io.BytesIO(json.dumps(members, ensure_ascii=False).encode())
    index = new_stream()
    with atomic_path(made.path / f"{_INDEX}{index}") as temporary, temporary.open("wb") as file:
        seal(raw, file, key=made.key, purpose=_purpose(made.id, "index"), stream=index)
    head: dict[str, Any] = {
        "format": _FORMAT,
        "version": _VERSION,
        "id": made.id,
        "generation": made.generation,
        "index": index,
        "locks": list(made.locks),
    }
    write_text(made.path / HEAD, json.dumps({**head, "mac": _mac(head, made.key)}, indent=1) + "\n")
    _sweep(made, index)
    return replace(made, members=MappingProxyType(dict(sorted(made.members.items()))))


def lock_all(key: bytes, locks: Sequence[Lock], vault_id: str) -> tuple[Mapping[str, Any], ...]:
    """Lock a vault's key away for each person.

    Raises:
        PrivacyError: There is no lock, there are too many, or one is too weak.
    """
    if not 1 <= len(locks) <= _MOST_LOCKS:
        raise PrivacyError(f"a vault has 1 to {_MOST_LOCKS} locks, not {len(locks)}")
    return tuple(lock_away(key, lock, context=_context(vault_id)) for lock in locks)


def check_names(names: Sequence[str]) -> None:
    """Names of members lead nowhere but below the folder that they are written to.

    Raises:
        PrivacyError: One is absolute, climbs, is too long or no name, or is a file and a folder at once.
    """
    folders = set()
    for name in names:
        parts = name.split("/")
        if len(name.encode()) > _LONGEST_NAME or any(p in ("", ".", "..") or _UNSAFE.search(p) for p in parts):
            raise PrivacyError("a member's name is a relative path without . and .., of at most 1,024 bytes")
        folders |= {"/".join(parts[:n]) for n in range(1, len(parts))}
    if folders & set(names):
        raise PrivacyError("a member would be a file and a folder at once: choose other names")


# --- inside -----------------------------------------------------------------------------------------------------------


def _read_head(place: Path) -> dict[str, Any]:
    try:
        with (place / HEAD).open("rb") as file:
            text = file.read(_LARGEST_HEAD + 1)
    except OSError as error:
        raise FormatError(f"{place.name}: it is not a vault: cannot read {HEAD}: {error.strerror}") from None
    try:
        head = json.loads(text)
        right = len(text) <= _LARGEST_HEAD and head["format"] == _FORMAT and isinstance(head["generation"], int)
        right = right and all(_STREAM.fullmatch(head[name]) for name in ("id", "index"))
        right = right and 1 <= len(head["locks"]) <= _MOST_LOCKS and isinstance(head["mac"], str)
        version = head["version"]
    except (ValueError, TypeError, KeyError, RecursionError):
        right = False
    if not right:
        raise FormatError(f"{place.name}: {HEAD} is damaged, or not that of a vault")
    if version != _VERSION:
        raise FormatError(f"{place.name}: a vault of another version; this release reads {_VERSION}")
    assert isinstance(head, dict)
    return head


def _read_list(place: Path, head: Mapping[str, Any], key: bytes) -> dict[str, Sealed]:
    try:
        with (place / f"{_INDEX}{head['index']}").open("rb") as file:
            text = b"".join(unseal(file, key=key, purpose=_purpose(head["id"], "index"), stream=head["index"]))
    except FormatError as error:
        raise FormatError(f"{place.name}: the list of its members: {error}: take it from a copy") from None
    members = {name: Sealed(**about) for name, about in json.loads(text).items()}
    check_names(list(members))
    return members


def _sweep(vault: Vault, index: str | None = None) -> None:
    """Remove what this generation does not name: the old one's, or what an interruption left. What resists is idle."""
    index = index or _read_head(vault.path)["index"]
    named = {one.stream for one in vault.members.values()}
    left = [path for path in (vault.path / _OBJECTS).iterdir() if path.name not in named]
    left += [path for path in vault.path.glob(f"{_INDEX}*") if path.name != f"{_INDEX}{index}"]
    left += vault.path.glob(".part-*")
    for path in left:
        with contextlib.suppress(OSError):
            path.unlink()


def _context(vault_id: str) -> bytes:
    return f"vesalius vault {vault_id}".encode()


def _purpose(vault_id: str, what: str) -> bytes:
    return f"vesalius vault {vault_id} {what}".encode()


def _mac(head: Mapping[str, Any], key: bytes) -> str:
    said = {name: value for name, value in head.items() if name != "mac"}
    own = derive(key, salt=b"", purpose=_purpose(str(head["id"]), "head"))
    return hmac.digest(own, json.dumps(said, sort_keys=True).encode(), "sha256").hex()
