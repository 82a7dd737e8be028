"""``vesalius access ACT FILE``: who may do what with data that several people share."""

from __future__ import annotations

import argparse
import json

from vesalius.cli.arguments import add_output_style

HELP = "say who may do what with shared data: viewers, annotators, trainers, devices, data officers, administrators"

_ACTS = {
    "create": "Write a file of roles, with you as its administrator.",
    "grant": "Give an account a role.",
    "revoke": "Take a role away.",
    "list": "List accounts, their roles, and what these allow.",
    "check": "Say whether an account may do something; exit code 1 if not.",
    "token": "Draw a token by which a server knows an account; it is printed once, and kept as a hash.",
    "title": "Say that an AE title of the DICOM network is an account's.",
    "adopt": "Take over a file of tokens as DICOMweb had them before: `read TOKEN` and `write TOKEN`.",
}
_ROLES = "viewer, annotator, trainer, device, data-officer or administrator"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius access``."""
    acts = parser.add_subparsers(metavar="ACT", dest="act", required=True, help=", ".join(_ACTS))
    for name, words in _ACTS.items():
        act = acts.add_parser(name, description=words)
        act.add_argument("file", metavar="FILE", help="the file of roles")
        if name not in ("create", "list", "adopt"):
            act.add_argument("account", metavar="ACCOUNT", help="name of a person's or a machine's account")
        if name in ("grant", "revoke"):
            act.add_argument("role", metavar="ROLE", help=_ROLES)
        if name == "check":
            act.add_argument("what", metavar="WHAT", help="view, store, annotate, segment, train, export, deidentify …")
        if name == "title":
            act.add_argument("title", metavar="TITLE", help="AE title, 1 to 16 characters")
        if name == "adopt":
            act.add_argument("tokens", metavar="TOKENS", help="the file of tokens; it is left as it is")
        if name in ("token", "title"):
            act.add_argument(
                "--withdraw", action="store_true", help="take back: all tokens of the account, or the title"
            )
        add_output_style(act)


def run(args: argparse.Namespace) -> int:
    """Do one of the acts."""
    from vesalius.privacy.access import PERMISSIONS, change_role, create_access, read_access
    from vesalius.privacy.audit import account

    if args.act in ("token", "adopt"):
        return _tokens(args)
    if args.act == "check":
        allowed = read_access(args.file).allows(args.account, args.what)
        print(json.dumps({"allowed": allowed}) if args.json else "yes" if allowed else "no")
        return 0 if allowed else 1
    if args.act == "create":
        access = create_access(args.file, account())
    elif args.act == "list":
        access = read_access(args.file)
    elif args.act == "title":
        from vesalius.privacy.tokens import change_title
        from vesalius.server.node.peers import checked_title

        access = change_title(args.file, args.account, checked_title(args.title), given=not args.withdraw)
    else:
        access = change_role(args.file, args.account, args.role, granted=args.act == "grant")
    if args.json:
        roles = {who: list(held) for who, held in access.roles.items()}
        tokens = {who: sum(owner == who for owner in access.tokens.values()) for who in access.roles}
        print(json.dumps({"roles": roles, "tokens": tokens, "titles": dict(access.titles)}))
        return 0
    for who, held in access.roles.items():
        acts = dict.fromkeys(act for role in held for act in PERMISSIONS[role])
        count = sum(owner == who for owner in access.tokens.values())
        more = [f"{count} token{'s' * (count > 1)}"] if count else []
        more += [f"AE title {title}" for title, owner in access.titles.items() if owner == who]
        print(f"{who:20} {', '.join(held)}: {', '.join(acts)}{' (' * bool(more)}{', '.join(more)}{')' * bool(more)}")
    return 0


def _tokens(args: argparse.Namespace) -> int:
    from vesalius.privacy.tokens import adopt_tokens, draw_token, withdraw_tokens

    if args.act == "adopt":
        made = adopt_tokens(args.file, args.tokens)
        print(json.dumps({"accounts": made}) if args.json else f"taken over as {', '.join(made) or 'nothing new'}")
    elif args.withdraw:
        gone = withdraw_tokens(args.file, args.account)
        print(json.dumps({"withdrawn": gone}) if args.json else f"{gone} withdrawn")
    else:
        token = draw_token(args.file, args.account)
        print(json.dumps({"token": token}) if args.json else token)
    return 0
