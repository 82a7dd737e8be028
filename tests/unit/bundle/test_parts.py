"""Bundles of several members, partners and a coarse stage: they come back, and what does not belong is refused."""

import hashlib
import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import as_cascade, ball_dataset, drawn_bundle, for_regions, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.bundle.parts import open_parts
from vesalius.errors import BundleError
from vesalius.image import Labels
from vesalius.transform import KeepLargest, Postprocessing, RemoveSmall


@pytest.fixture(scope="module")
def single() -> Bundle:
    return untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16))


@pytest.fixture(scope="module")
def nested(single: Bundle) -> Bundle:
    plan = as_cascade(single.plan)
    how = Postprocessing((KeepLargest(), RemoveSmall(least=0.1, name="core")))
    coarse = drawn_bundle(single.plan, seed=5, name="coarse")
    partner = drawn_bundle(single.plan, seed=7, members=2, name="partner")
    return replace(drawn_bundle(plan, seed=9, members=3), coarse=coarse, partners=(partner,), postprocessing=how)


@pytest.fixture
def saved(nested: Bundle, tmp_path: Path) -> Path:
    return nested.save(tmp_path / "saved")


def rounded(bundle: Bundle) -> list[dict[str, np.ndarray]]:
    return [{n: a.astype(np.float16).astype(np.float32) for n, a in w.items()} for w in bundle.members]


def assert_same(a: Bundle, b: Bundle) -> None:
    assert (a.plan, a.card, a.postprocessing) == (b.plan, b.card, b.postprocessing)
    for mine, theirs in zip(rounded(a), rounded(b), strict=True):
        assert set(mine) == set(theirs)
        assert all(np.array_equal(mine[name], theirs[name]) for name in mine)


def packed(place: Path, *, inside: bool) -> Path:
    root, folder = (place.parent, place.name) if inside else (place, None)
    return Path(shutil.make_archive(str(place.parent / f"packed-{inside}"), "zip", root, folder))


@pytest.mark.parametrize("form", ["folder", "zip", "zip of a folder"])
def test_everything_comes_back(form, nested, saved):
    loaded = Bundle.load(saved if form == "folder" else packed(saved, inside=form != "zip"))
    assert_same(loaded, nested)
    assert loaded.coarse is not None
    assert nested.coarse is not None
    assert_same(loaded.coarse, nested.coarse)
    assert_same(loaded.partners[0], nested.partners[0])
    assert loaded.weights is loaded.members[0]


def test_a_bundle_of_version_1_has_one_member(of_version_1):
    assert json.loads((of_version_1 / "bundle.json").read_text())["version"] == 1
    bundle = Bundle.load(of_version_1)
    assert (len(bundle.members), bundle.coarse, bundle.partners) == (1, None, ())
    assert bundle.postprocessing == Postprocessing()


# --- tampered ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("weights-2.safetensors", r"the weights weights-2\.safetensors are damaged"),
        ("coarse/weights.safetensors", r"the weights coarse/weights\.safetensors are damaged"),
        ("coarse/bundle.json", "the coarse is damaged or not this bundle's"),
        ("partner-1/weights-2.safetensors", r"the weights partner-1/weights-2\.safetensors are damaged"),
        ("partner-1/bundle.json", "the partner is damaged or not this bundle's"),
    ],
)
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_part_that_was_changed_is_refused(part, words, form, saved):
    raw = bytearray((saved / part).read_bytes())
    raw[-3] ^= 1
    (saved / part).write_bytes(raw)
    with pytest.raises(BundleError, match=words):
        Bundle.load(saved if form == "folder" else packed(saved, inside=False))


def test_members_that_changed_places_are_refused(saved):
    (saved / "weights.safetensors").rename(saved / "x")
    (saved / "weights-2.safetensors").rename(saved / "weights.safetensors")
    (saved / "x").rename(saved / "weights-2.safetensors")
    with pytest.raises(BundleError, match="damaged or not this bundle's"):
        Bundle.load(saved)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"members": []}, "has 1 to 64 members"),
        ({"members": [{"file": "weights.safetensors", "sha256": "0"}] * 65}, "has 1 to 64 members"),
        ({"members": [{"file": "../weights.safetensors", "sha256": "0"}]}, "a part must be a file of this bundle"),
        ({"members": [{"file": "weights-2.safetensors/../x", "sha256": "0"}]}, "a part must be a file of this bundle"),
        ({"members": [{"file": "weights.safetensors"}]}, "incomplete or contradicts itself: 'sha256'"),
        ({"members": 7}, "incomplete or contradicts itself"),
        ({"coarse": {"folder": "/etc", "sha256": "0"}}, "a part must be a folder of this bundle"),
        ({"partners": [{"folder": "partner-1", "sha256": "0"}] * 17}, "at most 16 partners"),
        ({"partners": [{"folder": "partner-9", "sha256": "0"}]}, "cannot read partner-9/bundle.json"),
        ({"coarse": None}, None),
        ({"postprocessing": "clean"}, "must be a list of steps"),
        ({"postprocessing": [{"step": "melt"}]}, "unknown step of post-processing 'melt'"),
        ({"postprocessing": [{"step": "keep_largest", "name": "liver"}]}, "names no label or region of the plan"),
    ],
)
def test_hostile_descriptions(change, words, saved):
    text = json.loads((saved / "bundle.json").read_text())
    (saved / "bundle.json").write_text(json.dumps(text | change))
    if words is None:  # the fine stage alone can be loaded, and says what it lacks when it shall segment
        assert Bundle.load(saved).coarse is None
        return
    with pytest.raises(BundleError, match=words):
        Bundle.load(saved)


def test_a_bundle_cannot_hold_itself(single, tmp_path):
    """Nested as deep as a path can be: reading ends at the second level, before anything further is looked at."""
    place = single.save(tmp_path / "deep")
    for _ in range(5):
        inner = (place / "bundle.json").read_bytes()
        shutil.copytree(place, tmp_path / "partner-1")
        text = json.loads(inner)
        text["partners"] = [{"folder": "partner-1", "sha256": hashlib.sha256(inner).hexdigest()}]
        shutil.move(tmp_path / "partner-1", tmp_path / "held")
        shutil.rmtree(place / "partner-1", ignore_errors=True)
        shutil.move(tmp_path / "held", place / "partner-1")
        (place / "bundle.json").write_text(json.dumps(text))
    with pytest.raises(BundleError, match="a partner inside a bundle must not hold further bundles"):
        Bundle.load(place)


def test_all_parts_of_a_zip_count_together(saved, tmp_path):
    """Each part alone would pass; what they unpack to together is bounded."""
    text = json.loads((saved / "bundle.json").read_text())
    text["members"] = [{"file": f"weights-{n}.safetensors", "sha256": "0" * 64} for n in range(2, 40)]
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", json.dumps(text))
        for n in range(2, 40):
            archive.writestr(f"weights-{n}.safetensors", bytes(1 << 20))
    with pytest.raises(BundleError, match="damaged or not this bundle's"):
        Bundle.load(tmp_path / "bomb.zip")
    read = open_parts(tmp_path / "bomb.zip", "bomb")
    with pytest.raises(BundleError, match="unpacks to more than it can be"):
        for n in range(2, 40):
            read(f"weights-{n}.safetensors", None)


# --- what does not belong together ------------------------------------------------------------------------------------


def test_members_are_of_one_network(single):
    with pytest.raises(BundleError, match="must be a tuple"):
        Bundle(single.plan, single.weights)  # type: ignore[arg-type]  # what a version ago was right
    other = dict(single.weights)
    other.popitem()
    with pytest.raises(BundleError, match="weights of different networks"):
        Bundle(single.plan, (single.weights, other))
    with pytest.raises(BundleError, match="1 to 64 members"):
        Bundle(single.plan, ())


def test_partners_are_for_the_same(single, nested):
    named = replace(single, plan=replace(single.plan, labels=Labels.of({"ball": 1, "kernel": 2})))
    for partner, words in [
        (named, "labels of a partner's plan"),
        (replace(single, plan=replace(single.plan, channels=("T2",))), "channels of a partner's plan"),
        (drawn_bundle(for_regions(single.plan)), "labels of a partner's plan"),
        (replace(single, partners=(single,)), "a partner must be a segmenter without partners"),
    ]:
        with pytest.raises(BundleError, match=words):
            replace(single, partners=(partner,))


def test_a_coarse_stage_sees_the_same_and_finds_what_the_plan_expects(single, nested):
    with pytest.raises(BundleError, match="finds 2 labels; the plan expects 0"):
        replace(single, coarse=single)
    other = replace(single, plan=replace(single.plan, channels=("T2",)))
    with pytest.raises(BundleError, match=r"sees T2 .* and the fine one T1"):
        replace(nested, coarse=other)
    with pytest.raises(BundleError, match="without partners or a coarse stage"):
        replace(nested, coarse=nested)


def test_the_clean_up_suits_the_images(single):
    with pytest.raises(BundleError, match="names no label or region"):
        replace(single, postprocessing=Postprocessing((KeepLargest(name="liver"),)))
    with pytest.raises(BundleError, match="measures pieces in mm2; these images need ml"):
        replace(single, postprocessing=Postprocessing((RemoveSmall(least=1, unit="mm2"),)))
    flat = untrained_bundle(ball_dataset(2, shape=(24, 20)), patch_size=(16, 16))
    with pytest.raises(BundleError, match="measures pieces in ml; these images need voxels"):
        replace(flat, postprocessing=Postprocessing((RemoveSmall(least=1),)))
    replace(flat, postprocessing=Postprocessing((RemoveSmall(least=4, unit="voxels", name="ball"),)))
