"""The lungs in a CT, by a threshold and by growing from a seed in each."""

import numpy as np

from vesalius.classical import find, read_seeds
from vesalius.io import read, read_labels

LOBES = (10, 11, 14)  # of TotalSegmentator: upper and lower left, lower right; the scan begins below the others


def test_threshold_and_growing_find_the_lungs(shared_data):
    place = shared_data / "totalsegmentator_samples"
    image, labels = read(place / "ct.nii.gz"), read_labels(place / "ct_seg.nii.gz")
    reference = np.isin(labels.array, LOBES)
    seeds = read_seeds("lungs=11,57,108; lungs=105,44,110", image.grid)
    # Air is at -1000 HU and soft tissue about 0; the middle belongs to neither.
    found = find("connected-threshold")(image, seeds=seeds, high=-400.0).array > 0
    dice = 2 * (found & reference).sum() / (found.sum() + reference.sum())
    assert dice >= 0.95
    everything = find("threshold")(image, below=-400.0).array > 0  # the air around the body, too
    assert everything.sum() > 10 * found.sum()


def test_lung_fields_agree_with_totalsegmentator(shared_data):
    """Without a seed: the lungs and not the gut, left and right apart."""
    place = shared_data / "totalsegmentator_samples"
    image, labels = read(place / "ct.nii.gz"), read_labels(place / "ct_seg.nii.gz")
    found = find("lung-fields")(image)
    for values, lobes in (((1, 2), LOBES), ((1,), (10, 11)), ((2,), (14,))):
        one, other = np.isin(found.array, values), np.isin(labels.array, lobes)
        assert 2 * (one & other).sum() / (one.sum() + other.sum()) >= 0.95


def test_a_large_tumour_is_not_lost_to_the_lung(shared_data):
    """It is 9 cm wide, lies against the chest wall and sits on the liver; the scan shows the right lung only."""
    place = shared_data / "lung_ct_rtstruct"
    image = read(place / "ct")
    (structures,) = (place / "rtstruct").iterdir()
    tumour = read_labels(structures, grid=image.grid).array > 0
    found = find("lung-fields")(image)
    assert (found.array[tumour] == 2).mean() >= 0.75, "the right lung"
    assert not (found.array == 1).any()
    plain = find("lung-fields")(image, masses=False)
    assert (plain.array[tumour] > 0).mean() < 0.2
