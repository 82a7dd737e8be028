"""What changes a vault: members come and go, locks change, the key is drawn anew. Each is done whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vesalius.errors import DataError, PrivacyError
from vesalius.io.atomic import explained
from vesalius.privacy.keys import Lock
from vesalius.privacy.sealed import KEY_BYTES, read_chunks
from vesalius.privacy.vault.plain import Progress, member
from vesalius.privacy.vault.store import Vault, changing, check_names, commit, lock_all, opened, put


def add(vault: Vault, files: Mapping[str, Path], *, progress: Progress | None = None) -> Vault:
    """Put files into a vault, in the place of those of the same name. The files themselves stay where they are.

    Args:
        vault: Opened.
        files: By the name that each shall have, with ``/`` between folders.
        progress: Called after each file.

    Returns:
        The vault with them.

    Raises:
        PrivacyError: A name leads out of the vault, or is a file and a folder at once; the vault was changed meanwhile.
        VesaliusError: The system refused to read or to write.
    """
    kept = {name: one for name, one in vault.members.items() if name not in files}
    check_names([*kept, *files])
    with changing(vault):
        made = {}
        for number, (name, path) in enumerate(files.items()):
            with explained(f"into {vault.path.name}"), path.open("rb") as file:
                made[name] = put(vault, read_chunks(file))
            if progress is not None:
                progress(number + 1, len(files))
        return commit(vault, members=kept | made)


def files_below(path: str | os.PathLike[str]) -> dict[str, Path]:
    """The files of a folder by their name in a vault: the folder's name, and the path below it. A file is itself.

    Raises:
        DataError: There is nothing, or a symbolic link among them: what it points to may lie anywhere.

    Example:
        >>> list(files_below(__file__))
        ['changes.py']
    """
    top = Path(path).resolve()
    if not top.exists():
        raise DataError(f"{Path(path).name}: there is no such file or folder")
    found = [top] if top.is_file() else sorted(one for one in top.rglob("*") if one.is_symlink() or not one.is_dir())
    strange = [one.name for one in found if one.is_symlink() or not one.is_file()]
    if strange:
        raise DataError(
            f"{top.name}: {len(strange)} links, pipes or devices are no files; add what they lead to itself"
        )
    if not found:
        raise DataError(f"{top.name}: there is no file in this folder")
    return {one.relative_to(top.parent).as_posix(): one for one in found}


def remove(vault: Vault, names: Sequence[str]) -> Vault:
    """Take members out of a vault. Copies of its files that were made before still hold them.

    Args:
        vault: Opened.
        names: Of members, or of folders.

    Returns:
        The vault without them.

    Raises:
        PrivacyError: There is no member of such a name; the vault was changed meanwhile.
    """
    gone = {found for name in names for found in member(vault, name).names}
    with changing(vault):
        return commit(vault, members={name: one for name, one in vault.members.items() if name not in gone})


def rotate(vault: Vault, locks: Sequence[Lock], *, progress: Progress | None = None) -> Vault:
    """Draw a new key and seal everything anew under it, for those who shall open it from now on.

    The old key opens nothing of the new files; of copies of the old ones it opens all. The old vault stands until the
    end, so that this takes the room of the members once more, and an interruption costs only the work.

    Args:
        vault: Opened.
        locks: Who can open it from now on; nobody else can.
        progress: Called after each member.

    Returns:
        The vault under its new key.

    Raises:
        FormatError: A member is damaged; nothing was changed.
        PrivacyError: A lock is too weak; the vault was changed meanwhile.
    """
    key = secrets.token_bytes(KEY_BYTES)
    renewed = replace(vault, key=key, locks=lock_all(key, locks, vault.id))
    with changing(vault):
        made = {}
        for number, name in enumerate(vault.members):
            made[name] = put(renewed, opened(vault, name))
            if progress is not None:
                progress(number + 1, len(vault.members))
        return commit(renewed, members=made)


def relock(vault: Vault, locks: Sequence[Lock]) -> Vault:
    """Change who can open the vault and seal nothing anew: for a changed passphrase, not for a key that was lost.

    Args:
        vault: Opened.
        locks: Who can open it from now on. Somebody who could before, and kept the vault's key, still can: `rotate`.

    Returns:
        The vault under its new locks.

    Raises:
        PrivacyError: A lock is too weak; the vault was changed meanwhile.
    """
    if not locks:
        raise PrivacyError("a vault without a lock could never be opened again: name one")
    with changing(vault):
        return commit(vault, locks=lock_all(vault.key, locks, vault.id))
