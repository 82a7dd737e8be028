"""Elastic deformation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vesalius.augment.smooth import expand

_DEGREE = 3


def displacements(control: Float[Tensor, "n *control"], patch_size: Sequence[int]) -> Float[Tensor, "n *patch"]:
    """The displacement of every voxel of a patch, from that of the control points of a cubic B-spline.

    The control points lie on a regular lattice about the patch: ``k`` of them along an axis make ``k - 3`` intervals
    that fill the patch's length, and one more lies beyond either end. No voxel is displaced further than the control
    points around it, and where those move less than 0.4 intervals, nothing folds.

    Args:
        control: ``(n, *control)``, displacement along each of the ``n`` axes at each control point, in intervals. At
            least 4 control points along each axis.
        patch_size: Voxels on each axis.

    Returns:
        ``(n, *patch)``, in voxels.

    Example:
        >>> shifted = displacements(torch.full((2, 5, 5), 0.25), (8, 16))
        >>> shifted[:, 3, 3]
        tensor([1., 2.])

    Source: free-form deformation, Rueckert et al. 1999, doi:10.1109/42.796284, with control points placed as ITK's
    ``BSplineTransformInitializer`` does; random displacements of control points as in TorchIO's
    ``RandomElasticDeformation``, after the elastic distortions of Simard et al. 2003, doi:10.1109/ICDAR.2003.1227801;
    the bound: Choi and Lee 2000, doi:10.1006/gmod.2000.0531 (0.48 intervals in 2D, 0.40 in 3D).
    """
    intervals = [k - _DEGREE for k in control.shape[1:]]
    bases = [_b_spline(n, k, control.device) for n, k in zip(patch_size, intervals, strict=True)]
    length = torch.tensor([n / k for n, k in zip(patch_size, intervals, strict=True)], device=control.device)
    return expand(control * length.view(-1, *[1] * len(intervals)), bases)


def _b_spline(voxels: int, intervals: int, device: torch.device) -> Tensor:
    """``(voxels, intervals + 3)``: the weight of each control point at the centre of each voxel."""
    place = (torch.arange(voxels, device=device) + 0.5) * (intervals / voxels)
    first = place.floor().clamp_(max=intervals - 1)
    f = place - first
    pieces = [(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3]
    weights = torch.zeros(voxels, intervals + _DEGREE, device=device)
    return weights.scatter_(1, first.long()[:, None] + torch.arange(4, device=device), torch.stack(pieces, dim=1) / 6)
