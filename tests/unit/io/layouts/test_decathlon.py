import json

import pytest

from vesalius.errors import DataError, FormatError
from vesalius.io.layouts import index


@pytest.fixture
def task(pen):
    for name in ("BRATS_1", "BRATS_2"):
        pen.image(f"imagesTr/{name}.nii.gz", channels=2)
        pen.reference(f"labelsTr/{name}.nii.gz", (1, 2))
    pen.image("imagesTs/BRATS_9.nii.gz", channels=2)
    return pen


def declare(pen, names=("BRATS_1", "BRATS_2"), **changes):
    content = {
        "modality": {"0": "FLAIR", "1": "T1w"},
        "labels": {"0": "Background", "1": "oedema", "2": "tumour"},
        "training": [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in names],
        "test": ["./imagesTs/BRATS_9.nii.gz"],
    }
    pen.text("dataset.json", json.dumps(content | changes))


def test_a_4d_image_holds_all_channels(task, reasons):
    declare(task)
    dataset = index(task.root)
    assert (dataset.layout, dataset.ids) == ("decathlon", ("BRATS_1", "BRATS_2"))
    assert dataset.channels == ("FLAIR", "T1w")
    assert dataset.labels.targets() == {"oedema": (1,), "tumour": (2,)}
    assert dataset[0].image.array.shape == (2, 6, 5, 4)
    assert reasons(dataset) == {"imagesTs/BRATS_9.nii.gz": 'not listed as "training" in dataset.json'}


def test_missing_and_repeated_entries_are_left_out(task, reasons):
    declare(task, names=("BRATS_1", "BRATS_1", "BRATS_2", "BRATS_3"))
    found = reasons(index(task.root))
    assert found["BRATS_3"] == "missing file: BRATS_3.nii.gz, BRATS_3.nii.gz"
    assert "name is taken by another case" in found["BRATS_1"]


def test_another_number_of_channels_than_declared_is_left_out(task, reasons):
    declare(task)
    task.image("imagesTr/BRATS_2.nii.gz", channels=3)
    assert reasons(index(task.root))["BRATS_2"] == "its image has 3 channels; the data set declares 2"


@pytest.mark.parametrize("entry", ["a.nii.gz", {"image": "a"}, {"image": "a", "label": 3}, {"image": "", "label": "b"}])
def test_an_entry_of_another_form_is_an_error(task, entry):
    declare(task, training=[entry])
    with pytest.raises(FormatError, match='entry 0 of "training"'):
        index(task.root)


def test_an_empty_list_is_an_error(task):
    declare(task, training=[])
    with pytest.raises(DataError, match="no case can be used"):
        index(task.root)


@pytest.mark.parametrize("labels", [{"0": "background", "1": 5}, {"0": "background", "1": "a", "2": "a"}])
def test_names_that_are_no_names_are_an_error(task, labels):
    declare(task, labels=labels)
    with pytest.raises(FormatError, match='"labels"'):
        index(task.root)
