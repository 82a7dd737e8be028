"""Lung nodules in CT, from LUNA16 or LIDC-IDRI: lungs, candidates, a second look by a network, shapes and sizes, FROC.

The way: the lungs by classical means; blobs in them, many more than there are nodules; a 3D classifier of patches that
was taught on nodules and on the blobs that are none; and what it finds is segmented and measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vesalius.bundle import Bundle
from vesalius.errors import DataError, VesaliusError
from vesalius.image import Grid
from vesalius.io.points import Mark, write_marks
from vesalius.metrics.froc import Candidate, Finding, froc
from vesalius.predict import Segmenter, load_segmenter
from vesalius.report import Section
from vesalius.studies.lung_nodule.growth import days_of, follow
from vesalius.studies.lung_nodule.learning import confidence, judge, teach
from vesalius.studies.lung_nodule.measuring import Nodule, measure_nodules
from vesalius.studies.lung_nodule.pages import findings_section, froc_section, hit_by, write_findings
from vesalius.studies.lung_nodule.sample import write_luna16
from vesalius.studies.lung_nodule.scans import Scan, read_scans
from vesalius.studies.lung_nodule.search import MOST, Searched, check_places, search
from vesalius.studies.lung_nodule.shapes import teach_shapes
from vesalius.studies.study import Outcome, Setting, write_study

TITLE = "Lung nodules in CT"
DATA = "LUNA16 (subset0 … subset9, annotations.csv) or LIDC-IDRI (DICOM series with the readers' XML)"

CANDIDATES, SHAPES = "nodule-candidates", "nodule-shapes"
"""The bundles: of the network that judges candidates, and of the one that draws nodules where masks taught it."""

_FOLD_S = 3600.0  # a budget of so much for each subset trains a network for each
_CHECKED = 6  # scans whose annotations are held against the lungs before anything is learnt


@dataclass(frozen=True, eq=False)
class _Judged:
    """The scans of a subset, judged by a network that has not seen them."""

    searched: Sequence[Searched]
    chances: Sequence[Sequence[float]]
    nodules: tuple[Nodule, ...]


def run(data: Path, out: Path, setting: Setting) -> Outcome:
    """Learn from all subsets but one, find the nodules of that one, and score by LUNA16's rules.

    With an hour of budget for each subset, each is held out once, as the challenge asks. With ``setting.trained``
    nothing is learnt: new scans (LUNA16, a DICOM folder, a file, a manifest) are searched, and nothing is scored.

    Args:
        data: The data set, or new scans.
        out: Folder of the results.
        setting: Budget, device, seed.

    Returns:
        Scores: ``cpm`` and what belongs to it; none for new scans.

    Raises:
        DataError: The data cannot serve; the message says why.
        VesaliusError: A file cannot be read or written.
    """
    if setting.trained is not None:
        return _apply(data, out, setting, setting.trained)
    scans, repairs, layout = read_scans(data)
    subsets = sorted({scan.subset for scan in scans}, key=lambda name: (len(name), name))
    if len(subsets) < 2:
        raise DataError(f"{data.name}: one subset is held out and the others are learnt from, but there is one only")
    found, more = _search_all(scans, out / "work", setting)
    repairs = (*repairs, *more)
    held_out = _held_out(subsets, found, setting)
    judged = []
    for number, subset in enumerate(held_out):
        setting.note(f"learning from all but subset {subset}")
        teaching = [one for one in found if one.scan.subset != subset]
        suffix = "" if len(held_out) == 1 else f"-{subset}"
        share = 1 / len(held_out)
        shapes = None
        if layout == "lidc":
            share /= 2
            teach_shapes(teaching, out / "bundles" / f"{SHAPES}{suffix}", setting, share=share)
            shapes = load_segmenter(out / "bundles" / f"{SHAPES}{suffix}", device=setting.device)
        bundle = teach(teaching, out / "bundles" / f"{CANDIDATES}{suffix}", setting, share=share)
        setting.note(f"finding the nodules of subset {subset} ({number + 1} of {len(held_out)})")
        judged.append(_judge([one for one in found if one.scan.subset == subset], bundle, shapes, setting))
    return _report(judged, out, repairs, len(scans))


def write_sample(folder: Path, *, seed: int = 0) -> None:
    """Write nine synthetic chests in three subsets, as LUNA16 would be; see `write_luna16`."""
    write_luna16(folder, seed=seed)


def _search_all(scans: Sequence[Scan], work: Path, setting: Setting) -> tuple[list[Searched], tuple[str, ...]]:
    """The first look at each scan; one that cannot be read is left out, and said so."""
    found: list[Searched] = []
    repairs = []
    for number, scan in enumerate(scans, start=1):
        setting.note(f"lungs and candidates of scan {number} of {len(scans)}")
        try:
            found.append(search(scan, work))
        except VesaliusError as error:
            repairs.append(f"{scan.id}: {error}; it was left out")
        if len([one for one in found if one.scan.findings]) == _CHECKED:
            check_places(found)
    if not found:
        raise DataError("no scan can be used: " + "; ".join(repairs[:3]))
    check_places(found)
    return found, tuple(repairs)


def _held_out(subsets: Sequence[str], found: Sequence[Searched], setting: Setting) -> list[str]:
    """All subsets if there is an hour for each, else the last that holds a nodule."""
    usable = [s for s in subsets if any(one.scan.subset == s for one in found)]
    if setting.steps is None and setting.budget_s >= _FOLD_S * len(usable):
        return usable
    relevant = {one.scan.subset for one in found for f in one.scan.findings if not f.irrelevant}
    last = [s for s in usable if s in relevant][-1:]
    if not last:
        raise DataError("no scan that can be read holds a nodule")
    return last


def _judge(searched: Sequence[Searched], bundle: Bundle, shapes: Segmenter | None, setting: Setting) -> _Judged:
    chances = [judge(one, bundle, device=setting.device) for one in searched]
    nodules = [measure_nodules(one, said, segmenter=shapes) for one, said in zip(searched, chances, strict=True)]
    return _Judged(searched, chances, tuple(nodule for some in nodules for nodule in some))


def _report(judged: Sequence[_Judged], out: Path, repairs: tuple[str, ...], scans: int) -> Outcome:
    searched = [one for part in judged for one in part.searched]
    nodules = [nodule for part in judged for nodule in part.nodules]
    findings = [finding for one in searched for finding in one.scan.findings]
    names = [one.scan.id for one in searched]
    second, first = _candidates(judged)
    curves = {
        "second look (network)": froc(second, findings, scans=names),
        "first look (blobs)": froc(first, findings, scans=names),
    }
    write_marks([Mark(c.scan, _three(c.centre_mm), probability=c.confidence) for c in second], out / "candidates.csv")
    write_findings(nodules, {one.scan.id: one.fields().grid for one in searched}, out)
    curve, blobs = curves.values()
    errors = _errors(nodules, findings)
    scores = {
        "cpm": curve.cpm,
        "sensitivity_at_1_per_scan": curve.at_rates[curve.rates.index(1.0)],
        "sensitivity_at_4_per_scan": curve.at_rates[curve.rates.index(4.0)],
        "cpm_of_first_look": blobs.cpm,
        "sensitivity_of_candidates": float(blobs.sensitivity[-1]),
        "candidates_per_scan": len(first) / len(names),
        "diameter_error_mm": float(np.mean(np.abs(errors))) if errors else float("nan"),
    }
    scores = {name: value for name, value in scores.items() if np.isfinite(value)}
    held = f"{len(searched)} scans of {len(judged)} subset{'s' if len(judged) > 1 else ''} that were not learnt from"
    told = (
        f"At most {MOST} candidates of a scan are looked at again. Whatever is a nodule rather than not is segmented "
        "and measured; the size class is what Lung-RADS v2022 gives a solid nodule of that size, not a diagnosis."
    )
    if errors:
        told += (
            f" Of {len(errors)} that readers marked, too, the diameter of a ball of the measured volume differs from "
            f"theirs by {np.mean(np.abs(errors)):.1f} mm on average ({np.mean(errors):+.1f} mm)."
        )
    where = {one.scan.id: one.scan for one in searched}
    sections: list[Section] = [
        froc_section(curves, len(names)),
        findings_section(nodules, where, heading="What was found", text=told, findings=findings),
    ]
    return write_study(
        out,
        title=TITLE,
        data=DATA,
        lead=f"{scans} scans; found and scored: {held}.",
        sections=sections,
        scores=scores,
        repairs=repairs,
        provenance={"limits": "For research use only; not a medical device."},
    )


def _apply(data: Path, out: Path, setting: Setting, trained: Path) -> Outcome:
    """Find the nodules of new scans with the networks of an earlier run."""
    bundle = Bundle.load(_bundle_of(trained, CANDIDATES))
    shapes = None
    if any((trained / "bundles").glob(f"{SHAPES}*")):
        shapes = load_segmenter(_bundle_of(trained, SHAPES), device=setting.device)
    scans, repairs, _ = read_scans(data, references=False)
    days = days_of(scans)
    found, more = _search_all(scans, out / "work", setting)
    setting.note("judging candidates and measuring nodules")
    judged = _judge(found, bundle, shapes, setting)
    by_scan = {one.scan.id: [n for n in judged.nodules if n.scan == one.scan.id] for one in found}
    by_scan = follow(by_scan, [one.scan for one in found], days)
    nodules = [nodule for some in by_scan.values() for nodule in some]
    grids: dict[str, Grid] = {one.scan.id: one.fields().grid for one in found}
    write_findings(nodules, grids, out)
    text = (
        f"{len(nodules)} nodules in {len(found)} scans. Nobody has checked them. The size class is what Lung-RADS "
        "v2022 gives a solid nodule of that size, not a diagnosis."
    )
    section = findings_section(nodules, {one.scan.id: one.scan for one in found}, heading="What was found", text=text)
    return write_study(
        out,
        title=TITLE,
        data="new scans, without references",
        lead="Found by the networks of an earlier run.",
        sections=[section],
        scores={},
        repairs=(*repairs, *more),
        provenance={"network": bundle.card.name, "limits": "For research use only; not a medical device."},
    )


def _bundle_of(trained: Path, name: str) -> Path:
    """A bundle of an earlier run; of several folds the first."""
    places = sorted((trained / "bundles").glob(f"{name}*"))
    if not places:
        raise DataError(f"{trained.name}: not the results of this study: it holds no bundles/{name}")
    return places[0]


def _candidates(judged: Sequence[_Judged]) -> tuple[list[Candidate], list[Candidate]]:
    """What the second and the first look say."""
    second, first = [], []
    for part in judged:
        for one, chances in zip(part.searched, part.chances, strict=True):
            for blob, chance in zip(one.blobs, chances, strict=True):
                second.append(Candidate(one.scan.id, blob.centre_mm, confidence(blob, chance)))
                first.append(Candidate(one.scan.id, blob.centre_mm, blob.strength))
            # What is larger than the network sees is not in doubt.
            second += [Candidate(one.scan.id, mass.centre_mm, 1.0) for mass in one.masses]
    return second, first


def _errors(nodules: Sequence[Nodule], findings: Sequence[Finding]) -> list[float]:
    """Measured minus marked diameter of what was marked, mm."""
    errors = []
    for nodule in nodules:
        hit = hit_by(nodule, findings)
        if hit is not None and not hit.irrelevant:
            errors.append((6000 * nodule.volume_ml / np.pi) ** (1 / 3) - hit.diameter_mm)
    return errors


def _three(centre: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = centre
    return (x, y, z)
