"""What parts an image without seeds: split and merge, superpixels, and how pieces are joined."""

import numpy as np
import pytest

from vesalius.classical.merging import adjacent, as_labels, merged, numbered
from vesalius.classical.split_merge import split_and_merge
from vesalius.classical.superpixels import slic
from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.transform import label_components


def volume(array, spacing=None):
    array = np.asarray(array)
    return Volume(array[None], Grid.from_spacing(array.shape, spacing or (1.0,) * array.ndim))


# --- joining ----------------------------------------------------------------------------------------------------------


def test_the_most_alike_are_joined_first_and_means_follow():
    regions, values = np.array([[1, 2, 3]]), np.array([[[0.0, 3.0, 5.0]]])
    # 2 and 3 are nearer; their mean of 4 is then too far from 1.
    assert merged(regions, values, tolerance=3).tolist() == [[1, 2, 2]]
    assert merged(regions, values, tolerance=4).tolist() == [[1, 1, 1]]
    assert merged(regions, values, tolerance=1).tolist() == [[1, 2, 3]]


def test_only_neighbours_are_joined_and_0_takes_no_part():
    values = np.array([[[5.0, 9.0, 5.0, 5.0, 5.0]]])
    assert merged(np.array([[1, 2, 3, 0, 4]]), values, tolerance=1).tolist() == [[1, 2, 3, 0, 4]]
    assert merged(np.array([[1, 2, 3, 3, 4]]), values, tolerance=1).tolist() == [[1, 2, 3, 3, 3]]


def test_small_regions_join_the_likest_neighbour():
    regions = np.array([[1, 1, 1, 2, 3, 3, 3, 4]])
    values = np.array([[[0.0, 0, 0, 6, 10, 10, 10, 99]]])
    assert merged(regions, values, tolerance=-1, least_voxels=2).tolist() == [[1, 1, 1, 2, 2, 2, 2, 2]]
    alone = np.array([[1, 0, 2]])
    assert merged(alone, values[..., :3], tolerance=-1, least_voxels=2).tolist() == [[1, 0, 2]]


def test_thousands_of_pieces_become_one(rng):
    regions = np.arange(1, 40 * 50 + 1).reshape(40, 50)
    assert merged(regions, rng.random((1, 40, 50)), tolerance=1).max() == 1
    assert merged(regions, rng.random((1, 40, 50)), tolerance=-1, least_voxels=2001).max() == 1


def test_pairs_and_numbers():
    regions = np.array([[5, 5, 0], [7, 2, 2]])
    assert adjacent(regions).tolist() == [[2, 5], [2, 7], [5, 7]]
    assert numbered(regions).tolist() == [[1, 1, 0], [2, 3, 3]]
    assert numbered(regions + 1).tolist() == [[1, 1, 2], [3, 4, 4]]
    with pytest.raises(DataError, match="70,000 regions, and a label map holds 65,535"):
        as_labels(np.arange(1, 70_001).reshape(700, 100), Grid.from_spacing((700, 100), (1.0, 1.0)))


# --- split and merge --------------------------------------------------------------------------------------------------


def test_blocks_of_a_quadtree():
    array = np.zeros((8, 8))
    array[0, 0] = 9
    blocks = split_and_merge(volume(array), spread=0.1, merge=False)
    # Three of 4 × 4, three of 2 × 2, four of 1.
    assert sorted(blocks.counts().values()) == [1] * 4 + [4] * 3 + [16] * 3
    joined = split_and_merge(volume(array), spread=0.1)
    assert sorted(joined.counts().values()) == [1, 63]


def test_blocks_of_an_octree():
    array = np.zeros((4, 4, 4))
    array[3, 3, 3] = 9
    blocks = split_and_merge(volume(array), spread=0.1, merge=False)
    assert sorted(blocks.counts().values()) == [1] * 8 + [8] * 7


def test_blocks_become_cubes_in_mm():
    array = np.zeros((8, 8, 2))
    array[0, 0, 0] = 9
    blocks = split_and_merge(volume(array, (1.0, 1.0, 4.0)), spread=0.1, merge=False)
    # 8 × 8 × 2 voxels are 8 × 8 × 8 mm: eight of 4 × 4 × 1 voxels, of which one goes on as a quadtree in its slice.
    assert sorted(blocks.counts().values()) == [1] * 4 + [4] * 3 + [16] * 7


@pytest.mark.parametrize("shape", [(23, 17), (9, 14, 11)])
def test_even_parts_in_noise_are_found_whatever_the_shape(shape, rng):
    bright = np.indices(shape)[0] >= shape[0] // 2
    array = 100.0 * bright + rng.normal(0, 2, shape)
    found = split_and_merge(volume(array), spread=3.0, tolerance=20.0, least_mm=2.0)
    np.testing.assert_array_equal(found.array, bright + 1)


def test_split_and_merge_of_one_grey_value_and_what_it_refuses():
    image = volume(np.full((5, 6, 7), -3.3))
    assert split_and_merge(image, spread=0).counts() == {1: 210}
    for arguments in ({"spread": -1}, {"spread": 1, "tolerance": -1}, {"spread": 1, "least_mm": -1}):
        with pytest.raises(DataError, match="at least 0"):
            split_and_merge(image, **arguments)


# --- superpixels ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("spacing", "sides"), [((1.0, 1.0, 1.0), (6, 6, 6)), ((1.0, 1.0, 3.0), (6, 6, 2))])
def test_pieces_of_an_even_image_are_cubes_in_mm(spacing, sides, rng):
    shape = tuple(4 * n for n in sides)
    found = slic(volume(rng.normal(0, 1e-3, shape), spacing), size_mm=6.0, compactness=1000.0)
    assert len(found.labels) == 64
    blocks = np.indices(shape) // np.array(sides).reshape(-1, 1, 1, 1)
    right = 0
    for n in range(1, 65):
        inside = blocks[:, found.array == n]
        right += (inside == np.median(inside, axis=1, keepdims=True)).all(axis=0).sum()
    assert right / found.array.size > 0.85


def test_pieces_keep_to_edges_and_hang_together(rng):
    bright = np.add.outer(np.arange(48), np.arange(60)) > 50
    image = volume(100 * bright + rng.normal(0, 2, bright.shape))
    found = slic(image, size_mm=8.0, compactness=2.0)
    wrong = 0
    for n in range(1, len(found.labels) + 1):
        piece = found.array == n
        assert len(label_components(piece, connectivity=1)[1]) == 1
        wrong += min(bright[piece].sum(), (~bright[piece]).sum())
    assert wrong / bright.size < 0.03
    joined = slic(image, size_mm=8.0, compactness=2.0, tolerance=10.0)
    largest = sorted(joined.counts().values())[-2:]
    assert len(joined.labels) < len(found.labels) / 4
    assert sum(largest) / bright.size >= 0.9


def test_pieces_within_a_mask(rng):
    image = volume(rng.random((30, 30)))
    inside = np.zeros((30, 30), np.uint8)
    inside[:, 10:] = 1
    inside[:, 20] = 0
    mask = LabelMap(inside, image.grid, Labels.of({"body": 1}))
    found = slic(image, size_mm=10.0, compactness=100.0, mask=mask)
    np.testing.assert_array_equal(found.array > 0, inside > 0)
    for n in range(1, len(found.labels) + 1):
        assert len(label_components(found.array == n, connectivity=1)[1]) == 1
    with pytest.raises(DataError, match="there are 0"):
        slic(image, size_mm=10.0, mask=LabelMap(inside * 0, image.grid, Labels(())))
    with pytest.raises(GeometryError):
        slic(image, size_mm=10.0, mask=LabelMap(inside, Grid.from_spacing((30, 30), (2.0, 2.0)), mask.labels))


def test_colours_count():
    array = np.zeros((3, 20, 20))
    array[0, :, :9], array[2, :, 9:] = 1, 1  # of the same mean
    image = Volume(array, Grid.from_spacing((20, 20), (1.0, 1.0)))
    found = slic(image, size_mm=5.0, compactness=1.0, tolerance=5.0)
    np.testing.assert_array_equal(found.array[0], [1] * 9 + [2] * 11)


@pytest.mark.parametrize(
    "arguments",
    [
        {"size_mm": 0.5},
        {"size_mm": 99},
        {"size_mm": np.nan},
        {"size_mm": 3, "compactness": 0},
        {"size_mm": 3, "iterations": 0},
        {"size_mm": 3, "tolerance": -1},
    ],
)
def test_what_slic_refuses(arguments):
    with pytest.raises(DataError, match=r"can be 1|slic takes"):
        slic(volume(np.zeros((10, 12))), **arguments)


def test_slic_of_one_grey_value():
    assert len(slic(volume(np.full((12, 12), 4.0)), size_mm=4.0).labels) == 9
