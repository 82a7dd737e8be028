"""``vesalius classical METHOD IMAGE -o OUT``: segment without training."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any, cast

from vesalius.cli.arguments import add_output_style
from vesalius.cli.atlases import SUMMARY, add_atlas, segment
from vesalius.cli.signature import add_options, description, read_options, summary

if TYPE_CHECKING:
    from vesalius.image import LabelMap, Volume
    from vesalius.transform import GreyChannel

HELP = "segment without training: thresholds, regions, boundaries, clusters"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius classical``, and those of each method."""
    from vesalius.classical import METHODS, find

    functions = {name: find(name) for name in METHODS}
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _listed({name: summary(function) for name, function in functions.items()})
    methods = parser.add_subparsers(metavar="METHOD", dest="method", required=True, help="one of those below")
    for name, function in functions.items():
        one = methods.add_parser(
            name, description=description(function).replace("%", "%%"), allow_abbrev=False, add_help=True
        )
        one.add_argument("image", metavar="IMAGE", help="the image: a file, or a DICOM folder")
        one.add_argument("-o", "--output", required=True, metavar="OUT", help="where to write the label map")
        one.add_argument("--channel", help="of several: luminance, mean, or its number from 0")
        add_output_style(one)
        add_options(one, function, title=f"options of {name}")
    add_atlas(methods.add_parser("atlas", description=SUMMARY, allow_abbrev=False))


def run(args: argparse.Namespace) -> int:
    """Read, segment, write, and say what was found."""
    from vesalius.classical import find
    from vesalius.io import read, write

    image = _chosen(read(args.image), args.channel)
    started = time.perf_counter()
    if args.method == "atlas":
        found = segment(args, image, _chosen)
    else:
        method = find(args.method)
        found = method(image, **read_options(args, method, image.grid))
    seconds = time.perf_counter() - started
    write(found, args.output)
    rows = _rows(found, image)
    if args.json:
        told = {"method": args.method, "output": args.output, "seconds": round(seconds, 3), "labels": rows}
        print(json.dumps(told))
        return 0
    for row in rows[:20]:
        size = next(
            (f"{row[key]:,.2f} {key.rpartition('_')[2]}" for key in ("volume_ml", "area_mm2") if key in row), ""
        )
        print(f"{row['name']:20} {row['voxels']:>12,} voxels   {size}".rstrip())
    if len(rows) > 20:
        print(f"and {len(rows) - 20:,} more")
    print(f"written to {args.output} in {seconds:.2g} s")
    return 0


def _chosen(image: Volume, channel: str | None) -> Volume:
    """The channel that was asked for; without a word the image as it is, and the method says what it needs."""
    if channel is None:
        return image
    from vesalius.transform.grey import grey

    # `grey` words what is wrong with a name that it does not know.
    return grey(image, channel=int(channel) if channel.isdigit() else cast("GreyChannel", channel))


def _rows(found: LabelMap, image: Volume) -> list[dict[str, Any]]:
    counts = found.counts()
    size, key = found.grid.voxel_volume_mm3, "area_mm2"
    if found.grid.ndim == 3:
        size, key = size / 1000, "volume_ml"
    rows = []
    for label in found.labels.labels:
        voxels = counts.get(label.value, 0)
        row: dict[str, Any] = {"name": label.name, "value": label.value, "voxels": voxels}
        rows.append(row | ({key: voxels * size} if image.meta.calibrated else {}))
    return rows


def _listed(summaries: dict[str, str]) -> str:
    """The methods by family, a line each."""
    from vesalius.classical import GROUPS, METHODS

    lines = []
    for title, modules in GROUPS.items():
        names = [name for name, module in METHODS.items() if module in modules]
        if names:
            lines += ["", f"{title}:", *(f"  {name:22} {summaries[name].rstrip('.')}" for name in names)]
    lines += ["", "atlases:", f"  {'atlas':22} {SUMMARY.rstrip('.')}"]
    lines += ["", "`vesalius classical METHOD --help` explains a method."]
    return "\n".join(lines).lstrip("\n").replace("%", "%%")
