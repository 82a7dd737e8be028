"""``vesalius audit ACT AUDIT``: who did what, in a chain that shows where it was changed."""

from __future__ import annotations

import argparse
import json

from vesalius.cli.arguments import add_output_style

HELP = "keep and verify the audit chain: who read, segmented, exported, trained and changed what"

_ACTS = {
    "create": "Begin a chain.",
    "verify": "Follow the chain, and name the first link that does not hold.",
    "show": "Show the entries.",
    "key": "Draw a key for checkpoints; prints the public key, by which others verify.",
    "checkpoint": "Sign all entries so far.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius audit``."""
    acts = parser.add_subparsers(metavar="ACT", dest="act", required=True, help=", ".join(_ACTS))
    for name, words in _ACTS.items():
        act = acts.add_parser(name, description=words)
        if name == "key":
            act.add_argument("file", metavar="FILE", help="new file; keep it where the chain is not")
        else:
            act.add_argument("audit", metavar="AUDIT", help="the chain's folder")
        if name == "verify":
            act.add_argument("--public-key", metavar="HEX", help="whose checkpoints count (the key that each names)")
            act.add_argument(
                "--receipt", metavar="FILE", help="receipt of a checkpoint, which the chain must still hold"
            )
        if name == "show":
            act.add_argument("--last", type=int, metavar="N", help="only so many")
            act.add_argument("--about", metavar="NAME", help="only entries that concern this file")
            act.add_argument("--study", metavar="UID", help="only entries that concern this study, of a DICOM node")
        if name == "checkpoint":
            act.add_argument("--key", required=True, metavar="FILE", help="what `vesalius audit key` wrote")
            act.add_argument(
                "-o", "--output", metavar="RECEIPT", help="write a receipt; keep it where the chain is not"
            )
        add_output_style(act)


def run(args: argparse.Namespace) -> int:
    """Do one of the acts."""
    return {"create": _create, "verify": _verify, "show": _show, "key": _key, "checkpoint": _checkpoint}[args.act](args)


def _create(args: argparse.Namespace) -> int:
    from vesalius.privacy.audit import create_chain

    create_chain(args.audit)
    print(json.dumps({"audit": args.audit}) if args.json else f"the audit chain begins in {args.audit}")
    return 0


def _verify(args: argparse.Namespace) -> int:
    from vesalius.privacy.verify import verify

    found = verify(args.audit, public_key=args.public_key, receipt=args.receipt)
    if args.json:
        told: dict[str, object] = {
            "intact": found.broken is None,
            "entries": found.entries,
            "torn_bytes": found.torn_bytes,
        }
        told |= {"unnoted": found.unnoted, "checkpoint": found.checkpoint, "signer": found.signer}
        broken = None if found.broken is None else dict(found.broken.__dict__)
        print(json.dumps({**told, "broken": broken}))
        return 0 if found.broken is None else 1
    signed = f"signed up to entry {found.checkpoint} by {found.signer}" if found.checkpoint else "without a checkpoint"
    if found.broken is not None:
        print(f"broken at entry {found.broken.entry} ({found.broken.fault}): {found.broken.words}")
        print(f"{found.entries} entries before it hold, {signed}")
        return 1
    print(f"intact: {found.entries} entries, {signed}")
    if found.torn_bytes:
        print(f"a line of {found.torn_bytes} bytes behind them was torn by a crash; the next entry will say so")
    if found.unnoted:
        print(f"{found.unnoted} of them were written just before a crash, and the head does not know them yet")
    return 0


def _show(args: argparse.Namespace) -> int:
    from pathlib import Path

    from vesalius.privacy.audit import entries, name_hash, study_hash

    found = list(entries(args.audit))
    wanteds = [] if args.about is None else [name_hash(args.audit, str(Path(args.about).resolve()))]
    wanteds += [] if args.study is None else [study_hash(args.audit, args.study)]
    for wanted in wanteds:
        found = [entry for entry in found if wanted in (*entry.about.get("of", ()), *entry.about.get("to", ()))]
    found = found if args.last is None else found[-max(args.last, 0) :] if args.last else []
    if args.json:
        print(json.dumps({"entries": [entry.__dict__ for entry in found]}))
        return 0
    for entry in found:
        facts = " ".join(f"{name}={value}" for name, value in entry.about.items() if not isinstance(value, list | dict))
        print(f"{entry.n:>6}  {entry.at}  {entry.who}  {entry.act}  {facts}".rstrip())
    return 0


def _key(args: argparse.Namespace) -> int:
    from vesalius.privacy.verify import new_signer

    public = new_signer(args.file)
    print(json.dumps({"public_key": public}) if args.json else public)
    return 0


def _checkpoint(args: argparse.Namespace) -> int:
    from vesalius.privacy.verify import checkpoint, write_receipt

    receipt = checkpoint(args.audit, args.key)
    if args.output is not None:
        write_receipt(receipt, args.output)
    print(json.dumps(receipt) if args.json else f"{receipt['count']} entries are signed by {receipt['public_key']}")
    return 0
