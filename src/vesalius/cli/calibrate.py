"""``vesalius calibrate BUNDLE FOLDER -o OUT``: what labelled cases that taught nothing promise of the next ones."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from vesalius.cli.admission import warn_of_withdrawals
from vesalius.cli.arguments import add_dataset, add_device, add_labels, read_dataset
from vesalius.cli.progress import counting

if TYPE_CHECKING:
    from vesalius.bundle import Bundle
    from vesalius.image import Dataset

HELP = "calibrate a segmenter on labelled cases that taught it nothing: how wrong its sizes may be, what it may miss"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius calibrate``."""
    parser.add_argument("bundle", metavar="BUNDLE", help="folder or zip, or the name of a built-in segmenter")
    add_dataset(parser)
    add_labels(parser)
    parser.add_argument(
        "-o", "--output", required=True, metavar="OUT", help="folder of the calibrated bundle; BUNDLE's own will do"
    )
    parser.add_argument(
        "--level", type=float, default=0.9, metavar="P", help="share of persons whose true size is inside (0.9)"
    )
    parser.add_argument(
        "--missed",
        metavar="SHARE,…",
        help="shares of a structure that outer regions may miss on average (0.05,0.1,0.2)",
    )
    parser.add_argument(
        "--held-out",
        action="store_true",
        help="FOLDER is what BUNDLE was trained on: use only the cases that its training held out",
    )
    parser.add_argument("--on", default="", metavar="WORDS", help="what the cases are, for the card (their number)")
    add_device(parser)


def run(args: argparse.Namespace) -> int:
    """Segment the cases, put what they say on the card, and write the bundle."""
    from vesalius.bundle import Bundle
    from vesalius.bundle.card import card_to_json
    from vesalius.cli.cards import print_scores
    from vesalius.predict.calibrate import MISSED, calibrate

    bundle = Bundle.load(args.bundle)
    warn_of_withdrawals(bundle, args.bundle)
    missed = MISSED if args.missed is None else _shares(args.missed)
    with counting("reading", shown=not args.json) as progress:
        dataset = read_dataset(args, progress).with_reference()
    if not args.json:
        for case in dataset.left_out:
            print(f"vesalius: left out: {case.id}: {case.reason}", file=sys.stderr)
    dataset = _untaught(bundle, dataset, held_out=args.held_out)
    on = args.on
    if args.held_out and not on:
        on = f"{len(dataset)} held-out cases of the data set that it was trained on"
    with counting("segmenting", shown=not args.json) as progress:
        made = calibrate(bundle, dataset, level=args.level, missed=missed, on=on, device=args.device, progress=progress)
    made.save(args.output, precision=made.exact_precision)
    if args.json:
        told = card_to_json(made.card)
        names = ("scores", "intervals", "subgroups", "scores_on", "calibration")
        left_out = [{"id": case.id, "reason": case.reason} for case in dataset.left_out]
        print(json.dumps({"bundle": args.output, **{name: told.get(name) for name in names}, "left_out": left_out}))
        return 0
    print_scores(made.card)
    print(f"bundle: {args.output}")
    return 0


def _shares(text: str) -> tuple[float, ...]:
    from vesalius.errors import DataError

    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(0 < share < 1 for share in found):
        raise DataError(f"--missed must be written like 0.05,0.1, each above 0 and below 1, not {text!r}")
    return found


def _untaught(bundle: Bundle, dataset: Dataset, *, held_out: bool) -> Dataset:
    """The cases that had no part in the bundle, as far as it can tell.

    Raises:
        BundleError: Its training held none out that decided nothing.
        DataError: These are not its cases; or they are, and nobody said that only some are to be used.
    """
    from vesalius.bundle.lineage import case_names
    from vesalius.errors import DataError
    from vesalius.predict.calibrate import untouched_cases

    named = dict(zip(dataset.ids, case_names(dataset, dataset.ids), strict=True))
    if held_out:
        wanted = set(untouched_cases(bundle))
        if not wanted <= set(named.values()):
            raise DataError("FOLDER does not hold all the cases that the training held out: it is another data set")
        return dataset.select([case for case, name in named.items() if name in wanted])
    told = bundle.provenance
    kept_back = set(told.get("held_out") or ())
    count = told.get("training_cases", 0) + (0 if "folds" in told else len(kept_back))
    if kept_back and kept_back <= set(named.values()) and count == len(named):
        raise DataError(
            "this is the data set that the segmenter was trained on: with --held-out only the cases are used that "
            "taught it nothing"
        )
    return dataset
