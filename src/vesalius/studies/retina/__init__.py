"""Vessels and diabetic lesions in photographs of the retina.

Vessels: DRIVE, STARE, CHASE_DB1, by Dice and the area under the ROC curve inside the field of view, beside the second
reader. Lesions: IDRiD and DIARETDB1, by the area under precision and recall of each kind.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.bundle import Bundle, Card
from vesalius.errors import DataError
from vesalius.io.atomic import make_folder
from vesalius.io.layouts.files import find_images, stem
from vesalius.io.layouts.fundus import VESSELS, Eye, Eyes, find_eyes
from vesalius.plan import fingerprint, make_plan
from vesalius.predict import Segmenter, load_segmenter
from vesalius.report import Section
from vesalius.report.tables import write_rows
from vesalius.studies.retina.findings import lesion_section, read_new, vessel_section
from vesalius.studies.retina.sample import write_sample
from vesalius.studies.retina.teaching import prepared_set
from vesalius.studies.study import Outcome, Setting, fit_within, write_study
from vesalius.transform import Pipeline, Step

__all__ = ["DATA", "TITLE", "run", "write_sample"]

TITLE = "Vessels and lesions of the retina"
DATA = "DRIVE, STARE, CHASE_DB1 (vessels), IDRiD, DIARETDB1 (lesions), as published; one, or several side by side"

_SHARE_HELD_OUT = 4  # one patient in so many is held out where a set has no official split
_LIMITS = (
    "For photographs prepared by the step `fundus` of `vesalius preprocess`, at most 1440 pixels across. Trained on "
    "one camera: other cameras and fields of view were not tested. Not for diagnosis."
)


def run(data: Path, out: Path, setting: Setting) -> Outcome:
    """Fit a segmenter for each set that is there, score it on eyes that it never saw, and write the report.

    With ``setting.trained``, segment new photographs instead.

    Args:
        data: One of the public sets, or a folder that holds several.
        out: Folder of the results.
        setting: What may be used.

    Returns:
        For vessels Dice and AUC inside the field of view, and the second reader's Dice; for lesions their AUPR.

    Raises:
        DataError: None of the sets is there, or a set is too small to hold anybody out.
    """
    if setting.trained is not None:
        return _apply(data, out, setting)
    sets = find_eyes(data)
    for eyes in sets:
        split(eyes)  # what cannot be split is refused before anything is written
    Pipeline((Step("fundus"),)).save(out / "preprocessing.json")
    sections: list[Section] = []
    scores: dict[str, float] = {}
    repairs: list[str] = []
    for eyes in sets:
        bundle, held_out = _fit(eyes, out, setting, 1 / len(sets))
        setting.note(f"{eyes.name}: scoring {len(held_out)} eyes that were held out")
        segmenter = load_segmenter(bundle, device=setting.device)
        score = vessel_section if eyes.targets == VESSELS else lesion_section
        section, found = score(eyes.name, held_out, segmenter, make_folder(out / "held-out" / eyes.name))
        sections.append(section)
        scores |= {f"{eyes.name}: {name}": value for name, value in found.items()}
        repairs += eyes.notes
    return write_study(
        out,
        title=TITLE,
        data=DATA,
        lead="Each figure is on eyes of patients that the segmenter never saw.",
        sections=sections,
        scores=scores,
        repairs=repairs,
    )


def split(eyes: Eyes) -> tuple[list[Eye], list[Eye]]:
    """Who teaches and who is held out: the official split, or else the last quarter of the patients, rounded up.

    Of the 14 patients of CHASE_DB1 that holds out the last four with their eight photographs, as is usual.

    Args:
        eyes: A set.

    Returns:
        The photographs to learn from, and those held out.

    Raises:
        DataError: One of both would be empty.

    Source: Fraz et al., IEEE TBME 59:2538 (2012), for CHASE_DB1: 20 photographs teach and 8 are held out.
    """
    teaching = [eye for eye in eyes.eyes if eye.part == "train"]
    held_out = [eye for eye in eyes.eyes if eye.part == "test"]
    if not teaching or not held_out:
        patients = sorted({eye.patient for eye in eyes.eyes})
        last = set(patients[len(patients) - -(-len(patients) // _SHARE_HELD_OUT) :])
        teaching = [eye for eye in eyes.eyes if eye.patient not in last]
        held_out = [eye for eye in eyes.eyes if eye.patient in last]
    if len({eye.patient for eye in teaching}) < 2 or not held_out:
        raise DataError(
            f"{eyes.name}: {len(eyes.eyes)} photographs are too few: two patients must teach and one be held out"
        )
    return teaching, held_out


def _fit(eyes: Eyes, out: Path, setting: Setting, share: float) -> tuple[Bundle, list[Eye]]:
    begun = time.monotonic()
    teaching, held_out = split(eyes)
    setting.note(f"{eyes.name}: preparing {len(teaching)} photographs")
    dataset = prepared_set(eyes, teaching, make_folder(out / "prepared" / eyes.name))
    plan = make_plan(fingerprint(dataset), setting.budget(share))
    kind = "vessels" if eyes.targets == VESSELS else "lesions"
    card = Card(
        name=f"{kind}-{eyes.name.lower()}",
        description=f"{', '.join(eyes.targets)} in photographs of the retina",
        data=eyes.name,
        limits=_LIMITS,
    )
    setting.note(f"{eyes.name}: training")
    place = out / "bundles" / card.name
    return fit_within(setting, dataset, plan, place, card=card, spent_s=time.monotonic() - begun), held_out


def _apply(data: Path, out: Path, setting: Setting) -> Outcome:
    """Segment photographs without references, and say how much of what is there."""
    assert setting.trained is not None
    segmenters = dict(_trained(setting.trained / "bundles", setting.device))
    photographs = [data] if data.is_file() else list(find_images(data))
    if not photographs:
        raise DataError(f"{data.name}: there is no photograph")
    rows = [["photograph", "bundle", "what", "share of the field, %", "places"]]
    pictures: dict[str, NDArray[np.uint8]] = {}
    for path in photographs:
        for name, segmenter in segmenters.items():
            found, picture = read_new(path, segmenter, make_folder(out / name) / f"{stem(path)}.png")
            rows += [[stem(path), name, *row] for row in found]
            if len(pictures) < _MOST_PICTURES:
                pictures[f"{stem(path)}: {name}"] = picture
    write_rows(rows, out / "findings.csv")
    text = "Places are connected pieces. The shares of lesions depend on the camera: compare with the same one only."
    section = Section("What was found", [text], rows, pictures)
    lead = f"{len(photographs)} new photographs, no references."
    return write_study(out, title=TITLE, data=DATA, lead=lead, sections=[section], scores={})


_MOST_PICTURES = 24  # in a page


def _trained(folder: Path, device: str) -> Iterator[tuple[str, Segmenter]]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not names:
        raise DataError(f"{folder.parent.name}: it holds no bundles/ of an earlier run of this study")
    for name in names:
        yield name, load_segmenter(Bundle.load(folder / name), device=device)
