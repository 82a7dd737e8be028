"""Triangles to pixels, by OpenCV: no display, no graphics card, and the same pixels each time."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import MissingDependencyError

Facing = Literal["front", "back", "both"]
"""Which faces are drawn: those that turn their outside to the viewer, their inside, or all."""


def opencv() -> Any:
    """The module ``cv2``, in a version that draws triangles.

    Raises:
        MissingDependencyError: It is not installed, or too old.
    """
    try:
        import cv2
    except ImportError:
        raise _missing() from None
    if not hasattr(cv2, "triangleRasterize"):
        raise _missing()
    return cv2


def rasterise(
    corners: NDArray[np.float64],
    faces: NDArray[np.int32],
    numbers: NDArray[np.float32],
    shape: tuple[int, int],
    *,
    facing: Facing = "both",
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw triangles: what is nearest at the middle of each pixel.

    Args:
        corners: ``(V, 3)``, x, y and z of vertices, as `vesalius.mesh.rendering.projection.Projection.project` has
            them.
        faces: ``(F, 3)``.
        numbers: ``(V, 3)``, 0 to 1, interpolated across triangles: as 1 / z has it, which is exact with perspective.
        shape: Rows and columns of the picture, at least 1.
        facing: Which faces are drawn.

    Returns:
        ``z (rows, columns)``, infinite where there is nothing, and the numbers ``(rows, columns, 3)``, 0 there.

    Raises:
        MissingDependencyError: OpenCV is not installed, or too old.

    Example:
        >>> triangle = np.array([[0.0, 0.0, 1.0], [0.0, 4.0, 1.0], [4.0, 0.0, 1.0]])
        >>> z, _ = rasterise(triangle, np.array([[0, 1, 2]], np.int32), np.ones((3, 3), np.float32), (4, 4))
        >>> np.isfinite(z).astype(int).tolist()
        [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]

    Source: OpenCV 5, ``cv::triangleRasterize``; coverage, depth and interpolation checked against exact arithmetic
    (tests/unit/mesh/rendering/test_raster.py).
    """
    cv2 = opencv()
    rows, columns = shape
    half = rows / 2
    x, y, z = corners.T
    # Its camera looks along -z with an angle of 90° from top to bottom, and fills the picture from below.
    placed = np.stack([(x - columns / 2) / half * z, (half - y) / half * z, -z], axis=1)
    farthest = np.float32(2 * z.max(initial=1.0))
    found = np.zeros((rows, columns, 3), np.float32)
    depth = np.full((rows, columns), farthest, np.float32)
    settings = cv2.TriangleRasterizeSettings()
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    culled = {"front": "RASTERIZE_CULLING_CW", "back": "RASTERIZE_CULLING_CCW", "both": "RASTERIZE_CULLING_NONE"}
    settings.setCullingMode(getattr(cv2, culled[facing]))
    if len(faces):
        cv2.triangleRasterize(
            np.ascontiguousarray(placed, np.float32),
            np.ascontiguousarray(faces, np.int32),
            np.ascontiguousarray(numbers, np.float32),
            found,
            depth,
            np.eye(4),
            np.pi / 2,
            0.5,
            float(farthest),
            settings,
        )
    depth[depth > 0.75 * farthest] = np.inf  # OpenCV reckons with depth's inverse: what was there comes back rounded
    return depth, found


def _missing() -> MissingDependencyError:
    return MissingDependencyError("pictures of surfaces need OpenCV 5 or later: pip install 'vesalius[pictures]'")
