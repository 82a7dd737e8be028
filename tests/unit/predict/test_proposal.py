"""Proposals: which segmenter suits an image, how surely, and when none is."""

from dataclasses import replace

import numpy as np
import pytest
from phantoms import ball_dataset, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.bundle.suited import Suited
from vesalius.errors import DataError
from vesalius.image import Grid, Meta, Volume
from vesalius.predict.proposal import Proposal, choose, facts_of, propose

HEAD = Suited(
    modalities=("MR",),
    extent=((110, 260), (150, 280), (170, 300)),
    spacing_mm=(0.4, 8),
    dark_sides=(0.85, 1),
    symmetry=(0.68, 1),
)
BOX = Suited(modalities=("MR",), extent=((24, 45), (30, 55), (38, 65)), spacing_mm=(0.6, 1.4), dark_sides=(0, 0.3))
SHADE = Suited(modalities=("RGB",), extent=((16, 64), (16, 64)))


@pytest.fixture(scope="module")
def bundles() -> dict[str, Bundle]:
    deep = untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16))
    return {"head": deep.with_card(suited=HEAD), "box": deep.with_card(suited=BOX), "mute": deep}


def head(*, modality="MR", scale=1.0, slope=0.0) -> Volume:
    """A noisy ellipsoid in air, 180 x 220 x 160 mm; with a slope its left is brighter than its right."""
    shape, spacing = (45, 55, 40), 4.0 * scale
    place = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    inside = (place**2).sum(0) < 0.8
    noise = np.random.default_rng(1).normal(0, 4, shape)
    array = inside * (200 + 195 * slope * place[0]) + noise
    return Volume(array[None].astype(np.float32), Grid.from_spacing(shape, (spacing,) * 3), Meta(modality=modality))


def box(*, modality="OT", lowest=20.0) -> Volume:
    """Tissue to all sides."""
    array = np.random.default_rng(2).uniform(lowest, 250, (1, 36, 50, 36)).astype(np.float32)
    return Volume(array, Grid.from_spacing((36, 50, 36), (1.0, 1.0, 1.0)), Meta(modality=modality))


def found(image, bundles):
    return {one.name: one for one in propose(image, bundles)}


def test_a_head_is_a_head_and_a_box_a_box(bundles):
    assert choose(propose(head(), bundles)).name == "head"
    assert choose(propose(box(modality="MR"), bundles)).name == "box"
    assert found(head(), bundles)["box"].sureness == 0
    assert found(box(), bundles)["head"].sureness == 0


def test_a_file_that_does_not_say_how_it_was_taken_is_less_sure_and_says_so(bundles):
    known, unknown = (found(box(modality=kind), bundles)["box"] for kind in ("MR", "OT"))
    assert (known.sureness, unknown.sureness) == (0.9, 0.72)
    assert "doesn't say whether it is MR" in " ".join(unknown.reasons)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (box(modality="CT"), "it is for MR, this is CT"),
        (box(lowest=-900.0), "rather those of CT"),
        (head(scale=2.0), "mm, and 24–45 × 30–55 × 38–65 would suit"),
    ],
)
def test_what_rules_a_segmenter_out_is_its_reason(image, why, bundles):
    one = found(image, bundles)["box"]
    assert one.sureness == 0
    assert why in " ".join(one.reasons)


def test_a_body_that_differs_from_left_to_right_is_no_head(bundles):
    assert facts_of(head()).symmetry > 0.9
    lopsided = head(slope=1.0)
    assert facts_of(lopsided).symmetry < facts_of(head()).symmetry
    half = lopsided.array.copy()
    half[:, :22] = half[:, :1, :1, :1]  # half of it is air
    one = found(lopsided.with_array(half), bundles)["head"]
    assert facts_of(lopsided.with_array(half)).extent == facts_of(head()).extent
    assert one.sureness < found(head(), bundles)["head"].sureness


def test_turned_images_are_the_same(bundles):
    """However a head is stored, its faces and its sides are found by the geometry."""
    image = head()
    turned = Volume(
        image.array.transpose(0, 3, 1, 2).copy(),
        Grid((40, 45, 55), image.grid.affine[:, [2, 0, 1, 3]]),
        image.meta,
    )
    assert facts_of(turned).dark_sides == pytest.approx(facts_of(image).dark_sides, abs=1e-6)
    assert facts_of(turned).symmetry == pytest.approx(facts_of(image).symmetry, abs=1e-4)


def test_one_doubt_is_too_much_where_the_kind_is_unknown(bundles):
    """Slightly too large: 0.9 x 0.6 with a header, 0.9 x 0.8 x 0.6 without."""
    kinds = {kind: propose(head(modality=kind, scale=1.4), bundles) for kind in ("MR", "OT")}
    assert kinds["MR"][0].sureness == pytest.approx(0.54)
    assert choose(kinds["MR"]).name == "head"
    with pytest.raises(DataError, match="no built-in segmenter surely suits"):
        choose(kinds["OT"])


@pytest.mark.parametrize("labels", [3, 400])
def test_label_maps_are_no_images(labels, bundles):
    blocks = np.arange(5 * 5 * 5).reshape(5, 5, 5) * labels % 1009 % labels
    array = np.kron(blocks, np.ones((9, 11, 8))).astype(np.float32)
    image = head().with_array(array[None])
    assert facts_of(image).few_values
    assert not facts_of(head()).few_values
    assert all(one.sureness == 0 for one in propose(image, bundles))


def test_a_picture_is_never_sure_enough():
    """Of a picture nobody knows what it shows: the nearest is named, and not used."""
    bundle = untrained_bundle(ball_dataset(2, shape=(24, 20)), patch_size=(16, 16))
    flat = bundle.with_card(suited=SHADE)
    object.__setattr__(flat, "plan", replace(bundle.plan, calibrated=False))
    picture = Volume(
        np.random.default_rng(3).integers(0, 255, (1, 40, 30)),
        Grid.from_spacing((40, 30), (1, 1)),
        Meta("RGB", "", False),
    )
    proposals = propose(picture, {"shade": flat})
    assert proposals[0].sureness == 0.45
    with pytest.raises(DataError, match=r"shade \(45%\): a picture without a scale") as told:
        choose(proposals)
    assert "--bundle" in str(told.value)


def test_two_that_are_nearly_as_sure_are_left_to_the_caller(bundles):
    with pytest.raises(DataError, match="more than one") as told:
        choose(propose(box(modality="MR"), {"one": bundles["box"], "other": bundles["box"]}))
    assert "one (90%)" in str(told.value)
    assert "other (90%)" in str(told.value)
    assert choose((Proposal("far", 0.9, ()), Proposal("off", 0.6, ()))).name == "far"


def test_a_bundle_that_says_nothing_is_never_proposed(bundles):
    assert found(head(), bundles)["mute"].reasons == ("its card doesn't say which images it is for",)
    with pytest.raises(DataError, match="no built-in"):
        choose(())


def test_images_of_other_channels_and_dimensions_are_ruled_out(bundles):
    two = Volume(np.repeat(head().array, 2, axis=0), head().grid, head().meta)
    assert "it is for images of one channel, this has 2" in found(two, bundles)["head"].reasons
    flat = Volume(head().array[..., 20], Grid.from_spacing((45, 55), (4, 4)), Meta("MR"))
    assert "it is for 3D images, this is 2D" in found(flat, bundles)["head"].reasons
