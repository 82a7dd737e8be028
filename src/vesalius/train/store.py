"""A folder of prepared cases that several runs share: entries appear whole, are checked, and make room when idle."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from vesalius.errors import VesaliusError
from vesalius.io.atomic import explained, make_folder
from vesalius.train.tiles import TiledArray, compress

_ABOUT = "entry.json"
_LOCK, _USERS, _PART = "lock", "users", ".part-"
_GIB = 2**30
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class NoRoomError(VesaliusError):
    """The entries that are in use leave no room for a further one under the limit."""


@dataclass(frozen=True, eq=False)
class Entry:
    """What is kept under a key.

    Args:
        arrays: By name.
        facts: Plain values.
        stored_bytes: That the arrays take on disk.
    """

    arrays: Mapping[str, TiledArray]
    facts: Mapping[str, Any]
    stored_bytes: int


class CaseCache:
    """A folder of entries; each is an array or several, and some facts, under a key.

    Any number of runs, threads and processes may use the folder at once. An entry is written beside its place and
    renamed, so that nobody sees a part of it, and its digests are checked when it is taken up. What a living run uses
    is never removed: each run keeps a list of its keys under a lock, which the system lets go when the process ends,
    however it ends.

    Args:
        folder: Made if it is not there.
        limit_gib: The most that the entries may take on disk; those that were used least recently, and that no run
            uses now, make room. None for no limit.
        note: Told in a sentence when a damaged entry is removed.

    Raises:
        VesaliusError: The folder cannot be made or written, or its file system knows no locks.

    Example:
        >>> import tempfile, numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cache = CaseCache(Path(folder))
        ...     entry = cache.put("a1", {"squares": np.arange(5) ** 2}, {"squares": (5,)}, name="case 1")
        ...     entry.arrays["squares"][slice(1, 3),].tolist(), cache.take("b2", name="case 2")
        ([1, 4], None)
    """

    def __init__(
        self, folder: Path, *, limit_gib: float | None = None, note: Callable[[str], None] | None = None
    ) -> None:
        if limit_gib is not None and not limit_gib > 0:
            raise VesaliusError(f"limit_gib must be positive, not {limit_gib:g}; None is for no limit")
        self.folder, self.limit_gib = make_folder(folder), limit_gib
        self._note = note or (lambda _sentence: None)
        make_folder(folder / _USERS)
        with self._alone():
            living = {path.name for path in self._living_users()}
            for part in folder.glob(f"{_PART}*"):  # of runs that were killed
                if part.name.split("-")[1] not in living:
                    shutil.rmtree(part, ignore_errors=True)
            self._lease = _Lease(folder / _USERS / secrets.token_hex(6))

    def take(self, key: str, *, name: str) -> Entry | None:
        """Take an entry up, after a check of every byte.

        Args:
            key: Of the entry; from now on this run's.
            name: Whose it is, for messages.

        Returns:
            The entry; None if there is none, or if it was damaged, in which case it is removed.
        """
        with self._alone():  # nobody may be choosing what to remove while the key is written down
            self._lease.add(key)
        entry = self._read(key, name)
        if entry is None and (self.folder / key).is_dir():
            with self._alone():
                entry = self._read(key, name)  # another run may have made it anew by now
                if entry is None:
                    self._remove(key)
                    self._note(f"{name}: the prepared data were damaged on disk and are made anew")
        return entry

    def put(
        self,
        key: str,
        arrays: Mapping[str, NDArray[Any]],
        tiles: Mapping[str, tuple[int, ...]],
        *,
        name: str,
        facts: Mapping[str, Any] | None = None,
    ) -> Entry:
        """Write an entry, whole or not at all.

        Args:
            key: Of the entry, for which `take` found nothing: letters and digits.
            arrays: By name.
            tiles: Shape of the tiles of each.
            name: Whose it is, for messages.
            facts: Plain values to be kept with them.

        Returns:
            The entry; another run's, if that was faster.

        Raises:
            NoRoomError: With what runs use now, it would take more than the limit.
            VesaliusError: The system refused to write (full disk).
        """
        place = self.folder / key
        frames = {part: compress(array, tiles[part]) for part, array in arrays.items()}
        about = {"digests": {part: _digest(frame) for part, frame in frames.items()}, "facts": dict(facts or {})}
        part_folder = self.folder / f"{_PART}{self._lease.token}-{secrets.token_hex(4)}"
        try:
            with explained("the prepared cases"):
                part_folder.mkdir()
                for part, frame in frames.items():
                    (part_folder / f"{part}.b2nd").write_bytes(frame)
                (part_folder / _ABOUT).write_text(json.dumps(about))  # no fsync: after a power cut the digests tell
            for _ in range(2):  # a second time if another run's entry stood there and was damaged
                with self._alone():
                    if not place.is_dir():
                        self._make_room(_bytes_in(part_folder))
                        part_folder.rename(place)
                if entry := self.take(key, name=name):
                    return entry
            raise VesaliusError(f"{name}: what was written to {self.folder.name} cannot be read back; check the disk")
        finally:
            shutil.rmtree(part_folder, ignore_errors=True)

    def _read(self, key: str, name: str) -> Entry | None:
        place = self.folder / key
        arrays, stored = {}, 0
        try:
            about = json.loads((place / _ABOUT).read_bytes())
            for part, digest in about["digests"].items():
                file = place / f"{part}.b2nd"
                frame = file.read_bytes()
                if _digest(frame) != digest:
                    return None
                stored += len(frame)
                arrays[part] = TiledArray.of(file, frame, name=f"{name}: the prepared {part}", lease=self._lease)
            os.utime(place / _ABOUT)  # used just now
            return Entry(arrays, about["facts"], stored)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _make_room(self, wanted: int) -> None:
        """Remove entries that nobody uses until a further one fits. Called alone."""
        if self.limit_gib is None:
            return
        limit = self.limit_gib * _GIB
        entries = {about.parent.name: about.parent for about in self.folder.glob(f"[!.]*/{_ABOUT}")}
        sizes = {key: _bytes_in(place) for key, place in entries.items()}
        used = {key for user in self._living_users() for key in user.read_text().split()}
        total = sum(sizes.values())
        for key in sorted(entries.keys() - used, key=lambda key: (entries[key] / _ABOUT).stat().st_mtime_ns):
            if total + wanted <= limit:
                return
            self._remove(key)
            total -= sizes[key]
        if total + wanted > limit:
            raise NoRoomError(
                f"the prepared cases in use take {total / _GIB:.3g} GiB and the next one {wanted / _GIB:.3g} GiB, "
                f"which is more than limit_gib={self.limit_gib:g}"
            )

    def _remove(self, key: str) -> None:
        """Take an entry out of sight at once, then delete it. Called alone."""
        away = self.folder / f"{_PART}{self._lease.token}-{secrets.token_hex(4)}"
        with explained("the prepared cases"):
            (self.folder / key).rename(away)
        shutil.rmtree(away, ignore_errors=True)

    def _living_users(self) -> list[Path]:
        """The lists of the runs that live; those of the dead are removed. Called alone."""
        living = []
        for path in (self.folder / _USERS).iterdir():
            with _opened(path) as descriptor:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
                except BlockingIOError:
                    living.append(path)
        return living

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep all other users of the folder, threads of this process included, from changing what is there."""
        with explained("the prepared cases"), _opened(self.folder / _LOCK) as descriptor:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno in _NO_LOCKS:
                    raise VesaliusError(
                        f"{self.folder.name}: its file system has no file locks, which prepared cases need; "
                        "choose another folder"
                    ) from error
                raise
            yield


class _Lease:
    """A list of keys, locked as long as this object or the process lives."""

    def __init__(self, path: Path) -> None:
        self.token = path.name
        self._descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o666)
        self._end = weakref.finalize(self, _let_go, self._descriptor, path)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._keys: set[str] = set()

    def add(self, key: str) -> None:
        if key not in self._keys:
            os.write(self._descriptor, f"{key}\n".encode())
            self._keys.add(key)


def _let_go(descriptor: int, path: Path) -> None:
    os.close(descriptor)
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _digest(frame: bytes) -> str:
    return hashlib.blake2b(frame, digest_size=20).hexdigest()


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())
