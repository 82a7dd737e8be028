"""``vesalius segment`` without a bundle: the built-in one that suits is used and named, or none is."""

from pathlib import Path

import numpy as np
import pytest

from vesalius.bundle import Bundle, built_in
from vesalius.cli import main
from vesalius.image import Grid, Meta, Volume
from vesalius.io import read, write
from vesalius.predict.proposal import choose, propose

DATA = Path(__file__).parents[4] / "shared" / "data"
BOX = DATA / "msd_hippocampus" / "images" / "hippocampus_001.nii.gz"


def needed(path: Path) -> Path:
    if not path.exists():
        pytest.skip("the shared data are not here")
    return path


def image(path: Path, shape: tuple[int, ...], *, lowest: float = 0.0) -> Path:
    array = np.random.default_rng(0).uniform(lowest, 250, (1, *shape)).astype(np.float32)
    write(Volume(array, Grid.from_spacing(shape, (1.0,) * len(shape)), Meta()), path)
    return path


def test_a_hippocampus_is_segmented_and_the_choice_is_told(tmp_path, told, printed):
    out = tmp_path / "named.nii.gz"
    printed("segment", needed(BOX), "--bundle", "hippocampus", "-o", out)
    found = told("segment", BOX, "-o", tmp_path / "proposed.nii.gz")
    assert found["proposal"]["bundle"] == "hippocampus"
    assert 0.5 <= found["proposal"]["sureness"] < 0.9
    assert any("doesn't say whether it is MR" in why for why in found["proposal"]["reasons"])
    np.testing.assert_array_equal(read(tmp_path / "proposed.nii.gz").array, read(out).array)


@pytest.mark.parametrize(
    ("scan", "sureness"),
    [
        ("ms_lesion_mr/mni_patient19/FLAIR.nii.gz", 0.72),  # without its skull
        ("ms_lesion_mr/longitudinal_raw_patient01/study1_T1W.nii.gz", 0.72),
        ("brain_mr_dicom/PGBM-003/37830-T2reg-78532", 0.9),  # DICOM says that it is MR
    ],
)
def test_heads_suit_the_model_of_the_brain(scan, sureness):
    bundles = {name: Bundle.load(place) for name, place in built_in().items()}
    best = choose(propose(read(needed(DATA / scan)), bundles))
    assert (best.name, best.sureness) == ("brain", sureness)


def test_people_read_which_segmenter_is_used(tmp_path, capsys):
    assert main(["segment", str(needed(BOX)), "-o", str(tmp_path / "out.nii.gz")]) == 0
    assert "using the built-in segmenter hippocampus (72% sure that it suits)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "shape", "lowest", "why"),
    [
        ("tiny.nii.gz", (5, 5, 5), 0, "its size is 5 × 5 × 5 mm"),
        ("ct.nii.gz", (36, 50, 36), -1000, "rather those of CT"),
        ("body.nii.gz", (90, 90, 90), 0, "its size is 90 × 90 × 90 mm"),
        ("flat.png", (24, 20), 0, "it is for 3D images, this is 2D"),
    ],
)
def test_what_suits_none_is_refused_with_the_reason_of_each(name, shape, lowest, why, tmp_path, printed):
    path = image(tmp_path / name, shape, lowest=lowest) if name != "flat.png" else tmp_path / name
    if name == "flat.png":
        grey = np.random.default_rng(0).integers(0, 255, (1, *shape), dtype=np.uint8)
        write(Volume(grey, Grid.from_spacing(shape, (1.0, 1.0)), Meta(calibrated=False)), path)
    text = printed("segment", path, "-o", tmp_path / "out.nii.gz", code=1)
    assert "no built-in segmenter surely suits this image" in text
    assert "hippocampus (0%)" in text
    assert why in text
    assert not (tmp_path / "out.nii.gz").exists()


def test_one_image_that_suits_none_ends_a_folder_before_anything_is_written(tmp_path, printed):
    folder = tmp_path / "scans"
    folder.mkdir()
    (folder / "a.nii.gz").write_bytes(needed(BOX).read_bytes())
    image(folder / "b.nii.gz", (90, 90, 90))
    assert "no built-in segmenter" in printed("segment", folder, "-o", tmp_path / "out", code=1)
    assert not (tmp_path / "out").exists()


def test_settings_of_a_segmenter_want_it_named(tmp_path, printed):
    text = printed("segment", image(tmp_path / "a.nii.gz", (9, 9, 9)), "--members", "0", "-o", tmp_path / "o", code=1)
    assert "name it with --bundle" in text


def test_an_image_that_cannot_be_read_is_told(tmp_path, printed):
    (tmp_path / "cut.nii.gz").write_bytes(b"no image")
    assert "cut.nii.gz" in printed("segment", tmp_path / "cut.nii.gz", "-o", tmp_path / "o.nii.gz", code=1)
