"""From points of the patient to pixels, so that lengths across an orthographic picture are true."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vesalius.mesh.rendering.camera import Camera

_SLANT = 0.2  # by which the least and the greatest 1 / z of an orthographic picture differ
_ANGLE_DEG = 30.0  # of view, with perspective: that of a person who looks at a figure of this size


@dataclass(frozen=True, eq=False)
class Projection:
    """Where points land in a picture.

    ``x`` counts pixels to the right and ``y`` down from the picture's upper left corner; the middle of the first pixel
    is (0.5, 0.5). ``z`` grows with the distance from the viewer, from 1 on, in such a way that ``1 / z`` is linear
    across the picture, as programs that draw triangles ask: also where the picture is orthographic.

    Args:
        camera: From where one looks.
        centre_mm: ``(3,)``, the point in the middle of the picture, LPS.
        mm_per_px: The size of a pixel, at the depth of the centre where there is perspective.
        size: Columns and rows.
        radius_mm: Nothing is further than this from the centre.
        offset: Column and row at which the picture starts: that of a part of a larger one.
    """

    camera: Camera
    centre_mm: NDArray[np.float64]
    mm_per_px: float
    size: tuple[int, int]
    radius_mm: float
    offset: tuple[int, int] = (0, 0)

    @property
    def distance_mm(self) -> float:
        """From the viewer to the centre, with perspective: the figure fills the angle of view."""
        return self.radius_mm / math.sin(math.radians(_ANGLE_DEG / 2))

    @property
    def farthest(self) -> float:
        """The greatest ``z`` that a point may have."""
        if not self.camera.perspective:
            return 1 / (1 - _SLANT)
        return (self.distance_mm + self.radius_mm) / (self.distance_mm - self.radius_mm)

    def project(self, points_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where points land.

        Args:
            points_mm: ``(n, 3)``, LPS.

        Returns:
            ``(n, 3)``: x, y and z.
        """
        across, up, near = ((points_mm - self.centre_mm) @ self.camera.axes.T).T
        if self.camera.perspective:
            away = self.distance_mm - near
            scale = self.distance_mm / away
            z = away / (self.distance_mm - self.radius_mm)
        else:
            scale = np.ones(len(points_mm))
            z = 1 / (1 - _SLANT * (self.radius_mm - near) / (2 * self.radius_mm))
        x = across * scale / self.mm_per_px + self.size[0] / 2 - self.offset[0]
        y = -up * scale / self.mm_per_px + self.size[1] / 2 - self.offset[1]
        return np.stack([x, y, z], axis=1)

    def depth_mm(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far from the nearest possible point something is, along the view.

        Args:
            z: Of any shape, as `project` gives it.
        """
        if self.camera.perspective:
            return (z - np.float32(1)) * np.float32(self.distance_mm - self.radius_mm)
        depth: NDArray[np.float32] = (np.float32(1) - np.float32(1) / z) * np.float32(2 * self.radius_mm / _SLANT)
        return depth

    def met(
        self, x: NDArray[np.float64], y: NDArray[np.float64], normal: NDArray[np.float64], at_mm: float
    ) -> NDArray[np.float64]:
        """At which ``z`` lines of sight go through a plane from the side to which its normal points.

        Args:
            x: ``(n,)``, pixels.
            y: ``(n,)``, pixels.
            normal: ``(3,)``, of length 1.
            at_mm: The plane's points are those whose product with the normal is this.

        Returns:
            ``(n,)``; 0 where a line comes from the other side, or never meets the plane.
        """
        camera = self.camera
        across = (x + self.offset[0] - self.size[0] / 2) * self.mm_per_px
        up = -(y + self.offset[1] - self.size[1] / 2) * self.mm_per_px
        flat = np.outer(across, camera.right) + np.outer(up, camera.up)
        middle = float(normal @ self.centre_mm)
        tilt = float(normal @ camera.towards)
        if not camera.perspective:
            if tilt <= 1e-9:
                return np.zeros(len(x))
            near = (at_mm - middle - flat @ normal) / tilt
            # Nearer than everything is beyond what z can tell: nothing is cut there.
            share = np.clip((self.radius_mm - near) / (2 * self.radius_mm), 0, 1)
            return 1 / (1 - _SLANT * share)
        ahead = flat @ normal - self.distance_mm * tilt  # along the line, to the depth of the centre
        gap = at_mm - middle - self.distance_mm * tilt
        there = (ahead < -1e-9) & (gap < 0)
        share = np.divide(gap, ahead, out=np.zeros(len(x)), where=there)
        z = share * self.distance_mm / (self.distance_mm - self.radius_mm)
        return np.where(there, np.clip(z, 1, self.farthest), 0.0)

    def finer(self, samples: int) -> Projection:
        """The same picture with so many pixels for each, in both directions."""
        columns, rows = self.size
        return replace(self, size=(columns * samples, rows * samples), mm_per_px=self.mm_per_px / samples)


def fitted(
    points_mm: NDArray[np.float64],
    camera: Camera,
    size: tuple[int, int],
    *,
    margins_px: tuple[float, float] = (0.0, 0.0),
    turning: bool = False,
) -> Projection:
    """The projection that shows all points as large as the picture allows.

    Args:
        points_mm: ``(n, 3)``, LPS, at least one.
        camera: From where one looks; its zoom is applied on top.
        size: Columns and rows.
        margins_px: That stay empty at left and right, and at top and bottom.
        turning: Fit the ball around all points instead, which keeps its size from wherever one looks.
    """
    low, high = points_mm.min(axis=0), points_mm.max(axis=0)
    centre = (low + high) / 2
    axes = camera.axes[:2]
    if not turning:
        flat = points_mm @ axes.T
        centre = centre + ((flat.min(axis=0) + flat.max(axis=0)) / 2 - centre @ axes.T) @ axes
    radius = max(float(np.linalg.norm(points_mm - centre, axis=1).max()), 1e-3) * 1.001
    room = np.maximum(np.array(size) / 2 - margins_px, 0.5)
    if turning:
        # With perspective, the ball's rim is seen a little larger than the ball is.
        grown = 1 / math.cos(math.radians(_ANGLE_DEG / 2)) if camera.perspective else 1.0
        per_px = radius * grown / float(room.min())
    else:
        seen = Projection(camera, centre, 1.0, (0, 0), radius).project(points_mm)[:, :2]
        per_px = max(float((np.abs(seen).max(axis=0) / room).max()), 1e-6)
    return Projection(camera, centre, per_px / camera.zoom, size, radius)
