"""The retina: who is held out, and what a prepared set holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vesalius.errors import DataError
from vesalius.image import Grid, Labels, Volume
from vesalius.io import read, read_labels
from vesalius.io.layouts.fundus import VESSELS, Drawing, Eye, Eyes, Part
from vesalius.studies.retina import split
from vesalius.studies.retina.teaching import drawn_labels, prepared_photograph, prepared_set


def eye(name: str, patient: str = "", part: Part = "") -> Eye:
    return Eye(name, patient or name, Path(f"{name}.png"), part=part)


def test_the_official_split_is_kept() -> None:
    eyes = Eyes("DRIVE", VESSELS, (eye("a", part="test"), eye("b", part="train"), eye("c", part="train")))
    teaching, held_out = split(eyes)
    assert [one.id for one in teaching] == ["b", "c"]
    assert [one.id for one in held_out] == ["a"]


def test_both_eyes_of_the_last_four_of_fourteen_patients_are_held_out() -> None:
    eyes = Eyes("CHASE_DB1", VESSELS, tuple(eye(f"{n:02d}{side}", f"{n:02d}") for n in range(1, 15) for side in "LR"))
    teaching, held_out = split(eyes)
    assert (len(teaching), len(held_out)) == (20, 8)
    assert {one.patient for one in held_out} == {"11", "12", "13", "14"}


@pytest.mark.parametrize("patients", ["a", "ab"], ids=["one", "two"])
def test_too_few_to_hold_anybody_out(patients: str) -> None:
    with pytest.raises(DataError, match="too few"):
        split(Eyes("STARE", VESSELS, tuple(eye(name) for name in patients)))


def test_a_large_photograph_is_made_smaller_in_its_own_place() -> None:
    picture = np.zeros((3, 3200, 2880), np.uint8)
    picture[:, 400:-400, 200:-200] = 90
    made = prepared_photograph(Volume(picture, Grid.from_spacing((3200, 2880), (1.0, 1.0))))
    assert made.grid.shape == (1600, 1440)
    assert made.grid.spacing_mm == pytest.approx((2, 2))
    assert made.grid.corner_distance_mm(Grid.from_spacing((3200, 2880), (1.0, 1.0))) < 1


def test_the_smaller_lesion_covers_the_larger(tmp_path: Path) -> None:
    for name, box in {"large": (slice(2, 8), slice(2, 8)), "small": (slice(4, 6), slice(4, 6))}.items():
        drawn = np.zeros((10, 10), np.uint8)
        drawn[box] = 255
        Image.fromarray(drawn).save(tmp_path / f"{name}.png")
    labels = Labels.of({"haemorrhages": 1, "microaneurysms": 2})
    drawings = {"microaneurysms": Drawing(tmp_path / "small.png"), "haemorrhages": Drawing(tmp_path / "large.png")}
    found = drawn_labels(Eye("a", "a", Path("a.png"), drawings), labels, Grid.from_spacing((10, 10), (1.0, 1.0)))
    assert found.counts() == {0: 64, 1: 32, 2: 4}


def test_a_prepared_set_is_a_data_set_with_named_channels(tmp_path: Path, rng: np.random.Generator) -> None:
    eyes = []
    for name in ("a", "b"):
        picture = rng.integers(40, 200, (40, 50, 3)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        drawn = np.zeros((40, 50), np.uint8)
        drawn[10:12] = 255
        Image.fromarray(drawn).save(tmp_path / f"{name}_drawn.png")
        drawings = {"vessels": Drawing(tmp_path / f"{name}_drawn.png", 127)}
        eyes.append(Eye(name, name, tmp_path / f"{name}.png", drawings))
    dataset = prepared_set(Eyes("X", VESSELS, tuple(eyes)), eyes, tmp_path / "prepared")
    assert dataset.channels == ("red", "green", "blue", "contrast")
    assert dataset.labels is not None
    assert dataset.labels.names == ("vessels",)
    case = dataset[0]
    assert case.reference is not None
    assert case.reference.counts() == {0: 1900, 1: 100}
    assert not case.image.meta.calibrated
    kept = (tmp_path / "prepared" / "images" / "a.npz").stat().st_mtime_ns
    prepared_set(Eyes("X", VESSELS, tuple(eyes)), eyes, tmp_path / "prepared")
    assert (tmp_path / "prepared" / "images" / "a.npz").stat().st_mtime_ns == kept, "a run that goes on keeps it"
    assert read(tmp_path / "prepared" / "images" / "a.npz").channels == 4
    assert read_labels(tmp_path / "prepared" / "references" / "a.png").array.max() == 1
