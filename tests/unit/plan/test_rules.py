from dataclasses import replace

import pytest
from phantoms import CHANNEL, FACTS, ball_dataset

from vesalius.image import Labels
from vesalius.plan import ChannelFacts, fingerprint, rules
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


def test_the_fingerprint_of_known_balls() -> None:
    facts = fingerprint(ball_dataset(4))
    assert (facts.ndim, facts.cases, facts.patients) == (3, 4, 2)
    assert facts.median_shape == (24, 28, 20)
    assert facts.channels[0].mean == pytest.approx(412.5, abs=10)  # 7/8 of the ball is 400 bright, 1/8 is 500
    assert dict(facts.label_ml)["core"] == pytest.approx(4 / 3 * 3.14159 * 3**3 / 1000, rel=0.2)
    assert fingerprint(ball_dataset(4), sample=2).shapes == ((24, 28, 20),) * 2
