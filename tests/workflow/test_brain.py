"""The built-in model of the brain on a real brain: sides, volumes, other ways to store it, other contrasts."""

from pathlib import Path

import numpy as np
import pytest

from vesalius.bundle import Bundle
from vesalius.cli import main
from vesalius.image import Grid, LabelMap, Meta, Volume
from vesalius.io import read, read_labels, write
from vesalius.metrics import evaluate
from vesalius.metrics.size import measure
from vesalius.predict import Segmenter, load_segmenter, segment
from vesalius.studies.demo import _template

LEFT_INFERIOR_ANTERIOR = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_segmenter("brain", device="cpu")


@pytest.fixture(scope="module")
def template() -> Volume:
    """The MNI152 head, every other voxel: a third of the time, and a test of low resolution besides."""
    volume = read(_template("T1"))
    affine = volume.grid.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    array = volume.array[:, ::2, ::2, ::2]
    return Volume(array, Grid(array.shape[1:], affine), Meta(modality="MR"))


@pytest.fixture(scope="module")
def found(segmenter: Segmenter, template: Volume) -> LabelMap:
    return segment(template, segmenter).labels


def test_left_is_left(found: LabelMap) -> None:
    """In LPS x grows to the patient's left; 0 is the middle of MNI space."""
    for label in found.labels.labels:
        x = found.grid.to_points(np.argwhere(found.array == label.value))[:, 0]
        if label.name.startswith(("left", "right")):
            assert len(x), label.name
            assert (x.mean() > 5) == label.name.startswith("left"), label.name
            assert ((x > -4) == label.name.startswith("left")).mean() > 0.85 or abs(x.mean()) > 5, label.name


def test_volumes_are_those_of_a_grown_up(found: LabelMap) -> None:
    ml = {size.name: size.volume_ml or 0.0 for size in measure(found)}
    assert 1300 < ml["intracranial"] < 2400  # the template is larger than most brains
    assert 900 < ml["brain tissue"] < 1900
    for name, low, high in (("thalamus", 4, 14), ("putamen", 2.5, 10), ("hippocampus", 2, 8), ("caudate", 2, 8)):
        left, right = ml[f"left {name}"], ml[f"right {name}"]
        assert low < left < high, name
        assert left == pytest.approx(right, rel=0.3), name  # the template is nearly symmetric
    for name in ("cerebral white matter", "cerebral cortex", "cerebellar cortex"):
        assert ml[f"left {name}"] == pytest.approx(ml[f"right {name}"], rel=0.1), name


def test_how_an_image_is_stored_makes_no_difference(segmenter: Segmenter, template: Volume, found: LabelMap) -> None:
    """The same head with two axes reversed and exchanged in the file: the same labels in the same places."""
    turned = template.array[:, ::-1, :, ::-1].transpose(0, 3, 1, 2)
    i, j, k = template.grid.shape
    affine = template.grid.affine @ np.array([[-1.0, 0, 0, i - 1], [0, 1, 0, 0], [0, 0, -1, k - 1], [0, 0, 0, 1]])
    stored = Volume(np.ascontiguousarray(turned), Grid((k, i, j), affine[:, [2, 0, 1, 3]]), template.meta)
    again = segment(stored, segmenter).labels.array.transpose(1, 2, 0)[::-1, :, ::-1]
    assert (again == found.array).mean() > 0.999  # rounding decides where two structures are as likely


def test_a_head_seen_in_the_mirror_has_its_sides_exchanged(
    segmenter: Segmenter, template: Volume, found: LabelMap
) -> None:
    """The array alone is reversed, as if the person were the other way round: left is still on the left."""
    mirrored = segment(template.with_array(np.ascontiguousarray(template.array[:, ::-1])), segmenter).labels
    middle = float(template.grid.to_index((0.0, 0.0, 0.0))[0])
    leftwards = template.grid.affine[0, 0] > 0
    reversed_middle = template.grid.shape[0] - 1 - middle
    for label in mirrored.labels.labels:
        if label.name.startswith(("left", "right")):
            i = np.argwhere(mirrored.array == label.value)[:, 0].mean()
            assert ((i > reversed_middle) == leftwards) == label.name.startswith("left"), label.name


def test_an_inverted_contrast_is_nearly_the_same(segmenter: Segmenter, template: Volume, found: LabelMap) -> None:
    """A T1 upside down is a contrast that no scanner gives; structures must not fall apart."""
    inside = found.array > 0
    top = float(template.array.max())
    inverted = np.where(inside, top - template.array[0], 0.0)[None]
    again = segment(template.with_array(inverted.astype(template.array.dtype)), segmenter).labels
    scores = evaluate(again, found, metrics=("dice",)).values
    large = ("left cerebral cortex", "right cerebral cortex", "brain stem", "left thalamus", "right thalamus")
    assert np.mean([scores[name]["dice"] for name in large]) > 0.5


def test_sizes_come_out_of_the_command_line(template: Volume, tmp_path: Path) -> None:
    write(template, tmp_path / "head.nii.gz")
    assert main(["segment", str(tmp_path / "head.nii.gz"), "--bundle", "brain", "-o", str(tmp_path / "b.nii.gz")]) == 0
    assert main(["measure", str(tmp_path / "b.nii.gz"), "-o", str(tmp_path / "sizes.csv")]) == 0
    rows = (tmp_path / "sizes.csv").read_text(encoding="utf-8").splitlines()
    names = [row.split(",")[0] for row in rows]
    assert "left hippocampus" in names
    assert "right hippocampus" in names
    assert "intracranial" in names
    assert read_labels(tmp_path / "b.nii.gz").labels["left hippocampus"].value == 17


def test_the_bundle_keeps_its_word_on_a_brain_that_it_has_not_seen(segmenter: Segmenter, shared_data: Path) -> None:
    folder = shared_data / "oasis_t1_labels"
    if not folder.is_dir():
        pytest.skip("the labelled T1 is not here")
    image, values = (np.load(folder / f"subject_1_{what}.npz")["vol_data"] for what in ("vol", "seg"))
    labels = segmenter.bundle.plan.labels
    grid = Grid(image.shape, LEFT_INFERIOR_ANTERIOR)
    said = segment(Volume(image[None].astype(np.float32), grid, Meta(modality="MR")), segmenter).labels
    shown = np.where(np.isin(values, labels.values), values, 0).astype(np.uint8)
    shown[np.isin(values, (5, 31))], shown[np.isin(values, (44, 63))] = 4, 43
    scores = evaluate(said, LabelMap(shown, grid, labels), metrics=("dice",)).values
    mean = np.mean([scores[name]["dice"] for name in labels.names if name != "cerebrospinal fluid"])
    assert mean == pytest.approx(Bundle.load("brain").card.scores["mean"], abs=0.01)
