"""A bundle that is written over another: whatever happens in between, one of both stands."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import as_cascade, ball_dataset, drawn_bundle, drawn_weights, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.bundle import bundle as home


@pytest.fixture(scope="module")
def single() -> Bundle:
    return untrained_bundle(ball_dataset(2), patch_size=(16, 16, 16))


@pytest.fixture(scope="module")
def nested(single: Bundle) -> Bundle:
    """Two members, a coarse stage of two, and a partner that is a cascade itself."""
    fine = as_cascade(single.plan)
    coarse = drawn_bundle(single.plan, seed=5, members=2, name="coarse")
    partner = replace(drawn_bundle(fine, seed=7, name="partner"), coarse=single)
    return replace(drawn_bundle(fine, seed=9, members=2, name="whole"), coarse=coarse, partners=(partner, single))


def reseeded(bundle: Bundle, seed: int) -> Bundle:
    """The same with other weights throughout."""
    return replace(
        bundle,
        members=tuple(drawn_weights(bundle.plan.network, seed=seed + n) for n in range(len(bundle.members))),
        coarse=None if bundle.coarse is None else reseeded(bundle.coarse, seed + 10),
        partners=tuple(reseeded(one, seed + 20 + 10 * n) for n, one in enumerate(bundle.partners)),
    )


def numbers(bundle: Bundle) -> list[np.ndarray]:
    """All weights in a bundle, in half precision, in an order of its own."""
    mine = [array.astype(np.float16) for weights in bundle.members for _, array in sorted(weights.items())]
    inner = ([] if bundle.coarse is None else [bundle.coarse]) + list(bundle.partners)
    return mine + [array for one in inner for array in numbers(one)]


def same(a: Bundle, b: Bundle) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(numbers(a), numbers(b), strict=True))


def files(place: Path) -> set[str]:
    return {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}


def stopping(after: int, write: Callable[..., None]) -> Callable[..., None]:
    """A writer that is killed before one of its files appears."""
    left = iter(range(after, -1, -1))

    def write_or_die(*arguments: object) -> None:
        if next(left) == 0:
            raise KeyboardInterrupt
        write(*arguments)

    return write_or_die


def test_names_of_a_new_bundle(nested, tmp_path):
    assert files(nested.save(tmp_path / "new")) == {
        "bundle.json",
        "weights.safetensors",
        "weights-2.safetensors",
        "coarse/bundle.json",
        "coarse/weights.safetensors",
        "coarse/weights-2.safetensors",
        "partner-1/bundle.json",
        "partner-1/weights.safetensors",
        "partner-1/coarse/bundle.json",
        "partner-1/coarse/weights.safetensors",
        "partner-2/bundle.json",
        "partner-2/weights.safetensors",
    }


def test_the_same_weights_are_not_written_again(single, tmp_path):
    place = single.save(tmp_path / "one")
    before = (place / "weights.safetensors").stat().st_ino
    single.with_card(name="another").save(place)
    assert (place / "weights.safetensors").stat().st_ino == before
    assert Bundle.load(place).card.name == "another"
    assert files(place) == {"bundle.json", "weights.safetensors"}


def test_weights_that_were_damaged_are_written_again(single, tmp_path):
    place = single.save(tmp_path / "one")
    (place / "weights.safetensors").write_bytes(b"noise")
    single.save(place)
    assert same(Bundle.load(place), single)
    assert len(files(place)) == 2


@pytest.mark.parametrize(("kind", "count"), [("write_bytes", 7), ("write_text", 5)])
def test_killed_at_any_moment_the_old_bundle_stands(kind, count, nested, tmp_path, monkeypatch):
    """Killed before the first file of a kind appears, before the second and so on."""
    standing, another = nested.save(tmp_path / "standing"), reseeded(nested, 300)
    for after in range(count):
        place = tmp_path / f"killed-{after}"
        shutil.copytree(standing, place)
        with monkeypatch.context() as patch:
            patch.setattr(home, kind, stopping(after, getattr(home, kind)))
            with pytest.raises(KeyboardInterrupt):
                another.save(place)
        assert same(Bundle.load(place), nested)
        another.save(place)
        assert same(Bundle.load(place), another)
        # What the killed writer left is used or gone; only names differ from those in a new folder.
        assert len(files(place)) == 12


def test_killed_before_the_old_weights_are_removed(single, tmp_path, monkeypatch):
    place = single.save(tmp_path / "standing")
    another = reseeded(single, 300)
    with monkeypatch.context() as patch:
        patch.setattr(home.Slots, "clear", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            another.save(place)
    assert same(Bundle.load(place), another)
    assert files(place) == {"bundle.json", "weights.safetensors", "weights-2.safetensors"}
    another.save(place)
    assert files(place) == {"bundle.json", "weights-2.safetensors"}


def test_a_smaller_bundle_leaves_nothing_of_the_larger(single, nested, tmp_path):
    place = nested.save(tmp_path / "standing")
    (place / "history.csv").write_text("step")
    (place / "coarse" / "history.csv").write_text("step")
    single.save(place)
    assert same(Bundle.load(place), single)
    # Files that are not the bundle's are left alone.
    assert {name for name in files(place) if "weights" not in name} == {
        "bundle.json",
        "history.csv",
        "coarse/history.csv",
    }
    assert sum("weights" in name for name in files(place)) == 1


def test_over_a_bundle_of_version_1(single, of_version_1):
    place = of_version_1
    assert '"version": 1' in (place / "bundle.json").read_text()
    old = Bundle.load(place)
    old.save(place)
    assert same(Bundle.load(place), old)
    single.save(place)
    assert same(Bundle.load(place), single)
    assert files(place) == {"bundle.json", "weights-2.safetensors", "curves.png", "history.csv"}


def test_a_description_that_cannot_be_read_names_nothing(single, tmp_path):
    place = single.save(tmp_path / "broken")
    for text in ("{", "[]", '{"members": 3}', '{"members": [{"file": "../../elsewhere"}]}'):
        (place / "bundle.json").write_text(text)
        (tmp_path / "elsewhere").write_text("mine")
        single.save(place)
        assert same(Bundle.load(place), single)
        assert (tmp_path / "elsewhere").read_text() == "mine"
        assert files(place) == {"bundle.json", "weights.safetensors"}
