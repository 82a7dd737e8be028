"""Findings: what several steps say is put together without repeating it."""

from vesalius.privacy.findings import Findings, joined


def test_sentences_are_kept_once_and_in_their_order():
    one = Findings(("removed b", "removed a"), ("no grid",))
    two = Findings(("removed a", "removed c"), ("no grid", "two pictures"))
    assert joined([one, two]) == Findings(("removed b", "removed a", "removed c"), ("no grid", "two pictures"))
    assert one + two == joined([one, two])


def test_only_a_doubt_makes_it_unsure():
    assert Findings(("removed a",)).sure
    assert not Findings(doubts=("no grid",)).sure
    assert joined([]) == Findings()
