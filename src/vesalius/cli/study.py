"""``vesalius study NAME [DATA] -o OUT``: a classical task of the field from public data, end to end."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from vesalius.cli.arguments import add_device
from vesalius.studies import STUDIES

HELP = "do a classical task of the field from public data in their official form, end to end"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius study``."""
    parser.add_argument("name", metavar="NAME", choices=STUDIES, help=", ".join(STUDIES))
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("data", metavar="DATA", nargs="?", help="folder of the data set, as it is published")
    data.add_argument("--sample", action="store_true", help="on a small synthetic data set, made on the spot")
    parser.add_argument("-o", "--output", metavar="OUT", help="folder of the results, new or empty (NAME)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--budget", metavar="TIME", help="for all trainings together (30m; of a sample, 2.5m)")
    length.add_argument(
        "--steps", type=int, help="train each network for this many steps instead, however long it takes"
    )
    parser.add_argument(
        "--trained", metavar="OUT", help="train nothing: use the segmenters of an earlier run on new cases"
    )
    parser.add_argument("--resume", action="store_true", help="go on with a run that was cut off, in the same folder")
    parser.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    add_device(parser)


@contextlib.contextmanager
def _gone_if_empty(out: Path) -> Iterator[None]:
    """Make the folder; what was refused before anything was written leaves none behind."""
    from vesalius.io.atomic import make_folder

    is_new = not out.exists()
    make_folder(out)
    try:
        yield
    finally:
        if is_new:
            with contextlib.suppress(OSError):  # it holds something
                out.rmdir()


def run(args: argparse.Namespace) -> int:
    """Run the study, print its scores and where its report is."""
    from vesalius.cli.progress import training
    from vesalius.errors import VesaliusError
    from vesalius.io.atomic import make_folder
    from vesalius.plan import parse_time
    from vesalius.studies import find_study
    from vesalius.studies.study import Setting

    study = find_study(args.name)
    out = Path(args.output or args.name)
    if out.is_dir() and any(out.iterdir()) and not args.resume:
        raise VesaliusError(
            f"{out.name}: the folder holds something already; name another with -o, or go on with a run by --resume"
        )
    with _gone_if_empty(out), training(shown=not args.json) as status:
        setting = Setting(
            budget_s=parse_time(args.budget or ("2.5m" if args.sample else "30m")),
            steps=args.steps,
            device=args.device,
            seed=args.seed,
            trained=None if args.trained is None else Path(args.trained),
            resume=args.resume,
            on_status=status,
            note=lambda text: None if args.json else print(f"vesalius: {text}", file=sys.stderr),
        )
        if args.sample and not (out / "sample").is_dir():
            partial = out / "sample.partial"
            shutil.rmtree(partial, ignore_errors=True)
            study.write_sample(make_folder(partial), seed=args.seed)
            partial.rename(out / "sample")
        outcome = study.run(out / "sample" if args.sample else Path(args.data), out, setting)
    if args.json:
        said = {"report": str(outcome.report), "scores": dict(outcome.scores), "repairs": list(outcome.repairs)}
        print(json.dumps(said))
        return 0
    for repair in outcome.repairs:
        print(f"vesalius: {repair}", file=sys.stderr)
    for name, score in outcome.scores.items():
        print(f"{name:40} {score:.3f}")
    print(f"report: {outcome.report}")
    return 0
