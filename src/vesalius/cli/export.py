"""``vesalius export BUNDLE --to TARGET -o OUT``: a segmenter for another runtime."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vesalius.export.targets import TARGETS

if TYPE_CHECKING:
    from vesalius.export import ExportReport
    from vesalius.image import Dataset, Volume

HELP = "write a segmenter for another runtime; it is checked there, and described for who has no Vesalius"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius export``."""
    parser.add_argument("bundle", metavar="BUNDLE", help="folder or zip, or the name of a built-in one")
    parser.add_argument("--to", required=True, choices=TARGETS, help=f"the target: {', '.join(TARGETS)}")
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="the folder to write")
    parser.add_argument(
        "--case",
        nargs="+",
        metavar="IMAGE",
        help="a real image to check on: a file, a DICOM folder, or a file for each channel (drawn noise)",
    )
    parser.add_argument("--series", help="which series of a DICOM folder")
    parser.add_argument(
        "--quantise", choices=("fp16", "int8"), help="store and compute in fewer bits, as the target allows"
    )
    parser.add_argument(
        "--calibrate",
        metavar="FOLDER",
        help="real cases: int8 is fitted to some of them, and what quantisation costs in Dice is measured on others",
    )
    parser.add_argument("--layout", default="auto", help="how FOLDER is arranged, see `vesalius index` (auto)")
    parser.add_argument("--reference", metavar="NAME", help="which references of FOLDER, where it has several")
    parser.add_argument(
        "--accept-loss",
        type=float,
        default=0.01,
        metavar="DICE",
        help="loss of Dice, of the label that loses most, above which a quantised artefact is refused (0.01)",
    )
    parser.add_argument(
        "--runtime",
        metavar="FOLDER",
        help="for the target browser: where `npm pack` or `npm install` left the runtime (the current folder)",
    )


def run(args: argparse.Namespace) -> int:
    """Export, and tell what the check found."""
    from vesalius.bundle import Bundle
    from vesalius.cli.admission import warn_of_withdrawals
    from vesalius.export import export

    bundle = Bundle.load(args.bundle)
    warn_of_withdrawals(bundle, args.bundle)
    report = export(
        bundle,
        args.to,
        args.output,
        case=_case(args),
        precision=args.quantise or "fp32",
        cases=_cases(args),
        accepted_loss=args.accept_loss,
        runtime=args.runtime,
    )
    if args.json:
        print(json.dumps({"output": args.output, **report.to_dict()}))
    else:
        _print(report)
    return 0


def _case(args: argparse.Namespace) -> Volume | None:
    from vesalius.io import read
    from vesalius.io.layouts.load import read_channels

    if args.case is None:
        return None
    paths = [Path(path) for path in args.case]
    return read(paths[0], series=args.series) if len(paths) == 1 else read_channels(paths)


def _cases(args: argparse.Namespace) -> Dataset | None:
    from vesalius.io.layouts import index

    if args.calibrate is None:
        return None
    return index(args.calibrate, args.layout, reference=args.reference, check=False)


def _print(report: ExportReport) -> None:
    print(f"{report.folder}  {report.target}, {report.precision}, {len(report.files)} files")
    for part, parity in report.parity.items():
        print(
            f"{part or 'check':14} {report.runtime}: {parity.label_agreement:.4%} of the labels, logits within "
            f"{parity.max_difference:.2g} of {parity.largest_logit:.3g}, on {parity.windows} windows of {parity.source}"
        )
    if report.loss is not None:
        for name, dice in report.loss.dice_to_fp32.items():
            print(f"{'Dice':14} {name} {dice:.4f} against fp32{_against_reference(report, name)}")
        print(f"{'measured on':14} {len(report.loss.cases)} cases")
    for note in report.notes:
        print(f"{'note':14} {note}")


def _against_reference(report: ExportReport, name: str) -> str:
    assert report.loss is not None
    if name not in report.loss.dice:
        return ""
    return f"; {report.loss.dice[name]:.4f} against the references (fp32 {report.loss.dice_of_fp32[name]:.4f})"
