"""``vesalius segment IMAGE … --bundle B -o OUT``: segment one image, several, or a folder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.arguments import add_device
from vesalius.cli.progress import counting

if TYPE_CHECKING:
    from vesalius.bundle import Bundle
    from vesalius.image import Volume

HELP = "segment images with a trained segmenter; results lie on each image's own grid"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius segment``."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="an image, a DICOM folder, or a folder of images. Where the segmenter wants several channels: that many "
        "files, in its order, are one image",
    )
    parser.add_argument(
        "--bundle", required=True, metavar="BUNDLE", help="folder or zip, or the name of a built-in one"
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="a file for one image, a folder for more")
    parser.add_argument("--series", help="which series of a DICOM folder")
    parser.add_argument(
        "--mirror", action=argparse.BooleanOptionalAction, help="average over mirror images (as planned)"
    )
    parser.add_argument("--overlap", type=float, help="of neighbouring windows, 0 to 0.9 (as planned)")
    parser.add_argument("--probabilities", action="store_true", help="write these too, as NAME-probabilities")
    parser.add_argument("--layout", default="auto", help="how a folder is arranged, see `vesalius index` (auto)")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Segment everything; a broken image is reported and the rest goes on."""
    from vesalius.bundle import Bundle
    from vesalius.errors import VesaliusError
    from vesalius.io import format_of, write
    from vesalius.io.atomic import make_folder
    from vesalius.predict import segment

    bundle = Bundle.load(args.bundle)
    jobs = list(_jobs(args, bundle))
    out = Path(args.output)
    single = len(jobs) == 1 and not out.is_dir() and format_of(out) is not None
    done: list[dict[str, Any]] = []
    failed = 0
    for name, load, ending in jobs:
        target = out if single else out / f"{name}{ending}"
        try:
            with counting(name, shown=not args.json) as progress:
                prediction = segment(
                    load(),
                    bundle,
                    device=args.device,
                    mirror=args.mirror,
                    overlap=args.overlap,
                    probabilities=args.probabilities,
                    progress=progress,
                )
            make_folder(target.parent)
            write(prediction.labels, target)
            if prediction.probabilities is not None:
                write(prediction.probabilities, target.with_name(f"{_stem(target)}-probabilities.nii.gz"))
        except VesaliusError as error:
            if len(jobs) == 1:
                raise
            failed += 1
            done.append({"image": name, "error": str(error)})
            print(f"vesalius: {name}: {error}", file=sys.stderr)
            continue
        grid = prediction.labels.grid
        voxels = prediction.labels.counts()
        volumes = {
            label.name: round(voxels.get(label.value, 0) * grid.voxel_volume_mm3 / 1000, 4)
            for label in prediction.labels.labels.labels
        }
        calibrated = bundle.plan.calibrated and grid.ndim == 3
        done.append({"image": name, "output": str(target), "volume_ml" if calibrated else "size": volumes})
        if not args.json:
            unit = " ml" if calibrated else ""
            told = ", ".join(
                f"{k} {v:.3g}{unit}" if calibrated else f"{k} {voxels.get(bundle.plan.labels[k].value, 0)} pixels"
                for k, v in volumes.items()
            )
            print(f"{target}  {told}")
    if args.json:
        print(json.dumps({"images": done, "failed": failed}))
    return 1 if failed else 0


def _jobs(args: argparse.Namespace, bundle: Bundle) -> Iterator[tuple[str, Any, str]]:
    """Name of each image, the function that reads it, and the ending of its result."""
    from vesalius.errors import DataError
    from vesalius.io import read
    from vesalius.io.layouts import index
    from vesalius.io.layouts.load import read_channels

    paths = [Path(p) for p in args.images]
    for path in paths:
        if not path.exists():
            raise DataError(f"{path.name}: there is no such file or folder")
    channels = len(bundle.plan.channels)
    if channels > 1 and len(paths) == channels and all(p.is_file() for p in paths):
        yield _stem(paths[0]), (lambda: read_channels(paths)), _result_ending(paths[0])
        return
    for path in paths:
        if path.is_file() or _is_series(path):
            yield _stem(path), (lambda path=path: read(path, series=args.series)), _result_ending(path)
            continue
        dataset = index(path, args.layout, check=False)
        for case in dataset.left_out:
            print(f"vesalius: left out: {case.id}: {case.reason}", file=sys.stderr)
        for record in dataset.records:

            def load(record: Any = record) -> Volume:
                return read_channels(record.images)

            yield record.id, load, _result_ending(record.images[0])


def _is_series(folder: Path) -> bool:
    """Whether a folder is one DICOM image rather than a folder of images."""
    from vesalius.io.layouts.files import find_images

    return find_images(folder) == (folder,)


def _stem(path: Path) -> str:
    from vesalius.io.layouts.files import stem

    return stem(path)


def _result_ending(path: Path) -> str:
    """Labels go into a format that loses nothing: pictures to PNG, volumes to what they came in."""
    from vesalius.io import format_of

    ending = None if path.is_dir() else format_of(path)
    if ending in (".tif", ".tiff"):
        return ".tif"
    if ending in (".png", ".jpg", ".jpeg", ".bmp"):
        return ".png"
    return ending if ending in (".nrrd", ".mha", ".npz") else ".nii.gz"
