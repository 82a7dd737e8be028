"""Draw with matplotlib without its global state: figures of their own, rendered by Agg."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vesalius.io.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 100


def figure(width_px: float, height_px: float, colour: str) -> Figure:
    """An empty figure of a size in pixels, outside pyplot's global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_px / DPI, height_px / DPI), dpi=DPI, facecolor=colour)


def render(drawn: Figure) -> NDArray[np.uint8]:
    """The figure as an RGB picture ``(rows, columns, 3)``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(drawn)
    with warnings.catch_warnings():
        # A name may hold characters that the font lacks: a box in a legend is no reason to fail or to alarm.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def write_png(picture: NDArray[np.uint8], path: str | os.PathLike[str]) -> None:
    """Write an RGB picture ``(rows, columns, 3)`` as PNG, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(png_bytes(picture))


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """An RGB picture ``(rows, columns, 3)`` as the bytes of a PNG file, without any metadata."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format="PNG")
    return buffer.getvalue()
