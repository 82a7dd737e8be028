"""The probability of a tumour: when it can be calibrated, and that it rises with the evidence."""

import math

import pytest

from vesalius.studies.brain_tumour.finding import Evidence, Finding, fit_presence, probabilities_unseen
from vesalius.studies.brain_tumour.telling import presence_section


def brains(ill: list[float], healthy: list[float]) -> list[Evidence]:
    return [
        *(Evidence(f"case {n}", value, present=True) for n, value in enumerate(ill)),
        *(Evidence(f"case {n}", value, present=False) for n, value in enumerate(healthy)),
    ]


def test_more_evidence_is_a_higher_probability() -> None:
    presence = fit_presence(brains([3.0, 4.0, 4.5, 2.0], [-6.9, -2.0, 0.5, -6.9]))
    assert presence is not None
    assert presence(-6.9) < 0.15 < presence(1.0) < 0.65 < presence(4.0) < 0.9


def test_too_few_brains_and_a_network_that_cannot_tell() -> None:
    assert fit_presence(brains([3.0, 4.0, 5.0], [-6.9])) is None
    assert fit_presence(brains([3.0, 4.0], [])) is None
    assert fit_presence(brains([3.0, 3.5, 4.0], [4.5, 4.6, 4.7])) is None


def test_each_patient_is_left_out_of_the_calibration_that_judges_it() -> None:
    """With three of each, four are left: both brains of a patient go."""
    known = brains([3.0, 3.5, 4.0], [-6.9, -5.0, -4.0])
    found = probabilities_unseen(known)
    assert len(found) == 6
    without = fit_presence([one for one in known if one.case != "case 0"])
    assert without is not None
    assert found[0] == (pytest.approx(without(3.0)), True)
    assert probabilities_unseen(brains([3.0, 3.5], [-6.9, -5.0])) == []


def test_where_it_lies_in_words() -> None:
    parts = {"left anterior": 0.62, "right anterior": 0.3, "left posterior": 0.08}
    assert Finding("a", 0.0, {}, parts, 0.0, ()).where == "left anterior (62 %), right anterior (30 %)"


def test_a_probability_is_checked_on_brains_with_and_without_a_tumour_or_not_at_all() -> None:
    section, brier = presence_section([(0.9, True), (0.8, True), (0.1, False), (0.6, False)], 6)
    assert brier == pytest.approx((0.01 + 0.04 + 0.01 + 0.36) / 4)
    assert "3 of 4 brains" in section.texts[1]
    alone, none = presence_section([(0.9, True)], 5)
    assert math.isnan(none)
    assert "No probability could be checked" in alone.texts[1]
