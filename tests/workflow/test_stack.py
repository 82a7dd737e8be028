"""From slices that were segmented one by one to anatomy, by the command line."""

import json
import shutil
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from vesalius.cli import main
from vesalius.image import Grid, LabelMap, Labels
from vesalius.io import read, read_labels, write
from vesalius.mesh import extract
from vesalius.transform.align_slices import move_labels


def told(capsys, *arguments) -> dict:
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def disc(centre, radius=9.0, size=48):
    i, j = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    return (np.hypot(i - centre[0], j - centre[1]) <= radius).astype(np.uint8)


@pytest.fixture
def pictures(tmp_path, rng):
    """A slanting tube in its wall, jittered, without slice 5; and its images."""
    for k in [n for n in range(12) if n != 5]:
        centre = np.asarray((18 + k, 24)) + rng.normal(0, 2.0, 2)
        array = disc(centre) + disc(centre, 6.0)
        for folder, picture in (("labels", array), ("images", 90 * array + 20)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(picture.T).save(tmp_path / folder / f"slice_{k:02}.png")
    return tmp_path


def test_pictures_become_a_tube(pictures, capsys):
    arguments = ["--spacing", 3, "--pixel-size", 1, "--labels", "wall=1,lumen=2", "--align", "shift"]
    out = pictures / "tube.nii.gz"
    found = told(capsys, "stack", pictures / "labels", "-o", out, *arguments)

    assert (found["shape"], found["filled"], found["slices"], found["notes"]) == ([48, 48, 36], [5], 11, [])
    assert max(found["moved_mm"]) > 1
    made = read_labels(out)
    assert made.labels.names == ("wall", "lumen")
    surfaces = {one.label.name: one for one in extract(made).surfaces()}
    assert (surfaces["wall"].pieces, surfaces["wall"].genus) == (1, 1)
    assert (surfaces["lumen"].pieces, surfaces["lumen"].genus) == (1, 0)
    centres = [np.argwhere(made.array[..., k] > 0).mean(axis=0)[0] for k in range(2, 34)]
    assert np.polyfit(range(32), centres, 1)[0] == pytest.approx(1 / 3, abs=0.12)  # the slant stays

    both = ["--images", pictures / "images", "--image-out", pictures / "image.nii.gz", "--resolution", "keep"]
    told(capsys, "stack", pictures / "labels", "-o", out, *arguments, *both)
    image, labels = read(pictures / "image.nii.gz"), read_labels(out)
    assert image.grid.is_close(labels.grid)
    assert ((image.array[0] > 65) == (labels.array > 0)).mean() > 0.99

    assert main(["stack", str(pictures / "labels"), "-o", str(out), "--spacing", "3", "--pixel-size", "1"]) == 0
    words = capsys.readouterr().out
    assert "filled from their neighbours: 5" in words
    assert main(["mesh", str(out), "-o", str(pictures / "tube.stl")]) == 0


def test_a_volume_that_was_segmented_slice_by_slice(tmp_path, capsys):
    array = np.stack([disc((24, 24)) for _ in range(8)], axis=-1)
    array[..., 3] = 0
    array[2:4, 2:4, 6] = 1
    write(LabelMap(array, Grid.from_spacing(array.shape, (1, 1, 4)), Labels.of({"rod": 1})), tmp_path / "rod.nii.gz")
    given = [tmp_path / "rod.nii.gz", "-o", tmp_path / "out.nrrd", "--fill-empty", "--drop-islands", "--align", "rigid"]

    found = told(capsys, "stack", *given)

    assert (found["filled"], found["islands"], found["shape"]) == ([3], 1, [48, 48, 32])
    assert set(found["moved_mm"]) == {0}
    made = read_labels(tmp_path / "out.nrrd")
    assert (made.array == array[..., :1]).all()
    assert main(["stack", *map(str, given)]) == 0
    words = capsys.readouterr().out
    assert "nothing was moved" in words
    assert "shows them: 1 pieces" in words


def test_values_that_seem_to_mean_the_same_are_told(tmp_path, capsys):
    for k in range(5):
        Image.fromarray(disc((24, 24)) * (255 if k % 2 else 1)).save(tmp_path / f"{k}.png")
    found = told(capsys, "stack", tmp_path, "-o", tmp_path / "o.nii.gz", "--spacing", 1, "--pixel-size", 1)
    assert "one structure, written in several ways?" in found["notes"][0]


def test_what_cannot_be_is_refused(pictures, refused, tmp_path):
    labels, out = pictures / "labels", tmp_path / "o.nii.gz"
    sizes = ["--spacing", 2, "--pixel-size", 1]
    assert "--spacing" in refused("stack", labels, "-o", out)
    assert "--pixel-size" in refused("stack", labels, "-o", out, "--spacing", 2)
    assert "two slices or more" in refused("stack", labels / "slice_00.png", "-o", out, *sizes)
    assert "choose a format" in refused("stack", labels, "-o", tmp_path / "o.dcm", *sizes)
    assert "--images" in refused("stack", labels, "-o", out, *sizes, "--image-out", tmp_path / "i.nii.gz")
    assert "say --align" in refused("stack", labels, "-o", out, *sizes, "--images", pictures / "images")
    assert "isotropic or keep" in refused("stack", labels, "-o", out, *sizes, "--resolution", "fine")
    assert "--axis" in refused("stack", labels, "-o", out, *sizes, "--axis", 1)
    shutil.copy(labels / "slice_03.png", labels / "slice_3.png")
    assert "slice 3 is there 2 times" in refused("stack", labels, "-o", out, *sizes)
    (labels / "slice_3.png").unlink()
    Image.fromarray(np.zeros((48, 47), np.uint8)).save(labels / "slice_05.png")
    assert "pixels, and" in refused("stack", labels, "-o", out, *sizes)
    colour = np.zeros((48, 48, 3), np.uint8)
    colour[..., 1] = 1
    Image.fromarray(colour).save(labels / "slice_05.png")
    assert "one channel" in refused("stack", labels, "-o", out, *sizes)


def test_a_heart_segmented_slice_by_slice_is_one_ring_after_jitter(shared_data, tmp_path, capsys, rng):
    labels = read_labels(
        shared_data / "acdc_cine_mr/patient041/patient041_frame01_gt.nii.gz",
        Labels.of({"right ventricle": 1, "myocardium": 2, "left ventricle": 3}),
    )
    jitter = rng.normal(0, 2.0, (labels.grid.shape[2], 2))
    moved = [
        move_labels(labels.array[..., k], np.column_stack([np.eye(2), -jitter[k]])) for k in range(labels.grid.shape[2])
    ]
    write(LabelMap(np.stack(moved, axis=-1), labels.grid, labels.labels), tmp_path / "heart.nii.gz")

    found = told(capsys, "stack", tmp_path / "heart.nii.gz", "-o", tmp_path / "out.nii.gz", "--align", "shift")

    assert np.median(found["moved_mm"]) > 1
    muscle = extract(read_labels(tmp_path / "out.nii.gz")).of("myocardium")
    assert (muscle.pieces, muscle.genus) == (1, 1)


def test_serial_sections_are_aligned_by_their_images(shared_data, tmp_path, capsys, rng):
    shifts = rng.integers(-12, 13, (10, 2))
    for k, (i, j) in enumerate(shifts):
        for kind in ("images", "labels"):
            (tmp_path / kind).mkdir(exist_ok=True)
            whole = Image.open(shared_data / f"isbi2012_em/{kind}/{k:02}.png")
            whole.crop((100 + i, 100 + j, 356 + i, 356 + j)).save(tmp_path / kind / f"{k:02}.png")
    sizes = ["--spacing", 5e-5, "--pixel-size", 4e-6, "--resolution", "keep", "--binarise-above", 0]

    found = told(
        capsys, "stack", tmp_path / "labels", "-o", tmp_path / "o.nii.gz", *sizes,
        "--images", tmp_path / "images", "--align", "shift", "--image-out", tmp_path / "i.nii.gz",
    )  # fmt: skip

    assert np.median(found["moved_mm"]) > 4 * 4e-6
    raw = [np.asarray(Image.open(tmp_path / f"images/{k:02}.png"), float).T for k in range(10)]
    put = read(tmp_path / "i.nii.gz").array[0]
    inner = (slice(40, -40), slice(40, -40))

    def alike(slices):
        return np.mean([np.corrcoef(a[inner].ravel(), b[inner].ravel())[0, 1] for a, b in pairwise(slices)])

    assert alike([put[..., k] for k in range(10)]) > alike(raw) + 0.1


def test_pictures_segmented_by_a_segmenter_of_pictures_become_surfaces(shared_data, tmp_path, capsys, rng):
    """The whole way; the sections are one picture of nuclei, cut out askew, so that the truth is straight columns."""
    (whole,) = (shared_data / "dsb2018_nuclei/images").glob("4948e3df*.png")
    shifts = rng.integers(-6, 7, (7, 2))
    (tmp_path / "sections").mkdir()
    for k, (i, j) in enumerate(shifts):
        Image.open(whole).crop((20 + i, 20 + j, 180 + i, 180 + j)).save(tmp_path / f"sections/z{k}.png")
    assert main(["segment", str(tmp_path / "sections"), "--bundle", "nuclei", "-o", str(tmp_path / "labels")]) == 0
    capsys.readouterr()
    sizes = ["--spacing", 0.002, "--pixel-size", 0.001, "--align", "shift"]

    found = told(capsys, "stack", tmp_path / "labels", "-o", tmp_path / "nuclei.nii.gz", *sizes)

    assert found["slices"] == 7
    made = np.moveaxis(read_labels(tmp_path / "nuclei.nii.gz").array, 2, 0) > 0
    cut = [np.asarray(Image.open(tmp_path / f"labels/z{k}.png")).T > 0 for k in range(7)]

    def alike(slices):
        return np.mean([2 * (a & b).sum() / (a.sum() + b.sum()) for a, b in pairwise(slices)])

    assert alike(made[::2]) > 0.93 > alike(cut)
    assert main(["mesh", str(tmp_path / "nuclei.nii.gz"), "-o", str(tmp_path / "nuclei.glb")]) == 0
