from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from phantoms import ball_dataset

from vesalius.augment import Augmentation
from vesalius.errors import DataError
from vesalius.plan import Budget, Plan, fingerprint, make_plan, with_settings
from vesalius.plan.prepare import IGNORE
from vesalius.train.batches import draw_batch
from vesalius.train.cache import build_cache

STILL = Augmentation(
    rotation_p=0.0, scale_p=0.0, mirror_axes=(), noise_p=0.0, blur_p=0.0, brightness_p=0.0, contrast_p=0.0,
    low_resolution_p=0.0, inverted_gamma_p=0.0, gamma_p=0.0,
)  # fmt: skip


def plan_for_balls() -> Plan:
    plan = make_plan(fingerprint(ball_dataset(4)), Budget(steps=2), step_seconds=lambda *_: 0.01)
    return replace(with_settings(plan, ["batch_size=4", "network.features=8,16,16"]), augmentation=STILL)


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    plan = plan_for_balls()
    return plan, build_cache(ball_dataset(4), plan, tmp_path_factory.mktemp("cases"))


def draw(plan: Plan, cases, seed: int = 0):  # type: ignore[no-untyped-def]
    return draw_batch(
        cases,
        plan,
        random=np.random.default_rng(seed),
        generator=torch.Generator().manual_seed(seed),
        device=torch.device("cpu"),
    )


def test_patches_larger_than_the_case_hold_all_of_it(cached) -> None:  # type: ignore[no-untyped-def]
    plan, cases = cached
    images, classes = draw(plan, cases)
    assert images.shape == (4, 1, *plan.patch_size)
    for image, drawn in zip(images, classes, strict=True):
        matching = [c for c in cases if int((c.classes > 0).sum()) == int((drawn > 0).sum())]
        assert len(matching) == 1
        assert int((drawn == IGNORE).sum()) == drawn.numel() - matching[0].classes.size
        assert (image[0][drawn == IGNORE] == 0).all()
        assert float(image.sum()) == pytest.approx(float(matching[0].image.sum()), abs=0.1)


def test_foreground_patches_are_centred_on_what_is_rare(cached) -> None:  # type: ignore[no-untyped-def]
    plan, cases = cached
    plan = replace(plan, patch_size=(8, 8, 8), foreground_fraction=1.0)
    for seed in range(5):
        _, classes = draw(plan, cases, seed)
        assert all((drawn > 0).any() for drawn in classes)


def test_the_seed_decides_everything(cached) -> None:  # type: ignore[no-untyped-def]
    plan, cases = cached
    plan = replace(plan, augmentation=Augmentation.for_patch(plan.patch_size))
    one, two, other = draw(plan, cases, 1), draw(plan, cases, 1), draw(plan, cases, 2)
    assert torch.equal(one[0], two[0])
    assert torch.equal(one[1], two[1])
    assert not torch.equal(one[0], other[0])


def test_the_cache_is_taken_up_again_and_follows_the_plan(tmp_path: Path) -> None:
    plan = plan_for_balls()
    build_cache(ball_dataset(2), plan, tmp_path)
    stamps = {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.npy")}
    build_cache(ball_dataset(2), plan, tmp_path)
    assert {p.name: p.stat().st_mtime_ns for p in tmp_path.glob("*.npy")} == stamps
    changed = replace(plan, spacing_mm=(2.0, 2.0, 2.0))
    cases = build_cache(ball_dataset(2), changed, tmp_path)
    assert cases[0].image.shape[1:] == (12, 14, 10)


def test_a_case_that_does_not_suit_is_named(tmp_path: Path) -> None:
    plan = replace(plan_for_balls())
    with pytest.raises(DataError, match="case case0"):
        build_cache(ball_dataset(2, shape=(24, 24)), plan, tmp_path)
