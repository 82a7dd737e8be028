"""Where windows are and what weighs them, beside nnU-Net's and MONAI's own."""

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage

from vesalius.predict.places import regular_starts, upper_gaussian_line


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.7])
@pytest.mark.parametrize(("shape", "patch"), [((100, 53), (40, 20)), ((64, 33), (64, 32)), ((97, 5, 41), (32, 5, 16))])
def test_regular_starts_are_monais(shape, patch, overlap):
    from monai.data.utils import dense_patch_slices
    from monai.inferers.utils import _get_scan_interval

    interval = _get_scan_interval(shape, patch, len(shape), (overlap,) * len(shape))
    theirs = {tuple(one.start for one in place) for place in dense_patch_slices(shape, patch, interval)}
    assert set(itertools.product(*regular_starts(shape, patch, overlap=overlap))) == theirs


@pytest.mark.parametrize("patch", [(8, 12), (9, 7), (20, 28, 14)])
def test_the_upper_gaussian_is_nnunets(patch):
    """``compute_gaussian``: a spike at voxel n // 2, blurred with an eighth of the patch, nothing being 0."""
    spike = np.zeros(patch)
    spike[tuple(n // 2 for n in patch)] = 1
    theirs = ndimage.gaussian_filter(spike, [n / 8 for n in patch], order=0, mode="constant", cval=0)
    ours = torch.ones(())
    for n in patch:
        ours = ours[..., None] * upper_gaussian_line(n)
    assert (theirs > 0).all()
    np.testing.assert_allclose(ours.numpy(), theirs / theirs.max(), rtol=1e-6)
