import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from phantoms import as_cascade, ball_dataset, drawn_bundle

from vesalius.bundle import Bundle
from vesalius.errors import BundleError, DataError, PlanError
from vesalius.image import Dataset
from vesalius.nets import UNetSpec
from vesalius.plan import Budget, Plan, fingerprint, make_plan, prepare
from vesalius.predict import coarse_classes, load_segmenter, segment
from vesalius.train import Status, fit_cascade
from vesalius.train.cache import build_cache
from vesalius.train.coarse import CoarseStage, with_coarse_classes
from vesalius.train.run import Run

DATA = ball_dataset(4, shape=(16, 20, 16))
FOLDS = DATA.folds(2)


def plans(*, steps: int = 3) -> tuple[Plan, Plan]:
    made = make_plan(fingerprint(DATA), Budget(steps=steps), step_seconds=lambda *_: 0.01)
    network = UNetSpec.plain(ndim=3, in_channels=1, out_channels=3, features=(8, 16))
    full = replace(made, network=network, patch_size=(16, 16, 16), batch_size=2, mirror_axes=())
    coarse = replace(full, configuration="3d_lowres", spacing_mm=(2.0, 2.0, 2.0), patch_size=(8, 8, 8))
    return coarse, as_cascade(full)


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cascade") / "balls"
    fit_cascade(DATA, *plans(), out)
    return out


def equal(one: Bundle, other: Bundle) -> bool:
    return all(np.array_equal(array, other.weights[name]) for name, array in one.weights.items())


def test_the_bundle_holds_both_stages(cascade: Path) -> None:
    bundle = Bundle.load(cascade)
    assert bundle.plan.configuration == "3d_cascade"
    assert bundle.coarse is not None
    assert bundle.coarse.plan.configuration == "3d_lowres"
    assert len(bundle.coarse.members) == 2
    assert len(bundle.members) == 1
    assert bundle.provenance["steps"] == 3
    assert segment(DATA[0].image, bundle).labels.grid == DATA[0].image.grid


def test_the_fine_stage_sees_the_coarse_one(cascade: Path) -> None:
    bundle = replace(Bundle.load(cascade), coarse=drawn_bundle(plans()[0]))  # which shows all labels somewhere
    blind = {
        name: np.concatenate([array[:, :1], 0 * array[:, 1:]], axis=1) if array.shape[1:2] == (3,) else array
        for name, array in bundle.weights.items()
    }
    assert sum(not np.array_equal(array, bundle.weights[name]) for name, array in blind.items()) == 1
    seeing, unseeing = (
        segment(DATA[0].image, one, probabilities=True).probabilities
        for one in (bundle, replace(bundle, members=(blind,)))
    )
    assert seeing is not None
    assert unseeing is not None
    assert np.abs(seeing.array - unseeing.array).max() > 1e-3


def test_each_case_is_shown_what_the_network_found_that_has_not_seen_it(tmp_path: Path) -> None:
    coarse, fine = plans()
    stage = CoarseStage(drawn_bundle(coarse, members=2), FOLDS)
    cases = build_cache(DATA, fine, tmp_path / "cache")
    shown = with_coarse_classes(cases, DATA, fine, stage, tmp_path / "coarse", device="cpu")
    for cached, case in zip(shown, DATA, strict=True):
        home = next(number for number, fold in enumerate(FOLDS) if case.id in fold)
        grid = prepare(case.image, fine).grid
        own, other = (
            coarse_classes(case.image, load_segmenter(stage.bundle, device="cpu", members=(number,)), grid)
            for number in (home, 1 - home)
        )
        assert np.array_equal(np.asarray(cached.coarse), own)
        assert not np.array_equal(own, other)


def test_the_folds_of_the_coarse_stage_are_those_that_its_networks_have_not_seen(cascade: Path) -> None:
    """What `with_coarse_classes` relies on: member n was not trained on fold n."""
    coarse = Bundle.load(cascade / ".fit" / "coarse")
    assert tuple(tuple(fold) for fold in coarse.provenance["folds"]) == FOLDS
    for number, fold in enumerate(FOLDS):
        member = Bundle.load(cascade / ".fit" / "coarse" / ".fit" / "3d_lowres" / f"fold-{number + 1}")
        assert set(member.provenance["held_out"]) == set(fold)
        assert all(np.array_equal(array, coarse.members[number][name]) for name, array in member.weights.items())


def test_a_case_of_no_fold_is_named(tmp_path: Path) -> None:
    coarse, fine = plans()
    stage = CoarseStage(drawn_bundle(coarse, members=2), (FOLDS[0], FOLDS[1][1:]))
    cases = build_cache(DATA, fine, tmp_path / "cache")
    with pytest.raises(DataError, match=f"case {FOLDS[1][0]} belongs to no fold"):
        with_coarse_classes(cases, DATA, fine, stage, tmp_path / "coarse", device="cpu")
    with pytest.raises(DataError, match="2 folds need as many networks, not 1"):
        CoarseStage(drawn_bundle(coarse), FOLDS)


@pytest.mark.parametrize("moment", ["coarse stage, 3d_lowres, fold 2 of 2", ""], ids=["coarse", "fine"])
def test_an_interruption_changes_nothing(
    moment: str, cascade: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = Run.tell
    monkeypatch.setattr(Run, "tell", lambda run, status, now=True: tell(run, status, now=True))  # not once a second

    def interrupt(status: Status) -> None:
        if status.part == moment and status.phase == "train":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_cascade(DATA, *plans(), tmp_path / "out", on_status=interrupt)
    bundle = fit_cascade(DATA, *plans(), tmp_path / "out", resume=True)
    whole = Bundle.load(cascade)
    assert equal(bundle, whole)
    assert bundle.coarse is not None
    assert whole.coarse is not None
    assert equal(bundle.coarse, whole.coarse)


def test_a_fine_stage_that_fails_leaves_the_coarse_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(dataset: Dataset, plan: Plan, *args: Any, **how: Any) -> Any:
        if plan.coarse_labels:
            raise DataError("case case1: it cannot be read")
        return build_cache(dataset, plan, *args, **how)

    with monkeypatch.context() as patched:
        patched.setattr(sys.modules["vesalius.train.fit"], "build_cache", fail)
        with pytest.raises(DataError, match="case1"):
            fit_cascade(DATA, *plans(), tmp_path / "out")
    checkpoint = tmp_path / "out" / ".fit" / "coarse" / ".fit" / "3d_lowres" / "fold-1" / ".fit" / "checkpoint.pt"
    before = checkpoint.stat().st_mtime_ns
    assert fit_cascade(DATA, *plans(), tmp_path / "out", resume=True).coarse is not None
    assert checkpoint.stat().st_mtime_ns == before


def test_both_stages_have_folds_where_they_are_asked_for(tmp_path: Path) -> None:
    bundle = fit_cascade(DATA, *plans(steps=1), tmp_path / "out", folds=2)
    assert bundle.coarse is not None
    assert len(bundle.members) == len(bundle.coarse.members) == 2
    assert bundle.card.scores_on.startswith("4 of 4 cases")
    assert Bundle.load(tmp_path / "out").coarse is not None


def test_plans_that_are_no_cascade_are_refused(cascade: Path, tmp_path: Path) -> None:
    coarse, fine = plans()
    with pytest.raises(PlanError, match="not the two stages"):
        fit_cascade(DATA, coarse, coarse, tmp_path / "out")
    with pytest.raises(BundleError, match="a cascade stands here"):
        fit_cascade(DATA, coarse, fine, cascade)
    with pytest.raises(BundleError, match="other plans"):
        fit_cascade(DATA, *plans(steps=4), cascade, resume=True)
    (tmp_path / "notes.txt").write_text("somebody's")
    with pytest.raises(BundleError, match="not empty"):
        fit_cascade(DATA, coarse, fine, tmp_path)
