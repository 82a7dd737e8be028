"""BUSI: classes as groups, several masks united, official names with brackets."""

import numpy as np
import pytest

from vesalius.io.layouts import index


def mask(*corners, shape=(20, 16)):
    array = np.zeros(shape, np.uint8)
    for i, j in corners:
        array[i : i + 3, j : j + 3] = 255
    return array


@pytest.fixture(params=["{0} ({1})", "{0}_{1}"], ids=["official", "without spaces"])
def name(request):
    return request.param.format


@pytest.fixture
def breasts(pen, name):
    for kind, numbers in (("benign", (1, 2, 10)), ("malignant", (1,)), ("normal", (1,))):
        for number in numbers:
            case = f"{kind}/{name(kind, number)}"
            pen.image(f"{case}.png", shape=(20, 16), channels=3)
            pen.reference(f"{case}_mask.png", array=mask(*(() if kind == "normal" else ((2, 2),))))
    pen.reference(f"benign/{name('benign', 2)}_mask_1.png", array=mask((10, 10), (3, 3)))
    return pen


def test_masks_are_united_and_classes_are_groups(breasts, name):
    dataset = index(breasts.root)
    assert (dataset.layout, dataset.channels) == ("busi", ("red", "green", "blue"))
    order = [("benign", 1), ("benign", 2), ("benign", 10), ("malignant", 1), ("normal", 1)]
    assert dataset.ids == tuple(name(*one) for one in order)
    assert [record.groups["class"] for record in dataset.records] == [kind for kind, _ in order]
    assert dataset.labels.targets() == {"lesion": (1,)}
    expected = (mask((2, 2)) | mask((10, 10), (3, 3))) > 0
    assert np.array_equal(dataset[1].reference.array > 0, expected)
    assert not dataset[4].reference.array.any()
    assert "masks of one picture are united, of 1 in all" in dataset.notes


def test_what_is_amiss(breasts, name, reasons):
    breasts.image(f"benign/{name('benign', 11)}.png", shape=(20, 16), channels=3)
    breasts.reference(f"malignant/{name('malignant', 7)}_mask.png", array=mask((2, 2)))
    breasts.reference(f"malignant/{name('malignant', 1)}_mask_1.png", array=mask((2, 2), shape=(20, 17)))
    breasts.image("benign/logo.png", shape=(20, 16), channels=3)
    found = reasons(index(breasts.root))
    assert "no mask" in found[name("benign", 11)]
    assert "no picture" in found[f"{name('malignant', 7)}_mask.png"]
    assert "its shape is (20, 17)" in found[name("malignant", 1)]
    assert "neither" in found["logo.png"]


def test_one_class_alone_is_no_busi(breasts, name):
    assert index(breasts.root / "malignant").layout == "suffixes"
