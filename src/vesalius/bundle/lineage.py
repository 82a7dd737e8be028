"""Who took part in the training of a bundle, by keyed hashes; and the mark on it once somebody withdrew.

Both stand in ``provenance``: ``lineage`` holds, for each register of consent that was asked, its id, the purpose and
the hashes; ``withdrawn`` the hashes of those who took their consent back since. Nobody is known from a hash without the
register's key. A bundle that was fine-tuned has the lineage of the one that it began with, too, and an export that of
the bundle that it was made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vesalius.bundle.archive import DESCRIPTIONS, EXPORTED, described_in_archive, is_archive, replace_in_archive
from vesalius.bundle.bundle import Bundle
from vesalius.bundle.parts import DESCRIPTION, LARGEST_DESCRIPTION
from vesalius.errors import BundleError
from vesalius.image import Dataset
from vesalius.io.atomic import write_text

LINEAGE, WITHDRAWN = "lineage", "withdrawn"


def lineage_of(dataset: Dataset, start: Bundle | None = None) -> dict[str, Any]:
    """What goes into the provenance of a bundle that is learnt from a data set.

    Args:
        dataset: Its cases; held-out ones count, since they decide what is kept.
        start: The bundle that the training begins with.

    Returns:
        ``lineage`` and, where the start is marked, ``withdrawn``; nothing where no register was asked.

    Example:
        >>> from vesalius.image import Lineage, Record
        >>> held = Lineage("r1", "training", {"p1": "a0", "p2": "b1"})
        >>> case = Record("p1_left", (), patient="p1")
        >>> lineage_of(Dataset((case,), None, ("image",), load=lambda record, dataset: None, lineage=held))
        {'lineage': [{'register': 'r1', 'purpose': 'training', 'patients': ['a0']}]}
    """
    earlier = {} if start is None else lineage_from(start)
    found = [dict(one) for one in earlier.get(LINEAGE, ())]
    if dataset.lineage is not None:
        told = dataset.lineage
        hashes = sorted({told.patients[record.patient or record.id] for record in dataset.records})
        found.append({"register": told.register, "purpose": told.purpose, "patients": hashes})
    return {name: what for name, what in ((LINEAGE, found), (WITHDRAWN, earlier.get(WITHDRAWN))) if what}


def lineage_from(bundle: Bundle) -> dict[str, Any]:
    """What goes into the description of something that is made of a bundle: its lineage, and its mark."""
    return {name: bundle.provenance[name] for name in (LINEAGE, WITHDRAWN) if bundle.provenance.get(name)}


def case_names(dataset: Dataset, cases: Iterable[str]) -> list[str]:
    """How cases are named in a bundle: as they are; where a register was asked, by the hashes of their patients.

    Args:
        dataset: Whose cases they are.
        cases: Their names, which often are patients' identifiers.

    Example:
        >>> from vesalius.image import Lineage, Record
        >>> held = Lineage("r1", "training", {"p1": "a0"})
        >>> case = Record("p1_left", (), patient="p1")
        >>> case_names(Dataset((case,), None, ("image",), load=lambda record, dataset: None, lineage=held), ["p1_left"])
        ['a0']
    """
    if dataset.lineage is None:
        return list(cases)
    owners = {record.id: record.patient or record.id for record in dataset.records}
    return [dataset.lineage.patients[owners[case]] for case in cases]


def patients_of(provenance: Mapping[str, Any], register: str, purpose: str | None = None) -> frozenset[str]:
    """The hashes of all who took part, as one register has them.

    Args:
        provenance: Of a bundle.
        register: Its id.
        purpose: For which they took part; for any if left out.

    Raises:
        BundleError: The lineage is damaged.
    """
    try:
        lines = [one for one in provenance.get(LINEAGE, ()) if one["register"] == register]
        lines = [one for one in lines if purpose in (None, one["purpose"])]
        return frozenset(str(patient) for one in lines for patient in one["patients"])
    except (TypeError, KeyError):
        raise BundleError("the lineage of the bundle is damaged: who took part in its training is not known") from None


def withdrawn_from(provenance: Mapping[str, Any]) -> int:
    """How many who took part have withdrawn since, as far as the bundle is marked."""
    marks = provenance.get(WITHDRAWN, ())
    return len({(one.get("register"), patient) for one in marks for patient in one.get("patients", ())})


def withdrawal_words(count: int) -> str:
    """What is said whenever a segmenter is used whose patients withdrew.

    Example:
        >>> withdrawal_words(1), withdrawal_words(2)[:37]
        ('a patient who took part in its training has withdrawn consent', '2 patients of its training have withd')
    """
    who = "a patient who took part in its training has" if count == 1 else f"{count} patients of its training have"
    return f"{who} withdrawn consent"


def find_bundles(folder: Path) -> Iterator[Path]:
    """What was learnt, in a folder and below it: bundles in folders and in zips, and exports for other runtimes.

    What lies inside another is part of it. A folder that nobody may look into is passed over.

    Args:
        folder: Where to look.

    Yields:
        Folders, and files that are zips.
    """
    if any((folder / name).is_file() for name in DESCRIPTIONS):
        yield folder
        return
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return
    for inner in inside:
        if inner.is_symlink():
            continue
        if inner.is_dir():
            yield from find_bundles(inner)
        elif inner.suffix.lower() == ".zip" and is_archive(inner):
            yield inner


def read_provenance(place: Path) -> dict[str, Any]:
    """The provenance of a bundle or of an export, without its weights.

    Args:
        place: A folder, or a zip of one.

    Raises:
        BundleError: It is neither, or damaged.
    """
    return dict(_described(place)[1]["provenance"])


def mark_withdrawn(place: Path, register: str, hashes: Iterable[str], *, at: str) -> None:
    """Mark a bundle, or an export of one, in whose training patients took part who have withdrawn.

    Its weights stay what they are: whether to train it anew is a decision for people. The mark is shown by
    `vesalius show`, and told whenever the bundle is used on the command line.

    Args:
        place: The folder, or a zip of one, which is written anew, whole or not at all.
        register: Id of the register in which they withdrew.
        hashes: Of those who withdrew and took part; those who are on the mark already stay there once.
        at: When, as it shall stand there.

    Raises:
        BundleError: It is no bundle, or damaged.
        VesaliusError: It cannot be written.
    """
    name, told = _described(place)
    provenance = told["provenance"]
    marks = [dict(one) for one in provenance.get(WITHDRAWN, ())]
    known = {patient for one in marks if one.get("register") == register for patient in one.get("patients", ())}
    if new := sorted(set(hashes) - known):
        provenance[WITHDRAWN] = [*marks, {"register": register, "at": at, "patients": new}]
        text = json.dumps(told, indent=2, ensure_ascii=False) + "\n"
        if place.is_dir():
            write_text(place / name, text)
        else:
            replace_in_archive(place, name, text.encode())


def _described(place: Path) -> tuple[str, dict[str, Any]]:
    """The description: its name in the folder or the zip, and what it says."""
    try:
        name, text = _in_folder(place) if place.is_dir() else described_in_archive(place)
        told = json.loads(text)
        if isinstance(told, dict):
            if name.endswith(EXPORTED):
                told.setdefault("provenance", {})  # of an export of before this was told
            if isinstance(told["provenance"], dict):
                return name, told
    except (OSError, ValueError, KeyError, RecursionError):
        pass
    raise BundleError(f"{place.name}: there is no bundle or export here, or its description is damaged")


def _in_folder(place: Path) -> tuple[str, bytes]:
    name = next((name for name in DESCRIPTIONS if (place / name).is_file()), DESCRIPTION)
    with (place / name).open("rb") as file:
        return name, file.read(LARGEST_DESCRIPTION)
