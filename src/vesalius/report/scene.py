"""What a picture shows: an image, structures and surfaces in its space, and how they are looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vesalius.errors import DataError, GeometryError
from vesalius.image import Grid, LabelMap, Labels, Volume
from vesalius.image.labels import wheel
from vesalius.mesh.rendering.camera import letters
from vesalius.mesh.section import section
from vesalius.mesh.surface import Surface
from vesalius.report.display import grey, is_colour
from vesalius.report.panels import Line, Panel
from vesalius.transform.partition import Plane
from vesalius.transform.reorient import reorient
from vesalius.transform.screen import AXIS, CODES, Convention, Direction

Image = TypeVar("Image", Volume, LabelMap)


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and what is drawn over it; 3D ones are put in the order LPS.

    Args:
        volume: 2D or 3D.
        window: Values shown as black and as white.
        channel: The one that is shown; colour pictures show all three.
        fill: Labels that tint the image, on its grid.
        contour: Labels whose outlines are drawn, on its grid.
        hidden: Labels that are not drawn, on its grid; structures are looked for in them where no others are drawn.
        surfaces: Cut by the slices that are shown; 3D.
        convention: Where the patient's right is.
        inverted: Whether high values are dark, as PET is often shown.

    Raises:
        GeometryError: A label map lies on another grid, or surfaces are to be cut by a flat picture.
        DataError: The channel is not there, or the window is empty.
    """

    volume: Volume
    window: tuple[float, float]
    channel: int = 0
    fill: LabelMap | None = None
    contour: LabelMap | None = None
    hidden: LabelMap | None = None
    surfaces: tuple[Surface, ...] = ()
    convention: Convention = "radiological"
    inverted: bool = False

    def __post_init__(self) -> None:
        volume = self.volume
        for name, one in (("prediction", self.fill), ("reference", self.contour), ("label map", self.hidden)):
            if one is not None and not one.grid.is_close(volume.grid, tolerance_mm=0.1):
                raise GeometryError(
                    f"the {name} {one.grid.shape} lies on another grid than the image {volume.grid.shape}: resample it "
                    "first, with vesalius.transform.resample(labels, image.grid)"
                )
        if not 0 <= self.channel < volume.channels:
            raise DataError(f"channel must be 0 to {volume.channels - 1}, not {self.channel}")
        low, high = self.window
        if not low < high:
            raise DataError(f"the window must run from a lower to a higher value, not from {low} to {high}")
        if volume.grid.ndim == 2 and self.surfaces:
            raise GeometryError("surfaces are cut by the planes of a volume, and the image is a flat picture")
        object.__setattr__(self, "volume", reorient(volume))
        for field in ("fill", "contour", "hidden"):
            if (one := getattr(self, field)) is not None:
                object.__setattr__(self, field, reorient(one))

    @property
    def labels(self) -> Labels:
        """What the values of the label maps mean: those of the contour, if there is one."""
        for one in (self.contour, self.fill):
            if one is not None:
                return one.labels
        return Labels(())

    @property
    def drawn(self) -> LabelMap | None:
        """The labels in which structures are looked for: those that tint, if there are any."""
        return next((one for one in (self.fill, self.contour, self.hidden) if one is not None), None)

    def shown(self, values: NDArray[np.generic]) -> NDArray[np.float64]:
        """Values as they are displayed, 0 to 1."""
        found = grey(values, self.window)
        return 1.0 - found if self.inverted else found


def flat_panel(scene: Scene) -> Panel:
    """A 2D image as it is stored: index i to the right and j down. Where the patient's sides are, nothing tells."""
    volume = scene.volume
    values = volume.array.transpose(2, 1, 0) if is_colour(volume) else volume.array[scene.channel].T
    return Panel(
        "",
        scene.shown(values),
        (volume.grid.spacing_mm[1], volume.grid.spacing_mm[0]),
        ("", "", "", ""),
        None if scene.fill is None else scene.fill.array.T,
        None if scene.contour is None else scene.contour.array.T,
    )


def slice_at(x: Image, direction: Direction, index: int, convention: Convention) -> Image:
    """One slice of an image in the order LPS.

    Args:
        x: 3D.
        direction: Of the slice.
        index: Along its axis.
        convention: Where the patient's right is.

    Returns:
        The slice as a picture lies in space: axis 0 runs to the right of the picture, 1 down, 2 away from who looks, on
        which it is one voxel thick. Views, no copies.
    """
    axis = AXIS[direction]
    start: list[int] = [index if a == axis else 0 for a in range(3)]
    shape: list[int] = [1 if a == axis else n for a, n in enumerate(x.grid.shape)]
    cut: Any = (..., *(slice(a, a + n) for a, n in zip(start, shape, strict=True)))
    part = replace(x, array=x.array[cut], grid=x.grid.crop(start, shape))
    return reorient(part, CODES[convention][direction])


def panel_of(
    scene: Scene,
    name: str,
    part: Volume,
    *,
    fill: LabelMap | None,
    contour: LabelMap | None,
    cross_mm: ArrayLike | None = None,
) -> Panel:
    """A panel of what lies in a plane.

    Args:
        scene: Whose surfaces are cut.
        name: Of the panel.
        part: Of the image, axes as `slice_at` gives them.
        fill: Of the same grid.
        contour: Of the same grid.
        cross_mm: A point where hair lines cross, LPS.
    """
    grid = part.grid
    values = part.array[:, :, :, 0].transpose(2, 1, 0) if is_colour(part) else part.array[scene.channel, :, :, 0].T
    cross = None if cross_mm is None else on_panel(grid, np.asarray(cross_mm, np.float64)[None])[0]
    return Panel(
        name,
        scene.shown(values),
        (grid.spacing_mm[1], grid.spacing_mm[0]),
        letters_of(grid) if scene.volume.meta.calibrated else ("", "", "", ""),
        None if fill is None else fill.array[:, :, 0].T,
        None if contour is None else contour.array[:, :, 0].T,
        tuple(line for number, surface in enumerate(scene.surfaces) for line in _lines(surface, number, scene, grid)),
        None if cross is None else (float(cross[0]), float(cross[1])),
    )


def on_panel(grid: Grid, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where points ``(n, 3)``, LPS, lie on a picture: mm right and down from its upper left corner, ``(n, 2)``."""
    places: NDArray[np.float64] = (grid.to_index(points)[:, :2] + 0.5) * np.asarray(grid.spacing_mm[:2])
    return places


def plane_of(grid: Grid) -> Plane:
    """The plane of a picture; its normal points away from who looks."""
    middle = grid.to_points((np.asarray(grid.shape) - 1) / 2)
    normal = np.cross(grid.direction[:, 0], grid.direction[:, 1])
    (x, y, z), (u, v, w) = (tuple(float(value) for value in one) for one in (middle, normal))
    return Plane((x, y, z), (u, v, w))


def letters_of(grid: Grid) -> tuple[str, str, str, str]:
    """The anatomical letters at the left, right, upper and lower border of a picture.

    A slanted border has two or three letters, the nearest first.

    Example:
        >>> letters_of(Grid.from_spacing((4, 4, 1), (1.0, 1.0, 1.0)))
        ('R', 'L', 'A', 'P')
    """
    ends = []
    for way in grid.direction[:, :2].T:
        ends += [letters(-way), letters(way)]
    return ends[0], ends[1], ends[2], ends[3]


def _lines(surface: Surface, number: int, scene: Scene, grid: Grid) -> list[Line]:
    # Surfaces without a colour of their own get those that come after the labels'.
    red, green, blue = surface.label.colour or wheel(len(scene.labels) + number)
    colour = (red / 255, green / 255, blue / 255)
    return [Line(surface.label.name, colour, on_panel(grid, cut)) for cut in section(surface, plane_of(grid))]
