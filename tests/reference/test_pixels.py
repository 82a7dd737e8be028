"""Pixel classification of real microscopy, from a few strokes on two pictures."""

import numpy as np
import pytest

from vesalius.classical.pixels import train_pixels
from vesalius.image import LabelMap, Labels
from vesalius.io.layouts import index

pytest.importorskip("sklearn")

LABELS = Labels.of({"background": 1, "cells": 2})
NETWORK = 0.948  # Dice of a U-Net after ten minutes of training (benchmarks/README.md)


def strokes(reference, rng):
    """Fifteen short lines of each class, a pixel wide, where the reference says so: what a person does in a minute."""
    marks = np.zeros(reference.shape, np.uint8)
    for value, inside in ((1, reference == 0), (2, reference != 0)):
        places = np.argwhere(inside)
        for _ in range(15):
            start, angle = places[rng.integers(len(places))], rng.uniform(0, 2 * np.pi)
            for step in range(20):
                at = tuple(np.rint(start + step * np.array([np.sin(angle), np.cos(angle)])).astype(int))
                if min(at) < 0 or any(a >= n for a, n in zip(at, reference.shape, strict=True)) or not inside[at]:
                    break
                marks[at] = value
    return marks


def test_strokes_on_two_pictures_come_close_to_a_network(shared_data):
    cases = index(shared_data / "isbi2012_em", check=False)
    rng = np.random.default_rng(0)
    taught = [cases[0], cases[1]]
    marks = [LabelMap(strokes(case.reference.array, rng), case.image.grid, LABELS) for case in taught]
    assert sum(int((one.array > 0).sum()) for one in marks) < 0.002 * sum(one.array.size for one in marks)
    classifier = train_pixels([case.image for case in taught], marks, model="gradient-boosting")
    dice = []
    for case in (cases[5], cases[10], cases[15]):
        found, reference = classifier.classify(case.image).array != 0, case.reference.array != 0
        dice.append(2 * (found & reference).sum() / (found.sum() + reference.sum()))
    assert np.mean(dice) >= 0.85 * NETWORK
