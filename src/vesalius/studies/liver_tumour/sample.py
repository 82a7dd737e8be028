"""Synthetic abdomens in CT with tumours in the liver, laid out as LiTS lays out its cases, with two of its flaws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Grid, Volume
from vesalius.io import write
from vesalius.studies.phantom import Field, paint, radius, smooth_noise

_SHAPE = (88, 72, 40)
_SPACING_MM = (3.9, 3.9, 5.0)  # the original has 512 x 512 voxels a slice of 0.6 to 1 mm, and slices of 0.5 to 6 mm
_TISSUES = {
    "air": -1000.0, "fat": -100.0, "muscle": 55.0, "lung": -850.0, "bone": 380.0, "aorta": 150.0, "kidney": 185.0,
    "spleen": 125.0, "stomach": 25.0, "gas": -900.0, "liver": 112.0, "tumour": 50.0,
}  # fmt: skip
"""HU. Source: portal venous phase: liver about 110, spleen 120, vena cava 130 to 150 HU; Bae, Radiology 256:32 (2010),
doi:10.1148/radiol.10090908; metastases are darker than the liver by 40 to 60 HU."""

_NUMBER = {name: number for number, name in enumerate(_TISSUES)}
_HEADERLESS = 3  # its segmentation has lost its place, as of many of LiTS
_PADDED = 5  # outside the round field of view it holds -2048
_HEALTHY = 7  # no tumour
_PADDING = -2048


def write_lits(folder: Path, *, cases: int = 10, seed: int = 0) -> None:
    """Write pairs of ``volume-N.nii`` and ``segmentation-N.nii``.

    Args:
        folder: Where they go.
        cases: How many.
        seed: Of everything random.
    """
    for number in range(cases):
        image, labels, grid = draw_abdomen(np.random.default_rng([seed, number]), tumours=number != _HEALTHY)
        if number == _PADDED:
            x, y = np.meshgrid(*(np.linspace(-1, 1, n) for n in _SHAPE[:2]), indexing="ij")
            image = np.where((x**2 + y**2 > 1.05)[..., None], _PADDING, image).astype(np.int16)
        place = Grid(grid.shape, np.diag([-1.0, -1.0, 1.0, 1.0])) if number == _HEADERLESS else grid
        write(Volume(image[None], grid), folder / f"volume-{number}.nii")
        write(Volume(labels[None], place), folder / f"segmentation-{number}.nii")


def draw_abdomen(
    random: np.random.Generator, *, tumours: bool = True
) -> tuple[NDArray[np.int16], NDArray[np.uint8], Grid]:
    """Draw an abdomen from the domes of the lungs to the kidneys.

    Args:
        random: Where it comes from.
        tumours: Whether the liver has any.

    Returns:
        HU, the labels (1 liver, 2 tumour), and where the voxels are.
    """
    half = (np.asarray(_SHAPE) - 1) / 2 * _SPACING_MM
    grid = Grid.from_spacing(_SHAPE, _SPACING_MM, origin_mm=tuple(float(-h) for h in half))
    index = np.indices(_SHAPE, np.float32)
    points = [
        (axis * s - h + 4.0 * smooth_noise(random, _SHAPE, (5, 5, 4)) + random.uniform(-6, 6)).astype(np.float32)
        for axis, s, h in zip(index, _SPACING_MM, half, strict=True)
    ]
    size = float(random.uniform(0.92, 1.06))
    tissues = _organs([p / size for p in points], random)
    liver = tissues == _NUMBER["liver"]
    if tumours:
        for _ in range(int(random.integers(2, 5))):
            tissues[_tumour(points, liver, random)] = _NUMBER["tumour"]
    image = paint(tissues, list(_TISSUES.values()), random, blur=(0.4, 0.4, 0.3), noise=11.0)
    labels = np.where(tissues == _NUMBER["tumour"], 2, np.where(tissues == _NUMBER["liver"], 1, 0)).astype(np.uint8)
    return np.clip(np.round(image), -1024, 3071).astype(np.int16), labels, grid


def _organs(points: list[Field], random: np.random.Generator) -> NDArray[np.uint8]:
    """Tissues by place, mm, LPS: x to the patient's left, y to the back, z to the head; later ones cover earlier."""
    x, y, z = points
    inside = radius([x, y], (0, 0), (152, 112)) < 1
    made = np.where(inside, _NUMBER["fat"], _NUMBER["air"]).astype(np.uint8)

    def put(name: str, where: NDArray[np.bool_]) -> None:
        made[where & inside] = _NUMBER[name]

    put("muscle", radius([x, y], (0, 0), (140, 101)) < 1)
    put("fat", radius([x, y], (0, -8), (126, 84)) < 1)
    put("muscle", radius([x, y], (0, 78), (62, 26)) < 1)
    for side in (-1, 1):
        put("lung", (radius(points, (side * 68, 8, 112), (58, 78, 62)) < 1))
        put("kidney", radius(points, (side * 56, 42, -62), (25, 24, 46)) < 1)
    put("spleen", radius(points, (92, 28, 30), (28, 42, 44)) < 1)
    stomach = radius(points, (48, -34, 26), (42, 30, 36)) < 1
    put("stomach", stomach)
    put("gas", stomach & (y < -46))
    right = radius(points, (-58, -6, 8), (72, 74, 82)) < 1
    left = radius(points, (6, -46, 30), (62, 30, 34)) < 1
    hilum = radius(points, (-18, 20, -16), (28, 26, 34)) < 1
    put("liver", (right | left) & ~hilum & (radius([x, y], (0, -6), (132, 92)) < 1))
    put("bone", radius([x, y], (0, 62), (21, 17)) < 1)
    put("muscle", radius([x, y], (0, 84), (9, 8)) < 1)
    put("bone", (radius([x, y], (0, 98), (6, 12)) < 1))
    put("aorta", radius([x, y], (12, 38), (10, 10)) < 1)
    ribs = np.abs(radius([x, y], (0, 0), (134, 96)) - 1) < 0.035
    put("bone", ribs & (np.sin(z / 6 + np.abs(x) / 14 + float(random.uniform(0, 6))) > 0.6))
    return made


def _tumour(points: list[Field], liver: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.bool_]:
    """A roundish lesion around a voxel of the liver."""
    places = np.argwhere(liver)
    at = tuple(places[int(random.integers(len(places)))])
    centre = [float(p[at]) for p in points]
    size_mm = float(random.uniform(11, 28))
    lumpy = 1 + 0.12 * smooth_noise(random, liver.shape, (2.5, 2.5, 2.0))
    return np.asarray((radius(points, centre, (size_mm,) * 3) < lumpy) & liver)
