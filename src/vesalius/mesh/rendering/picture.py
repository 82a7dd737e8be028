"""Pictures of surfaces, drawn without a display."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.mesh.painted import Painted
from vesalius.mesh.rendering.bodies import Scene, arrange
from vesalius.mesh.rendering.camera import Camera
from vesalius.mesh.rendering.clip import Clip
from vesalius.mesh.rendering.compose import compose
from vesalius.mesh.rendering.legend import draw_cube, draw_panel, panel_px
from vesalius.mesh.rendering.marks import margins_px, mark_scale, mark_sides
from vesalius.mesh.rendering.projection import fitted
from vesalius.mesh.surface import Surface

WIDEST_PX = 8192
LARGEST_PX = 1 << 24
"""Columns or rows, and pixels, that a picture may have: 4096 x 4096 are drawn within about 2 GiB."""

_PART_PX = 1 << 20

LEAST_MARKED_PX = 160
"""Pictures with fewer columns or rows have no letters: they would cover all of it."""

Background = tuple[int, int, int] | None
"""RGB, 0 to 255, or ``None`` for a transparent one."""

WHITE: Background = (255, 255, 255)


def render(
    surfaces: Sequence[Surface | Painted],
    camera: Camera | None = None,
    *,
    size: tuple[int, int] = (1024, 768),
    background: Background = WHITE,
    opacity: Mapping[str, float] | None = None,
    clips: Sequence[Clip] = (),
    whole: Iterable[str] = (),
    marked: bool = True,
    samples: int = 2,
) -> NDArray[np.uint8]:
    """Draw surfaces of structures as a picture.

    The same surfaces make the same picture, byte for byte.

    Args:
        surfaces: Of structures; those with values at their vertices are shown in the colours of the values.
        camera: From where one looks; from the front when left out.
        size: Columns and rows of the picture.
        background: Its colour, or ``None``.
        opacity: By the structure's name, 0 to 1; of what can be seen through, the nearest wall is drawn.
        clips: What is taken away; a closed structure has a filled cut face in its own colour.
        whole: Names of structures of which nothing is taken away.
        marked: With letters of the patient's sides at the edges, a cube that shows them, a scale bar (where there is no
            perspective), and names with their colours. Pictures below `LEAST_MARKED_PX` have none.
        samples: So many pixels are drawn for each one in both directions, 1 to 4: how smooth edges are.

    Returns:
        ``(rows, columns, 3)``, RGB; ``(rows, columns, 4)``, with opacity, where the background is ``None``.

    Raises:
        DataError: There is nothing to draw, a name is unknown, or a number is out of range.
        MissingDependencyError: OpenCV 5 is not installed.

    Example:
        >>> from vesalius.image import Label
        >>> corners = [[0, 0, 0], [10, 0, 0], [0, 0, 10]]
        >>> flat = Surface(corners, [[0, 1, 2]], Label("triangle", 1, (200, 60, 50)))
        >>> picture = render([flat], size=(200, 160), marked=False)
        >>> picture.shape, bool(picture[150, 30, 0] > picture[150, 30, 2]), picture[5, 195].tolist()
        ((160, 200, 3), True, [255, 255, 255])
    """
    scene = arrange(surfaces, opacity=opacity, clips=clips, whole=whole)
    return picture(scene, camera or Camera(), size=size, background=background, marked=marked, samples=samples)


def picture(
    scene: Scene,
    camera: Camera,
    *,
    size: tuple[int, int] = (1024, 768),
    background: Background = WHITE,
    marked: bool = True,
    samples: int = 2,
    turning: bool = False,
) -> NDArray[np.uint8]:
    """Draw what was made ready by `arrange`, as often and from where one likes.

    Args:
        scene: What is drawn.
        camera: From where one looks.
        size: As for `render`.
        background: As for `render`.
        marked: As for `render`.
        samples: As for `render`.
        turning: Keep one size from wherever one looks, for pictures that follow one another.

    Returns:
        As for `render`.

    Raises:
        DataError: A number is out of range.
        MissingDependencyError: OpenCV 5 is not installed.
    """
    refuse_size(size)
    if not 1 <= samples <= 4:
        raise DataError(f"there may be 1 to 4 samples for a pixel, not {samples}")
    if background is not None and not all(0 <= part <= 255 for part in background):
        raise DataError(f"a background is three numbers of 0 to 255, red, green and blue, not {background}")
    columns, rows = size
    marked = marked and min(size) >= LEAST_MARKED_PX
    panel = panel_px(scene, size) if marked else 0
    size = (columns - panel, rows)
    margins = margins_px(size) if marked else (0.04 * size[0], 0.04 * size[1])
    projection = fitted(scene.points_mm, camera, size, margins_px=margins, turning=turning)
    canvas = np.zeros((rows, columns, 4), np.float32)
    compose(scene, projection, samples=samples, out=canvas[:, : columns - panel])
    if background is not None:
        for part in _parts(canvas):  # large pictures would be there several times
            part += (1 - part[..., 3:]) * np.array([*background, 255], np.float32) / 255
    if marked:
        # By the luma of Rec. 601: dark on what is light.
        luma = 255.0 if background is None else float(np.dot(background, (0.299, 0.587, 0.114)))
        ink = (30, 30, 30) if luma > 127 else (235, 235, 235)
        mark_sides(canvas[:, : columns - panel], projection, ink)
        if not camera.perspective:
            mark_scale(canvas[:, : columns - panel], projection, ink)
        draw_panel(canvas, scene, ink, panel)
        draw_cube(canvas, camera)
    return _whole_numbers(canvas, opaque=background is not None)


def refuse_size(size: tuple[int, int]) -> None:
    """Refuse a picture that has no pixels, or more than are drawn.

    Raises:
        DataError: It has.
    """
    if not (1 <= min(size) and max(size) <= WIDEST_PX and size[0] * size[1] <= LARGEST_PX):
        raise DataError(
            f"a picture has 1 to {WIDEST_PX} columns and rows, and at most {LARGEST_PX} pixels, not "
            f"{size[0]} x {size[1]}"
        )


def _whole_numbers(canvas: NDArray[np.float32], *, opaque: bool) -> NDArray[np.uint8]:
    found = np.empty((*canvas.shape[:2], 3 if opaque else 4), np.uint8)
    for part, made in zip(_parts(canvas), _parts(found), strict=True):
        shown = part[..., :3]
        if not opaque:
            share = part[..., 3:]
            plain = np.divide(shown, share, out=np.zeros_like(shown), where=share > 0)
            shown = np.concatenate([plain, share], axis=2)
        made[:] = np.clip(np.rint(shown * 255), 0, 255)
    return found


def _parts(pixels: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Rows of a picture, some at a time."""
    rows = max(1, _PART_PX // pixels.shape[1])
    return (pixels[start : start + rows] for start in range(0, len(pixels), rows))
