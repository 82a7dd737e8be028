"""The description beside an artefact says what has to be done around the network."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from phantoms import as_cascade, ball_dataset, drawn_bundle, for_regions, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.export.describe import axes, describe
from vesalius.export.targets import Artefact
from vesalius.nets import SlicesSpec, UNetSpec
from vesalius.plan.preparation import NNUNET, Preparation
from vesalius.transform import KeepLargest, Normalisation, Postprocessing

ARTEFACT = Artefact(path=Path("model.onnx"), free_axes={0: 1, 2: 4})


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return untrained_bundle(ball_dataset(2), patch_size=(8, 16, 8))


def test_it_is_json_and_complete(bundle):
    told = describe(bundle, ARTEFACT)
    assert json.loads(json.dumps(told)) == told
    assert set(told) == {"input", "before", "windows", "output", "after", "weights_sha256", "members", "card"}
    assert told["input"] == {
        "name": "image",
        "dtype": "float32",
        "axes": ["batch", "channel", "left", "posterior", "superior"],
        "shape": [1, 1, 8, 16, 8],
        "free_axes": {"batch": {"multiple_of": 1}, "left": {"multiple_of": 4}},
        "channels": ["T1"],
    }
    assert [step["step"] for step in told["before"]] == ["orient", "crop", "normalise", "resample"]
    assert told["output"]["activation"] == "softmax"
    assert [channel["name"] for channel in told["output"]["channels"]] == ["background", "ball", "core"]
    assert told["after"]["labels"][1]["value"] == 2
    assert told["after"]["labels"][1]["colour"] == list(bundle.plan.labels.colour(2))
    assert told["windows"]["weights"]["sigma_of_edge"] == 0.125
    assert len(told["weights_sha256"]) == told["members"] == 1


@pytest.mark.parametrize("precision", ["half", "single"])  # single: as what was imported is kept
def test_the_hash_is_that_of_the_bundle(precision, bundle, tmp_path):
    """Who has a bundle can see whether an artefact was made of it."""
    place = bundle.save(tmp_path / "saved", precision=precision)
    stored = json.loads((place / "bundle.json").read_text())["members"][0]["sha256"]
    assert describe(Bundle.load(place), ARTEFACT)["weights_sha256"] == [stored]


def test_numbers_stand_beside_their_formula(bundle):
    ct = Normalisation("ct", mean=80.0, std=40.0, lower=-20.0, upper=200.0)
    plan = replace(bundle.plan, normalisation=(ct,))
    (channel,) = describe(replace(bundle, plan=plan), ARTEFACT)["before"][2]["channels"]
    assert {name: channel[name] for name in ("mean", "std", "lower", "upper")} == {
        "mean": 80.0,
        "std": 40.0,
        "lower": -20.0,
        "upper": 200.0,
    }
    assert channel["formula"] == "(clip(x, lower, upper) - mean) / max(std, 1e-8)"


def test_regions_are_painted(bundle):
    plan = for_regions(bundle.plan)
    told = describe(drawn_bundle(plan), ARTEFACT)
    assert told["output"]["activation"] == "sigmoid"
    assert [(c["name"], c["values"]) for c in told["output"]["channels"]] == [("whole", [1, 2]), ("core", [2])]
    assert told["after"]["painted"] == [1, 2]


def test_a_cascade_names_the_channels_of_its_coarse_stage(bundle):
    plan = as_cascade(bundle.plan)
    told = describe(replace(drawn_bundle(plan), coarse=drawn_bundle(bundle.plan)), ARTEFACT)
    assert told["input"]["channels"] == [
        "T1",
        "ball, as the coarse stage finds it",
        "core, as the coarse stage finds it",
    ]
    assert told["input"]["shape"][1] == 3
    assert told["before"][-1]["step"] == "add channels"


def test_pictures_have_no_spacing_and_no_anatomy():
    flat = untrained_bundle(ball_dataset(2, shape=(32, 24)), patch_size=(16, 16))
    told = describe(flat, ARTEFACT)
    assert told["input"]["axes"] == ["batch", "channel", "i", "j"]
    assert [step["step"] for step in told["before"]] == ["crop", "normalise"]


def test_slices_say_across_what_they_lie(bundle):
    inner = UNetSpec.plain(ndim=2, in_channels=3, out_channels=3, features=(8, 16))
    network = SlicesSpec(inner=inner, axis=2, context=1)
    plan = replace(bundle.plan, configuration="2.5d", network=network)
    assert describe(drawn_bundle(plan), ARTEFACT)["windows"]["slices"] == {"across": "superior", "neighbours_seen": 1}


def test_customs_of_others_are_told(bundle):
    how = replace(NNUNET, normalised="after", crop="none", own_spacing=(2,), window_places="regular")
    told = describe(replace(bundle, plan=replace(bundle.plan, preparation=how)), ARTEFACT)
    assert [step["step"] for step in told["before"]] == ["resample", "normalise"]
    assert told["before"][0]["own_spacing"] == ["k"]
    assert told["before"][0]["extent"].startswith("max(1, round(size * old / new)) voxels over exactly the old extent")
    assert told["windows"]["weights"]["centre"] == "edge // 2"
    assert "pushed back" in told["windows"]["places"]
    assert "nearest slice" in told["after"]["resample"]
    constant = replace(bundle.plan, preparation=Preparation(window_weight="constant", orientation="RAS"))
    assert describe(replace(bundle, plan=constant), ARTEFACT)["windows"]["weights"]["kind"] == "constant"
    assert axes(constant)[2:] == ("right", "anterior", "superior")


def test_mirroring_is_left_out_where_the_network_does_it(bundle):
    plan = replace(bundle.plan, mirror_axes=(0, 2))
    told = describe(replace(bundle, plan=plan), ARTEFACT)["windows"]
    assert told["mirror_axes"] == ["left", "superior"]
    told = describe(replace(bundle, plan=plan), replace(ARTEFACT, mirrored=True))["windows"]
    assert (told["mirror_axes"], told["mirrored_by_the_network"]) == ([], ["left", "superior"])


def test_pairs_are_told_where_left_and_right_are_mirrored(bundle):
    def told(artefact=ARTEFACT, **changes):
        plan = replace(bundle.plan, paired_labels=(bundle.plan.labels.values,), **changes)
        return describe(replace(bundle, plan=plan), artefact)["windows"]

    windows = told(mirror_axes=(0, 2))
    assert windows["mirrored_outputs"] == [0, 2, 1]
    assert "where left is mirrored" in windows["mirroring"]
    assert "mirrored_outputs" not in told(mirror_axes=(2,))
    assert "mirrored_outputs" not in told(replace(ARTEFACT, mirrored=True), mirror_axes=(0, 2))


def test_the_clean_up_is_told_in_words_too(bundle):
    cleaned = replace(bundle, postprocessing=Postprocessing((KeepLargest(name="ball"),)))
    after = describe(cleaned, ARTEFACT)["after"]
    assert after["clean_up"] == [{"step": "keep_largest", "name": "ball"}]
    assert after["clean_up_in_words"] == ["keep the largest piece of ball"]
