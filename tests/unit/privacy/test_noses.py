"""The face found by the nose: whatever the contrast, no brain is touched, and skin of nose, lids and mouth go."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from drawn_heads import GRID, parts, phantom

from vesalius.errors import PrivacyError
from vesalius.image import Grid, LabelMap, Labels, Meta, Volume
from vesalius.io import read
from vesalius.privacy import deface
from vesalius.privacy.noses import face_by_nose, find_nose
from vesalius.transform.resample import resample

STEP_MM = 3.0


def by_nose(volume: Volume, brain: LabelMap | None = None) -> np.ndarray:
    """The face on the volume's grid, by the nose alone."""
    head, face = deface._by_nose(deface._outline(volume), brain)
    return resample(LabelMap(face, head.grid, Labels.of({"face": 1})), volume.grid).array > 0


def outline() -> np.ndarray:
    return parts()["head"]


def test_the_nose_is_where_it_was_drawn():
    nose = find_nose(outline(), step_mm=STEP_MM)
    x, _, z = GRID.to_points(np.array([[nose.middle, 0, nose.tip]]))[0]
    assert abs(x) < 6
    assert -75 < z < -40  # drawn at -55
    assert nose.root > nose.tip


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_a_drawn_head_loses_its_nose_and_keeps_its_brain(modality: str):
    drawn = parts()
    gone = by_nose(phantom(modality))
    assert gone[drawn["nose"]].mean() > 0.97
    assert not gone[drawn["brain"]].any()


@pytest.mark.parametrize("wrong", ["no nose", "upside down", "front to back", "leaning", "half"])
def test_what_has_no_nose_in_its_place_is_refused(wrong: str):
    head = outline()
    if wrong == "no nose":
        head = head & ~parts()["nose"]
    elif wrong == "upside down":
        head = head[:, :, ::-1]
    elif wrong == "front to back":
        head = head[:, ::-1]
    elif wrong == "leaning":
        shifts = np.round((np.arange(head.shape[2]) - 40) * np.tan(np.radians(9))).astype(int)
        head = np.stack([np.roll(head[:, :, k], shift, axis=0) for k, shift in enumerate(shifts)], axis=-1)
    else:
        head = head.copy()
        head[: head.shape[0] // 2 + 4] = False
    found = face_by_nose(head, step_mm=STEP_MM)
    assert isinstance(found, str)
    assert wrong != "leaning" or "leans" in found


def synthetic_t2(labels: np.ndarray) -> np.ndarray:
    """Grey values of a T2-weighted image for SynthSeg's labels."""
    values = np.full(1000, 120.0)
    values[0] = 3
    values[[2, 41, 7, 46, 16, 28, 60]] = 80
    values[[4, 5, 14, 15, 24, 43, 44, 72]] = 240
    for label, value in {502: 4, 506: 240, 507: 70, 508: 90, 509: 90, 511: 110, 512: 70, 514: 200, 515: 10,
                         516: 60, 530: 80}.items():  # fmt: skip
        values[label] = value
    return np.abs(values[labels] + np.random.default_rng(1).normal(0, 4, labels.shape)).astype(np.int16)


@pytest.mark.parametrize(("number", "thick"), [("03", False), ("13", True)])
def test_real_heads_drawn_as_t2(shared_data: Path, number: str, thick: bool):
    held = read(shared_data / "synthseg_labelmaps" / f"training_seg_{number}.nii.gz")
    labels, grid = held.array[0].astype(int), held.grid
    array = synthetic_t2(labels)
    if thick:  # the second axis runs down: slices of 5 mm
        array = array[:, :255].reshape(256, 51, 5, 256).mean(axis=2).astype(np.int16)
        affine = np.asarray(grid.affine).copy()
        affine[:3, 3] += 2 * affine[:3, 1]
        affine[:3, 1] *= 5
        labels, grid = labels[:, 2:255:5], Grid(array.shape, affine)
    gone = by_nose(Volume(array[None], grid, Meta("MR")))
    brain = ((labels > 0) & (labels < 100) & (labels != 24)) | ((labels > 130) & (labels < 170))
    assert not gone[brain].any()
    # The third axis runs to the front: skin is what comes last.
    last = labels.shape[2] - 1 - (labels[:, :, ::-1] > 0).argmax(axis=2)
    skin = (labels > 0) & (last[:, :, None] - np.arange(labels.shape[2]) < 3)
    eyes = np.argwhere(labels == 506)
    (left, above), (right, below) = eyes[:, :2].min(axis=0), eyes[:, :2].max(axis=0)
    face = np.zeros_like(skin)
    face[left : right + 1, above : below + 1 + (60 // (5 if thick else 1))] = True
    assert gone[skin & face].mean() > 0.95


def test_real_series_of_every_contrast_lose_the_same_face(shared_data: Path):
    folder = shared_data / "brain_mr_dicom" / "PGBM-003"
    names = ("26401-T1prereg-52906", "36468-FLAIRreg-58706", "37830-T2reg-78532", "11-T1post-18670")
    volumes = [read(folder / name) for name in names]
    faces = [deface.face_mask(volume).array > 0 for volume in volumes]
    for volume, face in zip(volumes, faces, strict=True):
        assert 0.03 < face.mean() < 0.09
        inside = volume.array[0] > 0.15 * np.percentile(volume.array[0], 99)
        assert 60_000 < (face & inside).sum() * volume.grid.voxel_volume_mm3 < 320_000
    for one, other in pairwise(faces):
        if one.shape == other.shape:
            assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.85


def test_a_brain_that_is_given_is_kept_at_a_distance():
    volume, drawn = phantom("MR"), parts()
    there = LabelMap(drawn["brain"].astype(np.uint8), GRID, Labels.of({"brain": 1}))
    plain = by_nose(volume)
    assert np.array_equal(by_nose(volume, there), plain)  # it is farther away than its guard
    reaching = LabelMap((drawn["brain"] | drawn["nose"]).astype(np.uint8), GRID, Labels.of({"brain": 1}))
    with pytest.raises(PrivacyError, match="reaches the face"):
        by_nose(volume, reaching)
    nowhere = LabelMap(np.zeros(GRID.shape, np.uint8), GRID, Labels.of({"brain": 1}))
    with pytest.raises(PrivacyError, match="elsewhere"):
        by_nose(volume, nowhere)
    made = deface.deface(volume, brain=there)
    assert not (made.array[0] != volume.array[0])[drawn["brain"]].any()
    assert (made.array[0][drawn["nose"]] == volume.array.min()).mean() > 0.97
