"""Codes of names, and colours."""

import numpy as np
import pytest

from vesalius.image import Code, Label
from vesalius.io.dicom.codes import from_lab, meaning_of, to_lab


@pytest.mark.parametrize(
    ("name", "category", "value", "side"),
    [
        ("liver", "91723000", "10200004", None),
        ("Left Kidney", "91723000", "64033007", "7771000"),
        ("kidney_right", "91723000", "64033007", "24028007"),
        ("LeftVentricle", "91723000", "87878005", None),  # not a ventricle with a side
        ("urinary_bladder", "91723000", "89837001", None),
        ("tumour", "49755003", "108369006", None),
        ("oedema", "49755003", "79654002", None),
        ("enhancing tumour", "49755003", "49755003", None),
        ("label 3", "91723000", "91723000", None),
    ],
)
def test_names_that_dicom_knows(name, category, value, side):
    found = meaning_of(Label(name, 1))
    assert (found.category.value, found.type.value) == (category, value)
    assert (found.side and found.side.value) == side


def test_a_code_of_its_own_is_kept():
    code = Code("SCT", "79654002", "Edema")
    found = meaning_of(Label("liver", 1, code=code))
    assert found.type == code
    assert found.category.meaning == "Morphologically Abnormal Structure"
    strange = Code("99LOCAL", "X1", "something")
    assert meaning_of(Label("polyp", 1, code=strange)).type == strange


def test_colours_come_back(rng):
    for colour in [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255), *rng.integers(0, 256, (200, 3))]:
        told = tuple(int(x) for x in colour)
        assert from_lab(to_lab(told)) == told


def test_known_colours():
    # Lindbloom's calculator, sRGB to Lab (D50): red is 54.29, 80.81, 69.89.
    light, red, yellow = np.array(to_lab((255, 0, 0))) / 65535 * [100, 255, 255] - [0, 128, 128]
    assert (light, red, yellow) == pytest.approx((54.29, 80.81, 69.89), abs=0.02)
