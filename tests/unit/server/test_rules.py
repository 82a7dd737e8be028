"""Rules: what a file may say, what is refused, and which series are meant."""

import json

import numpy as np
import pytest

from vesalius.bundle import Bundle
from vesalius.bundle.lineage import mark_withdrawn
from vesalius.errors import DataError, FormatError, VesaliusError
from vesalius.image import Grid, Volume
from vesalius.server.node.peers import Peer
from vesalius.server.rules import Promising, Rule, Rules, read_rules, segmenter_of, values_of

PEER = {"ae_title": "PACS", "host": "10.0.0.7", "port": 104}
RULE = {"name": "chest", "when": {"Modality": "CT"}, "segment": {"method": "otsu"}, "send_to": ["pacs"]}


def written(tmp_path, said, name="rules.json"):
    path = tmp_path / name
    path.write_text(said if isinstance(said, str) else json.dumps(said))
    return path


def test_json_and_toml_say_the_same(tmp_path):
    toml = """
    [peers.pacs]
    ae_title = "PACS"
    host = "10.0.0.7"
    port = 104
    [[rules]]
    name = "chest"
    when = { Modality = "CT" }
    segment = { method = "otsu" }
    send_to = ["pacs"]
    """
    rules = read_rules(written(tmp_path, {"peers": {"pacs": PEER}, "rules": [RULE]}))
    assert rules == read_rules(written(tmp_path, toml, "rules.toml"))
    assert rules.peers == {"pacs": Peer("PACS", "10.0.0.7", 104)}
    assert rules.named("chest").results == ("segmentation", "report")
    assert rules.named("other") is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Chest CT"}, "needs a name"),
        ({"name": "../x"}, "needs a name"),
        ({"when": {}}, "keywords and patterns"),
        ({"when": {"Modalty": "CT"}}, "did you mean 'Modality'"),
        ({"when": {"Modality": 3}}, "must be a text"),
        ({"segment": {}}, "a bundle or a method"),
        ({"segment": {"bundle": "a", "method": "otsu"}}, "a bundle or a method"),
        ({"segment": {"method": "otzu"}}, "did you mean 'otsu'"),
        ({"segment": {"bundle": "a", "speed": 1}}, "device and backend"),
        ({"send_to": []}, "one thing at least"),
        ({"send_to": "pacs"}, "list of names"),
        ({"send_to": ["pax"]}, "unknown peer 'pax'"),
        ({"results": ["seg"]}, "unknown result 'seg'"),
        ({"images": 0}, "whole number from 1"),
        ({"images": True}, "whole number from 1"),
        ({"settle_s": -1}, "number of seconds"),
        ({"settle_s": float("inf")}, "number of seconds"),
        ({"commit": 1}, "true or false"),
        ({"whens": {}}, "did you mean 'when'"),
    ],
)
def test_a_mistake_is_named(tmp_path, change, words):
    with pytest.raises(VesaliusError, match=words):
        read_rules(written(tmp_path, {"peers": {"pacs": PEER}, "rules": [RULE | change]}))


@pytest.mark.parametrize(
    "said", ["{", "[]", '{"peers": []}', '{"rules": {}}', '{"rules": [1]}', '{"other": 1}', "[" * 100_000, "\0"]
)
def test_what_is_no_file_of_rules_is_refused(tmp_path, said):
    with pytest.raises(VesaliusError):
        read_rules(written(tmp_path, said))


def test_missing_and_long_files_are_refused(tmp_path):
    with pytest.raises(FormatError, match="cannot be read"):
        read_rules(tmp_path / "none.toml")
    with pytest.raises(FormatError, match="longer than 1 MiB"):
        read_rules(written(tmp_path, " " * (2 << 20)))


def test_names_and_titles_are_told_apart():
    rule = Rule(**RULE)
    with pytest.raises(DataError, match="same name"):
        Rules({"pacs": Peer(**PEER)}, (rule, rule))
    with pytest.raises(DataError, match="same AE title"):
        Rules({"a": Peer(**PEER), "b": Peer(**PEER)})


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({"Modality": "CT"}, True),
        ({"Modality": "ct"}, True),
        ({"Modality": "MR"}, False),
        ({"Modality": "CT", "BodyPartExamined": "CHEST"}, True),
        ({"Modality": "CT", "BodyPartExamined": "HEAD"}, False),
        ({"SeriesDescription": "*thorax*"}, True),
        ({"SeriesDescription": "thorax"}, False),
        ({"ProtocolName": "*"}, True),
        ({"ProtocolName": "?*"}, False),
        ({"Manufacturer": "Maker"}, False),
    ],
)
def test_which_series_are_meant(when, fits):
    headers = values_of(
        [
            '{"00080060": {"vr": "CS", "Value": ["CT"]}, "00180015": {"vr": "CS", "Value": ["CHEST"]}}',
            '{"0008103E": {"vr": "LO", "Value": ["CT Thorax 1 mm"]}}',
            '{"00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]}}',
        ]
    )
    assert headers["PatientName"] == ("A^B",)
    assert Rule(**RULE | {"when": when}).fits(headers) is fits


def test_the_step_in_the_middle(tmp_path):
    grid = Grid.from_spacing((4, 4, 4), (1.0, 1.0, 1.0))
    image = Volume(np.linspace(0, 100, 64, dtype=np.float32).reshape(1, 4, 4, 4), grid)
    rule = Rule(**RULE | {"segment": {"method": "threshold", "above": 50.0}})
    found = segmenter_of(rule)(image)
    assert found.grid == grid
    assert np.array_equal(found.array == 1, image.array[0] > 50)
    with pytest.raises(VesaliusError, match="unknown argument"):
        segmenter_of(Rule(**RULE | {"segment": {"method": "otsu", "speed": 3}}))
    with pytest.raises(VesaliusError):
        segmenter_of(Rule(**RULE | {"segment": {"bundle": str(tmp_path / "none")}}))


def test_a_bundle_is_the_step_in_the_middle():
    rule = Rule(**RULE | {"segment": {"bundle": "hippocampus", "device": "cpu", "backend": "torch-float32"}})
    grid = Grid.from_spacing((20, 24, 16), (1.0, 1.0, 1.0))
    image = Volume(np.random.default_rng(1).normal(100, 10, (1, *grid.shape)).astype(np.float32), grid)
    found = segmenter_of(rule)(image)
    assert found.grid == grid
    assert found.labels.names


def test_what_a_bundle_promises_goes_with_it():
    rule = Rule(**RULE | {"segment": {"bundle": "hippocampus", "device": "cpu", "backend": "torch-float32"}})
    ready = segmenter_of(rule)
    assert isinstance(ready, Promising)
    assert ready.calibration == Bundle.load("hippocampus").card.calibration
    assert not isinstance(segmenter_of(Rule(**RULE)), Promising)


def test_a_marked_bundle_is_told_when_it_is_loaded_and_when_the_mark_is_made(tmp_path, caplog):
    """A node runs for months: who withdraws meanwhile is told of with the next image, once."""
    grid = Grid.from_spacing((20, 24, 16), (1.0, 1.0, 1.0))
    image = Volume(np.zeros((1, *grid.shape), np.float32), grid)
    place = Bundle.load("hippocampus").save(tmp_path / "model")
    rule = Rule(**RULE | {"segment": {"bundle": str(place), "device": "cpu", "backend": "torch-float32"}})

    def told() -> list[str]:
        found = [record.getMessage() for record in caplog.records if record.name == "vesalius.server.rules"]
        caplog.clear()
        return found

    ready = segmenter_of(rule)
    ready(image)
    assert told() == []
    mark_withdrawn(place, "r1", ["a0"], at="2026-01-01")
    ready(image)
    ready(image)
    assert told() == [f"{rule.name}: model: a patient who took part in its training has withdrawn consent"]
    (place / "bundle.json").rename(tmp_path / "away")  # as while a copy takes its place
    ready(image)
    (tmp_path / "away").rename(place / "bundle.json")
    mark_withdrawn(place, "r1", ["b1"], at="2026-01-02")
    ready(image)
    segmenter_of(rule)
    assert told() == [f"{rule.name}: model: 2 patients of its training have withdrawn consent"] * 2
