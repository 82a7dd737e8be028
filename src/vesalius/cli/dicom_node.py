"""``vesalius dicom-node ACTION``: a node of the hospital's network, and the questions that one asks others."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.arguments import add_output_style

if TYPE_CHECKING:
    from vesalius.server.node.limits import Limits
    from vesalius.server.node.peers import Caller
    from vesalius.server.node.tls import Tls

HELP = "a DICOM node: receive, segment by rules, send back; ask others what they have"

_PORT, _TITLE = 11112, "VESALIUS"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions of ``vesalius dicom-node``, and the arguments of each."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True, help="one of those below")
    _add_serve(_action(actions, "serve", "listen, keep what arrives, carry out rules, until interrupted"))
    _add_peer(_action(actions, "echo", "ask whether a peer is there (C-ECHO)"))
    find = _action(actions, "find", "ask a peer what it has (C-FIND)")
    _add_peer(find)
    find.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="KEYWORD=VALUE",
        help="to match (* and ?), as often as wanted; without =VALUE what is to be told",
    )
    find.add_argument("--level", choices=("study", "series", "image"), default="study", help="of what (study)")
    get = _action(actions, "get", "fetch from a peer over the same connection (C-GET)")
    _add_peer(get)
    _add_uids(get)
    get.add_argument("-o", "--store", required=True, metavar="FOLDER", help="the store to put it into")
    move = _action(actions, "move", "have a peer send to a node that listens (C-MOVE)")
    _add_peer(move)
    _add_uids(move)
    move.add_argument("--to", required=True, metavar="TITLE", help="AE title of who gets it; the peer must know it")
    send = _action(actions, "send", "send files or folders to a peer (C-STORE)")
    _add_peer(send)
    send.add_argument("files", nargs="+", metavar="FILE", help="DICOM files, or folders of them")
    status = _action(actions, "status", "count what a store holds and what is to be done")
    status.add_argument("store", metavar="FOLDER", help="the store; the node may be running")


def run(args: argparse.Namespace) -> int:
    """Do what the action says."""
    doing = {"serve": _serve, "status": _status, "send": _send, "get": _get, "move": _move, "find": _find}
    return doing.get(args.action, _echo)(args)


def _action(actions: Any, name: str, told: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = actions.add_parser(name, help=told, description=told, allow_abbrev=False)
    add_output_style(made)
    return made


# --- the node ---------------------------------------------------------------------------------------------------------


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", metavar="FOLDER", help="where objects are kept; made when it is missing")
    parser.add_argument("--rules", metavar="FILE", help="what is done with what arrives: TOML or JSON")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (127.0.0.1: this machine alone)")
    parser.add_argument("--port", type=int, default=_PORT, help=f"0 takes a free one ({_PORT})")
    parser.add_argument(
        "--allow-title", action="append", default=[], metavar="TITLE", help="AE title that may call (all)"
    )
    parser.add_argument(
        "--allow-network", action="append", default=[], metavar="NETWORK", help="addresses that may: 10.0.0.0/8"
    )
    parser.add_argument("--associations", type=int, default=10, metavar="N", help="at once, at most (10)")
    parser.add_argument("--max-pdu", type=int, default=128, metavar="KIB", help="longest PDU (128)")
    parser.add_argument("--max-object", type=int, default=1024, metavar="MIB", help="largest object (1024)")
    parser.add_argument("--retry", type=float, default=10.0, metavar="SECONDS", help="before the first try again (10)")
    parser.add_argument("--web-port", type=int, metavar="PORT", help="serve DICOMweb there, too; needs roles")
    parser.add_argument("--web-url", metavar="URL", help="of DICOMweb as others know it, behind a proxy")
    parser.add_argument(
        "--web-origin", action="append", default=[], metavar="ORIGIN", help="pages that browsers let ask (CORS; none)"
    )
    parser.add_argument("--web-tokens", metavar="FILE", help=argparse.SUPPRESS)  # what roles replaced, to say so
    _add_own(parser)


def _serve(args: argparse.Namespace) -> int:
    import signal
    import threading

    from vesalius.errors import VesaliusError
    from vesalius.server.guard import guard_of
    from vesalius.server.node.listen import Door
    from vesalius.server.rules import read_rules
    from vesalius.server.station import serving_web, station

    if args.web_tokens is not None:
        raise VesaliusError(
            "--web-tokens is no more: tokens belong to accounts with roles. `vesalius access create access.json` makes "
            "a file of roles, `vesalius access adopt access.json TOKENS` takes your tokens over, and a line "
            '`access = "access.json"` in vesalius-privacy.toml, beside the store, puts it to use'
        )
    if args.web_port is None and (args.web_url or args.web_origin):
        raise VesaliusError("--web-url and --web-origin need --web-port")
    guard = guard_of(args.store)
    door = Door(
        args.title,
        args.host,
        args.port,
        tuple(args.allow_title),
        tuple(args.allow_network),
        _limits(args),
        _tls(args),
    )
    rules = read_rules(args.rules) if args.rules else None
    beside = None
    if args.web_port is not None:
        beside = serving_web(door, args.web_port, guard, public=args.web_url, origins=args.web_origin)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _told_log(), station(args.store, door, rules, retry_s=args.retry, beside=beside, guard=guard) as port:
        if args.json:
            print(json.dumps({"ae_title": door.ae_title, "host": door.host, "port": port}), flush=True)
        else:
            print(f"{door.ae_title} listens at {door.host}:{port}", flush=True)
        stop.wait()
    return 0


@contextlib.contextmanager
def _told_log() -> Iterator[None]:
    """The node's own log on standard error: it holds no identifiers."""
    import logging

    shown = logging.StreamHandler(sys.stderr)
    shown.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("vesalius.server")
    before = log.level
    log.addHandler(shown)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(shown)
        log.setLevel(before)


def _status(args: argparse.Namespace) -> int:
    from vesalius.server.queue import look

    told = look(Path(args.store))
    if args.json:
        print(json.dumps(told))
        return 0
    for name, states in told.items():
        print(f"{name:12} {', '.join(f'{count} {state}' for state, count in states.items()) or 'none'}")
    return 0


# --- questions to others ----------------------------------------------------------------------------------------------


def _add_peer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("peer", metavar="PEER", help="TITLE@HOST:PORT")
    _add_own(parser)


def _add_own(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--title", default=_TITLE, help=f"AE title of this node ({_TITLE})")
    parser.add_argument("--tls-certificate", metavar="FILE", help="of this node, PEM; all three or none")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key, readable to its owner alone")
    parser.add_argument("--tls-authority", metavar="FILE", help="certificates of those whose signature is believed")


def _add_uids(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", required=True, metavar="UID", help="Study Instance UID")
    parser.add_argument("--series", metavar="UID", help="Series Instance UID (the whole study)")
    parser.add_argument("--instance", metavar="UID", help="SOP Instance UID (the whole series)")


def _limits(args: argparse.Namespace) -> Limits:
    from vesalius.errors import VesaliusError
    from vesalius.server.node.limits import Limits

    if min(args.associations, args.max_object) < 1 or args.max_pdu < 4:
        raise VesaliusError("--associations and --max-object are 1 or more, --max-pdu 4 or more")
    size = args.max_object << 20
    return Limits(args.associations, args.max_pdu << 10, size, max(2 * size, Limits.held_bytes))


def _tls(args: argparse.Namespace) -> Tls | None:
    from vesalius.errors import VesaliusError
    from vesalius.server.node.tls import Tls

    files = (args.tls_certificate, args.tls_key, args.tls_authority)
    if not any(files):
        return None
    if not all(files):
        raise VesaliusError("--tls-certificate, --tls-key and --tls-authority go together")
    certificate, key, authority = map(Path, files)
    return Tls(certificate, key, authority)


def _caller(args: argparse.Namespace) -> Caller:
    from vesalius.server.node.peers import Caller

    return Caller(args.title, tls=_tls(args))


def _uids(args: argparse.Namespace) -> dict[str, str]:
    from vesalius.errors import VesaliusError

    if args.instance and not args.series:
        raise VesaliusError("--instance needs --series")
    named = {"StudyInstanceUID": args.study, "SeriesInstanceUID": args.series, "SOPInstanceUID": args.instance}
    return {keyword: uid for keyword, uid in named.items() if uid}


def _echo(args: argparse.Namespace) -> int:
    from vesalius.server.node.peers import parse_peer
    from vesalius.server.node.query import echo

    peer = parse_peer(args.peer)
    echo(peer, caller=_caller(args))
    print(json.dumps({"peer": peer.ae_title, "there": True}) if args.json else f"{peer.ae_title} is there")
    return 0


def _find(args: argparse.Namespace) -> int:
    from vesalius.server.node.peers import parse_peer
    from vesalius.server.node.query import find, values_told

    keys = {word.partition("=")[0]: word.partition("=")[2] for word in args.key}
    wanted = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID", "image": "SOPInstanceUID"}[args.level]
    keys.setdefault(wanted, "")
    found = find(parse_peer(args.peer), args.level.upper(), keys, caller=_caller(args))
    rows = [values_told(one, keys) for one in found]
    if args.json:
        print(json.dumps({"found": rows}))
        return 0
    for row in rows:
        print("  ".join(row[keyword] for keyword in keys))
    print(f"{len(rows)} found", file=sys.stderr)
    return 0


def _get(args: argparse.Namespace) -> int:
    from vesalius.server.node.peers import parse_peer
    from vesalius.server.node.query import get
    from vesalius.server.store import Store

    with contextlib.closing(Store(args.store)) as store:
        return _retrieved(args, get(parse_peer(args.peer), _uids(args), store, caller=_caller(args)))


def _move(args: argparse.Namespace) -> int:
    from vesalius.server.node.peers import parse_peer
    from vesalius.server.node.query import move

    return _retrieved(args, move(parse_peer(args.peer), args.to, _uids(args), caller=_caller(args)))


def _retrieved(args: argparse.Namespace, told: Any) -> int:
    if args.json:
        print(json.dumps({"completed": told.completed, "failed": told.failed, "warned": told.warned}))
    else:
        print(f"{told.completed} arrived, {told.failed} failed")
    return 1 if told.failed else 0


def _send(args: argparse.Namespace) -> int:
    from vesalius.server.node.peers import parse_peer
    from vesalius.server.node.send import parcels_of, send

    parcels, others = parcels_of(Path(name) for name in args.files)
    told = list(send(parse_peer(args.peer), parcels, caller=_caller(args)))
    failed = [one for one in told if one.fate != "stored"]
    if args.json:
        print(json.dumps({"sent": len(told) - len(failed), "failed": len(failed), "left_out": others}))
    else:
        for reason in sorted({one.reason for one in failed}):
            print(f"vesalius: not sent: {reason}", file=sys.stderr)
        print(f"{len(told) - len(failed)} sent, {len(failed)} failed, {others} files left out: no DICOM objects")
    return 1 if failed else 0
