"""The public sets of retinas, by their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vesalius.errors import DataError
from vesalius.io.layouts.fundus import LESIONS, Drawing, find_eyes


def picture(path: Path, value: int = 255, *, colour: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = np.zeros((6, 8), np.uint8)
    drawn[2, 5] = value
    image = Image.fromarray(drawn)
    (image.convert("RGB") if colour else image).save(path)
    return path


def test_drive(tmp_path: Path) -> None:
    root = tmp_path / "DRIVE"
    for number in (21, 22):
        picture(root / "training" / "images" / f"{number}_training.tif", colour=True)
        picture(root / "training" / "mask" / f"{number}_training_mask.gif")
    picture(root / "training" / "1st_manual" / "21_manual1.gif")
    picture(root / "test" / "images" / "01_test.tif", colour=True)
    picture(root / "test" / "1st_manual" / "01_manual1.gif")
    picture(root / "test" / "2nd_manual" / "01_manual2.gif")
    (eyes,) = find_eyes(tmp_path)
    assert eyes.name == "DRIVE"
    first, second = eyes.eyes
    assert (first.id, first.part, first.second, first.field is None) == ("21_training", "train", None, False)
    assert (second.id, second.part, second.field) == ("01_test", "test", None)
    assert second.second is not None
    assert np.argwhere(first.drawings["vessels"].read((8, 6))).tolist() == [[5, 2]]
    assert eyes.notes == ("DRIVE: 22_training has no drawing in 1st_manual and was left out",)


def test_chase_and_stare_side_by_side(tmp_path: Path) -> None:
    for name in ("Image_01L", "Image_01R"):
        picture(tmp_path / "CHASE" / f"{name}.jpg", colour=True)
        picture(tmp_path / "CHASE" / f"{name}_1stHO.png", 1)
    picture(tmp_path / "STARE" / "stare-images" / "im0001.ppm", colour=True)
    picture(tmp_path / "STARE" / "stare-images" / "im0003.ppm", colour=True)
    picture(tmp_path / "STARE" / "labels-ah" / "im0001.ah.ppm", colour=True)
    picture(tmp_path / "STARE" / "labels-vk" / "im0001.vk.ppm", colour=True)
    chase, stare = find_eyes(tmp_path)
    assert [eye.patient for eye in chase.eyes] == ["01", "01"]
    assert chase.eyes[0].drawings["vessels"].read((8, 6)).sum() == 1
    assert [eye.id for eye in stare.eyes] == ["im0001"]
    assert stare.eyes[0].second is not None
    assert "1 photographs have no drawn vessels" in stare.notes[0]


def test_idrid_has_no_file_where_there_is_no_lesion(tmp_path: Path) -> None:
    root = tmp_path / "A. Segmentation"
    truth = root / "2. All Segmentation Groundtruths"
    for part, number in (("a. Training Set", 1), ("b. Testing Set", 55)):
        picture(root / "1. Original Images" / part / f"IDRiD_{number:02d}.jpg", colour=True)
        picture(truth / part / "1. Microaneurysms" / f"IDRiD_{number:02d}_MA.tif", 76)
        picture(truth / part / "5. Optic Disc" / f"IDRiD_{number:02d}_OD.tif", 76)
    picture(root / "1. Original Images" / "a. Training Set" / "IDRiD_02.jpg", colour=True)
    (eyes,) = find_eyes(tmp_path)
    assert eyes.targets == LESIONS
    assert [(eye.id, eye.part, tuple(eye.drawings)) for eye in eyes.eyes] == [
        ("IDRiD_01", "train", ("microaneurysms",)),
        ("IDRiD_55", "test", ("microaneurysms",)),
    ]
    assert eyes.eyes[0].drawings["microaneurysms"].read((8, 6)).sum() == 1
    assert "IDRiD_02" in eyes.notes[0]
    assert find_eyes(root)[0].eyes == eyes.eyes, "the folder itself may be named, too"


def test_of_diaretdb1_counts_what_three_of_four_experts_saw(tmp_path: Path) -> None:
    root = tmp_path / "diaretdb1_v_1_1" / "resources"
    for name in ("image001", "image002"):
        picture(root / "images" / "ddb1_fundusimages" / f"{name}.png", colour=True)
    picture(root / "images" / "ddb1_groundtruth" / "hardexudates" / "image001.png", 191)
    picture(root / "images" / "ddb1_groundtruth" / "redsmalldots" / "image001.png", 127)
    picture(root / "images" / "ddb1_groundtruth" / "hemorrhages" / "image002.png", 255)
    for part, name in (("train", "image001"), ("test", "image002")):
        (root / f"{part}datasets").mkdir()
        (root / f"{part}datasets" / f"{part}set.txt").write_text(f"{name}.png\n\n")
    (eyes,) = find_eyes(root.parent)
    first, second = eyes.eyes
    assert (first.part, second.part) == ("train", "test")
    assert first.drawings["hard exudates"].read((8, 6)).sum() == 1, "191 of 255 is three quarters"
    assert first.drawings["microaneurysms"].read((8, 6)).sum() == 0


def test_a_drawing_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.png: \(8, 6\) pixels, and its photograph has \(9, 6\)"):
        Drawing(picture(tmp_path / "a.png")).read((9, 6))


def test_nothing_of_the_kind(tmp_path: Path) -> None:
    picture(tmp_path / "cat.png")
    with pytest.raises(DataError, match="none of the public sets"):
        find_eyes(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        find_eyes(tmp_path / "missing")
