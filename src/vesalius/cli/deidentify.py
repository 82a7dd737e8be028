"""``vesalius deidentify FOLDER -o OUT --key FILE``: take out what says who the patients are."""

from __future__ import annotations

import argparse
import getpass
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.cli.progress import counting

if TYPE_CHECKING:
    from vesalius.privacy.folder import Report
    from vesalius.privacy.keys import Key

HELP = "take out what says who the patients are, and hold back what is not certain"

_KEPT = ("modified-dates", "full-dates", "patient-characteristics", "device", "institution", "uids", "safe-private")
_CLEANED = ("descriptors", "structured-content", "graphics", "faces")
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius deidentify``."""
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="the files, or one file; it is not changed")
    parser.add_argument("-o", "--output", metavar="OUT", help="where the results go")
    parser.add_argument("--key", metavar="FILE", help="secret that pseudonyms, UIDs and shifts follow from (asked for)")
    parser.add_argument("--new-key", metavar="FILE", help="draw a secret into a new file, and use it")
    parser.add_argument(
        "--keep", action="append", default=[], metavar="NAME,…", help=f"what stays: {', '.join(_KEPT)} (none)"
    )
    parser.add_argument(
        "--clean",
        action="append",
        default=[],
        metavar="NAME,…",
        help=f"what is cleaned rather than removed or left: {', '.join(_CLEANED)} (none)",
    )
    parser.add_argument("--skip-pixels", action="store_true", help="do not search the pixels for burnt-in text")
    parser.add_argument(
        "--no-brain-mask",
        action="store_true",
        help="with --clean faces: do not have the built-in model find the brains of MR, which takes some 10 s a head",
    )
    parser.add_argument("--dicomdir", action="store_true", help="lay DICOM out as media, and list it in a new DICOMDIR")
    parser.add_argument("--quarantine", metavar="DIR", help="where doubtful files go (OUT.quarantine)")
    parser.add_argument("--report", metavar="FILE", help="what was done, as JSON without values (OUT.report.json)")
    parser.add_argument("--links", metavar="FILE", help="encrypted table that leads back to the patients; added to")
    parser.add_argument("--links-key", metavar="FILE", help="age identity or passphrase of that table (asked for)")
    parser.add_argument("--reveal", metavar="NAME", help="say who is behind a pseudonym, by the table of --links")


def run(args: argparse.Namespace) -> int:
    """De-identify a folder, or say who is behind a pseudonym."""
    from vesalius.cli.brains import brain_finder
    from vesalius.errors import DataError
    from vesalius.io.atomic import make_folder, write_text
    from vesalius.privacy.folder import deidentify
    from vesalius.privacy.profile import make_profile

    if args.reveal is not None:
        return _reveal(args)
    if args.folder is None or args.output is None:
        raise DataError("name the folder with the files, and with -o the folder for the results")
    if args.links_key is not None and args.links is None:
        raise DataError("--links-key is the key of a table: name it with --links")
    options = [*_names(args.keep, _KEPT, "--keep"), *_names(args.clean, _CLEANED, "--clean")]
    profile = make_profile([*options, *([] if args.skip_pixels else ["pixels"])])
    # Keys first: it would be a pity to ask for one after an hour's work.
    key = _key(args)
    links_key = None if args.links is None else _links_key(args)
    out = Path(args.output)
    make_folder(out.parent)
    masked = "faces" in options and not args.no_brain_mask
    with counting("files", shown=not args.json) as progress:
        report = deidentify(
            args.folder,
            out,
            profile=profile,
            key=key,
            quarantine=args.quarantine,
            directory=args.dicomdir,
            find_brain=brain_finder() if masked else None,
            progress=progress,
        )
    said = Path(args.report) if args.report else out.with_name(f"{out.name}.report.json")
    write_text(said, report.to_json())
    if links_key is not None:
        from vesalius.privacy.links import add_links

        add_links(args.links, report.links, links_key)
    _print(report, said, as_json=args.json)
    return 0


def _print(report: Report, said: Path, *, as_json: bool) -> None:
    from vesalius.privacy.uptake import LOST

    reasons = Counter(doubt for one in report.quarantined for doubt in one.doubts)
    if as_json:
        counts = {"written": len(report.written), "quarantined": len(report.quarantined), "left_out": report.left_out}
        print(json.dumps({**counts, "reasons": reasons, "options": report.options, "report": str(said)}))
        return
    print(f"{len(report.written)} files written, {len(report.quarantined)} held back for a person to look at")
    for reason, count in reasons.most_common(_SHOWN):
        print(f"  {count} x {reason}")
    for reason, count in report.left_out.items():
        print(f"{count} left out: {reason}")
    lost = sum(LOST in one.actions for one in report.written)
    if lost:
        print(f"{lost} x {LOST}")
    print(f"report: {said}")


def _names(given: list[str], known: tuple[str, ...], argument: str) -> list[str]:
    from vesalius.errors import PrivacyError, unknown_name

    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise PrivacyError(unknown_name(f"name for {argument}", name, known))
    return names


def _key(args: argparse.Namespace) -> bytes:
    import secrets

    from vesalius.errors import DataError
    from vesalius.privacy.keys import read_secret, write_secret
    from vesalius.privacy.pseudonyms import SHORTEST_KEY_BYTES, stretch

    if args.key is not None and args.new_key is not None:
        raise DataError("--key names a secret that is there, --new-key one to be drawn: name one of the two")
    if args.new_key is not None:
        write_secret(args.new_key, secrets.token_hex(2 * SHORTEST_KEY_BYTES))
    place = args.new_key or args.key
    text = _asked("Key of the pseudonyms: ", "--key") if place is None else read_secret(place)
    return stretch(text.strip())


def _links_key(args: argparse.Namespace) -> Key:
    from vesalius.privacy.keys import Passphrase, read_key

    if args.links_key is not None:
        return read_key(args.links_key)
    return Passphrase(_asked("Passphrase of the table of links: ", "--links-key"))


def _asked(question: str, argument: str) -> str:
    from vesalius.errors import DataError

    if not sys.stdin.isatty():
        raise DataError(f"{argument} is missing, and there is no terminal to ask at: name a file")
    return getpass.getpass(question)


def _reveal(args: argparse.Namespace) -> int:
    from vesalius.errors import DataError
    from vesalius.privacy.links import read_links

    if args.links is None:
        raise DataError("--reveal needs the table that leads back: name it with --links")
    found = read_links(args.links, _links_key(args)).find(args.reveal)
    if args.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name}: {value}")
    return 0
