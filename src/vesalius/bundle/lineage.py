"""Who took part in the training of a bundle, by keyed hashes; and the mark on it once somebody withdrew.

Both stand in ``provenance``: ``lineage`` holds, for each register of consent that was asked, its id, the purpose and
the hashes; ``withdrawn`` the hashes of those who took their consent back since. Nobody is known from a hash without the
register's key. A bundle that was fine-tuned has the lineage of the one that it began with, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

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
    earlier = {} if start is None else dict(start.provenance)
    found = [dict(one) for one in earlier.get(LINEAGE, ())]
    if dataset.lineage is not None:
        told = dataset.lineage
        hashes = sorted({told.patients[record.patient or record.id] for record in dataset.records})
        found.append({"register": told.register, "purpose": told.purpose, "patients": hashes})
    return {name: what for name, what in ((LINEAGE, found), (WITHDRAWN, earlier.get(WITHDRAWN))) if what}


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


def find_bundles(folder: Path) -> Iterator[Path]:
    """The bundles in a folder and below it; those inside another are part of it."""
    if (folder / DESCRIPTION).is_file():
        yield folder
        return
    for inner in sorted(one for one in folder.iterdir() if one.is_dir() and not one.is_symlink()):
        yield from find_bundles(inner)


def read_provenance(place: Path) -> dict[str, Any]:
    """The provenance of a bundle in a folder, without its weights.

    Raises:
        BundleError: It is no bundle, or damaged.
    """
    return dict(_described(place)["provenance"])


def mark_withdrawn(place: Path, register: str, hashes: Iterable[str], *, at: str) -> None:
    """Mark a bundle in whose training patients took part who have withdrawn.

    Its weights stay what they are: whether to train it anew is a decision for people. The mark is shown by
    `vesalius show`, and told whenever the bundle is used on the command line.

    Args:
        place: The bundle's folder.
        register: Id of the register in which they withdrew.
        hashes: Of those who withdrew and took part; those who are on the mark already stay there once.
        at: When, as it shall stand there.

    Raises:
        BundleError: It is no bundle in a folder, or damaged.
        VesaliusError: It cannot be written.
    """
    told = _described(place)
    provenance = told["provenance"]
    marks = [dict(one) for one in provenance.get(WITHDRAWN, ())]
    known = {patient for one in marks if one.get("register") == register for patient in one.get("patients", ())}
    if new := sorted(set(hashes) - known):
        provenance[WITHDRAWN] = [*marks, {"register": register, "at": at, "patients": new}]
        write_text(place / DESCRIPTION, json.dumps(told, indent=2, ensure_ascii=False) + "\n")


def _described(place: Path) -> dict[str, Any]:
    try:
        with (place / DESCRIPTION).open("rb") as file:
            told = json.loads(file.read(LARGEST_DESCRIPTION))
        if isinstance(told, dict) and isinstance(told["provenance"], dict):
            return told
    except (OSError, ValueError, KeyError, RecursionError):
        pass
    raise BundleError(f"{place.name}: there is no bundle in this folder, or its description is damaged")
