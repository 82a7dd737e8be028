"""``vesalius evaluate PREDICTIONS REFERENCES -o REPORT``: score, tabulate, picture; several methods are compared."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.cli.progress import counting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vesalius.cli.pairs import Trial
    from vesalius.metrics import Scores, Summary
    from vesalius.metrics.calibration import Calibration

HELP = "score predictions against references, or compare several methods: table, JSON, CSV and an HTML report"

_PICTURED = 12  # worst cases that get a picture


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``vesalius evaluate``."""
    parser.usage = (
        "vesalius evaluate PREDICTIONS REFERENCES [-o REPORT] [options]\n"
        "       vesalius evaluate [NAME=]PREDICTIONS … --reference REFERENCES [-o REPORT] [options]"
    )
    parser.add_argument(
        "places",
        metavar="PREDICTIONS",
        nargs="+",
        help="a label file, or a folder of them named like the cases; then the references, likewise. Or a table of "
        "candidates and one of findings, as LUNA16 has them (CSV). With --reference: the predictions of one method or "
        "several, each with a name before it if that of the folder won't do",
    )
    parser.add_argument(
        "--reference", metavar="REFERENCES", help="where the references are: a label file, a folder, or a data set"
    )
    parser.add_argument("-o", "--output", metavar="REPORT", help="folder for report.html, CSV and JSON")
    parser.add_argument("--metrics", help="comma-separated (all)")
    parser.add_argument("--tolerance", type=float, default=1.0, metavar="MM", help="of the surface Dice, mm (1)")
    parser.add_argument(
        "--lesion-task",
        default="brats-glioma",
        metavar="TASK",
        help="what counts as a lesion in lesion_dice and lesion_hd95: brats-glioma (default), brats-africa, "
        "brats-paediatric, brats-meningioma or brats-metastases",
    )
    parser.add_argument("--layout", default="auto", help="how REFERENCES is arranged, see `vesalius index` (auto)")
    parser.add_argument("--reference-name", metavar="NAME", help="which references, where a data set has several")
    parser.add_argument(
        "--missing",
        choices=("worst", "common"),
        default="worst",
        help="where one of several methods has no prediction: it gets the worst value (default), or the case is "
        "left out for all",
    )
    parser.add_argument(
        "--calibration", action="store_true", help="measure it, too, of the NAME-probabilities beside the predictions"
    )
    parser.add_argument(
        "--scans", metavar="FILE", help="for tables of points: all scans that were searched, a name a line"
    )
    parser.add_argument(
        "--excluded", metavar="FILE", help="for tables of points: findings that count neither way (CSV)"
    )
    parser.add_argument("--alpha", type=float, default=0.05, help="level of the tests between methods (0.05)")
    parser.add_argument(
        "--workers", type=int, metavar="N", help="cases that are scored at once (as many as cores and memory allow)"
    )
    parser.add_argument("--title", help="heading of the report")


def run(args: argparse.Namespace) -> int:
    """Score every pair; what has no partner or cannot be scored is said, and the exit code is 1."""
    from vesalius.cli.comparing import tell
    from vesalius.cli.pairs import find_trials, named
    from vesalius.cli.points import are_points, score_points
    from vesalius.cli.scoring import score_trials
    from vesalius.errors import DataError
    from vesalius.metrics import DEFAULT
    from vesalius.metrics.calibration import pool_calibrations

    predictions, references = _places(args)
    methods = named(predictions)
    if len(methods) == 1:
        methods = dict(zip([""], methods.values(), strict=True))  # a method that is alone needs no name
    if args.workers is not None and args.workers < 1:
        raise DataError(f"--workers must be at least 1, not {args.workers}")
    if are_points(methods, references):
        return score_points(args, methods, references)
    if args.scans is not None or args.excluded is not None:
        raise DataError("--scans and --excluded are for tables of points: candidates and findings (CSV)")
    trials, failed = find_trials(args, methods, references)
    if not trials:
        raise DataError("no prediction has a reference of the same name; " + "; ".join(failed[:3]))
    metrics = tuple(name.strip() for name in args.metrics.split(",")) if args.metrics else DEFAULT
    with counting("scoring", shown=not args.json) as progress:
        tally = score_trials(
            trials,
            list(methods),
            metrics=metrics,
            tolerance_mm=args.tolerance,
            lesion_task=args.lesion_task,
            calibration=args.calibration,
            workers=args.workers,
            progress=progress,
        )
    failed += tally.failed
    for words in failed:
        print(f"vesalius: {words}", file=sys.stderr)
    for name, scores in tally.scores.items():
        if not scores:
            count = sum(name in trial.predictions for trial in trials)
            of_method = f" of {name}" if name else ""
            raise DataError(f"none of the {count} pairs{of_method} could be scored: {'; '.join(failed[:3])}")
    pooled = {name: pool_calibrations(parts) for name, parts in tally.calibrations.items() if parts}
    if len(methods) > 1:
        tell(args, methods, references, trials, tally.scores, pooled, metrics, failed)
    else:
        _tell(args, methods[""], references, trials, tally.scores[""], pooled.get(""), metrics, failed)
    return 1 if failed else 0


def _places(args: argparse.Namespace) -> tuple[list[str], Path]:
    """Predictions and references, by either way of writing them."""
    from vesalius.errors import DataError

    if args.reference is None:
        if len(args.places) != 2:
            raise DataError(
                "give PREDICTIONS and REFERENCES, or the predictions of several methods and --reference REFERENCES; "
                f"there {'is one place' if len(args.places) == 1 else f'are {len(args.places)} places'} and no "
                "--reference"
            )
        return [args.places[0]], Path(args.places[1])
    if not Path(args.reference).exists():
        raise DataError(
            f"{args.reference}: there is no such file or folder; --reference says where the references are, and "
            "--reference-name which of several references of a data set are meant"
        )
    return list(args.places), Path(args.reference)


def _tell(
    args: argparse.Namespace,
    predictions: Path,
    references: Path,
    trials: Sequence[Trial],
    scores: list[Scores],
    calibration: Calibration | None,
    metrics: Sequence[str],
    failed: list[str],
) -> None:
    """The scores of one method: files, and what is printed."""
    from vesalius.cli.comparing import in_words
    from vesalius.metrics import summarise

    summary = summarise(scores)
    if args.output:
        _write(args, predictions, references, trials, scores, calibration, metrics)
    if args.json:
        rows = {"cases": [s.to_dict() for s in scores], "summary": summary.to_dict(), "failed": failed}
        if calibration is not None:
            rows["calibration"] = calibration.to_dict()
        print(json.dumps(rows))
    else:
        _print_table(summary, metrics)
        if calibration is not None:
            print(in_words(calibration))
        if args.output:
            print(f"report: {Path(args.output) / 'report.html'}")


def _write(
    args: argparse.Namespace,
    predictions: Path,
    references: Path,
    trials: Sequence[Trial],
    scores: list[Scores],
    calibration: Calibration | None,
    metrics: Sequence[str],
) -> None:
    import numpy as np

    from vesalius import __version__
    from vesalius.cli.scoring import leading_metric, on_grid_of
    from vesalius.io import read_labels
    from vesalius.io.atomic import make_folder
    from vesalius.report import evaluation_html, overlay, write_scores_csv, write_scores_json

    out = make_folder(args.output)
    provenance = {
        "predictions": predictions.name,
        "references": references.name,
        "made by": f"vesalius {__version__}",
    }
    write_scores_csv(scores, out / "scores.csv")
    write_scores_json(scores, out / "scores.json", provenance=provenance)
    leading = leading_metric(metrics)

    def mean(one: Scores) -> float:
        values = [row.get(leading, np.nan) for row in one.values.values()]
        return float(np.nanmean(values)) if not np.isnan(values).all() else 1.0

    by_name = {trial.name: trial for trial in trials}
    pictures: dict[str, Any] = {}
    for one in sorted(scores, key=mean)[:_PICTURED]:
        trial = by_name[one.case]
        if trial.image is not None:
            reference = trial.reference()
            prediction = on_grid_of(read_labels(trial.predictions[""], trial.labels), reference, trial.name)
            pictures[one.case] = overlay(trial.image(), prediction, reference)
    first = by_name[scores[0].case]
    calibrated = first.image().meta.calibrated if first.image is not None else first.reference().grid.ndim == 3
    headline = [name for name in ("dice", "surface_dice", "hd95", "assd") if name in metrics] or [metrics[0]]
    evaluation_html(
        scores,
        out / "report.html",
        pictures=pictures,
        provenance=provenance,
        labels=first.reference().labels,
        calibration=calibration,
        headline=headline,
        calibrated=calibrated,
        title=args.title or "Evaluation",
    )


def _print_table(summary: Summary, metrics: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("target", "metric", "n", "mean", "95 % interval", "median", "worst", box=None, pad_edge=False)
    shown = [name for name in ("dice", "iou", "surface_dice", "hd95", "assd") if name in metrics] or list(metrics)
    rows = [*summary.values.items(), ("mean of targets", summary.foreground)]
    for target, found in rows if len(summary.values) > 1 else rows[:1]:
        for name in shown:
            if name in found:
                s = found[name]
                span = f"{s.low:.4g} … {s.high:.4g}"
                table.add_row(target, name, str(s.n), f"{s.mean:.4f}", span, f"{s.median:.4f}", ", ".join(s.worst[:2]))
    Console(highlight=False, markup=False).print(table)
