"""``vesalius consent ACT``: which patient agreed to what; and which bundles are concerned when one withdraws."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.cli.admission import add_register, find_register, read_register
from vesalius.cli.arguments import add_output_style

if TYPE_CHECKING:
    from vesalius.privacy.consent import Register

HELP = "keep the register of patients' consent; a withdrawal names and marks the bundles that it concerns"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius consent``."""
    acts = parser.add_subparsers(
        metavar="ACT", dest="act", required=True, help="create, grant, withdraw, state or list"
    )
    create = acts.add_parser("create", description="Make a register.")
    grant = acts.add_parser("grant", description="Note that patients agree to a purpose.")
    withdraw = acts.add_parser(
        "withdraw", description="Note that patients take their consent back; name the bundles concerned, and mark them."
    )
    state = acts.add_parser("state", description="Say whether patients agree today.")
    listed = acts.add_parser("list", description="Count the patients in each state, by purpose.")
    for act in (grant, withdraw, state):
        act.add_argument("patients", nargs="*", metavar="PATIENT", help="identifiers as the data set uses them")
        act.add_argument("--patients", dest="file", metavar="FILE", help="one on each line; - reads standard input")
        act.add_argument(
            "--purpose", metavar="NAME", required=act is not withdraw, help="a word, such as training (withdraw: all)"
        )
    grant.add_argument("--from", dest="valid_from", metavar="DAY", help="first day, YYYY-MM-DD (today)")
    grant.add_argument("--until", dest="valid_until", metavar="DAY", help="last day (none)")
    withdraw.add_argument(
        "--bundles",
        action="append",
        default=[],
        metavar="FOLDER",
        help="look for bundles, zips of them and exports here, too, as often as needed",
    )
    for act in (create, grant, withdraw, state, listed):
        add_register(act)
        add_output_style(act)


def run(args: argparse.Namespace) -> int:
    """Do one of the acts."""
    acts = {"create": _create, "grant": _grant, "withdraw": _withdraw, "state": _state, "list": _list}
    return acts[args.act](args)


def _create(args: argparse.Namespace) -> int:
    from vesalius.errors import PrivacyError
    from vesalius.privacy.consent import create_register

    url, key = find_register(args)
    if url is None:
        raise PrivacyError("say where the register shall be: --register consent.sqlite")
    register = create_register(url, key=key)
    _tell(args, {"register": register.id}, "the register was made; its key lies beside it or where it was named")
    return 0


def _grant(args: argparse.Namespace) -> int:
    from vesalius.privacy.consent import grant

    patients = _patients(args)
    grant(
        read_register(args),
        patients,
        args.purpose,
        valid_from=_day(args.valid_from),
        valid_until=_day(args.valid_until),
    )
    _tell(args, {"granted": len(patients)}, f"{_count(len(patients))} agree to {args.purpose}")
    return 0


def _withdraw(args: argparse.Namespace) -> int:
    from vesalius.privacy.consent import withdraw

    patients, register = _patients(args), read_register(args)
    trainings = withdraw(register, patients, args.purpose)
    hashes = frozenset(register.hash_of(patient) for patient in patients)
    places = [Path(one.place) for one in trainings]
    rows = _marked(register, hashes, args.purpose, places, [Path(folder) for folder in args.bundles])
    if args.json:
        print(json.dumps({"withdrawn": len(hashes), "bundles": rows}))
        return 0
    print(f"{_count(len(hashes))} withdrew consent to {args.purpose or 'all purposes'}")
    for row in rows:
        who = "not known who took part" if row["patients"] is None else f"{row['patients']} of its training"
        print(f"{row['bundle']}  {who}; {'marked' if row['marked'] else row['reason']}")
    if not rows:
        print("no bundle is concerned")
    return 0


def _marked(
    register: Register, hashes: frozenset[str], purpose: str | None, places: Iterable[Path], folders: Iterable[Path]
) -> list[dict[str, object]]:
    """Mark the bundles that the register knows, and those found in folders, in which one of the patients took part."""
    from vesalius.bundle.lineage import find_bundles, mark_withdrawn, patients_of, read_provenance
    from vesalius.errors import VesaliusError
    from vesalius.privacy.consent import now, patients_at

    parts = {place: patients_at(register, str(place), purpose) for place in places}
    rows: list[dict[str, object]] = []
    for folder in folders:
        if not folder.exists():
            raise VesaliusError(f"{folder.name}: there is no such folder of bundles")
        for place in find_bundles(folder) if folder.is_dir() else [folder]:
            try:
                found = patients_of(read_provenance(place), register.id, purpose)
            except VesaliusError as error:  # the others are to be marked all the same
                rows.append({"bundle": str(place.resolve()), "patients": None, "marked": False, "reason": str(error)})
                continue
            parts[place.resolve()] = found | parts.get(place.resolve(), frozenset())
    for place, took_part in parts.items():
        if not (gone := took_part & hashes):
            continue
        row: dict[str, object] = {"bundle": str(place), "patients": len(gone), "marked": True}
        try:
            mark_withdrawn(place, register.id, gone, at=now())
        except VesaliusError as error:
            row |= {"marked": False, "reason": str(error)}
        rows.append(row)
    return rows


def _state(args: argparse.Namespace) -> int:
    from vesalius.privacy.consent import state

    register = read_register(args)
    rows = [state(register, patient, args.purpose) for patient in _patients(args)]
    if args.json:
        print(json.dumps({"states": rows}))
    else:
        print("\n".join(rows))  # in the order of the patients, who are not named
    return 0


def _list(args: argparse.Namespace) -> int:
    from vesalius.privacy.consent import count_states

    counts = count_states(read_register(args))
    if args.json:
        print(json.dumps({"purposes": counts}))
        return 0
    for purpose, states in counts.items():
        print(f"{purpose:20} {', '.join(f'{count} {name}' for name, count in states.items())}")
    if not counts:
        print("nobody has been asked yet")
    return 0


def _patients(args: argparse.Namespace) -> list[str]:
    from vesalius.errors import DataError

    lines: list[str] = []
    if args.file is not None:
        try:
            text = sys.stdin.read() if args.file == "-" else Path(args.file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise DataError(f"{Path(args.file).name}: the list of patients cannot be read as text") from None
        lines = text.splitlines()
    found = [patient.strip() for patient in (*args.patients, *lines) if patient.strip()]
    if not found:
        raise DataError("no patient is named: give identifiers, or a file of them with --patients")
    return list(dict.fromkeys(found))


def _day(text: str | None) -> datetime.date | None:
    from vesalius.errors import DataError

    try:
        return None if text is None else datetime.date.fromisoformat(text)
    except ValueError:
        raise DataError("a day is written YYYY-MM-DD") from None


def _count(patients: int) -> str:
    return "1 patient" if patients == 1 else f"{patients} patients"


def _tell(args: argparse.Namespace, told: dict[str, object], words: str) -> None:
    print(json.dumps(told) if args.json else words)
