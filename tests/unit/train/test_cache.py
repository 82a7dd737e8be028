import threading
from dataclasses import replace
from inspect import unwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from phantoms import LABELS, ball_case, ball_dataset, dataset_of, write_cases

from vesalius.errors import DataError, PlanError, VesaliusError
from vesalius.image import Case, Dataset, LabelMap, Labels
from vesalius.io.layouts import index
from vesalius.plan import Budget, Plan, fingerprint, make_plan, prepare, prepare_reference, with_settings
from vesalius.plan.prepare import IGNORE
from vesalius.train import cache as home
from vesalius.train.cache import build_cache
from vesalius.train.keys import hash_files, plan_key
from vesalius.train.tiles import TiledArray

CASES = [ball_case(number) for number in range(3)]


@pytest.fixture(scope="module")
def plan() -> Plan:
    made = make_plan(fingerprint(ball_dataset(4)), Budget(steps=2), step_seconds=lambda *_: 0.01)
    return with_settings(made, ["batch_size=4", "network.features=8,16,16"])


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is prepared from now on, by the image's mean."""
    seen: list[str] = []

    def watched(image, plan):  # type: ignore[no-untyped-def]
        seen.append(f"{float(image.array.mean()):.6f}")
        return prepare(image, plan)

    monkeypatch.setattr(home, "prepare", watched)
    return seen


def entries(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("[!.]*/entry.json")}


@pytest.mark.parametrize("memory_gib", [0.0, 1.0])
def test_what_is_kept_is_what_preparing_gives(plan: Plan, tmp_path: Path, memory_gib: float) -> None:
    done: list[tuple[int, int]] = []
    cases = build_cache(
        dataset_of(CASES), plan, tmp_path, memory_gib=memory_gib, progress=lambda *told: done.append(told)
    )
    assert [case.id for case in cases] == [case.id for case in CASES]
    assert done == [(1, 3), (2, 3), (3, 3)]
    for cached, case in zip(cases, CASES, strict=True):
        assert isinstance(cached.image, TiledArray) == (memory_gib == 0)
        expected = prepare(case.image, plan)
        assert np.array_equal(np.asarray(cached.image), expected.array)
        assert case.reference is not None
        assert np.array_equal(np.asarray(cached.classes), prepare_reference(case.reference, expected.grid, plan))
        assert cached.places.foreground == (1, 2)


def test_the_smallest_cases_are_kept_in_memory(plan: Plan, tmp_path: Path) -> None:
    large, small = ball_case(0, shape=(48, 48, 40)), ball_case(1)
    room = 1.5 * 24 * 28 * 20 * 6 / 2**30
    cases = build_cache(dataset_of([large, small]), plan, tmp_path, memory_gib=room)
    assert [isinstance(case.image, TiledArray) for case in cases] == [True, False]


def test_plans_that_differ_in_training_only_share_their_cases(plan: Plan, tmp_path: Path, prepared: list[str]) -> None:
    build_cache(dataset_of(CASES), plan, tmp_path)
    other = with_settings(plan, ["patch_size=16,16,16", "batch_size=2", "optimisation.learning_rate=0.5"])
    build_cache(dataset_of(CASES[1:]), other, tmp_path)
    assert len(prepared) == 3
    cases = build_cache(dataset_of(CASES), replace(plan, spacing_mm=(2.0, 2.0, 2.0)), tmp_path)
    assert len(prepared) == 6
    assert cases[0].image.shape[1:] == (12, 14, 10)
    assert len(entries(tmp_path)) == 6


class Watched:
    """Stands for a thing and notes what is read of it."""

    def __init__(self, thing: object) -> None:
        self.thing, self.read = thing, set[str]()

    def __getattr__(self, name: str) -> object:
        self.read.add(name)
        return getattr(self.thing, name)


def test_all_that_preparing_reads_of_the_plan_is_in_the_key(plan: Plan) -> None:
    labels, watched = Watched(plan.labels), Watched(plan)
    watched.labels = labels  # type: ignore[attr-defined]
    case = CASES[0]
    assert case.reference is not None
    prepare_reference(case.reference, prepare(case.image, watched).grid, watched)  # type: ignore[arg-type]
    assert watched.read == {"ndim", "channels", "calibrated", "normalisation", "preparation", "spacing_mm"}
    assert labels.read == {"labels"}
    known = {name: getattr(plan, name) for name in (*watched.read, "labels")}
    changes = {
        "ndim": 2,
        "channels": ("T2",),
        "calibrated": False,
        "normalisation": (replace(plan.normalisation[0], scheme="rgb"),),
        "spacing_mm": (1.0, 1.0, 1.5),
        "preparation": replace(plan.preparation, orientation="RAS"),
        "labels": Labels.of({"ball": 1, "core": 3}),
    }
    key_of = unwrap(plan_key)  # annotations unchecked: a plan would refuse such parts
    keys = {key_of(SimpleNamespace(**{**known, name: value})) for name, value in changes.items()}
    keys |= {plan_key(plan), plan_key(plan, amend_key="x")}
    keys.add(key_of(SimpleNamespace(**{**known, "labels": Labels.of({"core": 1, "ball": 2})})))
    assert len(keys) == len(changes) + 3


def test_files_are_known_by_their_bytes(plan: Plan, tmp_path: Path, prepared: list[str]) -> None:
    write_cases(tmp_path / "one", CASES)
    write_cases(tmp_path / "two", CASES[:2])  # the same bytes at another place
    build_cache(indexed(tmp_path / "one"), plan, tmp_path / "cache")
    assert len(prepared) == 3
    copied = indexed(tmp_path / "two")
    build_cache(copied, plan, tmp_path / "cache")
    assert len(prepared) == 3
    write_cases(tmp_path / "two", [replace(CASES[2], id=CASES[0].id)])
    build_cache(copied, plan, tmp_path / "cache")
    assert len(prepared) == 3  # it is the third case's bytes now, and those are known
    other = LabelMap(np.ones(CASES[0].image.grid.shape, np.uint8), CASES[0].image.grid, LABELS)
    write_cases(tmp_path / "two", [replace(CASES[0], reference=other)])
    build_cache(copied, plan, tmp_path / "cache")
    assert len(prepared) == 4


def indexed(folder: Path) -> Dataset:
    return replace(index(folder, check=False), labels=LABELS, channels=("T1",))


def test_a_header_beside_its_voxels_does_not_hide_a_change(plan: Plan, tmp_path: Path, prepared: list[str]) -> None:
    write_cases(tmp_path / "d", CASES[:2], ending=".mhd")
    build_cache(indexed(tmp_path / "d"), plan, tmp_path / "cache")
    raw = tmp_path / "d" / "images" / f"{CASES[0].id}.raw"
    voxels = np.fromfile(raw, np.float32)
    voxels[:100] += 50
    voxels.tofile(raw)  # the header is as before
    build_cache(indexed(tmp_path / "d"), plan, tmp_path / "cache")
    assert len(prepared) == 3


def test_a_damaged_entry_is_made_anew_with_a_note(plan: Plan, tmp_path: Path, prepared: list[str]) -> None:
    cases = build_cache(dataset_of(CASES), plan, tmp_path, memory_gib=0)
    assert isinstance(cases[1].image, TiledArray)
    data = bytearray(cases[1].image.path.read_bytes())
    data[len(data) // 2] ^= 16
    cases[1].image.path.write_bytes(data)
    told: list[str] = []
    again = build_cache(dataset_of(CASES), plan, tmp_path, note=told.append)
    assert told == ["case case1: the prepared data were damaged on disk and are made anew"]
    assert len(prepared) == 4
    assert np.array_equal(np.asarray(again[1].image), prepare(CASES[1].image, plan).array)


def test_an_interruption_leaves_whole_entries_only(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepared: list[str]
) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(dataset_of(CASES), plan, tmp_path, progress=stop)
    assert list(tmp_path.glob(".part-*")) == []
    assert len(entries(tmp_path)) >= 2
    assert [t.name for t in threading.enumerate() if t.name.startswith("prepare")] == []
    build_cache(dataset_of(CASES), plan, tmp_path)
    assert len(prepared) == 3


def test_two_builds_at_once_both_succeed(plan: Plan, tmp_path: Path) -> None:
    got: list[np.ndarray] = []

    def build() -> None:
        got.extend(np.asarray(case.image) for case in build_cache(dataset_of(CASES), plan, tmp_path))

    threads = [threading.Thread(target=build) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 9
    for number, image in enumerate(got):
        assert np.array_equal(image, prepare(CASES[number % 3].image, plan).array)
    assert len(entries(tmp_path)) == 3


def test_an_amendment_has_entries_of_its_own(plan: Plan, tmp_path: Path) -> None:
    def amend(case: Case, prepared, classes):  # type: ignore[no-untyped-def]
        assert prepared.array.shape[1:] == classes.shape
        return np.where(classes == 0, np.int16(2), classes)

    plain = build_cache(dataset_of(CASES), plan, tmp_path)
    amended = build_cache(dataset_of(CASES), plan, tmp_path, amend=amend, amend_key="all is core")
    again = build_cache(dataset_of(CASES), plan, tmp_path)
    for before, changed, after in zip(plain, amended, again, strict=True):
        assert (np.asarray(changed.classes) > 0).all()
        assert np.array_equal(np.asarray(before.classes), np.asarray(after.classes))
        assert changed.key != before.key


def test_an_amendment_without_a_key_or_of_another_shape_is_refused(plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="amend_key"):
        build_cache(dataset_of(CASES), plan, tmp_path, amend=lambda case, prepared, classes: classes)
    with pytest.raises(PlanError, match="amend_key"):
        build_cache(dataset_of(CASES), plan, tmp_path, amend_key="x")
    with pytest.raises(DataError, match=r"case case0: the amendment gave classes of shape \(1, 28, 20\)"):
        build_cache(dataset_of(CASES), plan, tmp_path, amend=lambda c, p, classes: classes[:1], amend_key="x")


def test_a_case_that_does_not_suit_is_named(plan: Plan, tmp_path: Path) -> None:
    flat = ball_case(7, shape=(24, 24))
    with pytest.raises(DataError, match=r"^case case7: the image is 2D and the plan is for 3D"):
        build_cache(dataset_of([*CASES, flat]), plan, tmp_path)
    bare = replace(CASES[1], reference=None)
    with pytest.raises(DataError, match=r"^case case1: it has no reference"):
        build_cache(dataset_of([CASES[0], bare]), plan, tmp_path)


def test_a_file_that_cannot_be_read_is_named(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cases(tmp_path / "d", CASES[:2])
    dataset = indexed(tmp_path / "d")
    image = tmp_path / "d" / "images" / "case1.nii.gz"
    # The damage is done late: where annotations are checked, a case of a data set is read to see that it is one.
    monkeypatch.setattr(home, "hash_files", lambda record, dataset: str(image.write_bytes(b"no image")) + record.id)
    with pytest.raises(DataError, match=r"^case case1: case1\.nii\.gz: not a NIfTI file"):
        build_cache(dataset, plan, tmp_path / "cache")
    image.unlink()
    with pytest.raises(DataError, match=r"^case1\.nii\.gz: the file cannot be read: No such file"):
        unwrap(hash_files)(dataset.records[1], dataset)


def test_cases_that_do_not_fit_under_the_limit_are_refused_with_what_they_need(plan: Plan, tmp_path: Path) -> None:
    build_cache(dataset_of(CASES), plan, tmp_path / "whole")
    taken = sum(f.stat().st_size for f in (tmp_path / "whole").rglob("*") if f.is_file()) / 2**30
    with pytest.raises(VesaliusError, match=r"limit_gib=.*3 cases, about .* GiB in all.*raise the limit"):
        build_cache(dataset_of(CASES), plan, tmp_path / "tight", limit_gib=0.8 * taken)
    build_cache(dataset_of(CASES), plan, tmp_path / "tight", limit_gib=1.1 * taken)
    assert list((tmp_path / "tight").glob(".part-*")) == []


def sparse(case: Case, *, slices: slice) -> Case:
    assert case.reference is not None
    array = np.full_like(case.reference.array, 3)
    array[:, :, slices] = case.reference.array[:, :, slices]
    return replace(case, reference=LabelMap(array, case.image.grid, replace(LABELS, ignore=3)))


def test_sparse_annotation_is_known(plan: Plan, tmp_path: Path) -> None:
    plan = replace(plan, labels=replace(LABELS, ignore=3))
    (case,) = build_cache(dataset_of([sparse(CASES[0], slices=slice(9, 10))]), plan, tmp_path)
    assert case.places.is_sparse
    classes = np.asarray(case.classes)
    assert ((classes == IGNORE) == (np.arange(classes.shape[2]) != 9)).all()
    with pytest.raises(DataError, match="case case1: none of its voxels is annotated"):
        build_cache(dataset_of([sparse(CASES[1], slices=slice(0, 0))]), plan, tmp_path)
