"""Turn-tables: a figure seen from all around, in pictures that follow one another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.mesh.rendering.bodies import Scene
from vesalius.mesh.rendering.camera import Camera
from vesalius.mesh.rendering.picture import WHITE, Background, picture

MOST_BYTES = 1 << 30
"""That the pictures of one turn-table may take together: they are kept until their common colours are chosen."""


def turn(
    scene: Scene,
    camera: Camera,
    *,
    frames: int = 60,
    size: tuple[int, int] = (1024, 768),
    background: Background = WHITE,
    marked: bool = True,
    samples: int = 2,
) -> Iterator[NDArray[np.uint8]]:
    """Draw a figure from all around: the viewer walks once around the patient's long axis, towards the left first.

    The figure keeps its size and its middle in all pictures, and the last picture leads over to the first.

    Args:
        scene: What is drawn: see `vesalius.mesh.rendering.arrange`.
        camera: From where the walk begins; its elevation is kept.
        frames: So many pictures, at least 2.
        size: Columns and rows of each.
        background: Its colour, or ``None`` for a transparent one.
        marked: As for `vesalius.mesh.rendering.render`.
        samples: As for `vesalius.mesh.rendering.render`.

    Yields:
        As `vesalius.mesh.rendering.picture` returns them.

    Raises:
        DataError: A number is out of range, or the pictures together would take more than `MOST_BYTES`.
        MissingDependencyError: OpenCV 5 is not installed.
    """
    refuse_frames(frames, size)
    for number in range(frames):
        turned = replace(camera, azimuth_deg=camera.azimuth_deg + 360 * number / frames)
        yield picture(scene, turned, size=size, background=background, marked=marked, samples=samples, turning=True)


def refuse_frames(frames: int, size: tuple[int, int]) -> None:
    """Refuse a turn-table of too few or too many pictures.

    Raises:
        DataError: It is.
    """
    most = MOST_BYTES // (4 * size[0] * size[1])
    if not 2 <= frames <= most:
        raise DataError(f"a turn-table of pictures of {size[0]} x {size[1]} has 2 to {most} of them, not {frames}")
