"""A segmenter is calibrated on cases: what is counted, for whom, and what the card says of it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from phantoms import LABELS, ball_case, ball_dataset, dataset_of, drawn_bundle, for_regions

from vesalius.bundle import Card
from vesalius.errors import BundleError, DataError
from vesalius.image import LabelMap, Labels
from vesalius.metrics.conformal import THRESHOLDS
from vesalius.predict import load_segmenter, segment
from vesalius.predict.calibrate import calibrate, compare_case, known_names, untouched_cases
from vesalius.predict.unseen import Unseen, scored_card
from vesalius.transform import KeepLargest, Postprocessing

SMALL = (16, 16, 16)


def test_what_is_promised_is_what_was_seen(bundle):
    dataset = ball_dataset(10, shape=SMALL)  # five patients, two cases each
    told = []
    made = calibrate(bundle, dataset, level=0.8, missed=(0.3,), progress=lambda *now: told.append(now))
    worst, shares = {}, {}
    for case in dataset:
        said = segment(case.image, bundle, probabilities=True)
        for value, name in ((1, "ball"), (2, "core")):
            there = case.reference.array == value
            ratio = there.sum() / (said.labels.array == value).sum()
            worst.setdefault(name, {}).setdefault(case.patient, []).append(abs(math.log(ratio)))
            sure = np.where(said.labels.array == value, 1, said.probabilities.array[value])[there]
            shares.setdefault(name, {}).setdefault(case.patient, []).append(
                [(sure < np.float32(t)).mean() for t in THRESHOLDS]
            )
    promised = made.card.calibration
    assert (promised.cases, promised.persons, promised.level) == (10, 5, 0.8)
    assert promised.on == made.card.scores_on == "10 cases of 5 persons that taught nothing"
    for name in ("ball", "core"):
        factor = math.exp(max(max(scores) for scores in worst[name].values()))  # the 5th of 5: ceil(6 * 0.8)
        low, high = promised.factors[name]
        assert high == pytest.approx(factor, abs=1e-4)
        assert low <= 1 / factor <= factor <= high  # rounded outwards
        mean = np.mean([np.mean(rows, axis=0) for rows in shares[name].values()], axis=0)
        assert promised.outer[0.3][name] == THRESHOLDS[np.argmax((5 * mean + 1) / 6 <= 0.3)]
    assert promised.lacking == {}
    assert told == [(n, 10) for n in range(1, 11)]
    assert made.members is bundle.members


def test_too_few_persons_are_promised_nothing_and_told_why(bundle):
    promised = calibrate(bundle, ball_dataset(4, shape=SMALL)).card.calibration
    assert (promised.factors, promised.outer, promised.persons) == ({}, {}, 2)
    words = (
        "no intervals of 90 %: 2 persons, and 9 are needed",
        "no outer region that misses 20 %: 2 persons, and 4 are needed",
    )
    assert promised.lacking == dict.fromkeys(("ball", "core"), "; ".join(words))


def test_where_nobody_looked_does_not_count_and_sizes_are_not_known(bundle):
    case = ball_case(1, shape=SMALL)
    labels = Labels.of({"ball": 1, "core": 2}, ignore=9)
    drawn = case.reference.array.copy()
    drawn[:8] = 9
    half = replace(case, reference=LabelMap(drawn, case.reference.grid, labels))
    segmenter = load_segmenter(bundle, device="cpu")
    said = segment(case.image, segmenter, probabilities=True)
    found = compare_case(half, segmenter, ("ball", "core"), person="p")
    assert found.sizes == {}
    for value, name in ((1, "ball"), (2, "core")):
        true, other = drawn[8:] == value, said.labels.array[8:] == value
        assert found.unseen.dice[name] == pytest.approx(2 * (true & other).sum() / (true.sum() + other.sum()))
        sure = np.where(other, 1, said.probabilities.array[value, 8:])[true]
        assert found.missed[name][0] == pytest.approx((sure < 0.5).mean())
    looked_at_all = replace(case, reference=LabelMap(case.reference.array, case.reference.grid, labels))
    assert set(compare_case(looked_at_all, segmenter, ("ball",), person="p").sizes) == {"ball"}
    promised = calibrate(bundle, replace(dataset_of([half]), labels=labels), level=0.4).card.calibration
    assert promised.factors == {}
    assert "no intervals of 40 %: 0 persons, and 1 are needed" in promised.lacking["ball"]


def test_references_need_not_show_all_that_the_segmenter_knows(bundle):
    cases = [ball_case(n, shape=SMALL) for n in range(4)]
    only = Labels.of({"core": 7})
    drawn = [replace(c, reference=LabelMap((c.reference.array == 2) * np.uint8(7), c.image.grid, only)) for c in cases]
    dataset = replace(dataset_of(drawn), labels=only)
    made = calibrate(bundle, dataset, level=0.8)
    assert list(made.card.calibration.factors) == ["core"]
    assert set(made.card.scores) == {"core", "mean"}
    with pytest.raises(DataError, match="references show spleen, and the segmenter knows ball, core"):
        calibrate(bundle, replace(dataset, labels=Labels.of({"spleen": 7})))
    assert known_names(only, LABELS) == ("core",)


def test_regions_are_promised_as_well(bundle):
    other = drawn_bundle(for_regions(bundle.plan))
    promised = calibrate(other, ball_dataset(8, shape=SMALL), level=0.75).card.calibration
    assert set(promised.factors) | set(promised.lacking) == {"ball", "core", "whole"}
    assert {name for thresholds in promised.outer.values() for name in thresholds} <= {"whole", "core"}  # the outputs


def test_without_references_there_is_nothing_to_learn(bundle):
    bare = replace(ball_dataset(2), records=tuple(replace(r, reference=None) for r in ball_dataset(2).records))
    with pytest.raises(DataError, match="no case with a reference"):
        calibrate(bundle, bare)
    with pytest.raises(DataError, match="above 0 and below 1"):
        calibrate(bundle, ball_dataset(2), level=90)


def test_means_count_persons_and_subgroups_cases_that_have_one():
    cases = [Unseen("a", {"x": 0.2, "y": 0.4}, {"sex": "f"}), Unseen("a", {"x": 0.4, "y": 0.4}, {"sex": "f"})]
    cases += [Unseen(name, {"x": 0.9, "y": math.nan}, {"sex": "m", "site": "1"}) for name in "bcdef"]
    card = scored_card(Card(name="n"), cases, ["x", "y"], on="seven")
    assert card.scores == {"x": 0.8, "y": 0.4, "mean": pytest.approx((0.35 + 5 * 0.9) / 6, abs=1e-4)}
    assert set(card.intervals) == {"x", "mean"}  # one person has a y
    assert card.intervals["x"][0] < 0.8 < card.intervals["x"][1] <= 0.9
    assert set(card.subgroups) == {"sex"}  # all that is known of sites is one
    women, men = card.subgroups["sex"]["f"], card.subgroups["sex"]["m"]
    assert (women.cases, women.persons, women.scores["x"], women.intervals) == (2, 1, 0.3, {})
    assert (men.cases, men.persons, men.scores) == (5, 5, {"x": 0.9, "mean": 0.9})
    assert men.intervals["x"] == (0.9, 0.9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"provenance": {}}, "held no case out"),
        ({"provenance": {"held_out": ["case1"], "folds": []}}, "taught one of its networks"),
        ({"postprocessing": Postprocessing((KeepLargest(),))}, "chosen its clean-up"),
    ],
)
def test_held_out_cases_that_had_a_part_are_refused(changes, words, bundle):
    mine = replace(bundle, provenance={"held_out": ["case1", "case3"]})
    assert untouched_cases(mine) == ("case1", "case3")
    with pytest.raises(BundleError, match=words):
        untouched_cases(replace(mine, **changes))
    patient = replace(mine.plan, optimisation=replace(mine.plan.optimisation, patience=3))
    with pytest.raises(BundleError, match="decided when training ended"):
        untouched_cases(replace(mine, plan=patient))
    with pytest.raises(BundleError, match="taught one of its networks"):
        untouched_cases(replace(mine, partners=(bundle,)))
