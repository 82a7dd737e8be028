"""Light on surfaces, and the shadows of what is hollow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vesalius.mesh.rendering.projection import Projection
from vesalius.mesh.rendering.raster import opencv

# Of the light: from everywhere, from the lamp, from the viewer, and in highlights. Colours that stand for numbers are
# compared with a bar: their light differs little.
_LIGHT = (0.40, 0.48, 0.20, 0.10)
_EVEN_LIGHT = (0.74, 0.20, 0.08, 0.0)
_GLOSS = 24  # how small highlights are
_LAMP = (-0.45, 0.55, 0.70)  # to the right, up, towards the viewer: over the viewer's left shoulder, as in atlases
_DARKEST = 0.55  # of the light stays in hollows
_NEAR, _DEEP = 0.05, 0.10  # of the figure's radius: how far shadows reach across, and how deep a hollow is wholly dark
_COARSE = 4  # pixels of a side that shadows are computed for at once
_REACH = 3.0  # how many standard deviations are looked at


def lit(
    colours: NDArray[np.float32], normals: NDArray[np.float32], axes: NDArray[np.float64], *, even: bool = False
) -> NDArray[np.float32]:
    """Colours in the light of a lamp over the viewer's left shoulder.

    Args:
        colours: ``(n, 3)`` or ``(3,)``, 0 to 1.
        normals: ``(n, 3)``, LPS, of any length.
        axes: ``(3, 3)``, the directions right, up and towards the viewer, LPS.
        even: With little between light and shade, so that colours can be told from each other.

    Returns:
        ``(n, 3)``, 0 to 1.

    Source: Lambert's law, and highlights as in J. F. Blinn, Models of light reflection for computer synthesized
    pictures, SIGGRAPH 1977, doi:10.1145/563858.563893.
    """
    lamp = np.array(_LAMP) / np.linalg.norm(_LAMP)
    between = lamp + np.array([0.0, 0.0, 1.0])
    between /= np.linalg.norm(between)
    lengths = np.sqrt(np.einsum("ij,ij->i", normals, normals))
    turned = normals / np.maximum(lengths, np.float32(1e-6))[:, None]
    by_lamp, by_head, by_shine = (
        np.maximum(turned @ (direction @ axes).astype(np.float32), 0)
        for direction in (lamp, np.array([0.0, 0.0, 1.0]), between)
    )
    ambient, key, head, bright = np.array(_EVEN_LIGHT if even else _LIGHT, np.float32)
    light = ambient + key * by_lamp + head * by_head
    shine = bright * by_shine**_GLOSS
    found: NDArray[np.float32] = np.clip(colours * light[:, None] + shine[:, None], 0, 1)
    return found


def reach_px(projection: Projection) -> int:
    """From how far away a shadow may come, in pixels: a whole number of the blocks that are computed at once."""
    return _COARSE * (int(np.ceil(_REACH * _sigma(projection))) + 1)


def hollows(depth_mm: NDArray[np.float32], projection: Projection) -> NDArray[np.float32]:
    """How much light reaches each pixel: less in hollows, and behind what lies in front.

    Args:
        depth_mm: ``(rows, columns)``, along the view; infinite where there is nothing.
        projection: Of the picture.

    Returns:
        ``(rows, columns)``, `_DARKEST` to 1.

    Source: T. Luft, C. Colditz, O. Deussen, Image enhancement by unsharp masking the depth buffer, ACM Transactions on
    Graphics 25, 2006, doi:10.1145/1141911.1142016: a pixel is darker the deeper it lies below the mean around it.
    """
    cv2 = opencv()
    rows, columns = depth_mm.shape
    there = np.isfinite(depth_mm)
    weight = there.astype(np.float32)
    known = np.where(there, depth_mm, np.float32(0))
    small = (-(-columns // _COARSE), -(-rows // _COARSE))
    padding = ((0, small[1] * _COARSE - rows), (0, small[0] * _COARSE - columns))
    around = []
    for picture in (known, weight):
        coarse = cv2.resize(np.pad(picture, padding), small, interpolation=cv2.INTER_AREA)
        blurred = _blurred(coarse, _sigma(projection))
        fine = cv2.resize(blurred, (small[0] * _COARSE, small[1] * _COARSE), interpolation=cv2.INTER_LINEAR)
        around.append(fine[:rows, :columns])
    mean = around[0] / np.maximum(around[1], np.float32(1e-6))
    below = np.clip((known - mean) / np.float32(_DEEP * projection.radius_mm), 0, 1)
    return np.where(there, 1 - np.float32(1 - _DARKEST) * below, np.float32(1))


def _sigma(projection: Projection) -> float:
    """In blocks; not more than a picture's width, however near one looks."""
    return min(_NEAR * projection.radius_mm / projection.mm_per_px, max(projection.size) / 8) / _COARSE


def _blurred(picture: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    cv2 = opencv()
    width = 2 * int(np.ceil(_REACH * sigma)) + 1
    blurred: NDArray[np.float32] = cv2.GaussianBlur(picture, (width, width), sigma, borderType=cv2.BORDER_CONSTANT)
    return blurred
