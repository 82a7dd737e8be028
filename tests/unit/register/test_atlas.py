"""Labels carried over from several images agree better than those of one."""

import numpy as np
import pytest
from scipy import ndimage

from vesalius.errors import DataError, GeometryError, VesaliusError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.register import Atlas, segment_with_atlases

pytest.importorskip("SimpleITK")

GRID = Grid.from_spacing((56, 48), (1.0, 1.5))
LABELS = Labels.of({"body": 1, "tail": 2})


def person(seed: int) -> Atlas:
    """Two bodies whose sizes and places differ from person to person; both are as bright."""
    rng = np.random.default_rng(seed)
    x, y = np.indices(GRID.shape)
    a, b = rng.uniform(-2, 2, 2)
    body = ((x - 22 - a) / rng.uniform(10, 13)) ** 2 + ((y - 24) / rng.uniform(9, 11)) ** 2 < 1
    tail = (((x - 37 - a) / 8) ** 2 + ((y - 24 - b) / rng.uniform(4, 6)) ** 2 < 1) & ~body
    skin = ((x - 28) / 26) ** 2 + ((y - 24) / 22) ** 2 < 1
    image = ndimage.gaussian_filter(30.0 * skin + 70.0 * (body | tail), 0.8) + rng.normal(0, 2, GRID.shape)
    return Atlas(Volume(image[None], GRID), LabelMap((body + 2 * tail).astype(np.uint8), GRID, LABELS))


def dice(found: LabelMap, wanted: LabelMap) -> float:
    scores = []
    for value in (1, 2):
        one, other = found.array == value, wanted.array == value
        scores.append(2 * np.count_nonzero(one & other) / (one.sum() + other.sum()))
    return float(np.mean(scores))


def test_bent_atlases_beat_scaled_ones_and_many_beat_one():
    target, atlases = person(0), [person(n) for n in range(1, 6)]
    bent = segment_with_atlases(target.image, atlases)
    scaled = segment_with_atlases(target.image, atlases, kind="affine")
    alone = [dice(segment_with_atlases(target.image, [atlas]).labels, target.labels) for atlas in atlases]
    assert dice(bent.labels, target.labels) > 0.92
    assert dice(bent.labels, target.labels) > dice(scaled.labels, target.labels)
    assert dice(bent.labels, target.labels) > np.mean(alone)
    assert len(bent.fitness) == 5


def test_staple_fuses_too_and_progress_is_told():
    told = []
    found = segment_with_atlases(
        person(0).image, [person(1), person(2), person(3)], fusion="staple", progress=lambda n, of: told.append((n, of))
    )
    assert dice(found.labels, person(0).labels) > 0.85
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_what_is_no_atlas_is_refused():
    one = person(1)
    with pytest.raises(DataError, match="needs an atlas"):
        segment_with_atlases(one.image, [])
    with pytest.raises(VesaliusError, match="unknown fusion"):
        segment_with_atlases(one.image, [one], fusion="vote")
    elsewhere = Grid.from_spacing((56, 48), (1.0, 1.5), origin_mm=(5.0, 0.0))
    with pytest.raises(GeometryError, match="different grids"):
        Atlas(one.image, LabelMap(one.labels.array, elsewhere, LABELS))
