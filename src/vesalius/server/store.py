"""Where objects that arrive are kept: each once, whole, and nowhere else whatever its UIDs say."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vesalius.errors import FormatError, VesaliusError
from vesalius.io.atomic import explained, make_folder
from vesalius.server.database import Database
from vesalius.server.described import Described, describe_object
from vesalius.server.identity import folded

Outcome = Literal["kept", "known"]

KEEP_FREE = 1 << 30
"""Bytes of the disk that are left free: a full disk stops more than this node."""

_PREAMBLE = 128


class ConflictError(VesaliusError):
    """Another object of the same UID is here already."""


class AnnouncedError(FormatError):
    """An object is not the one that was announced."""


class FullError(VesaliusError):
    """There is no room for the object."""


@dataclass(frozen=True)
class Instance:
    """An object of the store.

    Args:
        uid: SOP Instance UID.
        study, series: Of the study and series that it belongs to.
        storage: SOP Class UID.
        syntax: Transfer syntax.
        path: Its file.
    """

    uid: str
    study: str
    series: str
    storage: str
    syntax: str
    path: Path


class Store:
    """A folder of DICOM objects, with an index of them in SQLite.

    The folder belongs to one process at a time and is readable to its user alone. Files are named after hashes of their
    UIDs: ``objects/STUDY/SERIES/INSTANCE.dcm``, so that a series is a folder that `vesalius.io.read` reads. A file is
    complete and on the disk before it has its name, has its name before it is in the index, and is in the index before
    whoever sent it is told so. What a crash left between these steps is put right when the store is opened.

    Args:
        folder: Made when it is missing.
        largest_object: Bytes.
        keep_free: Bytes of the disk to leave free.

    Raises:
        VesaliusError: Another process has the store open, or the folder cannot be made.
        FormatError: Its database is none, or of a later release.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, contextlib.closing(Store(Path(folder) / "store")) as store:
        ...     store.instances()
        ()
    """

    def __init__(self, folder: Path | str, *, largest_object: int = 2 << 30, keep_free: int = KEEP_FREE) -> None:
        self.folder = make_folder(folder).resolve()
        self.largest_object = largest_object
        self._keep_free = keep_free
        self._lock = threading.Lock()
        with explained(self.folder.name):
            self.folder.chmod(0o700)
            for name in ("objects", "incoming", "results"):
                make_folder(self.folder / name)
            # It stays open: the system lets go of it when the process ends, however that happens.
            self._held = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(self._held)
                raise VesaliusError(
                    f"{self.folder.name}: another node has this store open; give each its own"
                ) from None
        try:
            self.database = Database(self.folder / "node.sqlite")
            self._mend()
        except BaseException:
            os.close(self._held)
            raise

    def close(self) -> None:
        """Give the store back."""
        self.database.close()
        os.close(self._held)

    def add(
        self,
        parts: Iterable[bytes | memoryview],
        *,
        expected: tuple[str, str] | None = None,
        study: str | None = None,
        admit: Callable[[Described], None] | None = None,
    ) -> tuple[Instance, Outcome]:
        """Keep an object.

        Returns only when the object is on the disk and in the index. The preamble is set to zero: it is no part of the
        object, and can make a program of its file (CVE-2019-11687). All else is kept byte for byte.

        Args:
            parts: A file as PS3.10 has it, in pieces.
            expected: SOP class and instance UID as the sender announced them.
            study: To which the object has to belong, if that was said.
            admit: Is told which object it is before it is kept; what it raises keeps it out.

        Returns:
            The object, and ``"kept"``, or ``"known"`` when the same one was here already: nothing is changed then.

        Raises:
            FormatError: It is damaged, lacks a UID or has one that is none.
            AnnouncedError: It is not what was announced.
            ConflictError: Another object of this UID is here.
            FullError: It is larger than objects may be, or the disk is full.
        """
        temporary = self.folder / "incoming" / secrets.token_hex(8)
        try:
            self._write(temporary, parts)
            found = describe_object(temporary)
            if admit is not None:
                admit(found)
            if expected is not None and (found.storage, found.uid) != expected:
                raise AnnouncedError("the object's class or instance UID is not the one that was announced")
            if study is not None and found.study != study:
                raise AnnouncedError("the object belongs to another study than was announced")
            target = self._path(found.study, found.series, found.uid)
            instance = Instance(found.uid, found.study, found.series, found.storage, found.syntax, target)
            with self._lock:
                if self._is_known(found, temporary):
                    return instance, "known"
                with _told_when_full():
                    make_folder(target.parent)
                    temporary.replace(target)
                    for folder in (target.parent, target.parent.parent, target.parent.parent.parent):
                        _sync(folder)
                self._record([found])
            return instance, "kept"
        finally:
            temporary.unlink(missing_ok=True)

    def add_file(self, path: Path) -> tuple[Instance, Outcome]:
        """Keep the object of a file, see `add`."""
        with path.open("rb") as file:
            return self.add(iter(lambda: file.read(1 << 20), b""))

    def instances(
        self, *, study: str | None = None, series: str | None = None, instance: str | None = None
    ) -> tuple[Instance, ...]:
        """The objects of a study, a series, one object, or all; in the order of their UIDs.

        Args:
            study: A UID; those left out do not matter.
            series: A UID.
            instance: A UID.
        """
        wanted = {"study": study, "series": series, "uid": instance}
        said = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in said) or "1"
        rows = self.database.rows(f"SELECT * FROM instances WHERE {where} ORDER BY uid", *said.values())
        return tuple(self._instance(row) for row in rows)

    def series_folder(self, study: str, series: str) -> Path:
        """The folder of a series' files."""
        return self.folder / "objects" / folded(study) / folded(series)

    @property
    def results(self) -> Path:
        """The folder of what rules have made."""
        return self.folder / "results"

    # --- what happens inside ------------------------------------------------------------------------------------------

    def _path(self, study: str, series: str, uid: str) -> Path:
        return self.series_folder(study, series) / f"{folded(uid)}.dcm"

    def _instance(self, row: sqlite3.Row) -> Instance:
        path = self._path(row["study"], row["series"], row["uid"])
        return Instance(row["uid"], row["study"], row["series"], row["storage"], row["syntax"], path)

    def _write(self, path: Path, parts: Iterable[bytes | memoryview]) -> None:
        room = shutil.disk_usage(self.folder).free - self._keep_free
        written = 0
        with _told_when_full():
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                for part in parts:
                    written += len(part)
                    if written > self.largest_object:
                        raise FullError(f"the object is larger than {self.largest_object >> 20} MiB, the most here")
                    if written > room:
                        raise FullError("the disk is nearly full; free some space")
                    file.write(part)
                if written < _PREAMBLE + 4:
                    raise FormatError("the object is too short for a DICOM file")
                file.seek(0)
                file.write(bytes(_PREAMBLE))
                file.flush()
                os.fsync(file.fileno())

    def _is_known(self, found: Described, temporary: Path) -> bool:
        rows = self.database.rows("SELECT * FROM instances WHERE uid = ?", found.uid)
        if not rows:
            return False
        here = self._instance(rows[0])
        same_place = (here.study, here.series, here.storage) == (found.study, found.series, found.storage)
        if same_place and (rows[0]["sha256"] == found.sha256 or _alike(here.path, temporary)):
            return True
        raise ConflictError("another object of this SOP Instance UID is here already; the first one stays")

    def _record(self, found: Iterable[Described]) -> None:
        now = time.time()
        with self.database.transaction() as sql:
            for one in found:
                sql.execute("INSERT OR IGNORE INTO studies VALUES (?, ?)", (one.study, one.headers["study"]))
                sql.execute(
                    "INSERT INTO series (study, uid, header, touched) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (study, uid) DO UPDATE SET touched = excluded.touched, enrolled = ''",
                    (one.study, one.series, one.headers["series"], now),
                )
                sql.execute(
                    "INSERT OR IGNORE INTO instances VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (one.uid, one.study, one.series, one.storage, one.syntax, one.sha256, one.headers["instance"]),
                )

    def _mend(self) -> None:
        """Drop what had not arrived whole, and take up what had its name and was not yet in the index."""
        for left in (self.folder / "incoming").iterdir():
            left.unlink()
        known = {instance.path for instance in self.instances()}
        lost = [path for path in self._files() if path not in known]
        for path in lost:
            with contextlib.suppress(FormatError):  # not ours: someone put it there
                found = describe_object(path)
                if self._path(found.study, found.series, found.uid) == path:
                    self._record([found])

    def _files(self) -> Iterator[Path]:
        return (self.folder / "objects").glob("*/*/*.dcm")


def _alike(one: Path, other: Path) -> bool:
    """Whether two files hold equal data sets, though other bytes: systems encode sequences in two ways."""
    from pydicom import dcmread
    from pydicom.encaps import generate_fragments

    from vesalius.io.dicom.header import damage_is_a_format_error
    from vesalius.io.dicom.quiet import quiet

    with quiet, damage_is_a_format_error(one):
        a, b = dcmread(one), dcmread(other)
        for dataset in (a, b):
            for element in [element for element in dataset if element.tag.element == 0]:
                del dataset[element.tag]  # group lengths depend on the encoding
            if dataset.file_meta.TransferSyntaxUID.is_compressed and "PixelData" in dataset:
                # The first item says where frames begin; it may be empty.
                _, *fragments = generate_fragments(dataset.PixelData)
                dataset.PixelData = b"".join(fragments)
        return bool(a.file_meta.TransferSyntaxUID == b.file_meta.TransferSyntaxUID and a == b)


@contextlib.contextmanager
def _told_when_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise FullError("the disk is full; free some space") from None
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
