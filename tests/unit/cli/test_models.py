"""``vesalius models``: the table and the cards."""

from vesalius.bundle import built_in


def test_the_table_names_all_with_size_kind_score_and_licence(told, printed):
    models = {one["name"]: one for one in told("models")["models"]}
    assert set(models) == set(built_in())
    for one in models.values():
        assert 0 < one["size_mb"] <= 8  # what the package may carry
        assert 0 < one["scores"]["mean"] < 1
        assert one["suited"]["modalities"]
        assert one["data_licence"]
    assert sum(one["size_mb"] for one in models.values()) <= 40
    assert "hippocampus" in printed("models")


def test_a_card_is_told_by_name(told, printed):
    (card,) = told("models", "hippocampus")["models"]
    text = printed("models", "hippocampus")
    for words in (
        card["data"],
        card["limits"],
        card["scores_on"],
        "CC BY-SA 4.0",
        f"mean {card['scores']['mean']:.4f}",
    ):
        assert words in text


def test_an_unknown_name_is_told_with_the_known_ones(printed):
    assert "hippocampus" in printed("models", "hipocampus", code=1)
