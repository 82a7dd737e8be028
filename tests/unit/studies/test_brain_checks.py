"""What is amiss with a case of BraTS is seen: exchanged, shifted and unstripped sequences; and what is right is not."""

from itertools import permutations

import numpy as np
import pytest

from vesalius.image import LabelMap, Volume
from vesalius.io.layouts.brats import CONVENTIONS
from vesalius.studies.brain_tumour.checks import (
    Signature,
    brain_of,
    broken_rules,
    exchanged,
    shift_doubts,
    sign,
    stripping_doubts,
    typical,
)
from vesalius.studies.brain_tumour.sample import draw_patient
from vesalius.studies.brain_tumour.standing import stand_in

CHANNELS = ("T1", "T1CE", "T2", "FLAIR")
Case = tuple[Volume, LabelMap]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    made = []
    for number in range(1, 6):
        patient = draw_patient(np.random.default_rng([3, number]), number=number)
        image = Volume(np.stack([patient.images[name] for name in CHANNELS]), patient.grid)
        made.append((image, LabelMap(patient.compartments, patient.grid, CONVENTIONS["1/2/4"])))
    return made


@pytest.fixture(scope="module")
def usual(cases: list[Case]) -> Signature:
    return typical([sign(image, CHANNELS, drawn) for image, drawn in cases[1:]])


def test_sound_cases_raise_no_doubt(cases: list[Case], usual: Signature) -> None:
    for image, drawn in cases:
        found = sign(image, CHANNELS, drawn)
        assert stripping_doubts(image, CHANNELS) == []
        assert shift_doubts(image, CHANNELS) == []
        assert broken_rules(found) == []
        assert exchanged(found, usual) == ""


@pytest.mark.parametrize("with_reference", [True, False])
def test_every_other_order_of_the_sequences_is_seen(cases: list[Case], usual: Signature, with_reference: bool) -> None:
    """All but T1 with and without contrast agent exchanged, which look alike where nothing enhances."""
    image, drawn = cases[0]
    found = sign(image, CHANNELS, drawn if with_reference else None)
    for order in permutations(range(4)):
        if order in ((0, 1, 2, 3), (1, 0, 2, 3)):
            continue
        assert exchanged(found.in_order(order), usual), order


def test_what_looks_like_what(cases: list[Case], usual: Signature) -> None:
    """The files of T2 and FLAIR were exchanged; then those of three sequences went round."""
    image, drawn = cases[0]
    swapped = sign(Volume(image.array[[0, 1, 3, 2]], image.grid), CHANNELS, drawn)
    assert exchanged(swapped, usual) == "FLAIR looks like T2, T2 looks like FLAIR"
    turned = sign(Volume(image.array[[2, 1, 3, 0]], image.grid), CHANNELS, drawn)
    words = exchanged(turned, usual)
    for pair in ("T1 looks like T2", "T2 looks like FLAIR", "FLAIR looks like T1"):
        assert pair in words


def test_contrast_agent_is_told_by_what_enhances(cases: list[Case]) -> None:
    image, drawn = cases[0]
    swapped = sign(Volume(image.array[[1, 0, 2, 3]], image.grid), CHANNELS, drawn)
    assert broken_rules(swapped) == ["enhancing tumour is brighter in T1 than in T1CE"]
    swapped = sign(Volume(image.array[[0, 1, 3, 2]], image.grid), CHANNELS, drawn)
    assert any("CSF seems to be bright in FLAIR" in rule for rule in broken_rules(swapped))


def test_a_signature_survives_json(cases: list[Case]) -> None:
    found = sign(cases[0][0], CHANNELS)
    again = Signature.of_dict(found.to_dict())
    assert again.channels == CHANNELS
    for name in ("kinship", "tails", "lesion"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


def test_a_shifted_sequence_is_seen(cases: list[Case]) -> None:
    image = cases[1][0]
    moved = image.array.copy()
    moved[2] = np.roll(moved[2], 4, axis=1)
    (doubt,) = shift_doubts(Volume(moved, image.grid), CHANNELS)
    assert doubt == "its T2 lies about 12 mm apart from its T1"


def test_a_head_is_not_a_brain(cases: list[Case], rng: np.random.Generator) -> None:
    image = cases[1][0]
    noisy = image.array + rng.integers(0, 9, image.array.shape).astype(np.int16)
    doubts = stripping_doubts(Volume(noisy, image.grid), CHANNELS)
    assert len(doubts) == 4
    assert "its T1 is not stripped of the skull" in doubts[0]
    wide = image.array.copy()
    wide[:, 2:-2, 2:-2, :-4] = np.maximum(wide[:, 2:-2, 2:-2, :-4], 1)
    assert "a brain has 300 to 2400 ml" in stripping_doubts(Volume(wide, image.grid), CHANNELS)[0]


def test_the_healthy_half_stands_in(cases: list[Case]) -> None:
    """Symmetrical, as large as the brain, without the tumour's brightness; none where both halves are ill."""
    found = [(image, drawn, stand_in(image, drawn)) for image, drawn in cases]
    image, drawn, made = next(one for one in found if one[2] is not None)
    inside = brain_of(made)
    assert inside.sum() == pytest.approx(brain_of(image).sum(), rel=0.05)
    rows = inside.any(axis=(1, 2))
    middle = (np.flatnonzero(rows)[0] + np.flatnonzero(rows)[-1]) / 2
    mirrored = np.roll(made.array[:, ::-1], round(2 * middle) - (made.array.shape[1] - 1), axis=1)
    assert (mirrored == made.array).mean() > 0.98
    flair, oedema = image.array[3], drawn.array == 2
    bright = np.median(flair[oedema])
    assert (made.array[3] > bright).sum() < 0.1 * (flair > bright).sum()
    both = LabelMap(np.maximum(drawn.array, drawn.array[::-1]), drawn.grid, drawn.labels)
    assert stand_in(image, both) is None
