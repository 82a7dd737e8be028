"""Non-local means against its formula written out."""

import numpy as np
import pytest

from vesalius.image import Grid, Volume
from vesalius.transform import non_local_means


@pytest.mark.parametrize(
    ("shape", "spacing", "patch_mm", "search_mm"),
    [((8, 9), (1.0, 1.0), 1.0, 2.0), ((7, 6), (1.0, 2.0), 1.0, 3.0), ((5, 6, 4), (1.0, 1.0, 3.0), 1.0, 3.0)],
)
def test_the_formula(
    rng: np.random.Generator, shape: tuple[int, ...], spacing: tuple[float, ...], patch_mm: float, search_mm: float
) -> None:
    array = rng.normal(100, 10, shape).astype(np.float32)
    noise, strength = 6.0, 1.1
    volume = Volume(array[None], Grid.from_spacing(shape, spacing))
    made = non_local_means(volume, patch_mm=patch_mm, search_mm=search_mm, strength=strength, noise=noise).array[0]
    half = [int(patch_mm / s) for s in spacing]
    reach = [int(search_mm / s) for s in spacing]
    wide = np.pad(array.astype(float), [(h + r, h + r) for h, r in zip(half, reach, strict=True)], "symmetric")

    def patch(place: tuple[int, ...]) -> np.ndarray:
        return wide[tuple(slice(p - h, p + h + 1) for p, h in zip(place, half, strict=True))]

    for place in ((0,) * len(shape), tuple(n // 2 for n in shape), tuple(n - 1 for n in shape)):
        centre = tuple(p + h + r for p, h, r in zip(place, half, reach, strict=True))
        total, weights = 0.0, 0.0
        for offset in np.ndindex(*(2 * r + 1 for r in reach)):
            shift = [o - r for o, r in zip(offset, reach, strict=True)]
            if sum((n * s) ** 2 for n, s in zip(shift, spacing, strict=True)) > search_mm**2:
                continue
            there = tuple(c + n for c, n in zip(centre, shift, strict=True))
            distance = ((patch(there) - patch(centre)) ** 2).mean()
            weight = np.exp(-max(distance - 2 * noise**2, 0) / (strength * noise) ** 2)
            total, weights = total + weight * wide[there], weights + weight
        assert made[place] == pytest.approx(total / weights, rel=1e-5)


def test_boxes_leave_no_seam(rng: np.random.Generator) -> None:
    # Larger than a box: the same voxels come out of an image that is one.
    array = rng.normal(100, 10, (1, 420, 420)).astype(np.float32)
    whole = non_local_means(Volume(array, Grid.from_spacing((420, 420), (1.0, 1.0))), noise=10.0).array
    part = array[:, 200:420, 100:300]
    alone = non_local_means(Volume(part, Grid.from_spacing(part.shape[1:], (1.0, 1.0))), noise=10.0).array
    np.testing.assert_allclose(alone[:, 8:-8, 8:-8], whole[:, 208:412, 108:292], rtol=1e-5)
