"""``vesalius segment IMAGE … --bundle B -o OUT``: segment one image, several, or a folder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.arguments import add_device
from vesalius.cli.progress import counting

if TYPE_CHECKING:
    from vesalius.bundle import Bundle
    from vesalius.image import LabelMap, LeftOut, Volume

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


@dataclass(frozen=True)
class _Job:
    """An image to segment: its name, its files, and the function that reads them."""

    name: str
    images: tuple[Path, ...]
    load: Callable[[], Volume]

    @property
    def ending(self) -> str:
        """Labels go into a format that loses nothing: pictures to PNG, volumes to what they came in."""
        from vesalius.io import format_of

        ending = None if self.images[0].is_dir() else format_of(self.images[0])
        if ending in (".tif", ".tiff"):
            return ".tif"
        if ending in (".png", ".jpg", ".jpeg", ".bmp"):
            return ".png"
        return ending if ending in (".nrrd", ".mha", ".npz") else ".nii.gz"


def run(args: argparse.Namespace) -> int:
    """Segment everything; a broken image is reported and the rest goes on."""
    from vesalius.bundle import Bundle
    from vesalius.errors import VesaliusError
    from vesalius.io import write
    from vesalius.io.atomic import make_folder
    from vesalius.plan.device import find_device
    from vesalius.predict import segment

    bundle = Bundle.load(args.bundle)
    left_out: list[LeftOut] = []
    jobs = list(_jobs(args, bundle, left_out))
    for case in left_out:
        print(f"vesalius: left out: {case.id}: {case.reason}", file=sys.stderr)
    targets = _targets(jobs, Path(args.output))
    find_device(args.device)  # a wrong name is told once, not for every image
    done: list[dict[str, Any]] = []
    failed = 0
    for job, target in zip(jobs, targets, strict=True):
        name = job.name
        try:
            with counting(name, shown=not args.json) as progress:
                prediction = segment(
                    job.load(),
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
        sizes = _sizes(prediction.labels, calibrated=bundle.plan.calibrated)
        done.append({"image": name, "output": str(target), **sizes})
        if not args.json:
            if "volume_ml" in sizes:
                told = [f"{label} {ml:.4g} ml" for label, ml in sizes["volume_ml"].items()]
            else:
                told = [f"{label} {count:,} voxels" for label, count in sizes["voxels"].items()]
            print(f"{target}  {', '.join(told)}")
    if args.json:
        others = [{"id": case.id, "reason": case.reason} for case in left_out]
        print(json.dumps({"images": done, "failed": failed, "left_out": others}))
    return 1 if failed else 0


def _targets(jobs: Sequence[_Job], out: Path) -> list[Path]:
    """The file of each result. A place that cannot be right is refused before anything is computed."""
    from vesalius.errors import DataError, FormatError
    from vesalius.io import format_of

    suffix = None if out.is_dir() else format_of(out)
    if suffix is not None and len(jobs) > 1:
        raise DataError(f"{out.name} names one file, and there are {len(jobs)} images: name a folder")
    if suffix == ".dcm":
        raise FormatError(f"{out.name}: results are not written as DICOM; choose .nii.gz, .nrrd, .mha, .npz or .png")
    folder = out if suffix is None else out.parent
    standing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not standing.is_dir():
        raise DataError(f"{standing.name} is a file; the results need a folder")
    targets = [out if suffix is not None else out / f"{job.name}{job.ending}" for job in jobs]
    twice = sorted({target.name for target in targets if targets.count(target) > 1})
    if twice:
        raise DataError(f"several images would be written to one file ({', '.join(twice[:5])}): segment them apart")
    sources = {path.resolve() for job in jobs for path in job.images}
    replaced = [target.name for target in targets if target.resolve() in sources]
    if replaced:
        raise DataError(f"the result would replace the image {replaced[0]} itself: choose another folder")
    return targets


def _sizes(found: LabelMap, *, calibrated: bool) -> dict[str, Any]:
    """Voxels of each label and, where voxels have a size in space, millilitres."""
    counts = found.counts()
    voxels = {label.name: counts.get(label.value, 0) for label in found.labels.labels}
    if not calibrated or found.grid.ndim != 3:
        return {"voxels": voxels}
    each_ml = found.grid.voxel_volume_mm3 / 1000
    return {"voxels": voxels, "volume_ml": {name: round(count * each_ml, 4) for name, count in voxels.items()}}


def _jobs(args: argparse.Namespace, bundle: Bundle, left_out: list[LeftOut]) -> Iterator[_Job]:
    """What is to be segmented; what a folder holds beside it goes to ``left_out``."""
    from vesalius.errors import DataError
    from vesalius.io import read
    from vesalius.io.layouts import index
    from vesalius.io.layouts.load import read_channels

    paths = [Path(p) for p in args.images]
    for path in paths:
        if not path.exists():
            raise DataError(f"{path.name}: there is no such file or folder")
    channels = len(bundle.plan.channels)
    # As many files as channels are one image, unless they are as many colour pictures.
    if channels > 1 and len(paths) == channels and all(p.is_file() and read(p).channels == 1 for p in paths):
        yield _Job(_stem(paths[0]), tuple(paths), partial(read_channels, paths))
        return
    for path in paths:
        if path.is_file() or _is_series(path):
            yield _Job(_stem(path), (path,), partial(read, path, series=args.series))
            continue
        dataset = index(path, args.layout, check=False)
        left_out += dataset.left_out
        for record in dataset.records:
            yield _Job(record.id, record.images, partial(read_channels, record.images))


def _is_series(folder: Path) -> bool:
    """Whether a folder is one DICOM image rather than a folder of images."""
    from vesalius.io.layouts.files import find_images

    return find_images(folder) == (folder,)


def _stem(path: Path) -> str:
    from vesalius.io.layouts.files import stem

    return stem(path)
