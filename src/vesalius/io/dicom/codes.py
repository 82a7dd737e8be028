"""What a structure is in coded terms: SNOMED CT codes and colours of segments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pydicom.sr.codedict import codes

from vesalius.image import Code, Label

ANATOMY = Code("SCT", "91723000", "Anatomical Structure")
"""What a structure is called of which nothing is known but that somebody outlined it."""

_CATEGORIES = (  # context group of types (PS3.16), and the category that it refines (CID 7150); the most telling first
    ("cid7194", Code("SCT", "49755003", "Morphologically Abnormal Structure")),
    ("cid7192", ANATOMY),
    ("cid7191", Code("SCT", "85756007", "Tissue")),
    ("cid7193", Code("SCT", "260787004", "Physical object")),
    ("cid7197", Code("SCT", "91720002", "Body Substance")),
)
_SIDES = {
    "left": Code("SCT", "7771000", "Left"),
    "right": Code("SCT", "24028007", "Right"),
}
_SPELLING = {  # words of data sets, and the word of PS3.16
    "tumour": "neoplasm",
    "tumor": "neoplasm",
    "cancer": "neoplasm",
    "oedema": "edema",
    "oesophagus": "esophagus",
    "haemorrhage": "hemorrhage",
    "adrenal": "adrenalgland",
    "urinary": "",
    "lv": "leftventricle",
    "rv": "rightventricle",
    "myo": "myocardium",
}
_LESIONS = frozenset({"lesion", "neoplasm", "nodule", "polyp", "mass", "metastasis", "necrosis", "edema"})


@dataclass(frozen=True)
class Meaning:
    """What a segment shows.

    Args:
        category: Its kind: an organ, a lesion, a tissue.
        type: What it is.
        side: Left or right, where the name says so.
    """

    category: Code
    type: Code
    side: Code | None = None


def meaning_of(label: Label) -> Meaning:
    """Say in codes what a label is: its own code, else that of its name, else its kind.

    Names are looked up among the types that DICOM lists for segments. ``"left kidney"`` and ``"kidney_left"`` are the
    kidney with a side; spelling may be British. A name that no list has is an anatomical structure, or, where a word of
    it says so (lesion, tumour), an abnormal one: no code is guessed.

    Args:
        label: Its name, and its code where it has one.

    Example:
        >>> found = meaning_of(Label("kidney_left", 2))
        >>> found.type.value, found.side.meaning
        ('64033007', 'Left')
        >>> meaning_of(Label("enhancing tumour", 1)).category.meaning
        'Morphologically Abnormal Structure'

    Source: DICOM PS3.16 CID 7150 (categories), 7191 to 7197 (types), 244 (sides), as pydicom lists them.
    """
    words = [_SPELLING.get(word, word) for word in re.findall(r"[a-z]+|\d+", _spaced(label.name).casefold())]
    sides = [word for word in words if word in _SIDES]
    side = _SIDES[sides[0]] if len(sides) == 1 else None
    without = "".join(word for word in words if word not in _SIDES)
    for group, category in _CATEGORIES:
        types = _types(group)
        if label.code is not None:
            if label.code.value in {code.value for code in types.values()}:
                return Meaning(category, label.code)
        elif "".join(words) in types:
            return Meaning(category, types["".join(words)])
        elif without in types:
            return Meaning(category, types[without], side)
    kind = _CATEGORIES[0][1] if _LESIONS & set(words) else ANATOMY
    return Meaning(kind, label.code or kind)


def to_lab(colour: tuple[int, int, int]) -> list[int]:
    """A colour as DICOM stores it: CIELab in 16 bits.

    Args:
        colour: sRGB, 0 to 255.

    Example:
        >>> to_lab((255, 255, 255)), from_lab(to_lab((200, 30, 90)))
        ([65535, 32896, 32896], (200, 30, 90))

    Source: DICOM PS3.3 C.10.7.1.1 (encoding; white point D50), IEC 61966-2-1 (sRGB), Lindbloom's matrix adapted to
    D50 by Bradford's method.
    """
    share = np.asarray(colour, dtype=np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    scaled = _RGB_TO_XYZ @ linear / _WHITE
    bent = np.where(scaled > (6 / 29) ** 3, np.cbrt(scaled), scaled / (3 * (6 / 29) ** 2) + 4 / 29)
    light, red, yellow = 116 * bent[1] - 16, 500 * (bent[0] - bent[1]), 200 * (bent[1] - bent[2])
    numbers = (light / 100 * 65535, (red + 128) / 255 * 65535, (yellow + 128) / 255 * 65535)
    return [round(min(max(float(number), 0), 65535)) for number in numbers]


def from_lab(numbers: list[int]) -> tuple[int, int, int]:
    """The sRGB colour that `to_lab` made these numbers of; colours that no screen has are clipped."""
    light, red, yellow = numbers[0] / 65535 * 100, numbers[1] / 65535 * 255 - 128, numbers[2] / 65535 * 255 - 128
    middle = (light + 16) / 116
    bent = np.array([middle + red / 500, middle, middle - yellow / 200])
    scaled = np.where(bent > 6 / 29, bent**3, 3 * (6 / 29) ** 2 * (bent - 4 / 29))
    linear = np.clip(np.linalg.solve(_RGB_TO_XYZ, scaled * _WHITE), 0, 1)
    share = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    red8, green8, blue8 = (round(float(x) * 255) for x in share)
    return red8, green8, blue8


_RGB_TO_XYZ: NDArray[np.float64] = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_WHITE: NDArray[np.float64] = _RGB_TO_XYZ.sum(axis=1)


@lru_cache
def _types(group: str) -> dict[str, Code]:
    """The codes of a context group by name, small letters only."""
    found = getattr(codes, group)
    listed = {name: getattr(found, name) for name in found.dir()}
    return {
        name.casefold(): Code(code.scheme_designator, code.value, code.meaning)
        for name, code in listed.items()
        if code.scheme_designator == "SCT"
    }


def _spaced(name: str) -> str:
    """Words of a name that is written in one: ``LeftKidney``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
