"""A camera or frame grabber as footage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from vesalius.errors import FormatError
from vesalius.image import Grid
from vesalius.io.footage.frame import Footage, Frame
from vesalius.io.footage.opencv import captured, opencv, rate_of, shape_of, to_volume


@contextmanager
def open_camera(number: int, *, rate_hz: float | None = None) -> Iterator[Footage]:
    """Watch a camera; see `vesalius.io.footage.open_footage`.

    The driver is asked to keep one frame only: the newest. Not every driver obeys.

    Args:
        number: Of the device, from 0.
        rate_hz: Asked of the camera, which may give another; left out, it keeps its own.

    Raises:
        FormatError: There is no such camera, or (from the frames) it gives no pictures any more.
        MissingDependencyError: OpenCV is not installed.
    """
    cv2, name = opencv(), f"camera {number}"
    with captured(number, cv2.CAP_ANY, name) as camera:
        camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if rate_hz is not None:
            camera.set(cv2.CAP_PROP_FPS, rate_hz)
        shape = shape_of(camera)
        grid = Grid.from_spacing(shape, (1.0, 1.0))

        def frames() -> Iterator[Frame]:
            for index in count():
                there, picture = camera.read()
                if not there:
                    raise FormatError(f"{name}: gives no pictures any more: unplugged, or taken by another program")
                yield Frame(index, to_volume(picture, grid), None)

        yield Footage(name, shape, frames(), rate_of(camera), live=True)
