"""``vesalius access ACT FILE``: who may do what with data that several people share."""

from __future__ import annotations

import argparse
import json

from vesalius.cli.arguments import add_output_style

HELP = "say who may do what with shared data: viewers, annotators, trainers, data officers, administrators"

_ACTS = {
    "create": "Write a file of roles, with you as its administrator.",
    "grant": "Give an account a role.",
    "revoke": "Take a role away.",
    "list": "List accounts, their roles, and what these allow.",
    "check": "Say whether an account may do something; exit code 1 if not.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius access``."""
    acts = parser.add_subparsers(metavar="ACT", dest="act", required=True, help=", ".join(_ACTS))
    for name, words in _ACTS.items():
        act = acts.add_parser(name, description=words)
        act.add_argument("file", metavar="FILE", help="the file of roles")
        if name not in ("create", "list"):
            act.add_argument("account", metavar="ACCOUNT", help="name of the account on this system")
        if name in ("grant", "revoke"):
            act.add_argument("role", metavar="ROLE", help="viewer, annotator, trainer, data-officer or administrator")
        if name == "check":
            act.add_argument("what", metavar="WHAT", help="view, annotate, segment, train, export, deidentify …")
        add_output_style(act)


def run(args: argparse.Namespace) -> int:
    """Do one of the acts."""
    from vesalius.privacy.access import PERMISSIONS, change_role, create_access, read_access
    from vesalius.privacy.audit import account

    if args.act == "check":
        allowed = read_access(args.file).allows(args.account, args.what)
        print(json.dumps({"allowed": allowed}) if args.json else "yes" if allowed else "no")
        return 0 if allowed else 1
    if args.act == "create":
        access = create_access(args.file, account())
    elif args.act == "list":
        access = read_access(args.file)
    else:
        access = change_role(args.file, args.account, args.role, granted=args.act == "grant")
    if args.json:
        print(json.dumps({"roles": {who: list(held) for who, held in access.roles.items()}}))
        return 0
    for who, held in access.roles.items():
        acts = dict.fromkeys(act for role in held for act in PERMISSIONS[role])
        print(f"{who:20} {', '.join(held)}: {', '.join(acts)}")
    return 0
