"""ISIC: photographs and outlines in folders of their own, superpixels left out, diagnoses from the table."""

import numpy as np
import pytest

from vesalius.io.layouts import index

DATA, OUTLINES = "ISIC-2017_Training_Data", "ISIC-2017_Training_Part1_GroundTruth"


@pytest.fixture
def lesions(pen):
    for number in range(3):
        drawn = np.zeros((20, 16), np.uint8)
        drawn[4:9, 4:9] = 255
        pen.image(f"{DATA}/ISIC_000000{number}.jpg", shape=(20, 16), channels=3)
        pen.image(f"{DATA}/ISIC_000000{number}_superpixels.png", shape=(20, 16), channels=3)
        pen.reference(f"{OUTLINES}/ISIC_000000{number}_segmentation.png", array=drawn)
    return pen


def test_the_official_folders(lesions, reasons):
    table = "image_id,melanoma,seborrheic_keratosis\nISIC_0000000,0.0,0.0\nISIC_0000001,1.0,0.0\nISIC_0000002,0.0,1.0\n"
    lesions.text("ISIC-2017_Training_Part3_GroundTruth.csv", table)
    dataset = index(lesions.root)
    assert (dataset.layout, dataset.channels) == ("isic", ("red", "green", "blue"))
    assert dataset.ids == ("ISIC_0000000", "ISIC_0000001", "ISIC_0000002")
    diagnoses = [record.groups["diagnosis"] for record in dataset.records]
    assert diagnoses == ["naevus", "melanoma", "seborrhoeic keratosis"]
    assert dataset.labels.targets() == {"lesion": (1,)}
    assert dataset[0].reference.counts() == {0: 295, 1: 25}
    assert set(reasons(dataset)) == {f"ISIC_000000{n}_superpixels.png" for n in range(3)}


def test_without_the_table_or_an_outline(lesions, reasons):
    lesions.image(f"{DATA}/ISIC_0000007.jpg", shape=(20, 16), channels=3)
    lesions.reference(f"{OUTLINES}/ISIC_0000009_segmentation.png", array=np.ones((20, 16), np.uint8))
    lesions.text("other.csv", "a,b\n1,2\n")
    dataset = index(lesions.root)
    assert dataset.records[0].groups == {}
    assert dataset.records[-1].reference is None
    assert "no photograph" in reasons(dataset)["ISIC_0000009_segmentation.png"]
