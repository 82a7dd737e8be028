"""``vesalius stack SLICES … -o OUT``: slices that were segmented one by one become one label map."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vesalius.image import LabelMap, Volume
    from vesalius.io.slices import Numbered
    from vesalius.transform.stacking import Stacked

HELP = "make one label map of slices that were segmented one by one: aligned, gaps filled, interpolated between"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius stack``."""
    parser.add_argument(
        "slices",
        nargs="+",
        metavar="SLICES",
        help="label files of single slices with their numbers in the names, a folder of them, or one 3D label map",
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="the label map")
    parser.add_argument("--spacing", type=float, metavar="MM", help="of files: from one slice to the next")
    parser.add_argument("--pixel-size", type=float, metavar="MM", help="of files in formats without a scale")
    parser.add_argument(
        "--axis", type=int, choices=(0, 1, 2), help="of a 3D label map: across its slices (the coarsest)"
    )
    parser.add_argument("--labels", metavar="NAME=VALUE,…", help="what the values mean: liver=1,tumour=2")
    parser.add_argument(
        "--binarise-above", type=float, metavar="VALUE", help="slices are masks: what is brighter than this is label 1"
    )
    parser.add_argument(
        "--align",
        choices=("none", "shift", "rigid"),
        default="none",
        help="put right slices that lie askew: shifted, or shifted and turned (none); by outlines, or by --images",
    )
    parser.add_argument("--images", metavar="IMAGES", help="the images of the slices: a folder, or one 3D image")
    parser.add_argument("--image-out", metavar="FILE", help="write these, moved and interpolated like the labels")
    parser.add_argument(
        "--resolution",
        default="isotropic",
        metavar="MM",
        help="of the result across slices: millimetres, isotropic (as its pixels, the default) or keep (as the slices)",
    )
    parser.add_argument("--fill-empty", action="store_true", help="slices without labels between others are missing")
    parser.add_argument(
        "--drop-islands",
        action="store_true",
        help="remove pieces that only one slice shows, with nothing above or below",
    )


def run(args: argparse.Namespace) -> int:
    """Read the slices, stack them, write, and say what was done."""
    from vesalius.io import write
    from vesalius.transform.stacking import stack_slices

    _refuse(args)
    labels, files = _labels(args)
    image = None if args.images is None else _image(args, labels, files)
    axis = 2 if files is not None else args.axis
    made = stack_slices(
        labels,
        axis=axis,
        missing=() if files is None else files.missing,
        fill_empty=args.fill_empty,
        align=args.align,
        image=image,
        spacing_mm=_resolution(args, labels, axis),
        drop_islands=args.drop_islands,
    )
    write(made.labels, args.output)
    if args.image_out is not None and made.image is not None:
        write(made.image, args.image_out)
    _tell(args, labels, files, made)
    return 0


def _refuse(args: argparse.Namespace) -> None:
    """Refuse what cannot be before anything is read."""
    from vesalius.errors import DataError, FormatError
    from vesalius.io import format_of

    for path in (args.output, args.image_out):
        if path is not None and format_of(path) in (None, ".dcm"):
            raise FormatError(f"{Path(path).name}: choose a format for volumes, for example .nii.gz")
    if args.image_out is not None and args.images is None:
        raise DataError("--image-out writes the images of the slices: name them with --images")
    if args.images is not None and args.align == "none" and args.image_out is None:
        raise DataError("--images are looked at to align slices, or written: say --align shift, or --image-out")
    inputs = {Path(path).resolve() for path in (*args.slices, args.images) if path is not None}
    for path in (args.output, args.image_out):
        if path is not None and Path(path).resolve() in inputs:
            raise DataError(f"the result would replace {Path(path).name} itself: choose another name")


def _labels(args: argparse.Namespace) -> tuple[LabelMap, Numbered | None]:
    """The slices on one grid, and their files where each has its own."""
    from vesalius.cli.arguments import named_values
    from vesalius.errors import DataError
    from vesalius.io import read_labels
    from vesalius.io.slices import number_slices, read_label_slices, slice_files

    named = None if args.labels is None else named_values(args.labels)
    paths = slice_files([Path(path) for path in args.slices])
    if len(paths) == 1:
        found = read_labels(paths[0], named, binarise_above=args.binarise_above)
        if found.grid.ndim == 3:
            if args.spacing is not None or args.pixel_size is not None:
                raise DataError("a 3D label map says itself where its slices lie: leave out --spacing and --pixel-size")
            return found, None
    if args.axis is not None:
        raise DataError("--axis is for one 3D label map; slices in files of their own lie over each other")
    files = number_slices(paths)
    if args.spacing is None:
        raise DataError("say with --spacing how many millimetres it is from one slice to the next")
    found = read_label_slices(
        files, named, spacing_mm=args.spacing, pixel_mm=args.pixel_size, binarise_above=args.binarise_above
    )
    return found, files


def _image(args: argparse.Namespace, labels: LabelMap, files: Numbered | None) -> Volume:
    from vesalius.io import read
    from vesalius.io.slices import matching, read_image_slices, slice_files

    if files is None:
        return read(args.images)
    paths = slice_files([Path(args.images)])
    if len(paths) == 1:
        return read(paths[0])
    return read_image_slices(
        matching(files, paths), spacing_mm=args.spacing, pixel_mm=args.pixel_size or labels.grid.spacing_mm[0]
    )


def _resolution(args: argparse.Namespace, labels: LabelMap, axis: int | None) -> float | None:
    from vesalius.errors import DataError

    if args.resolution == "isotropic":
        return None
    if args.resolution == "keep":
        return max(labels.grid.spacing_mm) if axis is None else labels.grid.spacing_mm[axis]
    try:
        return float(args.resolution)
    except ValueError:
        raise DataError(f"--resolution must be millimetres, isotropic or keep, not {args.resolution!r}") from None


def _tell(args: argparse.Namespace, labels: LabelMap, files: Numbered | None, made: Stacked) -> None:
    import numpy as np

    from vesalius.transform.sampling import coarsest_axis

    number = (lambda k: k) if files is None else files.number
    axis = 2 if files is not None else args.axis
    across = coarsest_axis(labels.grid) if axis is None else axis
    flat = np.asarray([s for k, s in enumerate(labels.grid.spacing_mm) if k != across])
    moved = np.linalg.norm(made.jitter.shifts * flat, axis=1)
    told: dict[str, Any] = {
        "output": args.output,
        "shape": list(made.labels.grid.shape),
        "spacing_mm": [float(f"{s:.6g}") for s in made.labels.grid.spacing_mm],
        "slices": len(moved),
        "filled": [number(k) for k in made.filled],
        "moved_mm": [float(f"{mm:.4g}") for mm in moved],
        "turned_deg": [round(float(turn), 3) for turn in np.degrees(made.jitter.turns)],
        "islands": made.islands,
        "notes": _notes(labels, across),
    }
    if args.json:
        print(json.dumps(told))
        return
    shape = " × ".join(map(str, made.labels.grid.shape))
    print(f"{args.output}  {shape} voxels of {' × '.join(f'{s:.3g}' for s in made.labels.grid.spacing_mm)} mm")
    if made.filled:
        print(f"  filled from their neighbours: {', '.join(str(number(k)) for k in made.filled)}")
    if args.align != "none" and made.jitter.is_still:
        print("  the slices lie right: nothing was moved")
    elif args.align != "none":
        print(f"  slices were moved by {np.median(moved):.3g} mm in the median, {moved.max():.3g} mm at most")
        if args.align == "rigid":
            print(f"  and turned by up to {np.abs(np.degrees(made.jitter.turns)).max():.3g}°")
    if args.drop_islands:
        print(f"  removed, since one slice alone shows them: {made.islands} pieces")
    for note in told["notes"]:
        print(f"  {note}")


def _notes(labels: LabelMap, across: int) -> list[str]:
    """What looks as if slices did not mean the same by their values."""
    import numpy as np

    stack = np.moveaxis(labels.array, across, 0)
    seen = [set(np.unique(one).tolist()) - {0, labels.labels.ignore} for one in stack]
    seen = [one for one in seen if one]
    names = {label.value: label.name for label in labels.labels.labels}
    notes = []
    for value in sorted(set().union(*seen)):
        times = sum(value in one for one in seen)
        if times == 1 and len(seen) > 2:
            notes.append(f"{names[value]} (value {value}) is in one slice alone")
    if len(seen) > 2 and all(len(one) == 1 for one in seen) and len(set().union(*seen)) > 1:
        both = ", ".join(str(value) for value in sorted(set().union(*seen)))
        notes.append(
            f"no slice holds more than one of the values {both}: are they one structure, written in several ways?"
        )
    return notes
