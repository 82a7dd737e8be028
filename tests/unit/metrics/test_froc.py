"""FROC and CPM as LUNA16 defines them: worked out by hand, and the rules one by one."""

import math

import numpy as np
import pytest

from vesalius.errors import DataError
from vesalius.metrics.froc import RATES, Candidate, Finding, froc


def finding(scan: str, x: float, diameter: float = 10.0, *, irrelevant: bool = False) -> Finding:
    return Finding(scan, (x, 0.0, 0.0), diameter, irrelevant)


def candidate(scan: str, x: float, confidence: float) -> Candidate:
    return Candidate(scan, (x, 0.0, 0.0), confidence)


def test_a_small_case_worked_out_by_hand() -> None:
    """Four scans, four nodules to be found, one irrelevant finding, nine candidates.

    scan a: nodules at 0 and 100 (radius 5). Candidates
        0.95 at 1      hits the first
        0.60 at -4.9   hits the first again: a double, neither right nor wrong
        0.50 at 105    exactly at the radius of the second: not nearer than it, so a false positive
        0.40 at 104    hits the second
    scan b: nodule at 0; irrelevant finding at 50. Candidates
        0.90 at 52     hits the irrelevant finding only: ignored
        0.80 at 200    false positive
        0.30 at 2      hits the nodule
    scan c: nodule at 0, not found. Candidate
        0.70 at 300    false positive
    scan d: nothing to find. Candidate
        0.80 at 0      false positive

    Falling through the confidences, with H hits of 4 and F false positives of 4 scans:
        0.95  H 1 F 0   -> (0,    0.25)
        0.80  H 1 F 2   -> (0.5,  0.25)   two candidates of one confidence: one point
        0.70  H 1 F 3   -> (0.75, 0.25)
        0.50  H 1 F 4   -> (1,    0.25)
        0.40  H 2 F 4   -> (1,    0.5)
        0.30  H 3 F 4   -> (1,    0.75)
    Read off at 1/8, 1/4 and 1/2: 0.25; at 1: 0.75, the highest point there; at 2, 4 and 8, beyond the curve: 0.75.
    CPM = (3 * 0.25 + 4 * 0.75) / 7 = 3.75 / 7.
    """
    findings = [
        finding("a", 0),
        finding("a", 100),
        finding("b", 0),
        finding("b", 50, irrelevant=True),
        finding("c", 0),
    ]
    candidates = [
        candidate("a", 1, 0.95),
        candidate("a", -4.9, 0.60),
        candidate("a", 105, 0.50),
        candidate("a", 104, 0.40),
        candidate("b", 52, 0.90),
        candidate("b", 200, 0.80),
        candidate("b", 2, 0.30),
        candidate("c", 300, 0.70),
        candidate("d", 0, 0.80),
    ]
    found = froc(candidates, findings, scans=["a", "b", "c", "d"])
    assert found.confidences.tolist() == [math.inf, 0.95, 0.8, 0.7, 0.5, 0.4, 0.3]
    assert found.false_positives_per_scan.tolist() == [0, 0, 0.5, 0.75, 1, 1, 1]
    assert found.sensitivity.tolist() == [0, 0.25, 0.25, 0.25, 0.25, 0.5, 0.75]
    assert found.rates == (0.125, 0.25, 0.5, 1, 2, 4, 8)
    assert found.at_rates == (0.25, 0.25, 0.25, 0.75, 0.75, 0.75, 0.75)
    assert found.cpm == pytest.approx(3.75 / 7)
    assert (found.findings, found.false_positives, found.doubles, found.ignored) == (4, 4, 1, 1)
    assert found.low <= found.cpm <= found.high


def test_between_two_points_there_is_a_straight_line() -> None:
    """One false positive and then a hit together: from (0, 0) to (1, 1), read off at 1/8, 1/4 and 1/2 as they are."""
    found = froc([candidate("a", 0, 0.5), candidate("a", 90, 0.5)], [finding("a", 0)], scans=["a"])
    assert found.at_rates == pytest.approx((0.125, 0.25, 0.5, 1, 1, 1, 1))


def test_scikit_learns_curve_scaled_as_the_challenge_does() -> None:
    """The challenge's script takes scikit-learn's ROC curve of hits and false positives, and scales both axes."""
    roc_curve = pytest.importorskip("sklearn.metrics").roc_curve
    rng = np.random.default_rng(1)
    scans = [f"s{n}" for n in range(12)]
    findings = [finding(scan, 100.0 * n) for scan in scans for n in range(rng.integers(0, 4))]
    hits = [candidate(one.scan, one.centre_mm[0], round(rng.random(), 1)) for one in findings if rng.random() < 0.7]
    wrong = [candidate(scans[rng.integers(12)], -500.0, round(0.8 * rng.random(), 1)) for _ in range(40)]
    found = froc(hits + wrong, findings, scans=scans)
    said = [one.confidence for one in hits + wrong]
    rate, share, _ = roc_curve([1] * len(hits) + [0] * len(wrong), said)
    expected = np.interp(RATES, rate * len(wrong) / len(scans), share * len(hits) / len(findings))
    assert found.at_rates == pytest.approx(expected)


def test_one_candidate_on_two_nodules_hits_both() -> None:
    found = froc([candidate("a", 0, 0.5)], [finding("a", -2), finding("a", 2)], scans=["a"])
    assert found.cpm == 1
    assert (found.false_positives, found.doubles) == (0, 0)


def test_a_nodule_under_an_irrelevant_finding_still_counts() -> None:
    found = froc([candidate("a", 0, 0.5)], [finding("a", 0, irrelevant=True), finding("a", 0)], scans=["a"])
    assert (found.cpm, found.ignored, found.findings) == (1, 0, 1)


def test_only_the_surest_hundred_count_and_ties_at_the_border_go() -> None:
    surest = [candidate("a", 1000.0 + n, 1.0) for n in range(99)]
    tied = [candidate("a", 0, 0.5), candidate("a", 2000, 0.5)]
    found = froc(surest + tied, [finding("a", 0)], scans=["a"], rates=[200])
    assert (found.cpm, found.false_positives) == (0, 99)
    everything = froc(surest + tied, [finding("a", 0)], scans=["a"], rates=[200], most_per_scan=None)
    assert (everything.cpm, everything.false_positives) == (1, 100)


def test_nothing_said_and_nothing_to_find() -> None:
    silent = froc([], [finding("a", 0)], scans=["a", "b"])
    assert (silent.cpm, silent.low, silent.high) == (0, 0, 0)
    assert silent.sensitivity.tolist() == [0]
    nothing = froc([candidate("a", 0, 0.5)], [finding("a", 0, irrelevant=True)], scans=["a", "b"])
    assert math.isnan(nothing.cpm)
    assert math.isnan(nothing.low)


def test_the_interval_is_that_of_the_scans_and_repeats_itself() -> None:
    """Of each scan's one nodule half is found, without false positives: sensitivity is a mean of n coin throws."""
    scans = [f"s{n}" for n in range(100)]
    said = [candidate(scan, 0, 0.9) for scan in scans[::2]]
    marked = [finding(scan, 0) for scan in scans]
    found = froc(said, marked, scans=scans)
    assert found.cpm == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((0.402, 0.598), abs=0.02)  # 0.5 ± 1.96 * 0.05
    assert (found.low, found.high) == (
        (again := froc(said, marked, scans=scans)).low,
        again.high,
    )
    assert math.isnan(froc(said, marked, scans=scans, resamples=0).low)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"scans": []}, "there are none"),
        ({"scans": ["a", "a"]}, "occurs twice"),
        ({"scans": ["b"]}, "candidate 0 lies in a scan"),
        ({"rates": [0]}, "positive numbers"),
        ({"most_per_scan": 0}, "most_per_scan"),
        ({"findings": [finding("a", 0, 0)]}, "diameter above 0"),
        ({"findings": [finding("a", math.nan)]}, "not finite"),
        ({"findings": [Finding("a", (0.0, 0.0), 3.0)]}, "2 or all have 3"),
    ],
)
def test_what_cannot_be_scored(change: dict, words: str) -> None:
    given = {"candidates": [candidate("a", 0, 0.5)], "findings": [finding("a", 0)], "scans": ["a"]} | change
    with pytest.raises(DataError, match=words):
        froc(given.pop("candidates"), given.pop("findings"), **given)
