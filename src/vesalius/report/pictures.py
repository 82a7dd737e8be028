"""Overlay pictures: the slices that show most of a segmentation, as a radiologist expects to see them."""

from __future__ import annotations

import os
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.image import LabelMap, Volume
from vesalius.report.canvas import write_png
from vesalius.report.display import shown_window
from vesalius.report.panels import Panel, draw_panels
from vesalius.report.scene import Scene, flat_panel
from vesalius.report.sections import slice_panel
from vesalius.transform.screen import AXIS, Direction


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
    Oblique volumes are shown along their own axes, with one letter or more. Pixels have their true proportions.

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
    if not 0 <= channel < volume.channels:
        raise DataError(f"channel must be 0 to {volume.channels - 1}, not {channel}")
    scene = Scene(volume, window or shown_window(volume, channel), channel, fill=prediction, contour=reference)
    panels = [flat_panel(scene)] if volume.grid.ndim == 2 else _slices(scene)
    picture = draw_panels(
        panels,
        scene.labels,
        names={one.value: one.name for one in prediction.labels.labels},
        title=title,
        compared=reference is not None,
    )
    if path is not None:
        write_png(picture, path)
    return picture


def _slices(scene: Scene) -> list[Panel]:
    assert scene.fill is not None
    wanted = scene.fill.array != 0
    if scene.contour is not None:
        differs = scene.fill.array != scene.contour.array
        wanted = differs if differs.any() else wanted
    panels = []
    for way in get_args(Direction):
        amount = wanted.sum(axis=tuple(axis for axis in range(3) if axis != AXIS[way]))
        at = int(amount.argmax()) if amount.any() else amount.size // 2
        panels.append(slice_panel(scene, way, at))
    return panels
