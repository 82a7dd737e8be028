"""What a card promises and tells of subgroups, as it is kept on disk."""

import json
from dataclasses import replace

import pytest
from phantoms import ball_dataset, untrained_bundle

from vesalius.bundle import Bundle, Card
from vesalius.bundle.calibration import Calibration
from vesalius.bundle.card import card_from_json, card_to_json
from vesalius.bundle.subgroups import Subgroup
from vesalius.errors import BundleError

PROMISED = Calibration(
    on="12 cases",
    cases=12,
    persons=10,
    level=0.9,
    factors={"ball": (0.8, 1.25)},
    outer={0.1: {"ball": 0.25, "core": 0.01}, 0.2: {"ball": 0.5}},
    lacking={"core": "no intervals of 90 %: 4 persons, and 9 are needed"},
)
CARD = Card(
    name="balls",
    scores={"ball": 0.9, "mean": 0.9},
    intervals={"ball": (0.85, 0.95)},
    subgroups={"site": {"A": Subgroup(cases=3, persons=2, scores={"ball": 0.8}), "B": Subgroup(cases=9, persons=8)}},
    calibration=PROMISED,
)


def test_a_card_comes_back_from_disk(tmp_path):
    bundle = replace(untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16)), card=CARD)
    assert Bundle.load(bundle.save(tmp_path / "kept")).card == CARD


def test_a_card_that_promises_nothing_is_written_as_before():
    assert set(card_to_json(Card(name="old"))) == {
        "name", "description", "data", "data_licence", "recipe", "scores", "scores_on", "limits",
    }  # fmt: skip
    assert card_from_json({"name": "old", "scores": {"ball": 1}}) == Card(name="old", scores={"ball": 1})


def test_an_interval_is_a_multiple_of_what_was_found():
    assert PROMISED.interval("ball", 4.0) == (3.2, 5.0)
    assert PROMISED.interval("ball", 0) is None
    assert PROMISED.interval("core", 4.0) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"level": 1}, "above 0 and below 1"),
        ({"level": float("nan")}, "finite"),
        ({"level": "0.9"}, "must be a number"),
        ({"level": None}, "must be a number"),
        ({"persons": 13}, "12 cases cannot be of 13 persons"),
        ({"persons": -1}, "0 or more"),
        ({"cases": 12.0}, "whole number"),
        ({"cases": True}, "whole number"),
        ({"on": 3}, "must be a text"),
        ({"factors": {"ball": [1.2, 1.3]}}, "multiples of a size"),
        ({"factors": {"ball": [0, 1.3]}}, "multiples of a size"),
        ({"factors": {"ball": [0.5, float("inf")]}}, "finite"),
        ({"factors": {"ball": [1.3, 0.5]}}, "lowest, highest"),
        ({"factors": {"ball": [1]}}, "two numbers"),
        ({"factors": [1]}, "must be an object"),
        ({"outer": {"0.1": {"ball": 0}}}, "thresholds must be"),
        ({"outer": {"2": {"ball": 0.5}}}, "thresholds must be"),
        ({"outer": {"few": {"ball": 0.5}}}, "float"),
        ({"outer": {"0.1": {"ball": "low"}}}, "must be a number"),
        ({"lacking": {"ball": 1}}, "must be a text"),
        ({"colour": 1}, "colour"),
    ],
)
def test_strange_promises_are_refused(changes, words):
    told = card_to_json(CARD)
    with pytest.raises((TypeError, ValueError), match=words):
        card_from_json({**told, "calibration": {**told["calibration"], **changes}})


@pytest.mark.parametrize(
    "changes",
    [
        {"calibration": 3},
        {"calibration": {}},
        {"intervals": {"ball": [0.5]}},
        {"intervals": {"ball": [0.9, 0.5]}},
        {"intervals": 0.5},
        {"subgroups": {"site": {"A": 0.5}}},
        {"subgroups": {"site": {"A": {"cases": 1, "persons": 2}}}},
        {"subgroups": {"site": {"A": {"cases": 1}}}},
        {"subgroups": {"site": {"A": {"cases": 1, "persons": 1, "scores": {"ball": "good"}}}}},
        {"subgroups": {"site": {"A": {"cases": 1, "persons": 1, "colour": 1}}}},
        {"subgroups": ["site"]},
        {"scores": {"ball": "good"}},
        {"name": 3},
    ],
)
def test_strange_cards_make_a_bundle_that_is_refused(changes, tmp_path):
    place = untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16)).save(tmp_path / "kept")
    told = json.loads((place / "bundle.json").read_text(encoding="utf-8"))
    told["card"] |= changes
    (place / "bundle.json").write_text(json.dumps(told), encoding="utf-8")
    with pytest.raises(BundleError, match="incomplete or contradicts"):
        Bundle.load(place)


def test_all_weights_are_looked_at_for_their_precision():
    small = untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16))
    exact = replace(
        small, members=({name: array.astype("half").astype("single") for name, array in small.weights.items()},)
    )
    assert exact.exact_precision == "half"
    assert small.exact_precision == "single"  # drawn in single precision
    assert replace(exact, partners=(small,)).exact_precision == "single"
