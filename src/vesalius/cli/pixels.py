"""``vesalius pixels train|segment``: learn from a few scribbles, in seconds."""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.cli.arguments import add_output_style

if TYPE_CHECKING:
    from vesalius.classical.pixels import PixelClassifier
    from vesalius.image import Grid, LabelMap, Labels

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
    segment.add_argument("images", nargs="+", metavar="IMAGE", help="images like those it was trained on")
    segment.add_argument("--classifier", required=True, metavar="FOLDER", help="what `vesalius pixels train` wrote")
    segment.add_argument("-o", "--output", required=True, metavar="OUT", help="a file for one image, a folder for more")
    segment.add_argument("--probabilities", action="store_true", help="write these too, as NAME-probabilities")
    for one in (train, segment):
        add_output_style(one)


def run(args: argparse.Namespace) -> int:
    """Train or segment."""
    return _train(args) if args.act == "train" else _segment(args)


def _train(args: argparse.Namespace) -> int:
    from vesalius.classical.pixels import save_pixels, train_pixels
    from vesalius.errors import DataError
    from vesalius.io import read

    if len(args.scribbles) != len(args.images):
        raise DataError(f"--scribbles wants one file for each image: {len(args.images)}, not {len(args.scribbles)}")
    images = [read(path) for path in args.images]
    labels = None if args.labels is None else _labels(args.labels)
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
    print(f"written to {args.output}; use it with `vesalius pixels segment IMAGE --classifier {args.output} -o OUT`")
    return 0


def _segment(args: argparse.Namespace) -> int:
    from vesalius.classical.pixels import load_pixels
    from vesalius.errors import VesaliusError

    classifier = load_pixels(args.classifier)
    targets = _targets(args.images, Path(args.output))
    rows, failed = [], 0
    for image, target in zip(args.images, targets, strict=True):
        try:
            rows.append({"image": image, "output": str(target)} | _classified(classifier, image, target, args))
        except VesaliusError as error:
            if len(targets) == 1:
                raise
            failed += 1
            rows.append({"image": image, "error": str(error)})
    if args.json:
        print(json.dumps({"images": rows, "failed": failed}))
    else:
        for row in rows:
            said = row.get("error") or ", ".join(f"{name} {count:,} voxels" for name, count in row["voxels"].items())
            print(f"{row.get('output', row['image'])}  {said}")
    return 1 if failed else 0


def _classified(
    classifier: PixelClassifier, image: str, target: Path, args: argparse.Namespace
) -> dict[str, dict[str, int]]:
    from vesalius.io import read, write
    from vesalius.io.layouts.files import stem, suffix

    volume = read(image)
    found = classifier.classify(volume)
    if args.probabilities:
        write(
            classifier.probabilities(volume), target.with_name(f"{stem(target)}-probabilities{_many(suffix(target))}")
        )
    write(found, target)
    counts = found.counts()
    return {"voxels": {label.name: counts.get(label.value, 0) for label in found.labels.labels}}


def _many(ending: str) -> str:
    """A picture cannot hold a channel for each label."""
    return ".npz" if ending in (".png", ".tif") else ending


def _targets(images: list[str], out: Path) -> list[Path]:
    from vesalius.errors import DataError
    from vesalius.io import PICTURES, format_of
    from vesalius.io.layouts.files import stem

    if not out.is_dir() and format_of(out) is not None:
        if len(images) > 1:
            raise DataError(f"{out.name} names one file, and there are {len(images)} images: name a folder")
        return [out]
    found = [out / f"{stem(Path(i))}{'.png' if format_of(Path(i)) in PICTURES else '.nii.gz'}" for i in images]
    if len(set(found)) < len(found):
        raise DataError("several images would be written to one file: segment them apart")
    if {path.resolve() for path in found} & {Path(i).resolve() for i in images}:
        raise DataError("a result would replace an image: choose another folder")
    return found


def _scribbles(file: str, grid: Grid, labels: Labels | None) -> LabelMap:
    from vesalius.classical import read_seeds
    from vesalius.image import LabelMap

    marks = read_seeds(file, grid)
    if labels is None:
        return marks
    return LabelMap(marks.array, grid, labels)


def _labels(text: str) -> Labels:
    from vesalius.errors import DataError
    from vesalius.image import Labels

    pairs = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch(r"[^=]+=\d+", pair) for pair in pairs):
        raise DataError(f"--labels must be written like background=1,nucleus=2, not {text!r}")
    return Labels.of({name.strip(): int(value) for name, value in (pair.split("=") for pair in pairs)})


def _numbers(text: str) -> tuple[float, ...]:
    from vesalius.errors import DataError

    try:
        return tuple(float(number) for number in text.split(","))
    except ValueError:
        raise DataError(f"--scales-mm must be written like 1,2,4, not {text!r}") from None
