"""Verbs that read members of a vault, named like files below its folder: ``cohort.vault/images/a.nii.gz``.

The members lie in plain in memory while the verb works, and its arguments name them there; it notices nothing of it.
Where a result is named inside a vault, it is sealed into that vault afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vesalius.errors import DataError, PrivacyError, VesaliusError
from vesalius.privacy.inside import vault_of

if TYPE_CHECKING:
    from vesalius.privacy.vault.loan import Loan, Wish

READERS = ("index", "plan", "fit", "segment", "measure", "picture", "convert", "evaluate", "show")
"""Verbs that take members of a vault."""
_WRITERS = ("index", "segment", "measure", "picture", "convert", "evaluate")  # and put their results into one
_RESULTS = ("output", "b", "manifest")


def add_key(parser: argparse.ArgumentParser) -> None:
    """What opens the vaults in which arguments lie."""
    parser.add_argument(
        "--key",
        metavar="FILE",
        help="age identity or passphrase that opens the vault whose members are named, as VAULT/NAME (asked for)",
    )


def run_lent(args: argparse.Namespace, run: Callable[[argparse.Namespace], int]) -> int:
    """Run a verb; what its arguments name inside vaults is lent to it in memory.

    Args:
        args: Parsed; ``verb`` among them, and ``key`` of verbs that read vaults.
        run: Of the verb.

    Returns:
        Its exit code.

    Raises:
        PrivacyError: The verb reads no vaults, the key does not open them, what is lent does not fit into memory, or
            what is asked for would leave it in plain on a disk.
    """
    if args.verb == "vault":
        return run(args)
    found = dict(_found(args))
    if not found:
        if args.verb in READERS and args.key is not None:
            raise DataError("--key opens a vault, and no argument names a member of one")
        return run(args)
    name = Path(next(iter(found))).name
    if args.verb not in READERS:
        raise PrivacyError(
            f"{name} lies in a vault, and `vesalius {args.verb}` reads none: take it out with `vesalius vault open`"
        )
    _refuse_what_stays(args)
    from vesalius.cli.keys import opening_key
    from vesalius.privacy.vault.loan import lend, temporary_files_in

    wishes = _wishes(args)
    with lend(wishes, opening_key(args.key)) as loan, _told_by_name(loan):
        temporary = loan.folder / "temporary"
        temporary.mkdir()
        with temporary_files_in(temporary):
            if any(vault_of(value) is None for _, value in _results(args)):
                print("vesalius: what is written lies outside the vault, and in plain", file=sys.stderr)
            return run(_lent(args, loan))


def place_of(args: argparse.Namespace, path: str) -> Path:
    """Where a file really is, with its vault's folder and the rules that lie with it, though it is lent now."""
    loan = getattr(args, "loan", None)
    return Path(path) if loan is None else cast("Loan", loan).original(path)


def named_paths(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Every text of the arguments, by the argument's name; of ``NAME=PATH`` the path too, where one is there."""
    for name, value in vars(args).items():
        if name == "verb":
            continue
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and text:
                yield name, text
                _, sign, place = text.partition("=")
                if sign and place:
                    yield name, place


def vaults_of(args: argparse.Namespace) -> tuple[Path, ...]:
    """The vaults in which arguments lie, each once."""
    return tuple(dict.fromkeys(vault for _, (vault, _) in _found(args)))


# --- inside -----------------------------------------------------------------------------------------------------------


def _found(args: argparse.Namespace) -> Iterator[tuple[str, tuple[Path, str]]]:
    """The texts that lead into vaults, with the vault and the member's name."""
    for name, text in named_paths(args):
        if name != "key" and (found := vault_of(text)) is not None:
            yield text, found


def _results(args: argparse.Namespace) -> Iterator[tuple[str, str]]:
    return ((name, text) for name in _RESULTS if isinstance(text := getattr(args, name, None), str))


def _wishes(args: argparse.Namespace) -> dict[Path, Wish]:
    from vesalius.privacy.vault.loan import Wish

    results = {text for _, text in _results(args)}
    wanted: dict[Path, tuple[list[str], list[str]]] = {}
    for text, (vault, name) in _found(args):
        if text in results and args.verb not in _WRITERS:
            raise PrivacyError(
                f"{Path(text).name}: what `vesalius {args.verb}` makes is not written into a vault: choose another "
                "folder, and add it afterwards with `vesalius vault add`"
            )
        wanted.setdefault(vault, ([], []))[text in results].append(name)
    return {vault: Wish(tuple(names), tuple(made)) for vault, (names, made) in wanted.items()}


def _refuse_what_stays(args: argparse.Namespace) -> None:
    """Refuse what would leave prepared images, or what was seen in them, on a disk or on other machines."""
    if args.verb == "index" and args.manifest and vault_of(args.manifest) is None:
        raise PrivacyError("a manifest of members names them beside it: write it into their vault")
    if getattr(args, "cluster", None) not in (None, "local"):
        raise PrivacyError("members of a vault are lent on this machine only: leave out --cluster, or say local")
    if args.verb != "fit":
        return
    if args.cache:
        raise PrivacyError(
            "the prepared cases of a vault would lie in plain in that folder: leave out --cache, and they are kept in "
            "memory"
        )
    cascade = "3d_cascade" in (args.configuration or "") or args.folds is not None
    if cascade or os.environ.get("WORLD_SIZE", "1") != "1":
        raise PrivacyError(
            "folds, cascades and several processes keep what they see in the cases on the disk: train a single network "
            "from a vault, or take the members out"
        )


def _lent(args: argparse.Namespace, loan: Loan) -> argparse.Namespace:
    """The arguments with plain paths in the place of those that lead into vaults."""

    def plain(text: object) -> object:
        if not isinstance(text, str):
            return text
        if (found := vault_of(text)) is not None:
            return str(loan.plain(*found))
        name, sign, place = text.partition("=")
        if sign and place and (found := vault_of(place)) is not None:
            return f"{name}={loan.plain(*found)}"
        return text

    values = {
        name: [plain(one) for one in value] if isinstance(value, list) else plain(value)
        for name, value in vars(args).items()
        if name != "key"
    }
    return argparse.Namespace(**values, key=None, loan=loan)


@contextlib.contextmanager
def _told_by_name(loan: Loan) -> Iterator[None]:
    """Have all that is told name members as they were named, not where they are lent: there is nothing afterwards."""
    with (
        contextlib.redirect_stdout(cast("Any", _Renaming(sys.stdout, loan))),
        contextlib.redirect_stderr(cast("Any", _Renaming(sys.stderr, loan))),
    ):
        try:
            yield
        except VesaliusError as error:
            error.args = tuple(loan.renamed(part) if isinstance(part, str) else part for part in error.args)
            raise


class _Renaming:
    """A stream in whose texts plain paths stand as those in the vaults."""

    def __init__(self, stream: Any, loan: Loan) -> None:
        self._stream, self._loan = stream, loan

    def write(self, text: str) -> int:
        """Pass a text on."""
        self._stream.write(self._loan.renamed(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
