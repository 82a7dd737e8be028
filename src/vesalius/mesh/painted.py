"""A surface with a number at each vertex, and the colours that show the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError
from vesalius.image import Label
from vesalius.mesh.colours import ColourScale, scale_for
from vesalius.mesh.surface import Surface

_LONGEST = 60
_LONGEST_UNIT = 16


@dataclass(frozen=True, eq=False)
class Painted:
    """A surface with a value at each vertex: a distance, a thickness, an uncertainty, a curvature.

    `vesalius.mesh.files.write_mesh` takes it where it takes a `Surface`, into the formats that hold values, and
    `vesalius.mesh.files.read_painted` reads it back. What draws surfaces takes `colours`, one for each vertex, and
    shows `scale` as a bar beside `name` and `unit`.

    Args:
        surface: The triangles; ``painted.surface.label`` says of what structure.
        values: ``(V,)``, one for each vertex of the surface; NaN where there is none. Kept as float64.
        name: What they are, in a few words: ``"distance to before"``.
        unit: As UCUM writes it, ``"mm"``; empty for a share or a factor.
        scale: Which colours they have: `paint` makes one that fits.

    Raises:
        DataError: There are not as many values as vertices, one is infinite, or the name is empty or longer than 60
            characters or of several lines.

    Example:
        >>> corners = [[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]]
        >>> tetrahedron = Surface(corners, [[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], Label("tetrahedron", 1))
        >>> scale = ColourScale(-2.0, 2.0, "diverging")
        >>> shown = Painted(tetrahedron, [-2.0, 0.0, 1.0, float("nan")], "distance to before", "mm", scale)
        >>> shown.colours[0].tolist(), shown.colours[3].tolist()
        ([40, 95, 186], [120, 120, 120])
    """

    surface: Surface
    values: NDArray[np.float64]
    name: str
    unit: str
    scale: ColourScale

    def __post_init__(self) -> None:
        values = np.array(self.values, np.float64)
        if values.shape != (len(self.surface.vertices),):
            raise DataError(
                f"values must be one for each of {len(self.surface.vertices)} vertices, not of shape {values.shape}"
            )
        if np.isinf(values).any():
            raise DataError("a value is infinite: where there is none it is NaN")
        if not self.name.strip() or len(self.name) > _LONGEST or not self.name.isprintable():
            raise DataError(f"values have a name of one line and at most {_LONGEST} characters")
        if len(self.unit) > _LONGEST_UNIT or not self.unit.isprintable() or " " in self.unit:
            raise DataError(f"a unit is one word of at most {_LONGEST_UNIT} characters, such as mm, or empty")
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    @property
    def label(self) -> Label:
        """The structure's."""
        return self.surface.label

    @property
    def is_empty(self) -> bool:
        """Whether the surface has no faces."""
        return self.surface.is_empty

    @cached_property
    def colours(self) -> NDArray[np.uint8]:
        """The colour of each vertex: ``(V, 3)``, RGB (sRGB), 0 to 255."""
        found = self.scale.colours(self.values)
        found.setflags(write=False)
        return found

    @property
    def title(self) -> str:
        """Name and unit, for the bar of colours: ``"distance to before (mm)"``."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


def paint(surface: Surface, values: NDArray[np.float64], *, name: str, unit: str) -> Painted:
    """A surface with values, on the scale that fits them: see `vesalius.mesh.colours.scale_for`.

    Args:
        surface: The triangles.
        values: ``(V,)``, one for each vertex; NaN where there is none.
        name: What they are, in a few words.
        unit: As UCUM writes it; empty for a share or a factor.

    Raises:
        DataError: As for `Painted`.

    Example:
        >>> corner = Surface(np.eye(3), [[0, 1, 2]], Label("corner", 1))
        >>> paint(corner, np.array([-1.0, 0.0, 3.0]), name="distance", unit="mm").scale.low
        -3.0
    """
    return Painted(surface, values, name, unit, scale_for(values))


def surface_of(one: Surface | Painted) -> Surface:
    """The triangles of either."""
    return one.surface if isinstance(one, Painted) else one
