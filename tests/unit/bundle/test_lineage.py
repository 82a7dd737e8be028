"""Who took part stays with what was learnt, and a withdrawal is marked on it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from phantoms import ball_dataset, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.bundle.lineage import (
    find_bundles,
    lineage_of,
    mark_withdrawn,
    patients_of,
    read_provenance,
    withdrawn_from,
)
from vesalius.errors import BundleError
from vesalius.image import Lineage

HASHES = {"patient0": "a0", "patient1": "b1", "patient2": "c2"}


@pytest.fixture
def dataset():
    return replace(ball_dataset(6, shape=(24, 24)), lineage=Lineage("r1", "training", HASHES))


@pytest.fixture
def bundle(dataset) -> Bundle:
    return replace(untrained_bundle(dataset, patch_size=(16, 16)), provenance=lineage_of(dataset))


def test_only_the_patients_of_the_cases_take_part(dataset):
    part = dataset.select(["case0", "case1", "case4"])
    assert patients_of(lineage_of(part), "r1") == {"a0", "c2"}
    assert patients_of(lineage_of(part), "r1", "research") == frozenset()
    assert patients_of(lineage_of(part), "r2") == frozenset()
    assert lineage_of(replace(dataset, lineage=None)) == {}


def test_a_start_brings_its_own_with_it(dataset, bundle):
    other = replace(dataset.select(["case0"]), lineage=Lineage("r2", "research", {"patient0": "z9"}))
    provenance = lineage_of(other, bundle)
    assert patients_of(provenance, "r1") == {"a0", "b1", "c2"}
    assert patients_of(provenance, "r2") == {"z9"}


def test_a_mark_stays_and_is_made_once(bundle, tmp_path):
    place = bundle.save(tmp_path / "model")
    mark_withdrawn(place, "r1", ["b1"], at="2026-01-01")
    once = (place / "bundle.json").read_bytes()
    mark_withdrawn(place, "r1", ["b1"], at="2026-02-02")
    assert (place / "bundle.json").read_bytes() == once
    mark_withdrawn(place, "r1", ["a0", "b1"], at="2026-03-03")
    loaded = Bundle.load(place)
    assert withdrawn_from(loaded.provenance) == 2
    assert [one["at"] for one in loaded.provenance["withdrawn"]] == ["2026-01-01", "2026-03-03"]
    assert all(np.array_equal(loaded.weights[n], Bundle.load(place).weights[n]) for n in loaded.weights)
    assert withdrawn_from(lineage_of(ball_dataset(2), loaded)) == 2


def test_bundles_are_found_below_a_folder_but_not_in_one_another(bundle, tmp_path):
    bundle.save(tmp_path / "a" / "model")
    bundle.save(tmp_path / "a" / "model" / "coarse")
    bundle.save(tmp_path / "b")
    assert [place.name for place in find_bundles(tmp_path)] == ["model", "b"]


@pytest.mark.parametrize("text", ["", "[]", '{"provenance": 3}'])
def test_what_is_no_bundle_is_not_marked(tmp_path, text):
    (tmp_path / "bundle.json").write_text(text)
    with pytest.raises(BundleError):
        mark_withdrawn(tmp_path, "r1", ["a0"], at="")
    with pytest.raises(BundleError):
        read_provenance(tmp_path / "nowhere")


def test_a_damaged_lineage_is_told():
    for lineage in ([{"register": "r1"}], [3], [{}]):
        with pytest.raises(BundleError, match="lineage of the bundle is damaged"):
            patients_of(json.loads(json.dumps({"lineage": lineage})), "r1")
