"""Beside the picture: names of structures with their colours, the colours of values, a cube that shows the sides."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.mesh.colours import ColourScale
from vesalius.mesh.rendering.bodies import Scene
from vesalius.mesh.rendering.camera import Camera, View
from vesalius.mesh.rendering.marks import Ink, lay, mask_of, text_px, write
from vesalius.mesh.rendering.raster import opencv

_WIDEST = 0.32  # of the picture's width
_LINE = 1.6  # height of a line to that of its text
_BAR = 0.34  # of the picture's height is what the colours of values take
_SMALLEST = 10
_FACE = (226, 228, 232)
_LETTER = (40, 44, 52)
_FINER = 4  # lines within a pixel of the cube


def panel_px(scene: Scene, size: tuple[int, int]) -> int:
    """How many columns of a picture names and colours take."""
    height, _ = _lines(scene, size)
    widths = [mask_of(body.name, height).shape[1] for body in scene.bodies]
    if scene.scale is not None:
        widths.append(mask_of(scene.title, height).shape[1])
    return int(min(_WIDEST * size[0], max(widths) + 2.6 * height))


def draw_panel(canvas: NDArray[np.float32], scene: Scene, ink: Ink, columns: int) -> None:
    """Draw the names of structures, and the colours of values below, into the right end of a picture.

    Many names are written smaller. Those that are too long for the panel are cut, and the last line says how many more
    there are than it can hold.
    """
    rows, whole, _ = canvas.shape
    height, room = _lines(scene, (whole, rows))
    left, line = whole - columns + round(0.4 * height), _LINE * height
    shown = scene.bodies if len(scene.bodies) <= room else scene.bodies[: room - 1]
    for number, body in enumerate(shown):
        top = round(line * (0.7 + number))
        text = left
        if body.values is None:
            lay(canvas, np.ones((height, height), np.float32), (left, top + round(0.3 * height)), body.colour)
            text = left + round(1.5 * height)
        write(canvas, fitting(body.name, whole - text - 2, height), (text, top), height_px=height, ink=ink)
    if len(shown) < len(scene.bodies):
        top = round(line * (0.7 + len(shown)))
        write(canvas, f"+ {len(scene.bodies) - len(shown)}", (left, top), height_px=height, ink=ink)
    if scene.scale is not None:
        top = round(line * (1.2 + min(len(scene.bodies), room)))
        _draw_scale(canvas, scene.scale, scene.title, ink, (left, top), round(_BAR * rows))


def _lines(scene: Scene, size: tuple[int, int]) -> tuple[int, int]:
    """How high names are written, and how many there is room for."""
    bar = _BAR * size[1] if scene.scale is not None else 0
    free = size[1] - bar - _cube_px(size)
    for height in range(text_px(size), _SMALLEST - 1, -1):
        room = int(free / (_LINE * height)) - 2
        if room >= len(scene.bodies):
            break
    return height, max(1, room)


def fitting(text: str, columns: int, height_px: int) -> str:
    """A text, cut to a width with an ellipsis where it is longer."""
    if mask_of(text, height_px).shape[1] <= columns:
        return text
    least, most = 0, len(text)
    while least < most:  # so many characters fit
        middle = (least + most + 1) // 2
        fits = mask_of(text[:middle].rstrip() + "…", height_px).shape[1] <= columns
        least, most = (middle, most) if fits else (least, middle - 1)
    return text[:least].rstrip() + "…"


def draw_cube(canvas: NDArray[np.float32], camera: Camera) -> None:
    """Draw a cube with the letters of the patient's sides, as it lies in the picture, into the lower right corner."""
    cv2 = opencv()
    rows, columns, _ = canvas.shape
    side = _cube_px((columns, rows)) / 3.4 * _FINER  # half of an edge
    width = round(_cube_px((columns, rows)) * _FINER)
    middle = np.array([width / 2, width / 2])
    axes = np.stack([camera.right, -camera.up])
    at = (columns - width // _FINER, rows - width // _FINER)
    for view in get_args(View):
        looking = Camera.of(view)
        facing = float(looking.towards @ camera.towards)
        if facing < 0.02:
            continue
        across, down, out = (axes @ way * side for way in (looking.right, -looking.up, looking.towards))
        corners = np.array([middle + out + u * across + v * down for u, v in ((-1, -1), (1, -1), (1, 1), (-1, 1))])
        face = np.zeros((width, width), np.uint8)
        cv2.fillConvexPoly(face, np.rint(corners).astype(np.int32), (255,))
        shade = 0.72 + 0.28 * facing
        lay(canvas, _coarser(face), at, tuple(round(part * shade) for part in _FACE))  # type: ignore[arg-type]
        cv2.polylines(edge := np.zeros_like(face), [np.rint(corners).astype(np.int32)], True, (255,), _FINER)
        lay(canvas, _coarser(edge), at, (120, 124, 132))
        # The letter lies on its face: it turns and narrows with it, and is never mirrored.
        letter = (mask_of(view[0].upper(), 48, bold=True) * 255).astype(np.uint8)
        size = np.array(letter.shape[::-1])
        turn = np.stack([across, down], axis=1) / 44
        start = middle + out - turn @ (size / 2)
        placed = cv2.warpAffine(letter, np.column_stack([turn, start]), (width, width), flags=cv2.INTER_LINEAR)
        lay(canvas, _coarser(placed), at, _LETTER)


def _cube_px(size: tuple[int, int]) -> int:
    return round(min(size) * 0.13)


def _coarser(fine: NDArray[np.uint8]) -> NDArray[np.float32]:
    rows, columns = (length // _FINER for length in fine.shape)
    blocks = fine[: rows * _FINER, : columns * _FINER].reshape(rows, _FINER, columns, _FINER)
    share: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32) / np.float32(255)
    return share


def _draw_scale(
    canvas: NDArray[np.float32], scale: ColourScale, title: str, ink: Ink, at: tuple[int, int], rows: int
) -> None:
    """Draw the colours of values, upwards, with the numbers of both ends and the middle."""
    left, top = at
    height = text_px((canvas.shape[1], canvas.shape[0]))
    write(canvas, fitting(title, canvas.shape[1] - left, height), (left, top), height_px=height, ink=ink)
    top, rows = top + 2 * height, max(2, rows - 3 * height)
    values = np.linspace(scale.high, scale.low, rows)
    part = canvas[top : top + rows, left : left + height]
    part[..., :3] = (scale.colours(values).astype(np.float32) / 255)[: len(part), None]
    part[..., 3] = 1
    for share in (0.0, 0.5, 1.0):
        value = scale.high + share * (scale.low - scale.high)
        where = (left + 1.4 * height, top + share * rows)
        write(canvas, f"{value:.3g}", where, height_px=height, ink=ink, anchor=(0.0, 0.5))
