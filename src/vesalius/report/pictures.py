"""Overlay pictures: the slices that show most of a segmentation, as a radiologist expects to see them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError
from vesalius.image import LabelMap, Labels, Volume
from vesalius.report.canvas import DPI, figure, render, write_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 900, 520  # the most that the panels take, pixels
_GAP, _HEAD, _LEGEND, _NARROWEST = 6, 26, 30, 360
_OPPOSITE = {"L": "R", "R": "L", "P": "A", "A": "P", "S": "I", "I": "S"}
_WINDOW_CT = (-160.0, 240.0)  # soft tissue: level 40, width 400 HU
_INK = "#f4f1ea"


@dataclass(frozen=True, eq=False)
class _Panel:
    """One slice, rows downwards and columns to the right, with the anatomical letters of its borders."""

    name: str
    image: NDArray[np.float64]  # (rows, columns) or (rows, columns, 3), 0 to 1
    prediction: NDArray[np.integer]
    reference: NDArray[np.integer] | None
    spacing: tuple[float, float]  # of rows, of columns
    letters: tuple[str, str, str, str]  # left, right, top, bottom; empty for a picture without orientation

    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height in space."""
        rows, columns = self.prediction.shape
        return columns * self.spacing[1], rows * self.spacing[0]


def overlay(
    volume: Volume,
    prediction: LabelMap,
    reference: LabelMap | None = None,
    *,
    path: str | os.PathLike[str] | None = None,
    window: tuple[float, float] | None = None,
    channel: int = 0,
    title: str = "",
) -> NDArray[np.uint8]:
    """Draw a segmentation over its image: a filled prediction, and the reference's contour if there is one.

    A volume is shown in its axial, coronal and sagittal slices, a picture as it is. Each slice is the one with the
    most disagreement between prediction and reference, or, where they agree everywhere or there is no reference, the
    one with the most foreground; the middle one when there is none. The display is radiological: the patient's right
    is on the left of the picture, anterior on top or on the left, superior on top, with the letters at the borders.
    Oblique volumes are shown along their own axes, with the nearest letters. Pixels have their true proportions.

    Args:
        volume: The image.
        prediction: On the same grid as the image.
        reference: On the same grid as the image.
        path: Where to write the picture as PNG; not written when left out.
        window: Values shown as black and as white. When left out: -160 to 240 HU for CT (soft tissue), the full range
            for colour pictures, and the 1st to 99.5th percentile of the non-zero voxels for all else.
        channel: The channel to show, 0 to ``volume.channels - 1``; colour pictures show all three.
        title: A line above the picture; nothing that identifies a patient.

    Returns:
        ``(rows, columns, 3)``, uint8.

    Raises:
        GeometryError: A label map lies on another grid than the image.
        DataError: The channel does not exist, or the window is empty.
        VesaliusError: The picture cannot be written.

    Example:
        >>> from vesalius.image import Grid, Labels
        >>> grid = Grid.from_spacing((8, 8, 4), (1.0, 1.0, 2.0))
        >>> image = Volume(np.arange(256.0).reshape(1, 8, 8, 4), grid)
        >>> said = LabelMap((image.array[0] > 200).astype(np.uint8), grid, Labels.of({"lesion": 1}))
        >>> overlay(image, said).dtype
        dtype('uint8')

    Source: DICOM PS3.3 C.7.6.1.1.1 (patient orientation letters); soft-tissue window of Radiopaedia, "Windowing (CT)".
    """
    for name, one in (("prediction", prediction), ("reference", reference)):
        if one is not None and not one.grid.is_close(volume.grid, tolerance_mm=0.1):
            raise GeometryError(
                f"the {name} {one.grid.shape} lies on another grid than the image {volume.grid.shape}: resample it "
                "first, with vesalius.transform.resample(labels, image.grid)"
            )
    if not 0 <= channel < volume.channels:
        raise DataError(f"channel must be 0 to {volume.channels - 1}, not {channel}")
    low, high = _window(volume, channel) if window is None else window
    if not low < high:
        raise DataError(f"the window must run from a lower to a higher value, not from {low} to {high}")
    if volume.grid.ndim == 2:
        panels = [_picture(volume, prediction, reference, channel, (low, high))]
    else:
        panels = _slices(volume, prediction, reference, channel, (low, high))
    picture = render(_draw(panels, prediction, reference, title))
    if path is not None:
        write_png(picture, path)
    return picture


def _window(volume: Volume, channel: int) -> tuple[float, float]:
    if _is_colour(volume):
        return 0.0, (1.0 if volume.array.dtype.kind == "f" and volume.array.max() <= 1 else 255.0)
    if volume.meta.modality == "CT":
        return _WINDOW_CT
    values = volume.array[channel]
    sample = values.reshape(-1)[:: max(1, values.size // 1_000_000)]
    shown = sample[sample != 0] if (sample != 0).any() else sample
    low, high = (float(v) for v in np.percentile(shown, (1.0, 99.5)))
    return (low, high) if low < high else (low, low + 1.0)


def _is_colour(volume: Volume) -> bool:
    return volume.meta.modality == "RGB" and volume.channels == 3


def _grey(values: NDArray[np.generic], window: tuple[float, float]) -> NDArray[np.float64]:
    scaled: NDArray[np.float64] = (values.astype(np.float64) - window[0]) / (window[1] - window[0])
    return np.clip(scaled, 0.0, 1.0)


def _picture(
    volume: Volume, prediction: LabelMap, reference: LabelMap | None, channel: int, window: tuple[float, float]
) -> _Panel:
    values = volume.array.transpose(2, 1, 0) if _is_colour(volume) else volume.array[channel].T
    across, down = tuple(volume.grid.axis_codes)
    letters = (_OPPOSITE[across], across, _OPPOSITE[down], down) if volume.meta.calibrated else ("", "", "", "")
    return _Panel(
        "",
        _grey(values, window),
        prediction.array.T,
        None if reference is None else reference.array.T,
        (volume.grid.spacing_mm[1], volume.grid.spacing_mm[0]),
        letters,
    )


def _slices(
    volume: Volume, prediction: LabelMap, reference: LabelMap | None, channel: int, window: tuple[float, float]
) -> list[_Panel]:
    from vesalius.transform import reorient

    image = reorient(volume)
    said = reorient(prediction).array
    drawn = None if reference is None else reorient(reference).array
    wanted = said != 0
    if drawn is not None:
        differs = said != drawn
        wanted = differs if differs.any() else wanted
    spacing = image.grid.spacing_mm
    panels = []
    # In LPS, rising indices lead to the left, to the back and to the head: heads are put on top by a flip of rows.
    for name, axis, upwards, letters in (
        ("axial", 2, False, ("R", "L", "A", "P")),
        ("coronal", 1, True, ("R", "L", "S", "I")),
        ("sagittal", 0, True, ("A", "P", "S", "I")),
    ):
        columns, rows = (a for a in range(3) if a != axis)
        amount = wanted.sum(axis=(columns, rows))
        at = int(amount.argmax()) if amount.any() else amount.size // 2
        panels.append(
            _Panel(
                f"{name} {at + 1}/{amount.size}",
                _grey(_cut(image.array[channel], axis, at, upwards), window),
                _cut(said, axis, at, upwards),
                None if drawn is None else _cut(drawn, axis, at, upwards),
                (spacing[rows], spacing[columns]),
                letters,
            )
        )
    return panels


def _cut(array: NDArray[Any], axis: int, at: int, upwards: bool) -> NDArray[Any]:
    """One slice as rows and columns; ``upwards`` puts the highest row index on top."""
    found: NDArray[Any] = array.take(at, axis).T
    return np.flipud(found) if upwards else found


def _draw(panels: list[_Panel], prediction: LabelMap, reference: LabelMap | None, title: str) -> Figure:
    from matplotlib.colors import ListedColormap

    places, inner_width, inner_height = _layout([panel.size_mm for panel in panels])
    head = _HEAD if title else 0
    width = max(inner_width + 2 * _GAP, _NARROWEST)
    height = inner_height + 2 * _GAP + head + _LEGEND
    made = figure(width, height, "#101113")
    labels = prediction.labels if reference is None else reference.labels
    shown: set[int] = set()
    for panel, (x, y, w, h) in zip(panels, places, strict=True):
        left, top = (width - inner_width) / 2 + x, head + _GAP + y
        axes = made.add_axes((left / width, 1 - (top + h) / height, w / width, h / height))
        axes.set_axis_off()
        rows, columns = panel.prediction.shape
        extent = (0.0, columns * panel.spacing[1], rows * panel.spacing[0], 0.0)
        axes.imshow(panel.image, cmap="gray", vmin=0, vmax=1, extent=extent, aspect="auto", interpolation="bilinear")
        present = [np.unique(a[a != 0]) for a in (panel.prediction, panel.reference) if a is not None]
        for value in np.unique(np.concatenate(present)).tolist():
            colour = _rgb(labels, value)
            shown.add(value)
            filled = np.ma.masked_equal(panel.prediction == value, False)
            cmap = ListedColormap([colour])
            axes.imshow(filled, cmap=cmap, alpha=0.38, extent=extent, aspect="auto", interpolation="nearest")
            if panel.reference is not None and (panel.reference == value).any():
                # A margin of background closes contours at the border; positions are those of pixel centres.
                mask = np.pad((panel.reference == value).astype(np.float64), 1)
                at = [(np.arange(n + 2) - 0.5) * s for n, s in zip((columns, rows), panel.spacing[::-1], strict=True)]
                axes.contour(*at, mask, levels=[0.5], colors=["black"], linewidths=2.4, alpha=0.55)
                axes.contour(*at, mask, levels=[0.5], colors=[colour], linewidths=1.3)
        axes.set_xlim(extent[0], extent[1])
        axes.set_ylim(extent[2], extent[3])
        _annotate(axes, panel)
    if title:
        made.text(
            _GAP / width,
            1 - 0.5 * (head + _GAP) / height,
            _short(title, int(width / 7)),
            color=_INK,
            fontsize=9,
            va="center",
            parse_math=False,
        )
    _legend(made, prediction, reference, sorted(shown))
    return made


def _layout(sizes_mm: list[tuple[float, float]]) -> tuple[list[tuple[float, float, float, float]], float, float]:
    """Place the panels on one scale: the first on the left, the others below one another on its right.

    Returns:
        Left, top, width and height of each panel, then width and height of the whole, in pixels.
    """
    first, others = sizes_mm[0], sizes_mm[1:]
    gap = _GAP if others else 0
    wide = first[0] + max((w for w, _ in others), default=0.0)
    high = max(first[1], sum(h for _, h in others))
    scale = min((_WIDTH - gap) / wide, (_HEIGHT - gap) / high)
    # A panel of a single row or of a very thin slab still has to be seen.
    scaled = [(max(w * scale, 24.0), max(h * scale, 24.0)) for w, h in sizes_mm]
    stack = sum(h for _, h in scaled[1:]) + gap * max(0, len(others) - 1)
    height = max(scaled[0][1], stack)
    places = [(0.0, (height - scaled[0][1]) / 2, *scaled[0])]
    top = (height - stack) / 2
    for w, h in scaled[1:]:
        places.append((scaled[0][0] + gap, top, w, h))
        top += h + gap
    return places, scaled[0][0] + gap + max((w for w, _ in scaled[1:]), default=0.0), height


def _annotate(axes: Axes, panel: _Panel) -> None:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=2, foreground="black")]
    spots = ((0, 0.5, 5, 0), (1, 0.5, -5, 0), (0.5, 1, 0, -4), (0.5, 0, 0, 4))
    sides = (("left", "center"), ("right", "center"), ("center", "top"), ("center", "bottom"))
    words = [(letter, *spot, *side, 11, "bold") for letter, spot, side in zip(panel.letters, spots, sides, strict=True)]
    words.append((panel.name, 0, 1, 5, -4, "left", "top", 8, "normal"))
    for text, x, y, right, up, across, along, size, weight in words:
        axes.annotate(
            text,
            (x, y),
            xytext=(right, up),
            xycoords="axes fraction",
            textcoords="offset points",
            ha=across,
            va=along,
            color=_INK,
            fontsize=size,
            weight=weight,
            path_effects=halo,
        )


def _legend(made: Figure, prediction: LabelMap, reference: LabelMap | None, values: list[int]) -> None:
    from matplotlib.patches import Patch

    labels = prediction.labels if reference is None else reference.labels
    names = {one.value: one.name for one in (*prediction.labels.labels, *labels.labels)}
    if labels.ignore is not None:
        names[labels.ignore] = "ignored"
    room = max(1, int(made.get_figwidth() * DPI // 130) - (2 if reference is not None else 0))
    handles = [Patch(facecolor=_rgb(labels, v), label=_short(names.get(v, str(v)))) for v in values[:room]]
    if len(values) > room:
        handles.append(Patch(facecolor="none", label=f"and {len(values) - room} more"))
    if reference is not None:
        handles.append(Patch(facecolor="#ffffff60", label="prediction"))
        handles.append(Patch(facecolor="none", edgecolor="white", label="reference"))
    if not handles:
        return
    drawn = made.legend(
        handles=handles,
        loc="lower center",
        ncols=len(handles),
        fontsize=8,
        frameon=False,
        labelcolor=_INK,
        handlelength=1.1,
        handleheight=0.9,
        columnspacing=1.4,
        borderaxespad=0.5,
    )
    for text in drawn.get_texts():
        text.set_parse_math(False)  # a name with dollar signs is a name, not a formula


def _rgb(labels: Labels, value: int) -> tuple[float, float, float]:
    red, green, blue = labels.colour(value)
    return red / 255, green / 255, blue / 255


def _short(name: str, longest: int = 24) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"
