"""The images that a segmenter is for, as its card keeps them."""

import pytest
from phantoms import ball_dataset, untrained_bundle

from vesalius.bundle import Bundle, Card
from vesalius.bundle.card import card_from_json, card_to_json
from vesalius.bundle.suited import Suited

SUITED = Suited(modalities=("MR",), extent=((24, 45), (30, 55), (38, 65)), spacing_mm=(0.6, 1.4), symmetry=(-1, 0.5))


def test_they_come_back_from_disk(tmp_path):
    bundle = untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16)).with_card(suited=SUITED)
    assert Bundle.load(bundle.save(tmp_path / "kept")).card.suited == SUITED


def test_cards_without_them_are_as_before():
    assert "suited" not in card_to_json(Card(name="old"))
    assert card_from_json(card_to_json(Card(name="old"))).suited is None


def test_what_does_not_matter_is_not_written():
    told = card_to_json(Card(suited=SUITED))["suited"]
    assert told == {
        "modalities": ["MR"],
        "extent": [[24, 45], [30, 55], [38, 65]],
        "spacing_mm": [0.6, 1.4],
        "symmetry": [-1, 0.5],
    }


@pytest.mark.parametrize(
    ("strange", "words"),
    [
        ({"modalities": ["XX"], "extent": []}, "modalities must be"),
        ({"modalities": [], "extent": []}, "modalities must be"),
        ({"modalities": ["MR"], "extent": [[3, 2]]}, "lowest, highest"),
        ({"modalities": ["MR"], "extent": [], "symmetry": [0, float("nan")]}, "lowest, highest"),
        ({"modalities": ["MR"]}, "extent"),
        ({"modalities": ["MR"], "extent": [], "colour": 1}, "colour"),
        ([1], "suited"),
    ],
)
def test_strange_facts_are_refused(strange, words):
    with pytest.raises((TypeError, ValueError), match=words):
        card_from_json({**card_to_json(Card()), "suited": strange})
