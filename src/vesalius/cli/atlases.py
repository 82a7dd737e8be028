"""``vesalius classical atlas TARGET --atlas IMAGE LABELS … -o OUT``: labels of other images, carried over."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from vesalius.cli.arguments import add_output_style

if TYPE_CHECKING:
    from collections.abc import Callable

    from vesalius.image import LabelMap, Volume

SUMMARY = "Carry the labels of other images over by registration, and let them vote."


def add_atlas(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius classical atlas``."""
    parser.add_argument("image", metavar="TARGET", help="the image: a file, or a DICOM folder")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="where to write the label map")
    parser.add_argument("--channel", help="of several: luminance, mean, or its number from 0")
    parser.add_argument(
        "--atlas",
        nargs=2,
        action="append",
        required=True,
        metavar=("IMAGE", "LABELS"),
        help="a labelled image; as often as there are atlases",
    )
    # As in `vesalius.register`, without its imports.
    parser.add_argument(
        "--kind",
        choices=("rigid", "affine", "deformable"),
        default="deformable",
        help="how an atlas may move (deformable)",
    )
    parser.add_argument(
        "--fusion",
        choices=("majority", "staple"),
        default="majority",
        help="each atlas alike (the default), or weighed by how well it agrees with all",
    )
    parser.add_argument(
        "--measure",
        choices=("mutual-information", "correlation"),
        default="mutual-information",
        help="what the linear part makes large (mutual-information)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the places at which it is taken (0)")
    add_output_style(parser)


def segment(args: argparse.Namespace, image: Volume, choose: Callable[[Volume, str | None], Volume]) -> LabelMap:
    """Register every atlas and fuse; doubts go to standard error."""
    from vesalius.io import read, read_labels
    from vesalius.register import Atlas, segment_with_atlases

    atlases = [Atlas(choose(read(one), args.channel), read_labels(labels)) for one, labels in args.atlas]
    found = segment_with_atlases(
        image, atlases, kind=args.kind, fusion=args.fusion, measure=args.measure, seed=args.seed
    )
    for number, fitness in enumerate(found.fitness, start=1):
        for doubt in fitness.doubts:
            print(f"vesalius: atlas {number}: {doubt}", file=sys.stderr)
    return found.labels
