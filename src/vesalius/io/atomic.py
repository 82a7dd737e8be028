"""Files and folders that appear whole or not at all: something temporary beside the target, fsync, rename."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from vesalius.errors import VesaliusError

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "it would be larger than files may be here; raise the limit or choose another folder",
    errno.EROFS: "the file system is read-only; choose another folder",
    errno.EACCES: "permission denied; choose another folder or change its permissions",
    errno.EPERM: "permission denied; choose another folder or change its permissions",
    errno.ENOENT: "its folder does not exist; create it first",
    errno.ENOTDIR: "its folder is not a folder; choose another path",
    errno.ENAMETOOLONG: "its name is too long; choose a shorter one",
}


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Lend a temporary file that becomes ``path`` when the block ends well, and is removed when it does not.

    Readers see the old file or the new one, never a part, whatever ends the block: an exception, Ctrl-C or a full
    disk. A power cut leaves at most a hidden temporary file. A symbolic link is followed, not replaced.

    Args:
        path: The file to write. Its folder must exist; a file that is marked read-only is not replaced.

    Yields:
        An empty file in the same folder with the same suffixes (so that writers that look at them work), to be
        written by name.

    Raises:
        VesaliusError: The target is a folder, is read-only, or the system refused to write (disk full, no permission).

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_path(Path(folder) / "scores.json") as temporary:
        ...         _ = temporary.write_text("{}")
        ...     [found.name for found in Path(folder).iterdir()]
        ['scores.json']
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".part-{secrets.token_hex(6)}{''.join(target.suffixes)}")
    try:
        _refuse_protected(target)
        # Not `tempfile`: its files are 0600, whereas what the user gets should follow the umask like any other file.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        _sync(temporary)
        temporary.replace(target)
        _sync(target.parent)
    except OSError as error:
        # An error about some other file that the block touched is not ours to explain.
        ours = error.filename is None or os.fspath(error.filename) in (str(temporary), str(target))
        if error.errno is None or not ours:
            raise
        raise _refusal(target.name, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Lend a temporary folder that becomes ``path`` when the block ends well, and is removed when it does not.

    Args:
        path: The folder to write. Nothing may stand there, except an empty folder; the folder above must exist.

    Yields:
        An empty folder beside it, to be filled.

    Raises:
        VesaliusError: Something stands there already, or the system refused to write (disk full, no permission).

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as above:
        ...     with atomic_folder(Path(above) / "results") as folder:
        ...         _ = (folder / "a.txt").write_text("a")
        ...     [found.name for found in Path(above).iterdir()]
        ['results']
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".part-{secrets.token_hex(6)}")
    try:
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise VesaliusError(f"cannot write the folder {target.name}: it is there already; choose another name")
        temporary.mkdir()
        yield temporary
        for place, _, files in os.walk(temporary, topdown=False):
            for name in files:
                _sync(Path(place) / name)
            _sync(Path(place))
        temporary.replace(target)
        _sync(target.parent)
    except OSError as error:
        ours = error.filename is None or Path(os.fspath(error.filename)).is_relative_to(temporary)
        if error.errno is None or not ours:
            raise
        raise _refusal(target.name, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Say in our own words what the system refuses while a file is written that need not appear whole.

    Args:
        name: Of what is written, for the message.

    Raises:
        VesaliusError: The system refused: disk full, read-only.

    Example:
        >>> with explained("the events"):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        vesalius.errors.VesaliusError: cannot write the events: the disk is full; ...
    """
    try:
        yield
    except OSError as error:
        raise _refusal(name, error) from error


def make_folder(path: str | os.PathLike[str]) -> Path:
    """Make a folder and those above it; one that is there already is fine.

    Raises:
        VesaliusError: Something else stands there, or the system refused (read-only, no permission).
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = "a file stands in the way" if error.errno == errno.EEXIST else None
        reason = reason or _REASONS.get(error.errno or 0, os.strerror(error.errno or 0))
        raise VesaliusError(f"cannot make the folder {folder.name}: {reason}") from error
    return folder


def write_bytes(path: str | os.PathLike[str], data: bytes | bytearray | memoryview) -> None:
    """Write bytes to ``path``, whole or not at all; see `atomic_path`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_bytes(Path(folder) / "a.bin", b"abc")
        ...     (Path(folder) / "a.bin").read_bytes()
        b'abc'
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    r"""Write text to ``path`` as UTF-8 with ``\n`` line ends, whole or not at all; see `atomic_path`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_text(Path(folder) / "note.txt", "µ")
        ...     (Path(folder) / "note.txt").read_bytes()
        b'\xc2\xb5'
    """
    write_bytes(path, text.encode("utf-8"))


def _refusal(name: str, error: OSError) -> VesaliusError:
    # Numpy tells of a short write without saying why: there was no more room.
    number = errno.ENOSPC if error.errno is None else error.errno
    return VesaliusError(f"cannot write {name}: {_REASONS.get(number, os.strerror(number))}")


def _refuse_protected(target: Path) -> None:
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise VesaliusError(f"cannot write {target.name}: it is a folder; choose another name")
    # A rename needs no permission on the old file, so that its mark has to be asked for.
    if not mode & 0o222 or not os.access(target, os.W_OK):
        raise VesaliusError(f"cannot write {target.name}: the file is read-only; choose another name or unlock it")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)
