from dataclasses import replace

import numpy as np
import pytest
from phantoms import CHANNEL, FACTS, ball_dataset, dataset_of

from vesalius.errors import DataError
from vesalius.image import Case, Grid, LabelMap, Labels, Meta, Volume
from vesalius.plan import ChannelFacts, Loss, fingerprint, rules
from vesalius.plan.topology import patch_for, topology


def test_thick_slices_take_the_tenth_percentile() -> None:
    spacing, why = rules.target_spacing(FACTS)
    assert spacing == pytest.approx((1.1, 1.1, 5.6))  # 10th percentile of 5, 8, 10
    assert "10th percentile" in why


def test_nearly_cubic_voxels_take_the_median() -> None:
    facts = replace(FACTS, spacings_mm=((1.0, 1.0, 2.0),) * 3)
    assert rules.target_spacing(facts)[0] == (1.0, 1.0, 2.0)


def test_pictures_without_size_are_taken_as_they_are() -> None:
    facts = replace(FACTS, calibrated=False)
    assert rules.target_spacing(facts)[0] == (1.0, 1.0, 1.0)


def test_kernels_are_flat_until_the_spacing_is_even() -> None:
    # By hand, after nnU-Net: z is 5 times coarser, so it is not pooled until x and y have caught up within a factor 2.
    kernels, strides = topology((192, 192, 12), (1.0, 1.0, 5.0), strided_stem=False)
    assert kernels[:3] == ((3, 3, 1), (3, 3, 1), (3, 3, 3))
    assert strides[:4] == ((1, 1, 1), (2, 2, 1), (2, 2, 1), (2, 2, 2))
    assert len(kernels) == len(strides)


def test_a_strided_stem_leaves_out_the_finest_stage() -> None:
    full = topology((40, 56, 40), (1.0, 1.0, 1.0), strided_stem=False)
    half = topology((40, 56, 40), (1.0, 1.0, 1.0), strided_stem=True)
    assert half[1] == full[1][1:]
    assert half[0] == full[0][1:]


def test_nnunets_own_hippocampus_patch() -> None:
    assert patch_for((35, 50, 36), (1.0, 1.0, 1.0), most_voxels=128**3) == (40, 56, 40)


def test_a_patch_shrinks_to_fit_and_keeps_proportions() -> None:
    patch = patch_for((512, 512, 200), (0.8, 0.8, 2.0), most_voxels=128**3)
    assert patch[0] * patch[1] * patch[2] <= 128**3
    millimetres = [n * s for n, s in zip(patch, (0.8, 0.8, 2.0), strict=True)]
    assert max(millimetres) < 1.6 * min(millimetres)


@pytest.mark.parametrize(
    ("channel", "scheme"),
    [
        (replace(CHANNEL, modality="CT"), "ct"),
        (replace(CHANNEL, modality="OT", lowest=-1024.0, highest=1500.0), "ct"),
        (replace(CHANNEL, modality="OT", lowest=0.0, highest=1500.0), "z_score"),
        (replace(CHANNEL, modality="MR", lowest=-1024.0, highest=1500.0), "z_score"),
        (replace(CHANNEL, modality="RGB"), "rgb"),
    ],
)
def test_normalisation_follows_the_modality(channel: ChannelFacts, scheme: str) -> None:
    schemes, why = rules.normalisations(replace(FACTS, channels=(channel,)))
    assert schemes[0].scheme == scheme
    assert "T1" in why


def test_content_that_fills_little_is_normalised_by_itself() -> None:
    assert rules.normalisations(replace(FACTS, content_fraction=0.5))[0][0].scheme == "z_score_nonzero"


@pytest.mark.parametrize("names", [("left lung", "right lung"), ("kidney_left", "kidney_right"), ("lh", "rh")])
def test_left_and_right_are_never_mirrored_into_each_other(names: tuple[str, str]) -> None:
    labels = Labels.of({names[0]: 1, names[1]: 2})
    assert rules.mirror_axes(replace(FACTS, labels=labels))[0] == (1, 2)
    assert rules.mirror_axes(replace(FACTS, labels=labels, ndim=2))[0] == ()
    assert rules.mirror_axes(FACTS)[0] == (0, 1, 2)
    assert rules.mirror_axes(replace(FACTS, labels=labels), ((1, 2),))[0] == (0, 1, 2)
    assert rules.mirror_axes(replace(FACTS, labels=labels, patients=50))[0] == ()


def test_where_there_are_many_patients_none_is_turned_upside_down() -> None:
    many = replace(FACTS, patients=50)
    axes, why = rules.mirror_axes(many)
    assert axes == (0,)
    assert "50 patients" in why
    assert rules.mirror_axes(replace(many, patients=49))[0] == (0, 1, 2)
    assert rules.mirror_axes(replace(many, calibrated=False))[0] == (0, 1, 2)
    assert rules.mirror_axes(replace(many, ndim=2))[0] == (0, 1)


def test_the_fingerprint_of_known_balls() -> None:
    facts = fingerprint(ball_dataset(4))
    assert (facts.ndim, facts.cases, facts.patients) == (3, 4, 2)
    assert facts.median_shape == (24, 28, 20)
    assert facts.channels[0].mean == pytest.approx(412.5, abs=10)  # 7/8 of the ball is 400 bright, 1/8 is 500
    assert dict(facts.label_ml)["core"] == pytest.approx(4 / 3 * 3.14159 * 3**3 / 1000, rel=0.2)
    assert fingerprint(ball_dataset(4), sample=2).shapes == ((24, 28, 20),) * 2


def test_shares_and_thickness_of_known_shapes() -> None:
    shape = (24, 20, 16)
    values = np.zeros(shape, np.uint8)
    values[:, :, 4:7] = 1  # a plate, 3 voxels of 2 mm thick
    values[2:14, 4:16, 8:14] = 2  # a box of 12 x 12 x 6 voxels of 1, 1 and 2 mm
    values[0] = 255
    labels = Labels.of({"plate": 1, "box": 2, "absent": 3}, ignore=255)
    grid = Grid.from_spacing(shape, (1.0, 1.0, 2.0))
    image = Volume(np.ones((1, *shape), np.float32), grid, Meta(modality="MR", calibrated=True))
    dataset = replace(dataset_of([Case("x", image, LabelMap(values, grid, labels), "x")]), labels=labels)
    facts = fingerprint(dataset)
    looked = 23 * 20 * 16
    assert dict(facts.label_share) == pytest.approx(
        {"plate": 23 * 20 * 3 / looked, "box": 12 * 12 * 6 / looked, "absent": 0}
    )
    thickness = dict(facts.label_thickness_mm)
    plate, touching = 23 * 20 * 6, 2 * 23 * 20 + 20 * 6  # it touches what nobody looked at, too
    assert thickness["plate"] == pytest.approx(2 * plate / touching)
    assert thickness["box"] == pytest.approx(2 * (12 * 12 * 12) / (6 * 12 * 12))
    assert thickness["absent"] == 0


def test_what_nobody_looked_at_is_no_foreground() -> None:
    shape = (8, 8, 8)
    values = np.full(shape, 255, np.uint8)
    values[:4] = 0
    values[:2, :2, :2] = 1
    labels = Labels.of({"a": 1}, ignore=255)
    grid = Grid.from_spacing(shape, (1.0,) * 3)
    array = np.where(values == 255, 1000.0, 10.0)[None].astype(np.float32)
    image = Volume(array, grid, Meta(modality="MR", calibrated=True))
    facts = fingerprint(replace(dataset_of([Case("x", image, LabelMap(values, grid, labels), "x")]), labels=labels))
    assert facts.channels[0].mean == pytest.approx(10)
    empty = LabelMap(np.where(values == 1, 0, values).astype(np.uint8), grid, labels)
    with pytest.raises(DataError, match="one class only"):
        fingerprint(replace(dataset_of([Case("x", image, empty, "x")]), labels=labels))


@pytest.mark.parametrize(
    ("share", "view", "expected"), [(0.0005, 0.1, 0.6), (0.0005, 0.5, 1 / 3), (0.02, 0.1, 1 / 3), (0.0, 0.1, 1 / 3)]
)
def test_rare_labels_are_sought(share: float, view: float, expected: float) -> None:
    fraction, why = rules.foreground_fraction(replace(FACTS, label_share=(("a", share),)), view)
    assert fraction == expected
    assert why


def test_the_loss_is_the_robust_one_and_others_are_named_where_they_may_help() -> None:
    assert rules.loss(FACTS)[0] == Loss()
    assert "cldice" in rules.loss(replace(FACTS, labels=Labels.of({"hepatic vessel": 1})))[1]
    assert "tversky" in rules.loss(replace(FACTS, label_share=(("a", 1e-4),)))[1]
    assert "--set" not in rules.loss(FACTS)[1]


def test_colours_are_brought_to_the_scale_of_the_encoder() -> None:
    facts = replace(FACTS, ndim=2, channels=tuple(replace(CHANNEL, name=name, modality="RGB") for name in "rgb"))
    assert {scheme.scheme for scheme in rules.normalisations(facts)[0]} == {"rgb"}
    schemes = rules.normalisations(facts, encoder="resnet18")[0]
    assert [round(scheme.mean / 255, 3) for scheme in schemes] == [0.485, 0.456, 0.406]
