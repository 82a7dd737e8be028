"""The clean-up of a segmentation: steps in order, and there and back as JSON."""

import json

import numpy as np
import pytest

from vesalius.errors import DataError, GeometryError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels
from vesalius.transform import KeepLargest, Postprocessing, RemoveSmall, postprocess
from vesalius.transform.postprocess import postprocessing_from_json, postprocessing_to_json

LABELS = Labels.of({"liver": 1, "tumour": 2}, regions={"organ": (1, 2)})
STEPS = Postprocessing((KeepLargest(name="organ"), RemoveSmall(least=0.004, name="tumour"), KeepLargest()))


def row(*values: int, spacing: float = 1.0) -> LabelMap:
    return LabelMap(
        np.array(values, np.uint8)[:, None, None], Grid.from_spacing((len(values), 1, 1), (spacing, 1, 1)), LABELS
    )


def cleaned(labelmap: LabelMap, *steps: KeepLargest | RemoveSmall) -> list[int]:
    return postprocess(labelmap, Postprocessing(steps)).array.ravel().tolist()


def test_no_step_changes_nothing():
    labelmap = row(1, 0, 2)
    assert postprocess(labelmap, Postprocessing()) is labelmap


def test_each_step_does_what_it_says():
    labelmap = row(1, 1, 2, 0, 1, 0, 2, 2)
    assert cleaned(labelmap, KeepLargest()) == [1, 1, 2, 0, 0, 0, 0, 0]
    assert cleaned(labelmap, KeepLargest(name="organ")) == [1, 1, 2, 0, 0, 0, 0, 0]
    assert cleaned(labelmap, KeepLargest(name="liver")) == [1, 1, 2, 0, 0, 0, 2, 2]
    assert cleaned(labelmap, KeepLargest(name="tumour")) == [1, 1, 0, 0, 1, 0, 2, 2]
    assert cleaned(labelmap, RemoveSmall(least=2, unit="voxels")) == [1, 1, 2, 0, 0, 0, 2, 2]
    assert cleaned(labelmap, RemoveSmall(least=2, unit="voxels", name="tumour")) == [1, 1, 0, 0, 1, 0, 2, 2]


def test_steps_are_taken_in_order():
    labelmap = row(1, 1, 2, 0, 1, 0, 2, 2)
    first, second = KeepLargest(name="organ"), KeepLargest(name="tumour")
    assert cleaned(labelmap, first, second) == [1, 1, 2, 0, 0, 0, 0, 0]
    assert cleaned(labelmap, second, first) == [1, 1, 0, 0, 0, 0, 0, 0]


def test_sizes_are_physical_unless_they_are_voxels():
    small = row(1, 0, 2, 2, spacing=500.0)  # 0.5 ml a voxel
    assert cleaned(small, RemoveSmall(least=0.6)) == [0, 0, 2, 2]
    assert cleaned(small, RemoveSmall(least=0.5)) == [1, 0, 2, 2]
    assert cleaned(small, RemoveSmall(least=2, unit="voxels")) == [0, 0, 2, 2]
    flat = LabelMap(np.array([[1, 0, 1, 1]]), Grid.from_spacing((1, 4), (2.0, 3.0)), LABELS)
    assert cleaned(flat, RemoveSmall(least=7, unit="mm2")) == [0, 0, 1, 1]
    assert cleaned(flat, RemoveSmall(least=2, unit="voxels")) == [0, 0, 1, 1]
    with pytest.raises(GeometryError, match="give min_area_mm2 alone"):
        postprocess(flat, Postprocessing((RemoveSmall(least=7),)))
    with pytest.raises(GeometryError, match="give min_volume_ml alone"):
        postprocess(small, Postprocessing((RemoveSmall(least=7, unit="mm2"),)))


def test_an_empty_map_stays_empty():
    assert cleaned(row(0, 0, 0), *STEPS.steps) == [0, 0, 0]


def test_a_name_that_is_not_there():
    with pytest.raises(DataError, match="unknown label 'lever': did you mean 'liver'"):
        postprocess(row(1), Postprocessing((KeepLargest(name="lever"),)))


@pytest.mark.parametrize("least", [0.0, -1.0, float("nan"), float("inf")])
def test_a_size_that_cannot_be(least):
    with pytest.raises(VesaliusError, match="must be positive"):
        RemoveSmall(least=least)


def test_there_and_back():
    plain = json.loads(json.dumps(postprocessing_to_json(STEPS)))
    assert postprocessing_from_json(plain) == STEPS
    assert postprocessing_from_json([]) == Postprocessing()
    assert STEPS.names == {"organ", "tumour"}
    assert STEPS.words == (
        "keep the largest piece of organ",
        "remove pieces of tumour below 0.004 ml",
        "keep the largest piece of all labels together",
    )


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({}, "must be a list"),
        (["keep_largest"], "must say what it is"),
        ([{"name": "liver"}], "unknown step of post-processing 'None'"),
        ([{"step": "keep_largets"}], "did you mean 'keep_largest'"),
        ([{"step": "keep_largest", "colour": "red"}], "a field that it does not know"),
        ([{"step": "keep_largest", "name": 3}], "of another type"),
        ([{"step": "keep_largest", "least": 3}], "is incomplete"),
        ([{"step": "remove_small"}], "is incomplete"),
        ([{"step": "remove_small", "least": "3"}], "of another type"),
        ([{"step": "remove_small", "least": True}], "of another type"),
        ([{"step": "remove_small", "least": 3, "unit": "cups"}], "unknown unit of size 'cups'"),
    ],
)
def test_what_is_no_clean_up_is_refused(raw, words):
    with pytest.raises(VesaliusError, match=words):
        postprocessing_from_json(raw)
