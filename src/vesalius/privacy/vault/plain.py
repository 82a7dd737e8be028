"""The way out of a vault: members lent in memory to be read, or written in plain; and the search for damage."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from vesalius.errors import FormatError, PrivacyError
from vesalius.io.atomic import atomic_path, make_folder
from vesalius.privacy.vault.store import Vault, opened

MEMORY = Path("/dev/shm")
"""A file system in memory. Source: Linux, Documentation/filesystems/tmpfs.rst: glibc expects one there."""
_LENT = "vesalius-lent-"
_HEADERS = (".mhd", ".nhdr", ".hdr", ".img")

Progress = Callable[[int, int], None]
"""Called with how many members are done, and of how many."""


@dataclass(frozen=True)
class Member:
    """A file of a vault, or a folder of files: ``read(member(vault, "ct.nii.gz"))`` reads it.

    Args:
        vault: Opened.
        name: Of the file or the folder; empty for everything.
        folder: Where the plain text may lie while it is lent; in memory if left out.
    """

    vault: Vault = field(repr=False)
    name: str
    folder: Path | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The members that it stands for."""
        inside = f"{self.name}/" if self.name else ""
        return tuple(n for n in self.vault.members if n == self.name or n.startswith(inside))

    @contextmanager
    def lent(self) -> Iterator[Path]:
        """Lend the plain file or folder for the block, where only this user may look.

        What a killed process left there is removed by the next loan.

        Yields:
            The file, or the folder with what lies below it.

        Raises:
            FormatError: It was changed, cut off or put in another's place.
            PrivacyError: It does not fit into memory, and no ``folder`` was named.
        """
        names = with_companions(self)
        with lent_folder(sum(self.vault.members[name].size for name in names), self.folder) as folder:
            extract(self.vault, folder, names)
            yield folder / self.name


@contextmanager
def lent_folder(size: int, place: Path | None = None) -> Iterator[Path]:
    """Lend a folder for plain text, where only this user may look; in memory if no place is named.

    Args:
        size: Of what it is to hold, bytes.
        place: Where it is made.

    Yields:
        The folder, empty.

    Raises:
        PrivacyError: So much does not fit into memory.
    """
    above = _fitting(size) if place is None else place
    _sweep(above)
    folder = Path(tempfile.mkdtemp(prefix=f"{_LENT}{os.getpid()}-", dir=above))  # 0700
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def with_companions(chosen: Member) -> tuple[str, ...]:
    """The members that something stands for, and for a header whose voxels are in another file that file, too.

    Args:
        chosen: A file, or a folder.

    Returns:
        Their names.
    """
    names = chosen.names
    if not chosen.name.lower().endswith(_HEADERS):
        return names
    beside = f"{chosen.name.rpartition('.')[0]}."
    return (*names, *(n for n in chosen.vault.members if n.startswith(beside) and n not in names))


def member(vault: Vault, name: str, *, folder: Path | None = None) -> Member:
    """A member of a vault, or all below a folder's name, to be handed to `vesalius.read`.

    Args:
        vault: Opened.
        name: Of a file, or of a folder such as a DICOM series; empty for everything.
        folder: Where the plain text may lie while it is read. Left out, it lies in memory (``/dev/shm``): from a disk,
            what was deleted can often be recovered.

    Returns:
        What `vesalius.read` takes in the place of a path.

    Raises:
        PrivacyError: There is no member of this name.

    Example:
        >>> from vesalius.privacy.keys import new_identity
        >>> from vesalius.privacy.vault import add, create_vault
        >>> with tempfile.TemporaryDirectory() as place:
        ...     _ = (Path(place) / "scan.npy").write_bytes(b"voxels")
        ...     vault = create_vault(Path(place) / "vault", [new_identity()[1]])
        ...     vault = add(vault, {"a/scan.npy": Path(place) / "scan.npy"})
        ...     with member(vault, "a/scan.npy", folder=Path(place)).lent() as plain:
        ...         plain.read_bytes()
        b'voxels'
    """
    found = Member(vault, name.strip("/"), folder)
    if not found.names:
        raise PrivacyError(f"{vault.path.name} holds no member of this name; `vesalius vault list` shows them")
    return found


def extract(
    vault: Vault, folder: Path, names: Sequence[str] | None = None, *, progress: Progress | None = None
) -> None:
    """Write members in plain below a folder, each whole or not at all.

    Args:
        vault: Opened.
        folder: Where; it is made.
        names: Which; all if left out.
        progress: Called after each member.

    Raises:
        FormatError: A member is missing, was changed, cut off or put in another's place.
        VesaliusError: The system refused to write.
    """
    wanted = list(vault.members) if names is None else list(names)
    for number, name in enumerate(wanted):
        target = folder / name
        make_folder(target.parent)
        with atomic_path(target) as temporary, temporary.open("wb") as file:
            file.writelines(opened(vault, name))
        if progress is not None:
            progress(number + 1, len(wanted))


def find_damage(vault: Vault, *, progress: Progress | None = None) -> dict[str, str]:
    """Read every member to its end.

    Args:
        vault: Opened.
        progress: Called after each member.

    Returns:
        The reason for each member that is missing, was changed, cut off or put in another's place; none where all is
        well.
    """
    found = {}
    for number, name in enumerate(vault.members):
        try:
            for _ in opened(vault, name):
                pass
        except FormatError as error:
            found[name] = str(error)
        if progress is not None:
            progress(number + 1, len(vault.members))
    return found


def _fitting(size: int) -> Path:
    free = shutil.disk_usage(MEMORY).free if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) else 0
    if size > free:
        raise PrivacyError(
            f"the plain text of {size / 2**20:,.0f} MiB does not fit into memory at {MEMORY}, where "
            f"{free / 2**20:,.0f} MiB are free: read less at once, or name a folder on a disk"
        )
    return MEMORY


def _sweep(place: Path) -> None:
    """Remove the loans of processes that are no more."""
    for left in place.glob(f"{_LENT}*"):
        owner = left.name.removeprefix(_LENT).partition("-")[0]
        with contextlib.suppress(OSError):
            if owner.isdigit() and left.stat().st_uid == os.getuid() and not Path(f"/proc/{owner}").exists():
                shutil.rmtree(left, ignore_errors=True)
