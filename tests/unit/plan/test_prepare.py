from dataclasses import replace

import numpy as np
import pytest
from phantoms import FACTS

from vesalius.errors import DataError
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.nets.channels import replace_channels
from vesalius.plan import Budget, make_plan, prepare, prepare_reference
from vesalius.plan.prepare import IGNORE

CHANNELS = ("T1", "FLAIR", "T2")
PLAN = make_plan(
    replace(
        FACTS,
        channels=tuple(replace(FACTS.channels[0], name=name) for name in CHANNELS),
        shapes=((12, 14, 10),),
        spacings_mm=((1.0, 1.0, 1.0),),
    ),
    Budget(steps=10),
    step_seconds=lambda *_: 0.1,
)
RNG = np.random.default_rng(3)
IMAGE = Volume(
    RNG.normal(100, 20, (3, 12, 14, 10)).astype(np.float32),
    Grid.from_spacing((12, 14, 10), (1.0, 1.0, 1.0)),
    Meta(modality="MR", calibrated=True),
)


def some(*numbers: int) -> Volume:
    return IMAGE.with_array(IMAGE.array[list(numbers)])


@pytest.mark.parametrize(("names", "numbers"), [(("FLAIR",), (1,)), (("T2", "T1"), (2, 0)), (CHANNELS, (0, 1, 2))])
def test_channels_that_are_there_stand_in_their_place_and_the_others_are_0(
    names: tuple[str, ...], numbers: tuple[int, ...]
) -> None:
    whole = prepare(IMAGE, PLAN).array
    part = prepare(some(*numbers), PLAN, channels=names).array
    for number in range(3):
        if number in numbers:
            assert np.array_equal(part[number], whole[number])
        else:
            assert not part[number].any()


def test_missing_channels_have_no_part_in_the_crop() -> None:
    array = np.zeros((3, 12, 14, 10), np.float32)
    array[0, 2:6, 2:6, 2:6] = RNG.normal(100, 20, (4, 4, 4))
    array[1:] = 50
    image = IMAGE.with_array(array)
    assert prepare(image, PLAN).grid.shape == (12, 14, 10)
    assert prepare(image.with_array(array[:1]), PLAN, channels=("T1",)).grid.shape == (4, 4, 4)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("T1", "T3"), "unknown channel 'T3'"),
        (("T1", "T1"), "once"),
        ((), "once"),
        (("T1",), "2 channels"),
        (None, "T1, FLAIR, T2"),
    ],
)
def test_channels_that_do_not_fit_are_refused(names: tuple[str, ...] | None, words: str) -> None:
    with pytest.raises(DataError, match=words):
        prepare(some(0, 1), PLAN, channels=names)


def test_voxels_that_nobody_looked_at_are_no_class() -> None:
    labels = Labels.of({"a": 1}, ignore=255)
    plan = replace(PLAN, labels=labels)
    reference = LabelMap(
        np.array([0, 1, 255], np.uint8).reshape(3, 1, 1), Grid.from_spacing((3, 1, 1), (1.0,) * 3), labels
    )
    assert prepare_reference(reference, reference.grid, plan).ravel().tolist() == [0, 1, IGNORE]


def reference_of(values: list[int], labels: Labels) -> LabelMap:
    return LabelMap(
        np.array(values, np.uint8).reshape(-1, 1, 1), Grid.from_spacing((len(values), 1, 1), (1.0,) * 3), labels
    )


def classes(reference: LabelMap, known: Labels) -> list[int]:
    plan = replace(PLAN, labels=known, network=replace_channels(PLAN.network, len(CHANNELS), len(known) + 1))
    return list(prepare_reference(reference, reference.grid, plan).ravel().tolist())


@pytest.mark.parametrize(
    ("shown", "known", "expected"),
    [
        (Labels.of({"liver": 6, "spleen": 1}), Labels.of({"liver": 1, "spleen": 2}), [0, 2, 1]),
        (Labels.of({"spleen": 1, "liver": 6}, ignore=2), Labels.of({"liver": 1, "spleen": 6}), [0, 2, 1]),
        (Labels.of([1, 6]), Labels.of([6, 1]), [0, 2, 1]),
        (Labels.of([1, 6]), Labels.of({"liver": 6, "spleen": 1}), [0, 2, 1]),
        (Labels.of({"liver": 6, "spleen": 1}), Labels.of([1, 6]), [0, 1, 2]),
        (Labels.of({"liver": 6, "spleen": 1}), Labels.of({"gut": 6, "spleen": 2, "liver": 1}), [0, 2, 3]),
    ],
    ids=["other values", "values swapped", "nobody named any", "the plan has names", "the data have names", "fewer"],
)
def test_labels_are_the_same_when_they_are_called_the_same(shown: Labels, known: Labels, expected: list[int]) -> None:
    assert classes(reference_of([0, 1, 6], shown), known) == expected


def test_a_label_that_the_plan_does_not_know_is_an_error() -> None:
    with pytest.raises(DataError, match="does not know tumour; it segments liver"):
        classes(reference_of([0, 1, 2], Labels.of({"liver": 1, "tumour": 2})), Labels.of({"liver": 1}))


def test_what_nobody_looked_at_is_told_by_the_reference() -> None:
    shown, known = Labels.of({"liver": 2}, ignore=1), Labels.of({"liver": 1}, ignore=2)
    assert classes(reference_of([0, 1, 2], shown), known) == [0, IGNORE, 1]
