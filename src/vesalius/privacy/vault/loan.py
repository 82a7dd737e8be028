"""Members of vaults lent as files in memory while something works with them; its results are sealed on the way back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from vesalius.errors import PrivacyError
from vesalius.io.atomic import make_folder
from vesalius.io.layouts.files import stem
from vesalius.privacy.keys import Key
from vesalius.privacy.rules import RULES
from vesalius.privacy.vault.changes import add
from vesalius.privacy.vault.plain import extract, lent_folder, member, with_companions
from vesalius.privacy.vault.store import Vault, open_vault

_TRIES = 5
_TEMPORARY = ".part-"  # as `vesalius.io.atomic` names what is not whole yet


@dataclass(frozen=True)
class Wish:
    """What is wanted of a vault.

    Args:
        names: Members, or folders of them, that are to be read; the empty name for all.
        results: Names below which results go. What is there already is lent, too. Files beside a result that have its
            name and then ``-``, such as its probabilities, are results as well.
    """

    names: tuple[str, ...] = ()
    results: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loan:
    """Vaults whose members lie in plain below a folder in memory, each under its own name.

    Args:
        folder: Where only this user may look; gone when the loan ends.
        vaults: Which vault lies in plain where.
    """

    folder: Path
    vaults: Mapping[Path, Path] = field(repr=False)

    def plain(self, vault: Path, name: str) -> Path:
        """Where a member of a vault lies in plain."""
        return self.vaults[vault] / name

    def original(self, path: str | os.PathLike[str]) -> Path:
        """The path in the vault of what lies in plain; other paths are what they are."""
        place = Path(path)
        for vault, plain in self.vaults.items():
            if place.is_relative_to(plain):
                return vault / place.relative_to(plain)
        return place

    def renamed(self, text: str) -> str:
        """A text in which plain paths stand as those in the vaults."""
        for vault, plain in self.vaults.items():
            text = text.replace(str(plain), str(vault))
        return text


@contextmanager
def lend(wishes: Mapping[Path, Wish], key: Key) -> Iterator[Loan]:
    """Lend members of vaults for a block; what the block writes below the names of results becomes members.

    It does so however the block ends, so that what was done is kept: whatever is whole by then.

    Args:
        wishes: By the vault's folder.
        key: That opens them all.

    Yields:
        Where everything is.

    Raises:
        FormatError: One is no vault, or damaged.
        PrivacyError: The key opens none of a vault's locks, there is no such member, rules lie sealed beside one, or
            the plain text does not fit into memory.
    """
    vaults = {place: open_vault(place, key) for place in wishes}
    wanted = {place: _wanted(vaults[place], wish) for place, wish in wishes.items()}
    size = sum(vaults[place].members[name].size for place, names in wanted.items() for name in names)
    with lent_folder(size) as folder:
        # Numbers, since two vaults may have one name; names, since what is lent is called as the vault is.
        loan = Loan(folder, {place: folder / str(n) / place.name for n, place in enumerate(vaults)})
        for place, names in wanted.items():
            _put_down(vaults[place], loan.vaults[place], names)
            for name in wishes[place].results:  # a vault has no folders that could be missing
                make_folder(loan.plain(place, name).parent)
        before = {path: _stamp(path) for plain in loan.vaults.values() for path in _files(plain)}
        try:
            yield loan
        finally:
            for place, wish in wishes.items():
                _take_back(loan, place, wish, before, key)


def _wanted(vault: Vault, wish: Wish) -> list[str]:
    """The members that are to be lent. A table may name any other file of its vault."""
    names = [found for name in wish.names for found in with_companions(member(vault, name))]
    if any(name.lower().endswith(".csv") and name in vault.members for name in wish.names):
        names = list(vault.members)
    _refuse_sealed_rules(vault, names)
    below = [name for name in vault.members for top in wish.results if top in ("", name) or name.startswith(f"{top}/")]
    return list(dict.fromkeys((*names, *below)))


def _refuse_sealed_rules(vault: Vault, names: Sequence[str]) -> None:
    """Rules that were sealed with the data, and the register and the audit chain with them, would hold no more."""
    above = {folder.as_posix() for name in names for folder in PurePosixPath(name).parents}
    bound = {PurePosixPath(name).parent.as_posix() for name in vault.members if PurePosixPath(name).name == RULES}
    if above & bound:
        raise PrivacyError(
            f"{vault.path.name}: {RULES} lies inside the vault, where nobody can follow it: put it, and what it names, "
            "beside the vault, and remove the member"
        )


def _put_down(vault: Vault, plain: Path, names: Sequence[str]) -> None:
    extract(vault, make_folder(plain), names)
    for name in names:
        # What is told apart by its time of change is the same as long as the member is.
        moment = int(vault.members[name].stream[:14], 16)
        os.utime(plain / name, ns=(moment, moment))


def _take_back(loan: Loan, place: Path, wish: Wish, before: Mapping[Path, tuple[int, int]], key: Key) -> None:
    plain = loan.vaults[place]
    tops = [plain / name for name in wish.results]
    made = {
        path.relative_to(plain).as_posix(): path
        for path in _files(plain)
        if any(_belongs(path, top) for top in tops) and before.get(path) != _stamp(path)
    }
    for attempt in range(_TRIES if made else 0):
        try:
            add(open_vault(place, key), made)  # opened anew: somebody may have changed it meanwhile
            return
        except PrivacyError:  # this very moment
            if attempt == _TRIES - 1:
                raise


def _belongs(path: Path, top: Path) -> bool:
    """Whether a file is a result, below one, or beside one under its name: ``a-probabilities.nii.gz``."""
    return path.is_relative_to(top) or (path.parent == top.parent and path.name.startswith(f"{stem(top)}-"))


def _files(plain: Path) -> list[Path]:
    found = (path for path in plain.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(path for path in found if not any(p.startswith(_TEMPORARY) for p in path.relative_to(plain).parts))


def _stamp(path: Path) -> tuple[int, int]:
    told = path.stat()
    return told.st_size, told.st_mtime_ns


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Have this process, and those that it starts, put their temporary files into a folder.

    Args:
        folder: That is there.
    """
    known, said = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir, os.environ["TMPDIR"] = str(folder), str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = known
        if said is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = said
