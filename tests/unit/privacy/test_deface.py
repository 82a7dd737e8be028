"""Defacing: the face goes, the brain stays, whatever the order of the axes; what is no whole head is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn_heads import GRID, parts, phantom

from vesalius.errors import PrivacyError
from vesalius.image import Grid, Meta, Volume
from vesalius.io import read
from vesalius.privacy.deface import deface, face_mask
from vesalius.transform.reorient import reorient


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_nose_and_eyes_go_and_the_brain_stays(modality: str):
    volume, drawn = phantom(modality), parts()
    made = deface(volume)
    gone = made.array[0] != volume.array[0]
    least = volume.array.min()
    assert not gone[drawn["brain"]].any()
    for part in ("nose", "eyes"):
        assert (made.array[0][drawn[part]] == least).mean() > 0.97, part
    back = np.indices(GRID.shape)[1] * 3 - 126
    assert not gone[back > 20].any()
    assert made.grid == volume.grid


@pytest.mark.parametrize("codes", ["RAS", "PIL"])
def test_the_place_in_space_says_where_the_face_is(codes: str):
    volume = phantom()
    expected = reorient(deface(volume), codes)
    made = deface(reorient(volume, codes))
    assert np.array_equal(made.array, expected.array)


def test_an_oblique_grid_of_thick_slices():
    turn = np.radians(12)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]) * [
        2.0,
        2.0,
        5.0,
    ]
    affine[:3, 3] = (-104, -140, -100)
    affine[:3, 3] = -affine[:3, :3] @ [52, 63, 26]
    grid = Grid((104, 126, 52), affine)
    drawn = parts(grid)
    volume = phantom(grid=grid)
    gone = face_mask(volume).array > 0
    assert not gone[drawn["brain"]].any()
    assert gone[drawn["nose"]].mean() > 0.95


@pytest.mark.parametrize(
    "wrong", ["front to back", "upside down", "no skull", "no face", "cut top", "small", "2D", "empty"]
)
def test_what_is_not_surely_a_whole_head_is_refused(wrong: str):
    volume, drawn = phantom(), parts()
    array = volume.array.copy()
    if wrong == "front to back":
        array = np.flip(array, 2)
    elif wrong == "upside down":
        array = np.flip(array, 3)
    elif wrong == "no skull":
        array[0][~drawn["brain"]] = 3
    elif wrong == "no face":
        array = deface(volume).array
    elif wrong == "cut top":
        volume = Volume(array[..., :58], GRID.crop((0, 0, 0), (70, 84, 58)))
        array = volume.array
    elif wrong == "small":
        volume = Volume(array[:, 20:40], GRID.crop((20, 0, 0), (20, 84, 84)))
        array = volume.array
    elif wrong == "2D":
        volume = Volume(array[..., 40], Grid.from_spacing((70, 84), (3, 3)))
        array = volume.array
    else:
        array = np.zeros_like(array)
    with pytest.raises(PrivacyError, match="cannot be defaced"):
        deface(volume.with_array(array))


def synthetic_t1(labels: np.ndarray) -> np.ndarray:
    """Grey values of a T1-weighted image for SynthSeg's labels: the anatomy is real, the contrast is drawn."""
    values = np.full(1000, 80.0)
    values[0] = 2
    values[[2, 41, 7, 46, 16, 28, 60]] = 110
    values[[4, 5, 14, 15, 24, 43, 44, 72]] = 25
    for label, value in {502: 3, 506: 28, 507: 100, 508: 100, 509: 70, 511: 120, 512: 100, 514: 40, 515: 8,
                         516: 90, 530: 100}.items():  # fmt: skip
        values[label] = value
    return values[labels] + np.random.default_rng(1).normal(0, 4, labels.shape)


def test_a_real_head_with_labels(shared_data: Path):
    held = read(shared_data / "synthseg_labelmaps" / "training_seg_09.nii.gz")
    labels = held.array[0].astype(int)
    volume = Volume(np.abs(synthetic_t1(labels))[None].astype(np.int16), held.grid, Meta("MR"))
    gone = face_mask(volume).array > 0
    brain = (labels > 0) & (labels < 100) & (labels != 24)
    assert not gone[brain].any()
    assert gone[labels == 506].mean() > 0.9  # the eyes


@pytest.mark.parametrize(
    "name",
    [
        "brats2013_flair_t1c/brats_2013_pat0001_1/T1c_subtrMeanDivStd.nii.gz",  # the brain alone
        "totalsegmentator_samples/ct.nii.gz",  # a trunk
    ],
)
def test_real_images_that_are_not_surely_whole_heads_are_refused(shared_data: Path, name: str):
    with pytest.raises(PrivacyError, match="cannot be defaced"):
        face_mask(read(shared_data / name))
