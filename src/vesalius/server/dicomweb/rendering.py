"""A frame as a picture to look at: windowed, scaled, as PNG or JPEG."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from vesalius.errors import FormatError
from vesalius.io.dicom.describe import describe
from vesalius.io.dicom.frame import Frame
from vesalius.io.dicom.header import damage_is_a_format_error, read_header
from vesalius.io.dicom.pixels import decode
from vesalius.io.dicom.quiet import quiet
from vesalius.io.dicom.values import to_values

Curve = Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
_SIDE = 8192  # pixels of a viewport
_WINDOWS = ("WindowCenter", "WindowWidth", "VOILUTFunction", "FrameVOILUTSequence")
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


@dataclass(frozen=True)
class Window:
    """Which values are shown, and how.

    Args:
        centre: Of the values, in the unit of the image.
        width: Of the values.
        curve: As DICOM names it.
    """

    centre: float
    width: float
    curve: Curve = "LINEAR"

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Values to grey, 0 to 255.

        Source: PS3.3 2026c, C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT).

        Example:
            >>> Window(2048, 4096).apply(np.array([0, 4095])).tolist()
            [0, 255]
        """
        x = values.astype(np.float64)
        if self.curve == "SIGMOID":
            share = 1 / (1 + np.exp(np.clip(-4 * (x - self.centre) / self.width, -700, 700)))
        elif self.curve == "LINEAR_EXACT":
            share = (x - self.centre) / self.width + 0.5
        elif self.width > 1:
            share = (x - (self.centre - 0.5)) / (self.width - 1) + 0.5
        else:
            share = (x > self.centre - 0.5).astype(np.float64)
        return cast("NDArray[np.uint8]", np.rint(share.clip(0, 1) * 255).astype(np.uint8))


@dataclass(frozen=True)
class Look:
    """How a picture is to look.

    Args:
        window: None for that of the header, or of all values where the header has none.
        viewport: Columns and rows that it must fit into, its proportions kept; None for its own.
        quality: Of a JPEG, 1 to 100.
    """

    window: Window | None = None
    viewport: tuple[int, int] | None = None
    quality: int = 90


def look_of(query: Mapping[str, str]) -> Look:
    """What the parameters of a request say.

    Args:
        query: ``window=CENTRE,WIDTH,CURVE``, ``viewport=COLUMNS,ROWS``, ``quality=N``.

    Raises:
        FormatError: One is not written so.

    Source: PS3.18 2026c, 8.3.5.1 (rendered media: window, viewport, quality).

    Example:
        >>> look_of({"window": "40,400,linear", "quality": "75"}).window
        Window(centre=40.0, width=400.0, curve='LINEAR')
    """
    look = Look()
    if (text := query.get("window")) is not None:
        look = replace(look, window=_window(text.split(",")))
    if (text := query.get("viewport")) is not None:
        sides = text.split(",")
        if len(sides) != 2 or not all(_whole(side, _SIDE) for side in sides):
            raise FormatError(f"the viewport is COLUMNS,ROWS, each from 1 to {_SIDE}; regions are not cut out")
        look = replace(look, viewport=(int(sides[0]), int(sides[1])))
    if (text := query.get("quality")) is not None:
        if not _whole(text, 100):
            raise FormatError("the quality must be from 1 to 100")
        look = replace(look, quality=int(text))
    return look


def pixels_of(path: Path) -> tuple[int, int]:
    """Number of frames, and of pixels of each.

    Raises:
        FormatError: The object holds no image that could be shown.
    """
    with quiet, damage_is_a_format_error(path):
        header = read_header(path)
        if header is None or header.pixels_at is None:
            raise FormatError("the object holds no pixels")
        frames = describe(header)
    if frames[0].source.refusal:
        raise FormatError(f"{path.name}: {frames[0].source.refusal}")
    return len(frames), frames[0].source.pixels.rows * frames[0].source.pixels.columns


def render(path: Path, index: int, look: Look, kind: str) -> bytes:
    """Show a frame.

    Args:
        path: A DICOM image.
        index: Of the frame, from 0.
        look: How.
        kind: ``"image/png"`` or ``"image/jpeg"``.

    Returns:
        The file.

    Raises:
        FormatError: It cannot be decoded.
        MissingDependencyError: Its decoder is not installed.
    """
    from PIL import Image

    with quiet, damage_is_a_format_error(path):
        header = read_header(path)
        assert header is not None
        frame = describe(header)[index]
        _, picture = next(decode(frame.source, [frame]))
        grey = picture if picture.ndim == 3 else _grey(frame, picture, look.window or _own_window(path, index))
    shown = Image.fromarray(np.ascontiguousarray(grey if grey.dtype == np.uint8 else _eight_bits(frame, grey)))
    if look.viewport is not None:
        scale = min(look.viewport[0] / shown.width, look.viewport[1] / shown.height)
        size = (max(1, round(shown.width * scale)), max(1, round(shown.height * scale)))
        shown = shown.resize(size, Image.Resampling.BILINEAR if scale > 1 else Image.Resampling.BOX)
    made = io.BytesIO()
    if kind == "image/png":
        shown.save(made, "PNG")
    else:
        shown.save(made, "JPEG", quality=look.quality)
    return made.getvalue()


def _grey(frame: Frame, picture: NDArray[Any], window: Window | None) -> NDArray[np.uint8]:
    white = frame.source.pixels.photometric == "MONOCHROME1"
    # Windows are meant for values as they are; what is white is turned round at the end.
    pixels = replace(frame.source.pixels, photometric="MONOCHROME2")
    values = to_values(replace(frame, source=replace(frame.source, pixels=pixels)), picture)
    if window is None:
        low, high = float(values.min()), float(values.max())
        window = Window((low + high) / 2, max(high - low, 1e-9), "LINEAR_EXACT")
    grey = window.apply(values)
    return (255 - grey).astype(np.uint8) if white else grey


def _eight_bits(frame: Frame, colours: NDArray[Any]) -> NDArray[np.uint8]:
    stored = 16 if frame.source.pixels.photometric == "PALETTE COLOR" else frame.source.pixels.stored
    return (colours >> max(stored - 8, 0)).astype(np.uint8)


def _own_window(path: Path, index: int) -> Window | None:
    """The first window of the header: of the frame, else of all frames, else of the object."""
    made = dcmread(path, stop_before_pixels=True, specific_tags=[*_WINDOWS, *_GROUPS])
    places: list[Dataset] = []
    for name, at in ((_GROUPS[1], index), (_GROUPS[0], 0)):
        groups = made.get(name) or []
        if at < len(groups):
            places += list(groups[at].get("FrameVOILUTSequence") or [])[:1]
    for place in (*places, made):
        words = [_first(place.get(name)) for name in _WINDOWS[:3]]
        if words[0] and words[1]:
            try:
                return _window([words[0], words[1], words[2] or "LINEAR"])
            except FormatError:
                return None
    return None


def _first(value: Any) -> str:
    held = value if isinstance(value, str) or not hasattr(value, "__iter__") else next(iter(value), "")
    return "" if held is None else str(held)


def _window(words: list[str]) -> Window:
    numbers = []
    for word in words[:2]:
        try:
            numbers.append(float(word))
        except ValueError:
            numbers.append(math.nan)
    curve = (words[2] if len(words) > 2 else "LINEAR").upper().replace("-", "_")
    fine = len(numbers) == 2 and all(math.isfinite(one) and abs(one) < 1e12 for one in numbers) and numbers[1] > 0
    if len(words) > 3 or not fine or curve not in get_args(Curve):
        raise FormatError("a window is CENTRE,WIDTH,CURVE: finite numbers, and linear, linear-exact or sigmoid")
    return Window(numbers[0], numbers[1], cast("Curve", curve))


def _whole(text: str, most: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 8 and 1 <= int(text) <= most
