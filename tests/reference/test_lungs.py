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
