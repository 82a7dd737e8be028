"""``vesalius vault ACT VAULT``: keep a data set encrypted at rest."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.cli.arguments import add_output_style
from vesalius.cli.keys import ask_passphrase, opening_key
from vesalius.cli.progress import counting

if TYPE_CHECKING:
    from vesalius.privacy.keys import Lock
    from vesalius.privacy.vault import Vault

HELP = "keep a data set encrypted at rest: AES-256-GCM, keys of age or passphrases, rotation, a check of every byte"

_ACTS = {
    "key": "Draw an age key: FILE opens, and the printed recipient locks.",
    "create": "Make an empty vault.",
    "add": "Put files and folders into it; the originals stay where they are.",
    "list": "List the members.",
    "open": "Write members in plain.",
    "remove": "Take members out.",
    "verify": "Read every member to its end, and name what is damaged.",
    "rotate": "Draw a new key and seal everything anew; whoever is not named cannot open it any more.",
    "relock": "Change who can open it, without sealing everything anew.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius vault``."""
    acts = parser.add_subparsers(metavar="ACT", dest="act", required=True, help=", ".join(_ACTS))
    for name, words in _ACTS.items():
        act = acts.add_parser(name, description=words)
        if name == "key":
            act.add_argument("file", metavar="FILE", help="new file that opens; keep it where the vault is not")
        else:
            act.add_argument("vault", metavar="VAULT", help="the vault's folder")
        if name not in ("key", "create"):
            act.add_argument("--key", metavar="FILE", help="age identity or passphrase that opens (asked for)")
        if name in ("create", "rotate", "relock"):
            act.add_argument("--recipient", action="append", default=[], metavar="AGE", help="lock for it: age1…")
            act.add_argument("--new-key", metavar="FILE", help="lock with the passphrase, or for the identity, in FILE")
        if name == "add":
            act.add_argument("paths", nargs="+", metavar="PATH", help="files and folders, which keep their names")
        if name in ("open", "remove"):
            act.add_argument("names", nargs="*" if name == "open" else "+", metavar="NAME", help="members or folders")
        if name == "open":
            act.add_argument("-o", "--output", required=True, metavar="FOLDER", help="where the plain files go")
        add_output_style(act)


def run(args: argparse.Namespace) -> int:
    """Do one of the acts."""
    acts = {"key": _key, "create": _create, "list": _list, "open": _open, "verify": _verify}
    return acts.get(args.act, _change)(args)


def _key(args: argparse.Namespace) -> int:
    from vesalius.privacy.keys import new_identity, write_secret

    identity, recipient = new_identity()
    write_secret(args.file, identity.text)
    print(json.dumps({"recipient": recipient.text}) if args.json else recipient.text)
    return 0


def _create(args: argparse.Namespace) -> int:
    from vesalius.privacy.vault import create_vault

    return _tell(args, create_vault(args.vault, _locks(args)))


def _change(args: argparse.Namespace) -> int:
    from vesalius.privacy.vault import add, open_vault, relock, remove, rotate
    from vesalius.privacy.vault.changes import files_below

    vault = open_vault(args.vault, opening_key(args.key))
    with counting("members", shown=not args.json) as progress:
        if args.act == "add":
            files: dict[str, Path] = {}
            for path in args.paths:
                files |= files_below(path)
            vault = add(vault, files, progress=progress)
        elif args.act == "remove":
            vault = remove(vault, args.names)
        elif args.act == "rotate":
            vault = rotate(vault, _locks(args), progress=progress)
        else:
            vault = relock(vault, _locks(args))
    return _tell(args, vault)


def _list(args: argparse.Namespace) -> int:
    from vesalius.privacy.vault import open_vault

    vault = open_vault(args.vault, opening_key(args.key))
    if args.json:
        rows = [{"name": name, "bytes": one.size} for name, one in vault.members.items()]
        print(json.dumps({"generation": vault.generation, "members": rows}))
        return 0
    for name, one in vault.members.items():
        print(f"{one.size:>14,}  {name}")
    return 0


def _open(args: argparse.Namespace) -> int:
    from vesalius.errors import DataError
    from vesalius.io.atomic import atomic_folder, make_folder
    from vesalius.privacy.vault import extract, member, open_vault

    vault, out = open_vault(args.vault, opening_key(args.key)), Path(args.output)
    if out.resolve().is_relative_to(Path(args.vault).resolve()):
        raise DataError("the plain files would lie inside the vault: choose another folder")
    names = [found for name in args.names or [""] for found in member(vault, name).names]
    make_folder(out.parent)
    with counting("members", shown=not args.json) as progress, atomic_folder(out) as folder:
        extract(vault, folder, list(dict.fromkeys(names)), progress=progress)
    print(json.dumps({"output": args.output, "members": len(names)}) if args.json else f"{len(names)} in {args.output}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from vesalius.privacy.vault import find_damage, open_vault

    vault = open_vault(args.vault, opening_key(args.key))
    with counting("members", shown=not args.json) as progress:
        damaged = find_damage(vault, progress=progress)
    returned = _returned(args.vault)
    if args.json:
        rows = [{"name": name, "reason": reason} for name, reason in damaged.items()]
        told = {"generation": vault.generation, "members": len(vault.members), "damaged": rows}
        print(json.dumps({**told, "put_back": returned or None}))
    else:
        for reason in [*damaged.values(), *([f"{vault.path.name}: {returned}"] if returned else [])]:
            print(f"vesalius: {reason}", file=sys.stderr)
        print(f"generation {vault.generation}: {len(vault.members)} members, {len(damaged)} damaged")
    return 1 if damaged or returned else 0


def _returned(path: str) -> str:
    """Whether the vault was put back as it was before, as far as an audit chain that lies with it knows."""
    from vesalius.privacy.rules import find_rules
    from vesalius.privacy.vault.noted import find_return

    rules = find_rules(path)
    return "" if rules is None or rules.audit is None else find_return(path, rules.audit)


def _tell(args: argparse.Namespace, vault: Vault) -> int:
    told = {"generation": vault.generation, "members": len(vault.members), "locks": len(vault.locks)}
    if args.json:
        print(json.dumps(told))
    else:
        print(f"generation {vault.generation}: {len(vault.members)} members, {len(vault.locks)} locks")
    return 0


def _locks(args: argparse.Namespace) -> list[Lock]:
    from vesalius.errors import PrivacyError
    from vesalius.privacy.keys import Passphrase, Recipient, read_key, recipient_of

    locks: list[Lock] = [Recipient(text) for text in args.recipient]
    if args.new_key is not None:
        key = read_key(args.new_key)
        locks.append(key if isinstance(key, Passphrase) else recipient_of(key))
    if not locks:
        words = ask_passphrase("new passphrase: ", "--recipient or --new-key FILE")
        if words != ask_passphrase("once more: ", "--recipient or --new-key FILE"):
            raise PrivacyError("the two passphrases differ")
        locks.append(Passphrase(words))
    return locks
