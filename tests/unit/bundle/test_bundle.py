"""A bundle comes back as it was saved, and what is not a bundle is refused."""

import hashlib
import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import ball_dataset, untrained_bundle

from vesalius.bundle import Bundle, Card, built_in
from vesalius.errors import BundleError, VesaliusError


@pytest.fixture(scope="module")
def made() -> Bundle:
    bundle = untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16))
    card = Card(name="balls", description="Bälle", scores={"ball": 0.91, "core": 0.83}, scores_on="2 of 2")
    provenance = {"steps": 7, "held_out": ["case1"], "seed": 0}
    return Bundle(bundle.plan, bundle.members, card=card, provenance=provenance)


@pytest.fixture
def saved(made: Bundle, tmp_path: Path) -> Path:
    return made.save(tmp_path / "saved")


def test_it_comes_back(made, saved):
    assert sorted(path.name for path in saved.iterdir()) == ["bundle.json", "weights.safetensors"]
    loaded = Bundle.load(saved)
    assert (loaded.plan, loaded.card, loaded.provenance) == (made.plan, made.card, made.provenance)
    assert set(loaded.weights) == set(made.weights)
    for name, array in loaded.weights.items():
        assert array.dtype == np.float32
        # Half precision: 11 bits, and 2**-24 between the smallest numbers.
        np.testing.assert_allclose(array, made.weights[name], rtol=2**-11, atol=2**-25)


def test_a_second_round_changes_nothing(saved, tmp_path):
    Bundle.load(saved).save(tmp_path / "again")
    for name in ("bundle.json", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (saved / name).read_bytes()


def test_what_half_precision_cannot_hold_is_stored_whole(made, tmp_path):
    weights = {
        "large": np.array([70_000.0, -1.0], np.float32),
        "count": np.array(123_456_789, np.int64),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "empty": np.zeros((0, 3), np.float32),
    }
    loaded = Bundle(made.plan, (weights,)).save(tmp_path / "odd")
    for name, array in Bundle.load(loaded).weights.items():
        assert (array.dtype, array.shape) == (weights[name].dtype, weights[name].shape)
        assert np.array_equal(array, weights[name])


@pytest.mark.parametrize("nested", [False, True])
def test_a_zip_is_as_good(nested, made, saved, tmp_path):
    root, inside = (saved.parent, saved.name) if nested else (saved, None)
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", root, inside)
    loaded = Bundle.load(archive)
    assert loaded.card == made.card
    for name, array in Bundle.load(saved).weights.items():
        assert np.array_equal(loaded.weights[name], array)


def test_the_card_is_rewritten_without_touching_the_rest(made):
    renamed = made.with_card(name="spheres")
    assert (renamed.card.name, renamed.card.scores, renamed.plan) == ("spheres", made.card.scores, made.plan)


def test_the_built_in_bundles_load_by_name():
    assert {"brain", "hippocampus"} <= set(built_in())
    sizes = []
    for name, place in built_in().items():
        bundle = Bundle.load(name)
        assert bundle.plan == Bundle.load(place).plan
        sizes.append(sum(path.stat().st_size for path in place.iterdir()))
        assert sizes[-1] <= 8_000_000
        assert bundle.card.scores["mean"] > 0.5
    assert sum(sizes) <= 40_000_000


# --- what is not a bundle ---------------------------------------------------------------------------------------------


def described(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(place: Path) -> None:
        text = json.loads((place / "bundle.json").read_text())
        change(text)
        (place / "bundle.json").write_text(json.dumps(text))

    return damage


def flip_a_bit(place: Path) -> None:
    raw = bytearray((place / "weights.safetensors").read_bytes())
    raw[-100] ^= 1
    (place / "weights.safetensors").write_bytes(raw)


def cut_weights(place: Path) -> None:
    raw = (place / "weights.safetensors").read_bytes()
    (place / "weights.safetensors").write_bytes(raw[: len(raw) // 2])


def foreign_weights(raw: bytes) -> Callable[[Path], None]:
    """Weights whose checksum is right, and that are no weights."""

    def damage(place: Path) -> None:
        (place / "weights.safetensors").write_bytes(raw)
        described(lambda text: text["members"][0].update(sha256=hashlib.sha256(raw).hexdigest()))(place)

    return damage


def lying_tensors() -> bytes:
    head = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(100)


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no description": (lambda p: (p / "bundle.json").unlink(), r"there is no bundle\.json in this folder"),
    "no weights": (lambda p: (p / "weights.safetensors").unlink(), "cannot read weights.safetensors"),
    "no JSON": (lambda p: (p / "bundle.json").write_text("{"), "is not JSON"),
    "deep JSON": (lambda p: (p / "bundle.json").write_text("[" * 100_000), "is not JSON"),
    "binary": (lambda p: (p / "bundle.json").write_bytes(b"\xff\xfe\x00"), "is not JSON"),
    "a list": (lambda p: (p / "bundle.json").write_text("[]"), "does not describe a vesalius bundle"),
    "another format": (described(lambda t: t.update(format="onnx")), "does not describe a vesalius bundle"),
    "huge": (lambda p: (p / "bundle.json").write_text(" " * (17 << 20)), "larger than a description can be"),
    "future": (described(lambda t: t.update(version=3)), "version 3; this release reads 1 to 2"),
    "future plan": (described(lambda t: t["plan"].update(version=9)), "this plan is of version 9"),
    "no plan": (described(lambda t: t.pop("plan")), "incomplete or contradicts itself: 'plan'"),
    "other plan": (described(lambda t: t["plan"].update(patch_size=[16])), "must be 3D"),
    "strange card": (described(lambda t: t["card"].update(colour="red")), "colour"),
    "card of numbers": (described(lambda t: t["card"].update(name=3)), "must be written in words"),
    "scores of words": (described(lambda t: t["card"].update(scores={"ball": "good"})), "scores must be numbers"),
    "no provenance": (described(lambda t: t.update(provenance=None)), "incomplete or contradicts itself"),
    "a flipped bit": (flip_a_bit, "their checksum differs"),
    "cut weights": (cut_weights, "their checksum differs"),
    "no tensors": (foreign_weights(b"\x80\x04pickle"), r"weights\.safetensors is not a safetensors file"),
    "lying tensors": (foreign_weights(lying_tensors()), r"weights\.safetensors is not a safetensors file"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_told(name, packed, saved, tmp_path):
    damage, words = DAMAGES[name]
    damage(saved)
    place = saved
    if packed:
        place = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", saved))
        words = {
            "no description": r"holds 0 files bundle\.json",
            "no weights": r"holds 0 files weights\.safetensors",
            "huge": r"bundle\.json unpacks to more than it can be",
        }.get(name, words)
    with pytest.raises(BundleError, match=words) as caught:
        Bundle.load(place)
    assert str(caught.value).startswith(place.name)


def test_what_is_not_there(tmp_path):
    with pytest.raises(BundleError, match="did you mean 'hippocampus'"):
        Bundle.load("hippocampos")
    with pytest.raises(BundleError, match="no such bundle"):
        Bundle.load(tmp_path / "nowhere.zip")


def test_files_that_are_no_zip(saved, tmp_path):
    (tmp_path / "letter.zip").write_text("Dear colleague,")
    with pytest.raises(BundleError, match=r"letter\.zip: neither a bundle's folder nor an undamaged zip"):
        Bundle.load(tmp_path / "letter.zip")
    whole = Path(shutil.make_archive(str(tmp_path / "whole"), "zip", saved)).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BundleError, match="neither a bundle's folder nor an undamaged zip"):
        Bundle.load(tmp_path / "cut.zip")


def test_every_byte_of_a_zip_may_be_damaged(made, saved, tmp_path):
    """Whatever a flipped byte does, it is told as ours, or it does no harm."""
    whole = Path(shutil.make_archive(str(tmp_path / "whole"), "zip", saved)).read_bytes()
    random = np.random.default_rng(3)
    places = {*random.integers(0, len(whole), 60), *range(len(whole) - 200, len(whole), 3), *range(0, 60, 2)}
    for at in sorted(places):
        raw = bytearray(whole)
        raw[at] ^= 0x55
        (tmp_path / "damaged.zip").write_bytes(raw)
        try:
            loaded = Bundle.load(tmp_path / "damaged.zip")
        except VesaliusError:
            continue
        assert loaded.card == made.card


def test_two_bundles_in_a_zip_are_none(saved, tmp_path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for folder in ("a", "b"):
            archive.write(saved / "bundle.json", f"{folder}/bundle.json")
    with pytest.raises(BundleError, match=r"holds 2 files bundle\.json; it must hold one"):
        Bundle.load(tmp_path / "two.zip")


def test_a_zip_bomb_does_not_go_off(saved, tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(saved / "bundle.json", "bundle.json")
        with archive.open("weights.safetensors", "w") as file:
            for _ in range(64):
                file.write(bytes(1 << 20))
    with pytest.raises(BundleError, match=r"weights\.safetensors unpacks to more than it can be"):
        Bundle.load(tmp_path / "bomb.zip")
