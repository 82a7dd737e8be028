"""The shape of a structure in numbers: the morphological features of the IBSI."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from vesalius.errors import DataError, GeometryError
from vesalius.image import Code, Grid, LabelMap, Quantity, Volume
from vesalius.metrics.autocorrelation import autocorrelation
from vesalius.metrics.enclosing import ellipsoid_area_mm2, smallest_box_mm, smallest_ellipsoid_mm
from vesalius.metrics.feret import hull_of, longest_mm, shortest_mm
from vesalius.metrics.size import structures
from vesalius.metrics.surfels import neighbour_codes, shares_inside, surfel_sizes

_FEATURES = {  # field: code of the IBSI, its meaning in DICOM (PS3.16 CID 7477), unit by UCUM
    "mesh_volume_ml": ("RNU0", "Volume of Mesh", "cm3"),
    "surface_area_mm2": ("C0JK", "Surface Area of Mesh", "mm2"),
    "surface_to_volume_per_mm": ("2PR5", "Surface to Volume Ratio", "/mm"),
    "compactness_1": ("SKGS", "Compactness 1", "1"),
    "compactness_2": ("BQWJ", "Compactness 2", "1"),
    "spherical_disproportion": ("KRCK", "Spherical Disproportion", "1"),
    "sphericity": ("QCFX", "Sphericity", "1"),
    "asphericity": ("25C7", "Asphericity", "1"),
    "centre_of_mass_shift_mm": ("KLMA", "Centre of Mass Shift", "mm"),
    "longest_diameter_mm": ("L0JK", "Maximum 3D Diameter of a Mesh", "mm"),
    "major_axis_mm": ("TDIC", "Major Axis in 3D Length", "mm"),
    "minor_axis_mm": ("P9VJ", "Minor Axis in 3D Length", "mm"),
    "least_axis_mm": ("7J51", "Least Axis in 3D Length", "mm"),
    "elongation": ("Q3CK", "Elongation", "1"),
    "flatness": ("N17B", "Flatness", "1"),
    "volume_density_box": ("PBX1", "Volume Density in Frame of Reference Axis Aligned Bounding Box", "1"),
    "area_density_box": ("R59B", "Area Density in Frame of Reference Axis Aligned Bounding Box", "1"),
    "volume_density_smallest_box": ("ZH1A", "Volume Density in Oriented Minimum Bounding Box", "1"),
    "area_density_smallest_box": ("IQYR", "Area Density in Oriented Minimum Bounding Box", "1"),
    "volume_density_ellipsoid": ("6BDE", "Volume Density in Approximate Enclosing Ellipsoid", "1"),
    "area_density_ellipsoid": ("RDD2", "Area Density in Approximate Enclosing Ellipsoid", "1"),
    "volume_density_smallest_ellipsoid": ("SWZ1", "Volume Density in Minimum Volume Enclosing Ellipsoid", "1"),
    "area_density_smallest_ellipsoid": ("BRI8", "Area Density in Minimum Volume Enclosing Ellipsoid", "1"),
    "volume_density_hull": ("R3ER", "Volume Density in Convex Hull", "1"),
    "area_density_hull": ("7T7F", "Area Density in Convex Hull", "1"),
    "integrated_intensity": ("99N0", "Integrated Intensity", "1"),
    "moran_i": ("N365", "Moran's I Index", "1"),
    "geary_c": ("NPT7", "Geary's C Measure", "1"),
}


@dataclass(frozen=True)
class Shape:
    """The morphological features of a structure, as the IBSI defines them, and two that it does not.

    What has no value is ``None``: features of an image without one, ratios whose denominator is 0 (the ellipsoid of a
    structure that is one voxel thin is flat).

    Args:
        mesh_volume_ml: Inside the surface that marching cubes draws half-way between voxels inside and outside. The
            volume of the voxels is in `vesalius.image.Size`.
        surface_area_mm2: Of this surface.
        surface_to_volume_per_mm: Their ratio.
        compactness_1: ``V / (√π A^1.5)``; 1 / (6π) for a sphere.
        compactness_2: ``36π V² / A³``; 1 for a sphere, as for sphericity.
        spherical_disproportion: Its cube root's inverse.
        sphericity: The area of the sphere of the same volume ÷ that of the structure: at most 1.
        asphericity: Spherical disproportion less 1.
        centre_of_mass_shift_mm: From the centre of the voxels to the same weighted with the image's values.
        longest_diameter_mm: The largest distance between two points of the surface (Feret's).
        shortest_diameter_mm: The least distance of two parallel planes around it; not of the IBSI.
        major_axis_mm: 4 √λ of the largest principal component of its voxels: an ellipsoid's longest axis is this long.
        minor_axis_mm: Of the second.
        least_axis_mm: Of the third.
        elongation: Minor ÷ major axis.
        flatness: Least ÷ major axis.
        volume_density_box: Volume ÷ that of the box along the axes of the image.
        area_density_box: Area ÷ its area; so all others.
        volume_density_smallest_box: Of the smallest box in any position.
        area_density_smallest_box: Its area.
        volume_density_ellipsoid: Of the ellipsoid of the principal axes.
        area_density_ellipsoid: Its area.
        volume_density_smallest_ellipsoid: Of the smallest ellipsoid around it.
        area_density_smallest_ellipsoid: Its area.
        volume_density_hull: Of the convex hull: 1 for what has no bays.
        area_density_hull: Its area.
        integrated_intensity: Mean value x mesh volume in mm³.
        moran_i: Whether near values are alike: towards 1.
        geary_c: The same, near 0; 1 where near values are no more alike than any.
        centre_mm: The centre of its voxels, LPS.
        principal_axes: Unit vectors along major, minor and least axis, LPS; not of the IBSI.
    """

    mesh_volume_ml: float
    surface_area_mm2: float
    surface_to_volume_per_mm: float
    compactness_1: float
    compactness_2: float
    spherical_disproportion: float
    sphericity: float
    asphericity: float
    centre_of_mass_shift_mm: float | None
    longest_diameter_mm: float
    shortest_diameter_mm: float
    major_axis_mm: float
    minor_axis_mm: float
    least_axis_mm: float
    elongation: float | None
    flatness: float | None
    volume_density_box: float
    area_density_box: float
    volume_density_smallest_box: float
    area_density_smallest_box: float
    volume_density_ellipsoid: float | None
    area_density_ellipsoid: float | None
    volume_density_smallest_ellipsoid: float
    area_density_smallest_ellipsoid: float
    volume_density_hull: float
    area_density_hull: float
    integrated_intensity: float | None
    moran_i: float | None
    geary_c: float | None
    centre_mm: tuple[float, float, float]
    principal_axes: tuple[tuple[float, float, float], ...]

    def quantities(self) -> tuple[Quantity, ...]:
        """The features that have a value as a report holds them, with the IBSI's codes."""
        found = [
            Quantity(Code("IBSI", code, name), value, unit)
            for field, (code, name, unit) in _FEATURES.items()
            if (value := getattr(self, field)) is not None
        ]
        shortest = Code("99VESALIUS", "SHORTEST_DIAMETER", "Minimum 3D diameter")
        return (*found, Quantity(shortest, self.shortest_diameter_mm, "mm"))

    def row(self) -> dict[str, float | None]:
        """Its numbers by their names, without the vectors.

        Example:
            >>> shape = shape_of(np.ones((4, 3, 2), bool), Grid.from_spacing((4, 3, 2), (1.0, 1.0, 1.0)))
            >>> round(shape.row()["mesh_volume_ml"], 4)
            0.0202
        """
        numbers = [field.name for field in fields(self) if field.name not in ("centre_mm", "principal_axes")]
        return {name: getattr(self, name) for name in numbers}


def shape_of(mask: NDArray[np.bool_], grid: Grid, values: NDArray[np.generic] | None = None) -> Shape:
    """Measure the shape of a structure.

    The mesh is that of marching cubes, of which only area, volume and vertices are wanted: each corner cell between
    eight voxels has its own, by its pattern of voxels inside and outside. Holes count as holes.

    Args:
        mask: 3D, the whole of the structure; it may be cut out of an image, for what lies beyond is outside.
        grid: On which the mask lies: that of the image, or of the part that was cut out (`Grid.crop`).
        values: Of an image, of the mask's shape, for the features that need one.

    Raises:
        GeometryError: The mask is not 3D.
        DataError: It has no voxel, the values have another shape, or one inside is not finite.

    Example:
        >>> grid = Grid.from_spacing((40, 40, 22), (1.0, 1.0, 2.0))
        >>> far = np.linalg.norm(grid.to_points(np.moveaxis(np.indices(grid.shape), 0, -1)) - (20, 20, 21), axis=-1)
        >>> ball = shape_of(far < 15, grid)
        >>> round(ball.longest_diameter_mm), round(ball.mesh_volume_ml, 1), round(ball.volume_density_hull, 1)
        (32, 13.9, 1.0)

    Source: IBSI, Zwanenburg et al., Radiology 295:328 (2020), doi:10.1148/radiol.2020191145, and its manual,
    arXiv:1612.07003; checked against the values of its digital phantom, and against PyRadiomics' published ones.
    """
    if mask.ndim != 3 or grid.ndim != 3:
        raise GeometryError(f"a shape is that of a volume, and this mask is {mask.ndim}D")
    if not mask.any():
        raise DataError("there is no voxel: nothing has no shape")
    if values is not None and values.shape != mask.shape:
        raise DataError(f"the values are {values.shape}, and the mask is {mask.shape}")
    step = grid.affine[:3, :3]
    codes = np.bincount(neighbour_codes(np.pad(mask, 1).view(np.uint8)).ravel(), minlength=256)
    volume = float(codes @ shares_inside()) * grid.voxel_volume_mm3
    area = float(codes @ surfel_sizes(step))
    round_area = float(np.cbrt(36 * np.pi * volume**2))
    hull = hull_of(mask, grid)
    box = _box_mm(hull.points, grid)
    smallest, ellipsoid = smallest_box_mm(hull), smallest_ellipsoid_mm(hull)
    if np.prod(box) < np.prod(smallest):  # it stands on no face of the hull, and is smaller still
        smallest = box
    places = grid.to_points(np.argwhere(mask))
    centre, axes, directions = _principal(places)
    flat = axes[2] <= 1e-6 * axes[0]
    level = None if values is None else np.asarray(values[mask], np.float64)
    if level is not None and not np.isfinite(level).all():
        raise DataError("a value inside the structure is not finite")
    moran, geary = (None, None) if values is None else autocorrelation(mask, values, grid)
    return Shape(
        mesh_volume_ml=volume / 1000,
        surface_area_mm2=area,
        surface_to_volume_per_mm=area / volume,
        compactness_1=volume / (np.sqrt(np.pi) * area**1.5),
        compactness_2=36 * np.pi * volume**2 / area**3,
        spherical_disproportion=area / round_area,
        sphericity=round_area / area,
        asphericity=area / round_area - 1,
        centre_of_mass_shift_mm=None if level is None else _shift_mm(places, centre, level),
        longest_diameter_mm=longest_mm(hull.points[hull.vertices]),
        shortest_diameter_mm=shortest_mm(hull),
        major_axis_mm=axes[0],
        minor_axis_mm=axes[1],
        least_axis_mm=axes[2],
        elongation=axes[1] / axes[0] if axes[0] else None,
        flatness=axes[2] / axes[0] if axes[0] else None,
        volume_density_box=volume / float(np.prod(box)),
        area_density_box=area / _box_area(box),
        volume_density_smallest_box=volume / float(np.prod(smallest)),
        area_density_smallest_box=area / _box_area(smallest),
        volume_density_ellipsoid=None if flat else volume / (np.pi / 6 * float(np.prod(axes))),
        area_density_ellipsoid=area / ellipsoid_area_mm2(*(axis / 2 for axis in axes)) if axes[1] else None,
        volume_density_smallest_ellipsoid=volume / (4 / 3 * np.pi * float(np.prod(ellipsoid))),
        area_density_smallest_ellipsoid=area / ellipsoid_area_mm2(*ellipsoid),
        volume_density_hull=volume / float(hull.volume),
        area_density_hull=area / float(hull.area),
        integrated_intensity=None if level is None else volume * float(level.mean()),
        moran_i=moran,
        geary_c=geary,
        centre_mm=(float(centre[0]), float(centre[1]), float(centre[2])),
        principal_axes=tuple((float(x), float(y), float(z)) for x, y, z in directions),
    )


def measure_shapes(labels: LabelMap, image: Volume | None = None) -> dict[str, Shape]:
    """Measure the shape of every label and region that has a voxel.

    Args:
        labels: 3D.
        image: On the same grid, of one channel, for the features that need one.

    Raises:
        GeometryError: The map is not 3D, or the image lies on another grid.
        DataError: The image has several channels, or a value in a structure is not finite.

    Example:
        >>> from vesalius.image import Labels
        >>> grid = Grid.from_spacing((8, 8, 8), (1.0, 1.0, 1.0))
        >>> cube = LabelMap(np.pad(np.ones((4, 4, 4), int), 2), grid, Labels.of({"cube": 1, "none": 2}))
        >>> {name: round(shape.longest_diameter_mm, 2) for name, shape in measure_shapes(cube).items()}
        {'cube': 5.83}
    """
    if labels.grid.ndim != 3:
        raise GeometryError(f"a shape is that of a volume, and these labels are {labels.grid.ndim}D")
    if image is not None and not image.grid.is_close(labels.grid, tolerance_mm=0.01):
        raise GeometryError("the image lies on another grid than the labels: resample it first")
    if image is not None and image.channels != 1:
        raise DataError(f"the image has {image.channels} channels, and values are measured in one: choose it first")
    found = {}
    for name, _, box, mask in structures(labels):
        if mask.any():
            own = labels.grid.crop([side.start for side in box], mask.shape)
            found[name] = shape_of(mask, own, None if image is None else image.array[0][box])
    return found


def _box_mm(points: NDArray[np.float64], grid: Grid) -> tuple[float, float, float]:
    """The edges of the box along the image's axes; along those of space where the image is sheared."""
    frame = grid.direction if grid.is_orthogonal else np.eye(3)
    x, y, z = np.ptp(points @ frame, axis=0)
    return float(x), float(y), float(z)


def _box_area(box: tuple[float, float, float]) -> float:
    a, b, c = box
    return 2 * (a * b + b * c + c * a)


def _principal(
    places: NDArray[np.float64],
) -> tuple[NDArray[np.float64], tuple[float, float, float], NDArray[np.float64]]:
    """Centre, lengths of the principal axes, the longest first, and their directions, a row each.

    A direction is given the sign with which its largest component is positive. Variances are those of a sample (n - 1):
    so the IBSI's values are, and PyRadiomics' lengths are √(1 - 1/n) of these.
    """
    centre = places.mean(axis=0)
    offset = places - centre
    variances, ways = np.linalg.eigh(offset.T @ offset / max(len(places) - 1, 1))
    first, second, third = (float(4 * np.sqrt(max(variance, 0.0))) for variance in variances[::-1])
    rows = ways.T[::-1]
    signs = np.sign(rows[np.arange(3), np.abs(rows).argmax(axis=1)])
    return centre, (first, second, third), rows * signs[:, None]


def _shift_mm(places: NDArray[np.float64], centre: NDArray[np.float64], level: NDArray[np.float64]) -> float | None:
    total = float(level.sum())
    if abs(total) <= 1e-9 * float(np.abs(level).sum()) or total == 0:
        return None
    return float(np.linalg.norm(level @ (places - centre) / total))
