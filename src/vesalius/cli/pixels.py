"""``vesalius pixels train|segment``: learn from a few scribbles, in seconds."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.arguments import add_output_style

if TYPE_CHECKING:
    from vesalius.classical.pixels import PixelClassifier
    from vesalius.cli.sources import Source
    from vesalius.image import Grid, LabelMap, Labels, LeftOut

HELP = "classify voxels by their neighbourhood: trained from a few scribbles in seconds"

_SHOWN = 10  # features of the greatest importance


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius pixels``."""
    from vesalius.classical.pixels import FAMILIES, MODELS

    verbs = parser.add_subparsers(metavar="ACT", dest="act", required=True, help="train or segment")
    train = verbs.add_parser("train", description="Learn classes from scribbles, and say which features matter.")
    train.add_argument("images", nargs="+", metavar="IMAGE", help="images on which something is marked")
    train.add_argument(
        "--scribbles",
        nargs="+",
        required=True,
        metavar="FILE",
        help="for each image a label file on its grid (0: nothing said), or a JSON file of points and lines; "
        "what is called background becomes 0",
    )
    train.add_argument("--labels", metavar="NAME=VALUE,…", help="names for label files that have none")
    train.add_argument("-o", "--output", required=True, metavar="FOLDER", help="folder for the classifier")
    train.add_argument("--model", choices=MODELS, default="random-forest", help="what learns (random-forest)")
    train.add_argument("--scales-mm", metavar="MM,…", help="at which voxels are looked at (0.7 to 5 times the spacing)")
    train.add_argument(
        "--features",
        metavar="NAME,…",
        default="intensity,edge,texture,shape",
        help=f"kinds of features, of {', '.join(FAMILIES)} (the first four)",
    )
    train.add_argument("--trees", type=int, default=100, help="of the forest or of boosting (100)")
    train.add_argument("--seed", type=int, default=0, help="of all chance (0)")
    segment = verbs.add_parser("segment", description="Classify every voxel of images.")
    segment.add_argument(
        "images", nargs="+", metavar="IMAGE", help="images like those it was trained on, or folders of them"
    )
    segment.add_argument("--series", help="which series of a DICOM folder")
    segment.add_argument("--layout", default="auto", help="how a folder is arranged, see `vesalius index` (auto)")
    segment.add_argument("--classifier", required=True, metavar="FOLDER", help="what `vesalius pixels train` wrote")
    segment.add_argument("-o", "--output", required=True, metavar="OUT", help="a file for one image, a folder for more")
    segment.add_argument("--probabilities", action="store_true", help="write these too, as NAME-probabilities")
    for one in (train, segment):
        add_output_style(one)


def run(args: argparse.Namespace) -> int:
    """Train or segment."""
    return _train(args) if args.act == "train" else segment_pixels(args, args.classifier)


def _train(args: argparse.Namespace) -> int:
    from vesalius.classical.pixels import save_pixels, train_pixels
    from vesalius.cli.arguments import label_values
    from vesalius.errors import DataError
    from vesalius.image import Labels
    from vesalius.io import read

    if len(args.scribbles) != len(args.images):
        raise DataError(f"--scribbles wants one file for each image: {len(args.images)}, not {len(args.scribbles)}")
    images = [read(path) for path in args.images]
    labels = None if args.labels is None else Labels.of(label_values(args.labels))
    scribbles = [_scribbles(file, image.grid, labels) for file, image in zip(args.scribbles, images, strict=True)]
    started = time.perf_counter()
    classifier = train_pixels(
        images,
        scribbles,
        model=args.model,
        scales_mm=None if args.scales_mm is None else _numbers(args.scales_mm),
        families=tuple(name.strip() for name in args.features.split(",")),  # checked there
        trees=args.trees,
        seed=args.seed,
    )
    seconds = time.perf_counter() - started
    save_pixels(classifier, args.output)
    most = sorted(classifier.importances.items(), key=lambda item: -item[1])
    if args.json:
        told = {"output": args.output, "model": classifier.name, "seconds": round(seconds, 2)}
        print(json.dumps(told | {"importances": dict(most), **classifier.provenance}))
        return 0
    for name, count in classifier.provenance["marked"].items():
        print(f"{name:20} {count:>9,} voxels marked")
    print(f"learnt by a {classifier.name} in {seconds:.2g} s; the features that matter most:")
    for name, share in most[:_SHOWN]:
        print(f"  {share:6.1%}  {name}")
    print(f"written to {args.output}; use it with `vesalius segment IMAGE --bundle {args.output} -o OUT`")
    return 0


def segment_pixels(args: argparse.Namespace, folder: str) -> int:
    """Classify images, for ``vesalius pixels segment`` and ``vesalius segment``; results go where those of networks go.

    Args:
        args: With ``images``, ``output``, ``probabilities``, ``json``, ``series`` and ``layout``.
        folder: Of the classifier.

    Returns:
        The exit code: 1 if an image failed.
    """
    from vesalius.classical.pixels import load_pixels
    from vesalius.cli.sources import find_sources, find_targets
    from vesalius.errors import VesaliusError

    classifier = load_pixels(folder)
    left_out: list[LeftOut] = []
    broken: list[dict[str, Any]] = []
    sources = list(find_sources(args, classifier.channels, left_out, broken))
    for case in left_out:
        print(f"vesalius: left out: {case.id}: {case.reason}", file=sys.stderr)
    targets, _ = find_targets(sources, Path(args.output), resume=False)
    rows: list[dict[str, Any]] = []
    for source, target in zip(sources, targets, strict=True):
        try:
            voxels = _classified(classifier, source, target, args)
        except VesaliusError as error:
            if len(targets) == 1:
                raise
            broken.append({"image": source.name, "error": str(error)})
        else:
            rows.append({"image": source.name, "output": str(target), "voxels": voxels})
    for row in broken:
        print(f"vesalius: {row['image']}: {row['error']}", file=sys.stderr)
    if args.json:
        others = [{"id": case.id, "reason": case.reason} for case in left_out]
        print(json.dumps({"images": [*rows, *broken], "failed": len(broken), "left_out": others}))
    else:
        for row in rows:
            print(f"{row['output']}  {', '.join(f'{name} {count:,} voxels' for name, count in row['voxels'].items())}")
    return 1 if broken else 0


def _classified(classifier: PixelClassifier, source: Source, target: Path, args: argparse.Namespace) -> dict[str, int]:
    from vesalius.io import read, write
    from vesalius.io.atomic import make_folder
    from vesalius.io.layouts.files import stem, suffix
    from vesalius.io.layouts.load import read_channels

    volume = read(source.images[0], series=args.series) if len(source.images) == 1 else read_channels(source.images)
    found = classifier.classify(volume)
    make_folder(target.parent)
    if args.probabilities:
        write(
            classifier.probabilities(volume), target.with_name(f"{stem(target)}-probabilities{_many(suffix(target))}")
        )
    write(found, target)
    counts = found.counts()
    return {label.name: counts.get(label.value, 0) for label in found.labels.labels}


def _many(ending: str) -> str:
    """A picture cannot hold a channel for each label."""
    return ".npz" if ending in (".png", ".tif") else ending


def _scribbles(file: str, grid: Grid, labels: Labels | None) -> LabelMap:
    from vesalius.classical import read_seeds
    from vesalius.image import LabelMap

    marks = read_seeds(file, grid)
    if labels is None:
        return marks
    return LabelMap(marks.array, grid, labels)


def _numbers(text: str) -> tuple[float, ...]:
    from vesalius.errors import DataError

    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise DataError(f"--scales-mm must be written like 1,2,4, not {text!r}") from None
