"""Bring an image onto another's grid by an alignment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, overload

import numpy as np

from vesalius.errors import GeometryError, VesaliusError, unknown_name
from vesalius.image import Grid, LabelMap, Volume
from vesalius.register.alignment import Alignment
from vesalius.register.itk import linear, needed, to_itk
from vesalius.transform import Interpolation, LabelInterpolation, resample


@overload
def align(
    x: Volume, alignment: Alignment, grid: Grid, *, interpolation: Interpolation = ..., fill: float = ...
) -> Volume: ...
@overload
def align(
    x: LabelMap, alignment: Alignment, grid: Grid, *, interpolation: LabelInterpolation = ..., fill: int = ...
) -> LabelMap: ...
def align(
    x: Volume | LabelMap,
    alignment: Alignment,
    grid: Grid,
    *,
    interpolation: str | None = None,
    fill: float = 0,
) -> Volume | LabelMap:
    """Show the moving image on the fixed image's grid.

    Args:
        x: What lies in the space of the moving image: itself, or a label map that was drawn on it.
        alignment: Of the moving image to the fixed one.
        grid: In the space of the fixed image; its own, or another.
        interpolation: As for `vesalius.transform.resample`: linear for a volume, the nearest for labels. A deformation
            has ``"cubic"`` of volumes as well, and of label maps the nearest only.
        fill: The value outside the moving image.

    Returns:
        The image on ``grid``, with its meaning. A linear alignment moves the grid and resamples once; labels stay
        labels.

    Raises:
        GeometryError: The dimensions differ.
        VesaliusError: An interpolation that the kind of image does not have.
        MissingDependencyError: A deformation is applied, and SimpleITK is not installed.

    Example:
        >>> from vesalius.image import Labels
        >>> grid = Grid.from_spacing((1, 4), (1.0, 1.0))
        >>> drawn = LabelMap(np.array([[0, 2, 2, 0]]), grid, Labels.of({"cyst": 2}))
        >>> align(drawn, Alignment([[1, 0, 0], [0, 1, 1], [0, 0, 1]]), grid).array.tolist()
        [[2, 2, 0, 0]]
    """
    if not x.grid.ndim == alignment.ndim == grid.ndim:
        raise GeometryError(
            f"a {x.grid.ndim}D image, a {alignment.ndim}D alignment and a {grid.ndim}D grid do not go together"
        )
    if alignment.displacement is None:
        # The moving image is carried into the fixed one's space by its affine alone: nothing is interpolated twice.
        there = Grid(x.grid.shape, np.linalg.inv(alignment.matrix) @ x.grid.affine)
        how: dict[str, Any] = {} if interpolation is None else {"interpolation": interpolation}
        if isinstance(x, LabelMap):
            return resample(replace(x, grid=there), grid, fill=int(fill), **how)
        return resample(replace(x, grid=there), grid, fill=fill, **how)
    return _deformed(x, alignment, grid, interpolation, fill)


def _deformed(
    x: Volume | LabelMap, alignment: Alignment, grid: Grid, interpolation: str | None, fill: float
) -> Volume | LabelMap:
    sitk = needed()
    kinds = {"linear": sitk.sitkLinear, "nearest": sitk.sitkNearestNeighbor, "cubic": sitk.sitkBSpline}
    chosen = interpolation or ("nearest" if isinstance(x, LabelMap) else "linear")
    allowed = ["nearest"] if isinstance(x, LabelMap) else list(kinds)
    if chosen not in allowed:
        raise VesaliusError(unknown_name(f"interpolation of a deformed {type(x).__name__}", chosen, allowed))
    assert alignment.displacement is not None
    bent = to_itk(alignment.displacement.array.astype(np.float64), alignment.displacement.grid)
    # Of a composite, what was added last is applied first.
    path = sitk.CompositeTransform([linear(alignment.matrix), sitk.DisplacementFieldTransform(bent)])
    frame = to_itk(np.zeros(grid.shape, np.uint8), grid)
    channels = [x.array] if isinstance(x, LabelMap) else list(x.array)
    made = []
    for channel in channels:
        values = channel if chosen == "nearest" else channel.astype(np.float32)
        found = sitk.Resample(to_itk(values, x.grid), frame, path, kinds[chosen], float(fill))
        made.append(sitk.GetArrayFromImage(found).T)
    if isinstance(x, LabelMap):
        return LabelMap(made[0], grid, x.labels)
    return Volume(np.stack(made), grid, x.meta)
