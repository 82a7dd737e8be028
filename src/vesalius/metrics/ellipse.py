"""An ellipse fitted to an outline, and its circumference: the fetal head in ultrasound is measured so."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ellipe

from vesalius.errors import DataError, GeometryError
from vesalius.image import LabelMap, Size
from vesalius.metrics.size import border_points
from vesalius.transform import label_components

_LEAST_POINTS = 5  # as many as an ellipse has parameters


@dataclass(frozen=True)
class Ellipse:
    """An ellipse in a plane.

    Args:
        centre_mm: Its middle, x and y.
        long_axis_mm: From end to end (of a fetal head the occipitofrontal diameter).
        short_axis_mm: At right angles to it (the biparietal diameter).
        angle_deg: From the x axis to the long axis, towards the y axis; -90 to 90.
    """

    centre_mm: tuple[float, float]
    long_axis_mm: float
    short_axis_mm: float
    angle_deg: float

    @property
    def circumference_mm(self) -> float:
        """Its length, by the complete elliptic integral of the second kind; no approximation.

        Example:
            >>> round(Ellipse((0.0, 0.0), 2.0, 2.0, 0.0).circumference_mm, 6) == round(2 * math.pi, 6)
            True

        Source: DLMF 19.30.5, dlmf.nist.gov/19.30; Ramanujan's second formula gives the same to 1e-6 for the shapes of
        heads.
        """
        flat = 1 - (self.short_axis_mm / self.long_axis_mm) ** 2
        return float(2 * self.long_axis_mm * ellipe(flat))

    @property
    def area_mm2(self) -> float:
        """What it encloses."""
        return math.pi / 4 * self.long_axis_mm * self.short_axis_mm


def fit_ellipse(points: NDArray[np.floating]) -> Ellipse:
    """Fit an ellipse to points by direct least squares.

    It minimises the algebraic distance among ellipses only, so that the answer is one whatever the noise; points that
    cover a small part of the outline give too small an ellipse.

    Args:
        points: ``(n, 2)``, mm; five different ones or more.

    Returns:
        The ellipse.

    Raises:
        DataError: There are fewer than five different points, one is not finite, or they lie on no ellipse (on a line).

    Example:
        >>> turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        >>> found = fit_ellipse(np.column_stack([3 + 2 * np.cos(turn), 5 + np.sin(turn)]))
        >>> [round(value, 6) + 0.0 for value in (*found.centre_mm, found.long_axis_mm, found.short_axis_mm)]
        [3.0, 5.0, 4.0, 2.0]

    Source: Fitzgibbon, Pilu and Fisher, IEEE TPAMI 21:476 (1999), doi:10.1109/34.765658, in the form that stays stable
    on exact points of Halíř and Flusser, WSCG 1998, "Numerically stable direct least squares fitting of ellipses".
    """
    given = np.asarray(points, np.float64)
    if given.ndim != 2 or given.shape[1] != 2:
        raise DataError(f"points in a plane are wanted, (n, 2), not {given.shape}")
    if not np.isfinite(given).all():
        raise DataError("a point of the outline is not finite")
    known = len(np.unique(given, axis=0))
    if known < _LEAST_POINTS:
        raise DataError(f"an ellipse needs {_LEAST_POINTS} different points; there are {known}")
    middle = given.mean(axis=0)
    scale = float(np.abs(given - middle).max())
    x, y = ((given - middle) / scale).T
    squares, lines = np.column_stack([x * x, x * y, y * y]), np.column_stack([x, y, np.ones_like(x)])
    mixed, linear = squares.T @ lines, lines.T @ lines
    if np.linalg.cond(linear) > 1e12:
        raise DataError("the points lie on a line, and on no ellipse")
    back = -np.linalg.solve(linear, mixed.T)
    reduced = squares.T @ squares + mixed @ back
    # The inverse of the constraint 4ac - b² = 1 times the reduced scatter.
    _, vectors = np.linalg.eig(np.array([reduced[2] / 2, -reduced[1], reduced[0] / 2]))
    real = np.real(vectors)
    proper = 4 * real[0] * real[2] - real[1] ** 2
    first = real[:, int(np.argmax(proper))]
    if not proper.max() > 1e-12:
        raise DataError("the points lie on no ellipse")
    return _in_words(np.concatenate([first, back @ first]), middle, scale)


def outline_ellipse(labels: LabelMap, name: str) -> Ellipse:
    """Fit an ellipse to the outer border of the largest piece of a label, its holes filled.

    Args:
        labels: 2D.
        name: Of a label or region.

    Returns:
        The ellipse; in pixels where the map has no scale.

    Raises:
        GeometryError: The map is not 2D.
        DataError: The label is unknown or has no pixels, or its border has too few points.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> far = np.linalg.norm(np.indices((100, 80)).T - (50, 40), axis=-1).T
        >>> grid = Grid.from_spacing((100, 80), (0.5, 0.5))
        >>> head = outline_ellipse(LabelMap(far < 30, grid, Labels.of({"head": 1})), "head")
        >>> abs(head.circumference_mm / (math.pi * 30) - 1) < 0.005  # a circle of 30 mm across
        True
    """
    if labels.grid.ndim != 2:
        raise GeometryError(f"an outline is that of a 2D label map; this one is {labels.grid.ndim}D")
    mask = labels.binary(name)
    if not mask.any():
        raise DataError(f"{name} has no pixels, and so no outline")
    pieces, sizes = label_components(mask)
    filled = np.asarray(ndimage.binary_fill_holes(pieces == int(np.argmax(sizes)) + 1), np.bool_)
    return fit_ellipse(labels.grid.to_points(border_points(filled)))


def measure_circumferences(sizes: Sequence[Size], labels: LabelMap) -> tuple[Size, ...]:
    """Add the circumference of an ellipse around each structure to what was measured of it.

    Args:
        sizes: From `vesalius.metrics.size.measure`.
        labels: What they were measured on, 2D with a scale.

    Returns:
        The same; a structure without pixels gets no circumference.

    Raises:
        GeometryError: The map is not 2D, or has no scale.
        DataError: A structure is too small for an ellipse.
    """
    if labels.grid.ndim != 2:
        raise GeometryError(f"a circumference is measured in 2D label maps; this one is {labels.grid.ndim}D")
    if np.array_equal(labels.grid.affine, np.eye(3)):  # as in `vesalius.metrics.size.measure`
        raise GeometryError("the label map has no scale: say how large its pixels are (--pixel-size)")
    return tuple(
        replace(size, circumference_mm=outline_ellipse(labels, size.name).circumference_mm) if size.voxels else size
        for size in sizes
    )


def _in_words(conic: NDArray[np.float64], middle: NDArray[np.float64], scale: float) -> Ellipse:
    """Middle, axes and angle of a conic a x² + b x y + c y² + d x + e y + f = 0."""
    a, b, c, d, e, f = conic if conic[0] > 0 else -conic
    form = np.array([[a, b / 2], [b / 2, c]])
    centre = np.linalg.solve(2 * form, [-d, -e])
    level = centre @ form @ centre - f
    sizes, ways = np.linalg.eigh(form)  # the smallest first: the long axis
    if not (level > 0 and sizes[0] > 0):
        raise DataError("the points lie on no ellipse")
    long, short = 2 * scale * np.sqrt(level / sizes)
    angle = math.degrees(math.atan2(ways[1, 0], ways[0, 0]))
    x, y = (middle + scale * centre).tolist()
    return Ellipse((x, y), float(long), float(short), (angle + 90) % 180 - 90)
