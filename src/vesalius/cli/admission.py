"""The consent register on the command line: what several verbs ask of it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.cli.lent import place_of

if TYPE_CHECKING:
    from vesalius.bundle import Bundle
    from vesalius.image import Dataset
    from vesalius.privacy.admission import Admission
    from vesalius.privacy.consent import Register


def add_register(parser: argparse.ArgumentParser) -> None:
    """Which register, and where its key is."""
    parser.add_argument(
        "--register",
        metavar="REGISTER",
        help="consent register: an SQLite file or postgresql://USER@HOST/DATABASE?password_file=FILE "
        "(that of vesalius-privacy.toml, where there is one)",
    )
    parser.add_argument("--register-key", metavar="FILE", help="its key (REGISTER.key)")


def add_admission(parser: argparse.ArgumentParser) -> None:
    """For which purpose a data set is used, and whom to ask."""
    parser.add_argument(
        "--purpose", metavar="NAME", help="use only patients who agree to it, as the consent register has it"
    )
    add_register(parser)


def read_admission(args: argparse.Namespace) -> Admission | None:
    """Who decides over the cases of ``args.folder``; nobody where no register is configured."""
    from vesalius.privacy.rules import find_rules

    place = place_of(args, args.folder)
    asked = (args.purpose, args.register, args.register_key)
    if asked == (None, None, None) and find_rules(place) is None:
        return None  # without the extra that a register needs
    from vesalius.privacy.admission import find_admission

    return find_admission(place, purpose=args.purpose, register=args.register, key=args.register_key)


def read_register(args: argparse.Namespace) -> Register:
    """The register that is named, or that of the rules of the current folder."""
    from vesalius.errors import PrivacyError
    from vesalius.privacy.consent import open_register

    url, key = find_register(args)
    if url is None:
        raise PrivacyError("no register of consent is configured here: name one with --register")
    return open_register(url, key=key)


def find_register(args: argparse.Namespace) -> tuple[str | None, Path | None]:
    """Where the register and its key are."""
    from vesalius.privacy.rules import find_rules

    key = None if args.register_key is None else Path(args.register_key)
    if args.register is not None:
        return args.register, key
    rules = find_rules(Path.cwd())
    if rules is None or not rules.register:
        return None, key
    return rules.register, key or rules.register_key


def note_begun(admission: Admission | None, dataset: Dataset, out: Path, start: Bundle | None) -> None:
    """Tell the register who takes part in a training, before it begins."""
    if admission is None:
        return
    from vesalius.bundle.lineage import lineage_of, patients_of
    from vesalius.privacy.consent import note_training

    provenance = lineage_of(dataset.with_reference(), start)
    hashes = patients_of(provenance, admission.register.id)
    note_training(admission.register, str(out.resolve()), admission.purpose, hashes)


def mark_withdrawals(admission: Admission | None, out: Path) -> int:
    """Mark a bundle whose patients withdrew while it was trained; gives how many did."""
    if admission is None:
        return 0
    from vesalius.bundle.lineage import mark_withdrawn
    from vesalius.privacy.consent import no_longer_agreeing, now, patients_at

    patients = patients_at(admission.register, str(out.resolve()), admission.purpose)
    gone = no_longer_agreeing(admission.register, patients, admission.purpose)
    if gone:
        mark_withdrawn(out, admission.register.id, gone, at=now())
    return len(gone)


def warn_of_withdrawals(bundle: Bundle, name: str, *, backend: str = "") -> None:
    """Say that a bundle is marked, or the export of it that computes in its place.

    Args:
        bundle: The segmenter.
        name: Of the bundle, as it was named.
        backend: What computes it; where that is a folder, an export.
    """
    from vesalius.bundle.lineage import read_provenance, withdrawal_words, withdrawn_from

    told = {Path(name).name: withdrawn_from(bundle.provenance)}
    if backend and Path(backend).is_dir():
        told[Path(backend).name] = withdrawn_from(read_provenance(Path(backend)))
    for what, count in told.items():
        if count:
            print(f"vesalius: {what}: {withdrawal_words(count)}", file=sys.stderr)
