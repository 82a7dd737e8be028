from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from phantoms import ball_case, ball_dataset, drawn_bundle, for_regions

from vesalius.bundle import Bundle
from vesalius.errors import DataError, PlanError
from vesalius.image import Case, Dataset, LabelMap, Labels, Volume
from vesalius.nets import UNetSpec
from vesalius.nets.channels import replace_channels
from vesalius.plan import Budget, Optimisation, Plan, adapt_plan, fingerprint, make_plan, prepare, prepare_reference
from vesalius.plan.prepare import IGNORE
from vesalius.predict import segment
from vesalius.train import Start, fit
from vesalius.train.keep import SURE, kept_labels
from vesalius.transform import reorient, resample

SHAPE = (32, 32)
BALLS = ball_dataset(8, shape=SHAPE)


def showing(name: str, value: int) -> Dataset:
    """The balls, of which the references show one label only, with a value of their own."""

    def load(record: Any, _: Dataset) -> Case:
        case = BALLS.load(record, BALLS)
        assert case.reference is not None
        drawn = case.reference.binary(name).astype(np.uint8) * value
        return replace(case, reference=LabelMap(drawn, case.reference.grid, Labels.of({name: value})))

    return replace(BALLS, labels=Labels.of({name: value}), load=load)


def plan_of(dataset: Dataset, steps: int) -> Plan:
    made = make_plan(fingerprint(dataset), Budget(steps=steps), step_seconds=lambda *_: 0.01)
    network = UNetSpec.plain(ndim=2, in_channels=1, out_channels=len(made.labels) + 1, features=(8, 16))
    how = Optimisation.for_optimiser("sgd", steps)
    return replace(made, network=network, patch_size=SHAPE, batch_size=4, mirror_axes=(), optimisation=how)


def dice(bundle: Bundle, name: str) -> float:
    found = []
    for number in (90, 91, 92):
        case = ball_case(number, shape=SHAPE)
        assert case.reference is not None
        mine, theirs = segment(case.image, bundle).labels.binary(name), case.reference.binary(name)
        found.append(2 * (mine & theirs).sum() / max(1, mine.sum() + theirs.sum()))
    return float(np.mean(found))


@pytest.fixture(scope="module")
def knows_the_ball(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    data = showing("ball", 1)
    return fit(data, plan_of(data, 80), tmp_path_factory.mktemp("keep") / "ball", validation=())


def test_what_was_known_is_not_forgotten_when_it_is_kept(knows_the_ball: Bundle, tmp_path_factory: Any) -> None:
    assert dice(knows_the_ball, "ball") > 0.8
    data = showing("core", 1)  # the value that the ball has in the base
    plan = adapt_plan(
        fingerprint(data), Budget(steps=40), knows_the_ball.plan, keep_labels=True, step_seconds=lambda *_: 0.01
    )
    assert set(plan.labels.names) == {"ball", "core"}
    kept, forgot = (
        fit(
            data,
            plan,
            tmp_path_factory.mktemp("keep") / "out",
            validation=("case0",),
            start=Start(bundle=knows_the_ball, keep_labels=keep),
        )
        for keep in (True, False)
    )
    assert dice(kept, "ball") > 0.75 > dice(forgot, "ball") + 0.2
    assert dice(kept, "core") > 0.5
    assert set(kept.card.scores) == {"core", "mean"}  # nobody drew the ball, so nobody knows how good it is


def test_the_background_becomes_what_is_surely_known_and_nothing_else_changes() -> None:
    old = plan_of(BALLS, 1)
    new = replace(
        old,
        labels=Labels.of({"core": 1, "new": 2, "ball": 3}),
        network=replace(old.network, out_channels=4),  # type: ignore[arg-type]
    )
    start = drawn_bundle(old)
    start = replace(start, members=({name: 4 * array for name, array in start.weights.items()},))  # surer of itself
    amend, _ = kept_labels(start, new, device="cpu")
    case = ball_case(5, shape=SHAPE)
    prepared = prepare(case.image, new)
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[:4] = 2
    given = prepare_reference(LabelMap(drawn, case.image.grid, Labels.of({"new": 2})), prepared.grid, new)
    amended = amend(case, prepared, given)
    chances = segment(case.image, start, probabilities=True).probabilities
    assert chances is not None
    there = resample(reorient(chances), prepared.grid).array
    assert (amended[:4] == 2).all()
    for (i, j), value in np.ndenumerate(amended[4:]):
        says, sure = there[:, i + 4, j].argmax(), there[:, i + 4, j].max() >= SURE
        assert value == ([0, 3, 1][says] if sure else IGNORE)  # ball is 1 and core 2 in the old plan
    assert {0, 1, 3} & set(np.unique(amended[4:]))


def test_a_channel_that_is_new_is_not_shown_to_the_earlier_segmenter() -> None:
    start = drawn_bundle(plan_of(BALLS, 1))
    case = ball_case(5, shape=SHAPE)
    both = Volume(np.concatenate([0 * case.image.array, case.image.array]), case.image.grid, case.image.meta)

    def amended(channels: tuple[str, ...], image: Volume) -> Any:
        plan = replace(
            start.plan,
            channels=channels,
            normalisation=start.plan.normalisation * len(channels),
            network=replace_channels(start.plan.network, len(channels), 3),
        )
        amend, _ = kept_labels(start, plan, device="cpu")
        return amend(replace(case, image=image), prepare(image, plan), np.zeros(SHAPE, np.int16))

    assert np.array_equal(amended(("T2", "T1"), both), amended(("T1",), case.image))
    assert np.array_equal(amended(("MR",), case.image), amended(("T1",), case.image))
    with pytest.raises(PlanError, match="needs T1; the images have CT, PET"):
        amended(("CT", "PET"), both)


def test_channels_that_are_gone_are_refused() -> None:
    plan = plan_of(BALLS, 1)
    two = replace(
        plan,
        channels=("T1", "T2"),
        normalisation=plan.normalisation * 2,
        network=replace_channels(plan.network, 2, 3),
    )
    with pytest.raises(DataError, match="the image has no T2"):
        kept_labels(drawn_bundle(two), plan, device="cpu")


def test_the_key_tells_segmenters_apart() -> None:
    plan = plan_of(BALLS, 1)
    one = drawn_bundle(plan)
    keys = {
        kept_labels(start, plan, device="cpu")[1]
        for start in (
            one,
            drawn_bundle(plan, seed=2),
            drawn_bundle(plan, members=2),
            replace(one, plan=replace(plan, overlap=0.25)),
            replace(one, partners=(drawn_bundle(plan, seed=3),)),
        )
    }
    assert len(keys) == 5
    assert kept_labels(drawn_bundle(plan), plan, device="cpu")[1] in keys


def test_what_cannot_be_kept_is_refused() -> None:
    plan = plan_of(BALLS, 1)
    start = drawn_bundle(plan)
    other = replace(plan, labels=Labels.of({"ball": 1, "shell": 2}))
    with pytest.raises(PlanError, match="no label core"):
        kept_labels(start, other, device="cpu")
    with pytest.raises(PlanError, match="regions"):
        kept_labels(drawn_bundle(for_regions(plan)), plan, device="cpu")
    with pytest.raises(PlanError, match="regions"):
        kept_labels(start, for_regions(plan), device="cpu")
