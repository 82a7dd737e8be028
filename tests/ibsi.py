"""The digital phantom of the image biomarker standardisation initiative."""

import numpy as np
from numpy.typing import NDArray

from vesalius.image import Grid

# The digital phantom: a line a slice in z, a block a row in y; 0 is outside. Source: arXiv:1612.07003, chapter 5.
PHANTOM = """
14411 14611 41641 44641
14411 11611 01311 44611
14400 11111 11011 11611
14400 11111 11111 11611
"""


def phantom() -> tuple[NDArray[np.int_], Grid]:
    """Grey levels of 5 x 4 x 4 voxels, 0 where they are outside, and their grid."""
    slices = [[[int(digit) for digit in row] for row in block.split()] for block in PHANTOM.strip().splitlines()]
    return np.array(slices).transpose(2, 1, 0), Grid.from_spacing((5, 4, 4), (2.0, 2.0, 2.0))
