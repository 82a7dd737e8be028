from collections import Counter
from dataclasses import replace
from inspect import unwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from phantoms import LABELS, ball_dataset
from torch import Tensor

from vesalius.augment import Augmentation, source_size
from vesalius.errors import DataError
from vesalius.nets import UNetSpec, divisor
from vesalius.plan import Budget, Plan, fingerprint, make_plan, with_settings
from vesalius.plan.prepare import IGNORE
from vesalius.train import corruption
from vesalius.train.batches import _pack, _unpack, draw_windows, finish
from vesalius.train.cache import CachedCase, build_cache
from vesalius.train.places import find_places

STILL = Augmentation(
    rotation_p=0.0, scale_p=0.0, mirror_axes=(), noise_p=0.0, blur_p=0.0, brightness_p=0.0, contrast_p=0.0,
    low_resolution_p=0.0, inverted_gamma_p=0.0, gamma_p=0.0,
)  # fmt: skip
CPU = torch.device("cpu")
Drawn = tuple[Plan, list[CachedCase]]


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    plan = make_plan(fingerprint(ball_dataset(4)), Budget(steps=2), step_seconds=lambda *_: 0.01)
    plan = replace(with_settings(plan, ["batch_size=4", "network.features=8,16,16"]), augmentation=STILL)
    return plan, build_cache(ball_dataset(4), plan, tmp_path_factory.mktemp("cases"))


def batch(
    plan: Plan, cases: list[CachedCase], *, seed: int = 0, step: int = 0, rows: slice | None = None
) -> tuple[Tensor, Tensor]:
    raw = draw_windows(cases, plan, seed=seed, step=step, rows=rows)
    return finish(raw, plan, seed=seed, step=step, device=CPU, rows=rows)


def moving(plan: Plan) -> Plan:
    """Everything that a batch may meet: rotation, noise, mixing, a change of scale."""
    how = replace(Augmentation.for_patch(plan.patch_size), rotation_p=0.5, noise_p=0.5, mix_p=0.7)
    return replace(plan, augmentation=how, input_scales=(0.5, 1.0, 1.5))


def test_patches_larger_than_the_case_hold_all_of_it(cached: Drawn) -> None:
    plan, cases = cached
    images, classes = batch(plan, cases)
    assert images.shape == (4, 1, *plan.patch_size)
    for image, drawn in zip(images, classes, strict=True):
        matching = [c for c in cases if int((np.asarray(c.classes) > 0).sum()) == int((drawn > 0).sum())]
        assert len(matching) == 1
        whole = np.asarray(matching[0].classes)
        assert int((drawn == IGNORE).sum()) == drawn.numel() - whole.size
        assert (image[0][drawn == IGNORE] == 0).all()
        assert float(image.sum()) == pytest.approx(float(np.asarray(matching[0].image).sum()), abs=0.1)


def test_windows_are_the_arrays_also_at_the_borders(cached: Drawn) -> None:
    plan, _ = cached
    plan = replace(plan, patch_size=(8, 8, 8), foreground_fraction=0.0)
    shape = (9, 12, 8)
    numbers = np.arange(1, 1 + np.prod(shape)).reshape(shape)
    case = CachedCase(
        "numbers", numbers[None].astype(np.float32), numbers.astype(np.int16), find_places(numbers.astype(np.int16))
    )
    origins = set()
    for step in range(40):
        images, classes = batch(plan, [case], step=step)
        for image, drawn in zip(images[:, 0], classes, strict=True):
            start = np.unravel_index(int(drawn[0, 0, 0]) - 1, shape)
            origins.add(start)
            there = tuple(slice(a, a + 8) for a in start)
            assert np.array_equal(image.numpy(), numbers[there])
            assert np.array_equal(drawn.numpy(), numbers[there])
    assert origins == {(i, j, 0) for i in range(2) for j in range(5)}


@pytest.mark.parametrize("memory_gib", [0.0, 1.0])
def test_a_batch_follows_from_seed_and_number_alone(cached: Drawn, tmp_path: Path, memory_gib: float) -> None:
    plan, cases = cached
    plan = moving(plan)
    again = build_cache(ball_dataset(4), plan, tmp_path, memory_gib=memory_gib)
    batches = [batch(plan, cases, seed=3, step=step) for step in range(4)]
    torch.manual_seed(99)
    np.random.default_rng(99)
    for step in (2, 0, 3):
        images, classes = batch(plan, again, seed=3, step=step)
        assert torch.equal(images, batches[step][0])
        assert torch.equal(classes, batches[step][1])
    for other in (batch(plan, cases, seed=3, step=1), batch(plan, cases, seed=4, step=0)):
        assert other[0].shape != batches[0][0].shape or not torch.equal(other[0], batches[0][0])


def test_rows_put_together_are_the_whole_batch(cached: Drawn) -> None:
    plan, cases = cached
    plan = moving(plan)
    for step in range(6):
        images, classes = batch(plan, cases, step=step)
        parts = [batch(plan, cases, step=step, rows=rows) for rows in (slice(0, 1), slice(1, 3), slice(3, None))]
        assert [len(part[0]) for part in parts] == [1, 2, 1]
        assert torch.allclose(torch.cat([part[0] for part in parts]), images, atol=1e-5)
        assert torch.equal(torch.cat([part[1] for part in parts]), classes)


def test_every_case_comes_once_before_any_comes_again(cached: Drawn) -> None:
    plan, cases = cached
    plan = replace(plan, batch_size=3)
    marked = [replace(case, image=np.full_like(np.asarray(case.image), n + 1)) for n, case in enumerate(cases)]
    drawn = [int(image.max()) for step in range(16) for image in draw_windows(marked, plan, seed=1, step=step).images]
    rounds = [drawn[n : n + 4] for n in range(0, 48, 4)]
    assert all(sorted(numbers) == [1, 2, 3, 4] for numbers in rounds)
    assert len({tuple(numbers) for numbers in rounds}) > 6  # the order is another each time


def test_the_share_around_the_foreground_is_right_and_its_classes_are_even(cached: Drawn) -> None:
    plan, _ = cached
    plan = replace(plan, patch_size=(8, 8, 8), batch_size=8, foreground_fraction=0.4)
    classes = np.zeros((64, 64, 64), np.int16)
    classes[8:9, 8:9, 8:9], classes[48:52, 48:52, 48:52] = 1, 2  # one is 64 times rarer
    case = CachedCase("rare", classes[None].astype(np.float32), classes, find_places(classes))
    centres = Counter(int(drawn[4, 4, 4]) for step in range(60) for drawn in batch(plan, [case], step=step)[1])
    assert centres[1] / 480 == pytest.approx(0.2, abs=0.06)
    assert centres[2] / 480 == pytest.approx(0.2, abs=0.06)


def test_patches_of_sparse_annotation_lie_around_what_somebody_looked_at(cached: Drawn) -> None:
    plan, _ = cached
    classes = np.full((60, 60, 60), IGNORE, np.int16)
    classes[:, :, 30] = 0
    classes[10:14, 10:14, 30] = 2
    case = CachedCase("slice", np.zeros((1, 60, 60, 60), np.float32), classes, find_places(classes))
    plan = replace(plan, patch_size=(8, 8, 8), labels=replace(LABELS, ignore=3))
    drawn = torch.cat([batch(plan, [case], step=step)[1] for step in range(40)])
    assert (drawn[:, :, :, 4] != IGNORE).all()  # the slice goes through the middle of each
    share = float((drawn == 2).flatten(1).any(dim=1).float().mean())
    assert 0.25 < share < 0.5  # a third, and some that met it by chance


def test_a_case_of_background_alone_can_be_drawn(cached: Drawn) -> None:
    plan, _ = cached
    plan = replace(plan, patch_size=(8, 8, 8), foreground_fraction=1.0)
    nothing = np.zeros((16, 16, 16), np.int16)
    case = CachedCase("empty", np.ones((1, 16, 16, 16), np.float32), nothing, find_places(nothing))
    images, classes = batch(plan, [case])
    assert (images == 1).all()
    assert (classes == 0).all()


def test_all_patches_of_a_step_are_of_one_scale_and_all_scales_come(cached: Drawn) -> None:
    plan, cases = cached
    plan = replace(plan, input_scales=(0.5, 1.0, 1.5))
    sizes = {tuple(batch(plan, cases, step=step)[0].shape[2:]) for step in range(20)}
    assert len(sizes) == 3
    assert plan.patch_size in sizes
    strides = divisor(plan.network)
    assert all(n % stride == 0 for size in sizes for n, stride in zip(size, strides, strict=True))


def in_a_cascade(plan: Plan, cases: list[CachedCase]) -> Drawn:
    network = UNetSpec.plain(ndim=3, in_channels=1 + 2, out_channels=3, features=(8, 16, 16))
    plan = replace(plan, network=network, coarse_labels=2, configuration="3d_cascade")
    return plan, [replace(case, coarse=np.asarray(case.classes)) for case in cases]


def test_coarse_classes_follow_every_turn_of_the_labels(cached: Drawn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corruption, "_MORPHOLOGY_P", 0.0)
    monkeypatch.setattr(corruption, "_DROP_P", 0.0)
    plan, cases = in_a_cascade(*cached)
    plan = replace(plan, augmentation=replace(STILL, rotation_p=1.0, scale_p=1.0), patch_size=(16, 16, 16))
    images, classes = batch(plan, cases)
    assert images.shape == (4, 3, 16, 16, 16)
    for number in (1, 2):
        assert torch.equal(images[:, number] == 1, classes == number)
        assert (images[:, number] == 1).any()


@pytest.mark.parametrize(("labels", "kind"), [(2, torch.int16), (9_000, torch.int32)])
def test_classes_and_coarse_classes_share_a_number(cached: Drawn, labels: int, kind: torch.dtype) -> None:
    plan = SimpleNamespace(labels=cached[0].labels, coarse_labels=labels)  # a network of 9,000 channels is none
    classes = torch.tensor([[IGNORE, IGNORE, 0, 2]], dtype=torch.int16)
    coarse = torch.tensor([[0, labels, labels, 1]], dtype=torch.int16)
    packed = unwrap(_pack)(classes, coarse, plan)
    assert packed.dtype == kind
    assert int(packed[0, 0]) == 0  # what apply puts beyond the case
    unpacked = unwrap(_unpack)(packed, plan)
    assert torch.equal(unpacked[0], classes)
    assert torch.equal(unpacked[1].to(torch.int16), coarse)


def test_coarse_classes_are_corrupted_for_each_row_by_itself(cached: Drawn) -> None:
    plan, cases = in_a_cascade(*cached)
    plan = replace(plan, patch_size=(16, 16, 16))
    spoilt = 0
    for step in range(6):
        images, classes = batch(plan, cases, step=step)
        parts = torch.cat([batch(plan, cases, step=step, rows=slice(n, n + 1))[0] for n in range(4)])
        assert torch.equal(parts, images)
        exact = torch.stack([classes == 1, classes == 2], dim=1).float()
        spoilt += int((images[:, 1:] != exact).flatten(1).any(dim=1).sum())
    assert 3 < spoilt < 21


def test_a_case_without_its_coarse_classes_is_named(cached: Drawn) -> None:
    plan, cases = in_a_cascade(*cached)
    with pytest.raises(DataError, match=r"^case case\d: .*coarse stage"):
        batch(plan, [replace(case, coarse=None) for case in cases])


def test_windows_are_no_larger_than_they_must_be(cached: Drawn) -> None:
    plan, cases = cached
    raw = draw_windows(cases, moving(plan), seed=0, step=0)
    assert tuple(raw.images.shape[2:]) == source_size(moving(plan).augmentation, plan.patch_size)
    assert raw.images.dtype == torch.float32
    assert raw.classes.dtype == torch.int16


def test_paired_labels_change_places_in_mirrored_patches(cached: Drawn) -> None:
    plan, cases = cached
    mirroring = replace(plan, augmentation=replace(STILL, mirror_axes=(0,), mirror_p=1.0))
    paired = replace(mirroring, paired_labels=(plan.labels.values,))  # type: ignore[arg-type]  # it has two
    images, classes = batch(mirroring, cases)
    found_images, found = batch(paired, cases)
    assert torch.equal(found_images, images)
    assert {0, 1, 2} <= set(classes.unique().tolist())
    assert torch.equal(found, torch.tensor([0, 2, 1, IGNORE], dtype=classes.dtype)[classes.long()])
    assert torch.equal(batch(replace(paired, augmentation=STILL), cases)[1], batch(plan, cases)[1])
