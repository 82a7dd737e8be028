"""``vesalius change BEFORE AFTER -o OUT``: what became of a patient's structures between two scans, and where."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vesalius.image import Volume
    from vesalius.register import Alignment
    from vesalius.studies.change import Changed, Scan
    from vesalius.transform import GreyChannel

HELP = "compare two scans of a patient: volumes, how far each place of a surface has moved, how tissue has grown"

# As in `vesalius.mesh.files.HOLD` and `vesalius.studies.change.LIMITS_MM`, without their imports.
_FORMATS = ("ply", "glb", "vtp")
_LIMITS_MM = (1.0, 2.0, 5.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius change``."""
    parser.add_argument("before", metavar="BEFORE", help="the first scan: an image; or its label map, without an image")
    parser.add_argument("after", metavar="AFTER", help="the second scan, likewise")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="a new folder for all that is found")
    parser.add_argument("--labels-before", metavar="LABELS", help="the label map of BEFORE, which is an image then")
    parser.add_argument("--labels-after", metavar="LABELS", help="the label map of AFTER")
    parser.add_argument("--labels", metavar="NAME=VALUE,…", help="what the values of both label maps mean")
    parser.add_argument(
        "--structure",
        metavar="NAME",
        action="append",
        help="compare only this one, which then has no say in the registration; may be given several times",
    )
    placed = parser.add_argument_group("where the second scan lies")
    placed.add_argument(
        "--kind", choices=("rigid", "affine"), default="rigid", help="turned and shifted (rigid), or scaled as well"
    )
    either = placed.add_mutually_exclusive_group()
    either.add_argument(
        "--transform",
        metavar="FILE",
        help="search nothing: from points of BEFORE to those of AFTER, as `vesalius register AFTER BEFORE "
        "--save-transform` writes it",
    )
    either.add_argument("--aligned", action="store_true", help="search nothing: both lie in one space already")
    placed.add_argument("--seed", type=int, default=0, help="of the registration (0)")
    placed.add_argument("--channel", help="of images of several: luminance, mean, or its number from 0")
    told = parser.add_argument_group("what is told")
    told.add_argument(
        "--growth", action="store_true", help="a map of how tissue has grown, by a deformation; takes minutes"
    )
    told.add_argument(
        "--beyond",
        type=float,
        nargs="+",
        metavar="MM",
        default=list(_LIMITS_MM),
        help="tell which share of a surface has moved farther than this (1 2 5)",
    )
    told.add_argument(
        "--range", type=float, metavar="MM", help="what has the strongest colours, in and out (so that 99 %% fit)"
    )
    told.add_argument(
        "--format",
        choices=_FORMATS,
        nargs="+",
        default=["ply", "glb"],
        help="of the surfaces with their distances (ply glb)",
    )


def run(args: argparse.Namespace) -> int:
    """Read, register, compare, write."""
    from vesalius.studies.change import compare, write_change
    from vesalius.studies.change.origins import compare_origins

    _refuse(args)
    before, after = (_scan(image, labels, args) for image, labels in _pairs(args))
    notes, days = compare_origins(Path(args.before), Path(args.after), aligned=args.aligned)
    alignment = _alignment(args, before, after)
    change = compare(
        before,
        after,
        alignment,
        names=args.structure,
        growth=args.growth,
        limits_mm=args.beyond,
        range_mm=args.range,
        seed=args.seed,
    )
    names = {"before": Path(args.before).name, "after": Path(args.after).name}
    if days is not None:
        names["days between"] = str(days)
    told = write_change(before, change, Path(args.output), formats=args.format, provenance=names, notes=notes)
    _tell(args, change.structures, {"output": args.output, "days": days, **told})
    return 0


def _refuse(args: argparse.Namespace) -> None:
    """Refuse what cannot be done before anything is read."""
    from vesalius.errors import DataError

    if (args.labels_before is None) != (args.labels_after is None):
        raise DataError("name the label maps of both scans, --labels-before and --labels-after, or leave out both")
    if args.growth and args.labels_before is None:
        raise DataError(
            "how tissue has grown is found in images: BEFORE and AFTER are the images then, and --labels-before and "
            "--labels-after their label maps"
        )
    target = Path(args.output)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise DataError(f"{target.name}: something is there already; name a new folder")
    if args.range is not None and not args.range > 0:
        raise DataError(f"--range must be above 0 mm, not {args.range:g}")
    if not all(mm > 0 for mm in args.beyond):
        raise DataError("--beyond must be above 0 mm")


def _pairs(args: argparse.Namespace) -> tuple[tuple[str | None, str], tuple[str | None, str]]:
    """Image and label map of each scan."""
    if args.labels_before is None:
        return (None, args.before), (None, args.after)
    return (args.before, args.labels_before), (args.after, args.labels_after)


def _scan(image: str | None, labels: str, args: argparse.Namespace) -> Scan:
    from vesalius.cli.surfaces import named_labels
    from vesalius.io import read
    from vesalius.studies.change import Scan

    return Scan(named_labels(labels, args.labels), None if image is None else _grey(read(image), args.channel))


def _grey(image: Volume, channel: str | None) -> Volume:
    from vesalius.errors import DataError
    from vesalius.transform import grey

    if channel is not None:
        return grey(image, channel=int(channel) if channel.isdigit() else cast("GreyChannel", channel))
    if image.channels > 1:
        raise DataError(f"an image has {image.channels} channels: say with --channel which one is compared")
    return image


def _alignment(args: argparse.Namespace, before: Scan, after: Scan) -> Alignment:
    import numpy as np

    from vesalius.register import Alignment, read_alignment
    from vesalius.studies.change import find_place

    if args.aligned:
        return Alignment(np.eye(4))
    if args.transform is not None:
        return read_alignment(args.transform)
    return find_place(before, after, kind=args.kind, changing=args.structure or (), seed=args.seed)


def _tell(args: argparse.Namespace, structures: Sequence[Changed], told: dict[str, Any]) -> None:
    if args.json:
        print(json.dumps(told))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("structure", box=None, pad_edge=False)
    for head in ("before ml", "after ml", "change", "mean mm", "out mm", "in mm"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for one in structures:
        percent = one.difference_percent
        row = [f"{one.before_ml:.4g}", f"{one.after_ml:.4g}", "" if percent is None else f"{percent:+.1f} %"]
        if one.moved is None:
            row += [""] * 3
        else:
            far = one.moved.mean_mm, one.moved.outwards.distance_mm, one.moved.inwards.distance_mm
            row += [f"{mm:+.1f}" for mm in far]
        table.add_row(one.name, *row, one.verdict)
    Console(highlight=False, markup=False).print(table)
    for doubt in told["doubts"]:
        print(f"vesalius: doubt: {doubt}", file=sys.stderr)
    print(f"written to {args.output}")
