"""What ``vesalius measure`` tells on demand: shape, statistics, thickness, tubes, distances, parts of an organ."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vesalius.image import LabelMap, Quantity, Size, Volume
    from vesalius.metrics.partial_volume import PartialVolume


@dataclass(frozen=True)
class Further:
    """What was measured besides sizes.

    Args:
        sizes: Those that are known, with quantities for a report, and those of an organ's parts.
        columns: By structure, by name.
        tables: Rows by the name of a table.
    """

    sizes: tuple[Size, ...]
    columns: dict[str, dict[str, float | None]] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def add_further(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    group = parser.add_argument_group("more measures")
    group.add_argument("--shape", action="store_true", help="the IBSI's features of shape, diameters in space (3D)")
    group.add_argument(
        "--statistics", action="store_true", help="of the image's values percentiles, peak, active volume, glycolysis"
    )
    group.add_argument(
        "--active-above",
        metavar="VALUE",
        help="what counts as active for --statistics: a value, or a share of the structure's maximum such as 41%%",
    )
    group.add_argument(
        "--soft-edge", action="store_true", help="the volume by the greys of the border in --image, with an interval"
    )
    group.add_argument(
        "--probabilities",
        metavar="FILE",
        help="background and each label, as `vesalius segment --probabilities` writes them: the volume to be expected",
    )
    group.add_argument(
        "--thickness", action="store_true", help="mean and largest local thickness: balls that fit into the structure"
    )
    group.add_argument(
        "--wall", metavar="NAME", help="how thick this wall is, around --cavity or else around all that it encloses"
    )
    group.add_argument(
        "--in-slices", action="store_true", help="measure the wall within slices: it is open, as a ventricle's is"
    )
    group.add_argument(
        "--tubes", metavar="NAME", action="append", help="centre lines of vessels or airways: branches, diameters"
    )
    group.add_argument(
        "--distance", metavar=("ONE", "OTHER"), nargs=2, action="append", help="the smallest, and between which points"
    )
    group.add_argument(
        "--calibration",
        metavar="BUNDLE",
        help="the segmenter that made LABELS: between which sizes it promises the true ones to lie",
    )
    group.add_argument("--planes", metavar="FILE", help="divide an organ by the planes in this JSON file")


def check_further(args: argparse.Namespace) -> None:
    """Refuse what does not go before anything is read."""
    from vesalius.errors import DataError, FormatError

    if args.statistics and args.image is None:
        raise DataError("--statistics are those of an image's values: name it with --image")
    if args.active_above is not None:
        if not args.statistics:
            raise DataError("--active-above is what --statistics count as active")
        _threshold(args.active_above)
    if args.soft_edge and args.image is None:
        raise DataError("--soft-edge is that of an image: name it with --image")
    if args.in_slices and args.wall is None:
        raise DataError("--in-slices says how a wall is measured: it wants --wall")
    if args.output and Path(args.output).suffix.lower() == ".dcm" and (args.tubes or args.distance):
        raise FormatError(f"{Path(args.output).name}: branches and distances are written as .json or .csv")


def measure_further(
    args: argparse.Namespace, labels: LabelMap, image: Volume | None, sizes: tuple[Size, ...]
) -> Further:
    """Measure what was asked for."""
    from vesalius.metrics.size import measure

    maps = [(labels, sizes)]
    if args.planes is not None:
        from vesalius.transform.division import divide

        parts = divide(labels, args.planes)
        maps.append((parts, measure(parts, image)))
    found = Further(())
    for part, own in maps:
        found.columns.update({size.name: {} for size in own})
        more = {size.name: list(size.others) for size in own}
        if args.shape:
            _add_shapes(found, more, part, image)
        if args.statistics and image is not None:
            _add_statistics(found, more, part, image, args.active_above, {size.name: size for size in own})
        if args.thickness:
            _add_thickness(found, part)
        if args.soft_edge and image is not None:
            _add_soft_edges(found, part, image)
        if args.probabilities is not None and part is labels:
            _add_expected(found, args.probabilities, labels)
        if args.wall is not None and part is labels:
            _add_wall(found, more, args, part)
        found = replace(found, sizes=(*found.sizes, *(replace(one, others=tuple(more[one.name])) for one in own)))
    if args.calibration is not None:
        from vesalius.cli.promised import promised_columns

        for name, row in promised_columns(args.calibration, sizes).items():
            found.columns[name] |= row
    if args.tubes:
        found.tables["branches"] = _branches(args.tubes, labels)
    if args.distance:
        found.tables["distances"] = _distances(args.distance, labels)
    return found


def write_tables(further: Further, path: str) -> list[str]:
    """Write each table as CSV beside the one of sizes, and tell the names."""
    from vesalius.report.tables import write_rows

    written = []
    for name, rows in further.tables.items():
        where = Path(path).with_name(f"{Path(path).stem}-{name}.csv")
        flat = [_flat(row) for row in rows]
        write_rows([tuple(flat[0]), *(row.values() for row in flat)] if flat else [("name",)], where)
        written.append(str(where))
    return written


def print_further(further: Further) -> None:
    """Print what was measured below the table of sizes."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    told = {name: row for name, row in further.columns.items() if any(value is not None for value in row.values())}
    if told:
        table = Table("", *told, box=None, pad_edge=False)
        for name in dict.fromkeys(name for row in told.values() for name, value in row.items() if value is not None):
            table.add_row(name, *(_shown(row.get(name)) for row in told.values()))
        console.print(table)
    for title, rows in further.tables.items():
        if not rows:
            console.print(f"{title}: none")
            continue
        shown = [{key: value for key, value in row.items() if key not in ("points_mm", "diameters_mm")} for row in rows]
        table = Table(*shown[0], title=title, title_justify="left", box=None, pad_edge=False)
        for row in shown:
            table.add_row(*(_shown(value) for value in row.values()))
        console.print(table)


def _add_shapes(found: Further, more: dict[str, list[Quantity]], labels: LabelMap, image: Volume | None) -> None:
    from vesalius.metrics.shape import measure_shapes

    for name, shape in measure_shapes(labels, image).items():
        found.columns[name] |= shape.row()
        more[name] += shape.quantities()


def _add_statistics(
    found: Further,
    more: dict[str, list[Quantity]],
    labels: LabelMap,
    image: Volume,
    active: str | None,
    sizes: dict[str, Size],
) -> None:
    from vesalius.image import Code, Quantity
    from vesalius.io.dicom.report import brightness
    from vesalius.metrics.uptake import measure_uptake

    median, peak = Code("SCT", "373099004", "Median"), Code("DCM", "126031", "Peak Value Within ROI")
    for uptake in measure_uptake(labels, image, **({} if active is None else _threshold(active))):
        found.columns[uptake.name] |= uptake.row()
        if uptake.percentiles is not None:
            more[uptake.name].append(brightness(sizes[uptake.name], uptake.percentiles[3], derivation=median))
        if uptake.peak is not None:
            more[uptake.name].append(brightness(sizes[uptake.name], uptake.peak, derivation=peak))
        if (image.meta.modality, image.meta.unit) == ("PT", "g/ml"):
            for code, value, unit in (
                (Code("DCM", "126032", "Metabolic Volume"), uptake.active_volume_ml, "cm3"),
                (Code("DCM", "126033", "Total Lesion Glycolysis"), uptake.glycolysis, "g"),
            ):
                more[uptake.name] += [] if value is None else [Quantity(code, value, unit)]


def _add_thickness(found: Further, labels: LabelMap) -> None:
    from vesalius.metrics.size import structures
    from vesalius.metrics.thickness import local_thickness_mm

    for name, _, _, mask in structures(labels):
        thick = local_thickness_mm(mask, labels.grid)[mask]
        mean, most = (float(thick.mean()), float(thick.max())) if thick.size else (None, None)
        found.columns[name] |= {"mean_thickness_mm": mean, "largest_thickness_mm": most}


def _add_soft_edges(found: Further, labels: LabelMap, image: Volume) -> None:
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
        found.columns[name] |= _volume_row("soft_edge", volume)


def _add_expected(found: Further, path: str, labels: LabelMap) -> None:
    from vesalius.errors import DataError, GeometryError
    from vesalius.io import read
    from vesalius.metrics.partial_volume import volume_of_probabilities

    chances = read(path)
    names = [label.value for label in labels.labels.labels]
    if chances.channels != 1 + len(names):
        raise DataError(f"{Path(path).name}: has {chances.channels} channels, not background and {len(names)} labels")
    if not chances.grid.is_close(labels.grid, tolerance_mm=0.01):
        raise GeometryError(f"{Path(path).name}: the probabilities lie on another grid than the labels")
    for name, members in labels.labels.targets().items():
        own = chances.array[[1 + names.index(member) for member in members]].sum(axis=0, dtype="float64")
        found.columns[name] |= _volume_row("expected", volume_of_probabilities(own.clip(0, 1), labels.grid))


def _volume_row(kind: str, volume: PartialVolume | None) -> dict[str, float | None]:
    names = ("volume_ml", "low_ml", "high_ml")
    return {f"{kind}_{name}": None if volume is None else getattr(volume, name) for name in names}


def _add_wall(found: Further, more: dict[str, list[Quantity]], args: argparse.Namespace, labels: LabelMap) -> None:
    from vesalius.image import Code, Quantity
    from vesalius.metrics.thickness import wall_thickness

    wall = wall_thickness(labels, args.wall, args.cavity, within="slices" if args.in_slices else "space")
    values = {"mean": wall.mean_mm, "sd": wall.sd_mm, "minimum": wall.minimum_mm, "maximum": wall.maximum_mm}
    found.columns[wall.name] |= {f"wall_{name}_mm": value for name, value in values.items()}
    concept = Code("99VESALIUS", "WALL_THICKNESS", "Wall thickness")
    how = {
        "mean": Code("SCT", "373098007", "Mean"),
        "sd": Code("SCT", "386136009", "Standard Deviation"),
        "minimum": Code("SCT", "255605001", "Minimum"),
        "maximum": Code("SCT", "56851009", "Maximum"),
    }
    more[wall.name] += [Quantity(concept, value, "mm", how[name]) for name, value in values.items()]


def _branches(names: list[str], labels: LabelMap) -> list[dict[str, Any]]:
    from vesalius.metrics.branches import centre_lines
    from vesalius.metrics.size import structures

    for name in names:
        labels.labels.members(name)  # words what is wrong with a name that it does not know
    rows = []
    for name, _, box, mask in structures(labels):
        if name not in names or not mask.any():
            continue
        own = labels.grid.crop([side.start for side in box], mask.shape)
        for number, branch in enumerate(centre_lines(mask, own), start=1):
            row = {"name": name, "branch": number, "start": branch.start, "end": branch.end}
            row |= {"length_mm": branch.length_mm, "tortuosity": branch.tortuosity}
            row |= {"mean_diameter_mm": branch.mean_diameter_mm}
            row |= {"smallest_diameter_mm": float(branch.diameters_mm.min())}
            row |= {"largest_diameter_mm": float(branch.diameters_mm.max())}
            row |= {"points_mm": branch.points_mm.round(3).tolist()}
            rows.append({**row, "diameters_mm": branch.diameters_mm.round(3).tolist()})
    return rows


def _distances(pairs: list[list[str]], labels: LabelMap) -> list[dict[str, Any]]:
    from dataclasses import asdict

    from vesalius.metrics.clearance import clearance

    return [asdict(clearance(labels, one, other)) for one, other in pairs]


def _threshold(text: str) -> dict[str, float]:
    """What counts as active, as arguments of `measure_uptake`."""
    from vesalius.errors import DataError

    try:
        if text.endswith("%"):
            return {"share_of_maximum": float(text[:-1]) / 100}
        return {"threshold": float(text)}
    except ValueError:
        raise DataError(f"--active-above is a value, or a share such as 41%, not {text!r}") from None


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (tuple, list)):
        return " ".join(f"{one:.1f}" for one in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row without lists: points as three cells; what has a value at each place of a line is in the JSON alone."""
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, tuple):
            flat |= {f"{key.removesuffix('_mm')}_{axis}_mm": one for axis, one in zip("xyz", value, strict=False)}
        elif not isinstance(value, list):
            flat[key] = value
    return flat
