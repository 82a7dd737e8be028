"""``vesalius segment IMAGE … --bundle B -o OUT``: segment one image, several, or a folder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.arguments import add_device
from vesalius.cli.progress import counting

if TYPE_CHECKING:
    from vesalius.bundle import Bundle
    from vesalius.image import LeftOut
    from vesalius.jobs import Outcome
    from vesalius.predict.folder import FileJob, FileResult

HELP = "segment images with a trained segmenter; results lie on each image's own grid"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius segment``."""
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="an image, a DICOM folder, or a folder of images. Where the segmenter wants several channels: that many "
        "files, in its order or that of --channels, are one image",
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
    parser.add_argument(
        "--channels",
        metavar="NAME,…",
        help="which of the segmenter's channels the files of an image are, in their order (all, in its own order); "
        "some may be missing if it was trained with channel dropout",
    )
    parser.add_argument("--members", metavar="N,…", help="which of the networks to use, from 0 (all)")
    parser.add_argument(
        "--no-postprocess", dest="postprocess", action="store_false", help="leave out the segmenter's clean-up"
    )
    parser.add_argument("--probabilities", action="store_true", help="write these too, as NAME-probabilities")
    parser.add_argument("--layout", default="auto", help="how a folder is arranged, see `vesalius index` (auto)")
    parser.add_argument(
        "--cluster",
        metavar="WHERE",
        help="segment images side by side with Ray: local, auto (the cluster of this machine) or its address",
    )
    add_device(parser)


@dataclass(frozen=True)
class _Source:
    """An image to segment: its name and its files."""

    name: str
    images: tuple[Path, ...]

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
    from vesalius.predict.stages import Look

    bundle = Bundle.load(args.bundle)
    channels = _channels(args)
    Look(channels=channels, overlap=args.overlap).check(bundle)  # told once, not for every image
    left_out: list[LeftOut] = []
    sources = list(_sources(args, len(channels or bundle.plan.channels), left_out))
    for case in left_out:
        print(f"vesalius: left out: {case.id}: {case.reason}", file=sys.stderr)
    targets = _targets(sources, Path(args.output))
    jobs = [_job(args, source, target, channels) for source, target in zip(sources, targets, strict=True)]
    done: dict[int, dict[str, Any]] = {}
    for outcome in _outcomes(args, jobs, [source.name for source in sources], bundle):
        name, target = sources[outcome.number].name, targets[outcome.number]
        if outcome.error is not None:
            if len(jobs) == 1 or not isinstance(outcome.error, VesaliusError):
                raise outcome.error
            done[outcome.number] = {"image": name, "error": str(outcome.error)}
            print(f"vesalius: {name}: {outcome.error}", file=sys.stderr)
            continue
        found = outcome.unwrap()
        done[outcome.number] = {"image": name, "output": str(target), "voxels": found.voxels}
        told = [f"{label} {count:,} voxels" for label, count in found.voxels.items()]
        if found.volume_ml is not None:
            done[outcome.number]["volume_ml"] = found.volume_ml
            told = [f"{label} {ml:.4g} ml" for label, ml in found.volume_ml.items()]
        if not args.json:
            print(f"{target}  {', '.join(told)}")
    failed = sum("error" in one for one in done.values())
    if args.json:
        others = [{"id": case.id, "reason": case.reason} for case in left_out]
        print(json.dumps({"images": [done[n] for n in sorted(done)], "failed": failed, "left_out": others}))
    return 1 if failed else 0


def _channels(args: argparse.Namespace) -> tuple[str, ...] | None:
    return None if args.channels is None else tuple(name.strip() for name in args.channels.split(","))


def _members(args: argparse.Namespace) -> tuple[int, ...] | None:
    from vesalius.errors import BundleError

    if args.members is None:
        return None
    try:
        return tuple(int(number) for number in args.members.split(","))
    except ValueError:
        raise BundleError(f"--members must be written like 0,2, not {args.members!r}") from None


def _job(args: argparse.Namespace, source: _Source, target: Path, channels: tuple[str, ...] | None) -> FileJob:
    """What to do with an image, in words that another process understands: no path depends on where it is read."""
    from vesalius.predict.folder import FileJob

    bundle = Path(args.bundle)
    return FileJob(
        images=tuple(path.absolute() for path in source.images),
        target=target.absolute(),
        bundle=str(bundle.absolute()) if bundle.exists() else args.bundle,
        series=args.series,
        device=args.device,
        channels=channels,
        members=_members(args),
        mirror=args.mirror,
        overlap=args.overlap,
        postprocess=args.postprocess,
        probabilities=args.probabilities,
    )


def _outcomes(
    args: argparse.Namespace, jobs: Sequence[FileJob], names: Sequence[str], bundle: Bundle
) -> Iterator[Outcome[FileResult]]:
    """Do the jobs: here, with a bar for each image, or on a cluster, with a bar for all of them."""
    from vesalius.jobs import joined, run_jobs, share_of
    from vesalius.predict import load_segmenter
    from vesalius.predict.folder import segment_file

    if args.cluster is None:
        segmenter = load_segmenter(bundle, device=args.device, members=_members(args))

        def task(number: int) -> FileResult:
            with counting(names[number], shown=not args.json) as progress:
                return segment_file(jobs[number], segmenter=segmenter, progress=progress)

        yield from run_jobs(task, range(len(jobs)))
        return
    with joined(args.cluster), counting("images", shown=not args.json) as progress:
        share = share_of(args.cluster, len(jobs), device=args.device)
        outcomes = run_jobs(segment_file, jobs, cluster=args.cluster, share=share)
        for done, outcome in enumerate(outcomes, start=1):
            if progress is not None:
                progress(done, len(jobs))
            yield outcome


def _targets(sources: Sequence[_Source], out: Path) -> list[Path]:
    """The file of each result. A place that cannot be right is refused before anything is computed."""
    from vesalius.errors import DataError, FormatError
    from vesalius.io import format_of

    suffix = None if out.is_dir() else format_of(out)
    if suffix is not None and len(sources) > 1:
        raise DataError(f"{out.name} names one file, and there are {len(sources)} images: name a folder")
    if suffix == ".dcm":
        raise FormatError(f"{out.name}: results are not written as DICOM; choose .nii.gz, .nrrd, .mha, .npz or .png")
    folder = out if suffix is None else out.parent
    standing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not standing.is_dir():
        raise DataError(f"{standing.name} is a file; the results need a folder")
    targets = [out if suffix is not None else out / f"{one.name}{one.ending}" for one in sources]
    twice = sorted({target.name for target in targets if targets.count(target) > 1})
    if twice:
        raise DataError(f"several images would be written to one file ({', '.join(twice[:5])}): segment them apart")
    images = {path.resolve() for one in sources for path in one.images}
    replaced = [target.name for target in targets if target.resolve() in images]
    if replaced:
        raise DataError(f"the result would replace the image {replaced[0]} itself: choose another folder")
    return targets


def _sources(args: argparse.Namespace, channels: int, left_out: list[LeftOut]) -> Iterator[_Source]:
    """What is to be segmented, images of some channels; what a folder holds beside it goes to ``left_out``."""
    from vesalius.errors import DataError
    from vesalius.io import read
    from vesalius.io.layouts import index

    paths = [Path(p) for p in args.images]
    for path in paths:
        if not path.exists():
            raise DataError(f"{path.name}: there is no such file or folder")
    # As many files as channels are one image, unless they are as many colour pictures.
    if channels > 1 and len(paths) == channels and all(p.is_file() and read(p).channels == 1 for p in paths):
        yield _Source(_stem(paths[0]), tuple(paths))
        return
    for path in paths:
        if path.is_file() or _is_series(path):
            yield _Source(_stem(path), (path,))
            continue
        dataset = index(path, args.layout, check=False)
        left_out += dataset.left_out
        for record in dataset.records:
            yield _Source(record.id, record.images)


def _is_series(folder: Path) -> bool:
    """Whether a folder is one DICOM image rather than a folder of images."""
    from vesalius.io.layouts.files import find_images

    return find_images(folder) == (folder,)


def _stem(path: Path) -> str:
    from vesalius.io.layouts.files import stem

    return stem(path)
