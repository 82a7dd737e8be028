"""What ``vesalius measure`` tells on demand: shape, statistics, thickness, tubes, distances, parts of an organ."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.measuring import Further

if TYPE_CHECKING:
    from vesalius.image import LabelMap, Size, Volume


def add_further(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    group = parser.add_argument_group("more measures")
    group.add_argument("--shape", action="store_true", help="the IBSI's features of shape, diameters in space (3D)")
    group.add_argument(
        "--mesh",
        action="store_true",
        help="volume and area of the surfaces that `vesalius mesh` draws, from labels and from --probabilities",
    )
    group.add_argument(
        "--statistics", action="store_true", help="the IBSI's of the image's values, peaks, active volume, glycolysis"
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
    from vesalius.errors import DataError

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


def measure_further(
    args: argparse.Namespace, labels: LabelMap, image: Volume | None, sizes: tuple[Size, ...]
) -> Further:
    """Measure what was asked for."""
    from vesalius.cli import measuring
    from vesalius.metrics.size import measure

    chances = None if args.probabilities is None else _probabilities(args.probabilities, labels)
    maps = [(labels, sizes)]
    if args.planes is not None:
        from vesalius.transform.division import divide

        parts = divide(labels, args.planes)
        maps.append((parts, measure(parts, image)))
    found = Further()
    for part, own in maps:
        found.columns.update({size.name: {} for size in own})
        found.quantities.update({size.name: [] for size in own})
        if args.shape:
            measuring.add_shapes(found, part, image)
        if args.mesh:
            measuring.add_surfaces(found, part, chances if part is labels else None)
        if args.statistics and image is not None:
            active = {} if args.active_above is None else _threshold(args.active_above)
            measuring.add_statistics(found, part, image, own, active)
        if args.thickness:
            measuring.add_thickness(found, part)
        if args.soft_edge and image is not None:
            measuring.add_soft_edges(found, part, image)
    if chances is not None:
        measuring.add_expected(found, labels, chances)
    if args.wall is not None:
        measuring.add_wall(found, labels, args.wall, args.cavity, in_slices=args.in_slices)
    if args.calibration is not None:
        measuring.add_promises(found, sizes, args.calibration)
    if args.tubes:
        measuring.add_branches(found, labels, args.tubes)
    if args.distance:
        measuring.add_distances(found, labels, args.distance)
    every = [size for _, own in maps for size in own]
    return replace(found, sizes=tuple(replace(one, others=(*one.others, *found.quantities[one.name])) for one in every))


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
    names = list(dict.fromkeys(name for row in told.values() for name, value in row.items() if value is not None))
    for some in _beside(told, names, console.width):
        table = Table("", *some, box=None, pad_edge=False)
        table.columns[0].no_wrap = True
        for name in names:
            table.add_row(name, *(_shown(told[one].get(name)) for one in some))
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


def _probabilities(path: str, labels: LabelMap) -> Volume:
    """Those of the background and each label, on the grid of the labels."""
    from vesalius.errors import DataError, GeometryError
    from vesalius.io import read

    chances = read(path)
    count = len(labels.labels.labels)
    if chances.channels != 1 + count:
        raise DataError(f"{Path(path).name}: has {chances.channels} channels, not background and {count} labels")
    if not chances.grid.is_close(labels.grid, tolerance_mm=0.01):
        raise GeometryError(f"{Path(path).name}: the probabilities lie on another grid than the labels")
    return chances


def _beside(told: dict[str, dict[str, float | None]], names: list[str], width: int) -> list[list[str]]:
    """The structures that fit beside one another, so that no name of a measure and no number is cut."""
    blocks: list[list[str]] = []
    left = 0
    for one, row in told.items():
        wide = 2 + max(len(text) for text in (one, *(_shown(row.get(name)) for name in names)))
        if not blocks or left < wide:
            blocks.append([])
            left = width - max(map(len, names))
        blocks[-1].append(one)
        left -= wide
    return blocks


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
    if value is None or (isinstance(value, tuple) and None in value):
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
