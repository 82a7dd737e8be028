"""How much surface runs through each 2x2x2 neighbourhood: areas in 3D, contour lengths in 2D.

A label map's surface lies between its voxels. Around each corner where eight voxels meet (four in 2D), the pattern of
voxels inside and outside is a number, the neighbour code; marching cubes says which triangles run through that corner
cell, and hence how much area it stands for. An area-weighted score doesn't depend on how finely a surface is cut up.

The triangles are those of DeepMind's surface-distance (https://github.com/google-deepmind/surface-distance, copyright
2018 Google Inc., Apache License 2.0), as in Nikolov et al., J Med Internet Res 23:e26151 (2021), doi:10.2196/26151,
so that surface Dice agrees with the published definition. Only their form here is new. The volume that they cut off
each corner cell is worked out from them: the mesh of a mask need not be made to know its area and volume.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

# One word a code, 1 to 127 (255 - code has the same areas); three digits a triangle: its normal (i, j, k), as long as
# the triangle's area on a unit grid, in eighths, with 4 standing for zero. "226" is the normal (-2, -2, 2) / 8.
_TRIANGLES_3D = """
555 335 224664 535 242646 535335 844666555 355 555355 246246 844226335 624624 844626353 044266355 844844 533
422466 335533 404666555 535533 440666333 335535533 333222666555 355533 422466355 246246533 555777426246
533624624 777462333264 044333222555 044333222 535 555535 426462 404553662 535535 535242646 426462535
117466553242 355535 555535355 448226335 662662553335 535624624 844626353535 462711355664 044226335 624264
484266533 484535262 484404 624264535 111246333264 555404222333 404222333 355624264 484662335335 171224353246
484662335 624264624624 224224335 555224224 224224 335 555335 335335 335224664 426426 448626535 426426335
717422353664 335355 555335355 335246246 844226335335 484262535 262262353353 242711462355 844262535 246642
448266355 335246642 242177224355 440662335 448448 555555666448 555666448 246642355 448626535535 246246246642
535646646 646117264335 448626535 555646646 646646 335535 555335535 335426462 404553662335 426426535 448626535535
426426426462 466466533 355535335 355535335555 448226335335 555535533 484262535535 555335533 422466555 555533
844622533 266355266533 717466353246 404266355 117624466335 355266448 555466466 466466 844666555555 535335555
242646555 555535 224664555 555335 555555 555
"""

# How much of a corner cell lies inside the triangles, in 48ths, one character a code, 0 to 127 ("0" is none, "H" half).
_INSIDE_3D = (
    "0116162A126A6AAH162A2A3H277H7HNO126A277H23AH7BHO6AAH7HNO7NHO<YYZ"
    "12276A7H237BAHHO6A7HAHNO7N<YHOYZ237B7B<Y34B]B]Y^AHHOHOYZN]Y^Y^^_"
)

# Marching squares, one word a code, 1 to 7 (15 - code has the same lengths): the line's two components (i, j) in
# halves, with 4 standing for zero. Two voxels that touch only at the corner get two lines.
_LINES_2D = "53 55 46 55 64 5555 53"


def surfel_sizes(step: NDArray[np.float64]) -> NDArray[np.float64]:
    """The surface (3D: mm²; 2D: mm) that each neighbour code stands for, on a grid of the given steps.

    Args:
        step: ``(n, n)``, n = 2 or 3; column k is the way from a voxel to its neighbour along axis k, mm.

    Returns:
        ``(256,)`` in 3D or ``(16,)`` in 2D, indexed by `neighbour_codes`. Codes 0 and the last (all outside, all
        inside) have none. On sheared grids (gantry tilt) the few codes whose triangles are ambiguous are approximate.

    Example:
        >>> surfel_sizes(np.diag([1.0, 2.0, 3.0]))[0b00001111]  # a flat face across the first axis: 2 mm x 3 mm
        np.float64(6.0)

    Source: Lorensen and Cline, SIGGRAPH 1987, doi:10.1145/37401.37422; normals map by the cofactor matrix. Checked
    against surface-distance to 1e-12.
    """
    pieces, codes = _pieces(step.shape[0])
    # det(A) A^-T maps an area vector of the unit grid to one of this grid; a line is mapped by A itself.
    to_space = abs(np.linalg.det(step)) * np.linalg.inv(step).T if step.shape[0] == 3 else step
    half = np.bincount(codes, np.linalg.norm(pieces @ to_space.T, axis=1))
    return np.concatenate([half, half[::-1]])


def neighbour_codes(padded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Number the pattern of inside and outside around every corner between voxels.

    Args:
        padded: 0 and 1, with a border of zeros one voxel wide, 2D or 3D.

    Returns:
        One code a corner, one shorter than ``padded`` on every axis. The voxel with the higher index on an axis has
        the lower bit.

    Example:
        >>> neighbour_codes(np.pad(np.ones((1, 1), np.uint8), 1))
        array([[1, 2],
               [4, 8]], dtype=uint8)

    Source: surface-distance's neighbourhood kernel, applied axis by axis.
    """
    codes = padded
    for weight, axis in zip((1, 2, 4), range(padded.ndim - 1, -1, -1), strict=False):
        later = (slice(None),) * axis + (slice(1, None),)
        earlier = (slice(None),) * axis + (slice(None, -1),)
        codes = codes[later] + (codes[earlier] << np.uint8(weight))
    return codes


@cache
def shares_inside() -> NDArray[np.float64]:
    """The share of a corner cell that lies inside the surface, for each neighbour code in 3D.

    Returns:
        ``(256,)``, 0 … 1, indexed by `neighbour_codes`: times the volume of a voxel it is a volume, on any grid.

    Example:
        >>> shares = shares_inside()
        >>> float(shares[0b00001111]), float(8 * shares[1])  # half of a cell; a voxel alone is a sixth of itself
        (0.5, 0.1666...)

    Source: the divergence theorem, worked out once for the triangles of `surfel_sizes` in the unit cell: their corners
    lie half-way between voxels, so that every share is a whole number of 48ths. Checked against PyRadiomics.
    """
    half = np.frombuffer(_INSIDE_3D.encode(), np.uint8).astype(np.float64) - ord("0")
    shares = np.concatenate([half, 48 - half[::-1]]) / 48
    shares.setflags(write=False)
    return shares


@cache
def _pieces(n: int) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """All triangle normals (lines in 2D) of the unit grid, and the code that each belongs to."""
    words, unit = (_TRIANGLES_3D, 8) if n == 3 else (_LINES_2D, 2)
    found = [np.array([int(digit) - 4 for digit in word]).reshape(-1, n) / unit for word in words.split()]
    return np.concatenate(found), np.repeat(np.arange(len(found)) + 1, [len(one) for one in found])
