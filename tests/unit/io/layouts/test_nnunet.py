import json

import numpy as np
import pytest

from vesalius.errors import DataError, FormatError
from vesalius.io.layouts import index

SOUND = {
    "channel_names": {"0": "T1", "1": "FLAIR"},
    "labels": {"background": 0, "lesion": 1},
    "numTraining": 2,
    "file_ending": ".nii.gz",
}


@pytest.fixture
def raw(pen):
    pen.text("dataset.json", json.dumps(SOUND))
    for case in ("brain_001", "brain_002"):
        for channel in ("0000", "0001"):
            pen.image(f"imagesTr/{case}_{channel}.nii.gz")
        pen.reference(f"labelsTr/{case}.nii.gz")
    return pen


def declare(pen, **changes):
    pen.text("dataset.json", json.dumps({k: v for k, v in (SOUND | changes).items() if v is not None}))


def test_channels_and_labels_are_as_declared(raw):
    dataset = index(raw.root)
    assert (dataset.layout, dataset.channels, dataset.labels.names) == ("nnunet", ("T1", "FLAIR"), ("lesion",))
    assert dataset.ids == ("brain_001", "brain_002")
    first = dataset.records[0].images
    assert [path.name for path in first] == ["brain_001_0000.nii.gz", "brain_001_0001.nii.gz"]
    assert dataset[0].image.channels == 2


def test_a_missing_channel_or_label_is_left_out(raw, reasons):
    (raw.root / "imagesTr/brain_001_0001.nii.gz").unlink()
    raw.image("imagesTr/brain_003_0000.nii.gz")
    raw.image("imagesTr/brain_003_0001.nii.gz")
    raw.reference("labelsTr/brain_004.nii.gz")
    found = reasons(index(raw.root))
    assert found["brain_001"] == "missing file: brain_001_0001.nii.gz"
    assert found["brain_003"] == "missing file: brain_003.nii.gz"
    assert found["brain_004"] == "missing file: brain_004_0000.nii.gz, brain_004_0001.nii.gz"


def test_test_images_and_strays_are_told(raw, reasons):
    raw.image("imagesTs/brain_009_0000.nii.gz")
    raw.image("imagesTr/brain_001_0000.mha")
    assert reasons(index(raw.root)).keys() == {"imagesTs/brain_009_0000.nii.gz", "imagesTr/brain_001_0000.mha"}


def test_channels_on_different_grids_are_left_out(raw, reasons):
    raw.image("imagesTr/brain_002_0001.nii.gz", shift_mm=2.0)
    assert "2 mm from those of the image" in reasons(index(raw.root))["brain_002"]


def test_regions_and_ignore(raw):
    declare(raw, labels={"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4})
    raw.reference("labelsTr/brain_001.nii.gz", (1, 2, 3, 4))
    labels = index(raw.root).labels
    assert labels.targets() == {
        "label 1": (1,), "label 2": (2,), "enhancing": (3,), "whole": (1, 2, 3), "core": (2, 3),
    }  # fmt: skip
    assert labels.ignore == 4


def test_a_picture_holds_all_its_colours(pen):
    declare(pen, channel_names={"0": "R", "1": "G", "2": "B"}, file_ending=".png")
    pen.image("imagesTr/a_0000.png", shape=(8, 8), channels=3)
    pen.reference("labelsTr/a.png", shape=(8, 8))
    dataset = index(pen.root)
    assert dataset.channels == ("R", "G", "B")
    assert dataset[0].image.channels == 3


def test_a_picture_with_too_few_colours_is_left_out(pen):
    declare(pen, channel_names={"0": "R", "1": "G", "2": "B"}, file_ending=".png")
    pen.image("imagesTr/a_0000.png", shape=(8, 8))
    pen.reference("labelsTr/a.png", shape=(8, 8))
    with pytest.raises(DataError, match="a: its image has 1 channels; the data set declares 3"):
        index(pen.root)


def test_cases_may_be_listed(raw):
    raw.image("elsewhere/x.nii.gz")
    raw.image("elsewhere/y.nii.gz")
    raw.reference("elsewhere/x_seg.nii.gz")
    listed = {"x": {"images": ["elsewhere/x.nii.gz", "elsewhere/y.nii.gz"], "label": "elsewhere/x_seg.nii.gz"}}
    declare(raw, dataset=listed)
    assert index(raw.root).ids == ("x",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"channel_names": ["T1"]}, '"channel_names" must name the channels'),
        ({"channel_names": {"0": "T1", "2": "T2"}}, "numbered from 0 without gaps"),
        ({"channel_names": {"0": 1}}, "the names are"),
        ({"labels": None}, '"labels" must map names to values'),
        ({"labels": {"background": 1, "lesion": 2}}, 'value of "background" must be 0'),
        ({"labels": {"background": 0, "lesion": "1"}}, "label 'lesion' must be a whole number"),
        ({"labels": {"background": 0, "lesion": True}}, "label 'lesion' must be a whole number"),
        ({"labels": {"background": 0, "lesion": 1.5}}, "label 'lesion' must be a whole number"),
        ({"labels": {"background": 0, "lesion": []}}, "label 'lesion' must be a whole number"),
        ({"labels": {"background": 0, "lesion": -1}}, "a label's value must be 1 to"),
        ({"labels": {"background": 0, "a": 1, "b": 1}}, "two labels share a value"),
        ({"labels": {"background": 0, "a": 1, "ignore": [2, 3]}}, '"ignore" must be one value'),
        ({"file_ending": ".exe"}, '"file_ending" must be that of an image format'),
        ({"file_ending": None}, '"file_ending" must be that of an image format'),
        ({"dataset": []}, '"dataset" must map each case'),
        ({"dataset": {"x": {"images": "a", "label": "b"}}}, "case 'x' does not"),
    ],
)
def test_a_description_that_cannot_be_used_is_an_error(raw, changes, message):
    declare(raw, **changes)
    with pytest.raises(FormatError, match=message):
        index(raw.root)


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000, "\x00", "NaN"])
def test_a_description_that_is_no_json_object_is_an_error(raw, text):
    raw.text("dataset.json", text)
    with pytest.raises(FormatError, match=r"dataset\.json"):
        index(raw.root)


def test_a_huge_description_is_not_read(raw):
    with (raw.root / "dataset.json").open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(FormatError, match="too large"):
        index(raw.root)


def test_the_reference_cannot_be_chosen(raw):
    with pytest.raises(DataError, match="says itself what the references are"):
        index(raw.root, reference="labelsTr")


def test_an_ignored_region_stays_ignored(raw):
    declare(raw, labels={"background": 0, "lesion": 1, "ignore": 2})
    array = np.zeros((6, 5, 4), np.uint8)
    array[0], array[1] = 1, 2
    raw.reference("labelsTr/brain_001.nii.gz", array=array)
    dataset = index(raw.root)
    assert dataset.labels.ignore == 2
    assert dataset[0].reference.counts() == {0: 80, 1: 20, 2: 20}
