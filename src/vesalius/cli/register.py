"""``vesalius register MOVING FIXED -o OUT``: bring an image onto another's anatomy."""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from vesalius.image import LabelMap, Volume
    from vesalius.register import Alignment
    from vesalius.transform import GreyChannel

HELP = "bring an image onto another's anatomy: turn and shift it, scale it, or bend it smoothly"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius register``."""
    parser.add_argument("moving", metavar="MOVING", help="the image to be moved: a file, or a DICOM folder")
    parser.add_argument("fixed", metavar="FIXED", help="the image that stays where it is")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="MOVING on FIXED's grid")
    # As in `vesalius.register`, without its imports.
    parser.add_argument(
        "--kind",
        choices=("rigid", "affine", "deformable"),
        default="affine",
        help="turned and shifted; scaled and sheared as well (the default); or bent",
    )
    parser.add_argument(
        "--measure",
        choices=("mutual-information", "correlation"),
        default="mutual-information",
        help="what is made large: the default for any two kinds of image, correlation for two of one kind",
    )
    parser.add_argument(
        "--start",
        choices=("search", "headers"),
        default="search",
        help="begin with the best of many poses (the default), or where the headers place the images",
    )
    parser.add_argument("--within", metavar="LABELS", help="on FIXED: only labelled voxels take part")
    parser.add_argument(
        "--leave-out", metavar="LABELS", help="on FIXED: labelled voxels take no part, for example lesions"
    )
    parser.add_argument(
        "--labels", nargs=2, metavar=("LABELS", "OUT"), help="a label map of MOVING, and where it goes on FIXED's grid"
    )
    parser.add_argument("--save-transform", metavar="FILE", help="write the map of points (ITK: .txt, .tfm, .h5)")
    parser.add_argument("--transform", metavar="FILE", help="search nothing: apply this map of points")
    parser.add_argument("--channel", help="of images of several: luminance, mean, or its number from 0")
    parser.add_argument("--seed", type=int, default=0, help="of the places at which the measure is taken (0)")


def run(args: argparse.Namespace) -> int:
    """Register, write, and say how well it fits."""
    from vesalius.io import read, read_labels, write
    from vesalius.register import align, write_alignment

    moving, fixed = read(args.moving), read(args.fixed)
    labels = None if args.labels is None else read_labels(args.labels[0])
    if labels is not None:
        _require_place(labels, moving)
    started = time.perf_counter()
    found = _alignment(args, moving, fixed)
    seconds = time.perf_counter() - started
    write(align(moving, found, fixed.grid), args.output)
    if labels is not None:
        write(align(labels, found, fixed.grid), args.labels[1])
    if args.save_transform:
        write_alignment(found, args.save_transform)
    _tell(args, found, seconds)
    return 0


def _alignment(args: argparse.Namespace, moving: Volume, fixed: Volume) -> Alignment:
    from vesalius.io import read_labels
    from vesalius.register import read_alignment, register

    if args.transform is not None:
        return read_alignment(args.transform)
    return register(
        _grey(moving, args.channel),
        _grey(fixed, args.channel),
        kind=args.kind,
        measure=args.measure,
        start=args.start,
        within=None if args.within is None else read_labels(args.within),
        leave_out=None if args.leave_out is None else read_labels(args.leave_out),
        seed=args.seed,
    )


def _grey(image: Volume, channel: str | None) -> Volume:
    """The channel that is registered; a colour picture is registered by its luminance."""
    from vesalius.transform import grey

    if channel is None:
        return grey(image) if image.meta.modality == "RGB" else image
    return grey(image, channel=int(channel) if channel.isdigit() else cast("GreyChannel", channel))


def _require_place(labels: LabelMap, moving: Volume) -> None:
    from vesalius.errors import GeometryError

    if not labels.grid.is_close(moving.grid, tolerance_mm=0.1):
        raise GeometryError("the labels of --labels lie on another grid than MOVING: were they drawn on another image?")


def _tell(args: argparse.Namespace, found: Alignment, seconds: float) -> None:
    fitness = found.fitness
    if args.json:
        told: dict[str, object] = {"output": args.output, "seconds": round(seconds, 3), "matrix": found.matrix.tolist()}
        if fitness is not None:
            told |= {
                "measure": fitness.measure,
                "before": None if math.isnan(fitness.before) else fitness.before,
                "after": fitness.after,
                "overlap": fitness.overlap,
                "folded": fitness.folded,
                "doubts": list(fitness.doubts),
            }
        print(json.dumps(told))
        return
    if fitness is not None:
        before = "no overlap" if math.isnan(fitness.before) else f"{fitness.before:.3f}"
        print(f"{fitness.measure.replace('-', ' ')}: {before} before, {fitness.after:.3f} after")
        print(f"overlap: {fitness.overlap:.0%} of what FIXED shows")
        for doubt in fitness.doubts:
            print(f"vesalius: doubt: {doubt}", file=sys.stderr)
    print(f"written to {args.output} in {seconds:.2g} s")
