"""``vesalius segment IMAGE … --bundle B -o OUT``: segment one image, several, or a folder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.admission import warn_of_withdrawals
from vesalius.cli.arguments import BACKENDS, add_device, add_mirroring, backend
from vesalius.cli.progress import counting
from vesalius.cli.sources import Source, find_sources, find_targets

if TYPE_CHECKING:
    from vesalius.bundle import Bundle
    from vesalius.bundle.calibration import Calibration
    from vesalius.image import LeftOut
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
        "--bundle",
        metavar="BUNDLE",
        help="folder or zip, or the name of a built-in one; or the folder of a classifier of pixels (the built-in one "
        "that surely suits the images)",
    )
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="OUT",
        help="a file for one image, a folder for more; .dcm for a segmentation (SEG) in the study of a DICOM series",
    )
    parser.add_argument("--series", help="which series of a DICOM folder")
    add_mirroring(parser)
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
    parser.add_argument(
        "--outer",
        type=float,
        metavar="SHARE",
        help="write the region that misses at most this share of each structure on average, too, as "
        "NAME-outer-STRUCTURE; the segmenter must be calibrated for it, see `vesalius calibrate`",
    )
    parser.add_argument(
        "--focus", action="store_true", help="look closely only where a coarse look found something: faster"
    )
    parser.add_argument(
        "--by-slice",
        choices=("auto", "axial", "coronal", "sagittal"),
        help="segment volumes with a segmenter of pictures, slice by slice: across the coarsest axis (auto), or these",
    )
    parser.add_argument(
        "--resume", action="store_true", help="skip what is done in OUT, a folder, with this segmenter and settings"
    )
    parser.add_argument("--layout", default="auto", help="how a folder is arranged, see `vesalius index` (auto)")
    parser.add_argument(
        "--cluster",
        metavar="WHERE",
        help="segment images side by side with Ray: local, auto (the cluster of this machine) or its address",
    )
    parser.add_argument(
        "--backend",
        default="auto",
        type=backend,
        metavar="NAME",
        help=f"what computes the networks: auto, the fastest here (default), {', '.join(BACKENDS)}, or the folder of "
        "an export of BUNDLE to OpenVINO, for example in int8",
    )
    parser.add_argument("--memory", metavar="SIZE", help="memory to use at most, for example 8GiB")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Segment everything; a broken image is reported and the rest goes on."""
    from vesalius.classical.pixels import holds_pixels

    proposal = None
    if args.bundle is None:
        from vesalius.cli.proposed import propose_bundle

        proposal = propose_bundle(args)
    elif holds_pixels(args.bundle):
        _refuse_settings_of_networks(args)
        from vesalius.cli.pixels import segment_pixels

        return segment_pixels(args, args.bundle)
    from vesalius.bundle import Bundle
    from vesalius.predict.stages import Look

    bundle = Bundle.load(args.bundle)
    warn_of_withdrawals(bundle, args.bundle, backend=args.backend)
    channels = _channels(args)
    Look(channels=channels, overlap=args.overlap).check(bundle)  # told once, not for every image
    outer = _outer(args, bundle)
    left_out: list[LeftOut] = []
    broken: list[dict[str, Any]] = []
    sources = list(find_sources(args, len(channels or bundle.plan.channels), left_out, broken))
    for case in left_out:
        _say(f"left out: {case.id}: {case.reason}")
    for folder in broken:
        _say(f"{folder['image']}: {folder['error']}")
    targets, journal = find_targets(sources, Path(args.output), resume=args.resume)
    jobs = [_job(args, source, target, channels, outer) for source, target in zip(sources, targets, strict=True)]
    try:
        done = _done(args, jobs, [source.name for source in sources], bundle, journal=journal)
    except KeyboardInterrupt:
        if journal and not args.json:
            _say("interrupted; the same command with --resume goes on")
        raise
    before = sum("done_before" in one for one in done.values())
    if before:
        _say(f"{before} of {len(jobs)} were done before")
    images = [*(done[number] for number in sorted(done)), *broken]
    failed = sum("error" in one for one in images)
    if args.json:
        others = [{"id": case.id, "reason": case.reason} for case in left_out]
        proposed = {} if proposal is None else {"proposal": proposal}
        print(json.dumps({"images": images, "failed": failed, "left_out": others, **proposed}))
    return 1 if failed else 0


def _refuse_settings_of_networks(args: argparse.Namespace) -> None:
    """What a classifier of pixels has no use for is an error rather than ignored."""
    from vesalius.errors import BundleError

    unset = {
        "mirror": None, "overlap": None, "channels": None, "members": None, "focus": False, "resume": False,
        "cluster": None, "backend": "auto", "memory": None, "device": "auto", "postprocess": True,
        "outer": None, "by_slice": None,
    }  # fmt: skip
    given = [name for name, value in unset.items() if getattr(args, name) != value]
    if given:
        raise BundleError(
            f"{Path(args.bundle).name} is a classifier of pixels: it has no networks, and takes no setting of them "
            f"({', '.join(given)})"
        )


def _done(
    args: argparse.Namespace, jobs: Sequence[FileJob], names: Sequence[str], bundle: Bundle, *, journal: bool
) -> dict[int, dict[str, Any]]:
    """Do the jobs and tell each outcome; what machines are told, by the job's number."""
    from vesalius.errors import VesaliusError
    from vesalius.predict.folder import segment_files

    done: dict[int, dict[str, Any]] = {}
    promised = None if _changed(args) else bundle.card.calibration
    with counting(names[0] if len(jobs) == 1 else "images", shown=not args.json) as progress:
        for outcome in segment_files(
            jobs, bundle, journal=journal, resume=args.resume, cluster=args.cluster, progress=progress
        ):
            name, error = names[outcome.number], outcome.error
            if error is not None:
                if len(jobs) == 1 or not isinstance(error, VesaliusError):
                    raise error
                done[outcome.number] = {"image": name, "error": str(error)}
                _say(str(error) if str(error).startswith(name) else f"{name}: {error}")
                continue
            found = outcome.unwrap()
            target = str(Path(args.output) / found.target.name) if journal else args.output
            done[outcome.number] = {"image": name, "output": target, **_told(found, promised)}
            if not args.json and found.work is not None:
                print(f"{target}  {_sizes(found, promised)}", flush=True)
    return done


def _told(found: FileResult, promised: Calibration | None) -> dict[str, Any]:
    """A result for machines."""
    told: dict[str, Any] = {"voxels": found.voxels}
    if found.volume_ml is not None:
        told["volume_ml"] = found.volume_ml
    if promised is not None and promised.factors:
        unit, sizes = ("voxels", found.voxels) if found.volume_ml is None else ("volume_ml", found.volume_ml)
        intervals = {name: promised.interval(name, size) for name, size in sizes.items()}
        told["intervals"] = {
            "level": promised.level,
            unit: {name: [float(f"{end:.6g}") for end in both] for name, both in intervals.items() if both},
        }
    if found.outer:
        told["outer"] = {name: path.name for name, path in found.outer.items()}
    if found.work is None:
        return {**told, "done_before": True}
    work = found.work
    seconds = {"reading": work.reading_s, "computing": work.computing_s, "writing": work.writing_s}
    return {**told, "backend": work.backend, "seconds": {stage: round(s, 3) for stage, s in seconds.items()}}


def _sizes(found: FileResult, promised: Calibration | None) -> str:
    """A result for people."""

    def between(name: str, size: float, form: str) -> str:
        both = None if promised is None else promised.interval(name, size)
        if promised is None or both is None:
            return ""
        return f" ({100 * promised.level:.3g} %: {both[0]:{form}} to {both[1]:{form}})"

    if found.volume_ml is not None:
        return ", ".join(f"{name} {ml:.4g} ml{between(name, ml, '.4g')}" for name, ml in found.volume_ml.items())
    return ", ".join(f"{name} {count:,} voxels{between(name, count, ',.0f')}" for name, count in found.voxels.items())


def _changed(args: argparse.Namespace) -> list[str]:
    """The settings that make the segmenter another than the one that was calibrated."""
    names = ("mirror", "overlap", "channels", "members")
    changed = [name for name in names if getattr(args, name) is not None]
    changed += ["focus"] if args.focus else []
    changed += ["by-slice"] if args.by_slice is not None else []
    changed += [] if args.postprocess else ["no-postprocess"]
    return changed + (["backend"] if Path(args.backend).is_dir() else [])


def _outer(args: argparse.Namespace, bundle: Bundle) -> dict[str, float] | None:
    """From which probability voxels belong to the outer region of each structure, where somebody wants them."""
    if args.outer is None:
        return None
    from vesalius.errors import BundleError
    from vesalius.predict.outer import outer_thresholds

    if changed := _changed(args):
        raise BundleError(
            f"--outer holds for the segmenter as it was calibrated, with its own settings: leave {changed[0]} as it is"
        )
    return dict(outer_thresholds(bundle, args.outer))


def _say(text: str) -> None:
    print(f"vesalius: {text}", file=sys.stderr)


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


def _job(
    args: argparse.Namespace,
    source: Source,
    target: Path,
    channels: tuple[str, ...] | None,
    outer: dict[str, float] | None,
) -> FileJob:
    """What to do with an image, in words that another process understands: no path depends on where it is read."""
    from vesalius.plan import parse_memory
    from vesalius.predict.folder import FileJob

    bundle = Path(args.bundle)
    return FileJob(
        images=tuple(path.absolute() for path in source.images),
        target=target.absolute(),
        bundle=str(bundle.absolute()) if bundle.exists() else args.bundle,
        series=args.series,
        device=args.device,
        backend=args.backend,
        memory_gib=parse_memory(args.memory) if args.memory else None,
        channels=channels,
        members=_members(args),
        mirror=args.mirror,
        overlap=args.overlap,
        focus=args.focus,
        slicing=args.by_slice,
        postprocess=args.postprocess,
        probabilities=args.probabilities,
        outer=outer,
    )
