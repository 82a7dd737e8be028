"""``vesalius stream SOURCE --bundle B``: segment a camera, a video, a DICOM cine or pictures as they come."""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import ExitStack
from itertools import islice
from typing import TYPE_CHECKING, Any

from vesalius.cli.admission import warn_of_withdrawals
from vesalius.cli.arguments import add_device, add_mirroring
from vesalius.cli.progress import counting

if TYPE_CHECKING:
    from vesalius.predict.stream import Tally

HELP = "segment a camera, a video, a DICOM cine or a folder of pictures as it plays, and say how late results were"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius stream``."""
    parser.add_argument(
        "source", metavar="SOURCE", help="number of a camera, a video, a multi-frame DICOM file or a folder of pictures"
    )
    parser.add_argument(
        "--bundle", required=True, metavar="BUNDLE", help="folder or zip, or the name of a built-in one"
    )
    parser.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="OUT",
        help="what to keep, as often as wanted: .mp4, .avi or .mkv (frames with labels drawn in), .tif (label maps), "
        ".csv (times and sizes), or a folder (label maps as PNG)",
    )
    parser.add_argument(
        "--every-frame",
        action="store_true",
        help="drop nothing, and do not wait for the clock: a file is done as fast as can be",
    )
    parser.add_argument("--rate", type=float, metavar="HZ", help="frames a second (as the source says)")
    parser.add_argument("--frames", type=int, metavar="N", help="stop after so many results")
    parser.add_argument("--queue", type=int, default=1, metavar="N", help="frames that may wait (1)")
    parser.add_argument("--stale-after", type=float, metavar="MS", help="age from which a result is flagged (200)")
    parser.add_argument(
        "--smooth", type=float, metavar="ALPHA", help="weight of a new frame in a mean over time (none)"
    )
    parser.add_argument(
        "--whole-frame", action="store_true", help="show the network the frame as a whole, not window by window"
    )
    add_mirroring(parser)
    parser.add_argument("--overlap", type=float, help="of neighbouring windows, 0 to 0.9 (as planned)")
    parser.add_argument(
        "--no-postprocess", dest="postprocess", action="store_false", help="leave out the segmenter's clean-up"
    )
    parser.add_argument("--backend", default="auto", metavar="NAME", help="what computes the network (auto)")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Watch until the footage ends, enough was seen, or Ctrl-C; what was kept so far stays."""
    from vesalius.errors import PlanError, VesaliusError
    from vesalius.io.footage import open_footage
    from vesalius.predict import load_segmenter
    from vesalius.predict.stream import STALE_AFTER_S, Tally, open_output, stream

    if args.frames is not None and args.frames < 1:
        raise PlanError(f"--frames must be at least 1, not {args.frames}")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # silent: what cannot be read is told in our own words
    tally, broken, ended = Tally(), None, "the footage ended"
    with ExitStack() as opened:
        footage = opened.enter_context(open_footage(args.source, rate_hz=args.rate))
        segmenter = load_segmenter(args.bundle, device=args.device, backend=args.backend)
        warn_of_withdrawals(segmenter.bundle, args.bundle, backend=args.backend)
        results = stream(
            footage,
            segmenter,
            every_frame=args.every_frame,
            queue=args.queue,
            stale_after_s=STALE_AFTER_S if args.stale_after is None else args.stale_after / 1000,
            smooth=args.smooth,
            mirror=args.mirror,
            overlap=args.overlap,
            whole_frame=args.whole_frame,
            postprocess=args.postprocess,
        )
        keeps = [opened.enter_context(open_output(path, footage)) for path in args.output]
        progress = opened.enter_context(counting("frames", shown=not args.json))
        moments: list[float] = []  # of the first result, and of the last
        try:
            for found in islice(results, args.frames):
                moments[1:] = [time.perf_counter()]
                tally.add(found)
                for keep in keeps:
                    keep(found)
                if progress is not None:
                    progress(found.frame.index + 1, footage.count or found.frame.index + 1)
            if tally.frames == args.frames:
                ended = "enough was seen"
        except KeyboardInterrupt:
            ended = "interrupted"
        except VesaliusError as error:
            if tally.frames == 0:
                raise
            ended, broken = "it failed", error
        finally:
            results.close()
    told = {
        "source": args.source,
        "ended": ended,
        **tally.summary(),
        "frames_a_second": round((tally.frames - 1) / (moments[-1] - moments[0]), 2) if tally.frames > 1 else None,
        "outputs": list(args.output),
    }
    if broken is not None:
        raise broken
    if args.json:
        print(json.dumps(told))
    else:
        _tell(told, tally)
    return 0


def _tell(told: dict[str, Any], tally: Tally) -> None:
    pace = "" if told["frames_a_second"] is None else f", {told['frames_a_second']:g} a second"
    print(f"{tally.frames:,} frames{pace}; {tally.dropped:,} dropped, {tally.stale:,} stale; {told['ended']}")
    if tally.frames:
        print(f"{'ms':9} {'p50':>9} {'p95':>9} {'p99':>9} {'largest':>9}")
        for name in ("latency", "waited", "computed"):
            row = told[name]
            cells = (row[key] for key in ("p50_ms", "p95_ms", "p99_ms", "largest_ms"))
            print(f"{name:9} " + " ".join(f"{cell:9.1f}" for cell in cells))
    for path in told["outputs"]:
        print(path)
