"""``vesalius show``: what a thing is, and what there is to say about it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from phantoms import as_cascade, ball_case, ball_dataset, drawn_bundle, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.image import Grid, Meta, Volume
from vesalius.io import write
from vesalius.plan import Budget, fingerprint, make_plan, plan_to_json
from vesalius.transform import KeepLargest, Postprocessing, RemoveSmall


def test_a_volume(tmp_path, told, printed):
    grid = Grid.from_spacing((4, 5, 6), (0.5, 0.75, 3.0), origin_mm=(1, 2, 3)).flip([0])
    array = np.arange(120, dtype=np.int16).reshape(1, 4, 5, 6) - 20
    write(Volume(array, grid, Meta(modality="CT", unit="HU")), tmp_path / "ct.nrrd")
    shown = told("show", tmp_path / "ct.nrrd")
    assert shown["image"] == "ct.nrrd"
    assert (shown["shape"], shown["channels"], shown["type"]) == ([4, 5, 6], 1, "int16")
    assert shown["spacing_mm"] == pytest.approx([0.5, 0.75, 3.0])
    assert shown["axes"] == "RPS"
    assert (shown["lowest"], shown["highest"]) == (-20, 99)
    words = printed("show", tmp_path / "ct.nrrd")
    assert "shape        4 × 5 × 6" in words
    assert "spacing_mm   0.5 × 0.75 × 3" in words


def test_a_picture_has_no_spacing(tmp_path, told, printed):
    write(
        Volume(np.zeros((3, 8, 6), np.uint8), Grid((8, 6), np.eye(3)), Meta("RGB", calibrated=False)),
        tmp_path / "a.png",
    )
    shown = told("show", tmp_path / "a.png")
    assert (shown["shape"], shown["channels"], shown["modality"]) == ([8, 6], 3, "RGB")
    assert shown["spacing_mm"] is shown["origin_mm"] is shown["axes"] is None
    assert "spacing" not in printed("show", tmp_path / "a.png")


def test_what_a_reader_decided_is_told(tmp_path, printed):
    np.save(tmp_path / "bare.npy", np.zeros((4, 5)))
    assert "note         A bare array has no place in space" in printed("show", tmp_path / "bare.npy")


def test_a_plan(tmp_path, told, printed):
    plan = make_plan(fingerprint(ball_dataset(2)), Budget(steps=9), step_seconds=lambda *_: 0.01)
    (tmp_path / "plan.json").write_text(plan_to_json(plan))
    network = told("show", tmp_path / "plan.json")["network"]
    assert network["architecture"] == "unet"
    words = printed("show", tmp_path / "plan.json")
    assert f"{network['parameters']:,} parameters" in words
    assert "9 steps were asked for" in " ".join(words.split())


def test_a_bundle_by_place_and_by_name(tmp_path, told, printed):
    bundle = untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16)).with_card(
        description="balls in noise", scores={"ball": 0.5}, scores_on="2 of 2 cases"
    )
    shown = told("show", bundle.save(tmp_path / "balls"))
    assert shown["card"]["description"] == "balls in noise"
    assert shown["card"]["scores"] == {"ball": 0.5}
    words = printed("show", tmp_path / "balls")
    assert "Dice           ball 0.5000" in words
    assert "For research use only" in words
    assert told("show", "hippocampus")["card"]["scores"] == dict(Bundle.load("hippocampus").card.scores)


def test_a_bundle_of_several_parts(tmp_path, told, printed):
    single = untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16))
    coarse = drawn_bundle(single.plan, members=2, name="coarse")
    fine = drawn_bundle(as_cascade(single.plan), members=3, name="whole")
    partner = replace(drawn_bundle(as_cascade(single.plan), name="partner"), coarse=single)
    how = Postprocessing((KeepLargest(), RemoveSmall(least=0.5, name="core")))
    place = replace(fine, coarse=coarse, partners=(partner, single), postprocessing=how).save(tmp_path / "whole")
    shown = told("show", place)
    assert shown["members"] == 3
    assert shown["coarse"]["members"] == 2
    assert [one["name"] for one in shown["partners"]] == ["partner", "untrained"]
    assert shown["partners"][0]["coarse"]["configuration"] == "3d"
    assert shown["postprocessing"] == list(how.words)
    words = printed("show", place)
    assert "members        3 networks, whose logits are averaged" in words
    assert "coarse stage   coarse, 3d, 2 networks, whose labels the network sees" in words
    assert "partner        partner, 3d_cascade, 1 network, after 3d, whose probabilities are averaged" in words
    assert "clean-up       remove pieces of core below 0.5 ml" in words
    assert told("show", single.save(tmp_path / "single"))["partners"] == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("nowhere.nii", None, "nowhere.nii: the file cannot be read: No such file or directory"),
        ("nowhere.zip", None, "no such bundle"),
        ("nowhere.json", None, "nowhere.json: the plan cannot be read"),
        ("notes.txt", "x", "notes.txt: unknown suffix '.txt'"),
        ("plan.json", "{", "not a plan"),
        ("scores.json", json.dumps({"cases": []}), "not a plan"),
        ("pack.zip", "x", "neither a bundle's folder nor an undamaged zip of one"),
    ],
)
def test_what_cannot_be_shown(name, content, words, tmp_path, printed):
    if content is not None:
        (tmp_path / name).write_text(content)
    assert words in printed("show", tmp_path / name, code=1)


def test_folders_that_hold_no_series(tmp_path, printed):
    (tmp_path / "empty").mkdir()
    (tmp_path / "volumes").mkdir()
    write(ball_case(0).image, tmp_path / "volumes" / "a.nii.gz")
    for name in ("empty", "volumes"):
        assert name in printed("show", tmp_path / name, code=1)
