"""Verbs under the rules that lie with data: who may, asked before; what was done, noted before and after."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.lent import named_paths, vaults_of
from vesalius.errors import PrivacyError
from vesalius.privacy.inside import vault_of
from vesalius.privacy.rules import Rules, find_rules

if TYPE_CHECKING:
    from vesalius.privacy.access import Act

# What a verb needs leave for, and the word for it in the audit chain; all others look and are told as "read".
_ACTS: Mapping[str, tuple[Act, str]] = {
    "fit": ("train", "trained"),
    "tune": ("train", "trained"),
    "pixels": ("train", "trained"),
    "calibrate": ("train", "calibrated"),
    "segment": ("segment", "segmented"),
    "stream": ("segment", "segmented"),
    "classical": ("segment", "segmented"),
    "dicom-node": ("segment", "served"),
    "study": ("train", "trained"),
    "import": ("view", "imported"),
    "preprocess": ("view", "changed"),
    "register": ("view", "changed"),
    "stack": ("view", "changed"),
    "change": ("view", "exported"),
    "mesh": ("view", "exported"),
    "print": ("view", "exported"),
    "render": ("view", "exported"),
    "picture": ("view", "exported"),
    "convert": ("view", "exported"),
    "export": ("export", "exported"),
    "deidentify": ("deidentify", "de-identified"),
    "vault": ("vault", "vault"),
    "consent": ("consent", "consent"),
    "access": ("access", "access"),
    "audit": ("audit", "audit"),
}
_OUTPUTS = (
    "output", "b", "manifest", "save", "save_transform", "report", "quarantine", "links", "store", "cache", "image_out",
)  # fmt: skip
_MOST = 200  # hashes of names in an entry; the count tells of more


def run_accountably(args: argparse.Namespace, run: Callable[[argparse.Namespace], int]) -> int:
    """Run a verb; where rules lie with what it names, under these.

    The rules of every file and folder that the arguments name count. An entry is written before anything is done: where
    that cannot be, nothing is done. A second one says how it ended.

    Args:
        args: Parsed; ``verb`` among them.
        run: Of the verb.

    Returns:
        Its exit code.

    Raises:
        PrivacyError: This account may not do this here, or the audit chain cannot be written.
    """
    found = list(dict.fromkeys(_rules(args)))
    if not found:
        return run(args)
    from vesalius.privacy.audit import account

    act, word = _act(args)
    # Whoever verifies a chain must not change it; of several processes the first one speaks.
    silent = args.verb == "audit" or os.environ.get("RANK", "0") != "0"
    chains = [] if silent else list(dict.fromkeys(rules.audit for rules in found if rules.audit is not None))
    try:
        for rules in found:
            _require(rules, account(), act, args)
    except PrivacyError:
        _note(chains, word, args, "refused")
        raise
    _note(chains, word, args, "begun")
    code = None
    try:
        code = run(args)
    finally:
        _note(chains, word, args, "done" if code == 0 else "failed")
    return code


def _act(args: argparse.Namespace) -> tuple[Act, str]:
    if args.verb == "pixels" and getattr(args, "act", "") == "segment":
        return _ACTS["segment"]
    if args.verb == "deidentify" and getattr(args, "reveal", None) is not None:
        return "reidentify", "re-identified"
    return _ACTS.get(args.verb, ("view", "read"))


def _require(rules: Rules, who: str, act: Act, args: argparse.Namespace) -> None:
    if rules.access is None:
        return
    from vesalius.privacy.access import read_access

    begins = args.verb == "access" and args.act == "create" and not rules.access.exists()
    if not begins:
        read_access(rules.access).require(who, act)


def _rules(args: argparse.Namespace) -> Iterator[Rules]:
    places = [*_named(args), *(Path.cwd() for _ in range(args.verb == "consent"))]
    for place in places:
        rules = find_rules(place)
        if rules is not None:
            yield rules


def _named(args: argparse.Namespace, *, outputs: bool = True) -> Iterator[Path]:
    """The files and folders that arguments name, and the places of results, which need not be there yet."""
    for name, text in named_paths(args):
        if name in _OUTPUTS and not outputs:
            continue
        if name in _OUTPUTS or _is_there(text) or vault_of(text) is not None:
            yield Path(text)


def _is_there(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):  # too long, or no name at all
        return False


def _note(chains: list[Path], word: str, args: argparse.Namespace, state: str) -> None:
    """Names may tell who somebody is, and go in as hashes that only the chain's key can make."""
    if not chains:
        return
    from vesalius.privacy.audit import append, name_hash

    places = (*_named(args, outputs=False), *vaults_of(args))
    inputs = list(dict.fromkeys(str(place.resolve()) for place in places))
    results = [value if isinstance(value, list) else [value] for value in (getattr(args, n, None) for n in _OUTPUTS)]
    outputs = [str(Path(text).resolve()) for texts in results for text in texts if isinstance(text, str)]
    for chain in chains:
        about: dict[str, Any] = {"verb": args.verb, "state": state, "files": len(inputs)}
        if isinstance(getattr(args, "act", None), str):
            about["act"] = args.act
        about["of"] = [name_hash(chain, name) for name in inputs[:_MOST]]
        about["to"] = [name_hash(chain, name) for name in outputs[:_MOST]]
        append(chain, word, {**about, **_vault(args)})


def _vault(args: argparse.Namespace) -> dict[str, Any]:
    """Of a vault, whose files could be put back as they were before: the chain tells that they were."""
    vaults = (args.vault,) if args.verb == "vault" and hasattr(args, "vault") else vaults_of(args)
    if len(vaults) != 1:  # an entry tells the state of one
        return {}
    from vesalius.privacy.vault.noted import state_of

    return state_of(vaults[0])
