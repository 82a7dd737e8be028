"""Who took part stays with what was learnt, and a withdrawal is marked on it."""

import json
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantoms import ball_dataset, untrained_bundle

from vesalius.bundle import Bundle
from vesalius.bundle.lineage import (
    find_bundles,
    lineage_of,
    mark_withdrawn,
    patients_of,
    read_provenance,
    withdrawn_from,
)
from vesalius.errors import BundleError
from vesalius.image import Lineage

HASHES = {"patient0": "a0", "patient1": "b1", "patient2": "c2"}


@pytest.fixture
def dataset():
    return replace(ball_dataset(6, shape=(24, 24)), lineage=Lineage("r1", "training", HASHES))


@pytest.fixture
def bundle(dataset) -> Bundle:
    return replace(untrained_bundle(dataset, patch_size=(16, 16)), provenance=lineage_of(dataset))


def test_only_the_patients_of_the_cases_take_part(dataset):
    part = dataset.select(["case0", "case1", "case4"])
    assert patients_of(lineage_of(part), "r1") == {"a0", "c2"}
    assert patients_of(lineage_of(part), "r1", "research") == frozenset()
    assert patients_of(lineage_of(part), "r2") == frozenset()
    assert lineage_of(replace(dataset, lineage=None)) == {}


def test_a_start_brings_its_own_with_it(dataset, bundle):
    other = replace(dataset.select(["case0"]), lineage=Lineage("r2", "research", {"patient0": "z9"}))
    provenance = lineage_of(other, bundle)
    assert patients_of(provenance, "r1") == {"a0", "b1", "c2"}
    assert patients_of(provenance, "r2") == {"z9"}


def test_a_mark_stays_and_is_made_once(bundle, tmp_path):
    place = bundle.save(tmp_path / "model")
    mark_withdrawn(place, "r1", ["b1"], at="2026-01-01")
    once = (place / "bundle.json").read_bytes()
    mark_withdrawn(place, "r1", ["b1"], at="2026-02-02")
    assert (place / "bundle.json").read_bytes() == once
    mark_withdrawn(place, "r1", ["a0", "b1"], at="2026-03-03")
    loaded = Bundle.load(place)
    assert withdrawn_from(loaded.provenance) == 2
    assert [one["at"] for one in loaded.provenance["withdrawn"]] == ["2026-01-01", "2026-03-03"]
    assert all(np.array_equal(loaded.weights[n], Bundle.load(place).weights[n]) for n in loaded.weights)
    assert withdrawn_from(lineage_of(ball_dataset(2), loaded)) == 2


def test_bundles_are_found_below_a_folder_but_not_in_one_another(bundle, tmp_path):
    bundle.save(tmp_path / "a" / "model")
    bundle.save(tmp_path / "a" / "model" / "coarse")
    bundle.save(tmp_path / "b")
    assert [place.name for place in find_bundles(tmp_path)] == ["model", "b"]


@pytest.mark.parametrize("text", ["", "[]", '{"provenance": 3}'])
def test_what_is_no_bundle_is_not_marked(tmp_path, text):
    (tmp_path / "bundle.json").write_text(text)
    with pytest.raises(BundleError):
        mark_withdrawn(tmp_path, "r1", ["a0"], at="")
    with pytest.raises(BundleError):
        read_provenance(tmp_path / "nowhere")


def test_a_damaged_lineage_is_told():
    for lineage in ([{"register": "r1"}], [3], [{}]):
        with pytest.raises(BundleError, match="lineage of the bundle is damaged"):
            patients_of(json.loads(json.dumps({"lineage": lineage})), "r1")


def zipped(folder: Path, to: Path, *, inside: str = "", way: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(to, "w", way) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(path, f"{inside}{path.relative_to(folder).as_posix()}")
    return to


@pytest.mark.parametrize("way", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("inside", ["", "model/"])
def test_a_zip_is_marked_and_stays_what_it_was_otherwise(bundle, tmp_path, inside, way):
    place = zipped(bundle.save(tmp_path / "model"), tmp_path / "model.zip", inside=inside, way=way)
    before = {one.filename: one.CRC for one in zipfile.ZipFile(place).infolist()}
    assert patients_of(read_provenance(place), "r1") == {"a0", "b1", "c2"}
    mark_withdrawn(place, "r1", ["b1"], at="2026-01-01")
    once = place.read_bytes()
    mark_withdrawn(place, "r1", ["b1"], at="2026-02-02")
    assert place.read_bytes() == once
    loaded = Bundle.load(place)
    assert withdrawn_from(loaded.provenance) == 1
    assert all(np.array_equal(loaded.weights[n], Bundle.load(tmp_path / "model").weights[n]) for n in loaded.weights)
    after = {one.filename: one.CRC for one in zipfile.ZipFile(place).infolist()}
    assert {name for name in before if before[name] != after[name]} == {f"{inside}bundle.json"}
    assert zipfile.ZipFile(place).infolist()[0].compress_type == way
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".part-")] == []


def test_exports_are_found_and_marked_as_bundles_are(bundle, tmp_path):
    made = tmp_path / "phones" / "model"
    made.mkdir(parents=True)
    told = {"format": "vesalius export", "provenance": {"lineage": bundle.provenance["lineage"]}}
    (made / "vesalius.json").write_text(json.dumps(told))
    (made / "model.onnx").write_bytes(b"graph")
    packed = zipped(made, tmp_path / "phones.zip")
    (tmp_path / "other.zip").write_bytes(b"no zip")
    zipped(tmp_path / "phones", tmp_path / "notes.zip", inside="deep/er/")
    (tmp_path / "link").symlink_to(made)
    assert list(find_bundles(tmp_path)) == [made, packed]
    for place in (made, packed):
        assert patients_of(read_provenance(place), "r1") == {"a0", "b1", "c2"}
        mark_withdrawn(place, "r1", ["a0"], at="2026-01-01")
        assert withdrawn_from(read_provenance(place)) == 1
    assert json.loads((made / "vesalius.json").read_text())["format"] == "vesalius export"


def test_an_export_of_before_lineage_was_told_concerns_nobody(tmp_path):
    (tmp_path / "vesalius.json").write_text('{"format": "vesalius export"}')
    assert patients_of(read_provenance(tmp_path), "r1") == frozenset()


@pytest.mark.parametrize("damage", ["cut", "bomb", "twice", "none"])
def test_a_zip_that_is_damaged_or_swells_is_left_as_it_is(bundle, tmp_path, damage):
    place = zipped(bundle.save(tmp_path / "model"), tmp_path / "model.zip")
    if damage == "cut":
        place.write_bytes(place.read_bytes()[:-200])
    elif damage == "bomb":
        with zipfile.ZipFile(place, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("zeros", bytes(100 * place.stat().st_size + (8 << 20)))
    elif damage == "twice":
        with zipfile.ZipFile(place, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("bundle.json", "{}")
    else:
        shutil.copy(__file__, place)
    before = place.read_bytes()
    with pytest.raises(BundleError):
        mark_withdrawn(place, "r1", ["a0"], at="")
    assert place.read_bytes() == before


def test_a_folder_that_nobody_may_look_into_is_passed_over(bundle, tmp_path, monkeypatch):
    bundle.save(tmp_path / "b")
    (tmp_path / "a").mkdir()
    known = Path.iterdir
    monkeypatch.setattr(
        Path, "iterdir", lambda self: known(self) if self.name != "a" else (_ for _ in ()).throw(PermissionError)
    )
    assert [place.name for place in find_bundles(tmp_path)] == ["b"]
