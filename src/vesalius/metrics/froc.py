"""Free-response ROC of points with a confidence, and its mean sensitivity (CPM), as LUNA16 defines them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.io.points import Mark

_UNMEASURED_MM = 10.0  # diameter of a finding that nobody measured (Source: LUNA16's evaluation script)

RATES: tuple[float, ...] = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
"""False positives a scan at which LUNA16 reads the sensitivity."""


@dataclass(frozen=True)
class Finding:
    """Something that readers marked, a nodule for example.

    Args:
        scan: Name of its scan.
        centre_mm: Where it is, mm.
        diameter_mm: How large it is, mm; a candidate nearer to its centre than half of this hits it.
        irrelevant: It need not be found, and candidates that hit it are neither right nor wrong (LUNA16: nodules below
            3 mm, those that fewer than three of four readers marked, and non-nodules).
    """

    scan: str
    centre_mm: tuple[float, ...]
    diameter_mm: float
    irrelevant: bool = False


@dataclass(frozen=True)
class Candidate:
    """What the detector says.

    Args:
        scan: Name of its scan.
        centre_mm: Where, mm.
        confidence: How sure it is; any finite number, higher is surer.
    """

    scan: str
    centre_mm: tuple[float, ...]
    confidence: float


_Thing = TypeVar("_Thing", Candidate, Finding)


@dataclass(frozen=True, eq=False)
class Froc:
    """The curve, and what is read off it.

    Args:
        false_positives_per_scan: ``(n,)``, rising from 0; one point for each confidence that occurs, and (0, 0).
        sensitivity: ``(n,)``, share of the findings that are hit at this confidence or above.
        confidences: ``(n,)``, infinite at (0, 0).
        rates: Where the sensitivity was read off, false positives a scan.
        at_rates: The sensitivity there, by straight lines between the points; beyond the last point its own.
        cpm: Mean of ``at_rates``: the competition performance metric.
        low: Lower end of its 95 % bootstrap interval; NaN with fewer than two scans or without resamples.
        high: Upper end.
        findings: How many there were to be found.
        false_positives: Candidates that hit nothing, of any confidence.
        doubles: Candidates that hit a finding that a surer one hits, too: neither right nor wrong.
        ignored: Candidates that hit nothing but irrelevant findings.
    """

    false_positives_per_scan: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    confidences: NDArray[np.float64]
    rates: tuple[float, ...]
    at_rates: tuple[float, ...]
    cpm: float
    low: float
    high: float
    findings: int
    false_positives: int
    doubles: int
    ignored: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not a number or not finite is None."""

        def plain(values: Iterable[float]) -> list[float | None]:
            return [float(value) if math.isfinite(value) else None for value in values]

        cpm, low, high = plain((self.cpm, self.low, self.high))
        counts = ("findings", "false_positives", "doubles", "ignored")
        return {
            "cpm": cpm,
            "cpm_low": low,
            "cpm_high": high,
            "false_positives_per_scan": list(self.rates),
            "sensitivity": plain(self.at_rates),
            **{name: getattr(self, name) for name in counts},
            "curve": {
                "false_positives_per_scan": plain(self.false_positives_per_scan),
                "sensitivity": plain(self.sensitivity),
                "confidence": plain(self.confidences),
            },
        }


def findings_of(marks: Iterable[Mark], *, irrelevant: bool = False) -> tuple[Finding, ...]:
    """The points of a table as findings.

    Args:
        marks: As `vesalius.io.points.read_marks` has them.
        irrelevant: Whether they count neither way. Those may lack a diameter, or have one below 0, as in LUNA16's
            table: 10 mm are taken for it.

    Raises:
        DataError: Something that is to be found has no diameter above 0.

    Example:
        >>> findings_of([Mark("a", (1.0, 2.0, 3.0), -1.0)], irrelevant=True)[0].diameter_mm
        10.0
    """
    found = []
    for number, mark in enumerate(marks, start=1):
        size = mark.diameter_mm if mark.diameter_mm is not None and mark.diameter_mm > 0 else None
        if size is None and not irrelevant:
            raise DataError(f"finding {number} has no diameter_mm above 0, which says how near a hit must be")
        found.append(Finding(mark.series, mark.centre_mm, size or _UNMEASURED_MM, irrelevant))
    return tuple(found)


def candidates_of(marks: Iterable[Mark]) -> tuple[Candidate, ...]:
    """The points of a table as candidates.

    Args:
        marks: As `vesalius.io.points.read_marks` has them.

    Raises:
        DataError: One has no probability.

    Example:
        >>> candidates_of([Mark("a", (1.0, 2.0, 3.0), probability=0.75)])[0].confidence
        0.75
    """
    said = []
    for number, mark in enumerate(marks, start=1):
        if mark.probability is None:
            raise DataError(f"candidate {number} has no probability: the table needs a column of that name")
        said.append(Candidate(mark.series, mark.centre_mm, mark.probability))
    return tuple(said)


def froc(
    candidates: Sequence[Candidate],
    findings: Sequence[Finding],
    *,
    scans: Sequence[str],
    rates: Sequence[float] = RATES,
    most_per_scan: int | None = 100,
    resamples: int = 1000,
    seed: int = 0,
) -> Froc:
    """Score a detector as LUNA16 does.

    A finding is hit by candidates nearer to its centre than its radius, and counts once, at the confidence of the
    surest of them. A candidate that hits no finding is a false positive, unless it hits an irrelevant one.

    Args:
        candidates: Of all scans.
        findings: Of all scans, irrelevant ones included.
        scans: All scans that were searched, those without a finding or candidate too: they are what false positives
            are counted per.
        rates: Where to read the sensitivity off, false positives a scan, each above 0.
        most_per_scan: Only so many candidates of a scan count, the surest; where the first that is left out is as sure
            as some that would stay, those go too. None keeps all.
        resamples: Of the scans, for the interval; 0 leaves it out.
        seed: Of the resampling.

    Returns:
        The curve and its mean sensitivity. Without a finding to be found sensitivities are NaN; without candidates 0.

    Raises:
        DataError: There are no scans, one is named twice, a finding or candidate lies in none of them, or a number is
            not finite or out of range.

    Example:
        >>> nodule = Finding("a", (10.0, 20.0, 30.0), 8.0)
        >>> said = [Candidate("a", (12.0, 20.0, 30.0), 0.9), Candidate("b", (0.0, 0.0, 0.0), 0.5)]
        >>> found = froc(said, [nodule], scans=["a", "b"])
        >>> found.cpm, found.false_positives
        (1.0, 1)

    Source: Setio et al., Medical Image Analysis 42:1, 2017, doi:10.1016/j.media.2017.06.015, and the challenge's
    evaluation script (strictly nearer than the radius; the hundred surest marks; straight lines between points; 1000
    resamples of scans). CPM: Niemeijer et al., IEEE TMI 30:215, 2011, doi:10.1109/TMI.2010.2072789.
    """
    _check(candidates, findings, scans, rates, most_per_scan, resamples)
    place = {scan: n for n, scan in enumerate(scans)}
    said, marked = _by_scan(candidates, place), _by_scan(findings, place)
    events: list[tuple[int, float, bool]] = []  # scan, confidence, whether it is a hit
    relevant = np.zeros(len(scans))
    doubles = ignored = 0
    for scan, number in place.items():
        hits, spurious, more, passed = _of_scan(_surest(said[scan], most_per_scan), marked[scan])
        relevant[number] = sum(not one.irrelevant for one in marked[scan])
        events += [(number, value, True) for value in hits] + [(number, value, False) for value in spurious]
        doubles, ignored = doubles + more, ignored + passed
    owner = np.array([event[0] for event in events], np.intp)
    confidence = np.array([event[1] for event in events], np.float64)
    right = np.array([event[2] for event in events], np.bool_)
    order = np.argsort(-confidence, kind="stable")
    owner, confidence, right = owner[order], confidence[order], right[order]
    # A point of the curve stands at the last of several events of one confidence: they come together.
    last = np.append(np.flatnonzero(np.diff(confidence)), confidence.size - 1) if confidence.size else owner

    def curve(drawn: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        weight = drawn[owner]
        wrong = np.concatenate([[0.0], np.cumsum(weight * ~right)[last]]) / len(scans)
        found = np.concatenate([[0.0], np.cumsum(weight * right)[last]])
        total = float(drawn @ relevant)
        return wrong, found / total if total else np.full(found.shape, np.nan)

    rate, sensitivity = curve(np.ones(len(scans)))
    at_rates = np.interp(rates, rate, sensitivity)
    low, high = math.nan, math.nan
    if resamples and len(scans) > 1 and relevant.any():
        generator = np.random.default_rng(seed)
        times = generator.multinomial(len(scans), np.full(len(scans), 1 / len(scans)), size=resamples)
        means = [float(np.interp(rates, *curve(drawn)).mean()) for drawn in times.astype(np.float64)]
        known = [mean for mean in means if not math.isnan(mean)]  # a resample without a finding says nothing
        low, high = (float(v) for v in np.percentile(known, (2.5, 97.5))) if known else (low, high)
    return Froc(
        false_positives_per_scan=rate,
        sensitivity=sensitivity,
        confidences=np.concatenate([[np.inf], confidence[last]]),
        rates=tuple(float(r) for r in rates),
        at_rates=tuple(at_rates.tolist()),
        cpm=float(at_rates.mean()),
        low=low,
        high=high,
        findings=int(relevant.sum()),
        false_positives=int((~right).sum()),
        doubles=doubles,
        ignored=ignored,
    )


def _check(
    candidates: Sequence[Candidate],
    findings: Sequence[Finding],
    scans: Sequence[str],
    rates: Sequence[float],
    most_per_scan: int | None,
    resamples: int,
) -> None:
    known = set(scans)
    if not scans or len(known) < len(scans):
        raise DataError("scans must name every scan that was searched once; there are none, or one occurs twice")
    if not rates or not all(0 < rate < math.inf for rate in rates):
        raise DataError(f"rates must be positive numbers of false positives a scan, not {tuple(rates)}")
    if resamples < 0 or (most_per_scan is not None and most_per_scan < 1):
        raise DataError(f"resamples must be 0 or more and most_per_scan 1 or more, not {resamples} and {most_per_scan}")
    kinds: tuple[tuple[str, Sequence[Candidate | Finding]], ...] = (("candidate", candidates), ("finding", findings))
    for kind, things in kinds:
        for number, one in enumerate(things):
            if one.scan not in known:
                raise DataError(f"{kind} {number} lies in a scan that is not one of the {len(known)} scans")
            size = one.confidence if isinstance(one, Candidate) else one.diameter_mm
            if not (np.isfinite(one.centre_mm).all() and math.isfinite(size)):
                raise DataError(f"{kind} {number} holds a number that is not finite")
            if isinstance(one, Finding) and not size > 0:
                raise DataError(f"finding {number} must have a diameter above 0 mm, not {size}")
    if len({len(one.centre_mm) for _, things in kinds for one in things}) > 1:
        raise DataError("centres must all have 2 or all have 3 coordinates")


def _by_scan(things: Sequence[_Thing], place: dict[str, int]) -> dict[str, list[_Thing]]:
    sorted_out: dict[str, list[_Thing]] = defaultdict(list, {scan: [] for scan in place})
    for one in things:
        sorted_out[one.scan].append(one)
    return sorted_out


def _surest(candidates: list[Candidate], most: int | None) -> list[Candidate]:
    if most is None or len(candidates) <= most:
        return candidates
    limit = sorted((one.confidence for one in candidates), reverse=True)[most]
    return [one for one in candidates if one.confidence > limit]


def _of_scan(candidates: list[Candidate], findings: list[Finding]) -> tuple[list[float], list[float], int, int]:
    """Confidences of the hits and of the false positives of a scan, and how many candidates count as neither."""
    if not candidates or not findings:
        return [], [one.confidence for one in candidates], 0, 0
    at = np.array([one.centre_mm for one in candidates])
    sure = np.array([one.confidence for one in candidates])
    centres = np.array([one.centre_mm for one in findings])
    radii = np.array([one.diameter_mm for one in findings]) / 2
    inside = ((at[:, None] - centres[None]) ** 2).sum(axis=2) < radii**2
    wanted = np.array([not one.irrelevant for one in findings])
    hits = [float(sure[inside[:, n]].max()) for n in np.flatnonzero(wanted) if inside[:, n].any()]
    some, relevant = inside.any(axis=1), inside[:, wanted].any(axis=1)
    more = sum(max(0, int(inside[:, n].sum()) - 1) for n in np.flatnonzero(wanted))
    return hits, sure[~some].tolist(), more, int((some & ~relevant).sum())
