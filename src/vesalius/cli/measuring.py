"""The measures of ``vesalius measure`` one by one: the columns and rows that each adds, what a report says of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from vesalius.image import LabelMap, Quantity, Size, Volume
    from vesalius.metrics.partial_volume import PartialVolume


@dataclass(frozen=True)
class Further:
    """What was measured besides sizes; it is filled measure by measure.

    Args:
        sizes: Those that are known, with quantities for a report, and those of an organ's parts.
        columns: By structure, by name.
        tables: Rows by the name of a table.
        quantities: By structure, what a report tells besides its size.
        groups: Further groups of a report: branches, distances.
    """

    sizes: tuple[Size, ...] = ()
    columns: dict[str, dict[str, float | None]] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    quantities: dict[str, list[Quantity]] = field(default_factory=dict)
    groups: list[Size] = field(default_factory=list)


def add_shapes(found: Further, labels: LabelMap, image: Volume | None) -> None:
    """The IBSI's features of shape."""
    from vesalius.metrics.shape import measure_shapes

    for name, shape in measure_shapes(labels, image).items():
        found.columns[name] |= shape.row()
        found.quantities[name] += shape.quantities()


def add_surfaces(found: Further, labels: LabelMap, probabilities: Volume | None) -> None:
    """Volume and area of the surfaces that ``vesalius mesh`` draws: smoothed, and through probabilities."""
    from vesalius.mesh import extract
    from vesalius.report.quantities import surface_quantities

    kinds: tuple[tuple[Literal["smooth", "subvoxel"], Volume | None], ...] = (("smooth", None),)
    if probabilities is not None:
        kinds += (("subvoxel", probabilities),)
    for how, chances in kinds:
        drawn = extract(labels, probabilities=chances)
        for name in labels.labels.targets():
            surface = drawn.of(name)
            found.columns[name] |= {f"{how}_volume_ml": surface.volume_ml, f"{how}_area_mm2": surface.area_mm2}
            if not surface.is_empty:
                found.quantities[name] += surface_quantities(surface.volume_ml, surface.area_mm2, how)


def add_statistics(
    found: Further, labels: LabelMap, image: Volume, sizes: tuple[Size, ...], active: dict[str, float]
) -> None:
    """Statistics of the image's values, and what is active."""
    from vesalius.metrics.uptake import measure_uptake
    from vesalius.report.quantities import uptake_quantities

    for uptake, size in zip(measure_uptake(labels, image, **active), sizes, strict=True):
        found.columns[uptake.name] |= uptake.row()
        found.quantities[uptake.name] += uptake_quantities(uptake, size)


def add_thickness(found: Further, labels: LabelMap) -> None:
    """Mean and largest local thickness."""
    from vesalius.metrics.size import structures
    from vesalius.metrics.thickness import local_thickness_mm
    from vesalius.report.quantities import thickness_quantities

    for name, _, _, mask in structures(labels):
        thick = local_thickness_mm(mask, labels.grid)[mask]
        mean, most = (float(thick.mean()), float(thick.max())) if thick.size else (None, None)
        found.columns[name] |= {"mean_thickness_mm": mean, "largest_thickness_mm": most}
        if mean is not None and most is not None:
            found.quantities[name] += thickness_quantities(mean, most)


def add_soft_edges(found: Further, labels: LabelMap, image: Volume) -> None:
    """The volume by the image; none of a structure of which the image cannot tell it."""
    import numpy as np

    from vesalius.errors import DataError
    from vesalius.metrics.partial_volume import volume_of_image
    from vesalius.metrics.size import structures

    for name, _, box, mask in structures(labels):
        wide = tuple(
            slice(max(side.start - 5, 0), min(side.stop + 5, n)) for side, n in zip(box, image.grid.shape, strict=True)
        )
        around = [(s.start - w.start, w.stop - s.stop) for s, w in zip(box, wide, strict=True)]
        try:
            volume = volume_of_image(np.pad(mask, around), image.array[0][wide], labels.grid)
        except DataError:
            volume = None
        _add_volume(found, name, "soft edge", volume)


def add_expected(found: Further, labels: LabelMap, probabilities: Volume) -> None:
    """The volume that probabilities lead to expect."""
    from vesalius.metrics.partial_volume import volume_of_probabilities

    names = [label.value for label in labels.labels.labels]
    for name, members in labels.labels.targets().items():
        own = probabilities.array[[1 + names.index(member) for member in members]].sum(axis=0, dtype="float64")
        _add_volume(found, name, "expected", volume_of_probabilities(own.clip(0, 1), labels.grid))


def add_wall(found: Further, labels: LabelMap, wall: str, cavity: str | None, *, in_slices: bool) -> None:
    """How thick a wall is; nothing of one without a voxel."""
    from vesalius.metrics.thickness import wall_thickness
    from vesalius.report.quantities import wall_quantities

    if _is_empty(labels, wall):
        found.columns[wall] |= {f"wall_{name}_mm": None for name in ("mean", "sd", "minimum", "maximum")}
        return
    thick = wall_thickness(labels, wall, cavity, within="slices" if in_slices else "space")
    values = {"mean": thick.mean_mm, "sd": thick.sd_mm, "minimum": thick.minimum_mm, "maximum": thick.maximum_mm}
    found.columns[wall] |= {f"wall_{name}_mm": value for name, value in values.items()}
    found.quantities[wall] += wall_quantities(thick)


def add_promises(found: Further, sizes: tuple[Size, ...], bundle: str) -> None:
    """Between which sizes the true ones are promised to lie."""
    from vesalius.cli.promised import promised_columns
    from vesalius.report.quantities import promised_quantity

    of_name = {size.name: size for size in sizes}
    for name, row in promised_columns(bundle, sizes).items():
        found.columns[name] |= row
        low, high, level = row.values()
        if low is not None and high is not None and level is not None:
            quantity = promised_quantity(of_name[name], low, high, level)
            found.quantities[name] += [] if quantity is None else [quantity]


def add_branches(found: Further, labels: LabelMap, names: list[str]) -> None:
    """A row for each branch of tubes."""
    from vesalius.metrics.branches import centre_lines
    from vesalius.metrics.size import structures
    from vesalius.report.quantities import branch_sizes

    for name in names:
        labels.labels.members(name)  # words what is wrong with a name that it does not know
    codes = {label.name: label.code for label in labels.labels.labels}
    rows = found.tables["branches"] = []
    for name, _, box, mask in structures(labels):
        if name not in names or not mask.any():
            continue
        branches = centre_lines(mask, labels.grid.crop([side.start for side in box], mask.shape))
        found.groups.extend(branch_sizes(name, branches, code=codes.get(name)))
        for number, branch in enumerate(branches, start=1):
            row = {"name": name, "branch": number, "start": branch.start, "end": branch.end}
            row |= {"length_mm": branch.length_mm, "tortuosity": branch.tortuosity}
            row |= {"mean_diameter_mm": branch.mean_diameter_mm}
            row |= {"smallest_diameter_mm": float(branch.diameters_mm.min())}
            row |= {"largest_diameter_mm": float(branch.diameters_mm.max())}
            row |= {"points_mm": branch.points_mm.round(3).tolist()}
            rows.append({**row, "diameters_mm": branch.diameters_mm.round(3).tolist()})


def add_distances(found: Further, labels: LabelMap, pairs: list[list[str]]) -> None:
    """A row for each pair of structures; without a distance, where one of both has no voxel."""
    from vesalius.metrics.clearance import clearance
    from vesalius.report.quantities import distance_size

    rows = found.tables["distances"] = []
    nowhere = (None,) * labels.grid.ndim
    for one, other in pairs:
        if {name for name in (one, other) if _is_empty(labels, name)}:  # which looks at both names
            row = {"one": one, "other": other, "distance_mm": None}
            rows.append({**row, "point_mm": nowhere, "other_point_mm": nowhere})
            continue
        nearest = clearance(labels, one, other)
        rows.append(asdict(nearest))
        found.groups.append(distance_size(nearest))


def _is_empty(labels: LabelMap, name: str) -> bool:
    import numpy as np

    return not np.isin(labels.array, labels.labels.members(name)).any()


def _add_volume(found: Further, name: str, how: Literal["soft edge", "expected"], volume: PartialVolume | None) -> None:
    from vesalius.report.quantities import volume_quantity

    kind = how.replace(" ", "_")
    fields = ("volume_ml", "low_ml", "high_ml")
    found.columns[name] |= {f"{kind}_{one}": None if volume is None else getattr(volume, one) for one in fields}
    if volume is not None and volume.volume_ml:
        found.quantities[name].append(volume_quantity(volume, how))
