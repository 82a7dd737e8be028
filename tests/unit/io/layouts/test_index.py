"""What holds for every layout: choosing one, reading cases, the defects that are found, and the choices told."""

import os

import numpy as np
import pytest

from vesalius.errors import DataError, FormatError, GeometryError
from vesalius.image import Labels
from vesalius.io.layouts import LAYOUTS, index, survey


@pytest.fixture
def pairs(pen):
    """Three sound pairs with labels 1 and 2, to which a test adds a defect."""
    for name in "abc":
        pen.image(f"images/{name}.nii.gz")
        pen.reference(f"labels/{name}.nii.gz", (1, 2))
    return pen


def test_a_sound_set_is_read_whole(pairs):
    dataset = index(pairs.root)
    assert (dataset.layout, dataset.ids, dataset.channels) == ("pairs", ("a", "b", "c"), ("image",))
    assert dataset.labels.targets() == {"label 1": (1,), "label 2": (2,)}
    assert dataset.left_out == ()
    case = dataset[1]
    assert case.id == "b"
    assert case.patient == "b"
    assert case.image.array.shape == (1, 6, 5, 4)
    assert case.reference.counts().keys() == {0, 1, 2}
    assert case.reference.grid == case.image.grid


def test_the_survey_keeps_what_was_learnt(pairs):
    found = survey(pairs.root)
    assert list(found.facts) == ["a", "b", "c"]
    image = found.facts["a"].image
    assert (image.shape, image.spacing_mm, image.channels) == ((6, 5, 4), (1.0, 1.5, 3.0), 1)
    assert found.label_voxels["a"] == {0: 112, 1: 4, 2: 4}


def test_progress_counts_the_cases(pairs):
    told = []
    index(pairs.root, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


# --- which layout -----------------------------------------------------------------------------------------------------


def test_what_describes_itself_comes_before_what_is_guessed(pairs):
    pairs.text("manifest.csv", "case,image,reference\nonly,images/a.nii.gz,labels/a.nii.gz\n")
    assert index(pairs.root).ids == ("only",)
    assert index(pairs.root, "pairs").ids == ("a", "b", "c")


def test_an_unknown_layout_is_met_with_the_nearest(pairs):
    with pytest.raises(DataError, match="unknown layout 'pair': did you mean 'pairs'"):
        index(pairs.root, "pair")


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "pairs"])
def test_a_layout_that_is_not_there_says_what_it_looks_for(pairs, layout):
    with pytest.raises(DataError, match=f"not of layout {layout}, which looks for "):
        index(pairs.root, layout)


def test_a_folder_that_no_layout_knows_says_what_was_looked_for(pen):
    pen.text("data.h5", "x")
    pen.text("README.md", "x")
    with pytest.raises(DataError, match=r"no layout recognised; it holds .h5 \(1\), .md \(1\)") as error:
        index(pen.root)
    assert all(f"\n  {name}: " in str(error.value) for name in LAYOUTS)


def test_references_alone_are_no_data_set(pen):
    pen.reference("train_seg_01.nii.gz")
    with pytest.raises(DataError, match="1 of them are named as references, without images"):
        index(pen.root)


def test_an_empty_and_a_missing_folder_are_errors(tmp_path):
    with pytest.raises(DataError, match="it holds no file"):
        index(tmp_path)
    with pytest.raises(DataError, match="there is no such folder"):
        index(tmp_path / "nowhere")


def test_a_single_file_that_is_no_manifest_is_an_error(pen):
    with pytest.raises(DataError, match="give a folder or a manifest"):
        index(pen.image("a.nii.gz"))
    with pytest.raises(DataError, match="not of layout suffixes"):
        index(pen.root / "a.nii.gz", "suffixes")


# --- the defects ------------------------------------------------------------------------------------------------------


def test_a_damaged_file_is_left_out(pairs, reasons):
    image = pairs.root / "images/b.nii.gz"
    image.write_bytes(image.read_bytes()[:50])
    dataset = index(pairs.root)
    assert dataset.ids == ("a", "c")
    assert reasons(dataset)["b"].startswith("b.nii.gz: ")


def test_a_damaged_reference_is_left_out(pairs, reasons):
    (pairs.root / "labels/b.nii.gz").write_bytes(b"not an image")
    assert reasons(index(pairs.root)).keys() == {"b"}


def test_another_shape_is_left_out(pairs, reasons):
    pairs.reference("labels/b.nii.gz", shape=(6, 5, 3))
    assert "its shape is (6, 5, 3), that of the image is (6, 5, 4)" in reasons(index(pairs.root))["b"]


@pytest.mark.parametrize(("shift_mm", "fits"), [(0.05, True), (0.2, False)])
def test_another_place_is_left_out(pairs, reasons, shift_mm, fits):
    pairs.reference("labels/b.nii.gz", (1, 2), shift_mm=shift_mm)
    dataset = index(pairs.root)
    assert ("b" in dataset.ids) is fits
    if fits:
        case = dataset.select(["b"])[0]
        assert case.reference.grid == case.image.grid
    else:
        assert "0.2 mm from those of the image" in reasons(dataset)["b"]


def test_values_that_were_not_declared_are_left_out(pairs, reasons):
    pairs.text("dataset.json", '{"labels": {"background": 0, "head": 1, "body": 2}}')
    pairs.reference("labels/b.nii.gz", (1, 2, 7, 9))
    dataset = index(pairs.root)
    assert dataset.labels.names == ("head", "body")
    assert reasons(dataset) == {"b": "its reference holds values that are not declared: 7, 9"}


def test_fractions_are_left_out(pairs, reasons):
    pairs.reference("labels/b.nii.gz", array=np.full((6, 5, 4), 0.4, np.float32))
    assert "not whole numbers" in reasons(index(pairs.root))["b"]


def test_whole_numbers_stored_as_fractions_are_taken(pairs):
    almost = np.zeros((6, 5, 4), np.float32)
    almost[2] = 0.9999999
    pairs.reference("labels/b.nii.gz", array=almost)
    assert index(pairs.root).select(["b"])[0].reference.counts() == {0: 100, 1: 20}


def test_the_same_image_twice_is_left_out(pairs, reasons):
    twice = np.arange(120, dtype=np.uint8).reshape(1, 6, 5, 4)
    pairs.image("images/b.nii.gz", array=twice)
    pairs.image("images/c.nii.gz", array=twice.astype(np.float32))
    dataset = index(pairs.root)
    assert dataset.ids == ("a", "b")
    assert reasons(dataset) == {"c": "its image is the same, voxel by voxel, as that of b"}


def test_the_same_voxels_in_another_shape_are_another_image(pairs):
    pairs.image("images/b.nii.gz", array=np.zeros((1, 6, 5, 4), np.uint8))
    pairs.image("images/c.nii.gz", array=np.zeros((1, 5, 6, 4), np.uint8))
    pairs.reference("labels/c.nii.gz", shape=(5, 6, 4))
    assert index(pairs.root).ids == ("a", "b", "c")


def test_an_empty_reference_is_kept_and_told(pairs):
    pairs.reference("labels/b.nii.gz", ())
    dataset = index(pairs.root)
    assert dataset.ids == ("a", "b", "c")
    assert any("1 references are empty" in note and note.endswith(": b") for note in dataset.notes)


def test_references_that_are_all_empty_are_an_error(pairs):
    for name in "abc":
        pairs.reference(f"labels/{name}.nii.gz", ())
    with pytest.raises(DataError, match="all 3 references are empty"):
        index(pairs.root)


def test_another_number_of_channels_is_left_out(pairs, reasons):
    pairs.image("images/b.nii.gz", channels=2)
    assert reasons(index(pairs.root)) == {"b": "its image has 2 channels; most cases have 1"}


def test_another_number_of_dimensions_is_left_out(pairs, reasons):
    pairs.image("images/b.nii.gz", shape=(6, 5))
    pairs.reference("labels/b.nii.gz", shape=(6, 5))
    assert reasons(index(pairs.root)) == {"b": "its image has 2 dimensions; most cases have 3"}


def test_nan_is_left_out(pairs, reasons):
    (pairs.root / "images/b.nii.gz").unlink()
    np.save(pairs.root / "images/b.npy", np.full((6, 5, 4), np.nan, np.float32))
    assert "NaN" in reasons(index(pairs.root))["b"]


def test_when_no_case_can_be_used_the_reasons_are_told(pairs):
    for name in "abc":
        (pairs.root / f"images/{name}.nii.gz").write_bytes(b"")
    with pytest.raises(DataError, match="no case can be used") as error:
        index(pairs.root)
    assert all(f"\n  {name}: {name}.nii.gz" in str(error.value) for name in "abc")


def test_a_folder_that_cannot_be_listed_is_an_error(pairs, monkeypatch):
    def refuse(top, onerror):
        onerror(PermissionError(13, "Permission denied", "patient"))
        return iter(())

    monkeypatch.setattr(os, "walk", refuse)
    with pytest.raises(DataError, match="cannot be listed: Permission denied"):
        index(pairs.root)


# --- without checks ---------------------------------------------------------------------------------------------------


def test_without_checks_images_are_not_read(pairs):
    (pairs.root / "images/b.nii.gz").write_bytes(b"")
    dataset = index(pairs.root, check=False)
    assert dataset.ids == ("a", "b", "c")
    assert dataset.labels.values == (1, 2)
    assert "the cases were not checked" in dataset.notes
    with pytest.raises(FormatError):
        dataset[1]


def test_without_checks_a_case_that_does_not_fit_fails_when_it_is_read(pairs):
    pairs.image("images/b.nii.gz", channels=2)
    pairs.reference("labels/c.nii.gz", shape=(6, 5, 3))
    dataset = index(pairs.root, check=False)
    with pytest.raises(DataError, match=r"case b: 2 channels, but the data set has 1 \(image\)"):
        dataset[1]
    with pytest.raises(GeometryError, match=r"c\.nii\.gz: its shape is"):
        dataset[2]


def test_without_checks_nothing_is_read_when_all_is_declared(pairs, monkeypatch):
    pairs.text("dataset.json", '{"labels": {"background": 0, "head": 1, "body": 2}}')
    for path in (pairs.root / "labels").iterdir():
        path.write_bytes(b"")
    assert index(pairs.root, check=False).labels.names == ("head", "body")


# --- what the values mean ---------------------------------------------------------------------------------------------


def test_names_in_the_files_are_used(pen):
    labels = Labels.of({"liver": 1, "tumour": 2}, regions={"organ": (1, 2)})
    for name in "ab":
        pen.image(f"images/{name}.nii.gz")
        pen.named(f"labels/{name}.nii.gz", labels)
    assert index(pen.root).labels == labels


def soft(rng, size=64):
    """A disc with the soft edge that JPEG or resampling leave."""
    x, y = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    distance = np.hypot(x - 30 - rng.random(), y - 30.3) - 18
    return np.clip(127.5 - 255 * distance, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_soft_masks_are_cut_in_the_middle(pen, rng, ending):
    for name in "ab":
        pen.image(f"images/{name}.png", shape=(64, 64))
        pen.image(f"masks/{name}{ending}", array=soft(rng)[None])
    dataset = index(pen.root)
    assert dataset.binarise_above == 127
    assert dataset.labels.targets() == {"foreground": (1,)}
    assert any("values above 127" in note for note in dataset.notes)
    disc = dataset[0].reference.counts()[1]
    assert abs(disc - np.pi * 18**2) < 40


def test_a_declared_name_is_kept_for_soft_masks(pen, rng):
    pen.image("images/a.png", shape=(64, 64))
    pen.image("masks/a.jpg", array=soft(rng)[None])
    pen.text("dataset.json", '{"labels": {"background": 0, "polyp": 1}}')
    for check in (True, False):
        dataset = index(pen.root, check=check)
        assert (dataset.labels.names, dataset.binarise_above) == (("polyp",), 127)


def test_grey_jpeg_is_no_mask(pen, rng, reasons):
    for name in "ab":
        pen.image(f"images/{name}.png", shape=(64, 64))
        pen.image(f"masks/{name}.jpg", array=soft(rng)[None])
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    pen.image("masks/b.jpg", array=ramp[None])
    assert reasons(index(pen.root)) == {"b": "its reference is a grey picture that is not black and white"}


def test_grey_levels_that_are_labels_stay_labels(pen):
    for name in "ab":
        pen.image(f"images/{name}.png", shape=(8, 8))
        pen.reference(f"labels/{name}.png", (128, 255), shape=(8, 8))
    dataset = index(pen.root)
    assert dataset.labels.targets() == {"label 128": (128,), "label 255": (255,)}
    assert dataset.binarise_above is None


def test_one_white_is_the_foreground(pen):
    pen.image("images/a.png", shape=(8, 8))
    pen.reference("labels/a.png", (255,), shape=(8, 8))
    assert index(pen.root).labels.targets() == {"foreground": (255,)}


def test_two_whites_are_one_foreground(pen):
    for name, white in (("a", 1), ("b", 255)):
        pen.image(f"images/{name}.png", shape=(8, 8))
        pen.reference(f"labels/{name}.png", (white,), shape=(8, 8))
    dataset = index(pen.root)
    assert dataset.labels.targets() == {"foreground": (1,)}
    assert [case.reference.counts() for case in dataset] == [{0: 63, 1: 1}] * 2


def test_white_may_stand_for_the_one_declared_label(pen):
    pen.text("dataset.json", '{"labels": {"background": 0, "polyp": 1}}')
    pen.image("images/a.png", shape=(8, 8))
    pen.reference("labels/a.png", (255,), shape=(8, 8))
    dataset = index(pen.root)
    assert dataset.labels.names == ("polyp",)
    assert dataset[0].reference.counts() == {0: 63, 1: 1}


def test_one_and_white_in_one_file_are_two_labels(pen):
    pen.image("images/a.png", shape=(8, 8))
    pen.reference("labels/a.png", (1, 255), shape=(8, 8))
    assert index(pen.root).labels.values == (1, 255)


def test_soft_values_in_a_volume_are_labels(pen):
    """Brain label maps have many values, some large, and little but background."""
    pen.image("images/a.nii.gz", shape=(30, 30, 3))
    pen.reference(
        "labels/a.nii.gz", (2, 3, 4, 5, 10, 11, 12, 13, 41, 42, 49, 50, 60, 72, 85, 251, 255), shape=(30, 30, 3)
    )
    dataset = index(pen.root)
    assert dataset.binarise_above is None
    assert len(dataset.labels) == 17


def test_numbered_objects_are_one_foreground(pen):
    for name, count in (("a", 20), ("b", 31), ("c", 12)):
        pen.image(f"images/{name}.png", shape=(64, 64))
        pen.reference(f"labels/{name}.png", range(1, count + 1), shape=(64, 64))
    dataset = index(pen.root)
    assert (dataset.labels.names, dataset.binarise_above) == (("foreground",), 0)
    assert any("number their objects (up to 31)" in note for note in dataset.notes)
    assert dataset[0].reference.counts().keys() == {0, 1}


def test_numbered_objects_stay_apart_when_they_are_declared(pen):
    names = ", ".join(f'"organ {value}": {value}' for value in range(1, 32))
    pen.text("dataset.json", f'{{"labels": {{"background": 0, {names}}}}}')
    for name, count in (("a", 20), ("b", 31)):
        pen.image(f"images/{name}.png", shape=(64, 64))
        pen.reference(f"labels/{name}.png", range(1, count + 1), shape=(64, 64))
    dataset = index(pen.root)
    assert len(dataset.labels) == 31
    assert dataset.binarise_above is None


def test_colour_coded_masks_are_left_out(pen, reasons):
    for name in "ab":
        pen.image(f"images/{name}.png", shape=(8, 8))
        pen.reference(f"labels/{name}.png", shape=(8, 8))
    pen.image("labels/b.png", shape=(8, 8), channels=3)
    assert "3 that differ" in reasons(index(pen.root))["b"]


def test_grey_masks_stored_as_colour_are_taken(pen):
    pen.image("images/a.png", shape=(8, 8))
    mask = np.zeros((3, 8, 8), np.uint8)
    mask[:, 2:5, 2:5] = 255
    pen.image("labels/a.png", array=mask)
    assert index(pen.root)[0].reference.counts() == {0: 55, 255: 9}


def test_colours_name_the_channels(pen):
    pen.image("images/a.png", shape=(8, 8), channels=3)
    pen.reference("labels/a.png", shape=(8, 8))
    assert index(pen.root).channels == ("red", "green", "blue")


def test_a_picture_has_no_place_to_differ_in(pen):
    pen.image("images/a.nii.gz", shape=(8, 8))
    pen.reference("labels/a.png", shape=(8, 8))
    assert index(pen.root).ids == ("a",)
